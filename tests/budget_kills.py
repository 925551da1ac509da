"""Processes that ask under shared budgets and are killed at random: what their accounts and their log come to."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from router import Account, Settings, Standing
from router.analytics.spent import claims_of, spent
from router.setup import Setup, setup_of
from router.setup_state import made_ledger

ROOT = Path(__file__).parents[1]
LATER_S = 1_000.0
"""After that every reservation of a dead owner has lapsed; ledgers are told the time."""
MODELS: dict[str, Any] = {
    name: {
        "id": f"simulated/{name}",
        "client": "simulated",
        "input_usd_per_mtok": price,
        "output_usd_per_mtok": price,
        "context_window_tokens": 10_000,
        "max_output_tokens": 1_000,
    }
    for name, price in {"small": "1", "large": "8"}.items()
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one round came to.

    Attributes:
        decisions: in the log.
        most: the largest share of a limit that was ever seen spent and reserved.
        lapsed_nano: what dead processes had reserved.
        differing: windows that are not the sum of their decisions after the rebuild.
    """

    decisions: int
    most: float
    lapsed_nano: int
    differing: int


def tables_in(folder: Path, state: Mapping[str, Any], limit_usd: str) -> dict[str, Any]:
    """Returns a configuration with budgets in every kind of window, and a log."""
    budgets = {
        "day": {"limit_usd": limit_usd, "window": "day", "on_exceed": "cheapest"},
        "each": {"limit_usd": limit_usd, "window": "24h", "scope": "tenant"},
        "models": {"limit_usd": limit_usd, "window": "total", "scope": "model", "on_exceed": "cheapest"},
    }
    return {"models": MODELS, "budgets": budgets, "state": dict(state), "log": {"path": str(folder / "log")}}


def play(tables: Mapping[str, Any], chance: random.Random, *, processes: int = 4, kill_s: float = 1.0) -> Round:
    """Returns what came of processes that asked until they were killed, each at a moment of its own."""
    command = [sys.executable, "-m", "tests.budget_load", json.dumps(tables), "0"]
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        for _ in range(processes)
    ]
    try:
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return asyncio.run(_watched(setup_of(Settings(**tables)), Path(tables["log"]["path"]), running, chance, kill_s))
    finally:
        for process in running:
            process.kill()
            process.communicate()


async def _watched(
    setup: Setup, log: Path, running: list[subprocess.Popen[str]], chance: random.Random, kill_s: float
) -> Round:
    ledger = made_ledger(setup.state)
    until = {process.pid: time.monotonic() + chance.uniform(0.1, kill_s) for process in running}
    most = 0.0
    while any(process.poll() is None for process in running):
        for process in running:
            if time.monotonic() >= until[process.pid]:
                process.kill()
        most = max(most, _share([s async for _, s in ledger.accounts(now_s=time.time())]))
        await asyncio.sleep(0.01)
    later_s = time.time() + LATER_S
    lapsed = [s async for _, s in ledger.accounts(now_s=later_s)]
    most = max(most, _share(lapsed))
    found = spent(log, setup.budgets, now_s=later_s)
    await ledger.rebuild(found.claims, now_s=later_s)
    after = {a: s async for a, s in ledger.accounts(now_s=later_s)}
    await ledger.aclose()
    logged = summed(log, setup)
    differing = [
        account
        for account in {*after, *logged}
        if (s := after.get(account, Standing(limit_nano=0))).spent_nano != logged[account] or s.reserved_nano
    ]
    return Round(
        decisions=found.requests,
        most=most,
        lapsed_nano=sum(s.lapsed_nano for s in lapsed),
        differing=len(differing),
    )


def summed(log: Path, setup: Setup) -> Counter[Account]:
    """Returns what the decisions of a log come to, in nano-dollars: read line by line, without DuckDB."""
    sums: Counter[Account] = Counter()
    for file in sorted(log.glob("*.jsonl")):
        whole, _, _ = file.read_text().rpartition("\n")  # a process that was killed may have torn its last line
        for line in whole.splitlines():
            for claim in claims_of(json.loads(line), setup.budgets):
                for entry in claim.entries:
                    sums[entry.account] += claim.amount_nano
    return sums


def _share(standings: list[Standing]) -> float:
    return max([0.0, *((s.spent_nano + s.reserved_nano) / s.limit_nano for s in standings if s.limit_nano)])
