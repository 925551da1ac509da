"""The counters of one host: SQLite in one file that many processes share.

What stands in it is of use for some weeks and can be done without. Each call opens the file and closes it again, so
that nothing is inherited by a fork or kept of a file that is gone; there is one call a second, and not on a request's
way. The journal is a rollback journal, for the reason that `outbox_sqlite.py` gives.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from router.alerts.counters import KEPT_S, REMEMBERED_S
from router.core.alert_counts import Range
from router.core.counting import Counts, Of
from router.errors import ConfigError

T = TypeVar("T")

BUSY_S: Final = 10.0
"""How long a call waits for those of other processes; each takes some milliseconds."""

_APPLICATION: Final = 0x6C_6F_77_6E
"""Tells our files from other programs' (`PRAGMA application_id`): "lown"."""
_VERSION: Final = 1
_OWNER_ONLY: Final = 0o600

_SCHEMA: Final = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS sums (
  start INTEGER NOT NULL, counter TEXT NOT NULL, model TEXT NOT NULL, number INTEGER NOT NULL,
  PRIMARY KEY (start, counter, model)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batches (id TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
COMMIT;
"""
_FORGET_BATCHES = "DELETE FROM batches WHERE at < ?"
_FORGET = "DELETE FROM sums WHERE start < ?"
_BATCH = "INSERT INTO batches VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING 1"
_ADD = """
INSERT INTO sums VALUES (?, ?, ?, ?)
ON CONFLICT (start, counter, model) DO UPDATE SET number = number + excluded.number
"""
_READ = "SELECT counter, model, sum(number) FROM sums WHERE start >= ? AND start < ? GROUP BY counter, model"


class SqliteCounters:
    """`router.alerts.counters.Counters` in a file that only its owner can read.

    Args:
        path: where the file is; missing folders are made.
        busy_s: how long a call waits for those of other processes.

    Raises:
        ConfigError: the file cannot be opened, is another program's, or of another version; says which and why.
    """

    def __init__(self, path: str | os.PathLike[str], *, busy_s: float = BUSY_S) -> None:
        if not os.fspath(path):
            raise ConfigError(f"counters: path is {path!r}; write the path of a file")
        self.path = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow a link that may be changed later
        self._busy_s = busy_s
        self._lock = threading.Lock()  # held while anything of SQLite's is under way
        self._do_not_fork_meanwhile()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._work(lambda _: None)
        except (sqlite3.Error, OSError) as error:
            raise ConfigError(
                f"counters: {self.path} cannot be opened ({error}); write the path of a file that this user can read "
                "and write, in a folder where it can make files; a damaged one may be deleted"
            ) from error

    async def add(self, batch: str, counts: Counts, /, *, now_s: float) -> None:
        """Adds counts to what is kept; a batch that was added before changes nothing."""
        rows = [(start_s, *of, number) for start_s, sums in counts.items() for of, number in sums.items()]

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(_FORGET_BATCHES, (now_s - REMEMBERED_S,))
            if connection.execute(_BATCH, (batch, now_s)).fetchall():
                connection.execute(_FORGET, (now_s - KEPT_S,))
                connection.executemany(_ADD, rows)

        await asyncio.to_thread(self._work, work)

    async def read(self, ranges: Sequence[Range], /) -> Sequence[dict[Of, int]]:
        """Returns the sums over the quarters of each range."""

        def work(connection: sqlite3.Connection) -> list[dict[Of, int]]:
            return [
                {(counter, model): number for counter, model, number in connection.execute(_READ, edges)}
                for edges in ranges
            ]

        return await asyncio.to_thread(self._work, work)

    async def aclose(self) -> None:
        """Has nothing open."""

    def _work(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Returns what comes of one transaction."""
        with self._lock, closing(self._opened()) as connection:
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
            connection.execute("PRAGMA synchronous = NORMAL")
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
            raise ConfigError(
                f"counters: {self.path} is a database of something else; [counters] needs a path of its own"
            )
        elif version != _VERSION:
            raise ConfigError(f"counters: {self.path} was made by another version of lowfare; move the file away")

    def _do_not_fork_meanwhile(self) -> None:
        """A child that inherits an open database may corrupt it (https://sqlite.org/howtocorrupt.html, 2.6)."""
        held = weakref.ref(self)

        def call(name: str) -> None:
            if (counters := held()) is not None:
                getattr(counters._lock, name)()  # noqa: SLF001 - of this very class

        release = partial(call, "release")
        os.register_at_fork(before=partial(call, "acquire"), after_in_parent=release, after_in_child=release)
