"""Processes that reserve and settle in one ledger, for tests and for benchmarks/ledger.py.

python -m tests.state.ledger_processes KIND PLACE WORK COUNT NUMBER

KIND and PLACE make the ledger (`opened`). WORK is "at-once", which claims COUNT times at the same time, or "on-and-on",
which claims and settles until the process is killed. A process says "ready", waits for a line, and says what it was
granted and what it settled, a line each, as soon as the ledger has answered.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from router.core.budget import Account, Claim, Entry, Reserved, Standing
from router.state.ledger import Ledger

ROOT = Path(__file__).resolve().parents[2]
NOW_S, LAPSES_S = 1_700_000_000.0, 1_700_000_060.0
AMOUNT_NANO = 1_234_567
FITS = 37
LIMIT_NANO = FITS * AMOUNT_NANO + AMOUNT_NANO - 1
ENTRIES = (
    Entry(account=Account(budget="all", value=""), limit_nano=10 * LIMIT_NANO),
    Entry(account=Account(budget="team", value="a", start_s=1_699_999_200, end_s=1_700_002_800), limit_nano=LIMIT_NANO),
)


def claim(name: str, amount_nano: int = AMOUNT_NANO) -> Claim:
    """Returns a claim on both accounts."""
    return Claim(id=name, entries=ENTRIES, amount_nano=amount_nano, now_s=NOW_S, lapses_s=LAPSES_S)


def opened(kind: str, place: str) -> Ledger:
    """Returns a ledger: "sqlite" in a file, or "redis" at an address with a prefix after a space."""
    if kind == "sqlite":
        from router.state.ledger_sqlite import SqliteLedger

        return SqliteLedger(place, busy_s=60.0)
    from router.state.ledger_redis import RedisLedger

    url, _, prefix = place.partition(" ")
    return RedisLedger(url, prefix=prefix, answer_s=60.0)


async def claimed(ledger: Ledger, names: Sequence[str]) -> int:
    """Claims once for each name, all at the same time, and settles half of what was granted; returns how many were."""

    async def one(number: int, name: str) -> bool:
        granted = isinstance(await ledger.reserve(claim(name)), Reserved)
        if granted and number % 2:
            await ledger.settle(claim(name), AMOUNT_NANO, now_s=NOW_S)
        return granted

    return sum(await asyncio.gather(*(one(number, name) for number, name in enumerate(names))))


async def watched(ledger: Ledger, work: asyncio.Future[Any]) -> int:
    """Returns how often the accounts were looked at while some work went on; in none was ever more than its limit."""
    looks = 0
    while True:
        done = work.done()
        for standing in await ledger.standings(ENTRIES, now_s=NOW_S):
            assert standing.spent_nano + standing.reserved_nano <= standing.limit_nano, standing
        looks += 1
        await asyncio.sleep(0)  # a ledger in memory lets nobody else go on
        if done:
            return looks


async def left(ledger: Ledger, now_s: float = NOW_S) -> Standing:
    """Returns how the smaller account stands."""
    _, standing = await ledger.standings(ENTRIES, now_s=now_s)
    return standing


@dataclass(slots=True)
class Killed:
    """What came of a round in which all processes were killed.

    Attributes:
        settled: by id, what a process had said to be settled.
        granted: by id, what it had said to be granted.
    """

    granted: dict[str, int] = field(default_factory=dict)
    settled: dict[str, int] = field(default_factory=dict)

    def read(self, lines: str) -> None:
        """Takes in what a process said; its last line may be cut."""
        whole, _, _ = lines.rpartition("\n")
        for line in whole.splitlines():
            said, name, nano = line.split()
            {"granted": self.granted, "settled": self.settled}[said][name] = int(nano)


@contextmanager
def processes(kind: str, place: str, work: str, count: int, number: int) -> Iterator[list[subprocess.Popen[str]]]:
    """Gives so many processes that are ready; they are killed at the end."""
    started: list[subprocess.Popen[str]] = []
    command = [sys.executable, "-P", "-m", "tests.state.ledger_processes", kind, place, work, str(count)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    try:
        for own in range(number):
            pipe = subprocess.PIPE
            started.append(
                subprocess.Popen([*command, str(own)], stdin=pipe, stdout=pipe, text=True, env=environment, cwd=ROOT)
            )
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


def go(started: Sequence[subprocess.Popen[str]]) -> None:
    """Lets them begin."""
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()


def killed(kind: str, place: str, *, number: int, draw: random.Random) -> Killed:
    """Returns what processes had said that were killed at some moment, each at another one."""
    came = Killed()
    with processes(kind, place, "on-and-on", 8, number) as started:
        go(started)
        for process in draw.sample(started, len(started)):
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(draw.randrange(1, 30))]
            process.send_signal(signal.SIGKILL)
            came.read("".join(lines) + process.stdout.read())
    return came


async def _on_and_on(ledger: Ledger, number: int, tasks: int) -> None:
    """Claims and settles for ever; says so when it is done. Where all is spent it goes on with what was settled."""
    ids = itertools.count()
    draw = random.Random(number)

    async def one() -> None:
        while True:
            one = claim(f"{number}-{next(ids)}", draw.randrange(1, AMOUNT_NANO // 10))
            if isinstance(await ledger.reserve(one), Reserved):
                _say("granted", one.id, one.amount_nano)
                cost = draw.randrange(one.amount_nano // 100 + 1)
                await ledger.settle(one, cost, now_s=NOW_S)
                _say("settled", one.id, cost)
            else:
                _say("granted", "none", 0)

    await asyncio.gather(*(one() for _ in range(tasks)))


def _say(said: str, name: str, nano: int) -> None:
    os.write(1, f"{said} {name} {nano}\n".encode())


async def _main(kind: str, place: str, work: str, count: int, number: int) -> None:
    ledger = opened(kind, place)
    await left(ledger)
    os.write(1, b"ready\n")
    sys.stdin.readline()
    if work == "on-and-on":
        await _on_and_on(ledger, number, count)
    else:
        granted = await claimed(ledger, [f"{number}-{n}" for n in range(count)])
        os.write(1, b"%d\n" % granted)
    await ledger.aclose()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])))
