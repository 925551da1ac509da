from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import combinations
from typing import Any
from xml.etree.ElementTree import Element

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.analytics.chart_frame import fitted, width_of
from router.analytics.chart_time import Bar, Series
from router.analytics.charts import charts_of
from router.analytics.tables import Table
from tests.analytics.reports import table

START = datetime(2025, 11, 3, tzinfo=UTC)
DAYS = ("time Day time", "cost_usd Cost usd", "waste_usd Wasted usd", "saved_usd Saved usd", "requests Requests count")
MODELS = ("model Model text", "cost_usd Cost usd", "latency_p95_s Latency, p95 seconds")
CURVE = ("ttl_s Kept for seconds", "hits Hits count", "saved_usd Saved usd")
LATENCY = ("what Time to text", "p50_s p50 seconds", "p95_s p95 seconds", "p99_s p99 seconds")

amounts = st.decimals(min_value=0, max_value=10**13, places=9) | st.none()


def days(costs: Iterable[Any], wastes: Iterable[Any] = (), name: str = "by_day") -> Table:
    """Returns a table of days with these costs, the first of them a Monday."""
    spent, wasted = list(costs), list(wastes)
    wasted += [None] * (len(spent) - len(wasted))
    rows = [(START + timedelta(days=n), c, w, None, None) for n, (c, w) in enumerate(zip(spent, wasted, strict=True))]
    return table(name, "Days", DAYS, rows)


def titles(charted: Table) -> list[str]:
    """Returns the titles of a table's charts, with what is said beside them."""
    return ["".join(figure.find("figcaption").itertext()) for figure in charts_of(charted, "x")]  # type: ignore[union-attr]  # each has one


def svgs(charted: Table) -> list[Element]:
    """Returns all pictures of a table's charts."""
    return [svg for figure in charts_of(charted, "x") for svg in figure.iter("svg")]


def words(svg: Element) -> list[str]:
    """Returns all that is written in a picture, in order."""
    return [text.text or "" for text in svg.iter("text")]


def boxes(svg: Element, kind: str) -> list[tuple[float, float, float, float]]:
    """Returns the rectangles of a kind: x, y, width and height."""
    sides = ("x", "y", "width", "height")
    return [
        (*(float(box.get(side, "nan")) for side in sides),)  # type: ignore[misc]  # four of them
        for box in svg.iter("rect")
        if box.get("class") == kind
    ]


@pytest.mark.parametrize(
    ("charted", "expected"),
    [
        (
            days([1, 2], [Decimal("0.5")]),
            ["Cost per day from 3 Nov 2025 to 4 Nov 2025; wasted at the foot of each bar"],
        ),
        (days([1, None, 2]), ["Cost per day from 3 Nov 2025 to 5 Nov 2025; 1 unknown"]),
        (days([1, 2], name="by_hour"), ["Cost per hour from 3 Nov 2025 to 4 Nov 2025"]),
        (days([1, 2], name="by_night"), ["Cost per day from 3 Nov 2025 to 4 Nov 2025"]),
        (
            table("by_hour", "H", DAYS, [(START + timedelta(hours=n), n, 0, n, n) for n in range(3)]),
            ["Cost per hour on 3 Nov 2025", "Saved per hour on 3 Nov 2025", "Requests per hour on 3 Nov 2025"],
        ),
        (
            table("by_model", "M", MODELS, [("a", 1, 2.0), ("b", None, 3.0)]),
            ["Cost by model (1 unknown)", "Latency, p95 by model"],
        ),
        (table("by_tag", "T", ("a A text", "n N count"), [("x", 1), ("y", 2)]), []),
        (
            table(
                "failures", "F", ("m M text", "class C text", "count Attempts count"), [("a", "b", 2), ("a", "c", 1)]
            ),
            ["Failed attempts by model and class"],
        ),
        (table("failures", "F", ("m M text",), [("a",), ("b",)]), []),
        (table("waste", "Kinds", ("kind K text", "usd U usd"), [("a", 2), ("b", 1)]), ["Kinds, in dollars"]),
        (table("waste", "Kinds", ("kind K text", "n U count"), [("a", 2), ("b", 1)]), []),
        (table("cache_curve", "C", CURVE, [(1, 2, 3), (2, 3, 4)]), ["Saved with a cache by how long it keeps"]),
        (table("cache_curve", "C", CURVE[:2], [(1, 2), (2, 3)]), ["Hits with a cache by how long it keeps"]),
        (table("cache_curve", "C", CURVE[:1], [(1,), (2,)]), []),
        (table("latency", "L", LATENCY, [("all", 1.0, 2.0, 3.0)]), ["Latency p50, p95 and p99: dot, bar, ring"]),
        (table("latency", "L", LATENCY[:3], [("all", 1.0, 2.0)]), []),
        (table("other", "O", ("a A text", "cost_usd C usd"), [("x", 1), ("y", 2)]), []),
        (Table(name="by_x", title="", columns=(), rows=((), ())), []),
    ],
)
def test_charts_are_chosen_by_name_and_columns(charted: Table, expected: list[str]) -> None:
    """A chart is drawn where its table has the columns that it needs; else the table stands alone."""
    assert titles(charted) == expected


