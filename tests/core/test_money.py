"""Amounts of money as options of a policy, and as text."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from router.core.money import USD_MOST, Usd, usd


def option(found: Any) -> Decimal:
    """Returns the amount that an option of a policy is read as."""
    adapter: TypeAdapter[Decimal] = TypeAdapter(Usd)
    return adapter.validate_python(found)


@given(st.decimals(min_value=0, max_value=10**12, places=9))
def test_an_option_is_taken_as_text_and_as_a_decimal(amount: Decimal) -> None:
    """Both mean the same amount, to the last digit."""
    assert option(str(amount)) == amount
    assert option(amount) == amount


@pytest.mark.parametrize("whole", [0, 1, int(USD_MOST)])
def test_an_option_may_be_a_whole_number(whole: int) -> None:
    """From nothing to more than anyone has."""
    assert option(whole) == whole


@pytest.mark.parametrize(
    ("found", "kind", "says"),
    [
        (0.1, "usd_float", 'is a float; write it as a string: "0.1"'),
        ("1_000", "decimal_parsing", "Input should be a valid decimal"),
        ("x", "decimal_parsing", "Input should be a valid decimal"),
        (Decimal(-1), "greater_than_equal", "Input should be greater than or equal to 0"),
        ("-0.01", "greater_than_equal", "Input should be greater than or equal to 0"),
        (USD_MOST + 1, "less_than_equal", f"Input should be less than or equal to {USD_MOST}"),
        ("NaN", "finite_number", "Input should be a finite number"),
        ("inf", "finite_number", "Input should be a finite number"),
    ],
)
def test_an_option_that_is_no_amount_is_refused(found: Any, kind: str, says: str) -> None:
    """With the kind of the fault, and how to mend it."""
    with pytest.raises(ValidationError) as caught:
        option(found)
    (fault,) = caught.value.errors()
    assert (fault["type"], fault["msg"]) == (kind, says)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (Decimal("0.00"), "0"),
        (Decimal(0), "0"),
        (Decimal("10.50"), "10.5"),
        (Decimal("10.00"), "10"),
        (Decimal(100), "100"),
        (Decimal("1E+3"), "1000"),
        (Decimal("1E-9"), "0.000000001"),
        (None, None),
    ],
)
def test_an_amount_is_shown_without_exponent_and_trailing_zeros(amount: Decimal | None, text: str | None) -> None:
    """A whole number keeps its zeros."""
    assert usd(amount) == text
