"""What was used outside the router, as a decision of its own: the same prices, budgets, log and statistics."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from router.core.answer import Usage
from router.core.bounds import Bounds
from router.core.budget import Claim, nano_of
from router.core.budgeting import LAPSE_S, Purse, entries_of
from router.core.catalog import Catalog, Model
from router.core.cost import cost_usd
from router.core.decision import Attempt, Decision, Ids
from router.core.hints import parse_hints
from router.core.machine import NO_POLICY
from router.core.request import Features, Hints, TokenCount
from router.core.slate import Candidate, Slate
from router.errors import RequestError
from router.intake import known

if TYPE_CHECKING:
    from router.setup import Setup

REMEMBERED_S: Final = 86_400.0
"""How long the ledger remembers a request id after the call: what is recorded again until then counts once."""

TOLD_MOST: Final = 100_000
"""Request ids that a process remembers, so that what is told twice stands in its log once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """Usage that the program tells of, checked.

    Attributes:
        at: when it was.
        named: whether the program gave it a request id, so that it counts once however often it is told.
    """

    ids: Ids
    model: Model
    usage: Usage
    hints: Hints
    policy: str
    at: datetime
    named: bool

    def decision(self, budgets: tuple[Purse, ...], /, *, share: str | None) -> Decision:
        """Returns its record.

        Args:
            budgets: those that apply, and how they stand.
            share: that it is spent of, where their store is not reachable.
        """
        count = self.usage.input_tokens
        features = Features(input_tokens=TokenCount(low=count, likely=count, high=count), messages=0)
        candidate = Candidate(model=self.model, features=features, expected_output_tokens=self.usage.output_tokens)
        attempt = replace(self._attempt(), share=share)
        return Decision(
            ids=self.ids,
            time=self.at,
            policy=self.policy,
            # Nobody knows what was asked: no request is equal to it.
            key=hashlib.blake2b(f"recorded:{self.ids.span_id}".encode(), digest_size=32).hexdigest(),
            hints=self.hints,
            bounds=Bounds(),
            features=features,
            expected_output_tokens=self.usage.output_tokens,
            stats={},
            slate=Slate((candidate,)),
            attempts=(attempt,),
            model=self.model.name,
            ending="recorded",
            why=f"the program tells of a call to {self.model.name} that it made itself",
            worst_case_usd=attempt.cost_usd,
            baseline=None,
            baseline_usd=None,
            draw=0.0,
            latency_s=0.0,
            budgets=budgets,
        )

    def claim(self, budgets: tuple[Purse, ...], /) -> Claim | None:
        """Returns what is to be counted in the budgets that apply, 0 where the cost is unknown; None without any."""
        if not budgets:
            return None
        at_s, cost = self.at.timestamp(), self._attempt().cost_usd
        return Claim(
            id=self._span_id(),
            entries=entries_of(budgets),
            amount_nano=0 if cost is None else nano_of(cost),
            now_s=at_s,
            lapses_s=at_s + (REMEMBERED_S if self.named else LAPSE_S),
        )

    def _attempt(self) -> Attempt:
        model, usage = self.model, self.usage
        billed = usage.billed_usd
        cost = billed if billed is not None else None if model.price is None else cost_usd(usage, model.price)
        rule = "as the provider says it billed" if billed is not None else "stated usage times price"
        return Attempt(
            model=model.name,
            model_id=model.id,
            provider=model.provider,
            window_tokens=model.context_window_tokens,
            span_id=self._span_id(),
            started_s=0.0,
            latency_s=0.0,
            outcome="answer",
            usage=usage,
            cost_usd=cost,
            billing="unknown" if cost is None else "billed",
            price_rule="the model has no price" if cost is None else rule,
        )

    def _span_id(self) -> str:
        return hashlib.blake2b(f"{self.ids.trace_id}{self.ids.span_id}1".encode(), digest_size=8).hexdigest()


class Told:
    """Remembers the request ids of what was recorded lately; safe to use from several threads."""

    def __init__(self) -> None:
        self._ids: dict[str, object] = {}

    def first(self, request_id: str | None, /) -> bool:
        """Returns whether a request id is told for the first time; without one, always."""
        if request_id is None:
            return True
        mark = object()
        if self._ids.setdefault(request_id, mark) is not mark:
            return False
        while len(self._ids) > TOLD_MOST:
            with suppress(KeyError, StopIteration, RuntimeError):  # another thread was quicker
                del self._ids[next(iter(self._ids))]
        return True


def outside(setup: Setup, now: datetime, /, *, model: str, usage: Any, time: datetime | None, **hints: Any) -> Outside:
    """Returns usage that a program tells of, checked.

    Args:
        setup: what the router runs with.
        now: what time it is.
        model: a model's name in the catalog, or its id.
        usage: as `stated_usage` takes it.
        time: when it was; None is now.
        **hints: `tags`, `tenant`, `policy` and `request_id`, as of a request.

    Raises:
        RequestError: the model or the policy is not configured, or a value is not allowed.
    """
    from router.clients.stated_usage import stated_usage  # with it come the clients, which most programs never need

    parsed = parse_hints({name: value for name, value in hints.items() if value is not None})
    if parsed.policy is not None:
        known("policy", parsed.policy, setup.policies)
    found = _model(model, setup.catalog)
    if not isinstance(time, datetime | None):
        raise RequestError(f"time: a value of type {type(time).__name__} is not allowed; a datetime, or None, is")
    if time is not None and time.tzinfo is None:
        raise RequestError("time: a datetime without a time zone is not allowed; one with it, or None, is")
    return Outside(
        ids=_ids(parsed.request_id),
        model=found,
        usage=stated_usage(usage, found.provider),
        hints=parsed,
        policy=parsed.policy or NO_POLICY,
        at=now if time is None else time,
        named=parsed.request_id is not None,
    )


def _model(name: str, catalog: Catalog) -> Model:
    if name in catalog:
        return catalog[name]
    by_id: Mapping[str, Model] = {model.id: model for model in reversed(list(catalog.values()))}
    return known("model", name, catalog) if name not in by_id else by_id[name]


def _ids(request_id: str | None) -> Ids:
    """Returns new ids; those of one request id are always the same."""
    if request_id is None:
        drawn = os.urandom(40).hex()
        return Ids(request_id=drawn[:32], trace_id=drawn[32:64], span_id=drawn[64:])
    digest = hashlib.blake2b(f"recorded:{request_id}".encode(), digest_size=24).hexdigest()
    return Ids(request_id=request_id, trace_id=digest[:32], span_id=digest[32:])
