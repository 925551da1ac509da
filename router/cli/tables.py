"""A report -> what a person reads on a terminal, and the same as JSON values."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from router.analytics.tables import Report, Section, Table, Unit
from router.cli.terminal import dollars, seconds, shown
from router.core.money import usd

_UNKNOWN = "-"


def report_lines(report: Report) -> Iterator[RenderableType]:
    """Yields the parts of a report, one under the other."""
    yield Text(report.title, style="bold")
    grid = Grid.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in report.about:
        grid.add_row(name, Text(shown(value)))
    yield Padding(grid, (0, 0, 0, 2), expand=False)
    for section in report.sections:
        yield from _section(section)


def report_values(report: Report) -> dict[str, Any]:
    """Returns the report as JSON values: rows as objects by column, money as decimal strings."""
    return {
        "title": report.title,
        "about": dict(report.about),
        "sections": {
            section.name: {
                "findings": list(section.findings),
                "tables": {table.name: _rows(table) for table in section.tables},
            }
            for section in report.sections
        },
    }


def _section(section: Section) -> Iterator[RenderableType]:
    yield Text("")
    yield Text(section.title, style="bold")
    for finding in section.findings:
        yield Padding(Text(shown(finding)), (0, 0, 0, 2), expand=False)
    for table in section.tables:
        if table.rows:
            yield Text("")
            yield Text(f"  {table.title}", style="dim")
            yield Padding(_grid(table), (0, 0, 0, 2), expand=False)
            if table.note:
                yield Padding(Text(table.note, style="dim"), (0, 0, 0, 2), expand=False)


def _grid(table: Table) -> Grid:
    grid = Grid(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in table.columns:
        grid.add_column(column.title, justify="left" if column.unit == "text" else "right", overflow="fold")
    for row in table.rows:
        cells = (_figure(value, column.unit) for value, column in zip(row, table.columns, strict=True))
        grid.add_row(*(Text(shown(cell)) for cell in cells))
    return grid


def _figure(value: Any, unit: Unit) -> str:
    if value is None:
        return _UNKNOWN
    match unit:
        case "usd":
            return dollars(Decimal(value))
        case "seconds":
            return seconds(float(value))
        case "share":
            return f"{100 * float(value):.1f} %"
        case "ratio":
            return f"{float(value):.2f}"
        case "count" | "tokens":
            return f"{value:,}"
        case "text" | "time":
            return str(value)


def _rows(table: Table) -> list[dict[str, Any]]:
    names = [column.name for column in table.columns]
    return [dict(zip(names, map(_value, row), strict=True)) for row in table.rows]


def _value(value: Any) -> Any:
    match value:
        case Decimal():
            return usd(value)
        case datetime():
            return value.astimezone(UTC).isoformat()
        case _:
            return value
