"""The durable log, read back: decisions as the JSON values that `router.core.record` writes.

Files are read line by line, so a log of any size takes no more memory than its longest record. A line that is no record
(torn by a full disk, or cut by a copy) is skipped and counted, never fatal: the rest of the log is still true. What was
compacted is read from the store, and its JSONL only from where compaction stopped; a log that was never compacted needs
no DuckDB.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from router.analytics.places import is_store, jsonl_files, store_of
from router.analytics.sources import mark_of, source_of
from router.analytics.store import State, read_state
from router.errors import ConfigError

Record = dict[str, Any]


class LogReader:
    """Reads a log file, or every `*.jsonl` file of a log folder, oldest name first, after what was compacted of them.

    Attributes:
        torn: how many lines of what was read so far are no records.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self.torn = 0

    def __iter__(self) -> Iterator[Record]:
        """Yields every record.

        Raises:
            ConfigError: there is no such file or folder, or it cannot be read.
        """
        return self._records("")

    def find(self, trace_id: str, /) -> list[Record]:
        """Returns the records whose trace id begins so, oldest first; one trace may have several requests.

        Args:
            trace_id: hex digits; upper and lower case are the same.

        Raises:
            ConfigError: as for iteration.
        """
        wanted = trace_id.lower()
        found = (r for r in self._records(wanted) if str(r.get("trace_id", "")).startswith(wanted))
        return sorted(found, key=lambda record: str(record.get("time", "")))

    def _records(self, wanted: str) -> Iterator[Record]:
        """Yields the records whose trace id begins so, and maybe others."""
        store = self._path if is_store(self._path) else store_of(self._path)
        files = [] if store == self._path else jsonl_files(self._path)
        state = read_state(store)
        if state.files:
            yield from _compacted(store, state, wanted)
        self.torn += sum(sum(file.reasons.values()) for file in state.aside.values())
        for file in files:
            try:
                yield from self._of_file(file, state, wanted.encode())
            except OSError as error:
                raise ConfigError(f"{file}: the log cannot be read: {error.strerror}") from error

    def _of_file(self, file: Path, state: State, needle: bytes) -> Iterator[Record]:
        """Yields the records of all lines that contain `needle`; looking for bytes is far quicker than parsing."""
        source = source_of(file, unended=True) if state.marks else None
        with file.open("rb") as lines:
            if source is not None:
                lines.seek(mark_of(source, file, state.marks))
            for line in lines:
                if needle in line and (record := self._parsed(line)) is not None:
                    yield record

    def _parsed(self, line: bytes) -> Record | None:
        if not line.strip():
            return None
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError:
            record = None
        if not isinstance(record, dict) or "trace_id" not in record:
            self.torn += 1
            return None
        return record


def _compacted(store: Path, state: State, wanted: str) -> Iterator[Record]:
    """Yields the records of a store whose trace id begins so.

    Raises:
        ConfigError: the extra that reads Parquet is missing.
    """
    try:
        from router.analytics.lines import lines_of
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{store}: this log was compacted, and {error.name} is not installed, which reads it: "
            f"pip install 'lowfare[analytics]'"
        ) from error
    yield from map(orjson.loads, lines_of([store / name for name in state.files], wanted))
