"""A report on the terminal: its facts, then section by section what was found and the tables that show it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from router.analytics.tables import Report, Section, Table, Unit
from router.cli.terminal import dollars, seconds, shown
from router.core.money import usd

_LEFT: Final[frozenset[Unit]] = frozenset({"text", "time"})
_LEAST: Final = 12
"""Characters of a text that stay on one line, so that names of models and days do."""
_WIDE: Final = 9
"""Columns above which a table of one row stands upright."""


def rendered(report: Report, /) -> RenderableType:
    """Returns a report as people read it."""
    return Group(*_parts(report))


def _parts(report: Report) -> Iterator[RenderableType]:
    yield Text(report.title, style="bold")
    facts = Grid.grid(padding=(0, 2))
    for name, value in report.about:
        facts.add_row(Text(name, style="dim"), Text(shown(value)))
    yield facts
    for section in report.sections:
        yield from _section(section)


def _section(section: Section) -> Iterator[RenderableType]:
    yield Text()
    yield Text(section.title, style="bold")
    for finding in section.findings:
        yield Padding(Text(f"- {shown(finding)}"), (0, 0, 0, 2))
    for table in section.tables:
        yield Padding(_table(table, heading=table.title != section.title), (0, 0, 0, 2))
        if table.note:
            yield Padding(Text(table.note, style="dim"), (0, 0, 0, 2))


def _table(table: Table, *, heading: bool) -> RenderableType:
    title = [Text(table.title, style="italic")] if heading else []
    if not table.rows:
        return Group(*title, Text("none", style="dim"))
    if len(table.rows) == 1 and len(table.columns) > _WIDE:
        return Group(*title, _upright(table))
    grid = Grid(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for index, column in enumerate(table.columns):
        if column.unit in _LEFT:
            longest = max(len(str(row[index])) for row in table.rows)
            grid.add_column(column.title, overflow="fold", min_width=min(longest, _LEAST))
        else:
            grid.add_column(column.title, justify="right", no_wrap=True)
    for row in table.rows:
        grid.add_row(*(Text(shown(cell(v, c.unit))) for v, c in zip(row, table.columns, strict=True)))
    return Group(*title, grid)


def _upright(table: Table) -> Grid:
    """Returns a table of one row as lines of name and figure."""
    grid = Grid.grid(padding=(0, 2))
    for value, column in zip(table.rows[0], table.columns, strict=True):
        grid.add_row(Text(column.title, style="dim"), Text(shown(cell(value, column.unit))))
    return grid


def cell(value: Any, unit: Unit, /) -> str:
    """Returns a figure as people write it; "-" where it is unknown."""
    if value is None:
        return "-"
    match unit:
        case "usd":
            return f"-{dollars(-value)}" if value < 0 else dollars(value)
        case "seconds":
            return seconds(float(value))
        case "share":
            return f"{100 * float(value):.1f} %"
        case "ratio":
            return f"{float(value):.4g}"
        case "count" | "tokens":
            return f"{value:,}"
        case "time":
            return value.isoformat(sep=" ", timespec="seconds") if isinstance(value, datetime) else str(value)
        case "text":
            return str(value)


def values(report: Report, /) -> dict[str, Any]:
    """Returns a report as JSON values: money and other decimals as strings, times as ISO writes them."""
    return {
        "title": report.title,
        "about": dict(report.about),
        "sections": {
            section.name: {
                "title": section.title,
                "findings": list(section.findings),
                "tables": {table.name: _table_values(table) for table in section.tables},
            }
            for section in report.sections
        },
    }


def _table_values(table: Table) -> dict[str, Any]:
    names = [column.name for column in table.columns]
    return {
        "title": table.title,
        "note": table.note,
        "columns": [asdict(column) for column in table.columns],
        "rows": [dict(zip(names, map(plain, row), strict=True)) for row in table.rows],
    }


def plain(value: Any, /) -> Any:
    """Returns a figure as a JSON value."""
    match value:
        case Decimal():
            return usd(value)
        case datetime() | date():
            return value.isoformat()
        case _:
            return value
