"""Small models for short requests, large models for long ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, MinLen

from policies.cheapest import by_cost
from router import Catalog, Context, Slate, statics


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """The models for requests of up to so many tokens.

    Attributes:
        models: names.
        up_to_tokens: inclusive; None takes every request that no tier before it takes.
    """

    models: Annotated[tuple[str, ...], MinLen(1)]
    up_to_tokens: Annotated[int, Ge(1)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenTiers:
    """Keeps the models of the first tier that takes the request, then those of the fallback list; drops the others.

    A request's tokens are exact where they were counted, which the router does when the estimate straddles a limit;
    a request above the last limit has the fallback list alone.

    Example:
        ```toml
        [policies.default]
        kind = "token_tiers"
        tiers = [
          { up_to_tokens = 500, models = ["small"] },
          { up_to_tokens = 2000, models = ["medium"] },
          { models = ["large"] },
        ]
        fallback = ["medium", "large"]
        ```

    Attributes:
        tiers: limits ascending; the last may have none.
        fallback: names of the models that stand by for every tier, in the order to ask them.
        measure: "input" tokens, or "total": input and the largest output that the request allows, or, where it allows
            any, the largest output that is expected of a model.
        order: how the models of a tier are ordered: "cheapest" first by expected cost, or as "listed".
    """

    tiers: Annotated[tuple[Tier, ...], MinLen(1)]
    fallback: tuple[str, ...] = ()
    measure: Literal["input", "total"] = "input"
    order: Literal["cheapest", "listed"] = "cheapest"
    kind: Literal["token_tiers"] = "token_tiers"

    def reads_stats(self) -> bool:
        """Returns False: what a model did before does not count here."""
        return False

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        """Returns the slate with the tier's models live, and the fallback models behind them."""
        tokens = self._tokens(slate, context)
        for index, tier in enumerate(self.tiers):
            if tier.up_to_tokens is None or tokens <= tier.up_to_tokens:
                names = (*self._ordered(tier, slate), *self.fallback)
                return slate.pick(names, by=self.kind, reason=f"is not in {self._label(index)}, which takes {tokens}")
        reason = f"{tokens} tokens are above the last tier's {self.tiers[-1].up_to_tokens}, and it is no fallback"
        return slate.pick(self.fallback, by=self.kind, reason=reason)

    def problems(self, catalog: Catalog, /) -> Iterator[str]:
        """Yields limits that do not ascend, tiers behind one without a limit, and unknown models."""
        highest, where = 0, 0
        for index, tier in enumerate(self.tiers):
            if self.tiers[where].up_to_tokens is None and index > where:
                yield f"tiers[{index}]: no request can reach it, since tiers[{where}] has no limit and takes all"
            elif tier.up_to_tokens is None:
                where = index
            elif tier.up_to_tokens <= highest:
                yield (
                    f"tiers[{index}].up_to_tokens: {tier.up_to_tokens} is not above the {highest} of tiers[{where}], "
                    f"so no request can reach it; limits must ascend"
                )
            else:
                highest, where = tier.up_to_tokens, index
            yield from statics.misnamed(
                ((f"tiers[{index}].models[{place}]", name) for place, name in enumerate(tier.models)), catalog
            )
        yield from statics.misnamed(((f"fallback[{i}]", name) for i, name in enumerate(self.fallback)), catalog)

    def token_limits(self) -> Iterable[int]:
        """Returns the tiers' limits, where they are limits of the input."""
        return self._limits() if self.measure == "input" else ()

    def total_token_limits(self) -> Iterable[int]:
        """Returns the tiers' limits, where they are limits of input and output together."""
        return self._limits() if self.measure == "total" else ()

    def may_leave(self, catalog: Catalog, /) -> Iterable[str]:
        """Returns the models of all tiers and the fallback list."""
        return (*(name for tier in self.tiers for name in tier.models), *self.fallback)

    def _limits(self) -> tuple[int, ...]:
        return tuple(tier.up_to_tokens for tier in self.tiers if tier.up_to_tokens is not None)

    def _tokens(self, slate: Slate, context: Context) -> int:
        features = context.features
        if self.measure == "input":
            return features.measured_tokens
        output = features.output_tokens_most
        if output is None:
            # Over the dropped ones too, so that the tier does not depend on which policies came before.
            everyone = (*slate.live, *(dropped.candidate for dropped in slate.dropped))
            output = max((candidate.expected_output_tokens for candidate in everyone), default=0)
        return features.measured_tokens + output * features.choices

    def _ordered(self, tier: Tier, slate: Slate) -> Iterable[str]:
        if self.order == "listed" or len(tier.models) == 1:
            return tier.models
        members = frozenset(tier.models)
        ranked = sorted((c for c in slate.live if c.model.name in members), key=by_cost)
        return [candidate.model.name for candidate in ranked]

    def _label(self, index: int) -> str:
        limit = self.tiers[index].up_to_tokens
        span = "any number of" if limit is None else f"up to {limit}"
        return f"tier {index + 1} of {len(self.tiers)} ({span} {self.measure} tokens)"
