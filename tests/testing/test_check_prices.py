"""`check_prices`: the map that ships passes, and each broken source is caught."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from router.core.catalog import Price, Rates, Tier
from router.prices.litellm_map import PriceMap, load_price_map
from router.prices.litellm_row import MapRow
from router.testing.prices import PRICE_RULES, check_prices
from router.testing.trial import Breach

PRICE = Price(tiers=(Tier(rates=Rates(input=Decimal(1), output=Decimal(4))),))
ROW = MapRow(key="acme/m", provider="acme", mode="chat", price=PRICE, context_window_tokens=1_000)


class Source:
    """A source of one row.

    Args:
        row: of the model "acme/m".
        others: the row of every other name.
    """

    def __init__(self, row: Any = ROW, others: Any = None) -> None:
        self.rows = {"acme/m": row}
        self.others = others

    def row(self, model_id: str) -> MapRow | None:
        found = self.rows.get(model_id, self.others)
        if isinstance(found, Exception):
            raise found
        row: MapRow | None = found.pop(0) if isinstance(found, list) else found
        return row


def priced(**changes: Any) -> MapRow:
    """Returns the row with another price."""
    return replace(ROW, price=replace(PRICE, **changes))


def rates(**amounts: Any) -> MapRow:
    """Returns the row with other rates."""
    tier = Tier(rates=Rates(input=Decimal(1), output=Decimal(4)))
    for name, amount in amounts.items():
        # Past the class's own arithmetic, which would refuse what a careless source may hold.
        object.__setattr__(tier.rates, name, amount)
    return priced(tiers=(tier,))


ZERO = Tier(rates=Rates(input=Decimal(0), output=Decimal(0)))
BROKEN = [
    ("knows_exact_names", Source(others=ROW)),
    ("answers_alike", Source([ROW, None])),
    ("answers_alike", Source(OSError("gone"))),
    ("answers_alike", Source({"input": 1})),
    ("charges_no_less_than_nothing", Source(rates(input=Decimal(-1)))),
    ("charges_no_less_than_nothing", Source(rates(output=0.5))),
    ("charges_no_less_than_nothing", Source(rates(output=Decimal("NaN")))),
    ("charges_no_less_than_nothing", Source(priced(search_usd=Decimal(-1)))),
    ("calls_nothing_free", Source(priced(tiers=(ZERO,)))),
    ("orders_its_tiers", Source(priced(tiers=()))),
    ("orders_its_tiers", Source(priced(tiers=(replace(PRICE.tiers[0], above_tokens=1),)))),
    ("orders_its_tiers", Source(priced(service={"flex": (PRICE.tiers[0], PRICE.tiers[0])}))),
    ("states_windows_above_nothing", Source(replace(ROW, context_window_tokens=0))),
]


def test_the_installed_map_passes() -> None:
    """Every row of the map that lowfare uses keeps every promise."""
    check_prices(load_price_map())


def test_sources_with_and_without_ids_pass() -> None:
    """The ids may be given; a source without prices, or without rows, is no broken one."""
    check_prices(Source())
    check_prices(Source(), ids=["acme/m", "acme/n"])
    check_prices(Source(replace(ROW, price=None, context_window_tokens=None)))
    check_prices(PriceMap())


@pytest.mark.parametrize(("rule", "source"), BROKEN)
def test_broken_sources_are_caught(rule: str, source: Source) -> None:
    """A source that breaks a promise is told which, of which model, and the call that shows it again."""
    with pytest.raises(Breach) as caught:
        check_prices(source)
    assert caught.value.rule == rule
    assert caught.value.promise in str(caught.value)
    assert f"{caught.value.rule}(prices, '" in caught.value.code


def test_every_rule_can_be_broken() -> None:
    """For each rule there is a source that breaks it."""
    assert {rule for rule, _ in BROKEN} == {rule.__name__ for rule in PRICE_RULES}
