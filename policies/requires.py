"""Models that can do what this policy's user wants, beyond what the request itself needs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import MinLen

from router import Candidate, Capability, Catalog, Context, Slate


@dataclass(frozen=True, slots=True, kw_only=True)
class Requires:
    """Drops models that lack one of the capabilities.

    What a request needs by its own content (images, tools, a JSON schema) is always required; this is for more, such
    as keeping a conversation on models that could take an image later.

    Example:
        ```toml
        [policies.default]
        kind = "requires"
        capabilities = ["vision", "tools"]
        ```

    Attributes:
        capabilities: every one of them must be there.
    """

    capabilities: Annotated[frozenset[Capability], MinLen(1)]
    kind: Literal["requires"] = "requires"
    promises: ClassVar[frozenset[str]] = frozenset({"filter"})

    def reads_stats(self) -> bool:
        """Returns False: what a model did before does not count here."""
        return False

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        """Returns the slate without the models that lack a capability."""
        return slate.drop(self._lack, by=self.kind)

    def may_leave(self, catalog: Catalog, /) -> Iterable[str]:
        """Returns the models that have every capability."""
        return (name for name, model in catalog.items() if self.capabilities <= model.capabilities)

    def _lack(self, candidate: Candidate) -> str | None:
        if self.capabilities <= candidate.model.capabilities:
            return None
        return f"lacks {', '.join(sorted(self.capabilities - candidate.model.capabilities))}"
