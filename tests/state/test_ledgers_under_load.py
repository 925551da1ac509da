"""A thousand claims at once on what pays for 37: tasks, threads, processes, and processes that are killed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from router.core.budget import Standing
from router.state.ledger import Ledger
from router.state.ledger_memory import MemoryLedger
from router.testing.store_promises import in_threads
from tests.redis_server import RedisServer
from tests.state.ledger_processes import (
    AMOUNT_NANO,
    FITS,
    LAPSES_S,
    LIMIT_NANO,
    claimed,
    go,
    killed,
    left,
    opened,
    processes,
    watched,
)

CLAIMS = 1_000
FULL = FITS * AMOUNT_NANO


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """A redis-server for all tests of this file."""
    with RedisServer() as started:
        yield started


@pytest.fixture(params=["sqlite", "redis"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], tuple[str, str]]:
    """Names a kind of ledger, and a new place for it."""

    def named(name: str) -> tuple[str, str]:
        if request.param == "sqlite":
            return "sqlite", str(tmp_path / name)
        return "redis", f"{request.getfixturevalue('server').url} {tmp_path.name}-{name}"

    return named


@pytest.fixture(params=["memory", "sqlite", "redis"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Ledger:
    """An empty ledger of each kind."""
    if request.param == "memory":
        return MemoryLedger()
    if request.param == "sqlite":
        return opened("sqlite", str(tmp_path / "ledger"))
    return opened("redis", f"{request.getfixturevalue('server').url} {tmp_path.name}")


async def _ends_full(ledger: Ledger) -> None:
    standing = await left(ledger)
    assert standing.spent_nano + standing.reserved_nano == FULL
    assert await left(ledger, LAPSES_S) == Standing(
        limit_nano=LIMIT_NANO, spent_nano=FULL, lapsed_nano=standing.reserved_nano
    )


async def test_as_many_pass_as_fit_in_tasks(ledger: Ledger) -> None:
    """Of a thousand tasks 37 are granted; at no moment is more than the limit spent and reserved."""
    work = asyncio.ensure_future(claimed(ledger, [f"{n}" for n in range(CLAIMS)]))
    assert await watched(ledger, work) > 0
    assert await work == FITS
    await _ends_full(ledger)
    await ledger.aclose()


async def test_as_many_pass_as_fit_in_threads(ledger: Ledger) -> None:
    """The same holds of eight threads, each with an event loop of its own."""

    async def work(number: int) -> int:
        return await claimed(ledger, [f"{number}-{n}" for n in range(CLAIMS // 8)])

    threads = asyncio.ensure_future(in_threads(8, work, ledger.aclose))
    assert await watched(ledger, threads) > 0
    assert sum(await threads) == FITS
    await _ends_full(ledger)
    await ledger.aclose()


async def test_as_many_pass_as_fit_in_processes(shared: Callable[[str], tuple[str, str]]) -> None:
    """And of four processes."""
    kind, place = shared("ledger")
    ledger = opened(kind, place)
    with processes(kind, place, "at-once", CLAIMS // 4, 4) as started:
        go(started)
        outputs = [process.stdout for process in started if process.stdout is not None]
        works = asyncio.gather(*(asyncio.to_thread(output.readline) for output in outputs))
        assert await watched(ledger, works) > 0
        assert sum(map(int, await works)) == FITS
    await _ends_full(ledger)
    await ledger.aclose()


@pytest.mark.untraced
async def test_killed_processes_overspend_nothing(shared: Callable[[str], tuple[str, str]]) -> None:
    """Processes that are killed (-9) leave nothing above the limit, and lose nothing that they were told is settled."""
    draw = random.Random(37)
    for number in range(3):
        kind, place = shared(f"round-{number}")
        came = await asyncio.to_thread(killed, kind, place, number=4, draw=draw)
        ledger = opened(kind, place)
        standing = await left(ledger)
        assert standing.spent_nano + standing.reserved_nano <= LIMIT_NANO
        assert standing.spent_nano >= sum(came.settled.values())
        lapsed = await left(ledger, LAPSES_S)
        assert lapsed.spent_nano == standing.spent_nano + standing.reserved_nano
        assert lapsed.lapsed_nano == standing.reserved_nano
        await ledger.aclose()
