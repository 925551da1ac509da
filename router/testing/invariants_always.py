"""What holds of every policy's answer: a slate of the candidates that were given, with a reason for each drop."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from router import Candidate, Context, Policy, Slate, statics
from router.testing.invariants_shown import Counterexample, called

REQUEST = "request"
"""Who dropped what cannot serve the request at all; no policy's name."""


def returns_a_slate(policy: Policy, slate: Slate, context: Context) -> None:
    """A policy returns a `Slate` with tuples of candidates and drops, not a list or nothing."""
    called(policy, slate, context)


def never_raises(policy: Policy, slate: Slate, context: Context) -> None:
    """A policy has an answer to every slate: also to one with nobody live, and where nothing else is known."""
    called(policy, slate, context)
    gone = Slate((), slate.dropped)
    for less in (Slate(()), gone, *(Slate((candidate,), slate.dropped) for candidate in slate.live[:1])):
        called(policy, less, context)
    for other in (
        dataclasses.replace(context, stats={}, tags={}, tenant=None, budgets=()),
        *_through_the_week(context),
    ):
        called(policy, slate, other)


def leaves_the_dropped_dropped(policy: Policy, slate: Slate, context: Context) -> None:
    """Who fell before stays where they are: the request, or a policy before, had its reason."""
    result = called(policy, slate, context)
    live = {id(candidate) for candidate in result.live}
    for fallen in slate.dropped:
        if id(fallen.candidate) in live:
            says = f"{fallen.name!r} is live again, which {fallen.by!r} had dropped: {fallen.reason}"
            raise Counterexample("leaves_the_dropped_dropped", says, policy, slate, context)
    before = {id(fallen.candidate): (fallen.by, fallen.reason) for fallen in slate.dropped}
    for fallen in result.dropped:
        record = (fallen.by, fallen.reason)
        if before.get(id(fallen.candidate), record) != record:
            says = f"{fallen.name!r} has another record now: {record}, which was {before[id(fallen.candidate)]}"
            raise Counterexample("leaves_the_dropped_dropped", says, policy, slate, context)


def keeps_all_candidates(policy: Policy, slate: Slate, context: Context) -> None:
    """Who goes in comes out, live or dropped, once, and as the very same candidate."""
    given = {id(candidate): candidate for candidate in everyone(slate)}
    for when in (context, *_through_the_week(context)):
        says = _miscounted(given, called(policy, slate, when))
        if says is not None:
            raise Counterexample("keeps_all_candidates", says, policy, slate, when)


def _miscounted(given: Mapping[int, Candidate], result: Slate) -> str | None:
    """Returns which candidate is not there once; None where all are."""
    seen: set[int] = set()
    for candidate in everyone(result):
        if id(candidate) not in given:
            return f"{candidate.name!r} was not in the slate that was given; a copy of a candidate is another one"
        if id(candidate) in seen:
            return f"{candidate.name!r} stands there twice"
        seen.add(id(candidate))
    lost = (candidate.name for key, candidate in given.items() if key not in seen)
    return next((f"{name!r} is lost: it is neither live nor dropped" for name in lost), None)


def _through_the_week(context: Context) -> Iterator[Context]:
    """Yields the same request on the other days of the week, each at another hour: rules of time are seldom met."""
    for days in range(1, 7):
        then = context.now + timedelta(days=days)
        yield dataclasses.replace(context, now=then.replace(hour=(then.hour + 3 * days) % 24))


def says_who_and_why(policy: Policy, slate: Slate, context: Context) -> None:
    """Each drop names the kind of the policy that did it, and a reason in words."""
    result = called(policy, slate, context)
    before = {id(fallen.candidate) for fallen in slate.dropped}
    kinds = _kinds(policy)
    for fallen in result.dropped:
        if id(fallen.candidate) in before:
            continue
        # Untyped, since what a user's policy writes there may be anything.
        by, reason, says = _text(fallen.by), _text(fallen.reason), None
        if not reason:
            says = f"{fallen.name!r} was dropped without a reason: {fallen.reason!r}"
        elif not by:
            says = f"{fallen.name!r} was dropped by nobody: {fallen.by!r}"
        elif by == REQUEST:
            says = f"{fallen.name!r} was dropped by {REQUEST!r}, which stands for what the model could not serve"
        elif kinds and by not in kinds:
            says = f"{fallen.name!r} was dropped by {by!r}; of this policy only {', '.join(sorted(kinds))} could"
        if says is not None:
            raise Counterexample("says_who_and_why", says, policy, slate, context)


def everyone(slate: Slate) -> Iterator[Candidate]:
    """Yields all candidates of a slate, live and dropped."""
    yield from slate.live
    yield from (fallen.candidate for fallen in slate.dropped)


def _kinds(policy: Policy) -> frozenset[str]:
    """Returns the kinds of a policy and of those inside it; none where one of them has none: then any name will do."""
    kinds = [getattr(part, "kind", None) for _, part in statics.parts(policy)]
    return frozenset(kind for kind in kinds if kind is not None) if None not in kinds else frozenset()


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""
