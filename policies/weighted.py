"""A split by weight, for canaries and comparisons; the same seed and request id draw the same share."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from annotated_types import Gt, Le, MinLen

from router import Candidate, Catalog, Context, Policy, Slate, statics


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One side of a split: a model or a policy, and how often it is drawn.

    Attributes:
        weight: relative to the sum of all weights.
        model: the name of a model; or else
        use: the name of a policy, or an inline table.
    """

    weight: Annotated[float, Gt(0), Le(1_000_000_000)]
    model: str | None = None
    use: Policy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighted:
    """Draws one share of the split for each request, by weight.

    The draw follows from the router's seed and the request's id: under the same seed, requests with the same id draw
    the same share. Where a request sets no id, it has a new one, and draws anew; so a canary for certain users sets
    one id for each of them, or stands behind a rule. A share without a live candidate counts as if it were not there:
    the requests that drew it are shared out among the others by their weights, which keep their own.

    Example:
        ```toml
        [policies.default]
        kind = "weighted"
        split = [
          { weight = 95, model = "medium" },
          { weight = 5, use = { kind = "fallback", models = ["large", "medium"] } },
        ]
        others = "follow"
        ```

    Attributes:
        split: the shares.
        others: whether the shares that were not drawn "follow" as fallbacks, in the order of the list, or "drop".
    """

    split: Annotated[tuple[Share, ...], MinLen(1)]
    others: Literal["follow", "drop"] = "follow"
    kind: Literal["weighted"] = "weighted"

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        """Returns the slate that the drawn share leaves, and behind it, if wanted, what the others leave."""
        shares, draw = list(range(len(self.split))), context.draw
        while True:
            place, draw = _draw([self.split[index].weight for index in shares], draw)
            chosen = shares.pop(place)
            # The draw's place within the share is the next draw: handed down as it came, it would hold in a split
            # inside this share only for those of its shares that lie at the same end.
            within = replace(context, draw=draw)
            drawn = self._apply(chosen, slate, within)
            if drawn.live or not shares:
                break
        if self.others == "drop":
            return drawn
        live: dict[str, Candidate] = {}
        others = (self._apply(index, slate, within) for index in range(len(self.split)) if index != chosen)
        for result in (drawn, *others):
            for candidate in result.live:
                live.setdefault(candidate.model.name, candidate)
        return Slate(tuple(live.values()), tuple(fallen for fallen in drawn.dropped if fallen.name not in live))

    def problems(self, catalog: Catalog, /) -> Iterator[str]:
        """Yields shares that name nothing or too much, and unknown models."""
        for index, share in enumerate(self.split):
            if (share.model is None) == (share.use is None):
                yield f"split[{index}]: must have either a model or a policy to use, and not both"
        named = ((f"split[{i}].model", share.model) for i, share in enumerate(self.split) if share.model is not None)
        yield from statics.misnamed(named, catalog)

    def reads_stats(self) -> bool:
        """Returns False: those inside it may."""
        return False

    def may_leave(self, catalog: Catalog, /) -> Iterator[str]:
        """Yields the models of all shares."""
        for share in self.split:
            if share.use:
                yield from statics.may_leave(share.use, catalog)
            elif share.model:
                yield share.model

    def never_empties(self) -> bool:
        """Returns whether one of its policies never does: the draw passes shares without a live candidate by."""
        return any(share.use is not None and statics.never_empties(share.use) for share in self.split)

    def _apply(self, index: int, slate: Slate, context: Context) -> Slate:
        share = self.split[index]
        if share.use is not None:
            return share.use(slate, context)
        reason = f"this request drew share {index + 1} of {len(self.split)}, the model {share.model}"
        return slate.pick((share.model or "",), by=self.kind, reason=reason)


def _draw(weights: Sequence[float], draw: float) -> tuple[int, float]:
    """Returns the index of the drawn weight, and where within it the draw fell, in [0, 1) and as even as the draw."""
    left, index = draw * sum(weights), 0
    while left >= weights[index] and index + 1 < len(weights):
        left -= weights[index]
        index += 1
    return index, min(left / weights[index], math.nextafter(1, 0))  # sums of floats may end a little past the last
