"""When a deployment or a key is not asked for a while: transitions of a breaker, as functions of frozen values.

    Closed ──failures──> Open ──time──> HalfOpen (one probe) ──good──> Closed
                          ^                 │
                          └──── failure ────┘   each opening lasts longer: 30 s, 60 s, ... 300 s

Two things open the breaker of a deployment: failures one after another, and a share of failures in its last attempts.
A key's breaker opens at once when the provider denies it or its quota is gone. A refusal that says how long to wait
is no failure: the deployment rests for that long, and nothing is held against it.

What an attempt says counts only in the epoch in which it began, and every opening begins an epoch. So the answers that
were already on their way when a breaker opened neither close it nor open it further.

With the defaults, a provider whose attempts fail independently with 2 % opens its breaker once in some 210 million
attempts (`tests/core/test_breaker.py` computes it); one that answers 30 % with faults and 20 % with nothing usable
does within about 23.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf
from types import MappingProxyType
from typing import Final, Literal, assert_never

from router.core.decision import Outcome

Bearing = Literal["good", "bad", "half_bad", "refusal", "nothing"]
"""What an outcome says about a deployment; "half_bad" may be the provider's fault or the caller's."""

BEARING: Final[Mapping[Outcome, Bearing]] = MappingProxyType(
    {
        "answer": "good",
        "server_error": "bad",
        "timed_out": "bad",
        "cut": "bad",
        "not_sent": "bad",
        "no_such_model": "bad",
        "unusable": "half_bad",
        "refused": "refusal",
        "denied": "nothing",
        "out_of_quota": "nothing",
        "too_long": "nothing",
        "unsupported": "nothing",
        "invalid": "nothing",
        "filtered": "nothing",
        "cancelled": "nothing",
    }
)
"""`denied` and `out_of_quota` are the key's matter. What the caller did wrong says nothing of the provider."""

