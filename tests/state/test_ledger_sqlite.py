"""The ledger in a SQLite file: what becomes of a file that is no good. `check_ledger` tries the rest."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import pytest

from router.core.budget import KEPT_S, MOST_NANO, Account, Claim, Entry, Refused, Reserved, Standing
from router.errors import ConfigError, RouterWarning, StoreError
from router.state.ledger_schema import LEDGER_FILE
from router.state.ledger_sqlite import SqliteLedger
from router.state.sqlite_file import SqliteFile
from router.state.sqlite_thread import Execute, SqliteThread

T = TypeVar("T")

NOW_S = 1_700_000_000.0
DAY = Entry(account=Account(budget="day", value="", start_s=1_699_920_000, end_s=1_700_006_400), limit_nano=100)


def claim(name: str, amount: int = 10, now_s: float = NOW_S) -> Claim:
    """Returns a claim on one account."""
    return Claim(id=name, entries=(DAY,), amount_nano=amount, now_s=now_s, lapses_s=now_s + 60)


async def test_what_was_counted_is_there_after_a_restart(tmp_path: Path) -> None:
    """The file holds all of it, and only its owner may read it."""
    path = tmp_path / "folder" / "ledger"
    first = SqliteLedger(str(path))
    await first.reserve(claim("one"))
    await first.settle(claim("two", 5), None, now_s=NOW_S)
    await first.aclose()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    second = SqliteLedger(str(path))
    assert repr(second) == f"SqliteLedger({str(path)!r})"
    assert await second.standings((DAY,), now_s=NOW_S) == (Standing(limit_nano=100, spent_nano=5, reserved_nano=10),)
    await second.aclose()


async def test_a_corrupt_file_is_set_aside_and_how_to_mend_it_is_said(tmp_path: Path) -> None:
    """It is renamed, never removed; the warning names the command that brings back what it held."""
    path = tmp_path / "ledger"
    ledger = SqliteLedger(str(path))
    await ledger.settle(claim("one"), None, now_s=NOW_S)
    await ledger.aclose()
    garbage = path.read_bytes()[:16] + b"this is no database" * 1_000
    path.write_bytes(garbage)
    with pytest.warns(RouterWarning, match="is corrupt .* budgets count from nothing: run `lowfare budget rebuild`"):
        ledger = SqliteLedger(str(path))
    [aside] = tmp_path.glob("ledger.corrupt-*Z")
    assert aside.read_bytes() == garbage
    await ledger.rebuild((claim("one"),), now_s=NOW_S)
    assert await ledger.standings((DAY,), now_s=NOW_S) == (Standing(limit_nano=100, spent_nano=10),)
    await ledger.aclose()


@pytest.mark.parametrize("by", ["unlink", "rename"])
async def test_a_file_that_is_deleted_under_a_ledger_is_told_of(tmp_path: Path, by: str) -> None:
    """Once, with the command that brings back what it held; the ledger goes on, and counts from nothing."""
    path = tmp_path / "ledger"
    ledger = SqliteLedger(str(path))
    await ledger.settle(claim("one"), None, now_s=NOW_S)
    if by == "unlink":
        path.unlink()
    else:
        path.rename(tmp_path / "elsewhere")
    with pytest.warns(RouterWarning, match="was deleted or replaced .* run `lowfare budget rebuild`") as caught:
        found = await ledger.standings((DAY,), now_s=NOW_S)
    assert found == (Standing(limit_nano=100),)
    assert len(caught) == 1
    await ledger.reserve(claim("two"))
    assert await ledger.standings((DAY,), now_s=NOW_S) == (Standing(limit_nano=100, reserved_nano=10),)
    await ledger.aclose()


async def test_a_file_that_another_ledger_set_aside_is_told_of_once(tmp_path: Path) -> None:
    """Of two that had it open, the one that finds it corrupt warns; to the other it is neither deleted nor replaced."""
    path = tmp_path / "ledger"
    here, there = SqliteLedger(str(path)), SqliteLedger(str(path))
    await here.reserve(claim("one"))
    await there.aclose()
    await here.aclose()
    path.write_bytes(path.read_bytes()[:16] + b"#" * 9_000)
    with pytest.warns(RouterWarning, match="is corrupt") as caught:
        await here.reserve(claim("two"))
    assert len(caught) == 1
    assert await there.standings((DAY,), now_s=NOW_S) == (Standing(limit_nano=100, reserved_nano=10),)
    await here.aclose()
    await there.aclose()


@pytest.mark.parametrize("text", ["notes\n", "my notes: " * 1_000])
def test_what_is_no_database_is_left_alone(tmp_path: Path, text: str) -> None:
    """The path of somebody's notes is a mistake in the configuration, and nothing is renamed or written."""
    path = tmp_path / "notes.txt"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"notes\.txt is no database of SQLite; \[state\] needs a path of its own"):
        SqliteLedger(str(path))
    assert path.read_text() == text
    assert {file.name for file in tmp_path.iterdir()} == {"notes.txt", "notes.txt.lock"}


