"""Whose turn it is: who may be asked, at once or after a wait, and whom beside the first; what a failure changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from router.core.bounds import backoff_s
from router.core.budget import Claim
from router.core.budgeting import SPENT, claim_of
from router.core.course import Course
from router.core.decision import Attempt, total
from router.core.failure import FOLLOW, Follow
from router.core.slate import Candidate

AT_ONCE = frozenset({"queue_full", "quota_spent", SPENT})
"""Holds that are no use waiting out: the request goes elsewhere, or fails, at once, and does not add to the crowd."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hedge:
    """A second candidate, to be asked when the first has not answered after `after_s` seconds.

    Attributes:
        claim: what is to be reserved before it is asked; None where no budget applies. It is not asked without.
    """

    candidate: Candidate
    after_s: float
    span_id: str
    claim: Claim | None = None


def remaining(course: Course, /) -> tuple[list[Candidate], list[Candidate]]:
    """Returns the candidates that may be asked at once, best first, and those that may be asked again."""
    asked = {a.model for a in course.attempts}
    fresh: list[Candidate] = []
    again: list[Candidate] = []
    for candidate in course.slate.live:
        name, window = candidate.model.name, candidate.model.context_window_tokens
        if name in course.barred or (window is not None and window <= course.window_above):
            continue
        if name not in asked or course.spare(candidate):
            fresh.append(candidate)
        elif name in course.ready_s:
            again.append(candidate)
    bad = course.bad_keys
    if bad:  # models behind a key that was denied or is out of quota come last
        fresh.sort(key=lambda c: not c.model.deployments and c.model.key_env in bad)
    return fresh, again


def patience(course: Course, candidate: Candidate, /) -> tuple[float, Decimal, str]:
    """Returns what decides between candidates to wait for: who is ready first, then who is cheaper."""
    expected = candidate.expected_usd
    return course.ready_s[candidate.model.name], Decimal("Infinity") if expected is None else expected, candidate.name


def is_last(course: Course, candidate: Candidate, /) -> bool:
    """Returns whether nobody else is left to ask: all others failed for good, or were held back themselves."""
    if not course.attempts:
        return len(course.slate.live) == 1
    fresh, again = remaining(course)
    held = {a.model: a.held is not None for a in course.attempts}  # of several, the latest says
    others = [*fresh, *(c for c in again if not held[c.model.name])]
    return not any(other is not candidate for other in others)


def hedge_of(course: Course, first: Candidate, candidates: Sequence[Candidate], now_s: float, /) -> Hedge | None:
    """Returns whom to ask beside a first attempt that takes too long; None where nobody, or the bounds forbid it."""
    hedging, bounds = course.given.hedging, course.given.bounds
    if hedging is None or course.attempts or bounds.attempts < 2:
        return None
    stats = course.given.stats.get(first.model.name)
    after_s = hedging.after_s if hedging.after_s is not None else stats.latency_p95_s if stats is not None else None
    second = next((c for c in candidates if c is not first), None)
    if after_s is None or second is None or now_s + after_s >= bounds.deadline_s:
        return None
    both_usd = total((first.worst_usd, second.worst_usd))
    limits = [limit for limit in (bounds.waste_usd, bounds.max_cost_usd) if limit is not None]
    if limits and (both_usd is None or both_usd > min(limits)):
        return None
    span_id = course.span_id(hedge=True)
    return Hedge(candidate=second, after_s=after_s, span_id=span_id, claim=claim_of(course.given, second, span_id))


def follow_of(attempt: Attempt, /) -> Follow | None:
    """Returns what may follow an attempt; None where it says nothing of its model."""
    match attempt.outcome:
        case "answer" | "cancelled":
            return None
        case failure:
            return FOLLOW[failure]


def noted(course: Course, attempt: Attempt, now_s: float, /) -> Course:
    """Returns the course that knows what a failed attempt leaves of its model: a wait, another key, or nothing."""
    follow, name = follow_of(attempt), attempt.model
    if follow is None:  # the loser of a hedge, which was cancelled, says nothing
        return course
    ready_s = {model: ready for model, ready in course.ready_s.items() if model != name}
    if follow.same_model and attempt.should_retry is not False and attempt.held not in AT_ONCE:
        wait_s = max(attempt.retry_after_s or 0.0, backoff_s(course.asked(name) - 1, course.draw))
        ready_s[name] = now_s + wait_s
    window = next((c.model.context_window_tokens or 0 for c in course.slate.live if c.model.name == name), 0)
    return replace(
        course,
        ready_s=ready_s,
        barred=course.barred if follow.same_model or follow.other_key else course.barred | {name},
        window_above=max(course.window_above, window) if follow.larger_window_only else course.window_above,
    )


def turned_away(
    candidate: Candidate, span_id: str, budget: str | None, why: str, times: tuple[float, float], /
) -> Attempt:
    """Returns what stands in the record of a candidate whose turn came when there was no money for it.

    Args:
        candidate: whose turn it was.
        span_id: that its attempt would have had.
        budget: name of the one that has no room; None where the store could not be reached.
        why: in words.
        times: when its turn came, and when that was told, in seconds from the request's arrival.
    """
    model, (turn_s, told_s) = candidate.model, times
    return Attempt(
        model=model.name,
        model_id=model.id,
        provider=model.provider,
        window_tokens=model.context_window_tokens,
        span_id=span_id,
        started_s=turn_s,
        latency_s=round(told_s - turn_s, 6),
        outcome="not_sent",
        code=budget,
        error=why,
        held=SPENT,
        cost_usd=Decimal(0),
        billing="billed",
        price_rule="nothing is billed for this",
        worst_usd=candidate.worst_usd,
    )
