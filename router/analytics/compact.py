"""JSONL into Parquet, exactly once, whoever is killed and whoever else does the same at the same time.

How it is safe stands in `router.analytics.store`. A slice of the log is one commit: it has the slice's decisions, its
other lines, and how far each source was read for it, or nothing of these.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa  # type: ignore[import-untyped]  # it ships no types

from router.analytics.columns import VERSION
from router.analytics.log import SLICE_BYTES, Progress, connected, rows_of
from router.analytics.parsing import ROW_GROUP, parsed, write, write_rows
from router.analytics.places import COMMITS, jsonl_files, store_of
from router.analytics.sources import Mark, Piece, SourceId, mark_of, slices, source_of, unread_bytes
from router.analytics.store import (
    ASIDE,
    Commit,
    DataFile,
    State,
    Step,
    commit,
    read_state,
)
from router.errors import ConfigError

ABANDONED_S: Final = 3600.0
"""After which a file that no commit names belongs to nobody: no slice takes so long, and no query reads so long."""
QUIET_S: Final = 86_400.0
"""A source that did not change for so long is written no more, and its last line will get no newline."""
MERGED_BYTES: Final = 128 << 20
"""Files are merged up to this size; larger ones stay as they are."""


@dataclass(slots=True, kw_only=True)
class Compacted:
    """What a compaction did.

    Attributes:
        records: decisions that are in Parquet now and were not before.
        aside: lines that were set aside, by reason.
        newer: records of a later schema than this version knows; they are among `records`.
        merged: data files that were replaced by larger ones.
        removed: JSONL files that were removed.
        lost: how often somebody else was quicker, so that work was thrown away.
    """

    store: Path
    records: int = 0
    files: int = 0
    aside: Counter[str] = field(default_factory=Counter)
    newer: int = 0
    merged: int = 0
    removed: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How to compact.

    Attributes:
        into: the store's folder; None for the usual place.
        remove: whether sources go that are read to the end and have been quiet for a day.
        merge: whether small files of a day become one.
        memory_mb, threads: of DuckDB.
        slice_bytes: JSONL per commit.
    """

    into: Path | None = None
    remove: bool = False
    merge: bool = False
    memory_mb: int = 512
    threads: int | None = None
    slice_bytes: int = SLICE_BYTES


def compact(log: str | os.PathLike[str], terms: Terms, /, *, progress: Progress | None = None) -> Compacted:
    """Compacts a log, up to where it was when this began.

    Args:
        log: a file `*.jsonl`, or the folder of a log.
        progress: called after each slice.

    Raises:
        ConfigError: there is no such log, or its store is damaged.
        OSError: a file cannot be read or written; what was committed before counts.
    """
    path = Path(log)
    sources = jsonl_files(path)
    store = terms.into or store_of(path)
    if store.suffix == ".jsonl" or store.is_file():
        raise ConfigError(f"{store}: is no folder; name a folder for the Parquet files with --into")
    done = Compacted(store=store)
    _sweep(store)
    with (
        tempfile.TemporaryDirectory(prefix="lowfare-") as scratch,
        connected(terms.memory_mb, terms.threads, scratch) as connection,
    ):
        while not _all_compacted(connection, sources, done, terms, progress):
            done.lost += 1
        if terms.merge:
            _merge(connection, store, done)
    if terms.remove:
        done.removed = _remove(sources, store)
    return done


def _all_compacted(
    connection: duckdb.DuckDBPyConnection,
    sources: Sequence[Path],
    done: Compacted,
    terms: Terms,
    progress: Progress | None,
) -> bool:
    """Returns False where somebody else got in between, so that this must begin anew."""
    try:
        return _compacted(connection, sources, done, terms, progress)
    except FileNotFoundError as error:
        if error.filename not in set(map(str, sources)):
            raise
        return False  # another compaction removed a source that it had read to the end


