"""How many attempts, seconds and wasted dollars one request may take, and what they have taken so far."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from router.core.money import EXACT
from router.core.request import Hints

Bound = Literal["attempts", "deadline_s", "waste_usd", "max_cost_usd"]

EXPECTED_FAILURE_SHARE = Decimal("0.05")
"""How often an attempt is taken to fail when its expected waste is computed; one in twenty is far above the share of a
healthy provider and far below that of a broken one, so the first retry is rarely refused and the third often."""

LEAST_USEFUL_S = 0.5
"""An attempt with less time than this would mostly be cut off, and be paid for all the same."""

BACKOFF_FIRST_S = 0.5
BACKOFF_MOST_S = 8.0
"""The delays of the providers' own SDKs (openai, anthropic: 0.5 s doubling up to 8 s)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What one request may take, over all its attempts.

    Attributes:
        attempts: calls to providers, retries and fallbacks together; at least 1.
        deadline_s: seconds from the request's arrival to its end.
        waste_usd: dollars for attempts that gave the caller nothing; None adds no limit to the one that `attempts`
            and the candidates' worst cases already set.
        max_cost_usd: dollars for the whole request; None adds no limit.
    """

    attempts: int = 3
    deadline_s: float = 60.0
    waste_usd: Decimal | None = None
    max_cost_usd: Decimal | None = None

    def lowered(self, hints: Hints, /) -> Bounds:
        """Returns these bounds, each lowered where the request asks for less; more is never given."""
        asked = (hints.attempts, hints.deadline_s, hints.waste_usd, hints.max_cost_usd)
        if asked == (None, None, None, None):
            return self
        return replace(
            self,
            attempts=self.attempts if hints.attempts is None else min(self.attempts, hints.attempts),
            deadline_s=self.deadline_s if hints.deadline_s is None else min(self.deadline_s, hints.deadline_s),
            waste_usd=_lower(self.waste_usd, hints.waste_usd),
            max_cost_usd=_lower(self.max_cost_usd, hints.max_cost_usd),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a request has taken so far; None is money that nobody knows."""

    attempts: int = 0
    elapsed_s: float = 0.0
    cost_usd: Decimal | None = Decimal(0)
    waste_usd: Decimal | None = Decimal(0)


def crossed(
    bounds: Bounds,
    spent: Spent,
    /,
    *,
    wait_s: float = 0.0,
    expected_usd: Decimal | None = Decimal(0),
    worst_usd: Decimal | None = Decimal(0),
) -> Bound | None:
    """Returns the bound that one more attempt would cross, or None when it may start.

    The first attempt is never held back by `waste_usd`, since nothing was wasted yet; a later one, or one after a wait,
    starts only if enough of the deadline is left for it to be of use. Unknown money crosses every
    money bound that is set: what cannot be proved is not promised.

    Args:
        bounds: what the request may take.
        spent: what it has taken.
        wait_s: how long to wait before the attempt.
        expected_usd: what the attempt is expected to cost.
        worst_usd: what it can cost at most.
    """
    if spent.attempts >= bounds.attempts:
        return "attempts"
    least_s = 0.0 if spent.attempts == 0 and not wait_s else least_useful_s(bounds.deadline_s)
    if spent.elapsed_s + wait_s + least_s >= bounds.deadline_s:
        return "deadline_s"
    if bounds.waste_usd is not None and spent.attempts > 0:
        if spent.waste_usd is None or expected_usd is None:
            return "waste_usd"
        if EXACT.fma(expected_usd, EXPECTED_FAILURE_SHARE, spent.waste_usd) > bounds.waste_usd:
            return "waste_usd"
    if bounds.max_cost_usd is None:
        return None
    if spent.cost_usd is None or worst_usd is None:
        return "max_cost_usd"
    return "max_cost_usd" if EXACT.add(spent.cost_usd, worst_usd) > bounds.max_cost_usd else None


def least_useful_s(deadline_s: float, /) -> float:
    """Returns the seconds below which an attempt is not worth its money: no provider answers that soon."""
    return min(LEAST_USEFUL_S, deadline_s / 10.0)


def worst_case_usd(bounds: Bounds, worst: tuple[Decimal | None, ...], /) -> Decimal | None:
    """Returns the most that a request can cost over all its attempts; None when a candidate's worst case is unknown.

    Any candidate may be asked again, so it is the dearest one for every attempt. Waste and the request's own limit
    lower it: an attempt starts only while less than `waste_usd` is wasted, so at most one more than that is paid.

    Args:
        bounds: of the request.
        worst: each live candidate's `worst_usd`.
    """
    limit = bounds.max_cost_usd
    known = [usd for usd in worst if usd is not None]
    if len(known) < len(worst):
        return limit
    dearest = max(known, default=Decimal(0))
    most = EXACT.multiply(bounds.attempts, dearest)
    if bounds.waste_usd is not None:
        most = min(most, EXACT.add(bounds.waste_usd, dearest))
    return most if limit is None else min(most, limit)


def backoff_s(retries: int, draw: float, /) -> float:
    """Returns how long to wait before coming back to a candidate: exponential with full jitter.

    Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 ("Full Jitter"); also tenacity's
    `wait_random_exponential`, which draws its own randomness and so cannot replay.

    Args:
        retries: how often this request came back to a candidate before.
        draw: in [0, 1).
    """
    return draw * min(BACKOFF_MOST_S, BACKOFF_FIRST_S * 2.0**retries)


def _lower(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return one if other is None else other if one is None else min(one, other)
