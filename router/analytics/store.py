"""The compacted part of a log: Parquet files, and the numbered commits that say which of them count.

    compacted/date=2026-11-28/part-0f3c....parquet    decisions of a day
    compacted/aside/0f3c....jsonl                     lines that are no decisions, byte for byte
    compacted/_commits/00000007.json                  what was added, and how far each JSONL file was read for it

Files are written first, under names of their own, and count once a commit names them. A commit is made in one step by
whoever comes first; the other plans anew. So every record counts once, whoever is killed, and whenever.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import orjson

from router.analytics.places import COMMITS
from router.analytics.sources import Mark, SourceId
from router.errors import ConfigError

ASIDE: Final = "aside"
FORM: Final = 1
"""Of commits; a reader that meets a later one says so instead of guessing."""
_WHOLE_EVERY: Final = 64
"""Commits whose number this divides hold the whole state, so that a reader need not read all that came before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """A Parquet file of decisions.

    Attributes:
        name: below the store.
        records: how many it has.
        columns: version of the columns, `router.analytics.columns.VERSION` when it was written.
        size: in bytes.
    """

    name: str
    records: int
    columns: str
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AsideFile:
    """A file of lines that are no decisions.

    Attributes:
        reasons: how many lines for which reason.
    """

    name: str
    reasons: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """How far one commit read a source."""

    source: SourceId
    start: int
    mark: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """What one compaction changes.

    Attributes:
        removed: names of data files that others replace.
        newer: how many of its records are of a later schema than this version knows.
    """

    added: tuple[DataFile, ...] = ()
    removed: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    aside: tuple[AsideFile, ...] = ()
    newer: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all files that it adds."""
        return (*(file.name for file in self.added), *(file.name for file in self.aside))


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A store as all commits up to one leave it.

    Attributes:
        number: of that commit; 0 before the first.
        files: the data files that count, by name.
        replaced: data files that no longer count, and when they ceased to, in Unix seconds.
        marks: how far each source was read.
    """

    number: int = 0
    files: Mapping[str, DataFile] = field(default_factory=dict)
    replaced: Mapping[str, float] = field(default_factory=dict)
    aside: Mapping[str, AsideFile] = field(default_factory=dict)
    marks: Mapping[SourceId, Mark] = field(default_factory=dict)

    @property
    def records(self) -> int:
        """How many records the data files have."""
        return sum(file.records for file in self.files.values())

    def after(self, commit: Commit, at_s: float, /) -> State:
        """Returns the state that a commit leaves."""
        files = {**self.files, **{f.name: f for f in commit.added}}
        return replace(
            self,
            number=self.number + 1,
            files={name: f for name, f in files.items() if name not in commit.removed},
            replaced={**self.replaced, **dict.fromkeys(commit.removed, at_s)},
            aside={**self.aside, **{f.name: f for f in commit.aside}},
            marks={**self.marks, **{s.source: s.mark for s in commit.steps}},
        )


def read_state(store: Path, /) -> State:
    """Returns the store as it is now; an empty state where there is none yet.

    Raises:
        ConfigError: a commit is damaged, missing, or of a later version.
    """
    folder = store / COMMITS
    numbers = sorted(int(f.stem) for f in folder.glob("*.json") if f.stem.isdecimal()) if folder.is_dir() else []
    if not numbers:
        return State()
    last = numbers[-1]
    first = last - last % _WHOLE_EVERY or 1
    state = State()
    for number in range(first, last + 1):
        written = _read(folder / _file_name(number))
        whole = written.get("state")
        state = state.after(_commit_from(written), written["time_s"]) if whole is None else _state_from(whole)
    return replace(state, number=last)


def commit(store: Path, state: State, change: Commit, /) -> State | None:
    """Makes a change on top of a state; None where somebody else was quicker, and nothing was changed.

    The files that it names are on the disk when it counts. They are made new after the draft, and a sweep takes drafts
    first: whoever sleeps here until they are swept has lost the draft too, and cannot commit.

    Raises:
        FileNotFoundError: another compaction took the files for abandoned.
        OSError: the disk is full, or the file system has no hard links.
    """
    now = time.time()
    after = state.after(change, now)
    written = _commit_values(change) | {"form": FORM, "time_s": now, "time": datetime.now(UTC).isoformat()}
    if after.number % _WHOLE_EVERY == 0:
        written["state"] = _state_values(after)
    folder = store / COMMITS
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f"draft-{uuid4().hex}"
    write_durably(draft, orjson.dumps(written))
    try:
        for name in change.names:
            os.utime(store / name)
        os.link(draft, folder / _file_name(after.number))
    except FileExistsError:
        return None
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(folder)
    return after


def write_durably(path: Path, data: bytes, /) -> None:
    """Writes a file that is on the disk when this returns."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path, /) -> None:
    """Puts the names in a folder on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _file_name(number: int) -> str:
    return f"{number:08d}.json"


def _read(path: Path) -> dict[str, Any]:
    try:
        written = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        raise ConfigError(f"{path}: this commit is missing, so what the store holds is not known") from None
    except orjson.JSONDecodeError:
        raise ConfigError(f"{path}: this commit is damaged, so what the store holds is not known") from None
    if written["form"] != FORM:
        raise ConfigError(f"{path}: a later version of lowfare wrote this store; this one reads form {FORM}")
    return dict(written)


def _commit_values(change: Commit) -> dict[str, Any]:
    return {
        "added": [_file_values(f) for f in change.added],
        "removed": list(change.removed),
        "sources": [
            {"name": s.source.name, "head": s.source.head, "start": s.start, "end": s.mark.end, "tail": s.mark.tail}
            for s in change.steps
        ],
        "aside": [{"name": f.name, "reasons": dict(f.reasons)} for f in change.aside],
        "newer": change.newer,
    }


def _commit_from(written: Mapping[str, Any]) -> Commit:
    return Commit(
        added=tuple(_files_from(written["added"])),
        removed=tuple(written["removed"]),
        steps=tuple(
            Step(source=SourceId(s["name"], s["head"]), start=s["start"], mark=Mark(s["end"], s["tail"]))
            for s in written["sources"]
        ),
        aside=tuple(AsideFile(name=f["name"], reasons=f["reasons"]) for f in written["aside"]),
        newer=written["newer"],
    )


def _state_values(state: State) -> dict[str, Any]:
    return {
        "files": [_file_values(f) for f in state.files.values()],
        "replaced": dict(state.replaced),
        "aside": [{"name": f.name, "reasons": dict(f.reasons)} for f in state.aside.values()],
        "marks": [[s.name, s.head, m.end, m.tail] for s, m in state.marks.items()],
    }


def _state_from(written: Mapping[str, Any]) -> State:
    return State(
        files={f.name: f for f in _files_from(written["files"])},
        replaced=written["replaced"],
        aside={f["name"]: AsideFile(name=f["name"], reasons=f["reasons"]) for f in written["aside"]},
        marks={SourceId(name, head): Mark(end, tail) for name, head, end, tail in written["marks"]},
    )


def _file_values(file: DataFile) -> dict[str, Any]:
    return {"name": file.name, "records": file.records, "columns": file.columns, "size": file.size}


def _files_from(written: Iterable[Mapping[str, Any]]) -> Iterable[DataFile]:
    return (DataFile(name=f["name"], records=f["records"], columns=f["columns"], size=f["size"]) for f in written)
