"""The store of one host: SQLite in one file that many processes and threads share.

Reads run in the caller's thread, writes in one thread of the process (`router.state.sqlite_thread`), many at once where
many are queued; each is one statement, so that each sees and changes all at one moment (`router.cache.sqlite_schema`).

Values are stored with a checksum over key and value. No disk is waited for, so that after a power cut parts of one
answer could stand in another (as they could by the WAL-reset bug of SQLite before 3.51.3); the checksum tells, and the
file is set aside as corrupt.
"""

from __future__ import annotations

import os
import sqlite3
import time
import zlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar, Final

import orjson

from router.cache.sqlite_schema import CACHE_FILE
from router.cache.store import Joined, Row, Watched
from router.errors import ConfigError
from router.state.process import PerProcess
from router.state.sqlite_file import Garbled, SqliteFile, why_not_opened
from router.state.sqlite_thread import Execute, SqliteThread

MAX_BYTES: Final = 1_000_000_000

BUSY_S: Final = 1.0
"""A write takes 0.1 ms. But on a busy machine the process that writes may have to wait for a core, and the others for
it; who has not so much time (see `router.cache.guard`) gives up by itself."""

_GET = "SELECT value, checksum FROM answers WHERE key = ? AND expires > ?"
_PUT = "INSERT INTO puts VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_DELETE = "DELETE FROM answers WHERE key IN (SELECT value FROM json_each(?))"
_LEAVE = "DELETE FROM leases WHERE key = ? AND holder = ?"
_JOIN = "INSERT INTO joins VALUES (?, ?, ?, ?)"
_RENEW = "INSERT INTO renewals VALUES (?, ?, ?, ?, ?, ?)"
_RENEWED = "SELECT 1 FROM leases WHERE key = ? AND holder = ? AND expires = ?"
_SCAN = "SELECT key, label, size FROM answers WHERE key > ? AND expires > ? ORDER BY key LIMIT 200"

_HELD = """
SELECT EXISTS (SELECT 1 FROM leases WHERE key = ?1 AND holder = ?3 AND expires > ?2), value, checksum
FROM (SELECT 1) LEFT JOIN answers ON key = ?1 AND expires > ?2
"""
_WATCH = """
SELECT 'lease', holder, NULL FROM leases WHERE key = ?1 AND expires > ?2
UNION ALL
SELECT 'value', value, checksum FROM answers WHERE key = ?1 AND expires > ?2
UNION ALL
SELECT 'pieces', packed, first FROM pieces
WHERE key = ?1 AND first >= (SELECT max(first) FROM pieces WHERE key = ?1 AND first <= ?3)
"""

_EXCESS = "SELECT bytes - ? FROM total"
_CHANGES = "SELECT changes()"
_DROP_LAPSED = "DELETE FROM answers WHERE id IN (SELECT id FROM answers WHERE expires <= ? ORDER BY expires LIMIT 64)"
_DROP_OLDEST = """
DELETE FROM answers WHERE id IN (
  SELECT id FROM (
    SELECT id, sum(size) OVER (ORDER BY id) - size AS before FROM (SELECT id, size FROM answers ORDER BY id LIMIT 64)
  ) WHERE before < ?
)
"""
_RECOUNT = "UPDATE total SET bytes = (SELECT coalesce(sum(size), 0) FROM answers)"


