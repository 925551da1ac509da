"""A file of SQLite that the processes of one host share: made, opened, and set aside when it is corrupt.

Nothing is mended: a corrupt file is renamed and a new one begun; a file of another version is removed where what it
holds is disposable. What is no database of SQLite, or another program's, is left alone: the path is wrong. Whoever
makes, renames or removes the file holds a lock on `NAME.lock` meanwhile and has looked which file now has the name. So
of several processes that find the same file corrupt one renames it, and none renames what another one has begun. Who
still has the old file open sees that the name means another one, and opens that.
"""

from __future__ import annotations

import fcntl
import glob
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeVar

from router.errors import warn

T = TypeVar("T")

_NOWHERE = (0, 0)
"""The identity of no file."""

_OWNER_ONLY = 0o600
"""Answers are private, and so is what they cost."""

_PAUSE_S = 0.0005
"""Between two tries of what another process holds up; it takes some 0.1 ms for a write."""

_LONG_PAGES = 4096
"""From how many pages on, of 4 kB each, a log is long."""

_RESTARTING_S = 0.05
"""How long it is tried to hold up other processes; those who call in this one wait meanwhile."""

_MAGIC = b"SQLite format 3\0"
"""How every database begins (https://sqlite.org/fileformat.html, 1.3.1)."""

_PRIMARY = 0xFF
_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


@dataclass(frozen=True, slots=True, kw_only=True)
class FileKind:
    """What a file holds, and how safely.

    Attributes:
        table: of the configuration, that names the file.
        application, version, schema: what a new file is given; an old one must have the first two.
        synchronous: whether the disk is waited for, as in `PRAGMA synchronous`. A process that is killed loses nothing
            by either: what it wrote is in the kernel's hands. A power cut may leave with "OFF" a garbled file, with
            "NORMAL" one without the last writes.
        loss: what is said of the loss of a file.
        lasting: whether it is told of also where somebody deleted it: what it holds is not disposable.
    """

    table: str
    application: int
    version: int
    schema: str
    synchronous: Literal["OFF", "NORMAL"]
    loss: str
    lasting: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What a process has open of a file.

    Attributes:
        reader: may only read.
        writer: may do everything.
        identity: of the file itself, whatever its name is by now.
    """

    reader: sqlite3.Connection
    writer: sqlite3.Connection
    identity: tuple[int, int]

    def close(self) -> None:
        """Closes both."""
        self.reader.close()
        self.writer.close()


class SqliteFile:
    """One file by its name, with those beside it (`-wal`, `-shm`, `.lock`).

    Args:
        path: where it is; missing folders are made.
        kind: what it holds.
    """

    def __init__(self, path: str | os.PathLike[str], kind: FileKind) -> None:
        self._kind = kind
        self.path = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow a link that may be changed later
        self._lock = self.path.with_name(f"{self.path.name}.lock")

    def identity(self) -> tuple[int, int] | None:
        """Returns which file has the name now; None where there is none."""
        try:
            found = os.stat(self.path)  # noqa: PTH116 - every read asks, and Path.stat() takes twice as long
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def open(self, *, patience_s: float, replace: bool) -> Opened:
        """Opens the file, and makes it where there is none or what there is must go.

        Args:
            patience_s: how long other processes may hold it up.
            replace: whether a file of another version is removed; not where it came while we were running, lest two
                versions at work remove each other's files for ever.

        Raises:
            sqlite3.Error: it cannot be opened, is another program's database, or is held up for longer.
            OSError: the same, from the system.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._locked(patience_s):
            try:
                return patiently(self._opened, patience_s)
            except _OtherVersion:
                if not replace:
                    raise
                self._remove()
            except sqlite3.DatabaseError as error:
                if not is_corrupt(error):
                    raise
                if is_something_else(self.path, error):
                    needs = f"[{self._kind.table}] needs a path of its own"
                    raise _Foreign(f"{self.path} is no database of SQLite; {needs}") from error
                self._rename(error)
            return patiently(self._opened, patience_s)

    def set_aside(self, identity: tuple[int, int], error: Exception, *, patience_s: float) -> None:
        """Renames a corrupt file, unless the name belongs to another file by now."""
        with self._locked(patience_s):
            if self.identity() == identity:
                self._rename(error)

    def checkpoint(self, opened: Opened) -> None:
        """Brings into the file what is in the log, and begins that anew; both wait for the disk.

        While other processes write all the time, what they write meanwhile is left, and the log grows. One that has
        become long is worth holding them up.
        """

        def restarted() -> None:
            [[busy, *_]] = opened.writer.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
            if busy:
                raise BlockingIOError

        [[_, pages, _]] = opened.writer.execute("PRAGMA wal_checkpoint").fetchall()
        if pages > _LONG_PAGES:
            patiently(restarted, _RESTARTING_S)
        opened.writer.execute(f"PRAGMA user_version = {self._kind.version}")  # as it was, but written: begins the log

    def replaced(self, identity: tuple[int, int]) -> None:
        """Warns of the loss of a file whose name belongs to another one now, unless that was done to a corrupt one."""
        aside = self.path.parent.glob(f"{glob.escape(self.path.name)}.corrupt-*Z")
        if self._kind.lasting and all((found.st_dev, found.st_ino) != identity for found in map(Path.stat, aside)):
            warn(f"{self.path} was deleted or replaced while it was in use, and {self._kind.loss}")

    def _opened(self) -> Opened:
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL, _OWNER_ONLY))
        # Looked up first: should somebody delete the file meanwhile, the next who uses it sees that this is another.
        identity = self.identity() or _NOWHERE
        opened = Opened(reader=self._connected(), writer=self._connected(), identity=identity)
        try:
            self._prepare(opened.writer)
            opened.reader.execute("PRAGMA query_only = ON")
        except BaseException:
            opened.close()
            raise
        return opened

    def _connected(self) -> sqlite3.Connection:
        # A thread that waits inside SQLite cannot be told to stop: whoever has patience tries again from outside.
        return sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False)

    def _prepare(self, writer: sqlite3.Connection) -> None:
        """Makes a connection fit for writing; fills a file that is empty."""
        [[application]], [[version]], tables = (
            writer.execute(sql).fetchall()
            for sql in ("PRAGMA application_id", "PRAGMA user_version", "SELECT 1 FROM sqlite_master LIMIT 1")
        )
        if tables and application != self._kind.application:
            raise _Foreign(
                f"{self.path} is a database of another program; [{self._kind.table}] needs a path of its own"
            )
        if tables and version != self._kind.version:
            raise _OtherVersion(f"{self.path} was made by another version of lowfare")
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute(f"PRAGMA synchronous = {self._kind.synchronous}")
        writer.execute("PRAGMA temp_store = MEMORY")
        if not tables:
            head = f"PRAGMA application_id = {self._kind.application}; PRAGMA user_version = {self._kind.version};"
            writer.executescript(f"BEGIN; {head} {self._kind.schema} COMMIT;")

    def _rename(self, error: Exception) -> None:
        aside = f"{self.path}.corrupt-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                os.rename(f"{self.path}{suffix}", f"{aside}{suffix}")  # noqa: PTH104 - both names are texts
        warn(f"{self.path} is corrupt ({error}); it was renamed to {aside}, and {self._kind.loss}")

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)

    @contextmanager
    def _locked(self, patience_s: float) -> Iterator[None]:
        fd = os.open(self._lock, os.O_CREAT | os.O_RDWR, _OWNER_ONLY)
        try:
            try:
                patiently(lambda: fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB), patience_s)
            except BlockingIOError as error:
                raise BlockingIOError(error.errno, "another process opens the file", str(self.path)) from error
            try:
                yield
            finally:
                fcntl.flock(fd, fcntl.LOCK_UN)  # closing is not enough where a child was forked meanwhile
        finally:
            os.close(fd)