async def test_an_empty_file_becomes_a_ledger(tmp_path: Path) -> None:
    """Whoever makes the file before, as a container does to mount it, has a ledger in it."""
    path = tmp_path / "ledger"
    path.touch()
    ledger = SqliteLedger(str(path))
    await ledger.reserve(claim("one"))
    assert (await ledger.standings((DAY,), now_s=NOW_S))[0].reserved_nano == 10
    await ledger.aclose()


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("PRAGMA application_id = 7", "is a database of another program; [state] needs a path of its own"),
        ("PRAGMA user_version = 99", "was made by another version of lowfare"),
    ],
)
async def test_the_file_of_another_is_left_alone(tmp_path: Path, statement: str, told: str) -> None:
    """Money is in it, or somebody else's data: it is neither removed nor written."""
    path = tmp_path / "ledger"
    ledger = SqliteLedger(str(path))
    await ledger.aclose()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
    before = path.read_bytes()
    with pytest.raises(ConfigError) as caught:
        SqliteLedger(str(path))
    assert told in str(caught.value)
    assert path.read_bytes() == before


async def test_a_file_that_is_held_is_told(tmp_path: Path) -> None:
    """A call that cannot be done in time is a StoreError, and changes nothing."""
    path = tmp_path / "ledger"
    ledger = SqliteLedger(str(path), busy_s=0.01)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="cannot be used: database is locked"):
            await ledger.reserve(claim("one"))
        other.execute("ROLLBACK")
    assert await ledger.standings((DAY,), now_s=NOW_S) == (Standing(limit_nano=100),)
    await ledger.aclose()


async def test_one_that_cannot_be_counted_leaves_the_others_alone(tmp_path: Path) -> None:
    """A claim that is refused with an error in a batch is undone by itself."""
    ledger = SqliteLedger(str(tmp_path / "ledger"))
    await ledger.settle(claim("first", MOST_NANO - 5), None, now_s=NOW_S)
    with pytest.raises(ValueError, match="an account of the budget 'day' would have more than can be counted"):
        await ledger.settle(claim("second", 6), None, now_s=NOW_S)
    await ledger.settle(claim("third", 5), None, now_s=NOW_S)
    assert await ledger.standings((DAY,), now_s=NOW_S) == (Standing(limit_nano=100, spent_nano=MOST_NANO),)
    await ledger.aclose()


