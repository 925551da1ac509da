from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.analytics import spelling
from router.analytics.tables import Unit

NUMERIC: tuple[Unit, ...] = ("count", "tokens", "usd", "seconds", "share", "ratio")
numbers = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20) | st.floats(
    allow_nan=False, allow_infinity=False
)


@given(st.sampled_from(NUMERIC), st.lists(numbers, min_size=1, max_size=5))
def test_only_zero_is_written_as_zero(unit: Unit, values: list[Any]) -> None:
    """Whatever stands beside it, a figure reads as zero exactly if it is zero, and as negative if it is negative."""
    for value, text in zip(values, spelling.column(values, unit), strict=True):
        assert bool(value) == any(digit in text for digit in "123456789")
        assert ("-" in text) == (value < 0)


@given(st.lists(numbers, min_size=1, max_size=5))
def test_money_keeps_two_digits(values: list[Any]) -> None:
    """An amount in a column is rounded, but never to less than its second digit."""
    for value, text in zip(values, spelling.column(values, "usd"), strict=True):
        exact = spelling.number(value)
        assert exact is not None
        read = Decimal(text.replace("$", "").replace(",", ""))
        assert abs(read - exact) <= abs(exact) / 20


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (["1234.56", "0.0003", "0"], ["$1,234.56", "$0.0003", "$0"]),
        (["1.23", "0.0031"], ["$1.230", "$0.0031"]),
        (["0.00041"], ["$0.00041"]),
        (["12", "-7.5"], ["$12.00", "-$7.50"]),
    ],
)
def test_money_in_a_column_has_the_decimals_of_its_smallest(values: list[str], texts: list[str]) -> None:
    """Amounts beside each other have the same decimals: two digits of the smallest, four of the largest at most."""
    assert spelling.column([Decimal(value) for value in values], "usd") == texts


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0.0 %"),
        (0.5, "50.0 %"),
        (0.03103, "3.1 %"),
        (0.99871, "99.87 %"),
        (1, "100.0 %"),
        (1e-9, "< 0.0001 %"),
        (-1e-9, "> -0.0001 %"),
        (1 - 1e-9, "> 99.9999 %"),
        (0.9991, "99.91 %"),
        (0.999871, "99.987 %"),
        (0.00041, "0.041 %"),
        (1 + 1e-9, "> 100 %"),
        (-0.12, "-12.0 %"),
        (2, "200.0 %"),
    ],
)
def test_a_share_is_the_whole_only_if_it_is(share: float, text: str) -> None:
    """A share has two digits of what it is or lacks to the whole; 0 % and 100 % are exact."""
    assert spelling.figure(share, "share") == text


def test_shares_in_a_column() -> None:
    """Shares beside each other have one decimal, or two where one of them needs two."""
    assert spelling.column([0.46, 0.1, 0], "share") == ["46.0 %", "10.0 %", "0.0 %"]
    assert spelling.column([0.46, 0.0084, None, 1, 0.00041], "share") == [
        "46.00 %",
        "0.84 %",
        "",
        "100.00 %",
        "0.041 %",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0", "0 s"),
        ("1e-9", "< 0.001 ms"),
        ("-1e-9", "> -0.001 ms"),
        ("0.0005", "0.50 ms"),
        ("0.312", "312 ms"),
        ("0.9996", "1.00 s"),
        ("4.2", "4.20 s"),
        ("90", "90.00 s"),
        ("130", "2.2 min"),
        ("5400", "1.5 h"),
        ("86400", "1 d"),
        ("-4.2", "-4.20 s"),
    ],
)
def test_seconds(value: str, text: str) -> None:
    """A duration is written in the unit that it is spoken of in."""
    assert spelling.seconds(Decimal(value)) == text


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([0.31, 0.004], ["310 ms", "4.0 ms"]),
        ([14.0, 0.31, 0.0041, 0.001], ["14.00 s", "0.31 s", "4.1 ms", "1.0 ms"]),
        ([10, 60, 3600], ["10 s", "60 s", "1 h"]),
    ],
)
def test_seconds_in_a_column(values: list[float], texts: list[str]) -> None:
    """Durations beside each other share a unit, unless they are too far apart."""
    assert spelling.column(values, "seconds") == texts


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        ("usd", "999.999", "$1,000"),
        ("usd", "1234", "$1.23k"),
        ("usd", "-2500", "-$2.5k"),
        ("usd", "999999", "$1M"),
        ("usd", "12.5", "$12.50"),
        ("tokens", "999", "999"),
        ("tokens", "12345", "12.3 k"),
        ("count", "3400000", "3.4 M"),
        ("count", "-5000", "-5 k"),
        ("count", "1e16", "10,000 T"),
        ("share", "0.12", "12 %"),
        ("seconds", "5", "5 s"),
        ("ratio", "0.5", "0.50"),
        ("text", "1", "1"),
    ],
)
def test_compact(unit: Unit, value: str, text: str) -> None:
    """On axes and in headlines a figure has three digits and a suffix."""
    assert spelling.compact(Decimal(value), unit) == text


