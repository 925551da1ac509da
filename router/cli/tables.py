"""A report -> what a person reads on a terminal; and the same as JSON values and as CSV.

A table that is too wide for the terminal is shown in parts, one under the other, each with the columns that name its
rows; one of a single row is shown as names and values. Of long tables the first rows are shown; JSON and CSV have all.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TextIO

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from router.analytics.tables import Column, Report, Section, Table, Unit
from router.cli.lookup import age
from router.cli.terminal import dollars, seconds, shown
from router.core.money import usd

ROWS: Final = 20
"""Of a table, shown on a terminal."""
_UNKNOWN: Final = "-"
_INDENT: Final = 2
_GAP: Final = 2
_MINUTE_S: Final = 60
_TEXT_WIDTH: Final = 40
"""Characters of a text in a table before it breaks."""


def report_lines(report: Report, /, width: int = 80) -> Iterator[RenderableType]:
    """Yields the parts of a report, one under the other.

    Args:
        report: the report.
        width: of the terminal.
    """
    yield Text(report.title, style="bold")
    yield _indented(_pairs(report.about))
    for section in report.sections:
        yield from _section(section, width - _INDENT)


def report_values(report: Report, /) -> dict[str, Any]:
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


def write_csv(table: Table, to: TextIO, /) -> None:
    """Writes a table as CSV with a header; money with every digit, times in ISO form, nothing for what is unknown."""
    writer = csv.writer(to, lineterminator="\n")
    writer.writerow(column.name for column in table.columns)
    writer.writerows(["" if cell is None else plain(cell) for cell in row] for row in table.rows)


def write_csv_files(report: Report, folder: Path, /) -> list[Path]:
    """Writes every table into a file of its name; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for table in (table for section in report.sections for table in section.tables):
        path = folder / f"{table.name}.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            write_csv(table, file)
        paths.append(path)
    return paths


def _section(section: Section, width: int) -> Iterator[RenderableType]:
    yield Text("")
    yield Text(section.title, style="bold")
    for finding in section.findings:
        yield _indented(Text(shown(finding)))
    for table in section.tables:
        if table.rows:
            yield Text("")
            yield _indented(Text(table.title, style="underline"))
            yield from map(_indented, _grids(table, width))
            if table.note:
                yield _indented(Text(table.note, style="dim"))


def _indented(what: RenderableType) -> RenderableType:
    return Padding(what, (0, 0, 0, _INDENT), expand=False)


def _pairs(pairs: Sequence[tuple[str, str]]) -> Grid:
    grid = Grid.grid(padding=(0, _GAP))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in pairs:
        grid.add_row(name, Text(shown(value)))
    return grid


def _grids(table: Table, width: int) -> Iterator[RenderableType]:
    texts = [
        [_figure(cell, column.unit) for cell, column in zip(row, table.columns, strict=True)]
        for row in table.rows[:ROWS]
    ]
    if len(table.rows) == 1 and len(table.columns) > 2:
        yield _pairs([(column.title, text) for column, text in zip(table.columns, texts[0], strict=True)])
        return
    wide = _widths(table.columns, texts)
    for part in _parts(table.columns, wide, width):
        grid = Grid(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")
        for place in part:
            column = table.columns[place]
            left = column.unit in {"text", "time"}
            grid.add_column(column.title, justify="left" if left else "right", overflow="fold", min_width=wide[place])
        for row in texts:
            grid.add_row(*(Text(row[place]) for place in part))
        yield grid
    if (more := len(table.rows) - ROWS) > 0:
        yield Text(f"and {more:,} more; --json and --csv have all", style="dim")


def _widths(columns: Sequence[Column], texts: Sequence[Sequence[str]]) -> list[int]:
    """Returns how wide each column must be for its figures, and for the longest word of its title."""
    return [
        min(_TEXT_WIDTH, max(len(word) for word in (*column.title.split(), *(row[place] for row in texts))))
        for place, column in enumerate(columns)
    ]


def _parts(columns: Sequence[Column], wide: Sequence[int], width: int) -> list[list[int]]:
    """Returns which columns stand beside each other in each part."""
    naming = 0
    while naming < len(columns) - 1 and columns[naming].unit in {"text", "time"}:
        naming += 1
    names = list(range(naming))
    taken = sum(wide[place] + _GAP for place in names)
    parts: list[list[int]] = []
    used = width
    for place in range(naming, len(columns)):
        if used + wide[place] > width:
            parts.append([*names])
            used = taken
        parts[-1].append(place)
        used += wide[place] + _GAP
    return parts


def _figure(value: Any, unit: Unit) -> str:
    if value is None:
        return _UNKNOWN
    match unit:
        case "usd":
            return dollars(value)
        case "seconds":
            return seconds(float(value)) if value < _MINUTE_S else age(float(value))
        case "share":
            return f"{100 * float(value):.1f} %"
        case "ratio":
            return f"{float(value):.2f}"
        case "count" | "tokens":
            return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"
        case "time":
            return _moment(value)
        case "text":
            return shown(str(value))


def _moment(value: datetime) -> str:
    utc = value.astimezone(UTC)
    return f"{utc:%Y-%m-%d}" if (utc.hour, utc.minute, utc.second) == (0, 0, 0) else f"{utc:%Y-%m-%d %H:%M:%S}"


def _rows(table: Table) -> list[dict[str, Any]]:
    names = [column.name for column in table.columns]
    return [dict(zip(names, map(plain, row), strict=True)) for row in table.rows]


def plain(value: Any, /) -> Any:
    """Returns a figure as a JSON value: money as a decimal string, a time as ISO writes it."""
    match value:
        case Decimal():
            return usd(value)
        case datetime():
            return value.astimezone(UTC).isoformat()
        case _:
            return value
