"""The first of several policies that leaves a live candidate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import MinLen

from router import Catalog, Context, Policy, Slate, statics


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstOf:
    """Tries its policies in order on the same slate, and takes the first result that has a live candidate.

    Where none has, the last one's result stands, with the reasons of the policy that asked least.

    Example:
        ```toml
        [policies.default]
        kind = "first_of"
        policies = [
          { kind = "min_quality", quality = 0.9 },
          { kind = "min_quality", quality = 0.7 },
          { kind = "cheapest" },
        ]
        ```

    Attributes:
        policies: names or inline tables, the one to try first in front.
    """

    policies: Annotated[tuple[Policy, ...], MinLen(1)]
    kind: Literal["first_of"] = "first_of"

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        """Returns the first slate with a live candidate."""
        result = slate
        for policy in self.policies:
            result = policy(slate, context)
            if result.live:
                break
        return result

    def problems(self, catalog: Catalog, /) -> Iterable[str]:
        """Yields policies that are never tried, since one before them always leaves a candidate."""
        for index, policy in enumerate(self.policies[:-1]):
            if statics.never_empties(policy):
                for later in range(index + 1, len(self.policies)):
                    yield (
                        f"policies[{later}]: no request can reach it, since policies[{index}] always leaves a "
                        f"candidate; put it earlier, or leave it out"
                    )
                return

    def reads_stats(self) -> bool:
        """Returns False: those inside it may."""
        return False

    def may_leave(self, catalog: Catalog, /) -> Iterable[str]:
        """Returns the models that any of its policies may leave."""
        return (name for policy in self.policies for name in statics.may_leave(policy, catalog))

    def never_empties(self) -> bool:
        """Returns whether one of its policies never does."""
        return any(map(statics.never_empties, self.policies))
