"""One logged request under another configuration: the production machine, fed with what was logged.

What the log has of it is *observed*: the model asked is the one that was asked then, so its answer, its cost and its
time are the logged ones. Where the machine comes to ask a model whose outcome the log does not have, that model is
taken to answer at once, its cost is *estimated* from the logged tokens at its price, and whether its answer would have
done stays unknown. Of the new configuration count models, prices, policies, bounds and the length of answers that is
expected; the cache, hedges and the gate are taken as they were. So are budgets, unless they are played over the whole
log (`router.analytics.backtest_budgets`): of those that the new configuration has under the logged name, the limit and
what happens beyond it count, held against what was spent then, not against what would have been spent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from router.analytics.backtest_budgets import Accounts, reserved, stood
from router.core.answer import Usage
from router.core.bounds import Bounds
from router.core.budgeting import Purse
from router.core.catalog import Model, Price
from router.core.cost import cost_usd
from router.core.course import Course, Given
from router.core.decision import Attempt
from router.core.machine import NO_POLICY, Done, NeedCall, Served, State, plan
from router.core.record import SCHEMA, bounds_from, hints_from, usage_from
from router.core.replay import follow, given_from
from router.core.request import Hints
from router.core.slate import Candidate, Slate
from router.errors import PolicyError
from router.setup import Setup

Record = Mapping[str, Any]
Cost = tuple[Model, Decimal | None]
Prices = Callable[[str], Price | None]
"""From a model's id to its price, where it is known."""

NOBODY: Final = "nobody"
"""Stands where a request got no answer, for the model's name."""


class Aside(Exception):
    """A record that cannot be replayed; the message is one of few, so that they can be counted."""


@dataclass(frozen=True, slots=True)
class Money:
    """Dollars of one request.

    Attributes:
        logged: what stands in the log for what was replayed.
        estimated: what was computed from tokens and a price.
        unknown: whether something is in neither.
    """

    logged: Decimal = Decimal(0)
    estimated: Decimal = Decimal(0)
    unknown: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Was:
    """What a request came to in the log.

    Attributes:
        day: on which it arrived, in UTC, as ISO writes it.
        model: whose answer the caller got, by the name it has in the new configuration where it is there.
        ending: as the record has it; "cache" for an answer that came out of the cache.
        refused: whether its limit of dollars left nobody to ask.
    """

    day: str
    model: str
    ending: str
    refused: bool
    cost: Money
    latency_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """What it comes to under the new configuration.

    Attributes:
        model: whose answer the caller gets, or who would be asked where that is not in the log.
        ending: as a record has it; "cache"; or "unobserved".
        refused: whether its limit of dollars leaves nobody to ask.
        slate: as the policy left it.
        latency_s: of what was observed; else None.
        by_usage: whether an estimate is made of tokens that were reported, not counted ahead.
        costs: where budgets are played, whom each attempt asks, and what that counts; None where nobody knows.
    """

    model: str
    ending: str
    refused: bool
    slate: Slate
    cost: Money
    latency_s: float | None
    by_usage: bool = True
    costs: tuple[Cost, ...] = ()

    @property
    def observed(self) -> bool:
        """Whether the log has all of it."""
        return self.ending != "unobserved"


