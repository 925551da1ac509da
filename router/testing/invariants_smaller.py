"""Situations that are a little simpler than a given one: what makes a counterexample small.

Hypothesis makes small what it draws, by drawing again; a slate, once drawn, is made small faster by leaving things out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from router import Candidate, Context, Features, Model, Price, Rates, Slate, Tier, TokenCount
from router.testing.strategies_slates import unable

_NOON: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)
_PLAIN: Final = Price(tiers=(Tier(rates=Rates(input=Decimal(1), output=Decimal(1))),))
_ONE_TOKEN: Final = TokenCount(low=1, likely=1, high=1)


def smaller_situations(slate: Slate, context: Context, /) -> Iterator[tuple[Slate, Context]]:
    """Yields the slate and context with one thing less, or one thing plainer, each in turn; the greatest step first.

    What is live stays able to serve the request, as far as it was.
    """
    live, dropped = slate.live, slate.dropped
    for place in range(len(dropped)):
        yield Slate(live, dropped[:place] + dropped[place + 1 :]), context
    for place in range(len(live)):
        yield Slate(live[:place] + live[place + 1 :], dropped), context
    for simpler in _simpler_contexts(context):
        yield slate, simpler
    for of in _simpler_features(context.features):
        if (other := _replaced(slate, of)) is not None:
            yield other, dataclasses.replace(context, features=of)
    for place, candidate in enumerate(live):
        for other_candidate in _simpler_candidates(candidate):
            if unable(candidate) or not unable(other_candidate):
                yield Slate((*live[:place], other_candidate, *live[place + 1 :]), dropped), context
    for place, fallen in enumerate(dropped):
        for other_candidate in _simpler_candidates(fallen.candidate):
            other_fallen = dataclasses.replace(fallen, candidate=other_candidate)
            yield Slate(live, (*dropped[:place], other_fallen, *dropped[place + 1 :])), context


def _simpler_contexts(context: Context) -> Iterator[Context]:
    plain = Context(features=context.features, now=_NOON, draw=0.5)
    for field in dataclasses.fields(context):
        if getattr(context, field.name) != getattr(plain, field.name):
            yield dataclasses.replace(context, **{field.name: getattr(plain, field.name)})
    for name in ("tags", "stats"):
        for simpler in _simpler(getattr(context, name)):
            yield dataclasses.replace(context, **{name: simpler})


def _simpler_features(of: Features) -> Iterator[Features]:
    """Yields the features with one fact at its default."""
    if of.input_tokens != _ONE_TOKEN:
        yield dataclasses.replace(of, input_tokens=_ONE_TOKEN, exact_tokens={})
        likely = of.input_tokens.likely
        yield dataclasses.replace(of, input_tokens=TokenCount(low=likely, likely=likely, high=likely))
    yield from _simpler(of)


def _simpler_candidates(candidate: Candidate) -> Iterator[Candidate]:
    model = candidate.model
    plain = Model(name=model.name, id=f"openai/{model.name}", provider="openai", client="simulated")
    if model.provider != plain.provider or model.id != plain.id:
        yield dataclasses.replace(
            candidate, model=dataclasses.replace(model, id=plain.id, provider=plain.provider, client=plain.client)
        )
    if candidate.expected_output_tokens != 1:
        yield dataclasses.replace(candidate, expected_output_tokens=1)
    for simpler in _simpler(model):
        yield dataclasses.replace(candidate, model=simpler)


def _replaced(slate: Slate, of: Features) -> Slate | None:
    """Returns the slate of another request; None where that leaves somebody live who cannot serve it."""
    live = tuple(dataclasses.replace(candidate, features=of) for candidate in slate.live)
    if any(unable(now) and not unable(was) for now, was in zip(live, slate.live, strict=True)):
        return None
    dropped = (dataclasses.replace(d, candidate=dataclasses.replace(d.candidate, features=of)) for d in slate.dropped)
    return Slate(live, tuple(dropped))


def _simpler(value: Any) -> Iterator[Any]:
    """Yields a value with a part left out, at its default, or simpler itself."""
    match value:
        case Mapping():
            for key, item in value.items():
                rest = {name: other for name, other in value.items() if name != key}
                yield rest
                yield from ({**rest, key: simpler} for simpler in _simpler(item))
        case tuple():
            for place, item in enumerate(value):
                before, after = value[:place], value[place + 1 :]
                yield (*before, *after)
                yield from ((*before, simpler, *after) for simpler in _simpler(item))
        case frozenset():
            yield from (value - {item} for item in sorted(value))
        case Price():  # its tiers begin at 0, so the first stays
            yield from (
                price for price in (_PLAIN, dataclasses.replace(value, tiers=value.tiers[:1])) if price != value
            )
            yield from _with_defaults(value)
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            yield from _with_defaults(value)
            for field in (field for field in dataclasses.fields(value) if field.init):
                for simpler in _simpler(getattr(value, field.name)):
                    yield dataclasses.replace(value, **{field.name: simpler})


def _with_defaults(value: Any) -> Iterator[Any]:
    """Yields a dataclass with one field at its default."""
    for field in (field for field in dataclasses.fields(value) if field.init):
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        elif field.default is not dataclasses.MISSING:
            default = field.default
        else:
            continue
        if getattr(value, field.name) != default:
            yield dataclasses.replace(value, **{field.name: default})
