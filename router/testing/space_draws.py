"""The draws of weighted splits: one for each way in which shares can be drawn, one inside another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

from router.core.policy import Policy
from router.testing.space_world import shipped_kind

WAYS_MOST: Final = 300
"""Ways of drawing above which they are not all tried: a split of five shares has 120, since each may be empty."""


class TooManyWays(ValueError):
    """Splits that can be drawn in too many ways for all to be tried."""


def sequence(weights: Sequence[float], draw: float, /) -> Iterator[tuple[int, float]]:
    """Yields the shares that a split draws, each when those before it have no live candidate, with the draw inside."""
    left = list(range(len(weights)))
    while left:
        place, draw = _draw([weights[index] for index in left], draw)
        yield left.pop(place), draw


def draws_of(policy: Policy, /) -> tuple[float, ...]:
    """Returns draws of which one is drawn as any draw is.

    Raises:
        TooManyWays: there would be too many.
    """
    cuts = {0.0, 1.0}
    for cut in _cuts(policy, 0.0, 1.0):
        cuts.add(cut)
        if len(cuts) > WAYS_MOST:
            raise TooManyWays(f"its splits can be drawn in more than {WAYS_MOST} ways")
    edges = sorted(cuts)
    return tuple((low + high) / 2 for low, high in pairwise(edges))


def _cuts(value: Any, low: float, high: float) -> Iterator[float]:
    """Yields where between two draws what is drawn changes; between them it is drawn from 0 to 1."""
    match shipped_kind(value):
        case "weighted":
            yield from _shares(list(value.split), list(value.split), low, high)
        case "rules":
            for rule in value.rules:
                yield from _cuts(rule.use, low, high)
            yield from _cuts(value.otherwise, low, high)
        case "chain" | "first_of":
            for part in value.policies:
                yield from _cuts(part, low, high)
        case _:
            return


def _shares(left: list[Any], every: list[Any], low: float, high: float) -> Iterator[float]:
    total, at = math.fsum(share.weight for share in left), low
    for share in left:
        end = min(high, at + (high - low) * share.weight / total)
        yield end
        for other in every:
            yield from _cuts(other.use, at, end)
        rest = [other for other in left if other is not share]
        if len(rest) > 1:
            yield from _shares(rest, every, at, end)
        at = end


def _draw(weights: Sequence[float], draw: float) -> tuple[int, float]:
    """Returns the index of the drawn weight, and where within it the draw fell: as `policies.weighted` does."""
    left, index = draw * sum(weights), 0
    while left >= weights[index] and index + 1 < len(weights):
        left -= weights[index]
        index += 1
    return index, min(left / weights[index], math.nextafter(1, 0))