@given(st.decimals(min_value=1000, max_value=10**16), st.sampled_from(["usd", "tokens"]))
def test_compact_is_within_half_a_percent(value: Decimal, unit: Unit) -> None:
    """What is left out of a compact figure is below what a reader could see."""
    text = spelling.compact(value, unit).replace("$", "").replace(",", "").replace(" ", "")
    power = {"k": 3, "M": 6, "B": 9, "T": 12}[text[-1]]
    assert abs(Decimal(text[:-1]).scaleb(power) - value) <= value / 200


@pytest.mark.parametrize(
    ("value", "text"),
    [("0.5", "500 ms"), ("30", "30 s"), ("300", "5 min"), ("5400", "1.5 h"), ("6000", "1.67 h"), ("864000", "10 d")],
)
def test_round_durations(value: str, text: str) -> None:
    """A round duration has no decimals that say nothing."""
    assert spelling.duration(Decimal(value)) == text


@pytest.mark.parametrize(
    ("values", "unit", "texts"),
    [
        ([None, math.nan, Decimal("NaN")], "usd", ["", "", ""]),
        ([math.inf, -math.inf], "ratio", ["∞", "-∞"]),
        (["n/a", True], "count", ["n/a", "True"]),
        ([10**400], "count", [str(10**400)]),
        ([Decimal("1E+999")], "usd", ["1E+999"]),
        ([1, 2], "count", ["1", "2"]),
        ([1, 2.5], "tokens", ["1.0", "2.5"]),
        ([None, "x", 3], "text", ["", "x", "3"]),
        ([5.2, 0.0031, -2], "ratio", ["5.20", "0.0031", "-2.00"]),
    ],
)
def test_what_is_no_plain_number(values: list[Any], unit: Unit, texts: list[str]) -> None:
    """The unknown is empty, infinity is a sign, and what no number is stands as it is."""
    assert spelling.column(values, unit) == texts


NOON = datetime(2025, 11, 3, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([date(2025, 11, 3), None], ["2025-11-03", ""]),
        ([NOON, date(2025, 11, 3)], ["2025-11-03 12:30", "2025-11-03 00:00"]),
        ([NOON + timedelta(seconds=5)], ["2025-11-03 12:30:05"]),
        ([NOON.astimezone(timezone(timedelta(hours=9)))], ["2025-11-03 12:30"]),
        ([NOON.replace(tzinfo=None)], ["2025-11-03 12:30"]),
        (["a day"], ["a day"]),
    ],
)
def test_times_have_what_tells_them_apart(values: list[Any], texts: list[str]) -> None:
    """Times are those of UTC, days where all are midnights, with seconds only where there are some."""
    assert spelling.column(values, "time") == texts


def test_days() -> None:
    """A day on an axis is short; with its year it stands alone."""
    assert (spelling.day(NOON), spelling.day(NOON, year=True)) == ("3 Nov", "3 Nov 2025")