class Machine:
    """Plays logged requests under a configuration.

    Args:
        setup: the configuration.
        policy: of all requests; None gives each the policy of its own name, and those that have none the default.
        prices: of models that the configuration does not have, by id.
        accounts: of the budgets that are played; None holds each request against what was spent then.
    """

    def __init__(self, setup: Setup, policy: str | None, prices: Prices, accounts: Accounts | None = None) -> None:
        self._setup = setup
        self._accounts = accounts
        self._policy = policy
        self._prices = prices
        self._lowered: dict[tuple[Any, ...], Bounds] = {}
        self._names = {model.id: name for name, model in reversed(list(setup.catalog.items()))}

    def id_of(self, name: str, /) -> str | None:
        """Returns the id that a model of the configuration has; None where there is no such model."""
        model = self._setup.catalog.get(name)
        return None if model is None else model.id

    def given(self, record: Record, /) -> Given:
        """Returns what goes into the decision on a logged request.

        Raises:
            Aside: it cannot be replayed.
        """
        setup, logged = self._setup, record["policy"]
        name = self._policy or logged or setup.default_policy
        if logged == NO_POLICY and record["hints"]["model"] is not None:
            name = NO_POLICY  # the request chose for itself
        policy = setup.policies.get(setup.default_policy if name == NO_POLICY else name)
        if policy is None:
            raise Aside(f"its policy {name!r} is not in the configuration")
        asked = record["hints"]["model"]
        if asked is not None and asked not in setup.catalog:
            raise Aside(f"it asks for the model {asked!r}, which is not in the configuration")
        terms = setup.terms[name]
        return given_from(
            record,
            catalog=setup.catalog,
            policy=policy,
            policy_name=name,
            bounds=self._bounds(record["bounds"], name),
            expected_output_tokens=setup.expected_output_tokens,
            unpriced=setup.unpriced,
            prefer_wait_s=terms.prefer_wait_s,
            budgets=self._purses(record, name),
            policies=setup.policies,
        )

    def _purses(self, record: Record, policy: str) -> tuple[Purse, ...]:
        if self._accounts is None:
            return stood(record, self._setup.budgets) if record.get("budgets") else ()
        hints, catalog = hints_from(record), self._setup.catalog
        models = catalog.values() if hints.model is None else (catalog[hints.model],)
        return self._accounts.purses(hints, policy, models, datetime.fromisoformat(record["time"]))

    def _bounds(self, logged: Mapping[str, Any], name: str) -> Bounds:
        """Returns the bounds of a request now; most requests of a policy have the same."""
        key = (name, *logged.values())
        known = self._lowered.get(key)
        if known is None:
            if len(self._lowered) >= _BOUNDS_MOST:
                self._lowered.clear()
            known = self._lowered[key] = _lower(bounds_from(logged), self._setup.terms[name].bounds)
        return known

    def was(self, record: Record, /) -> Was:
        """Returns what the log says of a request."""
        attempts = record["attempts"]
        cost = record["cost_usd"]
        money = Money(Decimal(cost)) if cost is not None else self._priced(attempts)
        name = record["model"]
        cached = record.get("cache", "none") != "none"
        return Was(
            day=_day(record["time"]),
            model=NOBODY if name is None else self._name(name, _id_of(record, name)),
            ending="cache" if cached and record["ending"] == "answer" else record["ending"],
            refused=record["ending"] == "no_candidate" and any(_too_dear(d) for d in record["slate"]["dropped"]),
            cost=money,
            latency_s=record["latency_s"] if record["ending"] == "answer" else None,
        )

    def now(self, record: Record, given: Given, /) -> Now:
        """Returns what a request comes to."""
        try:
            state: State = plan(given)
        except PolicyError:
            return Now(
                model=NOBODY, ending="policy_error", refused=False, slate=Slate(()), cost=Money(), latency_s=None
            )
        end = follow(state, record, reserve=None if self._accounts is None else reserved)
        course = end.course
        money = _spent(course)
        costs = () if self._accounts is None else tuple(_costs(course))
        match end:
            case NeedCall():
                return _unobserved(end, record, money, costs)
            case Done():
                name, ending = end.answered.model, "answer"
            case Served():
                name, ending = end.hit.model, "cache"
            case _:
                name, ending = NOBODY, end.ending
        dropped = course.slate.dropped
        return Now(
            model=name,
            ending=ending,
            refused=ending == "no_candidate" and any(d.reason.startswith(_TOO_DEAR) for d in dropped),
            slate=course.slate,
            cost=money,
            latency_s=end.now_s if ending in _ANSWERED and record["latency_s"] is not None else None,
            costs=costs,
        )

    def _name(self, name: str, model_id: str | None) -> str:
        """Returns what a logged model is called now; its logged name where it is not here."""
        if model_id is None:
            return name
        model = self._setup.catalog.get(name)
        if model is not None and model.id == model_id:
            return name
        found = self._names.get(model_id)
        # Another model has its name now: the logged one goes by its id.
        return found or (name if model is None else model_id)

    def _priced(self, attempts: list[Any]) -> Money:
        """Returns what logged attempts come to whose costs the log does not have; all calls at the price of today."""
        total = Decimal(0)
        for attempt in attempts:
            if attempt.get("cost_usd") is not None:
                total += Decimal(attempt["cost_usd"])
                continue
            price, usage = self._price(attempt), usage_from(attempt.get("usage"))
            usd = None if price is None or usage is None else cost_usd(usage, price)
            if usd is None:
                return Money(unknown=True)
            total += usd
        return Money(estimated=total) if attempts else Money(unknown=True)

    def _price(self, attempt: Mapping[str, Any]) -> Price | None:
        name, model_id = attempt["model"], attempt.get("model_id")
        known = self._names.get(model_id) if model_id is not None else name
        model = self._setup.catalog.get(known) if known is not None else None
        return model.price if model is not None else self._prices(model_id or name)


