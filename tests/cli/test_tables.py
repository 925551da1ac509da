from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from typing import Any

import orjson
from rich.console import Console

from router.analytics.tables import Column, Report, Section, Table, Unit
from router.cli.tables import report_lines, report_values
from tests.cli.command import words

FIGURES: dict[Unit, Any] = {
    "text": "a \x1b[2J",
    "count": 1_234_567,
    "tokens": 8_000,
    "usd": Decimal("0.000123456"),
    "seconds": 0.25,
    "share": 0.125,
    "ratio": 5.5,
    "time": datetime(2026, 11, 23, 12, tzinfo=UTC),
}
COLUMNS = tuple(Column(name=f"{unit}_name", title=f"{unit}:", unit=unit) for unit in FIGURES)
FULL = Table(name="full", title="All units", columns=COLUMNS, rows=(tuple(FIGURES.values()),), note="A note.")
EMPTY = Table(name="empty", title="No rows", columns=COLUMNS, rows=(), note="Not shown.")
UNKNOWN = Table(name="unknown", title="Unknown", columns=COLUMNS, rows=((None,) * len(COLUMNS),))
SECTION = Section(name="part", title="A part", tables=(FULL, EMPTY, UNKNOWN), findings=("It is so.",))
REPORT = Report(title="Report", about=(("log", "here"),), sections=(SECTION,))


def test_a_report_on_a_terminal() -> None:
    """Title, facts, findings, tables with figures in their units, notes; no table without rows, no escape sequence."""
    console = Console(file=StringIO(), width=200)
    for part in report_lines(REPORT):
        console.print(part)
    text = words(console.file.getvalue())  # type: ignore[attr-defined]  # a StringIO
    assert text.startswith("Report log here A part It is so. All units text: a \ufffd[2J count: 1,234,567")
    for figure in ("8,000", "$0.00012", "250 ms", "12.5 %", "5.50", "2026-11-23 12:00"):
        assert figure in text
    assert "A note." in text
    assert "No rows" not in text
    assert text.endswith("usd: - seconds: - share: - ratio: - time: -")


def test_a_report_as_json() -> None:
    """Rows are objects by column, money a string with every digit, times in ISO 8601, unknown null."""
    values = orjson.loads(orjson.dumps(report_values(REPORT)))
    part = values["sections"]["part"]
    assert (values["about"], part["findings"]) == ({"log": "here"}, ["It is so."])
    assert part["tables"]["empty"] == []
    assert part["tables"]["full"][0] | {"text_name": ""} == {
        "text_name": "",
        "count_name": 1_234_567,
        "tokens_name": 8_000,
        "usd_name": "0.000123456",
        "seconds_name": 0.25,
        "share_name": 0.125,
        "ratio_name": 5.5,
        "time_name": "2026-11-23T12:00:00+00:00",
    }
    assert set(part["tables"]["unknown"][0].values()) == {None}
