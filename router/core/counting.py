"""What alerts count of requests, in quarters of an hour; pure, from decisions and from their records alike.

A request counts in the quarter in which it arrived. Every time zone in use is ahead of UTC by whole quarters, so that
quarters make up its hours and days exactly. Money is in integer nano-dollars, each attempt's rounded up; what an
attempt of unknown cost may have cost is in no sum.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, Literal, get_args

from router.core.budget import nano_of
from router.core.decision import Attempt, Decision, Outcome
from router.core.record import attempt_from

Counter = Literal[
    "requests",
    "unpriced",
    "lookups",
    "hits",
    "spent_nano",
    "wasted_nano",
    "attempts",
    "unpriced_attempts",
    "judged",
    "failures",
]
"""What is counted. Of all requests: how many, those of unknown cost, those that looked into the cache and those that it
answered, what was spent, and what of that was wasted. Of each model: its attempts, those of unknown cost, those that
say something about it, and the failures among these."""

COUNTERS: Final[tuple[Counter, ...]] = get_args(Counter)

Of = tuple[str, str]
"""A counter, and the model that it is of; "" where it is of all requests."""

Sums = Mapping[Of, int]
Counts = Mapping[int, Sums]
"""Sums by quarter: its start in seconds since 1970."""

QUARTER_S: Final = 900

NOT_JUDGED: Final[frozenset[Outcome]] = frozenset({"cancelled", "too_long", "unsupported", "invalid", "filtered"})
"""Outcomes that say nothing about the model: the caller gave up, or asked for what it does not do."""


def quarter_of(at: datetime, /) -> int:
    """Returns the start of the quarter that an instant is in, in seconds since 1970."""
    return int(at.timestamp() // QUARTER_S) * QUARTER_S


def counts_of(decisions: Iterable[Decision], /) -> dict[int, dict[Of, int]]:
    """Returns what decisions add to the counters."""
    counts: dict[int, dict[Of, int]] = {}
    for decision in decisions:
        sums = counts.setdefault(quarter_of(decision.time), {})
        for of, number in _counted(
            decision.attempts,
            model=decision.model,
            ending=decision.ending,
            looked=decision.lookup is not None,
            hit=decision.cache != "none",
        ):
            sums[of] = sums.get(of, 0) + number
    return counts


def record_counts(record: Mapping[str, Any], /) -> dict[Of, int]:
    """Returns what a logged decision adds to the counters of its quarter; the same as the decision itself.

    Raises:
        ValueError, KeyError, TypeError: it is no record.
    """
    sums: dict[Of, int] = {}
    for of, number in _counted(
        [attempt_from(attempt) for attempt in record["attempts"]],
        model=record["model"],
        ending=record["ending"],
        looked=record.get("lookup") is not None,
        hit=record.get("cache", "none") != "none",
    ):
        sums[of] = sums.get(of, 0) + number
    return sums


def added(sums: Sums, more: Sums, /) -> dict[Of, int]:
    """Returns both together."""
    both = dict(sums)
    for of, number in more.items():
        both[of] = both.get(of, 0) + number
    return both


def all_models(sums: Sums, counter: Counter, /) -> dict[str, int]:
    """Returns a counter by model."""
    return {model: number for (name, model), number in sums.items() if name == counter}


def _counted(
    attempts: Iterable[Attempt], *, model: str | None, ending: str, looked: bool, hit: bool
) -> Iterator[tuple[Of, int]]:
    yield ("requests", ""), 1
    if looked:
        yield ("lookups", ""), 1
        if hit:
            yield ("hits", ""), 1
    unpriced = False
    for attempt in attempts:
        if attempt.held is not None:  # nothing was sent
            continue
        yield ("attempts", attempt.model), 1
        if attempt.outcome not in NOT_JUDGED:
            yield ("judged", attempt.model), 1
            if attempt.outcome != "answer":
                yield ("failures", attempt.model), 1
        if attempt.cost_usd is None:
            unpriced = True
            yield ("unpriced_attempts", attempt.model), 1
        elif attempt.cost_usd:
            nano = nano_of(attempt.cost_usd)
            yield ("spent_nano", ""), nano
            if _wasted(attempt, model, ending):
                yield ("wasted_nano", ""), nano
    if unpriced:
        yield ("unpriced", ""), 1


def _wasted(attempt: Attempt, model: str | None, ending: str) -> bool:
    """Returns whether an attempt that cost something gave the caller nothing, as `Decision.waste_usd` has it."""
    if attempt.outcome == "answer":
        return attempt.model != model
    return attempt.outcome != "cancelled" or not attempt.committed or ending == "committed"
