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
        spent = Decimal(entry["left_usd"]) == 0
        grid.add_row(
            Text(account_name(entry["name"], entry["scope"], entry["value"]), style="bold"),
            Text(f"{dollars(entry['left_usd'])} of {dollars(entry['limit_usd'])} left", style="red" if spent else ""),
            Text(_window(entry)),
            Text(_beyond(entry), style="dim"),
        )
    if record.get("budget_policy") is not None:
        told = f"the policy {record['budget_policy']} decided in place of {record['policy']}"
        grid.add_row(Text(""), Text(shown(told)))
    return grid


def account_name(budget: str, scope: str | None, value: str, /) -> str:
    """Returns a budget and for whom it counts, as people say it.

    Args:
        budget: its name.
        scope: as the configuration writes it; None where there is no such budget any more.
        value: of the scope; "" where a request has none.
    """
    if value:
        return shown(f"{budget} for {value}")
    return shown(budget if scope in ("all", None) else f"{budget} for no {scope}")


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
