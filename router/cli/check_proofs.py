"""What `lowfare check` prints of expectations and of what was found in the configuration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from router.testing.config import Report

_STYLES: Final = {"proved": "green", "searched": "yellow", "refuted": "bold red", "empty": "bold red"}


def print_expectations(report: Report, console: Console) -> None:
    """Prints what became of each expectation; nothing where there is none."""
    from router.testing.expect_told import lines_told

    if not report.verdicts:
        return
    console.print("Expectations", style="bold")
    for expectation, verdict in report.verdicts:
        first, *more = lines_told(expectation, verdict)
        console.print(Text.assemble((f"{verdict.outcome:<9}", _STYLES[verdict.outcome]), first), soft_wrap=True)
        for line in more:
            console.print(Text(line), soft_wrap=True)
    console.print()


def print_notes(report: Report, console: Console) -> None:
    """Prints what is worth knowing and may be meant so."""
    notes = [found for found in report.findings if found.severity == "note"]
    if not notes:
        return
    console.print()
    console.print("Worth knowing", style="bold")
    grid = Table.grid(padding=(0, 2))
    for about, message in _told(report, "note"):
        grid.add_row(Text("-", style="dim"), Text(about, style="bold"), Text(message))
    console.print(grid)


def warned_of(report: Report) -> Iterator[tuple[str, str, str]]:
    """Yields (kind, about, message) of each finding to warn of."""
    kinds = [found.kind for found in report.findings if found.severity == "warning"]
    for kind, (about, message) in zip(kinds, _told(report, "warning"), strict=True):
        yield kind, about, message


def _told(report: Report, severity: str) -> Iterator[tuple[str, str]]:
    from router.config_errors import key_path

    for found in report.findings:
        if found.severity == severity:
            line = report.source.line(found.path)
            yield key_path(found.path), found.message if line is None else f"line {line}: {found.message}"
