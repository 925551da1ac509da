"""Several policies, one after the other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import MinLen

from router import Catalog, Context, Policy, Slate, statics


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Applies its policies in order, each to what the one before it left.

    Example:
        ```toml
        [policies.default]
        kind = "chain"
        policies = [
          { kind = "requires", capabilities = ["tools"] },
          { kind = "min_quality", quality = 0.8 },
          { kind = "cheapest" },
        ]
        ```

    Attributes:
        policies: names or inline tables, the one to apply first in front.
    """

    policies: Annotated[tuple[Policy, ...], MinLen(1)]
    kind: Literal["chain"] = "chain"

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        """Returns what the last policy leaves."""
        for policy in self.policies:
            slate = policy(slate, context)
        return slate

    def problems(self, catalog: Catalog, /) -> Iterable[str]:
        """Yields the step after which no model can be left."""
        left = dict(catalog)
        for index, policy in enumerate(self.policies):
            before, left = left, statics.may_leave(policy, left)
            if before and not left and statics.may_leave(policy, catalog):
                yield (
                    f"policies[{index}]: the chain leads nowhere from here: of the models that the steps before it can "
                    f"leave ({', '.join(before)}) it can leave none"
                )

    @property
    def promises(self) -> frozenset[str]:
        """What `router.testing.check_policy` holds it to: to drop only, or to rank only, if all of its policies do."""
        each = [frozenset(getattr(policy, "promises", ())) for policy in self.policies]
        return frozenset({"filter", "ranker"}).intersection(*each)

    def reads_stats(self) -> bool:
        """Returns False: those inside it may."""
        return False

    def may_leave(self, catalog: Catalog, /) -> Iterable[str]:
        """Returns the models that every policy may leave."""
        for policy in self.policies:
            catalog = statics.may_leave(policy, catalog)
        return catalog

    def never_empties(self) -> bool:
        """Returns whether none of its policies does."""
        return all(map(statics.never_empties, self.policies))
