"""Lines that processes append to a file which they may share: one line, one write.

Each line is one `os.write` to a file opened with O_APPEND, so it is in the kernel's hands when `append` returns: a
process that is killed afterwards loses nothing, and several processes may share one file without tearing a line.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
_OWNER_ONLY = 0o600
"""Decisions name tenants and costs, and with `content = "full"` they hold prompts."""


class Lines:
    """Appends lines to a file.

    Args:
        file: returns the path; asked whenever the file is opened, so that each process may have one of its own. Missing
            folders are made.
    """

    def __init__(self, file: Callable[[], Path]) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._fd: int | None = None
        self._pid = os.getpid()
        self._torn = False  # whether the file may end within a line, so that the next one must not be glued to it

    def append(self, line: bytes, /) -> None:
        """Writes a line, or several at once; they are on their way to the disk when this returns.

        Args:
            line: with its line break.

        Raises:
            OSError: the file cannot be written (disk full, no permission).
        """
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
        """Closes the file; the next line opens it again."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _open(self) -> int:
        file = self._file()
        file.parent.mkdir(parents=True, exist_ok=True)
        self._torn = _ends_torn(file)
        return os.open(file, _FLAGS, _OWNER_ONLY)


def own_name() -> str:
    """Returns a file's name that no other process has, in the order of time: date, host and process."""
    now = datetime.now(UTC)
    return f"{now:%Y%m%dT%H%M%S}-{socket.gethostname()}-{os.getpid()}.jsonl"


def _ends_torn(file: Path) -> bool:
    """Returns whether a file ends within a line, as after a full disk."""
    try:
        with file.open("rb") as opened:
            return opened.seek(0, os.SEEK_END) > 0 and opened.seek(-1, os.SEEK_END) >= 0 and opened.read(1) != b"\n"
    except OSError:  # there is none yet
        return False
