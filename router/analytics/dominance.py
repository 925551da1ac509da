"""Which models of a catalog nobody needs: another one does all that they do, at least as well and for no more money."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

from router.core.catalog import Catalog, Charges, Model, Price, Tier

_CLASSES = tuple(name for name in Charges.__dataclass_fields__ if not name.startswith("any_"))


def dominated(catalog: Catalog, /) -> Mapping[str, str]:
    """Returns models that another is preferable to in every respect, by name, each with the name of that other.

    The other is at least as good in quality, window, largest output and capabilities, is no dearer in any token class
    at any size of request, and is better in one of these at least. A model without a known price is never compared, nor
    are two that stand in different regions. Of two that are equal in all respects neither is dominated.
    """
    found: dict[str, str] = {}
    for name, model in sorted(catalog.items()):
        better = next((other.name for other in _others(catalog, name) if _dominates(other, model)), None)
        if better is not None:
            found[name] = better
    return found


def _others(catalog: Catalog, name: str) -> Iterator[Model]:
    return (other for other_name, other in sorted(catalog.items()) if other_name != name)


def _dominates(other: Model, model: Model) -> bool:
    return _no_worse(other, model) and not _no_worse(model, other)


def _no_worse(one: Model, other: Model) -> bool:
    """Returns whether `one` can stand in for `other` everywhere and never costs more; unknown is never no worse."""
    return (
        one.region == other.region
        and other.capabilities <= one.capabilities
        and _at_least(one.quality, other.quality)
        and _at_least(one.context_window_tokens, other.context_window_tokens)
        and _at_least(one.max_output_tokens, other.max_output_tokens)
        and _no_dearer(one.price, other.price)
    )


def _at_least(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return one >= other


def _no_dearer(one: Price | None, other: Price | None) -> bool:
    if one is None or other is None:
        return False
    flat = (
        one.request_usd <= other.request_usd
        and one.request_most_usd <= other.request_most_usd
        and one.search_usd <= other.search_usd
    )
    services = {None, *one.service, *other.service}
    return flat and all(_cheaper_table(_tiers(one, s), _tiers(other, s)) for s in services)


def _tiers(price: Price, service: str | None) -> tuple[Tier, ...]:
    return price.tiers if service is None else price.service.get(service, price.tiers)


def _cheaper_table(one: tuple[Tier, ...], other: tuple[Tier, ...]) -> bool:
    sizes = {tier.above_tokens for tier in (*one, *other)}
    return all(_cheaper_rates(_charges_at(one, size), _charges_at(other, size)) for size in sizes)


def _charges_at(tiers: tuple[Tier, ...], above_tokens: int) -> Charges | None:
    return next((t.charges for t in reversed(tiers) if t.above_tokens <= above_tokens), None)


def _cheaper_rates(one: Charges | None, other: Charges | None) -> bool:
    if one is None or other is None:
        return False
    return all(_rate(one, name) <= _rate(other, name) for name in _CLASSES)


def _rate(charges: Charges, name: str) -> Decimal:
    rate: Decimal = getattr(charges, name)
    return rate
