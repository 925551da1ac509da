"""The states of one request.

    plan() ──> NeedCall ──next(attempt)──> NeedCall | NeedSleep | Done | Exhausted
               NeedSleep ──next(now)─────> NeedCall | Exhausted
               either ────abandon()──────> Exhausted

`plan` takes three snapshots (catalog with prices, statistics, clock) and one draw; from there on a state knows all that
it needs. Each state asks for one effect, and its `next` takes the result and returns its legal successor. Nothing here
waits, reads a clock or draws a number, so the same inputs always take the same way: that is what simulations run
thousands of times a second, and what a backtest replays.

What follows a failure: the next candidate that was not asked yet, at once; when all were asked, one that may be asked
again, after the wait it wants; within the bounds of the request, always.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from router.core.adequacy import slate_of
from router.core.bounds import Bound, Bounds, Spent, backoff_s, crossed, worst_case_usd
from router.core.catalog import Catalog
from router.core.cost import cost_usd
from router.core.decision import Attempt, Decision, Ending, Ids, total
from router.core.failure import FOLLOW, FailureClass
from router.core.policy import Context, Policy
from router.core.record import usd
from router.core.request import Features, Hints
from router.core.slate import Candidate, Slate
from router.core.stats import Stats
from router.errors import PolicyError

NO_POLICY = "none"
"""What stands in the record for the policy of a request that names its model itself: nothing is left to choose."""

_GOLDEN = 0.6180339887498949
"""Steps of the golden ratio spread the draws of one request evenly over [0, 1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """All that goes into a decision.

    Attributes:
        key: content key of the request.
        policy_name: what the configuration calls the policy.
        bounds: of this request, its own hints already applied.
        now: when the request arrived, in UTC.
        draw: in [0, 1), from the router's seed and the request's id.
        unpriced: whether models without a known price may be asked.
    """

    ids: Ids
    key: str
    features: Features
    hints: Hints
    catalog: Catalog
    policy_name: str
    policy: Policy
    bounds: Bounds
    now: datetime
    draw: float
    stats: Stats = field(default_factory=dict)
    expected_output_tokens: int
    unpriced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """One request's way so far; every state carries it.

    Attributes:
        slate: as the policy left it.
        worst_case_usd: the most the request can cost, as known before its first attempt.
        able: the slate before the policy: all models that can serve the request.
        attempts: those that ended, in order.
        ready_s: by model, when it may be asked again, in seconds from the request's arrival. A model that was asked
            and has no entry may not be asked again.
        window_above: only models whose context window is larger may still be asked.
    """

    given: Given
    slate: Slate
    worst_case_usd: Decimal | None
    able: Slate
    attempts: tuple[Attempt, ...] = ()
    ready_s: Mapping[str, float] = field(default_factory=dict)
    window_above: int = 0

    def after(self, attempt: Attempt) -> Course:
        """Returns the course with one more attempt."""
        return Course(
            given=self.given,
            slate=self.slate,
            worst_case_usd=self.worst_case_usd,
            able=self.able,
            attempts=(*self.attempts, attempt),
            ready_s=self.ready_s,
            window_above=self.window_above,
        )

    def spent(self, now_s: float) -> Spent:
        """Returns what the request has taken `now_s` seconds after its arrival."""
        if not self.attempts:
            return Spent(elapsed_s=now_s)
        return Spent(
            attempts=len(self.attempts),
            elapsed_s=now_s,
            cost_usd=total(a.cost_usd for a in self.attempts),
            waste_usd=total(a.waste_usd for a in self.attempts),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedCall:
    """The candidate is to be asked, once.

    Attributes:
        timeout_s: what is left of the deadline.
        span_id: of the attempt, 16 hex digits.
    """

    course: Course
    candidate: Candidate
    timeout_s: float
    span_id: str

    @property
    def planned(self) -> Decision:
        """The record as it stands before this call."""
        why = f"{self.candidate.model.name} would be asked"
        return _decision(self.course, 0.0, "planned", why, None)

    def next(self, attempt: Attempt, /) -> NeedCall | NeedSleep | Done | Exhausted:
        """Returns what follows the attempt that was asked for."""
        course = self.course.after(attempt)
        now_s = round(attempt.started_s + attempt.latency_s, 6)
        match attempt.outcome:
            case "answer":
                return Done(course=course, candidate=self.candidate, now_s=now_s)
            case "cancelled":
                return self.abandon(attempt)
            case failure:
                return _after(course, self.candidate, attempt, failure, now_s)

    def abandon(self, attempt: Attempt, /) -> Exhausted:
        """Returns the end of a request whose caller gave up during this attempt."""
        course = self.course.after(attempt)
        now_s = round(attempt.started_s + attempt.latency_s, 6)
        return Exhausted(course=course, now_s=now_s, ending="cancelled", why="the caller gave up")


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedSleep:
    """`seconds` are to be waited before the candidate is asked again."""

    course: Course
    candidate: Candidate
    seconds: float

    def next(self, now_s: float, /) -> NeedCall | Exhausted:
        """Returns what follows, `now_s` seconds after the request's arrival."""
        return _try(self.course, (self.candidate,), now_s) or _give_up(self.course, now_s, "deadline_s")

    def abandon(self, now_s: float, /) -> Exhausted:
        """Returns the end of a request whose caller gave up while it waited."""
        return Exhausted(course=self.course, now_s=now_s, ending="cancelled", why="the caller gave up")


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The last attempt's answer is the reply."""

    course: Course
    candidate: Candidate
    now_s: float

    @property
    def decision(self) -> Decision:
        """The record of the request."""
        return _decision(self.course, self.now_s, "answer", f"{self.candidate.name} answered", self.candidate.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhausted:
    """The request ends without an answer.

    Attributes:
        bound: the bound that stopped it; None where none did.
        why: what happened, in words.
    """

    course: Course
    now_s: float
    ending: Ending
    why: str
    bound: Bound | None = None

    @property
    def decision(self) -> Decision:
        """The record of the request."""
        return _decision(self.course, self.now_s, self.ending, self.why, None)


State = NeedCall | NeedSleep | Done | Exhausted


def plan(given: Given, /) -> NeedCall | Exhausted:
    """Returns the first state of a request.

    Raises:
        PolicyError: the policy raised, or returned something that is not made of the slate it was given.
    """
    able = slate_of(
        given.catalog,
        given.features,
        given.hints,
        expected_output_tokens=given.expected_output_tokens,
        unpriced=given.unpriced,
    )
    try:
        slate = able if given.policy_name == NO_POLICY else _apply(given, able)
    except PolicyError as error:
        broken = Course(given=given, slate=able, able=able, worst_case_usd=None)
        error.decision = _decision(broken, 0.0, "policy_error", str(error), None)
        raise
    worst = worst_case_usd(given.bounds, tuple(c.worst_usd for c in slate.live))
    course = Course(given=given, slate=slate, worst_case_usd=worst, able=able)
    if not slate.live:
        return Exhausted(course=course, now_s=0.0, ending="no_candidate", why=_nobody(slate))
    return _try(course, slate.live, 0.0) or _give_up(course, 0.0, _bound(course, slate.live[0], 0.0))


def _apply(given: Given, able: Slate) -> Slate:
    context = Context(
        features=given.features,
        now=given.now,
        draw=given.draw,
        tags=given.hints.tags,
        tenant=given.hints.tenant,
        stats=given.stats,
    )
    try:
        slate = given.policy(able, context)
    except Exception as error:
        raise PolicyError(f"policy {given.policy_name!r} raised {type(error).__name__}: {error}") from error
    if not _conserves(able, slate):
        raise PolicyError(
            f"policy {given.policy_name!r} must return a slate made of the candidates it was given,"
            " each one exactly once, live or dropped"
        )
    return slate


def _conserves(before: Slate, after: object) -> bool:
    if not isinstance(after, Slate):
        return False
    if len(before.live) + len(before.dropped) != len(after.live) + len(after.dropped):
        return False
    return _members(before) == _members(after)


def _members(slate: Slate) -> set[Candidate]:
    members = set(slate.live)
    members.update([dropped.candidate for dropped in slate.dropped])
    return members


def _baseline(hints: Hints, able: Slate) -> Candidate | None:
    if hints.baseline is not None:
        everyone = (*able.live, *(d.candidate for d in able.dropped))
        return next((c for c in everyone if c.model.name == hints.baseline), None)
    priced = [(c.expected_usd, c.model.name, c) for c in able.live if c.expected_usd is not None]
    return max(priced, key=lambda entry: entry[:2])[2] if priced else None


def _after(
    course: Course, candidate: Candidate, attempt: Attempt, failure: FailureClass, now_s: float
) -> NeedCall | NeedSleep | Exhausted:
    """Returns what follows a failed attempt: another candidate, a wait, or the end."""
    follow = FOLLOW[failure]
    name = candidate.model.name
    if attempt.committed:
        why = f"{name} failed ({failure}) after a part of its answer had reached the caller"
        return Exhausted(course=course, now_s=now_s, ending="committed", why=why)
    if not follow.other_model:
        why = f"{name} failed ({failure}), and no other model can mend that"
        return Exhausted(course=course, now_s=now_s, ending="final", why=why)
    ready_s = {model: ready for model, ready in course.ready_s.items() if model != name}
    if follow.same_model and attempt.should_retry is not False:
        asked = sum(a.model == name for a in course.attempts)
        draw = (course.given.draw + _GOLDEN * len(course.attempts)) % 1.0
        ready_s[name] = now_s + max(attempt.retry_after_s or 0.0, backoff_s(asked - 1, draw))
    window = candidate.model.context_window_tokens or 0
    above = max(course.window_above, window) if follow.larger_window_only else course.window_above
    return _go_on(replace(course, ready_s=ready_s, window_above=above), now_s)


def _go_on(course: Course, now_s: float) -> NeedCall | NeedSleep | Exhausted:
    asked = {a.model for a in course.attempts}
    fits = [c for c in course.slate.live if _fits(c, course.window_above)]
    fresh = [c for c in fits if c.model.name not in asked]
    if fresh:
        return _try(course, _good_keys_first(course, fresh), now_s) or _give_up(
            course, now_s, _bound(course, fresh[0], now_s)
        )
    again = [c for c in fits if c.model.name in course.ready_s]
    if not again:
        return _give_up(course, now_s, None)
    soonest = min(again, key=lambda c: course.ready_s[c.model.name])
    wait_s = max(0.0, course.ready_s[soonest.model.name] - now_s)
    bound = _bound(course, soonest, now_s, wait_s=wait_s)
    return (
        NeedSleep(course=course, candidate=soonest, seconds=wait_s) if bound is None else _give_up(course, now_s, bound)
    )


def _fits(candidate: Candidate, window_above: int) -> bool:
    window = candidate.model.context_window_tokens
    return window is None or window > window_above


def _good_keys_first(course: Course, candidates: list[Candidate]) -> list[Candidate]:
    """Returns the candidates, those behind a key that was denied or is out of quota last."""
    by_name = {c.model.name: c.model for c in course.slate.live}
    bad = {by_name[a.model].key_env for a in course.attempts if a.outcome in ("denied", "out_of_quota")}
    return (
        sorted(candidates, key=lambda c: c.model.key_env is not None and c.model.key_env in bad) if bad else candidates
    )


def _try(course: Course, candidates: tuple[Candidate, ...] | list[Candidate], now_s: float) -> NeedCall | None:
    """Returns the call of the first candidate that the bounds allow; None when they allow none."""
    for candidate in candidates:
        if _bound(course, candidate, now_s) is None:
            return NeedCall(
                course=course,
                candidate=candidate,
                timeout_s=course.given.bounds.deadline_s - now_s,
                span_id=_span_id(course.given.ids, len(course.attempts) + 1),
            )
    return None


def _bound(course: Course, candidate: Candidate, now_s: float, *, wait_s: float = 0.0) -> Bound | None:
    return crossed(
        course.given.bounds,
        course.spent(now_s),
        wait_s=wait_s,
        expected_usd=candidate.expected_usd,
        worst_usd=candidate.worst_usd,
    )


def _give_up(course: Course, now_s: float, bound: Bound | None) -> Exhausted:
    failures = ", ".join(f"{a.model} {a.outcome}" for a in course.attempts)
    tried = f"after {failures}" if failures else "before the first attempt"
    if bound is None:
        return Exhausted(course=course, now_s=now_s, ending="final", why=f"no candidate is left {tried}")
    limit = getattr(course.given.bounds, bound)
    if isinstance(limit, Decimal):
        limit = usd(limit)
    why = f"{tried}, one more attempt would cross the bound {bound} = {limit}"
    return Exhausted(course=course, now_s=now_s, ending="bounds", why=why, bound=bound)


def _nobody(slate: Slate) -> str:
    reasons = "; ".join(f"{d.name}: {d.reason} ({d.by})" for d in slate.dropped)
    return f"no model is adequate: {reasons}" if reasons else "the catalog has no models"


def _span_id(ids: Ids, number: int) -> str:
    return hashlib.blake2b(f"{ids.trace_id}{ids.span_id}{number}".encode(), digest_size=8).hexdigest()


def _decision(course: Course, now_s: float, ending: Ending, why: str, model: str | None) -> Decision:
    given, baseline = course.given, _baseline(course.given.hints, course.able)
    usage = course.attempts[-1].usage if model is not None else None
    price = baseline.model.price if baseline is not None else None
    return Decision(
        ids=given.ids,
        time=given.now,
        policy=given.policy_name,
        key=given.key,
        hints=given.hints,
        bounds=given.bounds,
        features=given.features,
        expected_output_tokens=given.expected_output_tokens,
        stats=given.stats,
        slate=course.slate,
        attempts=course.attempts,
        model=model,
        ending=ending,
        why=why,
        worst_case_usd=course.worst_case_usd,
        baseline=baseline.model.name if baseline is not None else None,
        baseline_usd=cost_usd(usage, price) if usage is not None and price is not None else None,
        draw=given.draw,
        latency_s=now_s,
    )
