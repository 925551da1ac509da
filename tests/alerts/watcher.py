"""What tests of rules run in several processes at once: a router with a budget and rules, on stores that all share."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any, Final

from router.config import Settings
from router.errors import ProviderError
from router.router import Router
from router.state.ledger import Ledger
from router.testing import VirtualClock

NOON: Final = datetime(2026, 11, 28, 12, tzinfo=UTC)
REQUESTS: Final = 40
BUDGET: Final = {"limit_usd": "0.0004", "window": "day", "scope": "tenant", "on_exceed": "alert"}
RULES: Final = [
    {"name": "half", "kind": "budget", "budget": "team", "shares": [0.5, 0.8, 1.0], "to": ["ops"]},
    {"name": "errors", "kind": "errors", "shares": [0.05, 0.1, 0.9], "window": "day", "to": ["ops"]},
    {"name": "unpriced", "kind": "unpriced", "of": "attempts", "shares": [0.5], "window": "day", "to": ["ops"]},
]
"""The last one never fires."""


def settings_at(place: str, **more: Any) -> Settings:
    """Returns settings whose outbox and counters are in a folder, or in Redis."""
    at = {"backend": "redis", "url": place} if place.startswith("redis://") else {"backend": "sqlite", "path": place}
    model = {
        "id": "simulated/m",
        "client": "simulated",
        "input_usd_per_mtok": "1",
        "output_usd_per_mtok": "1",
        "max_output_tokens": 100,
    }
    tables = {
        # A part of the attempts fails, and costs the worst.
        "models": {"m": {**model, "options": {"failure_shares": {"server_error": 0.3}, "output_tokens": 5}}},
        "bounds": {"attempts": 1},
        "budgets": {"team": BUDGET},
        "destinations": {"ops": {"kind": "log"}},
        "outbox": {**at, "deliver": False},
        "alerts": RULES,
    }
    return Settings.model_validate({**tables, **more})


def ledger_at(place: str) -> Ledger:
    """Returns the ledger in a folder, or in Redis."""
    if place.startswith("redis://"):
        from router.state.ledger_redis import RedisLedger

        return RedisLedger(place)
    from router.state.ledger_sqlite import SqliteLedger

    return SqliteLedger(f"{place}.ledger")


def ask_and_end(place: str) -> None:
    """Makes requests of two tenants, some of which fail; then ends in good order."""
    # All of it is on one day, whatever the time is.
    with Router(settings_at(place), ledger=ledger_at(place), clock=VirtualClock(NOON)) as router:
        for number in range(REQUESTS):
            try:
                router.complete(f"question {number}", tenant=f"tenant{number % 2}")
            except ProviderError:
                continue


if __name__ == "__main__":
    ask_and_end(*sys.argv[1:])
