"""The store in a SQLite file: its limits, its locks and its clock; see test_stores.py for what all stores promise."""

from __future__ import annotations

import asyncio
import fcntl
import resource
import signal
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.cache.sqlite import SqliteStore
from router.cache.sqlite_schema import CACHE_FILE
from router.cache.store import Store, Watched
from router.state.sqlite_file import SqliteFile
from router.testing.store_promises import LONG_S
from tests.cache.sqlite_processes import key_of
from tests.cache.table_store import Table, TableStore


class Clock:
    """Tells the time that a test sets."""

    def __init__(self) -> None:
        self.time = 1_000.0

    def __call__(self) -> float:
        return self.time


class ClockedStore(SqliteStore):
    """A store by a clock that a test sets."""

    def __init__(self, path: Path, clock: Clock, **options: Any) -> None:
        super().__init__(path, **options)
        self.clock = clock

    def now(self) -> float:
        """Returns the clock's time."""
        return self.clock()


@contextmanager
def written(path: Path) -> Iterator[sqlite3.Connection]:
    """Gives another connection to the file, that holds it for writing."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


def rows(path: Path, sql: str) -> list[Any]:
    """Returns what another connection reads in the file."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


async def put(store: Store, number: int, value: bytes = b"value", *, ttl_s: float = LONG_S) -> None:
    """Puts a value under one of the keys that all tests know."""
    await store.put(key_of(number), value, label=b"label", ttl_s=ttl_s)


async def kept(store: Store, numbers: range) -> list[int]:
    """Returns which of those keys have a value."""
    return [number for number in numbers if await store.get(key_of(number)) is not None]


async def test_only_the_owner_reads_the_file(tmp_path: Path) -> None:
    """Folders are made on the way; the file and all that stand beside it are for their owner's eyes."""
    path = tmp_path / "some" / "where" / "cache.db"
    store = SqliteStore(str(path))
    await put(store, 0)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    await store.aclose()
    assert modes == dict.fromkeys(("cache.db", "cache.db-shm", "cache.db-wal", "cache.db.lock"), 0o600)


async def test_a_path_is_a_file_whatever_it_says(tmp_path: Path) -> None:
    """A name that means something else to SQLite is a file like any other; every connection has the same data."""
    store = SqliteStore(tmp_path / ":memory:")
    await put(store, 0)
    assert await kept(store, range(1)) == [0]
    await store.aclose()
    assert (tmp_path / ":memory:").exists()


async def test_a_closed_store_opens_again(tmp_path: Path) -> None:
    """Closing twice, or what was never used, does no harm; whoever uses the store later opens it again."""
    store = SqliteStore(tmp_path / "cache.db")
    await store.aclose()
    await store.aclose()
    assert await store.get(key_of(0)) is None
    await put(store, 0)
    await store.aclose()
    assert not [file for file in tmp_path.iterdir() if file.name.endswith("-wal")]
    assert await kept(store, range(1)) == [0]
    await store.aclose()


async def test_closing_ends_the_thread(tmp_path: Path) -> None:
    """What was closed leaves no thread behind."""

    def threads() -> set[threading.Thread]:
        return {thread for thread in threading.enumerate() if thread.name.startswith("lowfare-sqlite")}

    before = threads()
    store = SqliteStore(tmp_path / "cache.db")
    await put(store, 0)
    [thread] = threads() - before
    await store.aclose()
    thread.join()


async def test_a_scan_lists_each_value_once(tmp_path: Path) -> None:
    """Over many pages, and while values are put anew, none is listed twice."""
    store = SqliteStore(tmp_path / "cache.db")
    await asyncio.gather(*(put(store, number) for number in range(450)))
    seen = []
    async for row in store.scan():
        seen.append(row.key)
        if len(seen) % 100 == 0:
            await put(store, len(seen))
    await store.aclose()
    assert seen == sorted(map(key_of, range(450)))


async def test_what_is_oldest_makes_room(tmp_path: Path) -> None:
    """When the values are too many bytes, those go that were stored first; to store one again makes it young."""
    store = SqliteStore(tmp_path / "cache.db", max_bytes=1_000)
    for number in range(10):
        await put(store, number, b"v" * 100)
    await put(store, 0, b"v" * 100)
    assert await kept(store, range(10)) == list(range(10))
    await put(store, 10, b"v" * 101)
    assert await kept(store, range(11)) == [0, *range(3, 11)]
    await put(store, 11, b"v" * 900)
    assert await kept(store, range(12)) == [11]
    await store.aclose()


