"""A floor under the quality prior."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Le

from router import Catalog, Context, Slate


@dataclass(frozen=True, slots=True, kw_only=True)
class MinQuality:
    """Drops models whose quality prior is below the floor.

    Example:
        ```toml
        [policies.default]
        kind = "min_quality"
        quality = 0.8
        ```

    Attributes:
        quality: in [0, 1], inclusive; the share of this application's requests that a model must answer well.
        unknown: whether to "drop" or "keep" models without a prior.
    """

    quality: Annotated[float, Ge(0), Le(1)]
    unknown: Literal["drop", "keep"] = "drop"
    kind: Literal["min_quality"] = "min_quality"
    promises: ClassVar[frozenset[str]] = frozenset({"filter", "quality"})

    def reads_stats(self) -> bool:
        """Returns False: what a model did before does not count here."""
        return False

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        """Returns the slate without the models below the floor."""
        return slate.drop(lambda candidate: self._below(candidate.model.quality), by=self.kind)

    def may_leave(self, catalog: Catalog, /) -> Iterable[str]:
        """Returns the models at or above the floor."""
        return (name for name, model in catalog.items() if self._below(model.quality) is None)

    def _below(self, quality: float | None) -> str | None:
        if quality is None:
            return "its quality is unknown" if self.unknown == "drop" else None
        return f"its quality of {quality:g} is below {self.quality:g}" if quality < self.quality else None
