"""The figures of a backtest: what its counts come to, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, TypeAlias

import numpy as np

from router.analytics.backtest import Backtest
from router.analytics.backtest_explored import NANO, UNITS, Reward
from router.analytics.backtest_tally import Both, Explored, Powers, Result, Stratum, Tally
from router.analytics.bootstrap import Floats, interval
from router.analytics.offpolicy import (
    LEAST_ESS,
    Estimate,
    Groups,
    doubly_robust,
    effective_sample_size,
    mean_weight,
    snips,
)

Figures: TypeAlias = Mapping[str, Decimal | None]
"""By name; None is unknown."""

UNTRIED_MOST: Final = 0.01
"""Share of the requests that the new policy may send to models that the log never tries there, above which nothing is
estimated: of those the log knows nothing at all."""
WEIGHT_ERRORS_MOST: Final = 5.0
"""Standard errors that the mean weight may be away from 1; farther off, the propensities are not those of the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimated:
    """Off-policy estimates of one kind of outcome, or why there are none.

    Attributes:
        requests: that have this outcome.
        ess: the effective sample size.
        refused: why nothing is estimated, in words; empty where something is.
    """

    requests: int
    ess: float
    refused: str
    snips: Estimate | None = None
    doubly_robust: Estimate | None = None


def estimated(explored: Explored, strata: Mapping[Stratum, Powers], unit: int, /) -> Estimated:
    """Returns the estimates of a kind of outcome.

    Args:
        explored: what was counted.
        strata: of the outcome, in whole units.
        unit: how many units are one.
    """
    requests = sum(powers[0] for powers in strata.values())
    if explored.never_tried and (never := sum(explored.never_tried.values())) > UNTRIED_MOST * explored.requests:
        models = ", ".join(f"{name} ({n:,})" for name, n in sorted(explored.never_tried.items()))
        share = 100 * min(never / explored.requests, 1.0)
        return Estimated(
            requests=requests,
            ess=0.0,
            refused=f"no overlap: {share:.1f} % of the requests may go to models that the log never tries for them: "
            f"{models}; let a weighted split try them first",
        )
    if not strata:
        return Estimated(requests=0, ess=0.0, refused="no request has both this outcome and a known chance")
    groups = groups_of(strata, unit)
    ess = effective_sample_size(groups)
    mean, error = mean_weight(groups)
    if ess < LEAST_ESS:
        refused = (
            f"too few: {requests:,} requests tell as much as {ess:,.0f} of the new policy's own would, and below "
            f"{LEAST_ESS:.0f} no interval can be trusted; log more, or explore more"
        )
        return Estimated(requests=requests, ess=ess, refused=refused)
    if abs(mean - 1) > WEIGHT_ERRORS_MOST * error + 1e-6:
        refused = (
            f"the chances are not those of this log: weights are {mean:.3f} on average and must be 1, within "
            f"{WEIGHT_ERRORS_MOST * error:.3f}"
        )
        return Estimated(requests=requests, ess=ess, refused=refused)
    return Estimated(requests=requests, ess=ess, refused="", snips=snips(groups), doubly_robust=doubly_robust(groups))


def groups_of(strata: Mapping[Stratum, Powers], unit: int, /) -> Groups:
    """Returns strata as arrays."""
    keys = sorted(strata)
    actions = sorted({name for key in keys for name in (key[2], *(target for target, _ in key[4]))})
    place = {name: index for index, name in enumerate(actions)}
    target = np.zeros((len(keys), len(actions)))
    for row, key in enumerate(keys):
        for name, chance in key[4]:
            target[row, place[name]] = chance
    powers = np.array([[float(value) for value in strata[key]] for key in keys]) / float(unit) ** np.arange(5)
    return Groups(
        count=powers[:, 0],
        outcome=powers[:, 1],
        square=powers[:, 2],
        cube=powers[:, 3],
        fourth=powers[:, 4],
        action=np.array([place[key[2]] for key in keys], dtype=np.int64),
        propensity=np.array([key[3] for key in keys]),
        target=target,
        context=np.array([key[1] for key in keys], dtype=np.int64),
        fold=np.array([key[0] for key in keys], dtype=np.int64),
    )


def rewards(tally: Tally, /) -> Estimated:
    """Returns the estimates of adequacy, or of whatever made an outcome good."""
    return estimated(tally.explored, tally.explored.reward, UNITS)


def costs(tally: Tally, /) -> Estimated:
    """Returns the estimates of dollars per request."""
    return estimated(tally.explored, tally.explored.cost, NANO)


def names_of(*, compare: bool) -> frozenset[str]:
    """Returns the names of the figures that a backtest has, and a comparison of two configurations besides."""
    return (
        frozenset(_figures(Tally(), "answer"))
        | {"records", "set_aside"}
        | (_OF_COMPARISONS if compare else frozenset())
    )


_OF_COMPARISONS: Final = frozenset(
    f"{name}{end}"
    for name, ends in (
        ("difference_usd", ("", "_low", "_high")),
        ("difference_share", ("_low", "_high")),
        ("reward_difference", ("", "_low", "_high")),
    )
    for end in ends
)


