"""The states of one request.

    plan() ──> NeedLookup ─next(hit)─────> Served | NeedCall | Exhausted
          └──> NeedCall ──next(attempt)──> NeedCall | NeedSleep | Done | Exhausted
               NeedSleep ──next(now)─────> NeedCall | Exhausted
               each ──────abandon()──────> Exhausted

`plan` takes three snapshots (catalog with prices, statistics, clock) and one draw; from there on a state knows all that
it needs. Each state asks for one effect, and its `next` takes the result and returns its legal successor. Nothing here
waits, reads a clock or draws a number, so the same inputs always take the same way: that is what simulations run
thousands of times a second, and what a backtest replays.

What follows a failure: the next candidate that was not asked yet, at once; when all were asked, one that may be asked
again, after the wait it wants; within the bounds of the request, always. A candidate whose turn came, and which the
gate held back before anything was sent, counts as asked, but not as an attempt.

What the cache has counts only where this request could have had it from a provider: the model that answered is live on
its slate, and the answer passes its checks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from router.core.applied import able_of, applied
from router.core.bounds import Bound, backoff_s
from router.core.caching import Hit, Lookup, Source
from router.core.course import Course, Given
from router.core.decision import Attempt, Decision, Ending, total
from router.core.failure import FOLLOW, Follow
from router.core.money import usd
from router.core.quick import quick
from router.core.slate import Candidate, Slate
from router.errors import PolicyError

NO_POLICY = "none"
"""What stands in the record for the policy of a request that names its model itself: nothing is left to choose."""

AT_ONCE = frozenset({"queue_full", "quota_spent"})
"""Holds that are no use waiting out: the request goes elsewhere, or fails, at once, and does not add to the crowd."""

HOLDS_MOST = 20
"""How often one request's turn may be held back: a provider whose gate opens and shuts must not keep it going round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hedge:
    """A second candidate, to be asked when the first has not answered after `after_s` seconds."""

    candidate: Candidate
    after_s: float
    span_id: str


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class NeedLookup:
    """The cache is to be asked for the request's key, and an equal request in flight to be followed.

    Attributes:
        timeout_s: what is left of the deadline.
    """

    course: Course
    timeout_s: float

    @property
    def planned(self) -> Decision:
        """The record as it stands before the look."""
        would = f"the cache would be asked, then {self.course.slate.live[0].name}"
        return self.course.decision(self.course.given.started_s, "planned", would)

    def refusal(self, hit: Hit, /) -> str | None:
        """Returns why a hit does not count; None where it does."""
        oldest_s = self.course.given.caching.max_age_s
        if oldest_s is not None and hit.age_s > oldest_s:
            return f"it is {hit.age_s:g} s old, and max_age_s is {oldest_s:g}"
        if not self.lives((hit.model, hit.model_id)):
            ids = [candidate.model.id for candidate in self.course.slate.live if candidate.model.name == hit.model]
            return f"{hit.model} is {ids[0]} now, not {hit.model_id}" if ids else f"{hit.model} is not live"
        return hit.unusable

    def lives(self, source: Source | None, /) -> bool:
        """Returns whether the model that an answer comes from is live for this request."""
        return source in [(candidate.model.name, candidate.model.id) for candidate in self.course.slate.live]

    def next(self, hit: Hit | None, now_s: float, /) -> Served | NeedCall | Exhausted:
        """Returns what follows what was found, `now_s` seconds after the request's arrival."""
        refused = self.refusal(hit) if hit is not None else None
        course = self.course.looked(Lookup(ended_s=now_s, hit=hit, refused=refused))
        if hit is not None and refused is None:
            if hit.failure is None:
                return Served(course=course, hit=hit, now_s=now_s)
            why = f"{hit.model} had called an equal request {hit.failure.kind} {hit.age_s:g} s before"
            return Exhausted(course=course, now_s=now_s, ending="final", why=why)
        if course.given.caching.mode == "only":
            why = f"no stored answer counts ({refused})" if refused is not None else "no answer is stored"
            return Exhausted(course=course, now_s=now_s, ending="not_cached", why=why)
        live = course.slate.live
        return _try(course, live, now_s) or _give_up(course, now_s, course.bound(live[0], now_s))

    def abandon(self, now_s: float, /) -> Exhausted:
        """Returns the end of a request whose caller gave up while it looked, or waited for an equal one."""
        return Exhausted(course=self.course, now_s=now_s, ending="cancelled", why="the caller gave up")

    def part(self, now_s: float, /) -> Exhausted:
        """Returns the end of a request of whose stream the caller had seen what nobody went on with."""
        return _parted(self.course, now_s)


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class NeedCall:
    """The candidate is to be asked, once; and its hedge, when it takes too long.

    Attributes:
        timeout_s: what is left of the deadline.
        again: whether this request asked the model before.
        last: whether nobody else is left to ask: all others failed for good, or were held back themselves.
    """

    course: Course
    candidate: Candidate
    timeout_s: float
    again: bool = False
    last: bool = False
    hedge: Hedge | None = None

    @property
    def span_id(self) -> str:
        """Of the attempt, 16 hex digits."""
        return self.course.span_id()

    @property
    def planned(self) -> Decision:
        """The record as it stands before this call."""
        return self.course.decision(
            self.course.given.started_s, "planned", f"{self.candidate.model.name} would be asked"
        )

    def next(self, attempt: Attempt, hedged: Attempt | None = None, /) -> NeedCall | NeedSleep | Done | Exhausted:
        """Returns what follows the attempt that was asked for, and that at its hedge where it was asked too."""
        made = (attempt,) if hedged is None else (attempt, hedged)
        course = self.course.after(*made)
        now_s = max(_ended_s(a) for a in made)
        answered = next((a for a in made if a.outcome == "answer"), None)
        if answered is not None:
            return Done(course=course, answered=answered, now_s=now_s)
        if all(a.outcome == "cancelled" for a in made):
            return self.abandon(now_s, *made)
        for one in made:
            ended = _end_after(course, one, now_s)
            if ended is not None:
                return ended
            course = _noted(course, one, now_s)
        return _go_on(course, now_s)

    def abandon(self, now_s: float, /, *attempts: Attempt) -> Exhausted:
        """Returns the end of a request whose caller gave up during these attempts, or before the first began."""
        course = self.course.after(*attempts)
        return Exhausted(course=course, now_s=now_s, ending="cancelled", why="the caller gave up")

    def part(self, now_s: float, /, *attempts: Attempt) -> Exhausted:
        """Returns the end of a request whose attempt said something else than what its caller had already seen."""
        return _parted(self.course.after(*attempts), now_s)


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


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The answer of `answered` is the reply."""

    course: Course
    answered: Attempt
    now_s: float

    @property
    def decision(self) -> Decision:
        """The record of the request."""
        return self.course.decision(self.now_s, "answer", f"{self.answered.model} answered", self.answered)


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What the cache had is the reply."""

    course: Course
    hit: Hit
    now_s: float

    @property
    def decision(self) -> Decision:
        """The record of the request."""
        why = f"{self.hit.model} had answered an equal request {self.hit.age_s:g} s before"
        return self.course.decision(self.now_s, "answer", why, self.hit)


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
        return self.course.decision(self.now_s, self.ending, self.why)


