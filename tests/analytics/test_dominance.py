from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.analytics.dominance import dominated
from router.core.catalog import Model, Price, Rates, Tier


def tier(into: str, out: str, above: int = 0) -> Tier:
    """Returns a row of a price table."""
    return Tier(above_tokens=above, rates=Rates(input=Decimal(into), output=Decimal(out)))


def model(name: str, price: Price | None, **more: object) -> Model:
    """Returns a model with a window of 1,000 tokens unless told otherwise."""
    known: dict[str, object] = {"context_window_tokens": 1000, "max_output_tokens": 100} | more
    return Model(name=name, id=f"simulated/{name}", provider="simulated", client="simulated", price=price, **known)  # type: ignore[arg-type]  # fields by name


PLAIN = Price(tiers=(tier("1", "2"),))
GOOD = model("good", PLAIN, quality=0.8, capabilities=frozenset({"tools"}))


def beaten(*models: Model) -> dict[str, str]:
    """Returns what is dominated, and by whom."""
    return dict(dominated({m.name: m for m in models}))


@pytest.mark.parametrize(
    "worse",
    [
        replace(GOOD, name="worse", quality=0.7),
        replace(GOOD, name="worse", context_window_tokens=999),
        replace(GOOD, name="worse", max_output_tokens=99),
        replace(GOOD, name="worse", capabilities=frozenset()),
        replace(GOOD, name="worse", price=Price(tiers=(tier("1", "3"),))),
        replace(GOOD, name="worse", price=Price(tiers=(tier("1", "2"), tier("2", "4", 500)))),
        replace(
            GOOD, name="worse", price=replace(PLAIN, request_usd=Decimal("0.01"), request_most_usd=Decimal("0.01"))
        ),
        replace(GOOD, name="worse", price=replace(PLAIN, search_usd=Decimal("0.01"))),
        replace(GOOD, name="worse", price=replace(PLAIN, service={"flex": (tier("2", "3"),)})),
    ],
)
def test_worse_in_one_respect(worse: Model) -> None:
    """A model that is worse in one respect and better in none is dominated."""
    assert beaten(GOOD, worse) == {"worse": "good"}


@pytest.mark.parametrize(
    "other",
    [
        replace(GOOD, name="other"),
        replace(GOOD, name="other", price=Price(tiers=(tier("0.5", "3"),))),
        replace(GOOD, name="other", quality=0.7, context_window_tokens=2000),
        replace(GOOD, name="other", quality=None),
        replace(GOOD, name="other", quality=0.7, region="eu"),
        replace(GOOD, name="other", quality=0.7, price=None),
        replace(GOOD, name="other", quality=0.7, price=Price(tiers=(Tier(rates=Rates()),))),
        replace(GOOD, name="other", quality=0.7, capabilities=frozenset({"vision"})),
        replace(GOOD, name="other", quality=0.7, price=replace(PLAIN, service={"flex": (tier("0.5", "1"),)})),
    ],
)
def test_not_comparable(other: Model) -> None:
    """Equal models, models better in some respect, and unknown figures leave both alone."""
    assert beaten(GOOD, other) == {}


small = st.integers(min_value=1, max_value=3)
models = st.builds(
    lambda into, out, window, quality, needs: replace(
        GOOD,
        price=Price(tiers=(tier(str(into), str(out)),)),
        context_window_tokens=window,
        quality=quality / 4,
        capabilities=frozenset(needs),
    ),
    small,
    small,
    small,
    small,
    st.sets(st.sampled_from(["tools", "vision"])),
)


@given(st.lists(models, max_size=5))
def test_somebody_is_always_left(found: list[Model]) -> None:
    """Without the dominated models every catalog still has one, as cheap as the cheapest."""
    catalog = {str(i): replace(m, name=str(i)) for i, m in enumerate(found)}
    gone = dominated(catalog)
    left = [m for name, m in catalog.items() if name not in gone]
    assert bool(left) == bool(catalog)

    def cheapest(some: list[Model]) -> Decimal | None:
        return min((m.price.tiers[0].rates.input for m in some if m.price is not None), default=None)  # type: ignore[type-var]  # all are priced

    assert cheapest(left) == cheapest(list(catalog.values()))
