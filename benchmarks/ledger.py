"""What budgets cost in time, and that they are never overspent: memory, SQLite and Redis.

    python -P benchmarks/ledger.py                       # time of reserve + settle, and the sum of a million costs
    python -P benchmarks/ledger.py --kill-rounds 100     # and processes killed (-9) at random, on SQLite and on Redis

Needs redis-server. Times are medians of one call after another, in one task; the CPU time is this process's, so that
Redis's own is not in it. The machine's load stands beside them: what else it does makes them longer.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from router.core.budget import Account, Claim, Entry, Reserved, nano_of, usd_of
from router.state.ledger import Ledger
from router.state.ledger_guard import GuardedLedger
from router.state.ledger_memory import MemoryLedger
from router.state.ledger_redis import RedisLedger
from router.state.ledger_sqlite import SqliteLedger
from tests.redis_server import RedisServer
from tests.state.ledger_processes import LAPSES_S, LIMIT_NANO, killed, left, opened

NOW_S = 1_700_000_000.0
LIMIT = 9 * 10**18
ENTRIES = {
    "one account by the day": (
        Entry(account=Account(budget="day", value="", start_s=1_699_920_000, end_s=1_700_006_400), limit_nano=LIMIT),
    ),
    "three accounts, one of them rolling": (
        Entry(account=Account(budget="day", value="", start_s=1_699_920_000, end_s=1_700_006_400), limit_nano=LIMIT),
        Entry(account=Account(budget="tenant", value="acme"), limit_nano=LIMIT),
        Entry(account=Account(budget="rolling", value="", rolling_s=86_400), limit_nano=LIMIT),
    ),
}


async def timed(ledger: Ledger, entries: tuple[Entry, ...], rounds: int) -> tuple[float, float]:
    """Returns the median time of a reservation and its settlement, and the CPU time of one, in microseconds."""
    times, began_s = [], 0.0
    for number in range(rounds + 100):
        if number == 100:
            began_s = time.process_time()
        now_s = NOW_S + number * 0.02
        claim = Claim(id=f"{number:016x}", entries=entries, amount_nano=1_500, now_s=now_s, lapses_s=now_s + 60)
        start_s = time.perf_counter()
        assert isinstance(await ledger.reserve(claim), Reserved)
        await ledger.settle(claim, 1_000, now_s=now_s)
        times.append(time.perf_counter() - start_s)
    cpu_s = (time.process_time() - began_s) / rounds
    for standing in await ledger.standings(entries, now_s=NOW_S):
        assert standing.spent_nano == 1_000 * (rounds + 100)
    await ledger.aclose()
    return statistics.median(times[100:]) * 1e6, cpu_s * 1e6


def print_times(makes: dict[str, Callable[[str], Ledger]], rounds: int) -> None:
    """Prints what one reservation and its settlement take in each ledger."""
    for what, entries in ENTRIES.items():
        for name, make in makes.items():
            median_us, cpu_us = asyncio.run(timed(make(what[:3]), entries, rounds))
            print(f"{name:18} {what:36} reserve + settle {median_us:7.1f} us, CPU {cpu_us:6.1f} us")


async def summed(ledger: Ledger, count: int) -> Decimal:
    """Returns the sum of so many costs of 1.5e-6 dollars, as the ledger has it."""
    entry = Entry(account=Account(budget="sum", value=""), limit_nano=LIMIT, strict=False)
    cost = nano_of(Decimal("1.5e-6"))
    for number in range(count):
        now_s = NOW_S + number * 0.01
        await ledger.settle(
            Claim(id=f"{number}", entries=(entry,), amount_nano=cost, now_s=now_s, lapses_s=now_s), None, now_s=now_s
        )
        if not number % 1_000:
            await ledger.standings((entry,), now_s=now_s)
    [standing] = await ledger.standings((entry,), now_s=NOW_S)
    return usd_of(standing.spent_nano)


def kill(kind: str, place: Callable[[int], str], rounds: int) -> None:
    """Kills four processes in each round; asserts that nothing was overspent, and nothing that was settled is lost."""
    draw = random.Random(7)
    granted = settled = lapsed = 0
    for number in range(rounds):
        came = killed(kind, place(number), number=4, draw=draw)

        async def look(number: int = number) -> tuple[int, int, int]:
            ledger = opened(kind, place(number))
            now, later = await left(ledger), await left(ledger, LAPSES_S)
            await ledger.aclose()
            return now.spent_nano, now.reserved_nano, later.lapsed_nano

        spent_nano, reserved_nano, lapsed_nano = asyncio.run(look())
        assert spent_nano + reserved_nano <= LIMIT_NANO
        assert spent_nano >= sum(came.settled.values())
        assert lapsed_nano == reserved_nano
        granted, settled, lapsed = granted + len(came.granted), settled + len(came.settled), lapsed + (lapsed_nano > 0)
    print(
        f"{kind}: {rounds} rounds of 4 processes killed (-9): {granted} granted, {settled} settled, never above the "
        f"limit; in {lapsed} rounds what died with its owner lapsed, and was counted in full"
    )


def main() -> None:
    """Prints all figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3_000)
    parser.add_argument("--sum", type=int, default=1_000_000)
    parser.add_argument("--kill-rounds", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, RedisServer() as server:
        makes: dict[str, Callable[[str], Ledger]] = {
            "memory": lambda _: MemoryLedger(),
            "memory, guarded": lambda _: GuardedLedger(MemoryLedger()),
            "SQLite": lambda name: SqliteLedger(f"{folder}/{name}"),
            "SQLite, guarded": lambda name: GuardedLedger(SqliteLedger(f"{folder}/guarded-{name}")),
            "Redis (loopback)": lambda name: RedisLedger(server.url, prefix=name),
            "Redis, guarded": lambda name: GuardedLedger(RedisLedger(server.url, prefix=f"guarded-{name}")),
        }
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        print_times(makes, options.rounds)
        total = asyncio.run(summed(MemoryLedger(), options.sum))
        assert total == options.sum * Decimal("1.5e-6")
        print(f"{options.sum:,} costs of $1.5e-6 are ${total}")
        if options.kill_rounds:
            kill("sqlite", lambda number: f"{folder}/kill-{number}", options.kill_rounds)
            kill("redis", lambda number: f"{server.url} kill-{number}", options.kill_rounds)


if __name__ == "__main__":
    main()
