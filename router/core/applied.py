"""Who can serve a request; and its policy, applied to those and held to its contract."""

from __future__ import annotations

from router.core.adequacy import slate_of
from router.core.course import Given
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


def applied(given: Given, able: Slate, /) -> Slate:
    """Returns the slate as the policy of a request leaves it.

    Args:
        given: what goes into the decision.
        able: all models that can serve the request, and those that cannot as dropped.

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
