"""`check_cache`: the stores that ship pass, and each faulty one is caught, with the check as code."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from router.cache.redis import RedisStore
from router.cache.sqlite import SqliteStore
from router.testing.caches import check_cache
from router.testing.stores import STORE_CHECKS
from router.testing.trial import Breach
from tests.cache.faulty_stores import FAULTS
from tests.cache.table_store import Table, TableStore
from tests.cache.test_stores import HastyLoop, hasty
from tests.redis_server import RedisServer


def test_the_shortest_store_passes() -> None:
    """What is asked can be done."""
    table = Table()
    check_cache(lambda: TableStore(table))


def test_sqlite_passes(tmp_path: Path) -> None:
    """SQLite in a file keeps every promise."""
    check_cache(lambda: SqliteStore(tmp_path / "cache.db"))


def test_redis_passes() -> None:
    """A real redis-server behind the Redis store keeps every promise."""
    with RedisServer() as server:
        check_cache(lambda: RedisStore(server.url))


@pytest.mark.untraced
@pytest.mark.parametrize(("check", "faulty"), FAULTS, ids=lambda value: getattr(value, "__name__", value))
def test_faulty_stores_are_caught(check: str, faulty: type[TableStore]) -> None:
    """A store that breaks a promise is told what it did, what it had promised, and how to see it again."""
    table = Table()
    with pytest.raises(Breach) as caught:
        check_cache(lambda: faulty(table, now=hasty), patience_s=30, loop_factory=HastyLoop)
    breach = caught.value
    # One fault may break the promise of a check that comes before the one that is there for it.
    order = [one.__name__ for one in STORE_CHECKS]
    assert order.index(breach.rule) <= order.index(check)
    assert breach.promise
    assert f'"{breach.rule}"' in breach.code
    compile(breach.code, "shown", "exec")


async def test_a_check_works_inside_a_coroutine() -> None:
    """A test that runs in an event loop may call it, too."""
    table = Table()
    with pytest.raises(Breach, match=r"a method raised OSError\('the disk is gone'\)"):
        check_cache(lambda: Gone(table))


def test_what_is_shown_shows_it_again() -> None:
    """The code of a breach runs the one check that failed."""
    table = Table()

    def make() -> TableStore:
        return Deaf(table)

    with pytest.raises(Breach) as caught:
        check_cache(make)
    with pytest.raises(AssertionError):
        exec(caught.value.code, {"make": make})  # noqa: S102 - the very thing that is promised


def test_a_store_that_hangs_is_not_waited_for() -> None:
    """A check that does not end is a breach, after the patience that was asked for."""
    table = Table()
    with pytest.raises(Breach, match=r"the check hung: no return within 0\.1 s"):
        check_cache(lambda: Slow(table), patience_s=0.1)


class Gone(TableStore):
    async def put(self, key: str, value: bytes, /, **others: Any) -> None:
        raise OSError("the disk is gone")


class Deaf(TableStore):
    async def put(self, key: str, value: bytes, /, **others: Any) -> None:
        """Keeps nothing."""


class Slow(TableStore):
    async def get(self, key: str, /) -> bytes | None:
        time.sleep(1)
        return None