async def test_one_value_may_cost_many(tmp_path: Path) -> None:
    """However many small values must go for a large one, they all go, empty ones too."""
    store = SqliteStore(tmp_path / "cache.db", max_bytes=1_000)
    for number in range(300):
        await put(store, number, b"v" * (number % 7))
    await put(store, 300, b"v" * 1_000)
    [[total]] = rows(tmp_path / "cache.db", "SELECT bytes FROM total")
    assert total == 1_000
    assert await kept(store, range(200, 301)) == [300]
    await store.aclose()


@pytest.mark.parametrize("total", [10**9, 1_150])
async def test_a_wrong_total_ends(tmp_path: Path, total: int) -> None:
    """Where the total is more than all values are, putting one ends, and the total is right again by then or later."""
    path = tmp_path / "cache.db"
    store = SqliteStore(path, max_bytes=1_000)
    await put(store, 0, b"v" * 100)
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE total SET bytes = ?", (total,))
    for number in range(1, 20):
        await put(store, number, b"v" * 100)
    assert rows(path, "SELECT bytes = (SELECT sum(size) FROM answers) FROM total") == [(1,)]
    assert await kept(store, range(20)) == list(range(10, 20))
    await store.aclose()


async def test_what_lapsed_goes_first(tmp_path: Path) -> None:
    """Values whose time is over make room before any other, though they were stored last."""
    clock = Clock()
    store = ClockedStore(tmp_path / "cache.db", clock, max_bytes=1_000)
    for number in range(5):
        await put(store, number, b"v" * 100)
    for number in range(5, 10):
        await put(store, number, b"v" * 100, ttl_s=10)
    clock.time += 20
    await put(store, 10, b"v" * 500)
    assert await kept(store, range(11)) == [0, 1, 2, 3, 4, 10]
    assert rows(tmp_path / "cache.db", "SELECT count(*), sum(size) FROM answers") == [(6, 1_000)]
    await store.aclose()


async def test_what_is_too_large_is_not_kept(tmp_path: Path) -> None:
    """A value that is larger than all room costs no other its place; what stood under its key is gone."""
    store = SqliteStore(tmp_path / "cache.db", max_bytes=1_000)
    await put(store, 0)
    await put(store, 1)
    await store.join(key_of(1), "holder", lease_s=LONG_S)
    await store.put(key_of(1), b"v" * 1_001, label=b"", ttl_s=LONG_S, holder="holder")
    assert await kept(store, range(2)) == [0]
    assert await store.watch(key_of(1)) == Watched(holder=None)
    await store.aclose()


async def test_what_lapsed_does_not_pile_up(tmp_path: Path) -> None:
    """Values and leases whose time is over leave the file though nobody asks for them and there is room."""
    clock = Clock()
    store = ClockedStore(tmp_path / "cache.db", clock)
    for number in range(10):
        await put(store, number, ttl_s=10)
        await store.join(key_of(number), "holder", lease_s=10)
        await store.renew(key_of(number), "holder", lease_s=10, pieces=[b"piece"])
    clock.time += 20
    for number in range(10, 15):
        await put(store, number)
    await store.join(key_of(10), "holder", lease_s=10)
    counts = [rows(tmp_path / "cache.db", f"SELECT count(*) FROM {table}") for table in ("answers", "leases", "pieces")]  # noqa: S608 - our own names
    await store.aclose()
    assert counts == [[(5,)], [(1,)], [(0,)]]


async def test_the_time_is_told_by_the_clock(tmp_path: Path) -> None:
    """Values and leases end at their moment by the clock that was given, not before."""
    clock = Clock()
    store = ClockedStore(tmp_path / "cache.db", clock)
    await put(store, 0, ttl_s=10)
    await store.join(key_of(0), "holder", lease_s=10)
    clock.time += 9.999
    assert await store.watch(key_of(0)) == Watched(holder="holder", value=b"value")
    clock.time += 0.001
    assert await store.watch(key_of(0)) == Watched(holder=None)
    assert await store.get(key_of(0)) is None
    assert not await store.renew(key_of(0), "holder", lease_s=10)
    await store.aclose()


