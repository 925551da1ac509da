"""A ceiling on what one attempt may cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from router import Candidate, Context, Slate, Usd


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxCost:
    """Drops models where one attempt at this request costs more than the limit.

    Example:
        ```toml
        [policies.default]
        kind = "max_cost"
        limit_usd = "0.05"
        of = "worst"
        ```

    Attributes:
        limit_usd: inclusive; for one attempt.
        of: which cost is held against it: the "expected" one, or the "worst" that one attempt can have.
        unknown: whether to "drop" or "keep" models whose cost is unknown.
    """

    limit_usd: Usd
    of: Literal["expected", "worst"] = "expected"
    unknown: Literal["drop", "keep"] = "drop"
    kind: Literal["max_cost"] = "max_cost"

    @property
    def promises(self) -> frozenset[str]:
        """What `router.testing.check_policy` holds it to."""
        return frozenset({"filter", "priced"} if self.unknown == "drop" else {"filter"})

    def reads_stats(self) -> bool:
        """Returns False: what a model did before does not count here."""
        return False

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        """Returns the slate without the models that cost too much."""
        return slate.drop(self._too_dear, by=self.kind)

    def _too_dear(self, candidate: Candidate) -> str | None:
        cost = candidate.expected_usd if self.of == "expected" else candidate.worst_usd
        if cost is None:
            return f"its {self.of} cost is unknown" if self.unknown == "drop" else None
        if cost <= self.limit_usd:
            return None
        return f"its {self.of} cost of ${cost:f} is above ${self.limit_usd:f}"
