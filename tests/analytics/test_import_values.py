from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.analytics.import_values import Wrong, count, duration_s, moment, money

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("t", NOON),
        ("t", NOON.replace(tzinfo=None)),
        ("t", "2026-11-01T13:00:00+01:00"),
        ("t", "2026-11-01 12:00"),
        ("t_s", NOON.timestamp()),
        ("t_ms", str(NOON.timestamp() * 1e3)),
        ("t_us", int(NOON.timestamp() * 1e6)),
    ],
)
def test_times(name: str, value: Any) -> None:
    """A time may be written in many ways; what says no zone is UTC."""
    assert moment(name, value, None) == NOON
    assert moment("t", date(2026, 11, 1), None) == NOON.replace(hour=0)


@given(st.integers(0, 10**8))
def test_times_from_the_start(seconds: int) -> None:
    """With a start, numbers count from it, whatever their size."""
    found = moment("t_ms", seconds * 1000, NOON)
    assert found is not None
    assert (found - NOON).total_seconds() == seconds


@given(st.decimals(0, 10**9, places=9))
def test_money_is_exact(amount: Decimal) -> None:
    """An amount that is written out keeps every digit; a binary fraction has those that it stands for."""
    assert money("c", str(amount)) == amount
    assert money("c", float(f"{amount:.4f}")) == Decimal(f"{amount:.4f}")


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (count, True), (count, 1.5), (count, -1), (count, "1e99"), (count, "x"), (count, [1]),
        (money, True), (money, "-1"), (money, "NaN"), (money, "x"),
        (duration_s, "x"), (duration_s, -1), (duration_s, float("nan")), (duration_s, None.__class__),
        (lambda name, value: moment(name, value, None), float("inf")),
        (lambda name, value: moment(name, value, None), 12.5),
        (lambda name, value: moment(name, value, None), "yesterday"),
        (lambda name, value: moment(name, value, None), "0001-01-01T00:00:00+14:00"),
        (lambda name, value: moment(name, value, NOON.replace(year=9999)), 9e10),
    ],
)  # fmt: skip
def test_what_is_none(read: Callable[[str, Any], Any], value: Any) -> None:
    """What is no value of its kind is refused, by the name of its column; what is not there is nothing."""
    with pytest.raises(Wrong, match=r"^column: "):
        read("column", value)
    assert read("column", None) is None
    assert read("column", "") is None
