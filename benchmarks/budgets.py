"""Whether budgets can be overspent: concurrent requests against one that pays for 37, and processes that are killed.

    python -m benchmarks.budgets [--rounds 100] [--requests 1000] [--json]

First, 1,000 requests ask at once for what 37 of them can pay, in tasks, in threads, in four processes on SQLite and in
four on Redis (where redis-server is installed): how many passed, what is spent and reserved at the end, and the most
that was ever seen. Then, in each round, four processes ask without a pause under budgets in a calendar day, in a
rolling one and for each model, until each is killed (-9) at a moment of its own; what they had reserved lapses, and the
windows are rebuilt from the log and held against sums that are made line by line. It exits with 1 where a limit was
crossed, another number passed, or a window differs by a nano-dollar.

The processes are those of the tests (`tests.budget_load`), so it runs from a checkout.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from router import BudgetExceeded, ProviderError, Router, Settings
from router.core.budget import nano_of
from router.core.money import usd
from router.setup import setup_of
from router.setup_state import made_ledger
from tests.budget_kills import MODELS, ROOT, play, tables_in
from tests.budget_load import ask, made

PAYS_FOR = 37
WAIT = {"wait_s": 30}


def limits() -> tuple[dict[str, Any], int]:
    """Returns a configuration whose budget pays for 37 worst cases, and that in nano-dollars."""
    with Router(Settings(models=MODELS)) as router:
        worst = router.plan("hi", model="small", max_tokens=100).slate.live[0].worst_usd or Decimal(0)
    limit = {"limit_usd": usd(PAYS_FOR * worst), "window": "day"}
    return {"models": MODELS, "bounds": {"attempts": 1}, "budgets": {"day": limit}}, nano_of(PAYS_FOR * worst)


def by_tasks(tables: dict[str, Any], requests: int) -> tuple[Counter[str], int]:
    """Returns how concurrent tasks ended, and what is spent."""

    async def run() -> tuple[Counter[str], int]:
        async with made(tables) as router:
            ends = await ask(router, requests, at_once=requests)
            return ends, await spent_by(router)

    return asyncio.run(run())


def by_threads(tables: dict[str, Any], requests: int) -> tuple[Counter[str], int]:
    """Returns how calls from 32 threads ended, and what is spent."""
    ends: Counter[str] = Counter()
    with made(tables) as router, ThreadPoolExecutor(32) as pool:

        def one(_: int) -> str:
            try:
                router.complete("hi", model="small", max_tokens=100)
            except BudgetExceeded:
                return "refused"
            except ProviderError:
                return "asked"
            return "answered"

        ends.update(pool.map(one, range(requests)))
        return ends, asyncio.run(spent_by(router))


async def spent_by(router: Router) -> int:
    """Returns what the only account of a router has, spent and reserved."""
    treasury = router._treasury  # noqa: SLF001 - a benchmark may look inside
    return 0 if treasury is None else sum(
        [s.spent_nano + s.reserved_nano async for _, s in treasury.ledger.accounts(now_s=time.time())]
    )  # fmt: skip


def by_processes(tables: dict[str, Any], requests: int) -> tuple[Counter[str], int, int]:
    """Returns how the requests of four processes ended, what is spent, and the most that was ever seen."""
    command = [sys.executable, "-m", "tests.budget_load", json.dumps(tables), str(requests // 4)]
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)  # noqa: S603 - our own command
        for _ in range(4)
    ]
    for process in running:
        assert process.stdout is not None
        process.stdout.readline()
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    seen = asyncio.run(_watched(tables, running))
    ends: Counter[str] = Counter()
    for process in running:
        ends.update(json.loads(process.communicate()[0]))
    return ends, seen[-1], max(seen)


async def _watched(tables: Mapping[str, Any], running: list[subprocess.Popen[str]]) -> list[int]:
    ledger = made_ledger(setup_of(Settings(**tables)).state)
    seen = [0]
    working = True
    while working:
        working = any(process.poll() is None for process in running)
        standings = [s async for _, s in ledger.accounts(now_s=time.time())]
        seen += [s.spent_nano + s.reserved_nano for s in standings]
    await ledger.aclose()
    return seen


@contextmanager
def stores() -> Iterator[dict[str, Callable[[Path], dict[str, Any]]]]:
    """Gives what makes the table [state] of each shared store there is."""
    made_by: dict[str, Callable[[Path], dict[str, Any]]] = {
        "sqlite": lambda folder: {"backend": "sqlite", "path": str(folder / "state.sqlite"), **WAIT}
    }
    try:
        from tests.redis_server import RedisServer

        server = RedisServer()
    except BaseException as error:  # noqa: BLE001 - pytest's skip is no Exception
        sys.stderr.write(f"without Redis: {error}\n")
        yield made_by
        return
    with server:
        made_by["redis"] = lambda folder: {
            "backend": "redis", "url": server.url, "prefix": f"bench-{folder.name}", **WAIT
        }  # fmt: skip
        yield made_by


def load_rows(requests: int, states: Mapping[str, Callable[[Path], dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """Yields a row for each way in which requests come together."""
    tables, limit = limits()
    for name, run in (("tasks", by_tasks), ("threads", by_threads)):
        ends, spent = run(tables, requests)
        yield {"load": name, **ends, "spent_nano": spent, "most_nano": spent, "limit_nano": limit}
    for name, state in states.items():
        with tempfile.TemporaryDirectory() as folder:
            ends, spent, most = by_processes({**tables, "state": state(Path(folder))}, requests)
        yield {
            "load": f"4 processes, {name}", **ends, "spent_nano": spent, "most_nano": most, "limit_nano": limit
        }  # fmt: skip


def kill_rows(rounds: int, states: Mapping[str, Callable[[Path], dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """Yields what came of all rounds of killing on each store."""
    for name, state in states.items():
        came = []
        for number in range(rounds):
            with tempfile.TemporaryDirectory() as folder:
                tables = tables_in(Path(folder), state(Path(folder)), random.Random(number).choice(("0.02", "0.2")))
                came.append(play(tables, random.Random(number)))
        yield {
            "kills": name,
            "rounds": rounds,
            "decisions": sum(one.decisions for one in came),
            "rounds_with_lapsed": sum(one.lapsed_nano > 0 for one in came),
            "most_share_of_a_limit": max((one.most for one in came), default=0.0),
            "windows_differing": sum(one.differing for one in came),
        }


def failed(row: Mapping[str, Any], requests: int) -> bool:
    """Returns whether a row shows what must not be."""
    if "kills" in row:
        return bool(row["most_share_of_a_limit"] > 1.0 or row["windows_differing"])
    exact = (row.get("asked"), row.get("refused")) == (PAYS_FOR, requests - PAYS_FOR)
    return not exact or row["spent_nano"] != row["limit_nano"] or row["most_nano"] > row["limit_nano"]


def main() -> None:
    """Runs everything, and prints a line for each row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--requests", type=int, default=1_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    wrong = 0
    with stores() as states:
        for rows in (load_rows(options.requests, states), kill_rows(options.rounds, states)):
            for row in rows:
                wrong += failed(row, options.requests)
                told = json.dumps(row) if options.json else ", ".join(f"{name} {value}" for name, value in row.items())
                sys.stdout.write(told + "\n")
                sys.stdout.flush()
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
