"""What many callers write to the store in a SQLite file at the same time: few transactions, and each its own result."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from router.cache.sqlite import SqliteStore
from router.cache.sqlite_schema import CACHE_FILE
from router.cache.store import Joined
from router.errors import RouterWarning
from router.state.sqlite_file import SqliteFile
from router.state.sqlite_thread import Execute, SqliteThread
from router.testing.store_promises import LONG_S
from tests.cache.sqlite_processes import key_of

MANY = 200


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Holds the file for writing as another process would."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


async def queued() -> None:
    """Returns when whatever was begun waits for the thread."""
    await asyncio.sleep(0.02)


async def test_what_waits_is_written_together(tmp_path: Path) -> None:
    """Writes that were queued take fewer transactions than they are: others see many of them come at one moment."""
    path = tmp_path / "cache.db"
    thread = SqliteThread(SqliteFile(path, CACHE_FILE), busy_s=30.0)
    thread.open()
    with closing(sqlite3.connect(path, check_same_thread=False)) as other:

        def joined(number: int, execute: Execute) -> int:
            [[seen]] = other.execute("SELECT count(*) FROM leases").fetchall()
            execute("INSERT INTO joins VALUES (?, 'holder', 2, 1)", (key_of(number),))
            count: int = seen
            return count

        with held(path):
            joining = [asyncio.create_task(thread.work(partial(joined, number))) for number in range(MANY)]
            await queued()
        seen = await asyncio.gather(*joining)
        assert other.execute("SELECT count(*) FROM leases").fetchall() == [(MANY,)]
    await thread.close()
    assert seen == sorted(seen)
    assert len(set(seen)) < MANY


async def test_each_gets_its_own_result(tmp_path: Path) -> None:
    """Joins and values that are written together are answered each by itself, in the order in which they came."""
    path = tmp_path / "cache.db"
    store = SqliteStore(path, busy_s=30.0)
    with held(path):
        putting = [
            asyncio.create_task(store.put(key_of(number), b"%d" % number, label=b"", ttl_s=LONG_S))
            for number in range(MANY)
        ]
        joining = [
            asyncio.create_task(store.join(key_of(number), holder, lease_s=LONG_S))
            for number in range(MANY)
            for holder in ("first", "second")
        ]
        await queued()
    await asyncio.gather(*putting)
    joined = await asyncio.gather(*joining)
    await store.aclose()
    assert joined[::2] == [Joined(held=True, value=b"%d" % number) for number in range(MANY)]
    assert joined[1::2] == [Joined(held=False, value=b"%d" % number) for number in range(MANY)]


async def test_what_fails_costs_the_others_nothing(tmp_path: Path) -> None:
    """A write that is refused among many raises for its own caller; all others are done."""
    path = tmp_path / "cache.db"
    store = SqliteStore(path, busy_s=30.0)
    with held(path):
        writes = [
            asyncio.create_task(
                store.put(key_of(number), b"value", label=b"", ttl_s=float("nan") if number == 5 else LONG_S)
            )
            for number in range(10)
        ]
        await queued()
    done = await asyncio.gather(*writes, return_exceptions=True)
    found = [await store.get(key_of(number)) for number in range(10)]
    await store.aclose()
    assert [number for number, result in enumerate(done) if isinstance(result, sqlite3.IntegrityError)] == [5]
    assert [result for result in done if not isinstance(result, sqlite3.IntegrityError)] == [None] * 9
    assert [number for number, value in enumerate(found) if value is None] == [5]


async def test_what_was_given_up_is_left_out(tmp_path: Path) -> None:
    """Of many that wait those that were given up are never done, and the rest is; reading goes on in between."""
    path = tmp_path / "cache.db"
    store = SqliteStore(path, busy_s=30.0)
    with held(path):
        writes = [
            asyncio.create_task(store.put(key_of(number), b"value", label=b"", ttl_s=LONG_S)) for number in range(20)
        ]
        await queued()
        for write in writes[1::2]:
            write.cancel()
        await asyncio.wait(writes[1::2])
    listed = {row.key async for row in store.scan()}
    await asyncio.gather(*writes[::2])
    await store.aclose()
    assert listed == {key_of(number) for number in range(0, 20, 2)}


async def test_who_cannot_write_fails_alone(tmp_path: Path) -> None:
    """While another process holds the file, each of many that wait fails in its time."""
    path = tmp_path / "cache.db"
    store = SqliteStore(path, busy_s=0.01)
    with held(path):
        done = await asyncio.gather(
            *(store.join(key_of(number), "holder", lease_s=LONG_S) for number in range(5)), return_exceptions=True
        )
    assert [str(error) for error in done] == ["database is locked"] * 5
    assert (await store.join(key_of(0), "other", lease_s=LONG_S)).held
    await store.aclose()


async def test_harm_is_mended_for_all(tmp_path: Path) -> None:
    """Where one of many finds a value garbled, one warning is given, and all are done in the new file."""
    path = tmp_path / "cache.db"
    store = SqliteStore(path, busy_s=30.0)
    await store.put(key_of(5), b"value", label=b"", ttl_s=LONG_S)
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE answers SET checksum = checksum + 1")

    async def joined() -> list[Joined]:
        with held(path):
            joins = [asyncio.create_task(store.join(key_of(number), "holder", lease_s=LONG_S)) for number in range(20)]
            await queued()
        return await asyncio.gather(*joins)

    with pytest.warns(RouterWarning, match="is corrupt") as caught:
        found = await joined()
    await store.aclose()
    assert len(caught) == 1
    assert found == [Joined(held=True, value=None)] * 20
