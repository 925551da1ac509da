from __future__ import annotations

import random
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.core.adequacy import slate_of
from router.core.request import Hints
from router.core.slate import Candidate
from router.errors import ConfigError
from router.testing.space import Among, Cell, Point, need, walk
from router.testing.space_linear import Line, TooFine
from router.testing.space_models import Amount, Figures, features_of_point, whole
from router.testing.space_world import Asked, World
from tests.testing.tiny_configs import holds, random_config, world_of

MODEL: dict[str, Any] = {"id": "x", "base_url": "http://localhost:1"}
RATES = {"input_usd_per_mtok": "1", "output_usd_per_mtok": "3"}


def candidate_of(world: World, name: str, point: Point) -> tuple[Candidate, bool]:
    """Returns what the router makes of a model and a request, and whether it can serve it."""
    slate = slate_of(
        world.catalog,
        features_of_point(point),
        Hints(),
        max_cost_usd=None,
        expected_output_tokens=world.setup.expected_output_tokens,
        unpriced=world.setup.unpriced,
    )
    live = {candidate.name: candidate for candidate in slate.live}
    dropped = {fallen.name: fallen.candidate for fallen in slate.dropped}
    return {**dropped, **live}[name], name in live


def dollars(amount: Amount, point: Point) -> Fraction:
    """Returns what an amount comes to for a request."""
    n, h, m = point.sizes
    input_tokens = {"n": n, "h": h, "m": 0}[amount.axis]
    return Fraction(amount.a * input_tokens + amount.b * m + amount.c, 10**40)


def points_of(cell: Cell, chance: random.Random) -> list[Point]:
    """Returns a few requests of a cell, those at its ends included."""
    points = list(cell.ends())
    for _ in range(4):
        part = cell.take(Line(("n", -1, 0), -chance.randint(1, 30)), Line(("h", -1, 0), -chance.randint(1, 90)))
        points += [] if part is None else part.ends()
    return points


@pytest.mark.untraced
@settings(max_examples=120)
@given(st.integers(0, 2**32))
def test_conditions_and_lines_are_what_the_router_computes(seed: int) -> None:
    """Whether a model can serve, what it costs and at most costs, is the same by conditions and by the router."""
    chance = random.Random(seed)
    try:
        world = world_of(random_config(chance))
    except ConfigError:
        return
    name = chance.choice(sorted(world.catalog))
    figures = world.figures[name]
    start = world.space(Asked()).all().take(Line(("n", 1, 0), 600), Line(("m", 0, 1), 600))

    def read(cell: Cell) -> tuple[Any, Any, Any, Any]:
        return tuple(figures.able(cell)), figures.expected(cell), figures.worst(cell), cell

    for cell, (able, expected, worst, _) in list(walk(start, read))[:60]:
        for point in points_of(cell, chance):
            candidate, live = candidate_of(world, name, point)
            assert all(holds(condition, point) for condition in able) == live
            assert candidate.expected_usd == (None if expected is None else _decimal(dollars(expected, point)))
            highest = None if worst is None else max((dollars(one, point) for one in worst), default=Fraction(0))
            assert candidate.worst_usd == (None if highest is None else _decimal(highest))


def _decimal(amount: Fraction) -> Decimal:
    return Decimal(amount.numerator) / Decimal(amount.denominator)


@pytest.mark.untraced
@settings(max_examples=80)
@given(st.integers(0, 2**32))
def test_ranges_hold(seed: int) -> None:
    """No request that a model can serve costs less or more there than the range of its cell says."""
    chance = random.Random(seed)
    try:
        world = world_of(random_config(chance))
    except ConfigError:
        return
    name = chance.choice(sorted(world.catalog))
    figures = world.figures[name]
    least = chance.randint(1, 9)
    cell = (
        world.space(Asked())
        .all()
        .take(Line(("n", -1, 0), -least), Line(("n", 1, 0), least + chance.randint(0, 40)), Line(("m", 0, 1), 40))
    )
    assert cell is not None
    if chance.random() < 0.5:
        cell = cell.take(Among(need("tools"), frozenset((False,)))) or cell
    for what in ("expected", "worst"):
        known = figures.range(what, cell)
        for part, conditions in walk(cell, lambda one: tuple(figures.able(one))):
            able = part.take(*conditions)
            for point in [] if able is None else points_of(able, chance):
                candidate, live = candidate_of(world, name, point)
                amount = candidate.expected_usd if what == "expected" else candidate.worst_usd
                assert live
                if known is not None:
                    assert amount is not None
                    assert known[0] <= Fraction(amount) <= known[1]


@pytest.mark.parametrize("what", ["expected", "worst"])
def test_a_range_that_is_not_known(what: Any) -> None:
    """A model without a price has no range of costs; nor one whose output nothing limits a range of worst costs."""
    world = world_of({"models": {"a": MODEL, "b": MODEL | RATES}, "unpriced": "allow"})
    cell = world.space(Asked()).all()
    assert world.figures["a"].range(what, cell) is None
    assert (world.figures["b"].range(what, cell) is None) == (what == "worst")


def test_a_model_is_dead_where_it_plainly_is() -> None:
    """A model that lacks what every request of a cell needs can serve none of them."""
    world = world_of({"models": {"a": MODEL | RATES}})
    cell = world.space(Asked()).all()
    seeing = cell.take(Among(need("vision"), frozenset((True,))))
    assert seeing is not None
    assert world.figures["a"].dead(seeing)
    assert not world.figures["a"].dead(cell)


def test_more_digits_than_are_compared() -> None:
    """An amount with more digits than costs are compared in is refused, not rounded."""
    assert whole(Decimal("1e-40")) == 1
    with pytest.raises(TooFine, match="digits"):
        whole(Decimal("1e-41"))


def test_figures_are_read_off_once() -> None:
    """What was computed for a model once is remembered, for all cells."""
    world = world_of({"models": {"a": MODEL | RATES}})
    figures: Figures = world.figures["a"]
    cell = world.space(Asked()).all()
    assert figures.range("expected", cell) == figures.range("expected", cell)