State = NeedLookup | NeedCall | NeedSleep | Done | Served | Exhausted


def plan(given: Given, /) -> NeedLookup | NeedCall | Exhausted:
    """Returns the first state of a request.

    Raises:
        PolicyError: the policy raised, or returned something that is not made of the slate it was given.
    """
    able = able_of(given) if given.able is None else given.able
    now_s = given.started_s
    try:
        slate = able if given.policy_name == NO_POLICY else applied(given, able)
    except PolicyError as error:
        broken = Course(given=given, slate=able, able=able, broken=True)
        error.decision = broken.decision(now_s, "policy_error", str(error))
        raise
    course = Course(given=given, slate=slate, able=able)
    if not slate.live:
        return Exhausted(course=course, now_s=now_s, ending="no_candidate", why=_nobody(slate, given.hints.model))
    if given.caching.looks:
        return NeedLookup(course=course, timeout_s=max(0.0, given.bounds.deadline_s - now_s))
    if given.caching.mode == "only":
        why = "only a stored answer is wanted, and its answer would be drawn: none is stored or taken (sampled = false)"
        return Exhausted(course=course, now_s=now_s, ending="not_cached", why=why)
    return _try(course, slate.live, now_s) or _give_up(course, now_s, course.bound(slate.live[0], now_s))


def _end_after(course: Course, attempt: Attempt, now_s: float) -> Exhausted | None:
    """Returns the end of a request that this failure leaves no way to go on; None where there may be one."""
    if attempt.committed:
        why = f"{attempt.model} failed ({attempt.outcome}) after a part of its answer had reached the caller"
        return Exhausted(course=course, now_s=now_s, ending="committed", why=why)
    follow = _follow(attempt)
    if follow is not None and not follow.other_model:
        why = f"{attempt.model} failed ({attempt.outcome}), and no other model can mend that"
        return Exhausted(course=course, now_s=now_s, ending="final", why=why)
    return None


