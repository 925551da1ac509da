"""The durable log: one record, one line, one write; and beside it the labels that its decisions get later."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import orjson

from router.core.decision import Decision
from router.core.label import Label
from router.core.record import decision_dict
from router.sinks.labels import LabelFile
from router.sinks.lines import Lines, own_name

T = TypeVar("T")

_WRITTEN_MOST: Final = 2_000
"""Parts of records that are kept as text: one for each request that came before, of half a kilobyte."""


class JsonlSink:
    """Appends decisions to a file, and labels to another beside it.

    Args:
        path: a name that ends in ".jsonl" is that file; any other is a folder, in which each process has a file of its
            own, named by date, host and process. Missing folders are made.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._lines = Lines(self._file)
        self._labels = LabelFile(path)
        self._written = _Written()

    def emit(self, decision: Decision, /) -> None:
        """Writes the record; it is on its way to the disk when this returns.

        Raises:
            OSError: the file cannot be written (disk full, no permission).
        """
        # Without a look into the cache nothing was remembered of an equal request, so that all parts are new.
        record = decision_dict(decision) if decision.lookup is None else decision_dict(decision, parts=self._written)
        self._lines.append(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE, default=str))

    def feedback(self, label: Label, /) -> None:
        """Writes a label; it is on its way to the disk when this returns.

        Raises:
            OSError: as for `emit`.
        """
        self._labels.write(label)

    def close(self) -> None:
        """Closes the files."""
        self._lines.close()
        self._labels.close()

    def _file(self) -> Path:
        return self._path if self._path.suffix == ".jsonl" else self._path / own_name()


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
            kept = self._kept[id(of)] = of, orjson.Fragment(orjson.dumps(made(of), default=str))
        return kept[1]
