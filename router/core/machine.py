"""The states of one request.

    plan() ──> NeedLookup ─next(hit)─────> Served | NeedCall | Exhausted
          └──> NeedCall ──next(attempt)──> NeedCall | NeedSleep | Done | Exhausted
               NeedSleep ──next(now)─────> NeedCall | Exhausted
               NeedReserve ─next(told)───> NeedCall | NeedReserve | NeedSleep | Exhausted
               each ──────abandon()──────> Exhausted

Where a budget applies to a candidate, NeedReserve comes before each NeedCall; where none does, never.

`plan` takes four snapshots (catalog with prices, statistics, budgets, clock) and one draw; from there on a state knows
all that it needs. Each state asks for one effect, and its `next` takes the result and returns its legal successor.
Nothing here waits, reads a clock or draws a number, so the same inputs always take the same way: that is what
simulations run thousands of times a second, and what a backtest replays.

What follows a failure: the next candidate that was not asked yet, at once; when all were asked, one that may be asked
again, after the wait it wants; within the bounds of the request, always. A candidate whose turn came, and which the
gate held back before anything was sent, counts as asked, but not as an attempt.

What the cache has counts only where this request could have had it from a provider: the model that answered is live on
its slate, or would be if its budgets had the money, and the answer passes its checks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from router.core.applied import able_of, applied, course_of, switched
from router.core.bounds import Bound
from router.core.budget import Claim, Refused, Reserved
from router.core.budgeting import SPENT, claim_of
from router.core.caching import Hit, Lookup, Source
from router.core.course import Course, Given
from router.core.decision import Attempt, Decision, Ending
from router.core.money import usd
from router.core.quick import quick
from router.core.slate import Candidate, Slate
from router.core.turn import Hedge, follow_of, hedge_of, is_last, noted, patience, remaining, turned_away
from router.errors import PolicyError

NO_POLICY = "none"
"""What stands in the record for the policy of a request that names its model itself: nothing is left to choose."""

HOLDS_MOST = 20
"""How often one request's turn may be held back: a provider whose gate opens and shuts must not keep it going round."""


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
        live = self.course.slate.live
        would = f"the cache would be asked, then {live[0].name if live else 'nobody'}"
        return self.course.decision(self.course.given.started_s, "planned", would)

    def refusal(self, hit: Hit, /) -> str | None:
        """Returns why a hit does not count; None where it does."""
        oldest_s = self.course.given.caching.max_age_s
        if oldest_s is not None and hit.age_s > oldest_s:
            return f"it is {hit.age_s:g} s old, and max_age_s is {oldest_s:g}"
        if not self.lives((hit.model, hit.model_id)):
            ids = [candidate.model.id for candidate in self.course.free if candidate.model.name == hit.model]
            return f"{hit.model} is {ids[0]} now, not {hit.model_id}" if ids else f"{hit.model} is not live"
        return hit.unusable

    def lives(self, source: Source | None, /) -> bool:
        """Returns whether the model that an answer comes from is live for this request."""
        return source in [(candidate.model.name, candidate.model.id) for candidate in self.course.free]

    def next(self, hit: Hit | None, now_s: float, /) -> Served | NeedCall | NeedReserve | Exhausted:
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
        return _begin(course, now_s)

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
        claim: what was reserved for it; None where no budget applies.
        turn_s: when its turn came, in seconds from the request's arrival, where time went by since; else None.
    """

    course: Course
    candidate: Candidate
    timeout_s: float
    again: bool = False
    last: bool = False
    hedge: Hedge | None = None
    claim: Claim | None = None
    turn_s: float | None = None

    @property
    def span_id(self) -> str:
        """Of the attempt, 16 hex digits."""
        return self.course.span_id()

    def left_s(self, now_s: float, /) -> float:
        """Returns what is left of the deadline `now_s` seconds after the request's arrival; never below 0."""
        return max(0.0, self.course.given.bounds.deadline_s - now_s)

    @property
    def planned(self) -> Decision:
        """The record as it stands before this call."""
        return self.course.decision(
            self.course.given.started_s, "planned", f"{self.candidate.model.name} would be asked"
        )

    def next(
        self, attempt: Attempt, hedged: Attempt | None = None, /
    ) -> NeedCall | NeedReserve | NeedSleep | Done | Exhausted:
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
            course = noted(course, one, now_s)
        return _go_on(course, now_s)

    def abandon(self, now_s: float, /, *attempts: Attempt) -> Exhausted:
        """Returns the end of a request whose caller gave up during these attempts, or before the first began."""
        course = self.course.after(*attempts)
        return Exhausted(course=course, now_s=now_s, ending="cancelled", why="the caller gave up")

    def part(self, now_s: float, /, *attempts: Attempt) -> Exhausted:
        """Returns the end of a request whose attempt said something else than what its caller had already seen."""
        return _parted(self.course.after(*attempts), now_s)


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class NeedReserve:
    """The worst case of a call is to be reserved in all budgets that apply, before it is made.

    Attributes:
        turn_s: when the candidate's turn came, in seconds from the request's arrival.
    """

    call: NeedCall
    claim: Claim
    turn_s: float

    @property
    def course(self) -> Course:
        """Of the call."""
        return self.call.course

    @property
    def planned(self) -> Decision:
        """The record as it stands before the call."""
        return self.call.planned

    def next(self, told: Reserved | Refused, now_s: float, /) -> NeedCall | NeedReserve | NeedSleep | Exhausted:
        """Returns what follows what the ledger said, `now_s` seconds after the request's arrival."""
        if isinstance(told, Reserved):
            return replace(self, claim=told.claim).granted(now_s)
        budget = told.account.budget if told.account is not None else None
        times = self.turn_s, now_s
        return self.held(turned_away(self.call.candidate, self.call.span_id, budget, told.why, times))

    def granted(self, now_s: float, /) -> NeedCall:
        """Returns the call, for which the money is there."""
        return replace(self.call, claim=self.claim, timeout_s=self.call.left_s(now_s), turn_s=self.turn_s)

    def held(self, attempt: Attempt, /) -> NeedCall | NeedReserve | NeedSleep | Exhausted:
        """Returns what follows a candidate whose turn came when the money was gone: `attempt` says so."""
        course, now_s = self.course.after(attempt), _ended_s(attempt)
        name, first = attempt.code, all(a.held == SPENT for a in course.attempts)
        budget = next((p.budget for p in course.given.budgets if p.budget.name == name), None)
        if budget is not None and budget.on_exceed == "block" and first:
            return _broke(course, now_s)
        if budget is not None and budget.on_exceed == "policy" and first and course.instead is None:
            try:
                course = switched(course, budget.policy or "")
            except PolicyError as error:
                course = replace(course, broken=True)
                return Exhausted(course=course, now_s=now_s, ending="policy_error", why=str(error))
        return _go_on(noted(course, attempt, now_s), now_s)

    def abandon(self, now_s: float, /) -> Exhausted:
        """Returns the end of a request whose caller gave up while its money was being reserved."""
        return self.call.abandon(now_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedSleep:
    """`seconds` are to be waited before the candidate is asked again."""

    course: Course
    candidate: Candidate
    seconds: float

    def next(self, now_s: float, /) -> NeedCall | NeedReserve | Exhausted:
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
        budget: the name of the budget that stopped it; None where none did.
        why: what happened, in words.
    """

    course: Course
    now_s: float
    ending: Ending
    why: str
    bound: Bound | None = None
    budget: str | None = None

    @property
    def decision(self) -> Decision:
        """The record of the request."""
        return self.course.decision(self.now_s, self.ending, self.why)


State = NeedLookup | NeedReserve | NeedCall | NeedSleep | Done | Served | Exhausted


def plan(given: Given, /) -> NeedLookup | NeedReserve | NeedCall | Exhausted:
    """Returns the first state of a request.

    Raises:
        PolicyError: the policy raised, or returned something that is not made of the slate it was given.
    """
    able = able_of(given) if given.able is None else given.able
    now_s = given.started_s
    try:
        slate = able if given.policy_name == NO_POLICY else applied(given, able)
        course = course_of(given, able, slate)
    except PolicyError as error:
        broken = Course(given=given, slate=able, able=able, broken=True)
        error.decision = broken.decision(now_s, "policy_error", str(error))
        raise
    if not course.slate.live and course.budget is None:
        why = _nobody(course.slate, given.hints.model)
        return Exhausted(course=course, now_s=now_s, ending="no_candidate", why=why)
    if given.caching.looks:
        return NeedLookup(course=course, timeout_s=max(0.0, given.bounds.deadline_s - now_s))
    if given.caching.mode == "only":
        why = "only a stored answer is wanted, and its answer would be drawn: none is stored or taken (sampled = false)"
        return Exhausted(course=course, now_s=now_s, ending="not_cached", why=why)
    return _begin(course, now_s)


def _begin(course: Course, now_s: float) -> NeedCall | NeedReserve | Exhausted:
    """Returns the first call, or the end of a request that nobody may be asked for."""
    live = course.slate.live
    if not live:
        return _broke(course, now_s)
    return _try(course, live, now_s) or _give_up(course, now_s, course.bound(live[0], now_s))


def _broke(course: Course, now_s: float) -> Exhausted:
    """Returns the end of a request that a budget has no room for."""
    name = course.budget
    if course.attempts:
        name, why = course.attempts[-1].code, course.attempts[-1].error or ""
    else:
        told = next((d for d in course.slate.dropped if d.by == f"budget {name}"), None)
        left = f"{told.name} {told.reason}" if told is not None else f"the policy {course.instead!r} leaves nobody"
        why = f"the budget {name!r} has no room: {left}"
    return Exhausted(course=course, now_s=now_s, ending="budget", why=why, budget=name)


def _end_after(course: Course, attempt: Attempt, now_s: float) -> Exhausted | None:
    """Returns the end of a request that this failure leaves no way to go on; None where there may be one."""
    if attempt.committed:
        why = f"{attempt.model} failed ({attempt.outcome}) after a part of its answer had reached the caller"
        return Exhausted(course=course, now_s=now_s, ending="committed", why=why)
    follow = follow_of(attempt)
    if follow is not None and not follow.other_model:
        why = f"{attempt.model} failed ({attempt.outcome}), and no other model can mend that"
        return Exhausted(course=course, now_s=now_s, ending="final", why=why)
    return None


def _go_on(course: Course, now_s: float) -> NeedCall | NeedReserve | NeedSleep | Exhausted:
    """Returns the next call, at once or after a wait, or the end."""
    if sum(a.held is not None for a in course.attempts) >= HOLDS_MOST:
        return _give_up(course, now_s, None)
    fresh, again = remaining(course)
    soonest = min(again, key=lambda c: patience(course, c)) if again else None
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


def _try(course: Course, candidates: Sequence[Candidate], now_s: float) -> NeedCall | NeedReserve | None:
    """Returns the call of the first candidate that the bounds allow; None when they allow none."""
    for candidate in candidates:
        if course.bound(candidate, now_s) is None:
            call = NeedCall(
                course=course,
                candidate=candidate,
                timeout_s=course.given.bounds.deadline_s - now_s,
                again=any(a.model == candidate.model.name and a.held is None for a in course.attempts),
                last=is_last(course, candidate),
                hedge=hedge_of(course, candidate, candidates, now_s),
            )
            claim = claim_of(course.given, candidate, call.span_id) if course.given.budgets else None
            return call if claim is None else NeedReserve(call=call, claim=claim, turn_s=now_s)
    return None


def _parted(course: Course, now_s: float) -> Exhausted:
    why = "the answer of an equal request broke off after a part had reached the caller, and nobody went on as it began"
    return Exhausted(course=course, now_s=now_s, ending="committed", why=why)


def _give_up(course: Course, now_s: float, bound: Bound | None) -> Exhausted:
    if bound is None and course.attempts and all(a.held == SPENT for a in course.attempts):
        return _broke(course, now_s)
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
