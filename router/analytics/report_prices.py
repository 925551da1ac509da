"""What a logged model costs: by the configuration where that has it, else by the price map of the installed litellm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from router.core.catalog import Charges, Model, Price
from router.core.money import EXACT
from router.prices.litellm_map import PriceMap


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Sums of tokens over requests that are charged at the same rates; the classes do not overlap."""

    requests: int = 0
    input: int = 0
    cached_input: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Where prices come from.

    Attributes:
        catalog: the models of a configuration, by name.
        price_map: for models that the catalog lacks, by id.
    """

    catalog: Mapping[str, Model] = field(default_factory=dict)
    price_map: PriceMap = field(default_factory=PriceMap)

    def of(self, name: str | None, model_id: str | None, /) -> Price | None:
        """Returns the price of a logged model; None where it is unknown.

        A name means the catalog's model only while that is still the model which the log says it was.
        """
        named = self.catalog.get(name or "")
        if named is not None and model_id in {None, named.id}:
            return named.price
        wanted = model_id or name
        same = next((model for model in self.catalog.values() if model.id == wanted), None)
        if same is not None:
            return same.price
        row = self.price_map.row(wanted) if wanted else None
        return None if row is None else row.price


def steps_of(prices: list[Price | None], /) -> list[int]:
    """Returns every size of input, ascending, above which one of these prices changes."""
    return sorted({tier.above_tokens for price in prices if price is not None for tier in price.tiers} - {0})


def charges_at(price: Price | None, steps: list[int], step: int, /) -> Charges | None:
    """Returns the rates for inputs that are larger than the first `step` of `steps`; None where they are unknown."""
    if price is None:
        return None
    above = steps[step - 1] if step else 0
    return next((tier.charges for tier in reversed(price.tiers) if tier.above_tokens <= above), None)


def cost_of(tokens: Tokens, price: Price, charges: Charges, /) -> Decimal:
    """Returns what these tokens cost."""
    parts = (
        (price.request_usd, tokens.requests),
        (charges.input, tokens.input),
        (charges.cached_input, tokens.cached_input),
        (charges.cache_write, tokens.cache_write),
        (charges.output, tokens.output),
        (charges.reasoning, tokens.reasoning),
    )
    usd = Decimal(0)
    for rate, count in parts:
        usd = EXACT.fma(rate, count, usd)
    return usd
