"""The durable log, read back: decisions as the JSON values that `router.core.record` writes.

Files are read line by line, so a log of any size takes no more memory than its longest record. A line that is no record
(torn by a full disk, or cut by a copy) is skipped and counted, never fatal: the rest of the log is still true.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from router.errors import ConfigError

Record = dict[str, Any]


class LogReader:
    """Reads a log file, or every `*.jsonl` file of a log folder, oldest name first.

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
        return self._records(b"")

    def find(self, trace_id: str, /) -> list[Record]:
        """Returns the records whose trace id begins so, oldest first; one trace may have several requests.

        Args:
            trace_id: hex digits; upper and lower case are the same.

        Raises:
            ConfigError: as for iteration.
        """
        wanted = trace_id.lower()
        found = (r for r in self._records(wanted.encode()) if str(r.get("trace_id", "")).startswith(wanted))
        return sorted(found, key=lambda record: str(record.get("time", "")))

    def _records(self, needle: bytes) -> Iterator[Record]:
        """Yields the records of all lines that contain `needle`; looking for bytes is far quicker than parsing."""
        for file in self._files():
            try:
                with file.open("rb") as lines:
                    for line in lines:
                        if needle in line and (record := self._parsed(line)) is not None:
                            yield record
            except OSError as error:
                raise ConfigError(f"{file}: the log cannot be read: {error.strerror}") from error

    def _files(self) -> list[Path]:
        if self._path.is_dir():
            return sorted(self._path.glob("*.jsonl"))
        if not self._path.exists():
            raise ConfigError(f"{self._path}: there is no such log; name a log file, or a folder with *.jsonl files")
        return [self._path]

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
