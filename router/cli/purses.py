"""The budgets of a decision, as a person reads them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from rich.table import Table
from rich.text import Text

from router.cli.terminal import dollars, shown


def purses(record: Mapping[str, Any]) -> Table | None:
    """Returns how the budgets stood that applied to a request; None where none did, as in older records."""
    entries = record.get("budgets")
    if not entries:
        return None
    grid = Table.grid(padding=(0, 2))
    for _ in range(4):
        grid.add_column(overflow="fold")
    for entry in entries:
        whose = f" for {entry['value']}" if entry["value"] else ""
        spent = Decimal(entry["left_usd"]) == 0
        grid.add_row(
            Text(shown(f"{entry['name']}{whose}"), style="bold"),
            Text(f"{dollars(entry['left_usd'])} of {dollars(entry['limit_usd'])} left", style="red" if spent else ""),
            Text(_window(entry)),
            Text(_beyond(entry), style="dim"),
        )
    if record.get("budget_policy") is not None:
        told = f"the policy {record['budget_policy']} decided in place of {record['policy']}"
        grid.add_row(Text(""), Text(shown(told)))
    return grid


def _window(entry: Mapping[str, Any]) -> str:
    if entry["rolling_s"] is not None:
        return f"of the last {entry['rolling_s'] / 3600:g} h"
    if entry["end"] is None:
        return "in all"
    return f"of the {entry['window']} until {datetime.fromisoformat(entry['end']):%Y-%m-%d %H:%M} UTC"


def _beyond(entry: Mapping[str, Any]) -> str:
    match entry["on_exceed"]:
        case "policy":
            return f"beyond it the policy {entry['policy']} decides"
        case "cheapest":
            return "beyond it the cheapest that fits is asked"
        case "alert":
            return "holds nothing back"
        case _:
            return "beyond it nobody is asked"
