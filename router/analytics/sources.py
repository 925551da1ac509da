"""The JSONL files of a log: how far each was read, and what comes next, in slices of whole lines.

A file is known by its name and a digest of its first line, since names of processes recur. A last line without its
newline is still being written, or was torn: which of them, only time can tell.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, Final

_HEAD_BYTES: Final = 64 * 1024
"""Of a first line: enough for the trace id in it, whatever else it holds."""
_TAIL_BYTES: Final = 256
_PIECE_BYTES: Final = 16 << 20
"""Read at once: below what an allocator gives back to the system, which would cost more than reading."""


@dataclass(frozen=True, slots=True, order=True)
class SourceId:
    """A source as commits name it.

    Attributes:
        name: of the file, without its folder.
        head: digest of its first line.
    """

    name: str
    head: str


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a source was read.

    Attributes:
        end: bytes; just after a newline, or after a last line that will get none.
        tail: digest of the last bytes before, by which a renamed file is known again.
    """

    end: int
    tail: str


Marks = Mapping[SourceId, Mark]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Lines of one source.

    Attributes:
        path: the file.
        start, end: where in the file they begin and end.
        data: the lines, each with its newline, which the last one may lack in the file.
        tail: digest of the last bytes.
    """

    source: SourceId
    path: Path
    start: int
    end: int
    data: bytes
    tail: str

    @property
    def size(self) -> int:
        """How many bytes of the file they are."""
        return self.end - self.start


def mark_of(source: SourceId, path: Path, marks: Marks, /) -> int:
    """Returns how far a file was read, also where it had another name then."""
    if known := marks.get(source):
        return known.end
    renamed = (m for s, m in marks.items() if s.head == source.head and not path.with_name(s.name).exists())
    with path.open("rb") as file:
        return max((m.end for m in renamed if _tail_before(file, m.end) == m.tail), default=0)


def source_of(path: Path, /, *, unended: bool = False) -> SourceId | None:
    """Returns what a file is known by; None where its first line has not ended yet, or there is none.

    Args:
        path: of the file.
        unended: whether to take a first line that has not ended for what it would be with its newline: what the file
            is known by if nothing comes after it any more.

    Raises:
        FileNotFoundError: it was removed meanwhile.
    """
    with path.open("rb") as file:
        head = file.readline(_HEAD_BYTES)
    if not head.endswith(b"\n") and len(head) < _HEAD_BYTES:
        return _known_by(path, head + b"\n") if unended and head else None
    return _known_by(path, head)


def slices(
    paths: Sequence[Path], marks: Marks, /, *, size: int, ended_before_s: float = -math.inf
) -> Iterator[list[Piece]]:
    """Yields what of the files was not read yet, oldest name first, in lists of at most `size` bytes.

    A line that is longer comes alone. What is written while this runs may come or not.

    Args:
        paths: the files.
        marks: how far they were read.
        size: in bytes.
        ended_before_s: a last line without its newline comes too where the file has not changed since, in Unix seconds.
    """
    found: list[Piece] = []
    room = size
    for path in paths:
        for piece in _pieces(path, marks, min(size, _PIECE_BYTES), ended_before_s):
            if found and len(piece.data) > room:
                yield found
                found, room = [], size
            found.append(piece)
            room -= len(piece.data)
    if found:
        yield found


def unread_bytes(paths: Sequence[Path], marks: Marks, /) -> int:
    """Returns how much was not read yet, half lines included."""
    total = 0
    for path in paths:
        if (source := source_of(path, unended=True)) is not None:
            total += max(0, path.stat().st_size - mark_of(source, path, marks))
    return total


def _pieces(path: Path, marks: Marks, size: int, ended_before_s: float) -> Iterator[Piece]:
    source = source_of(path)
    if source is None:
        yield from _one_line(path, marks, ended_before_s)
        return
    start = mark_of(source, path, marks)
    with path.open("rb", buffering=0) as file:  # what is read is large, and need not be copied once more
        status = os.fstat(file.fileno())
        whole = status.st_size
        while start < whole:
            data = _whole_lines(file, start, min(size, whole - start))
            if not data:
                break
            end = start + len(data)
            yield Piece(source=source, path=path, start=start, end=end, data=data, tail=_tail_before(file, end))
            start = end
        if start < whole and status.st_mtime < ended_before_s:
            yield _last(source, path, file, start, whole)


def _one_line(path: Path, marks: Marks, ended_before_s: float) -> Iterator[Piece]:
    """Yields the one line of a file that has not ended, if it is to be taken as it is."""
    with path.open("rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        if not status.st_size or status.st_mtime >= ended_before_s:
            return
        line = _read(file, status.st_size)
        if b"\n" in line:  # it has ended meanwhile, and comes next time
            return
        source = _known_by(path, line + b"\n")
        start = mark_of(source, path, marks)
        if start < len(line):
            yield _last(source, path, file, start, len(line))


def _last(source: SourceId, path: Path, file: BinaryIO, start: int, end: int) -> Piece:
    file.seek(start)
    data = _read(file, end - start) + b"\n"
    return Piece(source=source, path=path, start=start, end=end, data=data, tail=_tail_before(file, end))


def _known_by(path: Path, head: bytes) -> SourceId:
    return SourceId(path.name, blake2b(head, digest_size=16).hexdigest())


def _whole_lines(file: BinaryIO, start: int, size: int) -> bytes:
    """Returns at most `size` bytes of whole lines; where the first line is longer, that line; or nothing."""
    file.seek(start)
    data = _read(file, size)
    cut = data.rfind(b"\n") + 1
    if cut:
        return data if cut == len(data) else data[:cut]
    parts = [data]
    while more := _read(file, size):
        cut = more.find(b"\n") + 1
        parts.append(more[:cut] if cut else more)
        if cut:
            return b"".join(parts)
    return b""


def _read(file: BinaryIO, size: int) -> bytes:
    """Returns so many bytes, fewer only at the end of the file; one read of the system may stop short at 2 GB."""
    parts: list[bytes] = []
    while size > 0 and (part := file.read(size)):
        parts.append(part)
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _tail_before(file: BinaryIO, end: int) -> str:
    file.seek(max(0, end - _TAIL_BYTES))
    return blake2b(file.read(min(end, _TAIL_BYTES)), digest_size=16).hexdigest()
