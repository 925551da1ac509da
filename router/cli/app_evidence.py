"""The commands that read decision logs; they need the extra `analytics`, which the error says where it is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from router.cli.ending import ending
from router.cli.options import Config, Json


def add_to(app: typer.Typer) -> None:
    """Adds the commands to the others."""
    app.command("compact")(_compact)


def _compact(
    log: Annotated[
        Path | None,
        typer.Argument(help="Log file or folder; without it the configuration's.", show_default=False),
    ] = None,
    *,
    into: Annotated[
        Path | None,
        typer.Option(help="Folder for the Parquet files; without it compacted/ in the log.", show_default=False),
    ] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove JSONL files that are compacted and unchanged for a day.")
    ] = False,
    merge: Annotated[bool, typer.Option("--merge", help="Also merge small Parquet files of a day.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Turn a log's JSONL into Parquet by date, each record exactly once; safe to interrupt and to repeat."""
    with ending(as_json=as_json):
        from router.cli import compact as command

        command.run(log, into=into, remove=remove, merge=merge, config=config, as_json=as_json)
