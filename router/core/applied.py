"""Who can serve a request; its policy, applied to those and held to its contract; what its budgets leave of them."""

from __future__ import annotations

from dataclasses import replace

from router.core.adequacy import slate_of
from router.core.budgeting import afforded
from router.core.course import Course, Given
from router.core.policy import Context
from router.core.slate import Candidate, Slate
from router.errors import PolicyError


def able_of(given: Given, /) -> Slate:
    """Returns all models that can serve a request as live, and those that cannot as dropped."""
    return slate_of(
        given.catalog,
        given.features,
        given.hints,
        max_cost_usd=given.bounds.max_cost_usd,
        expected_output_tokens=given.expected_output_tokens,
        unpriced=given.unpriced,
    )


def applied(given: Given, able: Slate, /, *, instead: str | None = None) -> Slate:
    """Returns the slate as the policy of a request leaves it.

    Args:
        given: what goes into the decision.
        able: all models that can serve the request, and those that cannot as dropped.
        instead: name of the policy that a budget puts in the place of the request's own.

    Raises:
        PolicyError: the policy raised, or returned something that is not made of the slate it was given.
    """
    context = Context(
        features=given.features,
        now=given.now,
        draw=given.draw,
        tags=given.hints.tags,
        tenant=given.hints.tenant,
        stats=given.stats,
        budgets=given.budgets,
    )
    name, policy = given.policy_name, given.policy
    if instead is not None:
        name, policy = instead, given.policies[instead]
    try:
        slate = policy(able, context)
    except Exception as error:
        raise PolicyError(f"policy {name!r} raised {type(error).__name__}: {error}") from error
    if not _conserves(able, slate):
        raise PolicyError(
            f"policy {name!r} must return a slate made of the candidates it was given,"
            " each one exactly once, live or dropped"
        )
    return slate


def course_of(given: Given, able: Slate, slate: Slate, /) -> Course:
    """Returns the course of a request whose policy left this slate, as its budgets leave it.

    Raises:
        PolicyError: as `applied`, of the policy that a budget puts in the place of the request's own.
    """
    if not given.budgets or not slate.live:
        return Course(given=given, slate=slate, able=able, free=slate.live)
    left = afforded(slate, given.budgets, lambda name: applied(given, able, instead=name))
    return Course(given=given, slate=left.slate, able=able, free=left.free, instead=left.policy, budget=left.budget)


def switched(course: Course, name: str, /) -> Course:
    """Returns the course on which another policy decides, since a budget was spent between the plan and the call.

    Raises:
        PolicyError: as `applied`, of that policy.
    """
    slate = applied(course.given, course.able, instead=name)
    if not slate.live:
        return replace(course, slate=slate, instead=name)
    left = afforded(slate, course.given.budgets, lambda _: slate, switched=name)
    return replace(course, slate=left.slate, instead=name, free=(*course.free, *left.free))


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
