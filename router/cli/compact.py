"""`lowfare compact`: a log's JSONL into Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from router.cli.logs import REASONS, Reading, analytics, log_path
from router.cli.terminal import err, out, print_json
from router.errors import ConfigError

if TYPE_CHECKING:
    from router.analytics.compact import Compacted


def run(log: Path | None, *, into: Path | None, remove: bool, merge: bool, config: Path | None, as_json: bool) -> None:
    """Compacts the log and prints what became of it."""
    path = log_path(log, config)
    with analytics():
        from router.analytics.compact import Terms, compact
    try:
        with Reading("compacting") as progress:
            done = compact(path, Terms(into=into, remove=remove, merge=merge), progress=progress)
    except OSError as error:
        raise ConfigError(f"{error.filename or path}: {error.strerror or error}") from error
    if as_json:
        print_json(_values(done))
        return
    for line in _lines(done):
        out().print(line, soft_wrap=True)
    if done.newer:
        err().print(
            f"{done.newer:,} decisions are of a later schema; what is new in them stands in `record` alone",
            soft_wrap=True,
        )


def _lines(done: Compacted) -> list[str]:
    lines = [f"{done.records:,} decisions compacted into {done.store} ({done.files:,} files)"]
    if done.aside:
        reasons = ", ".join(f"{count:,} {REASONS[reason]}" for reason, count in sorted(done.aside.items()))
        lines.append(f"{done.aside.total():,} lines set aside in {done.store / 'aside'}: {reasons}")
    if done.merged:
        lines.append(f"{done.merged:,} files merged into larger ones")
    if done.removed:
        lines.append(f"{done.removed:,} JSONL files removed, whose lines are all in the store")
    return lines


def _values(done: Compacted) -> dict[str, Any]:
    return {
        "store": str(done.store),
        "records": done.records,
        "files": done.files,
        "aside": dict(done.aside),
        "newer": done.newer,
        "merged": done.merged,
        "removed": done.removed,
    }
