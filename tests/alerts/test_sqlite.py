from __future__ import annotations

import asyncio
import multiprocessing
import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from router.alerts.outbox_sqlite import SqliteOutbox
from router.errors import ConfigError, RouterWarning
from tests.alerts.receiver import message

NOW_S = 1_800_000_000.0
PATIENCE_S = 60.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Gives where the outbox is."""
    return tmp_path / "deep" / "outbox.db"


async def filled(path: Path, *names: str) -> SqliteOutbox:
    """Returns an outbox that holds messages."""
    outbox = SqliteOutbox(path)
    for name in names:
        assert await outbox.put(message(name), ["ops"], now_s=NOW_S)
    return outbox


async def names(outbox: SqliteOutbox) -> list[str]:
    """Returns the names of what stands in an outbox."""
    return sorted(delivery.message.name for delivery in await outbox.deliveries())


async def test_only_the_owner_reads_it(path: Path) -> None:
    """What is spent is nobody else's business."""
    await filled(path, "a")
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(file.name for file in path.parent.iterdir()) == ["outbox.db", "outbox.db.lock"]


async def test_what_is_put_is_on_the_disk(path: Path) -> None:
    """A rollback journal, and every commit waits for the disk."""
    outbox = await filled(path, "a")

    def settings(connection: sqlite3.Connection) -> tuple[str, int]:
        return (
            connection.execute("PRAGMA journal_mode").fetchone()[0],
            connection.execute("PRAGMA synchronous").fetchone()[0],
        )

    extra = 3
    assert await asyncio.to_thread(outbox._work, settings) == ("delete", extra)  # noqa: SLF001 - what no method tells


@pytest.mark.parametrize("where", ["head", "tail", "all"])
async def test_a_corrupt_file_is_set_aside(path: Path, where: str) -> None:
    """It is renamed, never deleted, with a warning that says what that means; a new one takes what comes."""
    outbox = await filled(path, *map(str, range(50)))
    content = path.read_bytes()
    path.write_bytes(
        {
            "head": b"#" * 4096 + content[4096:],
            "tail": content[:4096] + b"#" * (len(content) - 4096),
            "all": b"#" * 9999,
        }[where]
    )
    damaged = path.read_bytes()
    with pytest.warns(RouterWarning, match=r"is corrupt \(.+\); it was renamed to .+corrupt-.+\.recover"):
        assert await outbox.put(message("b"), ["ops"], now_s=NOW_S)
    assert await names(outbox) == ["b"]
    [aside] = path.parent.glob("outbox.db.corrupt-*")
    assert aside.read_bytes() == damaged


def test_what_is_no_database_is_left_alone(tmp_path: Path) -> None:
    """The path of somebody's notes is a mistake in the configuration, and nothing is renamed or written."""
    notes = tmp_path / "notes.txt"
    notes.write_text("my notes " * 1_000)
    with pytest.raises(ConfigError, match=r"notes\.txt is no database of SQLite; \[outbox\] needs a path of its own"):
        SqliteOutbox(notes)
    assert notes.read_text() == "my notes " * 1_000
    assert {file.name for file in tmp_path.iterdir()} == {"notes.txt", "notes.txt.lock"}


def test_a_garbled_database_is_set_aside_from_the_start(path: Path) -> None:
    """One of which only the first bytes are sound is renamed, whoever made it."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"SQLite format 3\0" + b"#" * 9999)
    with pytest.warns(RouterWarning, match="is corrupt"):
        SqliteOutbox(path)


async def test_a_file_that_another_one_set_aside_is_left_alone(path: Path) -> None:
    """Of several that find it corrupt, one renames it; the new file is not renamed too."""
    outbox = await filled(path, "a")
    await asyncio.to_thread(outbox._set_aside)  # noqa: SLF001 - as one that came late does
    assert await names(outbox) == ["a"]


async def test_a_deleted_file_begins_anew(path: Path) -> None:
    """Whoever deletes it deletes what is in it; what comes is kept."""
    outbox = await filled(path, "a")
    path.unlink()
    assert await outbox.put(message("b"), ["ops"], now_s=NOW_S)
    assert await names(outbox) == ["b"]


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("CREATE TABLE theirs (x)", "is a database of something else"),
        ("PRAGMA user_version = 99", "was made by another version"),
    ],
)
async def test_what_is_not_ours_is_refused(path: Path, sql: str, told: str) -> None:
    """Another program's file, or another version's, is not touched."""
    if sql.startswith("PRAGMA"):
        await filled(path, "a")
    path.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(sql)
        connection.commit()
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=told):
        SqliteOutbox(path)
    assert path.read_bytes() == before


def test_what_cannot_be_opened_is_told(tmp_path: Path) -> None:
    """A folder, a file where a folder is needed, no path: each says so."""
    (tmp_path / "file").write_text("")
    for place, told in (
        (str(tmp_path), "cannot be opened"),
        (str(tmp_path / "file" / "outbox.db"), "cannot be opened"),
        ("", "write the path of a file"),
    ):
        with pytest.raises(ConfigError, match=told):
            SqliteOutbox(place)


async def test_it_waits_for_others_but_not_for_ever(path: Path) -> None:
    """A call waits while another program holds the file; then it raises, and nothing is renamed."""
    outbox = await filled(path, "a")
    hurried = SqliteOutbox(path, busy_s=0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            await hurried.put(message("b"), ["ops"], now_s=NOW_S)
        putting = asyncio.create_task(outbox.put(message("c"), ["ops"], now_s=NOW_S))
        await asyncio.sleep(0.05)
        other.execute("COMMIT")
    assert await putting
    assert await names(outbox) == ["a", "c"]


async def test_a_transaction_that_fails_changes_nothing(path: Path) -> None:
    """A message is kept for all of its destinations, or its name is not taken."""
    outbox = await filled(path)
    with pytest.raises(sqlite3.Error):
        await outbox.put(message("a"), ["ops", object()], now_s=NOW_S)  # type: ignore[list-item] # what SQLite cannot keep
    assert await outbox.put(message("a"), ["ops"], now_s=NOW_S)


def child(outbox: SqliteOutbox, number: int) -> None:
    """Uses the outbox that a forked process inherited."""
    for round_ in range(20):
        if not asyncio.run(outbox.put(message(f"child{number}/{round_}"), ["ops"], now_s=NOW_S)):
            raise AssertionError("lost")


async def test_it_may_be_forked_at_work(path: Path) -> None:
    """Processes that are forked while threads write use it on, and nothing is lost or corrupt."""
    put: list[str] = []
    outbox, stop = SqliteOutbox(path), threading.Event()

    def write() -> None:
        while not stop.is_set():
            name = f"parent/{len(put)}"
            if asyncio.run(outbox.put(message(name), ["ops"], now_s=NOW_S)):
                put.append(name)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        children = [multiprocessing.get_context("fork").Process(target=child, args=(outbox, n)) for n in range(4)]
        for process in children:
            process.start()
        for process in children:
            process.join(PATIENCE_S)
    finally:
        stop.set()
        thread.join()
    assert [process.exitcode for process in children] == [0] * 4
    wanted = {f"child{number}/{round_}" for number in range(4) for round_ in range(20)} | set(put)
    assert set(await names(outbox)) == wanted
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_an_outbox_that_is_gone_holds_up_no_fork(tmp_path: Path) -> None:
    """What is left of one that nobody uses any more does nothing at a fork."""
    SqliteOutbox(tmp_path / "outbox.db")
    process = multiprocessing.get_context("fork").Process(target=os.getpid)
    process.start()
    process.join(PATIENCE_S)
    assert process.exitcode == 0
