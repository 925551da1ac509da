"""Tables of a report as HTML: rows under a caption, or name and value where there is but one row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from xml.etree.ElementTree import Element

from router.analytics import spelling
from router.analytics.html_elements import SHORT_WORD, breakable, element
from router.analytics.tables import Column, Table, Unit

LONG_ROWS: Final = 15
"""A table of more rows shows the first `HEAD_ROWS` and folds the others away."""

HEAD_ROWS: Final = 10

BROAD_COLUMNS: Final = 10
"""A table of more columns is printed across a page of its own."""

_LEFT: Final[dict[Unit, str]] = {"text": "text", "time": "time"}


def tabled(table: Table, name: str, /) -> list[Element]:
    """Returns a table with its title and note.

    Args:
        table: the table.
        name: what its ids begin with, unique on the page.
    """
    note = element("p", table.note, class_="note") if table.note else None
    if not table.rows:
        parts = [element("h3", table.title), note, element("p", "Nothing in this log.", class_="note")]
    elif len(table.rows) == 1 and len(table.columns) > 1:
        parts = [element("h3", table.title), facts(table), note]
    else:
        parts = [*_tables(table, name), note]
    return [part for part in parts if part is not None]


def facts(table: Table, /) -> Element:
    """Returns the only row of a table as a list of names and values."""
    (row,) = table.rows
    pairs = zip(table.columns, row, strict=True)
    return element(
        "dl",
        *(element("div", element("dt", _heading(c, [v])), element("dd", written(v, c.unit))) for c, v in pairs),
        class_="facts",
    )


def written(value: Any, unit: Unit, /) -> Element | str:
    """Returns one figure as it stands on the page: with a minus sign that is one, and a dash for what is unknown."""
    return _shown(spelling.figure(value, unit), unit)


def _tables(table: Table, name: str) -> list[Element]:
    columns = [spelling.column([row[i] for row in table.rows], c.unit) for i, c in enumerate(table.columns)]
    headings = [_heading(c, [row[i] for row in table.rows]) for i, c in enumerate(table.columns)]
    rows = list(zip(*columns, strict=True))
    if len(rows) <= LONG_ROWS:
        return [_scrolled(table, table.title, headings, rows, f"{name}-caption")]
    rest = rows[HEAD_ROWS:]
    title = f"{table.title}, rows {HEAD_ROWS + 1} to {len(rows)}"
    return [
        _scrolled(table, table.title, headings, rows[:HEAD_ROWS], f"{name}-caption"),
        element(
            "details",
            element("summary", f"{len(rest):,} more rows"),
            _scrolled(table, title, headings, rest, f"{name}-rest"),
        ),
    ]


def _scrolled(
    table: Table, title: str, headings: Sequence[str], rows: Sequence[Sequence[str]], caption: str
) -> Element:
    """Returns a table that scrolls in itself, by keyboard too, where the page is too narrow for it."""
    units: list[Unit] = [column.unit for column in table.columns]
    head = (element("th", h, scope="col", class_=_LEFT.get(u)) for h, u in zip(headings, units, strict=True))
    return element(
        "div",
        element(
            "table",
            element("caption", element("span", title, id=caption)),
            element("thead", element("tr", *head)),
            element("tbody", *(_row(row, units) for row in rows)),
        ),
        class_="scroll broad" if len(units) > BROAD_COLUMNS else "scroll",
        role="region",
        tabindex=0,
        aria_labelledby=caption,
    )


def _row(texts: Sequence[str], units: Sequence[Unit]) -> Element:
    cells = []
    for place, (text, unit) in enumerate(zip(texts, units, strict=True)):
        kind = _kind(text, unit)
        if place:
            cells.append(element("td", _shown(text, unit), class_=kind))
        else:
            cells.append(element("th", _shown(text, unit), class_=kind, scope="row"))
    return element("tr", *cells)


def _kind(text: str, unit: Unit) -> str | None:
    """Returns how a cell is set: a short word, as names of models are, on one line."""
    word = unit == "text" and len(text) <= SHORT_WORD and " " not in text
    return "text word" if word else _LEFT.get(unit)


def _shown(text: str, unit: Unit) -> Element | str:
    if not text:
        return element("span", "\N{EN DASH}", class_="unknown", role="img", aria_label="unknown")
    if unit == "text":
        return element("span", *breakable(text)) if len(text) > SHORT_WORD else text
    return f"\N{MINUS SIGN}{text[1:]}" if text.startswith("-") else text


def _heading(column: Column, values: Sequence[Any]) -> str:
    """Returns a column's title; where it holds hours of the day, with their zone."""
    hours = any(":" in text for text in spelling.column(values, "time")) if column.unit == "time" else False
    return f"{column.title} (UTC)" if hours and "UTC" not in column.title else column.title