async def test_a_lock_is_not_waited_for_long(tmp_path: Path) -> None:
    """While another process holds the file, writes fail in their time; reads go on, and so does the event loop."""
    path = tmp_path / "cache.db"
    store = SqliteStore(path, busy_s=0.04)
    await put(store, 0)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    seen = []
    with written(path):
        for write in (
            put(store, 1),
            store.join(key_of(1), "holder", lease_s=LONG_S),
            store.renew(key_of(1), "holder", lease_s=LONG_S),
            store.leave(key_of(1), "holder"),
            store.delete([key_of(0)]),
        ):
            before = ticks
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                await write
            seen.append(ticks - before)
            assert await store.get(key_of(0)) == b"value"
            assert (await store.watch(key_of(1))).holder is None
    ticking.cancel()
    assert min(seen) > 10
    await put(store, 1)
    assert await kept(store, range(2)) == [0, 1]
    await store.aclose()


async def test_who_gives_up_is_not_waited_for(tmp_path: Path) -> None:
    """What its caller gave up, while another process held the file, is not done later, and nobody waits behind it."""
    path = tmp_path / "cache.db"
    store = SqliteStore(path, busy_s=600.0)
    with written(path) as other:
        for _ in range(2):
            writes = put(store, 0), store.join(key_of(0), "holder", lease_s=LONG_S), store.delete([key_of(0)])
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.gather(*writes), 0.05)
            assert [row async for row in store.scan()] == []  # by the same thread, behind all that it waits for
        other.execute("COMMIT")
    await put(store, 1)
    assert await store.watch(key_of(0)) == Watched(holder=None)
    assert await kept(store, range(2)) == [1]
    await store.aclose()


async def test_a_lock_that_is_given_up_costs_nothing(tmp_path: Path) -> None:
    """A write that finds the file held waits for it, and is done when it is free."""
    path = tmp_path / "cache.db"
    store = SqliteStore(path, busy_s=30.0)
    with written(path) as other:
        writing = asyncio.create_task(put(store, 0))
        await asyncio.sleep(0.05)
        assert not writing.done()
        other.execute("COMMIT")
        await writing
    assert await kept(store, range(1)) == [0]
    await store.aclose()


async def test_reads_wait_where_they_must(tmp_path: Path) -> None:
    """Where even reading has to wait, it does so in the other thread, no longer than a write."""
    path = tmp_path / "cache.db"
    store = SqliteStore(path, busy_s=0.04)
    await put(store, 0)
    await store.aclose()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        assert await store.get(key_of(0)) == b"value"
        await store.aclose()
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            await store.get(key_of(0))
    assert await store.get(key_of(0)) == b"value"
    await store.aclose()


async def test_opening_waits_its_turn(tmp_path: Path) -> None:
    """Who must open the file while another process makes or mends it fails in its time, and later succeeds."""
    path = tmp_path / "cache.db"
    store = SqliteStore(path, busy_s=0.04)
    await put(store, 0)
    await store.aclose()
    with open(tmp_path / "cache.db.lock", "rb") as lock:  # noqa: PTH123 - a descriptor is wanted
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BlockingIOError, match="another process opens the file"):
            await store.get(key_of(0))
    assert await kept(store, range(1)) == [0]
    await store.aclose()


@pytest.mark.parametrize(
    ("value", "label", "ttl_s"),
    [("secret text", b"", 1.0), (b"secret bytes", "secret text", 1.0), (b"secret bytes", b"", float("nan"))],
    ids=["value", "label", "ttl"],
)
async def test_what_cannot_be_stored_is_refused(tmp_path: Path, value: Any, label: Any, ttl_s: float) -> None:
    """Values of other types raise, the error says nothing of what they hold, and the store goes on."""
    store = SqliteStore(tmp_path / "cache.db")
    with pytest.raises((TypeError, sqlite3.Error)) as caught:
        await store.put(key_of(0), value, label=label, ttl_s=ttl_s)
    assert "secret" not in str(caught.value)
    await put(store, 0)
    assert await kept(store, range(1)) == [0]
    await store.aclose()


async def test_a_full_disk_costs_the_value_only(tmp_path: Path) -> None:
    """Where nothing more can be written, putting raises; what is there is still found, and later there is room."""
    store = SqliteStore(tmp_path / "cache.db")
    await put(store, 0)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    room = max(file.stat().st_size for file in tmp_path.iterdir()) + 100
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        with pytest.raises(sqlite3.OperationalError, match="disk"):
            await put(store, 1, b"secret" * 10_000)
        assert await kept(store, range(2)) == [0]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    await put(store, 1, b"secret" * 10_000)
    assert await kept(store, range(2)) == [0, 1]
    await store.aclose()


