"""`[[expect]]`: what a configuration must do with which requests, written as data and proved by `lowfare check`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Self

from annotated_types import Ge, MinLen
from pydantic import AfterValidator, Field, model_validator

from router.config_errors import said
from router.config_values import Table, Whole
from router.core.catalog import Capability

NOT_STATED = "none"
"""What `max_tokens` is compared with where a request must not state any."""

_COMPARISON = re.compile(r"\s*(?P<sign><=|>=|<|>|=)?\s*(?P<number>\d+(?:\.\d+)?)\s*", re.ASCII)
_RANGE = re.compile(r"\s*(?P<least>\d+(?:\.\d+)?)\s*\.\.\s*(?P<most>\d+(?:\.\d+)?)\s*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The numbers that a comparison lets through; None is no limit on that side.

    Attributes:
        open_least, open_most: whether the limit itself is left out.
    """

    least: Decimal | None = None
    most: Decimal | None = None
    open_least: bool = False
    open_most: bool = False

    @property
    def whole_least(self) -> int | None:
        """The least whole number in it."""
        if self.least is None:
            return None
        above = self.open_least or self.least != int(self.least)
        return int(self.least) + above

    @property
    def whole_most(self) -> int | None:
        """The largest whole number in it."""
        if self.most is None:
            return None
        return int(self.most) - (self.open_most and self.most == int(self.most))


def span_of(text: str, /) -> Span:
    """Returns what a comparison such as "< 500", ">= 2000", "= 3", "7" or "500..2000" lets through.

    Raises:
        ValueError: it is no comparison.
    """
    if found := _RANGE.fullmatch(text):
        return Span(least=Decimal(found["least"]), most=Decimal(found["most"]))
    found = _COMPARISON.fullmatch(text)
    if found is None:
        raise ValueError(text)
    number = Decimal(found["number"])
    match found["sign"]:
        case "<" | "<=" as sign:
            return Span(most=number, open_most=sign == "<")
        case ">" | ">=" as sign:
            return Span(least=number, open_least=sign == ">")
        case _:
            return Span(least=number, most=number)


def _compared(text: str) -> str:
    try:
        span = span_of(text)
    except ValueError:
        raise said(
            f'found {text!r:.80}; allowed: a comparison such as "< 500", "<= 500", "> 500", ">= 500", "= 500" or '
            f'"500..2000"'
        ) from None
    least, most = span.least, span.most
    if (least is not None and most is not None and least > most) or (span.open_most and not most):
        raise said(f"found {text!r:.80}, which lets nothing through")
    return text


def _counted(text: str) -> str:
    span = span_of(_compared(text))
    least, most = span.whole_least, span.whole_most
    if (least is not None and most is not None and least > most) or most == 0:
        raise said(f"found {text!r:.80}; no whole number of tokens from 1 on is meant by it")
    return text


def _counted_or_none(text: str) -> str:
    return text if text == NOT_STATED else _counted(text)


Compared = Annotated[str, AfterValidator(_compared)]
Tokens = Annotated[str, AfterValidator(_counted)]
TokensOrNone = Annotated[str, AfterValidator(_counted_or_none)]
Names = Annotated[tuple[Annotated[str, MinLen(1)], ...], MinLen(1)]


class ExpectWhen(Table):
    """`when`: which requests are meant. What is left out may be anything, as in the `when` of a rule."""

    policy: Annotated[str, MinLen(1)] | None = None
    tokens: Tokens | None = None
    above_tokens: Annotated[Whole, Ge(0)] | None = None
    up_to_tokens: Annotated[Whole, Ge(1)] | None = None
    tokens_most: Tokens | None = None
    max_tokens: TokensOrNone | None = None
    tags: Mapping[str, str] = Field(default_factory=dict)
    tenant: str | None = None
    needs: frozenset[Capability] = frozenset()
    needs_only: frozenset[Capability] | None = None
    stream: bool | None = None
    images: bool | None = None
    tools: bool | None = None
    service_tier: str | None = None
    last_user_message: str | None = None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.needs_only is not None and not self.needs <= self.needs_only:
            more = ", ".join(sorted(self.needs - self.needs_only))
            raise said(f"no request is meant: needs has {more}, which needs_only leaves out")
        return self


class ExpectThen(Table):
    """`then`: what must hold of each of these requests."""

    model: Annotated[str, MinLen(1)] | None = None
    model_in: Names | None = None
    model_not_in: Names | None = None
    provider: Annotated[str, MinLen(1)] | None = None
    provider_in: Names | None = None
    cost_usd: Compared | None = None
    worst_usd: Compared | None = None
    worst_case_usd: Compared | None = None
    answered: bool | None = None
    fallbacks: Compared | None = None
    live: Names | None = None
    dropped: Names | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise said(f"expects nothing; set at least one of {', '.join(type(self).model_fields)}")
        return self


class ExpectTable(Table):
    """`[[expect]]`: one expectation."""

    name: str | None = None
    when: ExpectWhen = ExpectWhen()
    then: ExpectThen


class ExpectFile(Table):
    """A file of expectations beside a configuration: `[[expect]]` and nothing else."""

    expect: Annotated[tuple[ExpectTable, ...], MinLen(1)]
