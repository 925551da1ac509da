"""Prices as a configuration states them, laid over those of the map.

A rate that the configuration states holds in every tier: someone who writes down what they pay means what they pay.
`price_tiers` and `price_service` state the tiers themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from decimal import Decimal
from typing import Any, Final

from router.core.catalog import Price, Rates, Tier
from router.errors import ConfigError
from router.prices.litellm_row import MapRow, writes_unasked

_CLASSES: Final = tuple(f.name for f in fields(Rates))
RATE_OPTIONS: Final = tuple(f"{name}_usd_per_mtok" for name in _CLASSES)
"""One key for each token class: `input_usd_per_mtok`, `cache_write_1h_usd_per_mtok`, ..."""

PRICE_OPTIONS: Final = (*RATE_OPTIONS, "request_usd", "search_usd", "price_tiers", "price_service")
"""Keys of `[models.NAME]` that state prices.

`price_tiers` is an array of tables, each with `above_tokens` and rates; `price_service` is a table of tables of rates,
by service tier ("flex", "priority", "batch"). What such a table leaves out is charged as in the standard tier.
"""

Options = Mapping[str, Any]


def states_price(given: Options) -> bool:
    """Says whether the options price a model without the map's help."""
    return "input_usd_per_mtok" in given and "output_usd_per_mtok" in given


def price_with(name: str, given: Options, row: MapRow | None) -> tuple[Price | None, list[str]]:
    """Returns a model's price, None where nobody states one, and the options whose figures come from the map.

    Raises:
        ConfigError: a price lacks the input or the output.
    """
    stated = _rates_in(given)
    price = _regional(row, given.get("region")) if row else None
    from_map = _stated_by(price, given) if price else []
    if price is None and not any(key in given for key in PRICE_OPTIONS):
        return None, []
    if price is None:
        if not states_price(given):
            raise ConfigError(
                f"[models.{name}] states a part of its price, and the price map has no other: "
                f"input_usd_per_mtok and output_usd_per_mtok are both needed"
            )
        provider, _, bare = given["id"].partition("/")
        price = Price(tiers=(Tier(rates=Rates()),), writes_unasked=writes_unasked(bare, provider))
    price = _every_rate(price, lambda rates: replace(rates, **stated))
    base = price.tiers[0].rates
    if "price_tiers" in given:
        price = replace(price, tiers=(price.tiers[0], *_tiers(given["price_tiers"], base)))
    if "price_service" in given:
        own = {s: (Tier(rates=replace(base, **_rates_in(t))),) for s, t in given["price_service"].items()}
        price = replace(price, service={**price.service, **own})
    if "request_usd" in given:
        price = replace(price, request_usd=given["request_usd"], request_most_usd=given["request_usd"])
    if "search_usd" in given:
        price = replace(price, search_usd=given["search_usd"])
    return price, from_map


def _rates_in(table: Options) -> dict[str, Decimal]:
    return {name: table[key] for name, key in zip(_CLASSES, RATE_OPTIONS, strict=True) if key in table}


def _stated_by(price: Price, given: Options) -> list[str]:
    """Returns the options whose figures the map supplies."""
    base = price.tiers[0].rates
    named = [key for name, key in zip(_CLASSES, RATE_OPTIONS, strict=True) if getattr(base, name) is not None]
    named += [key for key in ("request_usd", "search_usd") if getattr(price, key)]
    named += ["price_tiers"] if len(price.tiers) > 1 else []
    named += ["price_service"] if price.service else []
    return [key for key in named if key not in given]


def _regional(row: MapRow, region: str | None) -> Price | None:
    """Returns the row's price where the model is served from: some providers charge a tenth more for a region."""
    factor = row.multipliers.get(region or "")
    if factor is None and region not in {None, "global"}:
        factor = row.multipliers.get("*")
    if row.price is None or factor is None:
        return row.price

    def dearer(rates: Rates) -> Rates:
        known = {name: rate for name in _CLASSES if (rate := getattr(rates, name)) is not None}
        return Rates(**{name: rate * factor for name, rate in known.items()})

    return _every_rate(row.price, dearer)


def _every_rate(price: Price, change: Callable[[Rates], Rates]) -> Price:
    def changed(tiers: tuple[Tier, ...]) -> tuple[Tier, ...]:
        return tuple(Tier(above_tokens=tier.above_tokens, rates=change(tier.rates)) for tier in tiers)

    service = {name: changed(tiers) for name, tiers in price.service.items()}
    return replace(price, tiers=changed(price.tiers), service=service)


def _tiers(tables: Sequence[Options], base: Rates) -> Iterator[Tier]:
    return (Tier(above_tokens=table["above_tokens"], rates=replace(base, **_rates_in(table))) for table in tables)