KEY_BEARING: Final[Mapping[Outcome, Bearing]] = MappingProxyType(
    {
        "answer": "good",
        "unusable": "good",
        "refused": "good",
        "too_long": "good",
        "unsupported": "good",
        "invalid": "good",
        "filtered": "good",
        "denied": "bad",
        "out_of_quota": "bad",
        "no_such_model": "nothing",
        "server_error": "nothing",
        "timed_out": "nothing",
        "cut": "nothing",
        "not_sent": "nothing",
        "cancelled": "nothing",
    }
)
"""What an outcome says about the key it was asked with: whether the provider looked past it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSettings:
    """When breakers open, and for how long.

    Attributes:
        consecutive_failures: so many failures one after another open it (Envoy's outlier detection: 5).
        failure_share: this share of failures in the last `window_attempts` opens it. A window that is not full counts
            as if the rest had gone well, which is the minimum of traffic.
        window_attempts: how many attempts the share is taken over.
        window_s: failures are forgotten when none came for so long, and one earlier opening for every `window_s`
            that a breaker stays closed.
        unusable_weight: how much of a failure an unusable answer is, in [0, 1]; the caller may be to blame.
        open_s: how long the first opening lasts; the second twice as long, and so on (Envoy: 30 s).
        open_most_s: the longest opening of a deployment, and the longest rest it is given (Envoy: 300 s).
        key_open_s: how long a key is left alone that was denied or is out of quota, the first time.
        key_open_most_s: the longest that a key is left alone.
        keep_last: whether a request for which nobody else is left is sent in spite of an open breaker.
    """

    consecutive_failures: int = 5
    failure_share: float = 0.3
    window_attempts: int = 30
    window_s: float = 60.0
    unusable_weight: float = 0.5
    open_s: float = 30.0
    open_most_s: float = 300.0
    key_open_s: float = 300.0
    key_open_most_s: float = 3_600.0
    keep_last: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """Attempts pass.

    Attributes:
        run: failures one after another.
        failed: the last attempts, latest in the lowest bit; set bits are failures.
        unusable: the same attempts; set bits are unusable answers.
        failed_s: when the last failure came.
        rest_until_s: until when the provider asked to be left alone.
        ejections: openings that are not forgotten.
        closed_s: since when those are being forgotten.
    """

    epoch: int = 0
    run: int = 0
    failed: int = 0
    unusable: int = 0
    failed_s: float = -inf
    rest_until_s: float = -inf
    ejections: int = 0
    closed_s: float = -inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """No attempt passes until `until_s`, then one probe; `cause` is the outcome that opened it."""

    epoch: int
    until_s: float
    ejections: int
    cause: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfOpen:
    """A probe is on its way; nobody else passes."""

    epoch: int
    ejections: int
    cause: Outcome


Breaker = Closed | Open | HalfOpen


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """How an attempt ended, as a breaker is told.

    Attributes:
        epoch: of the breaker when the attempt began.
        probe: whether it was the probe of that epoch.
        retry_after_s: how long the provider asked to wait.
    """

    outcome: Outcome
    epoch: int = 0
    probe: bool = False
    retry_after_s: float | None = None


def admits(breaker: Breaker, now_s: float, /) -> bool:
    """Returns whether an attempt may pass now; in a breaker that is due, it is the probe."""
    match breaker:
        case Closed():
            return now_s >= breaker.rest_until_s
        case Open():
            return now_s >= breaker.until_s
        case HalfOpen():
            return False
        case _:
            assert_never(breaker)


def calm(breaker: Breaker, /) -> bool:
    """Returns whether a good attempt would leave the breaker as it is: nothing is held against anyone."""
    return isinstance(breaker, Closed) and not (breaker.run or breaker.failed or breaker.unusable)


def orphaned(breaker: Breaker, /) -> Breaker:
    """Returns the breaker when all attempts on their way are another's, as after a fork: its probe will not report."""
    return _freed(breaker, -inf) if isinstance(breaker, HalfOpen) else breaker


def shut_s(breaker: Breaker, now_s: float, /) -> float | None:
    """Returns the seconds until an attempt may pass; None where that depends on a probe."""
    match breaker:
        case Closed():
            return max(0.0, breaker.rest_until_s - now_s)
        case Open():
            return max(0.0, breaker.until_s - now_s)
        case HalfOpen():
            return None
        case _:
            assert_never(breaker)


def entered(breaker: Breaker, now_s: float, /) -> Breaker:
    """Returns the breaker once an attempt has passed it: half-open where that attempt is its probe."""
    if isinstance(breaker, Open) and now_s >= breaker.until_s:
        return HalfOpen(epoch=breaker.epoch, ejections=breaker.ejections, cause=breaker.cause)
    return breaker


def told(breaker: Breaker, end: Told, now_s: float, settings: BreakerSettings, /) -> Breaker:
    """Returns the breaker of a deployment after one of its attempts ended."""
    if end.epoch != breaker.epoch:
        return breaker
    bearing = BEARING[end.outcome]
    rest_s = min(end.retry_after_s or 0.0, settings.open_most_s) if bearing == "refusal" else 0.0
    if isinstance(breaker, Closed):
        if bearing == "nothing":
            return breaker
        if rest_s > 0.0:
            return replace(breaker, rest_until_s=max(breaker.rest_until_s, now_s + rest_s))
        return _counted(breaker, end.outcome, bearing, now_s, settings)
    if bearing == "good":
        return _shut_again(breaker, now_s)
    if not (end.probe and isinstance(breaker, HalfOpen)):
        return breaker
    if bearing == "nothing":
        return _freed(breaker, now_s)
    if rest_s > 0.0:
        return replace(_freed(breaker, now_s + rest_s), epoch=breaker.epoch + 1)
    return _opened(breaker, end.outcome, breaker.ejections + 1, now_s, (settings.open_s, settings.open_most_s))


def told_key(breaker: Breaker, end: Told, now_s: float, settings: BreakerSettings, /) -> Breaker:
    """Returns the breaker of a key after an attempt with it ended."""
    if end.epoch != breaker.epoch:
        return breaker
    bearing = KEY_BEARING[end.outcome]
    bad, good = bearing == "bad", bearing == "good"
    if isinstance(breaker, Closed):
        if not bad:
            return breaker
        ejections = _remembered(breaker, now_s, settings.key_open_most_s) + 1
    elif good:
        return _shut_again(breaker, now_s)
    elif not (end.probe and isinstance(breaker, HalfOpen)):
        return breaker
    elif not bad:
        return _freed(breaker, now_s)
    else:
        ejections = breaker.ejections + 1
    least_s = max(settings.key_open_s, end.retry_after_s or 0.0)
    return _opened(breaker, end.outcome, ejections, now_s, (least_s, settings.key_open_most_s))


def _counted(
    breaker: Closed, outcome: Outcome, bearing: Bearing, now_s: float, settings: BreakerSettings
) -> Closed | Open:
    if bearing == "good" and calm(breaker):
        return breaker
    fresh = now_s - breaker.failed_s <= settings.window_s
    run, failed, unusable = (breaker.run, breaker.failed, breaker.unusable) if fresh else (0, 0, 0)
    if bearing != "refusal":  # a refusal costs nothing and may be our own haste: only many on end open the breaker
        window = (1 << settings.window_attempts) - 1
        failed = (failed << 1 | (bearing == "bad")) & window
        unusable = (unusable << 1 | (bearing == "half_bad")) & window
    if bearing == "good":
        run = 0
    elif bearing != "half_bad":
        run += 1
    weight = failed.bit_count() + settings.unusable_weight * unusable.bit_count()
    much = bearing != "good" and weight >= settings.failure_share * settings.window_attempts
    if much or run >= settings.consecutive_failures:
        ejections = _remembered(breaker, now_s, settings.window_s) + 1
        return _opened(breaker, outcome, ejections, now_s, (settings.open_s, settings.open_most_s))
    failed_s = breaker.failed_s if bearing == "good" else now_s
    return replace(breaker, run=run, failed=failed, unusable=unusable, failed_s=failed_s)


def _remembered(breaker: Closed, now_s: float, each_s: float) -> int:
    """Earlier openings, less one for each while that the breaker stayed closed."""
    return max(0, breaker.ejections - int((now_s - breaker.closed_s) // each_s)) if breaker.ejections else 0


def _opened(breaker: Breaker, cause: Outcome, ejections: int, now_s: float, spans_s: tuple[float, float]) -> Open:
    each_s, most_s = spans_s
    until_s = now_s + min(each_s * ejections, most_s)
    return Open(epoch=breaker.epoch + 1, until_s=until_s, ejections=ejections, cause=cause)


def _shut_again(breaker: Open | HalfOpen, now_s: float) -> Closed:
    return Closed(epoch=breaker.epoch, ejections=breaker.ejections, closed_s=now_s)


def _freed(breaker: HalfOpen, until_s: float) -> Open:
    return Open(epoch=breaker.epoch, until_s=until_s, ejections=breaker.ejections, cause=breaker.cause)