def _follow(attempt: Attempt) -> Follow | None:
    match attempt.outcome:
        case "answer" | "cancelled":
            return None
        case failure:
            return FOLLOW[failure]


def _noted(course: Course, attempt: Attempt, now_s: float) -> Course:
    """Returns the course that knows what a failed attempt leaves of its model: a wait, another key, or nothing."""
    follow, name = _follow(attempt), attempt.model
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


def _go_on(course: Course, now_s: float) -> NeedCall | NeedSleep | Exhausted:
    """Returns the next call, at once or after a wait, or the end."""
    if sum(a.held is not None for a in course.attempts) >= HOLDS_MOST:
        return _give_up(course, now_s, None)
    fresh, again = _remaining(course)
    soonest = min(again, key=lambda c: _patience(course, c)) if again else None
    wait_s = max(0.0, course.ready_s[soonest.model.name] - now_s) if soonest is not None else 0.0
    patient = soonest is not None and 0.0 < wait_s <= course.given.prefer_wait_s
    if fresh and not patient:
        return _try(course, fresh, now_s) or _give_up(course, now_s, course.bound(fresh[0], now_s))
    if soonest is None:
        return _give_up(course, now_s, None)
    bound = course.bound(soonest, now_s, wait_s=wait_s)
    if bound is None:
        return NeedSleep(course=course, candidate=soonest, seconds=wait_s)
    # A wait that does not fit is no reason to pass over those who need none.
    return _try(course, fresh, now_s) or _give_up(course, now_s, bound)


def _remaining(course: Course) -> tuple[list[Candidate], list[Candidate]]:
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


def _patience(course: Course, candidate: Candidate) -> tuple[float, Decimal, str]:
    """Returns what decides between candidates to wait for: who is ready first, then who is cheaper."""
    expected = candidate.expected_usd
    return course.ready_s[candidate.model.name], Decimal("Infinity") if expected is None else expected, candidate.name


def _try(course: Course, candidates: Sequence[Candidate], now_s: float) -> NeedCall | None:
    """Returns the call of the first candidate that the bounds allow; None when they allow none."""
    for candidate in candidates:
        if course.bound(candidate, now_s) is None:
            return NeedCall(
                course=course,
                candidate=candidate,
                timeout_s=course.given.bounds.deadline_s - now_s,
                again=any(a.model == candidate.model.name and a.held is None for a in course.attempts),
                last=_is_last(course, candidate),
                hedge=_hedge(course, candidate, candidates, now_s),
            )
    return None


def _is_last(course: Course, candidate: Candidate) -> bool:
    if not course.attempts:
        return len(course.slate.live) == 1
    fresh, again = _remaining(course)
    held = {a.model: a.held is not None for a in course.attempts}  # of several, the latest says
    others = [*fresh, *(c for c in again if not held[c.model.name])]
    return not any(other is not candidate for other in others)


def _hedge(course: Course, first: Candidate, candidates: Sequence[Candidate], now_s: float) -> Hedge | None:
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
    return Hedge(candidate=second, after_s=after_s, span_id=course.span_id(2))


def _parted(course: Course, now_s: float) -> Exhausted:
    why = "the answer of an equal request broke off after a part had reached the caller, and nobody went on as it began"
    return Exhausted(course=course, now_s=now_s, ending="committed", why=why)


def _give_up(course: Course, now_s: float, bound: Bound | None) -> Exhausted:
    failures = ", ".join(f"{a.model} {a.held or a.outcome}" for a in course.attempts)
    tried = f"after {failures}" if failures else "before the first attempt"
    if bound is None:
        return Exhausted(course=course, now_s=now_s, ending="final", why=f"no candidate is left {tried}")
    limit = getattr(course.given.bounds, bound)
    if isinstance(limit, Decimal):
        limit = usd(limit)
    why = f"{tried}, one more attempt would cross the bound {bound} = {limit}"
    return Exhausted(course=course, now_s=now_s, ending="bounds", why=why, bound=bound)


def _nobody(slate: Slate, only: str | None) -> str:
    """Returns why each candidate fell; of a request that names its model, why that one did."""
    reasons = "; ".join(f"{d.name}: {d.reason} ({d.by})" for d in slate.dropped if only in {None, d.name})
    return f"no model is adequate: {reasons}" if reasons else "the catalog has no models"


def _ended_s(attempt: Attempt) -> float:
    return round(attempt.started_s + attempt.latency_s, 6)