class SqliteStore:
    """A `router.cache.store.Store` in a file.

    Only its owner can read the file. Values of more bytes than `max_bytes` are not kept.

    Args:
        path: where the file is; missing folders are made. Beside it stand `-wal`, `-shm` and `.lock`.
        max_bytes: of all values. When they are more, those that lapsed go first, then those that were stored first.
            The file is somewhat larger, and does not shrink: what is freed is used again.
        busy_s: how long a write waits for those of other processes, unless its caller gives up before.

    Raises:
        ConfigError: an option is of no use, or the file cannot be opened or is another program's; says which and why.
    """

    _must_exist: ClassVar = False

    def __init__(self, path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES, busy_s: float = BUSY_S) -> None:
        if not isinstance(path, str | os.PathLike):
            raise ConfigError(f"cache: path is {path!r}; write the path of a file")
        for name, value, kinds in (("max_bytes", max_bytes, (int,)), ("busy_s", busy_s, (int, float))):
            if not isinstance(value, kinds) or isinstance(value, bool) or not value > 0:
                raise ConfigError(f"cache: {name} is {value!r}; write a number greater than 0")
        file = SqliteFile(path, CACHE_FILE)
        if self._must_exist and not file.path.exists():
            raise ConfigError(f"cache: there is no file {file.path}, so no answer is stored in it; is the path right?")
        first = SqliteThread(file, busy_s=busy_s)
        try:
            first.open(replace=not self._must_exist)
        except (sqlite3.Error, OSError) as error:
            raise ConfigError(f"cache: {why_not_opened(file.path, error)}") from error
        self._own = PerProcess(first, lambda _: SqliteThread(file, busy_s=busy_s))
        self._max_bytes = max_bytes

    def now(self) -> float:
        """Returns the time in Unix seconds, which is the same for all processes of the host."""
        return time.time()

    async def get(self, key: str, /) -> bytes | None:
        """Returns the value; None where there is none, or its time is over."""

        def work(execute: Execute) -> bytes | None:
            for value, checksum in execute(_GET, (key, self.now())):
                return _checked(key, value, checksum)
            return None

        return await self._own.get().read(work)

    async def put(self, key: str, value: bytes, /, *, label: bytes, ttl_s: float, holder: str | None = None) -> None:
        """Stores the value, over any other, for so many seconds; gives up the lease of `holder`, if it holds one."""

        def work(execute: Execute) -> None:
            now = self.now()
            if len(value) > self._max_bytes:
                execute(_DELETE, (orjson.dumps([key]),))
                execute(_LEAVE, (key, holder))
                return
            execute(_PUT, (key, now + ttl_s, len(value), _checksum(key, value), label, value, holder, now))
            self._shed(execute, now)

        await self._own.get().work(work)

    async def delete(self, keys: Sequence[str], /) -> None:
        """Takes values out; those that are not there are passed over."""
        await self._own.get().work(lambda execute: execute(_DELETE, (orjson.dumps(list(keys)),)))

    async def scan(self) -> AsyncIterator[Row]:
        """Yields every value that may still be found, once, by key; a page at a time."""
        last = ""

        def work(execute: Execute) -> list[Any]:
            return execute(_SCAN, (last, self.now()))

        while page := await self._own.get().work(work, writes=False):
            for key, label, size_bytes in page:
                yield Row(key=key, label=label, size_bytes=size_bytes)
            last = page[-1][0]

    async def join(self, key: str, holder: str, /, *, lease_s: float) -> Joined:
        """Takes the lease where it is free, lapsed, or the holder's own already."""

        def work(execute: Execute) -> Joined:
            now = self.now()
            execute(_JOIN, (key, holder, now + lease_s, now))
            [[held, value, checksum]] = execute(_HELD, (key, now, holder))
            return Joined(held=bool(held), value=None if value is None else _checked(key, value, checksum))

        return await self._own.get().work(work)

    async def renew(self, key: str, holder: str, /, *, lease_s: float, pieces: Sequence[bytes] = ()) -> bool:
        """Lengthens the lease to so many seconds from now, and publishes pieces after those before."""

        def work(execute: Execute) -> bool:
            now = self.now()
            execute(_RENEW, (key, holder, now + lease_s, len(pieces), _packed(pieces), now))
            return bool(execute(_RENEWED, (key, holder, now + lease_s)))

        return await self._own.get().work(work)

    async def watch(self, key: str, /, *, since: int = 0) -> Watched:
        """Returns how the key stands, with the pieces from number `since` (from 0) on, at one moment."""

        def work(execute: Execute) -> Watched:
            return _watched(key, since, execute(_WATCH, (key, self.now(), since)))

        return await self._own.get().read(work)

    async def leave(self, key: str, holder: str, /) -> None:
        """Gives up the lease with its pieces, where it is the holder's."""
        await self._own.get().work(lambda execute: execute(_LEAVE, (key, holder)))

    async def aclose(self) -> None:
        """Closes this process's connections; whoever uses the store later opens them again."""
        await self._own.get().close()

    def _shed(self, execute: Execute, now: float) -> None:
        """Takes out what is too much: what lapsed, then what was stored first."""
        lapsed = True
        while (excess := execute(_EXCESS, (self._max_bytes,))[0][0]) > 0:
            if lapsed:
                execute(_DROP_LAPSED, (now,))
                lapsed = execute(_CHANGES, ())[0][0] > 0
            else:
                execute(_DROP_OLDEST, (excess,))
                if execute(_CHANGES, ())[0][0] == 0:
                    # There are no more values, so the total is wrong; to go on would be to go on for ever.
                    execute(_RECOUNT, ())
                    return


class ExistingSqliteStore(SqliteStore):
    """The store in a file that is there already; makes none, and leaves one of another version alone.

    Raises:
        ConfigError: as the other does, or there is no such file.
    """

    _must_exist = True


def _watched(key: str, since: int, rows: list[Any]) -> Watched:
    holder, value = None, None
    batches: list[tuple[int, bytes]] = []
    for kind, content, number in rows:
        if kind == "lease":
            holder = content
        elif kind == "value":
            value = _checked(key, content, number)
        else:
            batches.append((number, content))
    pieces: list[bytes] = []
    for first, packed in sorted(batches):
        pieces += _unpacked(packed)[max(0, since - first) :]
    # Those of a lease that lapsed are of no use to anybody.
    return Watched(holder=holder, value=value, pieces=tuple(pieces) if holder is not None else ())


def _packed(pieces: Sequence[bytes]) -> bytes:
    """Returns pieces as one value: each after its length, in 4 bytes."""
    return b"".join(part for piece in pieces for part in (len(piece).to_bytes(4), piece))


def _unpacked(packed: bytes) -> list[bytes]:
    pieces, at = [], 0
    while at < len(packed):
        start = at + 4
        at = start + int.from_bytes(packed[at:start])
        pieces.append(packed[start:at])
    return pieces


def _checksum(key: str, value: bytes) -> int:
    return zlib.crc32(value, zlib.crc32(key.encode()))


def _checked(key: str, value: bytes, checksum: int) -> bytes:
    if _checksum(key, value) != checksum:
        raise Garbled("a value does not match its checksum")
    return value
