"""The durable log: one record, one line, one write.

Each record is one `os.write` to a file opened with O_APPEND, so it is in the kernel's hands when `emit` returns: a
process that is killed afterwards loses nothing, and several processes may share one file without tearing a line.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import orjson

from router.core.decision import Decision
from router.core.record import decision_dict

T = TypeVar("T")

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
_OWNER_ONLY = 0o600
"""Decisions name tenants and costs, and with `content = "full"` they hold prompts."""

_WRITTEN_MOST: Final = 2_000
"""Parts of records that are kept as text: one for each request that came before, of half a kilobyte."""


class JsonlSink:
    """Appends decisions to a file.

    Args:
        path: a name that ends in ".jsonl" is that file; any other is a folder, in which each process has a file of its
            own, named by date, host and process. Missing folders are made.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._lock = threading.Lock()
        self._written = _Written()
        self._fd: int | None = None
        self._pid = os.getpid()
        self._torn = False  # whether the file may end within a line, so that the next record must not be glued to it

    def emit(self, decision: Decision, /) -> None:
        """Writes the record; it is on its way to the disk when this returns.

        Raises:
            OSError: the file cannot be written (disk full, no permission).
        """
        # Without a look into the cache nothing was remembered of an equal request, so that all parts are new.
        record = decision_dict(decision) if decision.lookup is None else decision_dict(decision, parts=self._written)
        line = orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE, default=str)
        if self._pid != os.getpid():  # after a fork, whoever held the lock is not here to let go of it
            self._lock, self._pid, self._fd = threading.Lock(), os.getpid(), None
        with self._lock:
            if self._fd is not None and not os.fstat(self._fd).st_nlink:  # the file was deleted
                self._close()
            fd = self._fd = self._open() if self._fd is None else self._fd
            if self._torn:
                line = b"\n" + line
            self._torn = True
            while line:
                line = line[os.write(fd, line) :]
            self._torn = False

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _open(self) -> int:
        file = self._path if self._path.suffix == ".jsonl" else self._path / _own_name()
        file.parent.mkdir(parents=True, exist_ok=True)
        self._torn = _ends_torn(file)
        return os.open(file, _FLAGS, _OWNER_ONLY)


class _Written:
    """Writes parts of records, and remembers what it wrote: the same frozen value is the same text.

    It begins anew when it is full, and is safe to use from several threads.
    """

    def __init__(self) -> None:
        self._kept: dict[int, tuple[object, orjson.Fragment]] = {}

    def __call__(self, made: Callable[[T], Any], of: T, /) -> orjson.Fragment:
        kept = self._kept.get(id(of))
        if kept is None:
            if len(self._kept) >= _WRITTEN_MOST:
                self._kept.clear()
            # The value is kept beside its text, so that no other one can get its id.
            kept = self._kept[id(of)] = of, orjson.Fragment(orjson.dumps(made(of)))
        return kept[1]


def _own_name() -> str:
    now = datetime.now(UTC)
    return f"{now:%Y%m%dT%H%M%S}-{socket.gethostname()}-{os.getpid()}.jsonl"


def _ends_torn(file: Path) -> bool:
    """Returns whether a file ends within a line, as after a full disk."""
    try:
        with file.open("rb") as opened:
            return opened.seek(0, os.SEEK_END) > 0 and opened.seek(-1, os.SEEK_END) >= 0 and opened.read(1) != b"\n"
    except OSError:  # there is none yet
        return False
