"""Whole numbers in three dimensions, between linear bounds: is there a request of such a size, and the smallest?

A request has `n` input tokens (as limits of policies measure them), at most `h` (as windows and worst costs do), and
asks for up to `m` of output. All that is ever compared is linear in `n` and `m`, or in `h` and `m`; so for a given `m`
the two others lie in intervals, and the `m` for which these are not empty lie in one too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import gcd
from typing import Final, Literal

Axis = Literal["n", "h", "m"]
Side = tuple[Axis, int, int]
"""Coefficients of a bound: `a` of n or h, `b` of m."""
Sizes = tuple[int, int, int]
"""n, h and m of one request."""

MOST: Final = 10**9
"""More tokens than any request has."""
Spread = tuple[int, int]
"""The upper bound of the input is at most so many times the likely count, and so many tokens."""
ESTIMATED: Final[Spread] = 8, 64
"""Of what the router estimates: no script is counted below 0.13 tokens a byte, an image of unknown size as 800 of at
most 5,000 tokens."""
CERTAIN: Final[Spread] = 1, 0
"""Of inputs whose length is certain."""
TRIED_MOST: Final = 20_000


class TooFine(ValueError):
    """Bounds between which whole numbers are too rare to be found by trying."""


@dataclass(frozen=True, slots=True)
class Line:
    """`a` times n or h, plus `b` times m, is at most `c`. Make it by `line`, which divides out what they share."""

    side: Side
    most: int

    def holds(self, sizes: Sizes, /) -> bool:
        """Returns whether a request is within it."""
        axis, a, b = self.side
        n, h, m = sizes
        match axis:
            case "n":
                return a * n + b * m <= self.most
            case "h":
                return a * h + b * m <= self.most
            case "m":
                return b * m <= self.most

    @property
    def opposite(self) -> Line:
        """What holds of whole numbers exactly where it does not."""
        axis, a, b = self.side
        return Line((axis, -a, -b), -self.most - 1)


Bound = Line | bool
"""A bound; or a truth value, where no request makes a difference."""


def line(axis: Axis, a: int, b: int, most: int, /) -> Bound:
    """Returns the bound a·axis + b·m <= most in its simplest form."""
    if axis == "m" or a == 0:
        axis, a = "m", 0
    shared = gcd(a, b)
    if shared == 0:
        return most >= 0
    return Line((axis, a // shared, b // shared), most // shared)


def opposite(bound: Bound, /) -> Bound:
    """Returns what holds of requests exactly where a bound does not."""
    return not bound if isinstance(bound, bool) else bound.opposite


Bounds = Mapping[Side, int]
"""Lines by their sides, of each the tightest."""


def within(sizes: Sizes, bounds: Bounds, /) -> bool:
    """Returns whether sizes keep all bounds."""
    return all(Line(side, most).holds(sizes) for side, most in bounds.items())


def smallest(bounds: Bounds, /, *, spread: Spread | None) -> Sizes | None:
    """Returns the sizes within all bounds with the least m, then the least n, then the least h; None without any.

    Args:
        bounds: with least and most m.
        spread: how far `h` can be from `n`; None is any distance.

    Raises:
        TooFine: there may be some, but they could not be found.
    """
    least, most = _outputs(bounds, spread=spread)
    for tried, m in enumerate(range(least, most + 1)):
        sizes = _at(bounds, m, spread=spread)
        if sizes is not None:
            return sizes
        if tried == TRIED_MOST:
            raise TooFine("no whole numbers were found between bounds that lie very close together")
    return None


def largest(bounds: Bounds, /, *, spread: Spread | None) -> Sizes | None:
    """Returns sizes within all bounds with the least m, and then the most n and the least h; None without any."""
    first = smallest(bounds, spread=spread)
    if first is None:
        return None
    m = first[2]
    _, n_most, h_least, h_most = _intervals(bounds, m)
    n = min(n_most, h_most)
    return n, max(n, h_least), m


def _at(bounds: Bounds, m: int, *, spread: Spread | None) -> Sizes | None:
    if any(side[2] * m > most for side, most in bounds.items() if side[0] == "m"):
        return None
    n_least, n_most, h_least, h_most = _intervals(bounds, m)
    n = n_least if spread is None else max(n_least, -((spread[1] - h_least) // spread[0]))
    if n > min(n_most, h_most) or h_least > h_most:
        return None
    return n, max(n, h_least), m


def _intervals(bounds: Bounds, m: int) -> tuple[int, int, int, int]:
    """Returns the least and the most n, and the least and the most h."""
    least = {"n": 1, "h": 1}
    most = {"n": MOST, "h": MOST}
    for (axis, a, b), limit in bounds.items():
        if axis == "m":
            continue
        room = limit - b * m
        if a > 0:
            most[axis] = min(most[axis], room // a)
        else:
            least[axis] = max(least[axis], -(room // -a))
    return least["n"], most["n"], least["h"], most["h"]


def _outputs(bounds: Bounds, *, spread: Spread | None) -> tuple[int, int]:
    """Returns the least and the most m for which there are fractions within all bounds; no range where there are none.

    Each lower and each upper bound of n or h that must not cross give one bound of m.
    """
    least, most = 0, MOST
    for side, limit in bounds.items():
        if side[0] == "m":
            if side[2] > 0:
                most = min(most, limit // side[2])
            else:
                least = max(least, -(limit // -side[2]))
    for slope, limit in _crossings(bounds, spread=spread):
        if slope > 0:
            most = min(most, limit // slope)
        elif slope < 0:
            least = max(least, -(limit // -slope))
        elif limit < 0:
            return 1, 0
    return least, most


def _crossings(bounds: Bounds, *, spread: Spread | None) -> Iterator[tuple[int, int]]:
    """Yields (slope, limit) with slope·m <= limit for each pair of bounds that must not cross."""
    lows: list[tuple[Axis, int, int, int]] = [("n", 1, 0, -1), ("h", 1, 0, -1)]
    highs: list[tuple[Axis, int, int, int]] = [("n", 1, 0, MOST), ("h", 1, 0, MOST)]
    for (axis, a, b), limit in bounds.items():
        if axis != "m":
            (lows if a < 0 else highs).append((axis, abs(a), b, limit))
    for low, a1, b1, c1 in lows:  # the axis is at least (b1·m - c1) / a1
        for high, a2, b2, c2 in highs:  # and at most (c2 - b2·m) / a2
            if low == "h" and high == "n":
                if spread is not None:
                    times, more = spread
                    yield a2 * b1 + times * a1 * b2, times * a1 * c2 + a2 * c1 + more * a1 * a2
            else:
                yield a2 * b1 + a1 * b2, a1 * c2 + a2 * c1
