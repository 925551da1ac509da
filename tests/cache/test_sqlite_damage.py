"""The store in a SQLite file when the file is corrupt, another one, or shared by processes that fork, race and die."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from router.cache.sqlite import SqliteStore
from router.cache.sqlite_schema import CACHE_FILE
from router.errors import ConfigError, RouterWarning
from router.state.sqlite_file import SqliteFile
from router.testing.store_promises import LONG_S
from router.testing.store_stress import Stressed, value_for
from tests.cache.sqlite_processes import (
    ROOT,
    forked,
    hammered,
    key_of,
    opened_at_once,
    overwrite,
    sound,
)

PAGE_BYTES = 4096
GARBLED = b"SQLite format 3\0" + b"secret " * 1_000
"""What begins as a database of SQLite does, and is none."""


async def fill(path: Path, values: int = 300) -> None:
    """Makes a file with so many values of 2 kB in it."""
    store = SqliteStore(path)
    for number in range(values):
        await store.put(key_of(number), value_for(key_of(number), b"v" * 2_000), label=b"", ttl_s=LONG_S)
    await store.aclose()


async def found(store: SqliteStore, values: int = 300) -> int:
    """Returns how many of those values are there, each of them whole."""
    stored = [(key_of(number), await store.get(key_of(number))) for number in range(values)]
    present = [(key, value) for key, value in stored if value is not None]
    assert all(sound(key, value) for key, value in present)
    return len(present)


def aside(path: Path) -> list[Path]:
    """Returns the corrupt files that were renamed."""
    named = path.parent.glob(f"{path.name}.corrupt-*")
    return sorted(file for file in named if not file.name.endswith(("-wal", "-shm")))


async def goes_on(*stores: SqliteStore) -> None:
    """Each store finds what any other one puts."""
    for number, here in enumerate(stores):
        await here.put(key_of(number), value_for(key_of(number), b"new"), label=b"", ttl_s=LONG_S)
        for there in stores:
            assert sound(key_of(number), await there.get(key_of(number)))
    for store in stores:
        await store.aclose()


def test_what_is_no_database_is_left_alone(tmp_path: Path) -> None:
    """A file with something else in it is a mistake in the configuration: it is neither renamed nor written."""
    path = tmp_path / "notes.txt"
    path.write_text("secret " * 1_000)
    with pytest.raises(ConfigError, match=r"notes\.txt is no database of SQLite; \[cache\] needs a path of its own"):
        SqliteStore(path)
    assert path.read_text() == "secret " * 1_000
    assert aside(path) == []


async def test_a_garbled_database_is_renamed(tmp_path: Path) -> None:
    """A file of which only the first bytes are sound is kept under another name; the store begins with nothing."""
    path = tmp_path / "cache.db"
    path.write_bytes(GARBLED)
    with pytest.warns(RouterWarning, match="is corrupt") as caught:
        store = SqliteStore(path)
    [renamed] = aside(path)
    assert renamed.read_bytes() == GARBLED
    [warning] = caught
    assert str(path) in str(warning.message)
    assert str(renamed) in str(warning.message)
    assert "secret" not in str(warning.message)
    await goes_on(store)


async def test_a_file_that_was_cut_is_renamed(tmp_path: Path) -> None:
    """A file of which the second half is missing is noticed when it is opened."""
    path = tmp_path / "cache.db"
    await fill(path)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.warns(RouterWarning, match="malformed"):
        store = SqliteStore(path)
    assert len(aside(path)) == 1
    await goes_on(store)


@pytest.mark.parametrize("harm", ["all", "half", "cut", "emptied", "log"])
async def test_harm_at_run_time_is_noticed(tmp_path: Path, harm: str) -> None:
    """A file that is garbled while it is open costs what is in it, one warning and no exception, in all processes."""
    path = tmp_path / "cache.db"
    await fill(path)
    here, there = SqliteStore(path), SqliteStore(path)
    size = path.stat().st_size
    match harm:
        case "all":
            overwrite(path, 0)
        case "half":
            overwrite(path, size // PAGE_BYTES // 2 * PAGE_BYTES)
        case "cut":
            os.truncate(path, size // 2)
        case "emptied":
            os.truncate(path, 0)
        case _:
            await here.put(key_of(0), value_for(key_of(0), b"v" * 10_000), label=b"", ttl_s=LONG_S)
            os.truncate(f"{path}-wal", 0)
    with pytest.warns(RouterWarning, match="is corrupt") as caught:
        assert await found(there) < 300
    assert await found(here) < 300
    assert len(caught) == 1
    assert len(aside(path)) == 1
    await goes_on(here, there, SqliteStore(path))
    assert len(aside(path)) == 1


async def test_writes_notice_harm_too(tmp_path: Path) -> None:
    """A write that finds the file corrupt is done in the new one."""
    path = tmp_path / "cache.db"
    await fill(path)
    store = SqliteStore(path)
    overwrite(path, 0)
    with pytest.warns(RouterWarning, match="is corrupt"):
        joined = await store.join(key_of(0), "holder", lease_s=LONG_S)
    assert joined.held
    assert joined.value is None
    assert (await store.watch(key_of(0))).holder == "holder"
    await goes_on(store)


async def test_no_value_is_taken_for_another(tmp_path: Path) -> None:
    """Bytes that were changed within a value, so that SQLite sees nothing wrong, are told by its checksum."""
    path = tmp_path / "cache.db"
    await fill(path, 1)
    store = SqliteStore(path)
    at = path.read_bytes().index(b"v" * 9)
    overwrite(path, at, 1)
    with pytest.warns(RouterWarning, match="does not match its checksum"):
        assert await store.get(key_of(0)) is None
    await goes_on(store)


def test_who_comes_first_renames(tmp_path: Path) -> None:
    """Of several processes that find one file corrupt at once, one renames it, and all share what comes after."""
    path = tmp_path / "cache.db"

    async def count() -> int:
        store = SqliteStore(path)
        values = await found(store, 4)
        await store.aclose()
        return values

    with ProcessPoolExecutor(4, multiprocessing.get_context("spawn")) as executor:
        for times in range(1, 6):
            path.write_bytes(GARBLED)
            seen = [*executor.map(opened_at_once, [str(path)] * 4, range(4))]
            assert [there for there, _ in seen] == [True] * 4
            assert sum(warned for _, warned in seen) == 1
            assert len(aside(path)) == times
            assert asyncio.run(count()) == 4


def test_many_may_begin_at_once(tmp_path: Path) -> None:
    """Several processes and threads may begin with no file at the same time."""
    path = tmp_path / "new" / "cache.db"
    with ProcessPoolExecutor(4, multiprocessing.get_context("spawn")) as executor:
        assert [*executor.map(opened_at_once, [str(path)] * 4, range(4))] == [(True, 0)] * 4
    fresh, stores = tmp_path / "fresh.db", list[SqliteStore]()
    threads = [threading.Thread(target=lambda: stores.append(SqliteStore(fresh))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asyncio.run(goes_on(*stores))
    assert len(stores) == 8


async def test_another_version_begins_anew(tmp_path: Path) -> None:
    """A file that another version made is removed, with all it held; nobody is warned, nothing is kept."""
    path = tmp_path / "cache.db"
    await fill(path, 3)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    store = SqliteStore(path)
    assert await found(store, 3) == 0
    assert aside(path) == []
    await goes_on(store)


async def test_versions_do_not_fight(tmp_path: Path) -> None:
    """A store that finds a file of another version where its own was raises, and leaves the file alone."""
    path = tmp_path / "cache.db"
    store = SqliteStore(path)
    path.unlink()
    await fill(path, 3)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    for _ in range(2):
        with pytest.raises(sqlite3.DatabaseError, match="another version"):
            await store.get(key_of(0))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM answers").fetchall() == [(3,)]
    await store.aclose()


def test_other_peoples_data_are_left_alone(tmp_path: Path) -> None:
    """A database that is no cache of ours is refused, and nothing in it or beside it is touched."""
    path = tmp_path / "precious.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE precious (thing)")
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"precious\.db is a database of another program"):
        SqliteStore(path)
    assert path.read_bytes() == before
    assert aside(path) == []


def test_killed_processes_leave_what_they_put(tmp_path: Path) -> None:
    """Processes that are killed while they write leave a sound file, with every value whose `put` had returned."""
    path = tmp_path / "cache.db"
    code = f"from tests.cache.sqlite_processes import write_until_killed as write; write({str(path)!r})"
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT, text=True) as process:
            assert process.stdout is not None
            written = [int(process.stdout.readline()) for _ in range(100)][-1]
            process.send_signal(signal.SIGKILL)
            written = max([written, *(int(line) for line in process.stdout if line.endswith("\n"))])

        async def check(written: int = written) -> None:
            store = SqliteStore(path)
            assert await found(store, written + 1) == written + 1
            assert (await store.watch(key_of(0))).holder is None
            await store.aclose()

        asyncio.run(check())
    assert aside(path) == []


# Whoever forks a process with threads is warned by Python from 3.12 on; that is what this is about.
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
async def test_children_have_connections_of_their_own(tmp_path: Path) -> None:
    """A child that is forked while the parent's threads read and write can do all the same, and harms nobody."""
    store = SqliteStore(tmp_path / "cache.db")
    ended = threading.Event()
    wrong: list[BaseException | int] = []

    async def use(number: int) -> None:
        key, rounds = key_of(number), 0
        while not ended.is_set():
            rounds += 1
            await store.put(key, value_for(key, b"%d" % rounds), label=b"", ttl_s=LONG_S)
            if await store.get(key) != value_for(key, b"%d" % rounds):
                wrong.append(rounds)

    def run(number: int) -> None:
        try:
            asyncio.run(use(number))
        except BaseException as error:  # noqa: BLE001 - a thread that fails must not do so in silence
            wrong.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    context = multiprocessing.get_context("fork")
    for number in range(10, 18):
        child = context.Process(target=forked, args=(store, number))
        child.start()
        await asyncio.to_thread(child.join)
        assert child.exitcode == 0
    ended.set()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert wrong == []
    for number in range(10, 18):
        assert (await store.watch(key_of(number))).holder == "child"
    await store.aclose()


