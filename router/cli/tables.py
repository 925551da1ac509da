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

from rich.cells import cell_len
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from router.analytics import spelling
from router.analytics.cells import cell
from router.analytics.tables import Column, Report, Section, Table, Unit
from router.cli.terminal import shown
from router.cli.writing import writing
from router.core.money import usd
from router.errors import RequestError

ROWS: Final = 20
"""Of a table, shown on a terminal."""
_UNKNOWN: Final = "-"
_INDENT: Final = 2
_GAP: Final = 2
_LEFT: Final = frozenset({"text", "time"})
"""Units that name a row."""
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
    """Writes a table as CSV with a header; money with every digit, times in ISO form, nothing for what is unknown.

    A text that a spreadsheet would take for a formula begins with a `'`.
    """
    writer = csv.writer(to, lineterminator="\n")
    writer.writerow(column.name for column in table.columns)
    writer.writerows([_csv_cell(value) for value in row] for row in table.rows)


def _csv_cell(value: Any) -> Any:
    match value:
        case None:
            return ""
        case str():
            return cell(value)
        case _:
            return plain(value)


def write_csv_files(report: Report, folder: Path, /) -> list[Path]:
    """Writes every table into a file of its name; returns their paths.

    Raises:
        RequestError: they cannot be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(f"{folder}: no folder for the tables can be made there: {error.strerror}") from error
    paths = []
    for table in (table for section in report.sections for table in section.tables):
        path = folder / f"{table.name}.csv"
        with writing(path) as file:
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
    rows = table.rows[:ROWS]
    columns = [_figures([row[place] for row in rows], of.unit) for place, of in enumerate(table.columns)]
    if len(rows) == 1 and len(columns) > 2:
        yield _pairs([(column.title, figures[0]) for column, figures in zip(table.columns, columns, strict=True)])
        return
    wide = [_width(column, figures) for column, figures in zip(table.columns, columns, strict=True)]
    for part in _parts(table.columns, wide, width):
        grid = Grid(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")
        for place in part:
            left = table.columns[place].unit in _LEFT
            title = table.columns[place].title
            grid.add_column(title, justify="left" if left else "right", overflow="fold", width=wide[place])
        for number in range(len(rows)):
            grid.add_row(*(Text(columns[place][number]) for place in part))
        yield grid
    if (more := len(table.rows) - ROWS) > 0:
        yield Text(f"and {more:,} more; --json and --csv have all", style="dim")


def _figures(values: Sequence[Any], unit: Unit) -> list[str]:
    """Returns the figures of a column, each on one line, and nothing in them that drives a terminal."""
    return [shown(text).replace("\n", " ") or _UNKNOWN for text in spelling.column(values, unit)]


def _width(column: Column, figures: Sequence[str]) -> int:
    """Returns how wide a column is: no figure breaks, a title does between words, a long text anywhere."""
    widest = max(map(cell_len, (*column.title.split(), *figures)))
    return min(_TEXT_WIDTH, widest) if column.unit == "text" else widest


def _parts(columns: Sequence[Column], wide: Sequence[int], width: int) -> list[list[int]]:
    """Returns which columns stand beside each other in each part."""
    naming = 0
    while naming < len(columns) - 1 and columns[naming].unit in _LEFT:
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