class Garbled(sqlite3.DatabaseError):
    """What the file holds is not what was stored."""


class _OtherVersion(sqlite3.DatabaseError):
    """The file has another schema."""


class _Foreign(sqlite3.DatabaseError):
    """The file is another program's."""


def why_not_opened(path: Path, error: sqlite3.Error | OSError) -> str:
    """Returns why a file could not be opened, and how to mend that."""
    if isinstance(error, _Foreign | _OtherVersion):
        return str(error)
    if path.is_dir():
        return f"{path} is a folder; write the path of a file in it"
    if _is_busy(error):
        return f"{path} cannot be opened ({error}): another process holds it; end that, or try again"
    return (
        f"{path} cannot be opened ({error}); write the path of a file that this user can read and write, in a folder "
        "where it can make files, since others stand beside it (-wal, -shm, .lock)"
    )


def patiently(attempt: Callable[[], T], patience_s: float, *, wanted: Callable[[], bool] = lambda: True) -> T:
    """Returns what comes of an attempt, which is repeated for so long while somebody else holds it up and it is wanted.

    SQLite's own way of waiting doubles its pauses, so that of many that wait some starve.
    """
    end = time.monotonic() + patience_s
    while True:
        try:
            return attempt()
        except (sqlite3.OperationalError, BlockingIOError) as error:
            if not _is_busy(error) or time.monotonic() >= end:
                raise
            time.sleep(_PAUSE_S)
            if not wanted():
                raise


def is_corrupt(error: sqlite3.Error) -> bool:
    """Returns whether an error says that the file itself, or the log beside it, is no good."""
    code = _code(error)
    return isinstance(error, Garbled) or code == sqlite3.SQLITE_IOERR_SHORT_READ or code & _PRIMARY in _CORRUPT


def is_something_else(path: Path, error: sqlite3.Error) -> bool:
    """Returns whether a file could not be opened since it is no database of SQLite, not even a damaged one.

    It is looked into after such an error alone: to close a file gives up the locks that SQLite holds on it in this
    process (https://sqlite.org/howtocorrupt.html, 2.2).
    """
    if _code(error) & _PRIMARY != sqlite3.SQLITE_NOTADB:
        return False
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) not in (b"", _MAGIC)


def _is_busy(error: Exception) -> bool:
    return _code(error) & _PRIMARY in _BUSY if isinstance(error, sqlite3.Error) else isinstance(error, BlockingIOError)


def _code(error: sqlite3.Error) -> int:
    """Returns SQLite's result code (https://sqlite.org/rescode.html); 0 where we raised it ourselves."""
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)
    return code
