"""What a logged model is, and costs: by the configuration where that has it, else by the price map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from router.core.catalog import Charges, Model, Price
from router.core.money import EXACT
from router.errors import ConfigError
from router.prices.catalog import build_model
from router.prices.litellm_map import PriceMap

_KEPT_MOST: Final = 10_000
"""Models that are remembered: a log may have as many as it likes, and most of it has a few."""


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
    _known: dict[tuple[str | None, str | None], Model | None] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def of(self, name: str | None, model_id: str | None, /) -> Price | None:
        """Returns the price of a logged model; None where it is unknown."""
        model = self.model(name, model_id)
        return None if model is None else model.price

    def model(self, name: str | None, model_id: str | None, /) -> Model | None:
        """Returns what a logged model is today; None where nobody knows it.

        A name means the catalog's model only while that is still the model which the log says it was.
        """
        asked = (name, model_id)
        if asked not in self._known:
            if len(self._known) >= _KEPT_MOST:
                self._known.clear()
            self._known[asked] = self._look(name, model_id)
        return self._known[asked]

    def _look(self, name: str | None, model_id: str | None) -> Model | None:
        named = self.catalog.get(name or "")
        if named is not None and model_id in {None, named.id}:
            return named
        wanted = model_id or name
        if not wanted:
            return None
        same = next((model for model in self.catalog.values() if model.id == wanted), None)
        return _of_map(wanted, self.price_map) if same is None else same


def _of_map(model_id: str, prices: PriceMap) -> Model | None:
    """Returns what the map has under exactly this id; None where that is nothing."""
    try:
        return build_model(model_id, {"id": model_id}, prices)
    except ConfigError:  # it is not there, or cannot be asked without more, such as the address of an Azure resource
        row = prices.row(model_id)
    if row is None:
        return None
    return Model(
        name=model_id,
        id=row.id,
        provider=row.provider,
        client="",
        price=row.price,
        context_window_tokens=row.context_window_tokens,
        max_output_tokens=row.max_output_tokens,
        capabilities=row.capabilities,
        region=row.region,
    )


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
