"""`lowfare label`: takes labels out of a file, all or none of them, for the decisions of a log."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import typer

from router.cli.ending import FAILED
from router.cli.logs import Reading, analytics, log_path
from router.cli.terminal import out, print_json
from router.errors import RouterError

_SHOWN = 5


def run(file: Path, *, log: Path | None, config: Path | None, as_json: bool) -> None:
    """Takes the labels; says how many, and which traces the log does not have."""
    path = log_path(log, config)
    with analytics():
        from router.analytics.labelling import UNKNOWN_SHOWN, take
        from router.analytics.log import opened

    with Reading("reading") as progress, opened(path, progress=progress) as connection:
        try:
            taken = take(file, path, connection, now=datetime.now(UTC))
        except OSError as error:
            raise RouterError(f"the labels of {path} cannot be written: {error.strerror}") from error
    if as_json:
        print_json(asdict(taken))
    else:
        out().print(f"labels taken: {taken.taken:,}")
        if taken.unknown:
            ids = taken.unknown_trace_ids
            more = ", ..." if len(ids) > _SHOWN or len(ids) == UNKNOWN_SHOWN else ""
            told = f"left out, since their traces are not in {path}: {taken.unknown:,}"
            out().print(f"{told} ({', '.join(ids[:_SHOWN])}{more})", soft_wrap=True)
    if taken.unknown and not taken.taken:
        raise typer.Exit(FAILED)