async def test_nothing_piles_up(tmp_path: Path) -> None:
    """Claims and accounts go when their time is over, while others are reserved."""
    path = tmp_path / "ledger"
    ledger = SqliteLedger(str(path))
    for number in range(100):
        start = int(NOW_S) + number * 3_600
        entry = Entry(account=Account(budget="h", value="", start_s=start, end_s=start + 3_600), limit_nano=100)
        rolling = Entry(account=Account(budget="r", value="", rolling_s=7_200), limit_nano=100)
        one = Claim(id=f"{number}", entries=(entry, rolling), amount_nano=1, now_s=float(start), lapses_s=start + 60.0)
        assert isinstance(await ledger.reserve(one), Reserved)
        if number % 2:
            await ledger.settle(one, 1, now_s=one.now_s)
    later_s = NOW_S + 100 * 3_600 + 2 * KEPT_S
    assert [each async for each in ledger.accounts(now_s=later_s)] == []
    with closing(sqlite3.connect(path)) as connection:
        for table in ("accounts", "cells", "claims"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchall() == [(0,)]  # noqa: S608 - our own names
    await ledger.aclose()


def _at_once(call: Coroutine[Any, Any, T]) -> T:
    """Returns what a call returns that does not suspend."""
    try:
        call.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    call.close()
    raise AssertionError("it suspends")


async def test_a_claim_is_counted_at_once(tmp_path: Path) -> None:
    """Where nothing is in the way, to reserve and to settle takes no other thread, and no turn of the event loop."""
    ledger = SqliteLedger(str(tmp_path / "ledger"))
    await ledger.settle(claim("first", 1), None, now_s=NOW_S)  # after a file was opened, the thread writes first
    assert isinstance(_at_once(ledger.reserve(claim("one"))), Reserved)
    assert isinstance(_at_once(ledger.reserve(claim("two", 90))), Refused)
    _at_once(ledger.settle(claim("one"), 4, now_s=NOW_S))
    assert await ledger.standings((DAY,), now_s=NOW_S) == (Standing(limit_nano=100, spent_nano=5),)
    await ledger.aclose()


async def test_another_process_that_writes_is_waited_for_elsewhere(tmp_path: Path) -> None:
    """While the file is held the event loop goes on; the claim is counted when the file is let go."""
    path = tmp_path / "ledger"
    ledger = SqliteLedger(str(path), busy_s=60.0)
    await ledger.settle(claim("first", 1), None, now_s=NOW_S)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        reserving = asyncio.create_task(ledger.reserve(claim("one")))
        await asyncio.sleep(0.01)
        assert not reserving.done()
        other.execute("ROLLBACK")
        assert isinstance(await reserving, Reserved)
    await ledger.aclose()


async def test_one_that_raises_at_once_is_undone(tmp_path: Path) -> None:
    """A claim that is refused with an error changes nothing, and leaves no transaction behind."""
    path = tmp_path / "ledger"
    ledger = SqliteLedger(str(path))
    await ledger.settle(claim("first", MOST_NANO - 5), None, now_s=NOW_S)
    with pytest.raises(ValueError, match="more than can be counted"):
        _at_once(ledger.settle(claim("second", 6), None, now_s=NOW_S))
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
    assert await ledger.standings((DAY,), now_s=NOW_S) == (Standing(limit_nano=100, spent_nano=MOST_NANO - 5),)
    await ledger.aclose()


async def test_what_is_due_goes_while_claims_are_counted(tmp_path: Path) -> None:
    """Nobody need look at the accounts for it: claims are forgotten, and what died with its owner is spent."""
    path = tmp_path / "ledger"
    ledger = SqliteLedger(str(path))
    entry = Entry(account=Account(budget="all", value=""), limit_nano=MOST_NANO)
    for number in range(600):
        now_s = NOW_S + number
        one = Claim(id=f"{number}", entries=(entry,), amount_nano=1, now_s=now_s, lapses_s=now_s + 60)
        await ledger.reserve(one)
        if number:
            await ledger.settle(one, 1, now_s=now_s)
    await ledger.aclose()
    with closing(sqlite3.connect(path)) as connection:
        [[known]] = connection.execute("SELECT count(*) FROM claims").fetchall()
        [died] = connection.execute("SELECT stage FROM claims WHERE id = '0'").fetchall()
    assert known < 400
    assert died == ("lapsed",)


async def test_the_log_is_brought_into_the_file_by_the_thread(tmp_path: Path) -> None:
    """Not by whoever commits: what callers write stays in the log until the thread tidies up; then that begins anew."""
    path = tmp_path / "ledger"
    thread = SqliteThread(SqliteFile(path, LEDGER_FILE), busy_s=1.0, whole=True)
    thread.open()

    def add(number: int) -> Callable[[Execute], Any]:
        text = "x" * 3_000  # most of a page
        return lambda execute: execute("INSERT INTO claims VALUES (?, 'settled', 1, 0, 0, ?)", (f"{number:09}", text))

    with closing(sqlite3.connect(path)) as other:
        for number in range(1_500):
            await thread.work(add(number), brief=True)
        before = other.execute("PRAGMA wal_checkpoint").fetchall()
        thread.tidy(add(1_500))
        await thread.work(lambda execute: execute("SELECT 1", ()), writes=False)
        [[_, after, _]] = other.execute("PRAGMA wal_checkpoint").fetchall()
    await thread.close()
    assert before[0][1] > 1_500
    assert after < 10


# Whoever forks a process with threads is warned by Python from 3.12 on; that is what this is about.
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
async def test_a_file_is_shared_with_a_child(tmp_path: Path) -> None:
    """After a fork both go on counting, at once as before; neither loses anything."""
    ledger = SqliteLedger(str(tmp_path / "ledger"), busy_s=60.0)
    await ledger.settle(claim("first", 1), None, now_s=NOW_S)
    await ledger.reserve(claim("one"))
    child = os.fork()
    if not child:
        code = 1
        try:
            asyncio.run(_spends(ledger, "child"))
            code = 0
        finally:
            os._exit(code)
    await _spends(ledger, "parent")
    assert os.waitpid(child, 0)[1] == 0
    await ledger.settle(claim("one"), 2, now_s=NOW_S)
    assert await ledger.standings((DAY,), now_s=NOW_S) == (Standing(limit_nano=100, spent_nano=43),)
    await ledger.aclose()


async def _spends(ledger: SqliteLedger, name: str) -> None:
    for number in range(20):
        await ledger.settle(claim(f"{name} {number}", 1), None, now_s=NOW_S)


async def test_accounts_come_in_pages(tmp_path: Path) -> None:
    """More accounts than one transaction reads are all listed, once."""
    ledger = SqliteLedger(str(tmp_path / "ledger"))
    for number in range(250):
        entry = Entry(account=Account(budget="b", value=f"{number}"), limit_nano=9)
        await ledger.settle(
            Claim(id=f"{number}", entries=(entry,), amount_nano=number, now_s=NOW_S, lapses_s=NOW_S), None, now_s=NOW_S
        )
    found = {account.value: standing async for account, standing in ledger.accounts(now_s=NOW_S)}
    assert found == {f"{n}": Standing(limit_nano=9, spent_nano=n) for n in range(250)}
    await ledger.aclose()
