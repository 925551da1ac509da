from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.testing.space_linear import (
    CERTAIN,
    MOST,
    Line,
    Sizes,
    Spread,
    TooFine,
    largest,
    line,
    opposite,
    smallest,
    within,
)

END = 9
AXES: Any = st.sampled_from(["n", "h", "m"])
LINES = st.builds(line, AXES, st.integers(-3, 3), st.integers(-3, 3), st.integers(-30, 30))
SPREADS = st.sampled_from([None, CERTAIN, (2, 1)])
SMALL = {("n", 1, 0): END, ("h", 1, 0): END, ("m", 0, 1): END, ("m", 0, -1): 0}


def bounds_of(lines: list[Line | bool]) -> dict[Any, int] | None:
    """Returns bounds with the tightest of each side, in a small space; None where no size keeps them."""
    bounds: dict[Any, int] = dict(SMALL)
    for one in lines:
        if isinstance(one, Line):
            bounds[one.side] = min(one.most, bounds.get(one.side, one.most))
        elif not one:
            return None
    return bounds


def sizes_within(bounds: dict[Any, int], spread: Spread | None) -> list[Sizes]:
    """Returns all sizes within bounds."""
    return [
        (n, h, m)
        for n, h, m in product(range(1, END + 1), range(1, END + 1), range(END + 1))
        if n <= h and (spread is None or h <= spread[0] * n + spread[1]) and within((n, h, m), bounds)
    ]


@settings(max_examples=500)
@given(st.lists(LINES, max_size=5), SPREADS)
def test_the_smallest_is_the_smallest(lines: list[Line | bool], spread: Spread | None) -> None:
    """Sizes are found where there are some, and they are those with the least m, then n, then h."""
    bounds = bounds_of(lines)
    if bounds is None:
        return
    every = sizes_within(bounds, spread)
    expected = min(every, key=lambda sizes: (sizes[2], sizes[0], sizes[1]), default=None)
    assert smallest(bounds, spread=spread) == expected


@settings(max_examples=300)
@given(st.lists(LINES, max_size=4), SPREADS)
def test_the_largest_has_the_most_input(lines: list[Line | bool], spread: Spread | None) -> None:
    """Of the sizes with the least m, it is those with the most n."""
    bounds = bounds_of(lines)
    if bounds is None:
        return
    every = sizes_within(bounds, spread)
    expected = min(every, key=lambda sizes: (sizes[2], -sizes[0], sizes[1]), default=None)
    assert largest(bounds, spread=spread) == expected


@given(LINES, st.tuples(st.integers(1, 20), st.integers(1, 20), st.integers(0, 20)))
def test_a_bound_or_its_opposite_holds(one: Line | bool, sizes: Sizes) -> None:
    """Of a bound and its opposite exactly one holds of any sizes."""
    other = opposite(one)
    if isinstance(one, Line) and isinstance(other, Line):
        assert one.holds(sizes) != other.holds(sizes)
    else:
        assert one != other


@given(AXES, st.integers(-5, 5), st.integers(-5, 5), st.integers(-50, 50), st.integers(1, 7))
def test_a_bound_is_in_its_simplest_form(axis: Any, a: int, b: int, most: int, times: int) -> None:
    """What all its numbers share is divided out, so that equal bounds are recognised."""
    assert line(axis, a * times, b * times, most * times) == line(axis, a, b, most)


def test_a_sliver_without_whole_numbers() -> None:
    """Bounds so close together that trying does not show whether there is a whole number between are refused."""
    a, b = 1_000_003, 999_983
    bounds: dict[Any, int] = {("n", a, -b): 2, ("n", -a, b): -1, ("m", 0, 1): MOST, ("m", 0, -1): -1}
    with pytest.raises(TooFine, match="close together"):
        smallest(bounds, spread=None)
