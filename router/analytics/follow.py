"""A log as it grows: the last lines of it, and then every line that comes, from files that come and go.

Nothing is kept but how far each file was read, so memory does not grow with the log; a line is held alone. A last line
without its line break is still being written, and waits. A file is known by its first line, which has a trace id: one
that was renamed or copied, as when logs are rotated, is read on and not again.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

from router.errors import ConfigError

Record = dict[str, Any]
Wanted = Callable[[Record], bool]

_BLOCK: Final = 65_536
_FILES_MOST: Final = 10_000
"""Files whose first lines are remembered, also after they are gone."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One decision: its line as the log has it, and what that says."""

    line: bytes
    record: Record


@dataclass(frozen=True, slots=True)
class Notice:
    """Something about a file that a reader should know: it was cut, replaced, or holds a line that is no record."""

    text: str


@dataclass(slots=True)
class _Place:
    """How far a file was read.

    Attributes:
        inode: tells a file from one that took its name.
        offset: in bytes; where the next line begins.
        size, changed_ns: of the file when it was last looked at.
        first: digest of its first line; empty as long as none was read.
    """

    inode: int
    offset: int
    size: int
    changed_ns: int = 0
    first: bytes = b""


class Follower:
    """Reads a log to its end, again and again.

    Args:
        path: a file, or a folder with `*.jsonl` files; either may be yet to come.
        wanted: which decisions count.
    """

    def __init__(self, path: Path, *, wanted: Wanted = lambda _: True) -> None:
        self._path = path
        self._wanted = wanted
        self._places: dict[Path, _Place] = {}
        self._read: dict[bytes, int] = {}  # by first line, under whatever name

    def last(self, count: int, /) -> list[Entry]:
        """Returns the last decisions of what is there, oldest first; `new` then has what comes after them.

        Raises:
            ConfigError: a file cannot be read.
        """
        latest: list[tuple[str, int, Entry]] = []
        number = 0
        for file in self._files():
            with _readable(file), file.open("rb") as opened:
                status = os.fstat(opened.fileno())
                end = _end_of_lines(opened)
                place = self._places[file] = _Place(status.st_ino, end, status.st_size, status.st_mtime_ns)
                self._note(opened, place)
                for entry in islice(self._entries(_backwards(opened, end)), count):
                    number -= 1
                    heapq.heappush(latest, (str(entry.record.get("time", "")), number, entry))
                    if len(latest) > count:
                        heapq.heappop(latest)
        return [entry for _, _, entry in sorted(latest)]

    def new(self) -> Iterator[Entry | Notice]:
        """Yields the decisions that were written since the last look, file by file.

        Raises:
            ConfigError: a file cannot be read.
        """
        files = self._files()
        for gone in self._places.keys() - set(files):
            del self._places[gone]
        for file in files:
            with _readable(file):
                yield from self._grown(file)

    def _files(self) -> list[Path]:
        return sorted(self._path.glob("*.jsonl")) if self._path.is_dir() else [self._path]

    def _entries(self, lines: Iterator[bytes]) -> Iterator[Entry]:
        for line in lines:
            record = _record(line)
            if record is not None and self._wanted(record):
                yield Entry(line, record)

    def _grown(self, file: Path) -> Iterator[Entry | Notice]:
        status = file.stat()
        place = self._places.get(file)
        seen = (status.st_ino, status.st_size, status.st_mtime_ns)
        if place is not None and seen == (place.inode, place.size, place.changed_ns):
            return
        with file.open("rb") as opened:
            if place is None:
                place = self._places[file] = _Place(status.st_ino, self._known(opened, status), 0)
            elif changed := _changed(opened, status, place):
                offset = self._known(opened, status)
                yield Notice(f"{file}: {changed}; reading it {'on' if offset else 'from its start'}")
                place.inode, place.offset, place.first = status.st_ino, offset, b""
            elif place.offset < self._read.get(place.first, 0) <= status.st_size:  # read meanwhile, as a copy
                place.offset = self._read[place.first]
            place.size, place.changed_ns = status.st_size, status.st_mtime_ns
            opened.seek(place.offset)
            for line in opened:
                if not line.endswith(b"\n"):
                    break
                place.offset += len(line)
                text = line.removesuffix(b"\n")
                record = _record(text)
                if record is None and text.strip():
                    yield Notice(f"{file}: a line that is no record, skipped")
                elif record is not None and self._wanted(record):
                    yield Entry(text, record)
            self._note(opened, place)

    def _known(self, opened: BinaryIO, status: os.stat_result) -> int:
        """Returns how far a file was read under another name; 0 where it was not."""
        offset = min(self._read.get(_first_line(opened), 0), status.st_size)
        return offset if offset and _ends_at(opened, offset) else 0

    def _note(self, opened: BinaryIO, place: _Place) -> None:
        """Remembers how far a file was read."""
        if not place.offset:
            return
        place.first = place.first or _first_line(opened)
        self._read.pop(place.first, None)
        self._read[place.first] = place.offset
        if len(self._read) > _FILES_MOST:
            del self._read[next(iter(self._read))]


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    """Passes over a file that is not there (yet, or any more: it was compacted); others that fail are an error."""
    try:
        yield
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigError(f"{file}: the log cannot be read: {error.strerror}") from error


def _changed(file: BinaryIO, status: os.stat_result, place: _Place) -> str:
    """Returns what became of a file since it was read; empty where it only grew."""
    if status.st_ino != place.inode:
        return "was replaced"
    if status.st_size < place.offset:
        return "was cut"
    anew = place.offset and (_first_line(file) != place.first or not _ends_at(file, place.offset))
    return "was written anew" if anew else ""


def _ends_at(file: BinaryIO, offset: int) -> bool:
    """Returns whether a line ends before an offset above 0."""
    file.seek(offset - 1)
    return file.read(1) == b"\n"


def _first_line(file: BinaryIO) -> bytes:
    """Returns a digest of the first line; empty where it has not ended yet."""
    file.seek(0)
    line = file.readline()
    return blake2b(line, digest_size=16).digest() if line.endswith(b"\n") else b""


def _record(line: bytes) -> Record | None:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return record if isinstance(record, dict) and "trace_id" in record else None


def _end_of_lines(file: BinaryIO) -> int:
    """Returns where the last line that has ended does so."""
    position = file.seek(0, os.SEEK_END)
    while position > 0:
        start = max(0, position - _BLOCK)
        file.seek(start)
        found = file.read(position - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        position = start
    return 0


def _backwards(file: BinaryIO, end: int) -> Iterator[bytes]:
    """Yields the lines before `end`, last first, without their breaks."""
    rest: list[bytes] = []  # pieces of a line whose start was not found yet, last first
    while end > 0:
        start = max(0, end - _BLOCK)
        file.seek(start)
        first, *lines = file.read(end - start).split(b"\n")
        if lines:
            rest.append(lines.pop())
            yield b"".join(reversed(rest))
            yield from reversed(lines)
            rest = []
        rest.append(first)
        end = start
    yield b"".join(reversed(rest))
