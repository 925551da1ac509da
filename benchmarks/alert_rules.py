"""What the rules of alerts cost a request: taking a decision, and taking how a budget stands.

    python benchmarks/alert_rules.py

CPU time of the calling thread, medians of several runs, side by side with an empty sink's.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

from router.alerts.alerts import Alerts
from router.alerts.counters_memory import MemoryCounters
from router.alerts.outbox_memory import MemoryOutbox
from router.alerts.watch import Watch
from router.core.alert_rules import BudgetRule, ErrorsRule, Rule, WasteRule
from router.core.budget import Budget, Standing, account_of
from router.core.budgeting import Purse
from router.core.counting import counts_of
from router.core.window import parse_window
from router.testing.decisions import Decisions
from router.testing.records import decision_of

CALLS, RUNS = 20_000, 9
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def microseconds(call: Callable[[], object]) -> float:
    """Returns the median of what one call takes of this thread's CPU time."""
    runs = []
    for _ in range(RUNS):
        began = time.thread_time_ns()
        for _ in range(CALLS):
            call()
        runs.append((time.thread_time_ns() - began) / CALLS / 1_000)
    return statistics.median(runs)


def main() -> None:
    """Prints the figures."""
    hour, shares = parse_window("hour"), (Decimal("0.5"), Decimal("0.8"), Decimal(1))
    rules: tuple[Rule, ...] = (
        ErrorsRule(name="errors", to=("ops",), window=hour, shares=shares, model=None, min_attempts=20),
        WasteRule(name="waste", to=("ops",), window=hour, shares=shares, min_requests=20, min_nano=0),
        *(BudgetRule(name=name, to=("ops",), budget="team", shares=shares) for name in ("one", "two")),
    )
    alerts = Alerts(MemoryOutbox(), ["ops"], dict, deliver=False)
    watch = Watch(rules, MemoryCounters(), alerts, now=lambda: NOW)
    budget = Budget(name="team", limit_nano=10**12, window=parse_window("day"))
    purse = Purse(
        budget=budget, account=account_of(budget, "", NOW), standing=Standing(limit_nano=10**12, spent_nano=5)
    )
    decision, nothing = decision_of(outcomes=["server_error", "answer"]), Decisions()
    figures = {
        "a sink that appends to a list": microseconds(lambda: nothing.emit(decision)),
        "Watch.emit": microseconds(lambda: watch.emit(decision)),
        "Watch.observe, two rules on one account": microseconds(lambda: watch.observe([purse])),
        "off the request's way: counting one decision": microseconds(lambda: counts_of([decision])),
    }
    watch.close()
    alerts.close()
    for what, figure in figures.items():
        print(f"{figure:8.2f} us  {what}")
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")


if __name__ == "__main__":
    main()
