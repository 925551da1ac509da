"""The outbox of one host: SQLite in one file that many processes share.

What stands in it has not arrived and stands nowhere else, so it is treated otherwise than the cache's file:

- A rollback journal, not WAL: a bug of SQLite before 3.51.3 can garble a WAL file that several processes write
  (https://sqlite.org/wal.html#walresetbug). There are few alerts; that a writer holds up readers does no harm.
- `synchronous = EXTRA`: what `put` has taken is on the disk when it returns, and survives a power cut.
- Each call opens the file and closes it again, so that nothing is inherited by a fork or kept of a file that is gone.
- Nothing is ever wiped. A file that is corrupt is renamed, with a warning that says so; one of another program or
  another version is refused.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import sqlite3
import threading
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import orjson

from router.alerts.outbox import GRACE_S, NOTE_LONGEST, Delivery, Disabled
from router.core.alert import Message
from router.errors import ConfigError, warn
from router.state.sqlite_file import is_corrupt, is_something_else

T = TypeVar("T")

BUSY_S: Final = 10.0
"""How long a call waits for those of other processes; each takes a millisecond, a write to the disk some more."""

_APPLICATION: Final = 0x6C_6F_77_6F
"""Tells our files from other programs' (`PRAGMA application_id`): "lowo"."""
_VERSION: Final = 1
_OWNER_ONLY: Final = 0o600

