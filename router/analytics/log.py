"""A decision log, whatever it is made of, as the view `decisions` of a DuckDB connection.

A log is JSONL files, or what `lowfare compact` made of them, or both. What was not compacted yet is parsed once, into
temporary Parquet, so that memory stays bounded and no query parses a line again.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb

from router.analytics.columns import COLUMNS, VERSION, projection
from router.analytics.labels import add_labels_view
from router.analytics.parsing import parsed, write
from router.analytics.places import is_store, jsonl_files, store_of
from router.analytics.sources import slices, unread_bytes
from router.analytics.store import DataFile, State, read_state

Progress = Callable[[int, int], None]
"""Is told how many bytes are done, and how many there are."""

SLICE_BYTES: Final = 64 << 20
"""JSONL that is parsed at a time: enough for a row group, little enough for a small machine."""
_TRIES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a log consists of.

    Attributes:
        compacted: data files of the store, with their paths.
        recent: decisions that only JSONL files have, as temporary Parquet.
        aside: how many lines are no decisions, by reason.
    """

    compacted: tuple[tuple[Path, DataFile], ...]
    recent: tuple[Path, ...]
    aside: Mapping[str, int]


@contextmanager
def opened(
    path: str | os.PathLike[str],
    /,
    *,
    memory_mb: int = 512,
    threads: int | None = None,
    progress: Progress | None = None,
    slice_bytes: int = SLICE_BYTES,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Opens a log for queries: the views `decisions`, with the columns of `router.analytics.columns`, and `labels`.

    With `labels` comes `verdicts` (see `router.analytics.labels`). Beside them stands the table `aside`
    (`reason`, `lines`): how many lines of the log are no decisions, and why.

    Args:
        path: a file `*.jsonl`, the folder of a log, or a folder that `lowfare compact` wrote.
        memory_mb: of DuckDB; what does not fit goes to the disk.
        threads: as many as there are cores unless given.
        progress: called after each slice of JSONL.
        slice_bytes: JSONL that is parsed at a time.

    Raises:
        ConfigError: there is no such log, or its store is damaged.
    """
    with (
        tempfile.TemporaryDirectory(prefix="lowfare-") as scratch,
        connected(memory_mb, threads, scratch) as connection,
    ):
        contents = _contents(connection, Path(path), Path(scratch), progress, slice_bytes)
        connection.execute(f"CREATE TEMP VIEW decisions AS {_rows(contents.compacted, contents.recent)}")
        connection.execute("CREATE TEMP TABLE aside (reason VARCHAR, lines BIGINT)")
        for reason, lines in sorted(contents.aside.items()):
            connection.execute("INSERT INTO aside VALUES (?, ?)", [reason, lines])
        add_labels_view(connection, path)
        yield connection


@contextmanager
def connected(memory_mb: int, threads: int | None, scratch: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """Connects to a database in memory, with the settings that all queries of logs need."""
    settings: dict[str, Any] = {"memory_limit": f"{memory_mb}MB", "temp_directory": f"{scratch}/duckdb"}
    if threads is not None:
        settings["threads"] = threads
    with duckdb.connect(config=settings) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def _contents(
    connection: duckdb.DuckDBPyConnection, path: Path, scratch: Path, progress: Progress | None, slice_bytes: int
) -> Contents:
    for _ in range(_TRIES - 1):
        try:
            return _contents_now(connection, path, scratch, progress, slice_bytes)
        except FileNotFoundError:  # a source that was compacted in the meantime, and removed
            continue
    return _contents_now(connection, path, scratch, progress, slice_bytes)


def _contents_now(
    connection: duckdb.DuckDBPyConnection, path: Path, scratch: Path, progress: Progress | None, slice_bytes: int
) -> Contents:
    """Returns what the log consists of.

    The files are listed before the store is read: a source that is compacted in between is then found in the store, and
    one that is removed in between is missed, which starts this anew.
    """
    store = path if is_store(path) else store_of(path)
    sources = [] if is_store(path) and not any(path.glob("*.jsonl")) else jsonl_files(path)
    state = read_state(store)
    whole = unread_bytes(sources, state.marks) if progress is not None else 0
    recent: list[Path] = []
    aside = _counted(state)
    done = 0
    for pieces in slices(sources, state.marks, size=slice_bytes, ended_before_s=math.inf):
        written = write(parsed(connection, pieces), scratch, durable=False)
        recent += [scratch / file.name for file in written.files]
        for file in written.aside:
            aside.update(file.reasons)
        done += sum(piece.size for piece in pieces)
        if progress is not None:
            progress(done, whole)
    compacted = tuple((store / name, file) for name, file in sorted(state.files.items()))
    return Contents(compacted=compacted, recent=tuple(recent), aside=aside)


def _counted(state: State) -> Counter[str]:
    counts: Counter[str] = Counter()
    for file in state.aside.values():
        counts.update(file.reasons)
    return counts


def rows_of(store: Path, files: Iterable[DataFile], /) -> str:
    """Returns the query of all columns of data files."""
    return _rows([(store / file.name, file) for file in files], ())


def _rows(compacted: Sequence[tuple[Path, DataFile]], recent: Sequence[Path]) -> str:
    """Returns the query of all columns: files that have them as they are, those of other versions from their lines."""
    current = [path for path, file in compacted if file.columns == VERSION]
    others = [path for path, file in compacted if file.columns != VERSION]
    parts = []
    if files := [*current, *recent]:
        parts.append(f"SELECT {', '.join(COLUMNS)} FROM {_parquet(files)}")  # noqa: S608 - of our own names
    if others:
        parts.append(projection(f"(SELECT record AS line FROM {_parquet(others)})"))  # noqa: S608 - of our own names
    return "\nUNION ALL\n".join(parts or [projection("(SELECT NULL::VARCHAR AS line LIMIT 0)")])


def _parquet(files: Iterable[Path]) -> str:
    names = ", ".join("'" + str(file).replace("'", "''") + "'" for file in files)
    return f"read_parquet([{names}], hive_partitioning = false)"
