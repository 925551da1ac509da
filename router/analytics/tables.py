"""What a report is made of, whatever it is shown in: sections of tables, each figure with its unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Unit = Literal["text", "count", "tokens", "usd", "seconds", "share", "ratio", "time"]
"""How a column's figures are written. A share is in [0, 1]; a time is a datetime in UTC; money is a Decimal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table.

    Attributes:
        name: in JSON and CSV: snake_case with its unit, as "cost_usd", "latency_p95_s".
        title: for people.
    """

    name: str
    title: str
    unit: Unit = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of figures; None is unknown, and never 0.

    Attributes:
        name: in JSON and file names: "by_model".
        title: for people.
        rows: as long as `columns` each.
        note: what a reader must know to read it right: a definition, an assumption; empty where nothing.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What belongs together: "Waste", "Duplicates".

    Attributes:
        name: in JSON: "waste".
        title: for people.
        findings: in whole sentences, the most important first: what a person should act on.
    """

    name: str
    title: str
    tables: tuple[Table, ...]
    findings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All sections, and what they are about.

    Attributes:
        title: for people.
        about: facts of the whole in order, name and value: log, window, filters, records, set-aside lines, version.
    """

    title: str
    about: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
