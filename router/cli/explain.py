"""`lowfare explain`: what would be done with a prompt, or what was done with a request of the log."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import typer

from router.analytics.labels import labels_of
from router.analytics.log_reader import LogReader
from router.cli.asking import Asked, open_router, settings_of
from router.cli.ending import FAILED
from router.cli.logs import log_path
from router.cli.story import lines_of, preview
from router.cli.terminal import err, out, print_json
from router.core.record import SCHEMA
from router.errors import RouterError

TRACE_ID = re.compile(r"[0-9a-fA-F]{8,32}")
"""A trace id or the beginning of one; eight digits are unique in any log that a person reads."""


def run_plan(asked: Asked, *, config: Path | None, as_json: bool) -> None:
    """Prints the slate and the worst case of a request, without sending it."""
    settings = settings_of(config)
    with open_router(settings, deliver=False) as router:
        decision = router.plan(asked.prompt, **asked.options)
        record = decision.to_dict()
        if as_json:
            print_json(record)
        else:
            out().print(preview(record, cached=settings.cache is not None))
        if decision.ending != "planned":
            raise typer.Exit(FAILED)


def is_file(text: str) -> bool:
    """Returns whether a text names a file; a prompt may be longer than any name can be."""
    try:
        return Path(text).is_file()
    except (OSError, ValueError):
        return False


def run_trace(trace_id: str, *, log: Path | None, config: Path | None, as_json: bool) -> None:
    """Prints the whole story of a request out of the log."""
    path = log_path(log, config)
    records = _found(LogReader(path), trace_id, path)
    if labels := labels_of(path, str(records[0]["trace_id"])):
        records = [record | {"labels": labels} for record in records]
    if as_json:
        print_json(records[0] if len(records) == 1 else records)
        return
    for part in lines_of(records):
        out().print(part)


def _found(reader: LogReader, trace_id: str, path: Path) -> list[dict[str, Any]]:
    records = reader.find(trace_id)
    if reader.torn:
        err().print(f"{path}: lines that are no records, skipped: {reader.torn}", soft_wrap=True)
    if not records:
        raise RouterError(f"no request with trace id {trace_id!r} is in {path}")
    traces = sorted({str(record["trace_id"]) for record in records})
    if len(traces) > 1:
        raise RouterError(f"{trace_id!r} begins {len(traces)} trace ids: {', '.join(traces[:5])}; write more of it")
    for record in records:
        if record.get("schema") != SCHEMA:
            raise RouterError(f"{path}: a record of schema {record.get('schema')!r}; this lowfare reads {SCHEMA}")
    return records
