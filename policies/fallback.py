"""An ordered chain of models: the first is asked, the next ones stand by."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import MinLen

from router import Catalog, Context, Slate, statics


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """Keeps the listed models, in the order of the list, and drops the others.

    Example:
        ```toml
        [policies.default]
        kind = "fallback"
        models = ["small", "medium", "large"]
        ```

    Attributes:
        models: names, the one to ask first in front.
    """

    models: Annotated[tuple[str, ...], MinLen(1)]
    kind: Literal["fallback"] = "fallback"

    def reads_stats(self) -> bool:
        """Returns False: what a model did before does not count here."""
        return False

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        """Returns the slate with only the listed models live."""
        return slate.pick(self.models, by=self.kind, reason="is not in the chain of models")

    def problems(self, catalog: Catalog, /) -> Iterable[str]:
        """Yields names that no model has, and names that stand in the list twice."""
        return statics.misnamed(((f"models[{i}]", name) for i, name in enumerate(self.models)), catalog)

    def may_leave(self, catalog: Catalog, /) -> Iterable[str]:
        """Returns the listed models."""
        return self.models
