"""`lowfare report` and its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from router.cli.ending import ending
from router.cli.options import Config, Json, LogArgument

Values = list[str] | None


def add_to(app: typer.Typer) -> None:
    """Adds the command to the others."""
    app.command("report")(_report)


def _report(
    log: LogArgument = None,
    *,
    since: Annotated[
        str | None,
        typer.Option(help="Requests from then on: a date or time (UTC unless it says so), or 7d, 12h.", metavar="TIME"),
    ] = None,
    until: Annotated[str | None, typer.Option(help="Requests before then.", metavar="TIME")] = None,
    model: Annotated[Values, typer.Option(help="Only requests that this model answered; repeatable.")] = None,
    provider: Annotated[Values, typer.Option(help="Only this provider's; repeatable.")] = None,
    policy: Annotated[Values, typer.Option(help="Only requests under this policy; repeatable.")] = None,
    tenant: Annotated[Values, typer.Option(help="Only this tenant's; repeatable.")] = None,
    tag: Annotated[Values, typer.Option(help="Only requests with this tag, NAME=VALUE; repeatable.")] = None,
    ended: Annotated[Values, typer.Option("--ending", help="Only requests that ended so; repeatable.")] = None,
    cache: Annotated[
        Values, typer.Option(help="Only answers from there: none, memory, shared, flight; repeatable.")
    ] = None,
    by: Annotated[
        Values,
        typer.Option(
            help="Also a table by model, provider, policy, tenant, ending, cache, tag:NAME, day or hour; repeatable, "
            "for groups of several."
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(help="Compare the cost with that of this model, by its name or id.", show_default=False),
    ] = None,
    storm_within_s: Annotated[
        float, typer.Option(help="Equal requests so close to each other are a retry storm.", min=0)
    ] = 10.0,
    html: Annotated[
        Path | None, typer.Option(help="Write a page with charts to this file.", show_default=False)
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option(help="Write the tables into this folder, or with --table one to this file.", show_default=False),
    ] = None,
    table: Annotated[str | None, typer.Option(help="The table that --csv or --json is to have.")] = None,
    focus: Annotated[
        Path | None, typer.Option(help="Write the costs to this file as FOCUS 1.2 has them.", show_default=False)
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Report what a log says of cost, time, failures, waste, duplicates and repeated context."""
    with ending(as_json=as_json):
        from router.cli import report as command

        where = {
            "model": model or (),
            "provider": provider or (),
            "policy": policy or (),
            "tenant": tenant or (),
            "ending": ended or (),
            "cache": cache or (),
        }
        wanted = command.Wanted(
            since=since,
            until=until,
            where=where,
            tags=tag or (),
            by=by or (),
            baseline=baseline,
            storm_within_s=storm_within_s,
        )
        outputs = command.Outputs(as_json=as_json, html=html, csv=csv, table=table, focus=focus)
        command.run(log, wanted, outputs, config=config)