def _compacted(
    connection: duckdb.DuckDBPyConnection,
    sources: Sequence[Path],
    done: Compacted,
    terms: Terms,
    progress: Progress | None,
) -> bool:
    """Commits slice after slice; returns False where somebody else committed one of them."""
    store = done.store
    state = read_state(store)
    present = [path for path in sources if path.exists()]
    unread, read = (unread_bytes(present, state.marks) if progress is not None else 0), 0
    for pieces in slices(present, state.marks, size=terms.slice_bytes, ended_before_s=time.time() - QUIET_S):
        written = write(parsed(connection, pieces), store)
        change = Commit(added=written.files, steps=_steps(pieces), aside=written.aside, newer=written.newer)
        after = _committed(store, state, change)
        if after is None:
            _discard(store, change)
            return False
        state = after
        done.records += sum(file.records for file in written.files)
        done.files += len(written.files)
        done.newer += written.newer
        for file in written.aside:
            done.aside.update(file.reasons)
        read += sum(piece.size for piece in pieces)
        if progress is not None:
            progress(read, unread)
    return True


def _steps(pieces: Iterable[Piece]) -> tuple[Step, ...]:
    return tuple(Step(source=p.source, start=p.start, mark=Mark(p.end, p.tail)) for p in pieces)


def _committed(store: Path, state: State, change: Commit) -> State | None:
    """Makes a change, also on top of what others committed meanwhile; None where they changed what it changes."""
    heads = {step.source.head for step in change.steps}  # also under other names: a file may be renamed meanwhile

    def read(state: State) -> Mapping[SourceId, Mark]:
        return {source: mark for source, mark in state.marks.items() if source.head in heads}

    base = state
    while True:
        try:
            after = commit(store, base, change)
        except FileNotFoundError:  # this process slept for an hour, and another took its files for abandoned
            return None
        if after is not None:
            return after
        base = read_state(store)
        if read(base) != read(state) or not set(change.removed) <= set(base.files):
            return None


def _discard(store: Path, change: Commit) -> None:
    for name in change.names:
        (store / name).unlink(missing_ok=True)


def _sweep(store: Path) -> None:
    """Removes files that no commit names, and those that were replaced, an hour after that."""
    before = time.time() - ABANDONED_S
    found = [path for pattern in (f"{COMMITS}/draft-*", "date=*/*", f"{ASIDE}/*") for path in store.glob(pattern)]
    state = read_state(store)  # after the files were listed: what was committed in between is not abandoned
    for path in found:
        name = path.relative_to(store).as_posix()
        if name in state.files or name in state.aside or state.replaced.get(name, 0.0) > before:
            continue
        try:
            if path.stat().st_mtime < before:
                path.unlink()
        except FileNotFoundError:  # another compaction sweeps too
            continue


def _remove(sources: Iterable[Path], store: Path) -> int:
    """Removes the sources that are read to the end and quiet; returns how many."""
    marks = read_state(store).marks
    quiet = time.time() - QUIET_S
    removed = 0
    for path in sources:
        try:
            source = source_of(path, unended=True)
            size, changed = path.stat().st_size, path.stat().st_mtime
            if source is not None and changed < quiet and mark_of(source, path, marks) == size:
                path.unlink()
                removed += 1
        except FileNotFoundError:  # another compaction removes too
            continue
    return removed


def _merge(connection: duckdb.DuckDBPyConnection, store: Path, done: Compacted) -> None:
    """Replaces small files of a day, and those whose columns another version wrote, by larger ones."""
    for group in _groups(read_state(store).files):
        state = read_state(store)
        if not all(file.name in state.files for file in group):
            continue
        rows = connection.sql(rows_of(store, group)).to_arrow_reader(ROW_GROUP)
        tables = (pa.Table.from_batches([batch]) for batch in rows)
        file = write_rows(tables, rows.schema, store, group[0].name.partition("/")[0])
        change = Commit(added=(file,), removed=tuple(f.name for f in group))
        if _committed(store, state, change) is None:
            _discard(store, change)
            done.lost += 1
        else:
            done.merged += len(group)


def _groups(files: Mapping[str, DataFile]) -> Iterator[list[DataFile]]:
    days: dict[str, list[DataFile]] = {}
    for name, file in sorted(files.items()):
        days.setdefault(name.partition("/")[0], []).append(file)
    for day in days.values():
        group: list[DataFile] = []
        size = 0
        for file in day:
            if file.size >= MERGED_BYTES and file.columns == VERSION:
                continue
            if group and size + file.size > MERGED_BYTES:
                yield from _worth(group)
                group, size = [], 0
            group.append(file)
            size += file.size
        yield from _worth(group)


def _worth(group: list[DataFile]) -> Iterator[list[DataFile]]:
    if len(group) > 1 or any(file.columns != VERSION for file in group):
        yield group