async def test_a_deleted_file_is_made_again(tmp_path: Path) -> None:
    """Whoever has the file open when it is deleted goes on with a new one, in common with all others."""
    path = tmp_path / "cache.db"
    here, there = SqliteStore(path), SqliteStore(path)
    await put(here, 0)
    path.unlink()
    assert await there.get(key_of(0)) is None
    await put(here, 1)
    assert await kept(there, range(2)) == [1]
    await here.aclose()
    await put(there, 2)
    assert await kept(here, range(3)) == [1, 2]
    await here.aclose()
    await there.aclose()


async def test_a_store_needs_a_loop_only_to_wait(tmp_path: Path) -> None:
    """A read that need not wait is over without an event loop; one that must says that it needs one."""
    store = SqliteStore(tmp_path / "cache.db")
    await put(store, 0)

    def outside() -> list[bytes | str | None]:
        found: list[bytes | str | None] = []
        for number in range(2):
            if number:
                asyncio.run(store.aclose())
            read = store.get(key_of(0))
            try:
                read.send(None)
            except StopIteration as done:
                found.append(done.value)
            except RuntimeError as error:
                found.append(str(error))
        return found

    assert await asyncio.to_thread(outside) == [b"value", "no running event loop"]
    await store.aclose()


def test_a_file_is_where_its_path_leads(tmp_path: Path) -> None:
    """A path may lead through links; the file is made where it leads, and known again there."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    real, linked = (SqliteFile(tmp_path / folder / "cache.db", CACHE_FILE) for folder in ("real", "link"))
    assert linked.identity() is None
    linked.open(patience_s=1.0, replace=True).close()
    assert linked.identity() == real.identity() is not None


KEYS = st.sampled_from([key_of(number) for number in range(3)])
HOLDERS = st.sampled_from(["one", "two"])
TIMES, LEASES = st.sampled_from([0.0, 1.0, 5.0, 100.0]), st.sampled_from([1.0, 5.0, 100.0])
PIECES = st.lists(st.binary(max_size=6), max_size=4)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), TIMES),
        st.tuples(st.just("get"), KEYS),
        st.tuples(st.just("put"), KEYS, st.binary(max_size=6), TIMES, st.none() | HOLDERS),
        st.tuples(st.just("delete"), st.lists(KEYS, max_size=3)),
        st.tuples(st.just("scan")),
        st.tuples(st.just("join"), KEYS, HOLDERS, LEASES),
        st.tuples(st.just("renew"), KEYS, HOLDERS, LEASES, PIECES),
        st.tuples(st.just("watch"), KEYS, st.integers(0, 9)),
        st.tuples(st.just("leave"), KEYS, HOLDERS),
        st.tuples(st.just("close")),
    ),
    max_size=40,
)


async def taken(store: Store, clock: Clock, step: tuple[Any, ...]) -> Any:
    """Returns what comes of one step."""
    match step:
        case ("pass", seconds):
            clock.time += seconds
        case ("get", key):
            return await store.get(key)
        case ("put", key, value, ttl_s, holder):
            return await store.put(key, value, label=value[::-1], ttl_s=ttl_s, holder=holder)
        case ("delete", keys):
            return await store.delete(keys)
        case ("scan",):
            return sorted([(row.key, row.label, row.size_bytes) async for row in store.scan()])
        case ("join", key, holder, lease_s):
            return await store.join(key, holder, lease_s=lease_s)
        case ("renew", key, holder, lease_s, pieces):
            return await store.renew(key, holder, lease_s=lease_s, pieces=pieces)
        case ("watch", key, since):
            return await store.watch(key, since=since)
        case ("leave", key, holder):
            return await store.leave(key, holder)
        case _:
            return await store.aclose()
    return None


@settings(max_examples=50)
@given(steps=STEPS)
def test_it_does_what_a_table_does(steps: list[tuple[Any, ...]], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever is done in whichever order, the file gives the same answers as a table in memory."""

    async def compare() -> None:
        clocks = Clock(), Clock()
        table = TableStore(Table(), now=clocks[0])
        store = ClockedStore(tmp_path_factory.mktemp("cache") / "cache.db", clocks[1])
        for step in steps:
            expected = await taken(table, clocks[0], step)
            assert await taken(store, clocks[1], step) == expected, step
        await store.aclose()

    asyncio.run(compare())
