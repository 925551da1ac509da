"""Which charts a table is drawn as: told by its name and by the columns that it has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise, takewhile
from typing import Any, Final
from xml.etree.ElementTree import Element

from router.analytics import spelling
from router.analytics.chart_curve import steps
from router.analytics.chart_frame import Chart, figure
from router.analytics.chart_ranks import ranges, ranks
from router.analytics.chart_time import Bar, Series, over_time
from router.analytics.tables import Column, Table

_BUCKETS: Final = {"by_hour": timedelta(hours=1), "by_day": timedelta(days=1)}
_PERCENTILE: Final = re.compile(r"(?P<of>.*?)_?(?P<mark>p50|p95|p99)(_s)?")
_MARKS: Final = ("p50", "p95", "p99")


@dataclass(frozen=True, slots=True)
class _Grid:
    """A table, read by the names of its columns."""

    table: Table

    def has(self, *names: str) -> bool:
        return set(names) <= {column.name for column in self.table.columns}

    def column(self, name: str) -> Column:
        return next(column for column in self.table.columns if column.name == name)

    def values(self, name: str) -> list[Any]:
        place = [column.name for column in self.table.columns].index(name)
        return [row[place] for row in self.table.rows]

    def numbers(self, name: str) -> list[Decimal | None]:
        return [spelling.number(value) for value in self.values(name)]

    def names(self) -> list[str]:
        """Returns what each row is about: its leading columns of texts and times."""
        keys = list(takewhile(lambda column: column.unit in {"text", "time"}, self.table.columns))
        spelt = [spelling.column(self.values(key.name), key.unit) for key in keys]
        return [" · ".join(filter(None, parts)) or "\N{EN DASH}" for parts in zip(*spelt, strict=True)]


def charts_of(table: Table, name: str, /) -> list[Element]:
    """Returns the charts of a table; none where its figures say more in a table.

    Args:
        table: the table.
        name: what the charts' ids begin with, unique on the page.
    """
    drawn = [chart for chart in _charts(_Grid(table)) if chart is not None]
    return [figure(chart, f"{name}c{number}") for number, chart in enumerate(drawn, start=1)]


def _charts(grid: _Grid) -> Sequence[Chart | None]:
    table = grid.table
    if not table.rows or not table.columns:
        return []
    first = table.columns[0]
    match table.name:
        case "failures" if grid.has("count"):
            entries = list(zip(grid.names(), grid.numbers("count"), strict=True))
            return [
                ranks(f"Failed {grid.column('count').title.lower()} by model and class", entries, "count", warning=True)
            ]
        case "cache_curve" if grid.has("ttl_s"):
            return [_curve(grid)]
        case name if name.startswith("waste") and first.unit == "text":
            return [_ranked(grid, cost, warning=True) for cost in ("waste_usd", "cost_usd", "usd") if grid.has(cost)][
                :1
            ]
        case name if name.startswith("by_") and first.unit == "time":
            return _days(grid)
        case name if name.startswith("by_") and first.unit == "text":
            return [_ranked(grid, "cost_usd") if grid.has("cost_usd") else None, _latencies(grid)]
        case _:
            return [_latencies(grid)]


def _ranked(grid: _Grid, name: str, *, warning: bool = False) -> Chart | None:
    column = grid.column(name)
    entries = list(zip(grid.names(), grid.numbers(name), strict=True))
    return ranks(_title(grid, column), entries, column.unit, warning=warning)


def _title(grid: _Grid, column: Column) -> str:
    """Returns "Cost by model" for the column "Cost" of the table `by_model`."""
    told = grid.table.name.removeprefix("by_").replace("_", " ")
    return f"{column.title} by {told}" if grid.table.name.startswith("by_") else f"{grid.table.title}, in dollars"


def _days(grid: _Grid) -> Sequence[Chart | None]:
    times = [spelling.utc(value) for value in grid.values(grid.table.columns[0].name)]
    bucket = _BUCKETS.get(grid.table.name) or _closest([time for time in times if time])
    charts = []
    for name in ("cost_usd", "saved_usd", "requests"):
        if grid.has(name):
            wholes = grid.numbers(name)
            wastes = grid.numbers("waste_usd") if name == "cost_usd" and grid.has("waste_usd") else [None] * len(wholes)
            column, figures = grid.column(name), zip(times, wholes, wastes, strict=True)
            rows = ((time, Bar(whole=whole, wasted=wasted)) for time, whole, wasted in figures if time)
            series = Series.of(rows, bucket=bucket, unit=column.unit)
            charts.append(over_time(column.title, series, small=name != "cost_usd"))
    return charts


def _closest(times: Sequence[datetime]) -> timedelta:
    """Returns the shortest time between two different ones; a day where there are no two."""
    gaps = [b - a for a, b in pairwise(sorted(set(times)))]
    return min(gaps, default=timedelta(days=1))


def _curve(grid: _Grid) -> Chart | None:
    name = next((name for name in ("saved_usd", "hits") if grid.has(name)), None)
    if name is None:
        return None
    column = grid.column(name)
    pairs = zip(grid.numbers("ttl_s"), grid.numbers(name), strict=True)
    points = [(at, value) for at, value in pairs if at is not None and value is not None]
    return steps(f"{column.title} with a cache", points, column.unit)


def _latencies(grid: _Grid) -> Chart | None:
    """Returns percentiles as ranges, one for each row or, in a single row without a name, one for each of its times."""
    families: dict[str, dict[str, str]] = {}
    for column in grid.table.columns:
        matched = _PERCENTILE.fullmatch(column.name)
        if matched and column.unit == "seconds":
            families.setdefault(matched["of"], {})[matched["mark"]] = column.name
    whole = {of: names for of, names in families.items() if set(names) == set(_MARKS)}
    if not whole:
        return _ranked(grid, "latency_p95_s") if grid.has("latency_p95_s") and len(grid.table.rows) > 1 else None
    entries: list[tuple[str, tuple[Decimal, ...]]] = []
    for of, names in whole.items():
        figures = zip(*(grid.numbers(names[mark]) for mark in _MARKS), strict=True)
        labels = grid.names() if len(grid.table.rows) > 1 else [of.replace("_", " ").capitalize() or grid.table.title]
        for label, values in zip(labels, figures, strict=True):
            known = tuple(sorted(value for value in values if value is not None))
            if len(known) == len(_MARKS):
                entries.append((label, known))
        if len(grid.table.rows) > 1:
            break
    return ranges("Latency", entries, _MARKS)
