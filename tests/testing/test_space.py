from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.testing.space import (
    CELLS_MOST,
    NEEDS,
    STATED,
    TENANT,
    TOOLS,
    Among,
    Cell,
    Condition,
    Parting,
    Point,
    Split,
    TooManyCells,
    need,
    simplicity,
    walk,
)
from router.testing.space_linear import Axis, Line, line
from router.testing.space_world import Asked, World
from tests.testing.tiny_configs import has, holds, requests_of, world_of

WORLD = world_of({"models": {"a": {"id": "a", "base_url": "http://localhost:1"}}, "unpriced": "allow"})
USED = ("tools", "web_search", "json_object")


def small(world: World = WORLD) -> Cell:
    """Returns a cell whose requests can all be listed."""
    space = world.space(Asked(tags={"t": frozenset(("x", "y*"))}))
    unused = [Among(need(name), frozenset((False,))) for name in NEEDS if name not in USED]
    cell = space.all().take(*unused, line("n", 1, 0, 4), line("h", 1, 0, 5), line("m", 0, 1, 2))
    assert cell is not None
    return cell


def parting(chance: random.Random, cell: Cell) -> Parting:
    """Returns something that may hold of some requests of a cell and not of others."""
    if chance.random() < 0.5:
        question = chance.choice([TOOLS, STATED, ("tag", "t"), *map(need, USED)])
        answers = cell.space.questions[question]
        return Among(question, frozenset(chance.sample(answers, chance.randint(1, len(answers) - 1))))
    axes: list[Axis] = ["n", "h"] if cell.answers(STATED) != (True,) else ["n", "h", "m"]
    while True:
        slope = chance.randint(-2, 2) if cell.answers(STATED) == (True,) else 0
        found = line(chance.choice(axes), chance.choice((-2, -1, 1, 2)), slope, chance.randint(-9, 9))
        if not isinstance(found, bool):
            return found


def random_cell(chance: random.Random) -> tuple[Cell, list[Point]]:
    """Returns a cell that was cut a few times, and its requests, found one by one."""
    cell: Cell | None = small()
    assert cell is not None
    for _ in range(chance.randint(0, 5)):
        conditions = tuple(parting(chance, cell) for _ in range(chance.randint(1, 2)))
        part = cell.take(*conditions) if chance.random() < 0.5 else cell.leave(*conditions)
        cell = cell if part is None else part
    return cell, list(requests_of(cell))


@settings(max_examples=60)
@given(st.integers(0, 2**32))
def test_the_smallest_request_of_a_cell(seed: int) -> None:
    """It is the plainest and smallest of all that are in the cell; None where none is."""
    cell, requests = random_cell(random.Random(seed))
    point = cell.smallest()
    if point is None:
        assert not requests
    else:
        assert has(cell, point)
        assert all(simplicity(point) <= simplicity(other) for other in requests)


@settings(max_examples=50)
@given(st.integers(0, 2**32))
def test_a_long_request_of_a_cell(seed: int) -> None:
    """The longest is in the cell, and of those with the least output none has more input."""
    cell, requests = random_cell(random.Random(seed))
    point = cell.longest()
    if point is None:
        assert not requests
    else:
        assert has(cell, point)
        assert all(other.sizes[0] <= point.sizes[0] for other in requests if other.sizes[2] == point.sizes[2] == 0)


@settings(max_examples=60)
@given(st.integers(0, 2**32))
def test_what_a_cell_decides_holds_of_all_its_requests(seed: int) -> None:
    """A condition that a cell decides holds of every request, or of none."""
    chance = random.Random(seed)
    cell, requests = random_cell(chance)
    condition = parting(chance, cell)
    decided = cell.decides(condition)
    assert decided is None or all(holds(condition, point) == decided for point in requests)
    if not cell.without and isinstance(condition, Among) and requests:
        seen = {holds(condition, point) for point in requests}
        assert decided is None or seen == {decided}


@pytest.mark.untraced
@settings(max_examples=50)
@given(st.integers(0, 2**32))
def test_two_parts_are_the_whole(seed: int) -> None:
    """Cut by some conditions, every request is in exactly one of the two parts."""
    chance = random.Random(seed)
    cell, requests = random_cell(chance)
    conditions = tuple(parting(chance, cell) for _ in range(chance.randint(1, 2)))
    parts = [part for part in (cell.take(*conditions), cell.leave(*conditions)) if part is not None]
    assert all(sum(has(part, point) for part in parts) == 1 for point in requests)


def test_an_open_answer_is_cut() -> None:
    """Who asks for an answer that the cell leaves open is told where to cut; the plainest comes first."""
    cell = small()
    with pytest.raises(Split) as raised:
        cell.answer(TOOLS)
    assert raised.value.conditions == (Among(TOOLS, frozenset((False,))),)
    with pytest.raises(Split):
        cell.sure(line("n", 1, 0, 3))
    assert cell.sure(line("n", 1, 0, 100))
    assert cell.answer(need("vision")) is False


@pytest.mark.parametrize(
    "conditions",
    [
        [False],
        [Among(TENANT, frozenset(("acme",)))],
        [line("n", 1, 0, 3), line("n", -1, 0, -4)],
        [Among(need("json_object"), frozenset((True,))), Among(need("json_schema"), frozenset((True,)))],
        [
            Among(TOOLS, frozenset((True,))),
            Among(need("tools"), frozenset((False,))),
            Among(need("web_search"), frozenset((False,))),
        ],
        [Among(("", "the input was counted exactly"), frozenset((True,))), Among(TOOLS, frozenset((True,)))],
    ],
    ids=["never", "no such tenant", "no such size", "two formats", "tools that nothing needs", "tools are not counted"],
)
def test_requests_that_cannot_be(conditions: list[Condition]) -> None:
    """What no request can be makes no cell."""
    assert small().take(True, *conditions) is None


def test_tools_that_are_offered_are_needed() -> None:
    """A request that offers tools needs them, or web search."""
    cell = small().take(Among(TOOLS, frozenset((True,))))
    assert cell is not None
    point = cell.smallest()
    assert point is not None
    assert point.needs("tools")
    searching = cell.take(Among(need("tools"), frozenset((False,))))
    assert searching is not None
    point = searching.smallest()
    assert point is not None
    assert point.needs("web_search")


def test_a_walk_ends() -> None:
    """A walk over more cells than can be looked at says so; one over none has none."""

    def finer(cell: Cell) -> None:
        raise Split(Line(("n", 1, 0), (cell.sizes[0] + cell.bounds.get(("n", 1, 0), 10**9)) // 2))

    with pytest.raises(TooManyCells, match=f"{CELLS_MOST:,}"):
        list(walk(WORLD.space(Asked()).all(), finer))
    assert list(walk(None, lambda cell: cell)) == []
