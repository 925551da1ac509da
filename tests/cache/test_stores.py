"""The conformance suite of stores: what keeps its promises passes, and each broken promise is noticed."""

from __future__ import annotations

import asyncio
import re
import selectors
import time
from pathlib import Path

import pytest

from router.cache.sqlite import SqliteStore
from router.testing.store_stress import Stressed, stress
from router.testing.stores import STORE_CHECKS, StoreCheck, check_store
from tests.cache.faulty_stores import FAULTS
from tests.cache.table_store import Table, TableStore

CHECKS = {check.__name__: check for check in STORE_CHECKS}

SPEED = 1000


class HastyLoop(asyncio.SelectorEventLoop):
    """Lives through a thousand seconds in one, so that to wait in vain takes no time."""

    def __init__(self) -> None:
        super().__init__(selectors.DefaultSelector())

    def time(self) -> float:
        return SPEED * time.monotonic()


def hasty() -> float:
    """Tells a store the time of such a loop."""
    return SPEED * time.monotonic()


@pytest.mark.parametrize("check", STORE_CHECKS, ids=CHECKS)
async def test_a_table_in_memory_is_a_store(check: StoreCheck) -> None:
    """What the suite asks can be done: the shortest store passes."""
    table = Table()
    await check(lambda: TableStore(table))


@pytest.mark.parametrize("check", STORE_CHECKS, ids=CHECKS)
async def test_sqlite_is_a_store(check: StoreCheck, tmp_path: Path) -> None:
    """SQLite in a file keeps every promise."""
    await check(lambda: SqliteStore(tmp_path / "cache.db"))


async def test_all_checks_may_share_their_data() -> None:
    """The whole suite can be run twice on the same data."""
    table = Table()
    for _ in range(2):
        await check_store(lambda: TableStore(table))


@pytest.mark.parametrize(("check", "faulty"), FAULTS, ids=lambda value: getattr(value, "__name__", value))
def test_broken_promises_are_noticed(check: str, faulty: type[TableStore]) -> None:
    """A store that breaks a promise fails its check with what it did and what it had promised."""
    table = Table()
    with (
        asyncio.Runner(loop_factory=HastyLoop) as runner,
        pytest.raises(AssertionError, match=re.escape("router/cache/store.py says of ")),
    ):
        runner.run(asyncio.wait_for(CHECKS[check](lambda: faulty(table, now=hasty)), 100 * SPEED))


def test_every_check_can_fail() -> None:
    """For each check of the suite there is a store that fails it."""
    assert {check for check, _ in FAULTS} == CHECKS.keys()


async def test_stress_ends_with_its_time() -> None:
    """A stress goes on for rounds or for seconds, whichever is over first."""
    assert (await stress(TableStore, threads=2, tasks=1, rounds=3)).operations >= 2 * 3
    counted = await stress(TableStore, threads=2, tasks=1, seconds=0.05)
    assert counted.clean
    assert counted.operations > 0


def test_counts_of_stress_add_up() -> None:
    """What several workers counted is one sum, and clean only where nobody saw anything wrong."""
    total = Stressed()
    assert total.clean
    total.add(Stressed(operations=3))
    assert total.clean
    total.add(Stressed(operations=2, lost=1))
    assert (total.operations, total.lost, total.clean) == (5, 1, False)