# As above.
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
async def test_grandchildren_can_be_forked(tmp_path: Path) -> None:
    """A child may fork again, whether it has used the store or not, and whether the store is still used."""
    store, unused = SqliteStore(tmp_path / "cache.db"), SqliteStore(tmp_path / "other.db")
    await unused.aclose()
    del unused
    context = multiprocessing.get_context("fork")

    def child(*, used: bool) -> None:
        if used:
            forked(store, 0)
        grandchild = context.Process(target=forked, args=(store, 1))
        grandchild.start()
        grandchild.join()
        forked(store, 2)
        sys.exit(grandchild.exitcode)

    for used in (False, True):
        process = context.Process(target=child, kwargs={"used": used})
        process.start()
        await asyncio.to_thread(process.join)
        assert process.exitcode == 0
        assert await found(store, 3) == 2 + used
    await store.aclose()


def test_nobody_sees_what_is_not_his(tmp_path: Path) -> None:
    """Threads of several processes that write and read at once lose nothing and find nothing foreign."""
    total = Stressed()
    with ProcessPoolExecutor(3, multiprocessing.get_context("spawn")) as executor:
        for run in [executor.submit(hammered, str(tmp_path / "cache.db"), number) for number in range(3)]:
            total.add(run.result())
    assert total.clean, total
    assert total.operations > 3 * 3 * 2 * 12


def test_a_warning_that_is_an_error_costs_nothing(tmp_path: Path) -> None:
    """Where warnings are errors, a corrupt file still costs no more than what was in it."""
    path = tmp_path / "cache.db"
    path.write_bytes(GARBLED)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store = SqliteStore(path)
    asyncio.run(goes_on(store))


def test_what_another_one_began_is_not_renamed(tmp_path: Path) -> None:
    """Who comes late to a corrupt file, and finds that its name belongs to a new one by now, leaves that alone."""
    file = SqliteFile(tmp_path / "cache.db", CACHE_FILE)
    file.open(patience_s=1.0, replace=True).close()
    corrupt = file.identity()
    assert corrupt is not None
    file.path.rename(tmp_path / "corrupt.db")
    file.open(patience_s=1.0, replace=True).close()
    file.set_aside(corrupt, sqlite3.DatabaseError("malformed"), patience_s=1.0)
    assert aside(file.path) == []
    assert file.path.exists()
