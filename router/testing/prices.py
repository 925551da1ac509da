"""`check_prices`: what holds of every source of price rows, tried on each of its ids.

    def test_my_prices():
        check_prices(PriceMap(rows, "prices of ACME"))

A source is whatever has `row`, as `router.prices.litellm_map.PriceMap`. The rules are plain functions:
`rule(prices, model_id)` raises a `Breach`, or does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from decimal import Decimal
from typing import Any, Final, Protocol

from router.core.catalog import Price, Rates, Tier
from router.prices.litellm_row import MapRow
from router.testing.trial import Breach

__tracebackhide__ = True  # pytest shows the test's own line, and what it was told

_WHERE: Final = "router/prices/litellm_map.py"


class Prices(Protocol):
    """Where price rows come from."""

    def row(self, model_id: str) -> MapRow | None:
        """Returns the row of exactly this chat model, or None."""
        ...


Rule = Callable[[Prices, str], None]


def check_prices(prices: Prices, /, *, ids: Iterable[str] | None = None) -> None:
    """Tries every rule on each id of a source.

    Args:
        prices: the source.
        ids: of models; None takes the keys of its `rows`.

    Raises:
        Breach: a rule is broken; an AssertionError that names the id and shows the call.
    """
    wanted: Any = getattr(prices, "rows", ()) if ids is None else ids
    for model_id in sorted(wanted):
        for rule in PRICE_RULES:
            rule(prices, model_id)


def knows_exact_names(prices: Prices, model_id: str, /) -> None:
    """A name that is nearly one of its own has no row: a guess would charge the wrong price, or none."""
    if _row(knows_exact_names, prices, model_id) is None:
        return
    for near in (f"{model_id}-of-tomorrow", f"x{model_id}", f"{model_id} ", ""):
        if (row := _row(knows_exact_names, prices, near)) is not None:
            raise _breach(knows_exact_names, near, f"row({near!r}) is that of {row.key!r}")


def answers_alike(prices: Prices, model_id: str, /) -> None:
    """The same name has the same row each time."""
    if _row(answers_alike, prices, model_id) != _row(answers_alike, prices, model_id):
        raise _breach(answers_alike, model_id, f"row({model_id!r}) was another one the second time")


def charges_no_less_than_nothing(prices: Prices, model_id: str, /) -> None:
    """Every amount is a `Decimal` of at least 0: no float, no NaN, nothing negative."""
    for name, amount in _amounts(_price(charges_no_less_than_nothing, prices, model_id)):
        if not isinstance(amount, Decimal) or not amount.is_finite() or amount < 0:
            says = f"{name} of {model_id!r} is {amount!r}"
            raise _breach(charges_no_less_than_nothing, model_id, says)


def calls_nothing_free(prices: Prices, model_id: str, /) -> None:
    """A model whose input and output cost nothing, and no request does, is one of unknown price: `price` is None."""
    price = _price(calls_nothing_free, prices, model_id)
    if price is not None and not any(amount for _, amount in _amounts(price)):
        raise _breach(calls_nothing_free, model_id, f"everything about {model_id!r} costs 0")


def orders_its_tiers(prices: Prices, model_id: str, /) -> None:
    """Tiers ascend, and the first holds from no tokens on, for every service tier."""
    price = _price(orders_its_tiers, prices, model_id)
    for tiers in [] if price is None else [price.tiers, *price.service.values()]:
        starts = [tier.above_tokens for tier in tiers]
        if not starts or starts[0] != 0 or starts != sorted(set(starts)):
            raise _breach(orders_its_tiers, model_id, f"tiers of {model_id!r} begin at {starts}")


def states_windows_above_nothing(prices: Prices, model_id: str, /) -> None:
    """A context window and a largest output are positive, or None where they are unknown."""
    row = _row(states_windows_above_nothing, prices, model_id)
    for name in () if row is None else ("context_window_tokens", "max_output_tokens"):
        size = getattr(row, name)
        if size is not None and (not isinstance(size, int) or size <= 0):
            raise _breach(states_windows_above_nothing, model_id, f"{name} of {model_id!r} is {size!r}")


PRICE_RULES: Final[tuple[Rule, ...]] = (
    answers_alike,
    knows_exact_names,
    charges_no_less_than_nothing,
    orders_its_tiers,
    calls_nothing_free,
    states_windows_above_nothing,
)


def _row(rule: Rule, prices: Prices, model_id: str) -> MapRow | None:
    try:
        row: Any = prices.row(model_id)
    except Exception as error:
        raise _breach(rule, model_id, f"row({model_id!r}) raised {error!r}") from error
    if row is not None and not isinstance(row, MapRow):
        raise _breach(rule, model_id, f"row({model_id!r}) is a {type(row).__name__}, and no MapRow")
    return row


def _price(rule: Rule, prices: Prices, model_id: str) -> Price | None:
    row = _row(rule, prices, model_id)
    return None if row is None else row.price


def _amounts(price: Price | None) -> Iterator[tuple[str, Any]]:
    """Yields every amount that a price states, by name."""
    if price is None:
        return
    for tiers in (price.tiers, *price.service.values()):
        for tier in tiers:
            yield from _stated(tier)
    yield from ((name, getattr(price, name)) for name in ("request_usd", "request_most_usd", "search_usd"))


def _stated(tier: Tier) -> Iterator[tuple[str, Any]]:
    for field in fields(Rates):
        amount = getattr(tier.rates, field.name)
        if amount is not None:
            yield field.name, amount


def _breach(rule: Rule, model_id: str, says: str) -> Breach:
    name = rule.__name__
    code = f"from router.testing.prices import {name}\n\n{name}(prices, {model_id!r})  # prices: as the check got them"
    return Breach(name, says, promise=f"{rule.__doc__} ({_WHERE})", code=code)
