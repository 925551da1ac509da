"""Filters that do more than drop, and rankers that do more, or less, than rank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from router import Candidate, Context, Slate


@dataclass(frozen=True, slots=True, kw_only=True)
class ReordersInAFilter:
    """Drops models of unknown quality, and sorts the others by the way."""

    kind: Literal["reorders_in_a_filter"] = "reorders_in_a_filter"
    promises: ClassVar[frozenset[str]] = frozenset({"filter"})

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        kept = slate.drop(lambda c: "is of unknown quality" if c.model.quality is None else None, by=self.kind)
        return kept.rank(lambda c: -(c.model.quality or 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class DropsTheWorst:
    """Drops the worst of several models: and of those that are left the worst, when it is asked again."""

    kind: Literal["drops_the_worst"] = "drops_the_worst"
    promises: ClassVar[frozenset[str]] = frozenset({"filter"})

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        if len(slate.live) < 2:
            return slate
        worst = min(slate.live, key=lambda c: (c.model.quality or 0.0, c.name))
        return slate.drop(lambda c: "is the worst" if c is worst else None, by=self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class TogglesTheFirst:
    """A ranker that puts the last one first, each time that it is asked."""

    kind: Literal["toggles_the_first"] = "toggles_the_first"
    promises: ClassVar[frozenset[str]] = frozenset({"filter"})

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        return Slate(slate.live[-1:] + slate.live[:-1], slate.dropped)


@dataclass(frozen=True, slots=True, kw_only=True)
class DropsInARanker:
    """Ranks by cost, and drops what has none."""

    kind: Literal["drops_in_a_ranker"] = "drops_in_a_ranker"
    promises: ClassVar[frozenset[str]] = frozenset({"ranker"})

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        kept = slate.drop(lambda c: "has no cost" if c.expected_usd is None else None, by=self.kind)
        return kept.rank(lambda c: c.expected_usd)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeavesTiesAsTheyCome:
    """Sorts by cost alone: equal costs stay in the order of the configuration."""

    kind: Literal["leaves_ties_as_they_come"] = "leaves_ties_as_they_come"
    promises: ClassVar[frozenset[str]] = frozenset({"ranker"})

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        return Slate(tuple(sorted(slate.live, key=_cost)), slate.dropped)


@dataclass(frozen=True, slots=True, kw_only=True)
class BreaksTiesBackwards:
    """Sorts everything in reverse, the names too."""

    kind: Literal["breaks_ties_backwards"] = "breaks_ties_backwards"
    promises: ClassVar[frozenset[str]] = frozenset({"ranker"})

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        dearest_last = sorted(slate.live, key=lambda c: (not _cost(c)[0], -_cost(c)[1], c.name), reverse=True)
        return Slate(tuple(dearest_last), slate.dropped)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepsTheFirstInFront:
    """Ranks all but the first, which it takes for the caller's choice."""

    kind: Literal["keeps_the_first_in_front"] = "keeps_the_first_in_front"
    promises: ClassVar[frozenset[str]] = frozenset({"ranker"})

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        return Slate((*slate.live[:1], *sorted(slate.live[1:], key=lambda c: (_cost(c), c.name))), slate.dropped)


def _cost(candidate: Candidate) -> tuple[bool, float]:
    cost = candidate.expected_usd
    return cost is None, float(cost or 0)
