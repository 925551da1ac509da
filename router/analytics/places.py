"""Where the parts of a log are: its JSONL files, and the store that `lowfare compact` makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from router.errors import ConfigError

COMMITS: Final = "_commits"


def jsonl_files(path: Path, /) -> list[Path]:
    """Returns the files of a log: itself, or those of the folder, by name; none where all was compacted and removed.

    Raises:
        ConfigError: there is no such log.
    """
    if path.is_dir():
        return sorted(path.glob("*.jsonl"))
    if path.exists():
        return [path]
    if is_store(store_of(path)):
        return []
    raise ConfigError(f"{path}: there is no such log; name a log file, or a folder with *.jsonl files")


def store_of(log: Path, /) -> Path:
    """Returns where a log's compacted part is, unless the user says otherwise: in its folder, or beside its file."""
    return log / "compacted" if log.is_dir() or log.suffix != ".jsonl" else log.with_name(f"{log.name}.compacted")


def is_store(path: Path, /) -> bool:
    """Returns whether a folder is a store itself."""
    return (path / COMMITS).is_dir()