@pytest.mark.parametrize(
    "charted",
    [
        days([]),
        days([1]),
        days([0, 0]),
        days([None, None]),
        days([None, 1]),
        table("by_day", "D", DAYS, [(None, 1, 1, 1, 1), (None, 1, 1, 1, 1)]),
        table("by_model", "M", MODELS, [("a", 1, 2.0)]),
        table("by_model", "M", MODELS, [("a", 0, None), ("b", None, None), ("c", -1, 0.0)]),
        table("cache_curve", "C", CURVE, [(0, 0, 5), (1, 1, 5)]),
        table("cache_curve", "C", CURVE, [(1, 0, 0), (2, 1, 0)]),
        table("cache_curve", "C", CURVE, [(1, 0, None), (None, 1, 3), (5, 1, 1)]),
        table("latency", "L", LATENCY, [("all", 0.0, 0.0, 0.0), ("none", None, 1.0, 2.0)]),
    ],
)
def test_no_chart_of_nothing(charted: Table) -> None:
    """A single figure, nothing but zeros, or nothing known: a chart would say less than the table."""
    assert not charts_of(charted, "x")


def assert_drawn_well(svg: Element) -> None:
    """Fails where something is drawn outside of the picture, or is written over something else."""
    _, _, width, height = map(float, svg.attrib["viewBox"].split())
    assert width > 0 < height
    for box in svg.iter("rect"):
        x, y, w, h = (float(box.attrib[name]) for name in ("x", "y", "width", "height"))
        assert x >= 0 <= y
        assert w > 0 < h
        assert x + w <= width + 0.2
        assert y + h <= height + 0.2
    for circle in svg.iter("circle"):
        assert 0 <= float(circle.attrib["cx"]) <= width
        assert 0 <= float(circle.attrib["cy"]) <= height
    for path in svg.iter("path"):
        assert all(0 <= float(n) <= max(width, height) for n in re.findall(r"[\d.-]+", path.attrib["d"]))
    written = [(extent(text), float(text.attrib["y"])) for text in svg.iter("text")]
    assert all(start >= -1 and end <= width + 1 and 8 < y < height for (start, end), y in written)
    for ((a, b), y), ((c, d), z) in combinations(written, 2):
        assert abs(y - z) >= 11 or b <= c + 1 or d <= a + 1


def extent(text: Element) -> tuple[float, float]:
    """Returns about where a text begins and ends."""
    x, width = float(text.attrib["x"]), width_of(text.text or "")
    return {"start": (x, x + width), "middle": (x - width / 2, x + width / 2), "end": (x - width, x)}[
        text.get("text-anchor", "start")
    ]


@given(st.lists(st.tuples(st.integers(0, 5000), amounts, amounts, st.integers(-5, 5)), min_size=2, max_size=12))
def test_days_are_drawn_well(rows: Sequence[tuple[int, Decimal | None, Decimal | None, int]]) -> None:
    """Whatever the amounts and however far apart the days, all is inside of the picture and can be read."""
    charted = [
        (
            START + timedelta(days=day),
            cost,
            min(waste, cost) if cost is not None and waste is not None else None,
            saved,
            1,
        )
        for day, cost, waste, saved in {row[0]: row for row in rows}.values()
    ]
    for svg in svgs(table("by_day", "Days", DAYS, charted)):
        assert_drawn_well(svg)


@given(st.lists(st.tuples(st.text(max_size=80), amounts, st.floats(0, 1e5)), min_size=2, max_size=14))
def test_ranks_are_drawn_well(rows: Sequence[tuple[str, Decimal | None, float]]) -> None:
    """Whatever the names and amounts, bars stay in the picture and names beside their figures."""
    for svg in svgs(table("by_model", "Models", MODELS, rows)):
        assert_drawn_well(svg)


