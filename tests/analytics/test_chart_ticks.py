from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.analytics.chart_ticks import Scale, calendar, durations, labels, linear
from router.analytics.tables import Unit

amounts = st.decimals(min_value=-(10**15), max_value=10**15, places=12)
moments = st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2090, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis wants bounds without a zone


@given(amounts, amounts, st.integers(3, 8), st.booleans())
def test_linear_ticks(one: Decimal, other: Decimal, most: int, whole: bool) -> None:
    """Ticks are round, evenly spaced, as few as asked for, and enclose zero and the figures tightly."""
    low, high = min(one, other, Decimal(0)), max(one, other, Decimal(0))
    ticks = linear(low, high, most=most, whole=whole)
    steps = {b - a for a, b in pairwise(ticks)}
    assert len(steps) == 1
    step = steps.pop()
    assert step.normalize().as_tuple().digits in {(1,), (2,), (5,)}
    assert 2 <= len(ticks) <= most
    assert Decimal(0) in ticks
    assert ticks[0] <= low < ticks[0] + step
    assert high <= ticks[-1]
    assert ticks[-1] - step < high or low == high
    assert not whole or all(tick == int(tick) for tick in ticks)


@given(amounts, amounts, st.sampled_from(["usd", "count", "seconds", "share"]))
def test_labels_tell_ticks_apart(one: Decimal, other: Decimal, unit: Unit) -> None:
    """No two ticks of an axis read the same."""
    written = labels(linear(min(one, other), max(one, other)), unit)
    assert len(set(written)) == len(written)


@pytest.mark.parametrize(
    ("high", "unit", "written"),
    [
        ("9.5", "usd", ["$0", "$5", "$10"]),
        ("1.9", "usd", ["$0", "$0.50", "$1.00", "$1.50", "$2.00"]),
        ("1900", "usd", ["0", "$500", "$1k", "$1.5k", "$2k"]),
        ("1900", "count", ["0", "500", "1 k", "1.5 k", "2 k"]),
        ("0.4", "seconds", ["0", "100 ms", "200 ms", "300 ms", "400 ms"]),
        ("14", "seconds", ["0", "5 s", "10 s", "15 s"]),
        ("2000", "seconds", ["0", "8.3 min", "16.7 min", "25 min", "33.3 min"]),
    ],
)
def test_labels(high: str, unit: Unit, written: list[str]) -> None:
    """Labels have the same decimals throughout, and are short."""
    assert labels(linear(Decimal(0), Decimal(high)), unit) == written


def test_negative_labels() -> None:
    """What is below zero has its sign before the dollar's."""
    assert labels(linear(Decimal(-2), Decimal(2), most=3), "usd") == ["-$2", "$0", "$2"]


@given(amounts, amounts, amounts)
def test_a_scale_keeps_order(low: Decimal, middle: Decimal, high: Decimal) -> None:
    """What is between two figures is drawn between them, however large or small they are."""
    low, middle, high = sorted((low, middle, high))
    if low < high:
        scale = Scale(low=low, high=high, start=300, end=20)
        assert scale(low) == 300
        assert scale(high) == 20
        assert 20 <= scale(middle) <= 300


@given(moments, st.integers(0, 2000), st.sampled_from([1, 3, 24, 168, 1200]), st.integers(1, 12))
def test_calendar(first: datetime, slots: int, hours: int, most: int) -> None:
    """Dates on an axis are few enough, in order, within what is drawn, and no two in one bar; there is always one."""
    bucket = timedelta(hours=hours)
    last = first + slots * bucket
    marks = calendar(first, last, bucket, most=most)
    assert 1 <= len(marks) <= most
    assert all(first <= at <= last for at, _ in marks)
    assert all(b - a >= min(bucket, timedelta(days=28)) for (a, _), (b, _) in pairwise(marks))


@pytest.mark.parametrize(
    ("days", "hours", "most", "written"),
    [
        (1, 1, 12, ["1 Jan", "03:00", "06:00", "09:00", "12:00", "15:00", "18:00", "21:00", "2 Jan"]),
        (30, 24, 7, ["5 Jan", "12 Jan", "19 Jan", "26 Jan"]),
        (6, 24, 7, ["1 Jan", "2 Jan", "3 Jan", "4 Jan", "5 Jan", "6 Jan", "7 Jan"]),
        (200, 24, 8, ["2026", "Feb", "Mar", "Apr", "May", "Jun", "Jul"]),
        (1200, 168, 5, ["2026", "2027", "2028", "2029"]),
    ],
)
def test_calendar_labels(days: int, hours: int, most: int, written: list[str]) -> None:
    """Hours, days (Mondays where there are many), months and years are written as people do."""
    first = datetime(2026, 1, 1, tzinfo=UTC)
    marks = calendar(first, first + timedelta(days=days), timedelta(hours=hours), most=most)
    assert [label for _, label in marks] == written


def test_lengths_of_time() -> None:
    """Lengths of time on an axis are those that people name; a short stretch without any has its beginning."""
    assert durations(Decimal(20), Decimal(4000)) == [Decimal(n) for n in (30, 60, 300, 900, 3600)]
    assert durations(Decimal(61), Decimal(62)) == [Decimal(61)]