_BOUNDS_MOST: Final = 10_000
_ANSWERED: Final = frozenset({"answer", "cache"})
_TOO_DEAR: Final = "may cost up to "
"""How the reason begins for which a request's own limit of dollars drops a model (`router.core.adequacy`)."""


def _unobserved(end: NeedCall, record: Record, spent: Money, costs: tuple[Cost, ...]) -> Now:
    candidate = end.candidate
    usage = _usage_of(record)
    usd = _estimate(candidate, usage)
    last = (candidate.model, candidate.worst_usd if usd is None else usd)
    return Now(
        model=candidate.model.name,
        ending="unobserved",
        refused=False,
        slate=end.course.slate,
        cost=Money(spent.logged, spent.estimated + (usd or 0), spent.unknown or usd is None),
        latency_s=None,
        by_usage=usage is not None,
        costs=(*costs, last),
    )


def _estimate(candidate: Candidate, usage: Usage | None) -> Decimal | None:
    """Returns what an answer of as many tokens costs at a model; without a count, what the request is expected to."""
    if usage is None:
        return candidate.expected_usd
    price = candidate.model.price
    return None if price is None else cost_usd(usage, price)


def _usage_of(record: Record) -> Usage | None:
    """Returns the tokens of the answer that the caller got, from a provider or out of the cache; None where unknown."""
    for attempt in reversed(record["attempts"]):
        if attempt["outcome"] == "answer" and attempt.get("usage") is not None:
            return _whole(attempt["usage"])
    hit = (record.get("lookup") or {}).get("hit")
    return None if hit is None else _whole(hit["usage"])


def _whole(usage: Mapping[str, Any] | None) -> Usage | None:
    """Returns a usage; None where the log does not say a part of it."""
    known = usage is not None and all(usage.get(name, 0) is not None for name in ("input_tokens", "output_tokens"))
    return usage_from(usage) if known else None


def _spent(course: Course) -> Money:
    """Returns what the logged attempts cost that the machine made again."""
    logged = estimated = Decimal(0)
    unknown = False
    for attempt in course.attempts:
        if attempt.cost_usd is not None:
            logged += attempt.cost_usd
            continue
        usd = _priced_again(course, attempt)
        unknown = unknown or usd is None
        estimated += usd or 0
    return Money(logged, estimated, unknown)


def _costs(course: Course) -> Iterator[Cost]:
    for attempt in course.attempts:
        usd = _priced_again(course, attempt) if attempt.cost_usd is None else attempt.cost_usd
        yield course.given.catalog[attempt.model], attempt.worst_usd if usd is None else usd


def _priced_again(course: Course, attempt: Attempt) -> Decimal | None:
    model = course.given.catalog.get(attempt.model)
    price = model.price if model is not None else None
    return None if price is None or attempt.usage is None else cost_usd(attempt.usage, price)


def _lower(logged: Bounds, new: Bounds) -> Bounds:
    """Returns the bounds of a logged request, each lowered where the configuration allows less now.

    Where it allows more, nothing changes: the log does not tell a bound of the request from one of its configuration.
    """
    if logged == new:
        return logged
    return new.lowered(
        Hints(
            attempts=logged.attempts,
            deadline_s=logged.deadline_s,
            waste_usd=logged.waste_usd,
            max_cost_usd=logged.max_cost_usd,
        )
    )


