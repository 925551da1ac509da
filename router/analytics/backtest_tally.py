"""What a backtest has counted so far: a value that merges with that of any other part of the log.

Money is exact, counts are whole numbers, and what is estimated from them is computed at the end; so the parts may be
played anywhere and merged in any order, and come to what one loop over all of the log comes to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from router.core.money import EXACT

ZERO: Final = Decimal(0)

Stratum: TypeAlias = tuple[int, int, str, float, tuple[tuple[str, float], ...]]
"""Requests that off-policy estimates need not tell apart: fold, context, model that was asked, its propensity, and how
likely the new policy is to ask which model."""
Powers: TypeAlias = tuple[int, int, int, int, int]
"""Number of outcomes, and the sums of their first four powers, in whole units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Requests and their money, then (in the log) and now.

    Attributes:
        requests: how many were replayed.
        changed: those whose answer comes from another model now.
        observed: those of which the log has all.
        was_usd, now_usd: costs of those requests whose cost is known then and now.
        observed_usd: the part of `now_usd` that stands in the log; the rest is estimated.
        was_estimated_usd: the part of `was_usd` that does not stand in the log, but follows from tokens and price.
        unknown: requests that these sums leave out, since their cost is not known then or now.
        by_features: estimates made without any reported count of tokens.
    """

    requests: int = 0
    changed: int = 0
    observed: int = 0
    was_usd: Decimal = ZERO
    now_usd: Decimal = ZERO
    observed_usd: Decimal = ZERO
    was_estimated_usd: Decimal = ZERO
    unknown: int = 0
    by_features: int = 0

    @property
    def all_unknown(self) -> bool:
        """Whether there are requests, and the cost of none is known: their sums are then no zeros, but nothing."""
        return 0 < self.requests == self.unknown

    def __add__(self, other: Sums, /) -> Sums:
        return Sums(**{name: _plus(getattr(self, name), getattr(other, name)) for name in _SUMS})


_SUMS: Final = tuple(f.name for f in fields(Sums))


def _plus(one: Any, other: Any) -> Any:
    return EXACT.add(one, other) if isinstance(one, Decimal) else one + other


@dataclass(frozen=True, slots=True, kw_only=True)
class Both:
    """What two configurations come to on the same requests: those whose cost is known under both.

    Attributes:
        requests: how many there are.
        first_usd, second_usd: what they cost under each.
        observed_usd: the part of `second_usd` that stands in the log; the rest is estimated.
    """

    requests: int = 0
    first_usd: Decimal = ZERO
    second_usd: Decimal = ZERO
    observed_usd: Decimal = ZERO

    def __add__(self, other: Both, /) -> Both:
        return Both(**{name: _plus(getattr(self, name), getattr(other, name)) for name in _BOTH})


_BOTH: Final = tuple(f.name for f in fields(Both))


@dataclass(frozen=True, slots=True, kw_only=True)
class Explored:
    """What off-policy estimates are made of.

    Attributes:
        requests: those that an estimate may be about: a model was asked, whose chance is known.
        outside: the others, by the reason.
        never_tried: requests for which the new policy may choose a model that the log never would, by that model.
        reward: outcomes of those that have one, by stratum, in millionths.
        cost: logged costs, by stratum, in billionths of a dollar.
    """

    requests: int = 0
    outside: Mapping[str, int] = field(default_factory=dict)
    never_tried: Mapping[str, int] = field(default_factory=dict)
    reward: Mapping[Stratum, Powers] = field(default_factory=dict)
    cost: Mapping[Stratum, Powers] = field(default_factory=dict)

    def __add__(self, other: Explored, /) -> Explored:
        return Explored(
            requests=self.requests + other.requests,
            outside=_counts(self.outside, other.outside),
            never_tried=_counts(self.never_tried, other.never_tried),
            reward=_powers(self.reward, other.reward),
            cost=_powers(self.cost, other.cost),
        )


def _counts(one: Mapping[Any, int], other: Mapping[Any, int]) -> Mapping[Any, int]:
    return Counter(one) + Counter(other)


def _powers(one: Mapping[Stratum, Powers], other: Mapping[Stratum, Powers]) -> dict[Stratum, Powers]:
    out = dict(one)
    for name, (n, r, r2, r3, r4) in other.items():
        a, b, c, d, e = out.get(name, (0, 0, 0, 0, 0))
        out[name] = a + n, b + r, c + r2, d + r3, e + r4
    return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """All that was counted of one configuration.

    Attributes:
        total: of all requests.
        days: by day, in UTC.
        moves: by the model then and the model now.
        endings_was, endings_now: how the requests ended.
        refused_was, refused_now: requests whose limit of dollars left nobody to ask.
        dropped: by model, who dropped it, and the reason with its numbers left out.
        latency_was, latency_now: answered requests by milliseconds: all, and those that are observed now.
        hits_lost: answers out of the cache that do not count any more.
        without_stats: requests whose policy now reads statistics that their record does not have.
        near_limit: requests whose tokens are an estimate so close to a limit that they may belong beyond it.
        explored: what off-policy estimates are made of.
    """

    total: Sums = Sums()
    days: Mapping[str, Sums] = field(default_factory=dict)
    moves: Mapping[tuple[str, str], Sums] = field(default_factory=dict)
    endings_was: Mapping[str, int] = field(default_factory=dict)
    endings_now: Mapping[str, int] = field(default_factory=dict)
    refused_was: int = 0
    refused_now: int = 0
    dropped: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    latency_was: Mapping[int, int] = field(default_factory=dict)
    latency_now: Mapping[int, int] = field(default_factory=dict)
    hits_lost: int = 0
    without_stats: int = 0
    near_limit: int = 0
    explored: Explored = Explored()

    def merge(self, other: Tally, /) -> Tally:
        """Returns what both parts of the log come to."""
        return Tally(**{name: _merged(getattr(self, name), getattr(other, name)) for name in _TALLY})


_TALLY: Final = tuple(f.name for f in fields(Tally))


def _merged(one: Any, other: Any) -> Any:
    if not isinstance(one, Mapping):
        return one + other
    out = dict(one)
    for name, value in other.items():
        out[name] = out[name] + value if name in out else value
    return out


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Result:
    """What a part of a log comes to under one configuration or several.

    Attributes:
        records: how many there were.
        aside: those that were not replayed, by the reason.
        tallies: one for each configuration.
        both: of comparisons, what the first two come to on the same requests.
        resamples: of comparisons, sums in each resample; None where nothing is compared. The columns are those of
            `router.analytics.backtest_work.COLUMNS`.
    """

    records: int = 0
    aside: Mapping[str, int] = field(default_factory=dict)
    tallies: tuple[Tally, ...] = ()
    both: Both = Both()
    resamples: NDArray[np.float64] | None = None

    def merge(self, other: Result, /) -> Result:
        """Returns what both parts of the log come to."""
        return Result(
            records=self.records + other.records,
            aside=_counts(self.aside, other.aside),
            tallies=tuple(one.merge(two) for one, two in zip(self.tallies, other.tallies, strict=True)),
            both=self.both + other.both,
            resamples=None if self.resamples is None or other.resamples is None else self.resamples + other.resamples,
        )


def merged(parts: Iterable[Result], configurations: int, resamples: NDArray[np.float64] | None = None) -> Result:
    """Returns what all parts of a log come to.

    Args:
        parts: in any order.
        configurations: how many are compared.
        resamples: zeros of the shape that the parts have; None where they have none.
    """
    result = Result(tallies=(Tally(),) * configurations, resamples=resamples)
    for part in parts:
        result = result.merge(part)
    return result
