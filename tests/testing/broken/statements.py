"""Policies that say something of themselves that is not true."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

from router import Catalog, Context, Slate


@dataclass(frozen=True, slots=True, kw_only=True)
class SaysItReadsNoStatistics:
    """Drops slow models, and says that it does not look at how slow they are."""

    kind: Literal["says_it_reads_no_statistics"] = "says_it_reads_no_statistics"

    def reads_stats(self) -> bool:
        return False

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        slow = {name for name, seen in context.stats.items() if (seen.latency_p50_s or 0) > 1}
        return slate.drop(lambda c: "is slow" if c.name in slow else None, by=self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class SaysItNeverEmpties:
    """Keeps models of known quality, and says that there is always one."""

    kind: Literal["says_it_never_empties"] = "says_it_never_empties"

    def never_empties(self) -> bool:
        return True

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        return slate.drop(lambda c: "is of unknown quality" if c.model.quality is None else None, by=self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparesFloats:
    """Keeps the best models, by a comparison of floats that were computed in two ways."""

    kind: Literal["compares_floats"] = "compares_floats"

    def never_empties(self) -> bool:
        return True

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        least_errors = min((1 - (c.model.quality or 0) for c in slate.live), default=0)
        return slate.drop(
            lambda c: None if (c.model.quality or 0) == 1 - least_errors else "is not the best", by=self.kind
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SaysItMayLeaveLess:
    """Was taught a second model, which `may_leave` does not know."""

    kind: Literal["says_it_may_leave_less"] = "says_it_may_leave_less"

    def may_leave(self, catalog: Catalog, /) -> Iterable[str]:
        return ("a",)

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        return slate.pick(("a", "b"), by=self.kind, reason="is not in the list")


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchesUndeclaredPatterns:
    """Looks for an expression that it never asked anyone to match."""

    kind: Literal["matches_undeclared_patterns"] = "matches_undeclared_patterns"

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        wanted = "x" in context.features.matches
        return slate.drop(lambda c: "is not for this" if wanted and c.name == "a" else None, by=self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class InvertsTheFloor:
    """Drops what is good enough, and keeps the rest."""

    quality: float = 0.5
    kind: Literal["inverts_the_floor"] = "inverts_the_floor"
    promises: ClassVar[frozenset[str]] = frozenset({"filter", "quality"})

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        return slate.drop(lambda c: "is too good" if (c.model.quality or 0) > self.quality else None, by=self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class SavesWhereFewAreLeft:
    """Takes the best of many models, and the worst of two."""

    kind: Literal["saves_where_few_are_left"] = "saves_where_few_are_left"
    promises: ClassVar[frozenset[str]] = frozenset({"quality"})

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        sign = -1 if len(slate.live) > 2 else 1
        return slate.rank(lambda c: sign * (c.model.quality or 0))