def figures_of(done: Backtest, /) -> dict[str, Decimal | None]:
    """Returns the figures by name; where two configurations are compared, the first is the baseline of the second.

    A comparison is of the same requests: its costs are of those whose cost is known under both.
    """
    out = _figures(done.result.tallies[-1], done.job.reward)
    if done.job.compare:
        out |= _compared(done.result)
    out["records"] = Decimal(done.result.records)
    out["set_aside"] = Decimal(sum(done.result.aside.values()))
    return out


def _figures(tally: Tally, reward: Reward) -> dict[str, Decimal | None]:
    total, n = tally.total, tally.total.requests
    found, cost = rewards(tally), costs(tally)
    adequacy = found if reward == "label" else Estimated(requests=0, ess=0.0, refused="no label was asked for")
    answered = sum(tally.endings_now.get(name, 0) for name in ("answer", "cache"))
    return {
        "requests": Decimal(n),
        **_costs(total.was_usd, total.now_usd, total.observed_usd, known=not total.all_unknown),
        "observed_share": share(total.observed, n),
        "unobserved_share": share(n - total.observed, n),
        "changed_share": share(total.changed, n),
        "unknown_cost": Decimal(total.unknown),
        "answered": Decimal(answered),
        "no_answer": Decimal(n - answered - tally.endings_now.get("unobserved", 0)),
        "refused": Decimal(tally.refused_now),
        "refused_then": Decimal(tally.refused_was),
        "latency_p50_s": percentile_s(tally.latency_now, 0.50),
        "latency_p95_s": percentile_s(tally.latency_now, 0.95),
        **_estimates("reward", found, 6),
        **_estimates("adequacy", adequacy, 6),
        **_estimates("offpolicy_usd", cost, 12),
    }


def _costs(was: Decimal, now: Decimal, observed: Decimal, *, known: bool) -> dict[str, Decimal | None]:
    """Returns the figures of money; all of them are unknown where no request's cost is known."""
    return {
        "cost_usd": now if known else None,
        "baseline": was if known else None,
        "savings_usd": was - now if known else None,
        "savings_share": (was - now) / was if known and was else None,
        "observed_usd": observed if known else None,
        "estimated_usd": now - observed if known else None,
    }


def _estimates(name: str, found: Estimated, digits: int) -> dict[str, Decimal | None]:
    best = found.doubly_robust
    return {
        name: None if best is None else decimal(best.value, digits),
        f"{name}_low": None if best is None else decimal(best.low, digits),
        f"{name}_high": None if best is None else decimal(best.high, digits),
        f"{name}_ess": decimal(found.ess, 1),
    }


def _compared(result: Result) -> dict[str, Decimal | None]:
    """Returns the figures that are about both configurations, with the intervals of their differences."""
    both, found = result.both, result.resamples
    known = both.requests > 0
    out: dict[str, Decimal | None] = dict.fromkeys(_OF_COMPARISONS)
    out |= _costs(both.first_usd, both.second_usd, both.observed_usd, known=known)
    out["unknown_cost"] = Decimal(result.tallies[1].total.requests - both.requests)
    if found is None:
        return out
    if known:
        out |= _differences(both, found[:3])
    first, second = (rewards(tally) for tally in result.tallies[:2])
    if first.snips is None or second.snips is None:
        return out
    w1, r1, w2, r2 = found[3:, (found[3] > 0) & (found[5] > 0)]
    low, high = interval(r2 / w2 - r1 / w1)
    return out | {
        "reward_difference": decimal(second.snips.value - first.snips.value, 6),
        "reward_difference_low": decimal(low, 6),
        "reward_difference_high": decimal(high, 6),
    }


def _differences(both: Both, resamples: Floats) -> dict[str, Decimal | None]:
    """Returns how far the second configuration costs more than the first on requests whose cost is known under both.

    Resamples without a request tell nothing. A share is unknown where any other has no cost that it could be one of.
    """
    taken, one, other = resamples[:, resamples[0] > 0]
    low, high = interval((other - one) / taken * both.requests / float(NANO))
    share_low, share_high = interval(other / one - 1) if np.all(one > 0) else (None, None)
    return {
        "difference_usd": both.second_usd - both.first_usd,
        "difference_usd_low": decimal(low, 9),
        "difference_usd_high": decimal(high, 9),
        "difference_share_low": None if share_low is None else decimal(share_low, 6),
        "difference_share_high": None if share_high is None else decimal(share_high, 6),
    }


def decimal(value: float, digits: int, /) -> Decimal:
    """Returns an estimate as a decimal of so many digits behind the point."""
    return Decimal(f"{value:.{digits}f}")


def share(part: int, whole: int, /) -> Decimal | None:
    """Returns a part of a whole; None of nothing."""
    return Decimal(part) / Decimal(whole) if whole else None


def percentile_s(latency: Mapping[int, int], p: float, /) -> Decimal | None:
    """Returns the nearest rank: the least of the values that at least `p` of all do not exceed; None of nothing.

    Args:
        latency: how often each number of milliseconds occurs.
        p: in (0, 1].
    """
    n, seen = sum(latency.values()), 0
    for value, count in sorted(latency.items()):
        seen += count
        if seen >= p * n:
            return Decimal(value) / 1000
    return None
