"""A search for a request that breaks an expectation, where nothing can be proved; with Hypothesis, if it is installed.

Sizes are drawn near everything that is known to be a limit, since that is where rules go wrong.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from router.core.applied import able_of, applied
from router.core.course import Given
from router.core.decision import Decision
from router.core.slate import Slate
from router.core.stats import ModelStats, Stats
from router.errors import PolicyError
from router.testing.space import STATED, Among, Cell, Point, simplicity
from router.testing.space_linear import Axis, line
from router.testing.space_world import NOW, World

SEARCHED: Final = 1_000
"""Requests of one search."""
_SEED: Final = 5
_SECONDS: Final = (None, 0.05, 0.5, 1.5, 5.0, 20.0, 120.0)
_DRAWS: Final = (0.0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.96, 0.999)
_HOURS: Final = 24 * 7
_AXES: Final[tuple[Axis, ...]] = ("m", "n", "h")

T = TypeVar("T")
Pick = Callable[[Sequence[T]], T]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A request, and what else goes into its decision."""

    point: Point
    draw: float = 0.0
    now: datetime = NOW
    stats: Stats = field(default_factory=dict)

    def given(self, world: World, policy_name: str, /) -> Given:
        """Returns what goes into the decision."""
        return world.given(policy_name, self.point, draw=self.draw, now=self.now, stats=self.stats)

    def slate(self, world: World, policy_name: str, /) -> Slate:
        """Returns the slate as the policy leaves it."""
        given = self.given(world, policy_name)
        return applied(given, able_of(given))

    def decided(self, world: World, policy_name: str, /) -> Decision:
        """Returns the decision before the first attempt, or that of a policy that broke its contract."""
        try:
            return world.decided(self.given(world, policy_name))
        except PolicyError as error:
            if error.decision is None:
                raise
            return error.decision


def search(cell: Cell, world: World, breaks: Callable[[Case], bool], /) -> tuple[Case | None, int]:
    """Returns a case in the cell that breaks something, as small as could be found, and how many were tried.

    Args:
        cell: of the requests; it has one.
        world: of the configuration.
        breaks: whether a case does.
    """
    try:
        import hypothesis
    except ModuleNotFoundError:
        return search_at_random(cell, world, breaks)
    return _with_hypothesis(hypothesis, cell, world, breaks)


def search_at_random(cell: Cell, world: World, breaks: Callable[[Case], bool], /) -> tuple[Case | None, int]:
    """Does as `search`, without Hypothesis: what it finds is less small."""
    chance = random.Random(_SEED)  # noqa: S311 - cases for a test, no secrets
    found = [case for _ in range(SEARCHED) if breaks(case := _case(cell, world, chance.choice))]
    return min(found, key=lambda case: simplicity(case.point), default=None), SEARCHED


def _with_hypothesis(
    hypothesis: Any, cell: Cell, world: World, breaks: Callable[[Case], bool]
) -> tuple[Case | None, int]:
    from hypothesis import strategies as st

    @st.composite
    def cases(draw: st.DrawFn) -> Case:
        return _case(cell, world, lambda options: draw(st.sampled_from(options)))

    settings = hypothesis.settings(
        max_examples=SEARCHED, database=None, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck)
    )
    try:
        return hypothesis.find(cases(), breaks, settings=settings), SEARCHED
    except hypothesis.errors.NoSuchExample:
        return None, SEARCHED


def _case(cell: Cell, world: World, pick: Pick[Any]) -> Case:
    """Returns a case of the cell, drawn from a few choices each."""
    point, draw = _point(cell, world, pick), pick(_DRAWS)
    if pick((True, False)):
        return Case(point=point, draw=draw)
    hours = pick(range(_HOURS))
    return Case(
        point=point,
        draw=draw,
        now=NOW + timedelta(hours=hours),
        stats={name: _stats(pick) for name in world.catalog},
    )


def _point(cell: Cell, world: World, pick: Pick[Any]) -> Point:
    """Returns a request of the cell: some answers, and sizes at or next to a limit, where they are possible."""
    part = cell
    for question in cell.space.questions:
        part = part.take(Among(question, frozenset((pick(cell.answers(question)),)))) or part
    limits = (1, *sorted(world.limits()))
    for axis in _AXES:
        if axis != "m" or part.answers(STATED) == (True,):
            least = max(1, pick(limits) + pick((0, 1, -1)))
            part = part.take(line(axis, -1, 0, -least) if axis != "m" else line("m", 0, -1, -least)) or part
    point = part.smallest()
    if point is None:
        raise AssertionError("a cell that is searched has a request")
    return point


def _stats(pick: Pick[Any]) -> ModelStats:
    return ModelStats(latency_p50_s=pick(_SECONDS), latency_p95_s=pick(_SECONDS), first_token_p50_s=pick(_SECONDS))
