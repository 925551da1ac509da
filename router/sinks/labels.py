"""Labels on disk, beside the log whose decisions they are of; and the way from `Router.feedback` there.

    log                      labels
    decisions/               decisions/labels/DATE-HOST-PROCESS.jsonl
    decisions.jsonl          decisions.labels

Neither is a `*.jsonl` in the log's folder, so that nobody reads labels as decisions.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

import orjson

from router.core.label import Label, label_dict
from router.errors import ConfigError, RouterError
from router.sinks.lines import Lines, own_name

FOLDER: Final = "labels"
SUFFIX: Final = ".labels"


@runtime_checkable
class LabelSink(Protocol):
    """A sink that takes labels too."""

    def feedback(self, label: Label, /) -> None:
        """Takes one label; called from any thread."""
        ...


class LabelFile:
    """Appends labels beside a log.

    Args:
        log: a name that ends in ".jsonl", or is that of a file, is a log of one file; any other is a folder. The
            compacted part of a log stands for that log.
    """

    def __init__(self, log: str | os.PathLike[str]) -> None:
        self._log = log_of(Path(log))
        self._lines = Lines(self._file)

    def write(self, *labels: Label) -> None:
        """Writes labels, all in one write; they are on their way to the disk when this returns.

        Raises:
            OSError: the file cannot be written.
        """
        lines = [orjson.dumps(label_dict(label), option=orjson.OPT_APPEND_NEWLINE) for label in labels]
        self._lines.append(b"".join(lines))

    def close(self) -> None:
        """Closes the file."""
        self._lines.close()

    def _file(self) -> Path:
        if self._log.suffix == ".jsonl" or self._log.is_file():
            return self._log.with_suffix(SUFFIX)
        return self._log / FOLDER / own_name()


def log_of(path: Path, /) -> Path:
    """Returns the log whose compacted part a path is; any other path as it stands."""
    if path.name == "compacted":
        return path.parent
    return path.with_name(path.name.removesuffix(".compacted")) if path.name.endswith(".jsonl.compacted") else path


def give(label: Label, sinks: Iterable[object], /) -> None:
    """Gives a label to every sink that takes labels.

    Raises:
        ConfigError: there is none.
        RouterError: one cannot take it.
    """
    takers = [sink for sink in sinks if isinstance(sink, LabelSink)]
    if not takers:
        raise ConfigError('feedback needs a log to be kept beside: set [log] path = "decisions" in the configuration')
    for sink in takers:
        try:
            sink.feedback(label)
        except Exception as error:
            raise RouterError(f"{type(sink).__name__} lost the label of trace {label.trace_id}: {error}") from error
