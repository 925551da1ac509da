"""A ceiling on how long a model has lately taken."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Gt, Le

from router import Catalog, Context, ModelStats, Slate

Seconds = Annotated[float, Gt(0), Le(86_400)]
"""Up to a day: more is a mistake in the unit, and infinity would be no limit."""

UNTRIED = ModelStats()


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxLatency:
    """Drops models whose recent attempts took longer than one of the limits.

    Example:
        ```toml
        [policies.default]
        kind = "max_latency"
        p95_s = 8
        first_token_p50_s = 1.5
        ```

    Attributes:
        p50_s: seconds that half of the attempts may take, inclusive.
        p95_s: seconds that 95 of 100 attempts may take, inclusive.
        first_token_p50_s: seconds to the first token that half of the streamed attempts may take, inclusive.
        unknown: whether to "keep" or "drop" models tried too seldom to say. They are kept unless told otherwise: a
            model that is never asked would stay unknown for ever.
    """

    p50_s: Seconds | None = None
    p95_s: Seconds | None = None
    first_token_p50_s: Seconds | None = None
    unknown: Literal["keep", "drop"] = "keep"
    kind: Literal["max_latency"] = "max_latency"
    promises: ClassVar[frozenset[str]] = frozenset({"filter"})

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        """Returns the slate without the models that were too slow."""
        return slate.drop(lambda c: self._too_slow(context.stats.get(c.model.name, UNTRIED)), by=self.kind)

    def problems(self, catalog: Catalog, /) -> Iterable[str]:
        """Yields the lack of any limit."""
        if self.p50_s is None and self.p95_s is None and self.first_token_p50_s is None:
            yield "has no limit and so drops nothing; set at least one of p50_s, p95_s, first_token_p50_s"

    def _too_slow(self, stats: ModelStats) -> str | None:
        for what, limit, seen in (
            ("median latency", self.p50_s, stats.latency_p50_s),
            ("p95 latency", self.p95_s, stats.latency_p95_s),
            ("median time to the first token", self.first_token_p50_s, stats.first_token_p50_s),
        ):
            if limit is None:
                continue
            if seen is None:
                if self.unknown == "drop":
                    return f"its {what} is unknown"
            elif seen > limit:
                return f"its {what} of {seen:g} s is above {limit:g} s"
        return None
