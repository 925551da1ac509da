from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from rich.console import Console

from router.analytics.tables import Column, Report, Section, Table, Unit
from router.cli.sections import cell, plain, rendered, values


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (None, "usd", "-"),
        (Decimal("0.00123456"), "usd", "$0.00123"),
        (Decimal("-2.5"), "usd", "-$2.50"),
        (Decimal("1.5"), "seconds", "1.50 s"),
        (Decimal("0.125"), "share", "12.5 %"),
        (0.123456, "ratio", "0.1235"),
        (12345, "count", "12,345"),
        (12345, "tokens", "12,345"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "time", "2026-01-02 03:04:05+00:00"),
        (date(2026, 1, 2), "time", "2026-01-02"),
        ("a\x1bb", "text", "a\x1bb"),
    ],
)
def test_cells(value: Any, unit: Unit, said: str) -> None:
    """Each figure is written in its unit; what is unknown is a dash."""
    assert cell(value, unit) == said


def table(name: str, rows: tuple[tuple[Any, ...], ...], columns: int = 2) -> Table:
    """Returns a table of text and counts."""
    heads = tuple(Column(name=f"c{i}", title=f"C{i}", unit="count" if i else "text") for i in range(columns))
    return Table(name=name, title=f"About {name}", columns=heads, rows=rows, note=f"Note of {name}.")


REPORT = Report(
    title="Report",
    about=(("log", "here\x1b"),),
    sections=(
        Section(name="one", title="One", tables=(table("t", (("a", 1), ("b", None))),), findings=("It is so.",)),
        Section(name="two", title="Two", tables=(table("none", ()), table("wide", (("x", *range(11)),), 12))),
    ),
)


def test_on_the_terminal() -> None:
    """Facts, findings, tables and notes stand there; a wide table of one row stands upright; escapes drive nothing."""
    console = Console(width=60, record=True, file=None, force_terminal=False)
    with console.capture() as captured:
        console.print(rendered(REPORT))
    lines = [" ".join(line.split()) for line in captured.get().splitlines()]
    for wanted in ("Report", "One", "- It is so.", "About t", "C0 C1", "a 1", "b -", "Note of t.", "none", "C11 10"):
        assert wanted in lines
    assert "\x1b" not in captured.get()


def test_as_json() -> None:
    """Rows are objects by column name; decimals are strings and times ISO, so that nothing is rounded."""
    got = values(REPORT)
    assert got["about"] == {"log": "here\x1b"}
    assert got["sections"]["one"]["tables"]["t"]["rows"] == [{"c0": "a", "c1": 1}, {"c0": "b", "c1": None}]
    assert got["sections"]["one"]["findings"] == ["It is so."]
    assert plain(Decimal("1.50")) == "1.5"
    assert plain(datetime(2026, 1, 2, tzinfo=UTC)) == "2026-01-02T00:00:00+00:00"
