"""Policies that lose, multiply, forge or revive candidates, or return something else than a slate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from router import Candidate, Context, Dropped, Slate


def by_cost(candidate: Candidate) -> tuple[bool, Any, str]:
    """Returns what a sound policy sorts by: known costs first, the lowest in front, ties by name."""
    cost = candidate.expected_usd
    return cost is None, cost or 0, candidate.name


@dataclass(frozen=True, slots=True, kw_only=True)
class LosesTheLast:
    """Keeps the best three, and forgets the others instead of dropping them."""

    kind: Literal["loses_the_last"] = "loses_the_last"

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        return Slate(tuple(sorted(slate.live, key=by_cost))[:3], slate.dropped)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetsTheDropped:
    """Builds a new slate without those that fell before."""

    kind: Literal["forgets_the_dropped"] = "forgets_the_dropped"

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        return Slate(slate.live)


@dataclass(frozen=True, slots=True, kw_only=True)
class AsksTheFirstAgain:
    """Puts the first candidate behind the others once more, as a retry."""

    kind: Literal["asks_the_first_again"] = "asks_the_first_again"

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        return Slate(slate.live + slate.live[:1], slate.dropped)


@dataclass(frozen=True, slots=True, kw_only=True)
class DropsAndKeeps:
    """Notes a drop for the dearest model, and leaves it live all the same."""

    kind: Literal["drops_and_keeps"] = "drops_and_keeps"

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        fallen = tuple(Dropped(c, self.kind, "is dear") for c in sorted(slate.live, key=by_cost)[1:])
        return Slate(slate.live, slate.dropped + fallen)


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiesCandidates:
    """Lowers what each model is expected to write, in a copy."""

    kind: Literal["copies_candidates"] = "copies_candidates"

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        return Slate(tuple(replace(c, expected_output_tokens=1) for c in slate.live), slate.dropped)


@dataclass(frozen=True, slots=True, kw_only=True)
class RevivesTheDropped:
    """Falls back to whoever was dropped when nobody is left."""

    kind: Literal["revives_the_dropped"] = "revives_the_dropped"

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        if slate.live:
            return slate
        return Slate(tuple(fallen.candidate for fallen in slate.dropped))


@dataclass(frozen=True, slots=True, kw_only=True)
class IgnoresTheWindow:
    """Ranks all models there are by cost, those too whose window is too small for the request."""

    kind: Literal["ignores_the_window"] = "ignores_the_window"

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        small = [fallen for fallen in slate.dropped if fallen.reason.startswith("window")]
        everyone = (*slate.live, *(fallen.candidate for fallen in small))
        return Slate(
            tuple(sorted(everyone, key=by_cost)), tuple(fallen for fallen in slate.dropped if fallen not in small)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RewritesReasons:
    """Puts its own name on what others dropped."""

    kind: Literal["rewrites_reasons"] = "rewrites_reasons"

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        return Slate(slate.live, tuple(Dropped(f.candidate, self.kind, "is not wanted") for f in slate.dropped))


@dataclass(frozen=True, slots=True, kw_only=True)
class LosesOneOnMondays:
    """Loses the last candidate, but only of requests that come on a Monday."""

    kind: Literal["loses_one_on_mondays"] = "loses_one_on_mondays"

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        if context.now.weekday() == 0:
            return Slate(slate.live[:-1], slate.dropped)
        return slate


def returns_a_list(slate: Slate, context: Context, /) -> Any:
    """Returns the candidates, best first, and no slate."""
    return sorted(slate.live, key=by_cost)


def returns_nothing(slate: Slate, context: Context, /) -> Any:
    """Forgets to return what it made."""
    slate.drop(lambda _: None, by="returns_nothing")


def returns_lists_in_a_slate(slate: Slate, context: Context, /) -> Slate:
    """Returns a slate whose live candidates are a list, which anyone could change."""
    live: Any = sorted(slate.live, key=by_cost)
    return Slate(live, slate.dropped)


def returns_names(slate: Slate, context: Context, /) -> Slate:
    """Returns a slate of names in place of candidates."""
    live: Any = tuple(sorted(candidate.name for candidate in slate.live))
    return Slate(live, slate.dropped)


def raises_on_an_empty_slate(slate: Slate, context: Context, /) -> Slate:
    """Takes it for granted that somebody is live."""
    best = min(slate.live, key=by_cost)
    return slate.drop(lambda c: None if c is best else "is not the best", by="raises_on_an_empty_slate")


def raises_without_statistics(slate: Slate, context: Context, /) -> Slate:
    """Takes it for granted that each model was tried before."""
    return slate.rank(lambda c: context.stats[c.name].failures)


def raises_on_unknown_quality(slate: Slate, context: Context, /) -> Slate:
    """Compares qualities that may be unknown."""
    return slate.rank(lambda c: -c.model.quality)  # type: ignore[operator]  # the fault
