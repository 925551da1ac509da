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
    app.command("import")(_import)


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


def _import(
    form: Annotated[
        str,
        typer.Argument(
            metavar="FORMAT", help="litellm, openai, table, or a published trace: azure2023, mooncake, claude_code."
        ),
    ],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What to import.", exists=True, dir_okay=False)],
    *,
    into: Annotated[Path, typer.Option(help="Folder of a log, or a new file *.jsonl.", show_default=False)],
    mapped: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="FIELD=COLUMN", help="Which column of a table is which field; repeatable."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Model of rows of a table that name none.", show_default=False)
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="When a table's time 0 was, as 2026-11-01T00:00:00Z.", show_default=False),
    ] = None,
    requests: Annotated[
        Path | None,
        typer.Option(help="Input of the batch whose output FILE is.", exists=True, dir_okay=False, show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Turn a log that another program wrote, or a trace, into a log of decisions."""
    with ending(as_json=as_json):
        from router.cli import import_log as command

        options = command.Options(mapped=tuple(mapped or ()), model=model, start=start, requests=requests)
        command.run(form, file, into=into, options=options, as_json=as_json)
