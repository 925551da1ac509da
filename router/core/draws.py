"""The draws of weighted splits: in which intervals of [0, 1) a policy draws alike, one split inside another.

A policy is a pure function of the slate and the draw, so how likely a request was to be sent where it was sent is no
estimate: it is the width of the intervals in which the policy puts that model first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from router.core.policy import Policy

WAYS_MOST: Final = 300
"""Ways of drawing above which they are not all tried: a split of five shares has 120, since each may be empty."""


class TooManyWays(ValueError):
    """Splits that can be drawn in too many ways for all to be tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Draws between which a policy does not tell.

    Attributes:
        low, high: the first, and where the next way begins.
        draw: one of them, away from both ends.
    """

    low: float
    high: float

    @property
    def draw(self) -> float:
        """The draw in the middle."""
        return (self.low + self.high) / 2

    @property
    def share(self) -> float:
        """How likely a draw is to be one of these."""
        return self.high - self.low


def sequence(weights: Sequence[float], draw: float, /) -> Iterator[tuple[int, float]]:
    """Yields the shares that a split draws, each when those before it have no live candidate, with the draw inside."""
    left = list(range(len(weights)))
    while left:
        place, draw = _draw([weights[index] for index in left], draw)
        yield left.pop(place), draw


def ways_of(policy: Policy, /) -> tuple[Way, ...]:
    """Returns the ways of drawing, in order; together they are all of [0, 1).

    Only the splits that ship with lowfare are looked into: another policy may read the draw as it likes.

    Raises:
        TooManyWays: there would be too many.
    """
    cuts = {0.0, 1.0}
    for cut in _cuts(policy, 0.0, 1.0):
        cuts.add(cut)
        if len(cuts) > WAYS_MOST:
            raise TooManyWays(f"its splits can be drawn in more than {WAYS_MOST} ways")
    return tuple(Way(low=low, high=high) for low, high in pairwise(sorted(cuts)))


def draws_of(policy: Policy, /) -> tuple[float, ...]:
    """Returns draws of which one is drawn as any draw is.

    Raises:
        TooManyWays: there would be too many.
    """
    return tuple(way.draw for way in ways_of(policy))


def shipped_kind(policy: object, /) -> str | None:
    """Returns the kind of a policy that ships with lowfare; None of any other, whatever it calls itself."""
    kind = getattr(policy, "kind", None)
    return kind if isinstance(kind, str) and type(policy).__module__ == f"policies.{kind}" else None


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