@given(st.lists(st.tuples(st.integers(0, 10**9), amounts), min_size=2, max_size=30))
def test_curves_are_drawn_well(rows: Sequence[tuple[int, Decimal | None]]) -> None:
    """Whatever the lengths of time and amounts, the curve stays in the picture and its labels apart."""
    for svg in svgs(table("cache_curve", "Curve", (CURVE[0], CURVE[2]), rows)):
        assert_drawn_well(svg)


@given(st.lists(st.tuples(st.text(max_size=40), *[st.floats(0, 1e4)] * 3), min_size=1, max_size=5))
def test_ranges_are_drawn_well(rows: Sequence[tuple[str, float, float, float]]) -> None:
    """Whatever the percentiles, dots stay in the picture and labels apart."""
    for svg in svgs(table("latency", "Latency", LATENCY, rows)):
        assert_drawn_well(svg)


def test_the_wasted_part_is_the_foot_of_its_bar() -> None:
    """A bar's parts are as high as their amounts, and what is wasted stands on the axis."""
    wide = svgs(days([Decimal(4), Decimal(8), Decimal(2)], [Decimal(1), Decimal(0), Decimal(2)]))[0]
    useful, wasted = boxes(wide, "mark"), boxes(wide, "mark warning")
    unit = useful[1][3] / 8
    assert [round(box[3] / unit, 1) for box in wasted] == [1, 2]
    assert [round(box[3] / unit, 1) for box in useful] == [3, 8, pytest.approx(0, abs=0.1)]
    assert len({round(box[1] + box[3], 1) for box in wasted}) == 1
    assert [title.text for title in wide.iter("title")][1:] == [
        "3 Nov: $4.00, of which wasted $1.00",
        "4 Nov: $8.00",
        "5 Nov: $2.00, of which wasted $2.00",
    ]
    assert "$8" in words(wide)


def test_losses_hang_below_the_axis() -> None:
    """A negative figure has a bar of its own colour below zero, and a minus sign on the axis."""
    rows = [(START + timedelta(days=n), None, None, value, None) for n, value in enumerate([-3, 5])]
    wide = svgs(table("by_day", "Days", DAYS, rows))[0]
    (loss,), (gain,) = boxes(wide, "mark warning"), boxes(wide, "mark")
    assert loss[1] == pytest.approx(gain[1] + gain[3], abs=0.11)
    assert "\N{MINUS SIGN}$5" in words(wide)
    losses = svgs(days([-1, -2]))[0]
    assert not boxes(losses, "mark")
    assert len(boxes(losses, "mark warning")) == 2