def _too_dear(dropped: Mapping[str, Any]) -> bool:
    reason: str = dropped["reason"]
    return reason.startswith(_TOO_DEAR)


def _id_of(record: Record, name: str) -> str | None:
    """Returns the id of the model whose answer the caller got."""
    for attempt in reversed(record["attempts"]):
        if attempt["outcome"] == "answer" and attempt["model"] == name:
            model_id: str | None = attempt.get("model_id")
            return model_id
    hit = (record.get("lookup") or {}).get("hit")
    return None if hit is None else hit["model_id"]


def _day(time: str) -> str:
    if time.endswith(("+00:00", "Z")):
        return time[:10]
    return datetime.fromisoformat(time).astimezone(UTC).date().isoformat()


_LACKING: Final[Mapping[str, Any]] = {
    "span_id": "",
    "tenant": None,
    "tags": {},
    "policy": None,
    "key": "",
    "model": None,
    "cost_usd": None,
    "latency_s": None,
    "hints": {"model": None, "min_quality": None, "baseline": None},
    "slate": {"live": [], "dropped": []},
    "attempts": [],
    "expected_output_tokens": 0,
}
_LACKING_ATTEMPT: Final[Mapping[str, Any]] = {
    "span_id": "",
    "started_s": 0.0,
    "outcome": "answer",
    "cost_usd": None,
    "billing": "unknown",
    "price_rule": "",
}
_WIDEST: Final[Mapping[str, Any]] = {"attempts": 10**6, "deadline_s": 1e9, "waste_usd": None, "max_cost_usd": None}
"""Bounds of a request of which the log says nothing: those of the configuration are lower."""


def readable(record: object, /) -> Record:
    """Returns a record with all that a replay reads.

    What others' logs do not have is filled in: the request then counts as one without hints and needs, of the tokens
    that were reported, that was answered where a model is named.

    Raises:
        Aside: it is no record, or of a schema that this version does not read.
    """
    if not isinstance(record, dict) or "trace_id" not in record:
        raise Aside("it is no decision")
    if record.get("schema", SCHEMA) != SCHEMA:
        raise Aside(f"its schema is {record['schema']!r}, this version reads {SCHEMA}")
    if record.get("ending") == "recorded":
        raise Aside("it was made outside the router")
    if record.get("source") is None and "bounds" in record:
        return record
    if not isinstance(record.get("time"), str):
        raise Aside("it has no time")
    stated = {name: value for name, value in record.items() if value is not None}
    out = {**_LACKING, **stated}
    out["attempts"] = [_filled_attempt(a) for a in out["attempts"]]
    usage = _usage_of(out)
    out.setdefault("request_id", out["trace_id"])
    out.setdefault("ending", "answer" if out["model"] is not None else "final")
    out["bounds"] = {**_WIDEST, **out.get("bounds", {})}
    out["features"] = _filled_features(out.get("features", {}), usage)
    out.setdefault("draw", _drawn(out["request_id"]))
    return out


def _filled_attempt(attempt: Mapping[str, Any]) -> dict[str, Any]:
    out = {**_LACKING_ATTEMPT, **{name: value for name, value in attempt.items() if value is not None}}
    out.setdefault("latency_s", 0.0)
    if _whole(out.get("usage")) is None:
        out["usage"] = None
    return out


def _filled_features(features: Mapping[str, Any], usage: Usage | None) -> dict[str, Any]:
    counted = {name: count for name, count in (features.get("input_tokens") or {}).items() if count is not None}
    likely = counted.get("likely", 0 if usage is None else usage.input_tokens)
    counts = {"low": likely, "likely": likely, "high": likely, **counted}
    return {**{name: value for name, value in features.items() if value is not None}, "input_tokens": counts}


def _drawn(request_id: str) -> float:
    """Returns a draw that follows from the request's id, as that of a router without a seed does."""
    digest = hashlib.blake2b(f":{request_id}".encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big") / 2**56
