"""Cheapest first: by what this request is expected to cost, not by list price."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Literal

from router import Candidate, Context, Slate

UNKNOWN = Decimal("Infinity")
"""Where a cost nobody knows is sorted: behind every cost that is known, since unknown is never free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cheapest:
    """Ranks by the expected cost of this request; drops nothing. Ties break by name, unknown costs come last.

    Example:
        ```toml
        [policies.default]
        kind = "cheapest"
        ```
    """

    kind: Literal["cheapest"] = "cheapest"
    promises: ClassVar[frozenset[str]] = frozenset({"ranker", "cheapest"})

    def reads_stats(self) -> bool:
        """Returns False: what a model did before does not count here."""
        return False

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        """Returns the slate with the candidate that is expected to cost least in front."""
        return Slate(tuple(sorted(slate.live, key=by_cost)), slate.dropped)

    def never_empties(self) -> bool:
        """Returns True: it drops nothing."""
        return True


def by_cost(candidate: Candidate, /) -> tuple[Decimal, str]:
    """Returns what to sort by for cheapest first: the expected cost, then the name."""
    cost = candidate.expected_usd
    return (UNKNOWN if cost is None else cost, candidate.model.name)
