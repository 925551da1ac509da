"""Budgets that no request fits."""

from __future__ import annotations

from collections.abc import Iterator

from router.core.applied import able_of
from router.core.budget import Scope, nano_of, usd_of
from router.core.money import usd
from router.core.slate import Candidate
from router.testing.gaps_found import Finding
from router.testing.gaps_served import plain
from router.testing.space import Cell
from router.testing.space_world import World


def unaffordable(world: World, cell: Cell, /) -> Iterator[Finding]:
    """Yields the budgets whose limit is below what the smallest request can cost at every model.

    Meant are requests that do not say how much may be written. Models that a budget does not count do not matter to it.

    Args:
        world: whose budgets.
        cell: of all requests.
    """
    point = (plain(cell) or cell).smallest()
    if point is None:
        return
    able = able_of(world.given(world.setup.default_policy, point))
    for budget in world.setup.budgets:
        meant = [candidate for candidate in able if _counted(budget.scope, candidate)]
        worst = [c.worst_usd for c in meant]
        known = [most for most in worst if most is not None]
        if budget.on_exceed == "alert" or not worst or any(nano_of(most) <= budget.limit_nano for most in known):
            continue
        least = f"${usd(min(known))} or more" if known else "anything, as no price is known,"
        yield Finding(
            kind="budget",
            path=("budgets", budget.name, "limit_usd"),
            message=f"is ${usd(usd_of(budget.limit_nano))}, and a request without max_tokens can cost {least} at every "
            "model: it would never be sent",
            example=point,
        )


def _counted(scope: Scope, candidate: Candidate) -> bool:
    match scope.kind:
        case "model":
            return scope.value in {None, candidate.name}
        case "provider":
            return scope.value in {None, candidate.model.provider}
        case _:
            return True