def test_rows_of_one_day_are_added_up() -> None:
    """Where days are split by model or team, a bar is the whole of its day."""
    rows = [(START + timedelta(days=n // 2), n + 1, 1, None, None) for n in range(4)]
    wide = svgs(table("by_day_team", "Days", DAYS, rows))[0]
    assert [title.text for title in wide.iter("title")][1:] == [
        "3 Nov: $3.00, of which wasted $2.00",
        "4 Nov: $7.00, of which wasted $2.00",
    ]


def test_names_are_all_that_a_row_is_about() -> None:
    """A bar of a table by team and day says both."""
    kinds = ("team Team text", "day Day time", "cost_usd Cost usd")
    (svg,) = svgs(table("by_team_day", "T", kinds, [("a", START, 2), ("b", START, 1), (None, None, 1)]))
    assert words(svg)[::2] == ["a · 2025-11-03", "b · 2025-11-03", "\N{EN DASH}"]


def test_missing_days_leave_a_gap() -> None:
    """A day without a row is not closed over."""
    rows = [(START + timedelta(days=n), 1, None, None, None) for n in (0, 1, 4)]
    first, second, third = boxes(svgs(table("by_day", "Days", DAYS, rows))[0], "mark")
    assert third[0] - second[0] == pytest.approx(3 * (second[0] - first[0]), abs=0.3)


@given(st.lists(st.tuples(st.integers(0, 30_000), amounts, amounts), min_size=1, max_size=30))
def test_coarser_bars_hold_the_same(rows: Sequence[tuple[int, Decimal | None, Decimal | None]]) -> None:
    """Hours that are too many for a picture become days or weeks, and no cent is lost; the unknown stays out."""
    bars = {START + timedelta(hours=hour): Bar(whole=whole, wasted=wasted) for hour, whole, wasted in rows}
    series = Series(bars=bars, bucket=timedelta(hours=1), unit="usd")
    coarse = series.coarser()
    assert coarse.slots <= 182
    for part in ("whole", "wasted"):
        before, after = ([v for b in s.bars.values() if (v := getattr(b, part)) is not None] for s in (series, coarse))
        assert sum(before) == sum(after)
        assert bool(before) == bool(after)


@pytest.mark.parametrize(
    ("bucket_h", "rows", "title", "first"),
    [
        (1, 24 * 5, "Cost per hour", "3 Nov, 00:00: $1.00"),
        (1, 24 * 20, "Cost per 3 h", "3 Nov, 00:00: $3.00"),
        (1, 24 * 100, "Cost per day", "3 Nov: $24.00"),
        (24, 365, "Cost per week", "week from 3 Nov: $7.00"),
        (24, 365 * 4, "Cost per 28 d", "28 d from 27 Oct: $21.00"),
        (24, 365 * 20, "Cost per 42 d", "42 d from 13 Oct: $21.00"),
    ],
)
def test_long_logs_are_drawn_in_longer_bars(bucket_h: int, rows: int, title: str, first: str) -> None:
    """The longer the log, the longer is what a bar stands for; the chart says which."""
    spent = [(START + timedelta(hours=n * bucket_h), 1, None, None, None) for n in range(rows)]
    (figure,) = charts_of(table("by_time", "Times", DAYS, spent), "x")
    assert "".join(figure.find("figcaption").itertext()).startswith(title)  # type: ignore[union-attr]  # it has one
    said = [bar.text for svg in figure.iter("svg") for bar in svg.iter("title")]
    assert said[1] == first


def test_ranks_are_in_order_and_end_with_the_others() -> None:
    """The ten longest bars come first; what the others add up to follows without a bar of its own."""
    rows = [(f"m{n}", Decimal(n), None) for n in range(1, 14)]
    (svg,) = svgs(table("by_model", "Models", MODELS, rows))
    assert words(svg)[:4] == ["m13", "$13.00", "m12", "$12.00"]
    assert words(svg)[-2:] == ["3 others", "$6.00"]
    bars = boxes(svg, "mark")
    assert len(bars) == 10
    assert bars[0][2] / bars[9][2] == pytest.approx(13 / 4, rel=0.01)


def test_what_does_not_add_up_has_no_others() -> None:
    """Latencies are not summed."""
    rows = [(f"m{n}", None, float(n)) for n in range(1, 14)]
    (svg,) = svgs(table("by_model", "Models", MODELS, rows))
    assert len(words(svg)) == 20


def test_a_curve_keeps_its_height_until_the_next_length() -> None:
    """Between two lengths of time the curve is level: no more is promised than was counted."""
    wide = svgs(table("cache_curve", "Curve", CURVE, [(600, 3, 4), (60, 1, 2), (6000, 9, 4)]))[0]
    (path,) = wide.iter("path")
    turns = re.fullmatch(r"M([\d.]+) ([\d.]+)H([\d.]+)V([\d.]+)H([\d.]+)V([\d.]+)H860", path.attrib["d"])
    assert turns
    x0, y0, x1, y1, x2, y2 = map(float, turns.groups())
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y0 > y1 == y2
    assert [title.text for title in wide.iter("title")][1:] == ["1 min: $2.00", "10 min: $4.00", "1.67 h: $4.00"]


def test_a_curve_of_many_points_has_no_dots() -> None:
    """Where every moment is a point the line says it all, and the axis has lengths of time that people name."""
    wide = svgs(table("cache_curve", "Curve", CURVE, [(60 * n, n, n) for n in range(1, 101)]))[0]
    assert not list(wide.iter("circle"))
    assert words(wide)[-5:] == ["1 min", "5 min", "15 min", "1 h", "$100"]


def test_a_single_row_of_latencies_has_a_line_for_each_kind() -> None:
    """A row without a name is told by its columns; rows with names by the first kind of latency alone."""
    kinds = [f"{of}{mark}_s {mark} seconds" for of in ("latency_", "first_token_") for mark in ("p50", "p95", "p99")]
    (one,) = svgs(table("latency", "L", kinds, [(1, 2, 3, 0.1, 0.2, 0.3)]))
    assert [word for word in words(one) if word[0].isalpha()] == ["Latency", "First token"]
    (two,) = svgs(table("by_model", "L", ["m M text", *kinds], [("a", 1, 2, 3, 0, 0, 0), ("b", 2, 3, 4, 0, 0, 0)]))
    assert [word for word in words(two) if word[0].isalpha()] == ["a", "b"]


@given(st.text(), st.integers(0, 400))
def test_a_text_is_cut_in_its_middle(words: str, room: int) -> None:
    """A text that is too long keeps its beginning and its end, and fits unless there is room for nothing."""
    short = fitted(words, room)
    assert width_of(short) <= room or short == "…"
    if short != words:
        head, _, tail = short.partition("…")
        assert words.startswith(head)
        assert words.endswith(tail)