_SCHEMA: Final = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS names (name TEXT PRIMARY KEY, until REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deliveries (
  id TEXT NOT NULL, destination TEXT NOT NULL, name TEXT NOT NULL, until REAL, body BLOB NOT NULL,
  failures INTEGER NOT NULL DEFAULT 0, due REAL NOT NULL, note TEXT NOT NULL DEFAULT '',
  dead INTEGER NOT NULL DEFAULT 0, claim TEXT NOT NULL DEFAULT '', PRIMARY KEY (id, destination)
);
CREATE INDEX IF NOT EXISTS by_due ON deliveries (destination, dead, due);
CREATE TABLE IF NOT EXISTS disabled (destination TEXT PRIMARY KEY, since REAL NOT NULL, note TEXT NOT NULL);
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
COMMIT;
"""

_FORGET = "DELETE FROM names WHERE until < ?"
_NAME = "INSERT INTO names VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING 1"
_PUT = "INSERT INTO deliveries (id, destination, name, until, body, due) VALUES (?, ?, ?, ?, ?, ?)"
_COLUMNS = "id, name, body, until, destination, failures, due, note, dead, claim"
_OPEN = """
FROM deliveries WHERE dead = 0 AND destination IN (SELECT value FROM json_each(?))
AND destination NOT IN (SELECT destination FROM disabled)
"""
_DUE = f"SELECT {_COLUMNS} {_OPEN} AND due <= ? ORDER BY due LIMIT ?"
_CLAIM = "UPDATE deliveries SET due = ?, claim = ? WHERE id = ? AND destination = ?"
_NEXT = f"SELECT min(due) {_OPEN}"
_DONE = "DELETE FROM deliveries WHERE id = ? AND destination = ?"
_CHANGE = """
UPDATE deliveries SET failures = ?, due = coalesce(?, due), note = ?, dead = ?, claim = ''
WHERE id = ? AND destination = ? AND claim = ? RETURNING 1
"""
_DISABLE = "INSERT INTO disabled VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
_ENABLE = "DELETE FROM disabled WHERE destination = ? RETURNING 1"
_REVIVE = """
UPDATE deliveries SET dead = 0, failures = 0, due = ?1
WHERE dead = 1 AND destination = coalesce(?2, destination) AND id = coalesce(?3, id) RETURNING 1
"""
_ALL = f"SELECT {_COLUMNS} FROM deliveries ORDER BY due"  # noqa: S608 - of constants
_DISABLED = "SELECT destination, since, note FROM disabled ORDER BY destination"


class SqliteOutbox:
    """A `router.alerts.outbox.Outbox` in a file that only its owner can read.

    Args:
        path: where the file is; missing folders are made. Beside it stand `.lock` and at times `-journal`.
        busy_s: how long a call waits for those of other processes.

    Raises:
        ConfigError: the file cannot be opened, is another program's, or of another version; says which and why.
    """

    def __init__(self, path: str | os.PathLike[str], *, busy_s: float = BUSY_S) -> None:
        if not os.fspath(path):
            raise ConfigError(f"outbox: path is {path!r}; write the path of a file")
        self.path = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow a link that may be changed later
        self._busy_s = busy_s
        self._lock = threading.Lock()  # held while anything of SQLite's is under way
        self._do_not_fork_meanwhile()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._begin()
        except (sqlite3.Error, OSError) as error:
            raise ConfigError(
                f"outbox: {self.path} cannot be opened ({error}); write the path of a file that this user can read and "
                "write, in a folder where it can make files"
            ) from error

    async def put(self, message: Message, destinations: Collection[str], /, *, now_s: float) -> bool:
        """Keeps a message for each destination, due at once; returns whether its name is new."""

        def work(connection: sqlite3.Connection) -> bool:
            connection.execute(_FORGET, (now_s - GRACE_S,))
            if not connection.execute(_NAME, (message.name, message.until_s)).fetchall():
                return False
            row = (message.name, message.until_s, message.body, now_s)
            connection.executemany(_PUT, [(message.id, destination, *row) for destination in set(destinations)])
            return True

        return await self._done(work)

    async def claim(
        self, destinations: Collection[str], /, *, now_s: float, lease_s: float, most: int = 16
    ) -> Sequence[Delivery]:
        """Claims what is due for these destinations, for so many seconds; at most so many."""
        claim, until_s = secrets.token_hex(8), now_s + lease_s

        def work(connection: sqlite3.Connection) -> list[Delivery]:
            rows = connection.execute(_DUE, (_listed(destinations), now_s, most)).fetchall()
            found = [replace(_delivery(row), due_s=until_s, claim=claim) for row in rows]
            connection.executemany(_CLAIM, [(until_s, claim, one.message.id, one.destination) for one in found])
            return found

        return await self._done(work)

    async def next_s(self, destinations: Collection[str], /) -> float | None:
        """Returns when the next message for these is due, or its claim over; None where nothing is to be sent."""
        [[due_s]] = await self._rows(_NEXT, _listed(destinations))
        return due_s  # type: ignore[no-any-return] # of a column that is REAL

    async def done(self, delivery: Delivery, /) -> None:
        """Takes out what has arrived, whoever has claimed it by now."""
        await self._rows(_DONE, delivery.message.id, delivery.destination)

    async def retry(self, delivery: Delivery, /, *, failures: int, due_s: float, note: str) -> bool:
        """Gives up the claim, to try again at `due_s`; changes nothing and returns False where the claim is lost."""
        return await self._changed(delivery, failures, due_s, note[:NOTE_LONGEST], 0)

    async def bury(self, delivery: Delivery, /, *, failures: int, note: str) -> bool:
        """Keeps it as dead; changes nothing and returns False where the claim is lost."""
        return await self._changed(delivery, failures, None, note[:NOTE_LONGEST], 1)

    async def disable(self, destination: str, /, *, now_s: float, note: str) -> None:
        """Lets nothing be claimed for a destination until it is enabled; what is for it, and what comes, is kept."""
        await self._rows(_DISABLE, destination, now_s, note[:NOTE_LONGEST])

    async def enable(self, destination: str, /) -> bool:
        """Lets messages for a destination be claimed again; returns whether it was disabled."""
        return bool(await self._rows(_ENABLE, destination))

    async def revive(self, *, now_s: float, destination: str | None = None, message_id: str | None = None) -> int:
        """Makes what is dead due at once, with no failures; returns how many there were."""
        return len(await self._rows(_REVIVE, now_s, destination, message_id))

    async def deliveries(self) -> Sequence[Delivery]:
        """Returns all that has not arrived, dead or not, in the order of their time."""
        return [_delivery(row) for row in await self._rows(_ALL)]

    async def disabled(self) -> Mapping[str, Disabled]:
        """Returns the disabled destinations, by name."""
        return {name: Disabled(since_s=since_s, note=note) for name, since_s, note in await self._rows(_DISABLED)}

    async def aclose(self) -> None:
        """Has nothing open."""

    async def _changed(self, delivery: Delivery, *values: Any) -> bool:
        return bool(await self._rows(_CHANGE, *values, delivery.message.id, delivery.destination, delivery.claim))

    async def _rows(self, sql: str, *values: Any) -> list[Any]:
        return await self._done(lambda connection: connection.execute(sql, values).fetchall())

    async def _done(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.to_thread(self._work, work)

    def _work(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Returns what comes of one transaction; where the file is corrupt, on a new one."""
        with self._lock:
            try:
                return self._worked(work)
            except sqlite3.DatabaseError as error:
                if not is_corrupt(error):
                    raise
            self._set_aside()
            return self._worked(work)

    def _begin(self) -> None:
        """Makes the file, or sets a corrupt one aside, but not one that was never a database."""
        try:
            with self._lock:
                self._worked(lambda _: None)
        except sqlite3.DatabaseError as error:
            if not is_corrupt(error):
                raise
            if is_something_else(self.path, error):
                raise ConfigError(
                    f"outbox: {self.path} is no database of SQLite; [outbox] needs a path of its own"
                ) from error
            self._work(lambda _: None)

    def _worked(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._file_lock(fcntl.LOCK_SH), closing(self._opened()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                connection.rollback()
                raise
            return result

    def _opened(self) -> sqlite3.Connection:
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL, _OWNER_ONLY))
        connection = sqlite3.connect(self.path, timeout=self._busy_s, isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous = EXTRA")
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Fills a file that is empty; refuses one that is not ours.

        Raises:
            ConfigError: it is another program's, or of another version.
        """
        [[application]], [[version]], tables = (
            connection.execute(sql).fetchall()
            for sql in ("PRAGMA application_id", "PRAGMA user_version", "SELECT 1 FROM sqlite_master LIMIT 1")
        )
        if not tables:
            connection.executescript(_SCHEMA)
        elif application != _APPLICATION:
            raise ConfigError(f"outbox: {self.path} is a database of something else; [outbox] needs a path of its own")
        elif version != _VERSION:
            raise ConfigError(
                f"outbox: {self.path} was made by another version of lowfare; let that deliver what is in it "
                "(`lowfare alerts deliver`), then move the file away"
            )

    def _set_aside(self) -> None:
        """Renames the file, unless another process has done so, and there is a sound one now."""
        with self._file_lock(fcntl.LOCK_EX):
            try:
                with closing(self._opened()) as connection:
                    told = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            except sqlite3.DatabaseError as error:
                told = str(error)
            if told == "ok":
                return
            aside = f"{self.path}.corrupt-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
            for suffix in ("", "-journal"):
                with suppress(FileNotFoundError):
                    os.rename(f"{self.path}{suffix}", f"{aside}{suffix}")  # noqa: PTH104 - both names are texts
        warn(
            f"the outbox {self.path} is corrupt ({told.splitlines()[-1]}); it was renamed to {aside}, and alerts in it "
            "that had not arrived are not sent unless you mend it (sqlite3 FILE .recover); a new one begins empty, so "
            "that alerts of this window may be raised once more"
        )

    @contextmanager
    def _file_lock(self, kind: int) -> Iterator[None]:
        """Keeps the file from being renamed under those who write; whoever renames it waits for them."""
        fd = os.open(f"{self.path}.lock", os.O_CREAT | os.O_RDWR, _OWNER_ONLY)
        try:
            fcntl.flock(fd, kind)
            yield
        finally:
            os.close(fd)

    def _do_not_fork_meanwhile(self) -> None:
        """A child that inherits an open database may corrupt it (https://sqlite.org/howtocorrupt.html, 2.6)."""
        lock = weakref.ref(self)

        def call(name: str) -> None:
            if (outbox := lock()) is not None:
                getattr(outbox._lock, name)()  # noqa: SLF001 - of this very class

        release = partial(call, "release")
        os.register_at_fork(before=partial(call, "acquire"), after_in_parent=release, after_in_child=release)


def _listed(destinations: Collection[str]) -> str:
    return orjson.dumps(list(destinations)).decode()


def _delivery(row: Sequence[Any]) -> Delivery:
    message_id, name, body, until_s, destination, failures, due_s, note, dead, claim = row
    return Delivery(
        message=Message(id=message_id, name=name, body=body, until_s=until_s),
        destination=destination,
        failures=failures,
        due_s=due_s,
        note=note,
        dead=bool(dead),
        claim=claim,
    )
