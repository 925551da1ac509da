"""Findings of a configuration: gaps, rules and tiers that nothing reaches, overlaps, models that cannot serve.

Each is exact: it is found where it is, and nowhere else, with a request that shows it. What a third party's policy does
with requests is not known; of those, only what stands around them is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator

from router.core import statics
from router.core.policy import Policy
from router.testing.expect import UNDECIDED
from router.testing.gaps_budgets import unaffordable
from router.testing.gaps_found import Finding
from router.testing.gaps_reach import misplaced
from router.testing.gaps_served import beyond_all, unserved
from router.testing.space import Cell
from router.testing.space_linear import CERTAIN
from router.testing.space_policies import unread
from router.testing.space_world import Asked, World, asked_by


def findings(world: World, /) -> Iterator[Finding]:
    """Yields what is found in a configuration, policy by policy.

    Gaps are looked for in the policies that requests use: those that stand in no other.
    """
    yield from _finished(("models",), beyond_all(world, world.space(Asked(), spread=CERTAIN).all()))
    yield from _finished(("budgets",), unaffordable(world, world.space(Asked(), spread=CERTAIN).all()))
    inner = {
        id(part) for policy in world.setup.policies.values() for _, part in statics.parts(policy) if part is not policy
    }
    for name, policy in sorted(world.setup.policies.items()):
        found = _of_policy(world, name, policy, gaps=id(policy) not in inner)
        yield from _finished(("policies", name), found)


def _of_policy(world: World, name: str, policy: Policy, *, gaps: bool) -> Iterator[Finding]:
    cell: Cell = world.space(asked_by([policy]), spread=CERTAIN).all()
    yield from misplaced(world, name, policy, cell)
    if gaps and set(unread(policy)) <= {"max_latency", "pace"}:
        yield from unserved(world, name, policy, cell)


def _finished(path: tuple[str, ...], found: Iterator[Finding]) -> Iterator[Finding]:
    try:
        yield from found
    except UNDECIDED as error:
        yield Finding(kind="unfinished", path=path, message=f"was not looked at to the end: {error}", severity="note")
