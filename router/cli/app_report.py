"""The command `report` and its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from router.cli.ending import ending
from router.cli.options import Config, Json, LogArgument

_Since = Annotated[
    str | None,
    typer.Option(help="Requests from then on: a date or time (UTC unless it says so), or 7d, 12h.", metavar="TIME"),
]
_Until = Annotated[str | None, typer.Option(help="Requests before then.", metavar="TIME")]
_Models = Annotated[list[str] | None, typer.Option(help="Only requests that this model answered; repeatable.")]
_Providers = Annotated[list[str] | None, typer.Option(help="Only this provider's; repeatable.")]
_Policies = Annotated[list[str] | None, typer.Option(help="Only requests under this policy; repeatable.")]
_Tenants = Annotated[list[str] | None, typer.Option(help="Only this tenant's; repeatable.")]
_Tags = Annotated[list[str] | None, typer.Option(help="Only requests with this tag, NAME=VALUE; repeatable.")]
_Endings = Annotated[list[str] | None, typer.Option("--ending", help="Only requests that ended so; repeatable.")]
_Caches = Annotated[
    list[str] | None, typer.Option(help="Only answers from there: none, memory, shared, flight; repeatable.")
]
_By = Annotated[
    list[str] | None,
    typer.Option(
        help="Also a table by model, provider, policy, tenant, ending, cache, tag:NAME, day or hour; repeatable, for "
        "groups of several."
    ),
]
_Baseline = Annotated[
    str | None, typer.Option(help="Compare the cost with that of this model, by its name or id.", show_default=False)
]
_StormWithin = Annotated[float, typer.Option(help="Equal requests so close to each other are a retry storm.", min=0)]
_Html = Annotated[Path | None, typer.Option(help="Write a page with charts to this file.", show_default=False)]
_Csv = Annotated[
    Path | None,
    typer.Option(help="Write the tables into this folder, or with --table one to this file.", show_default=False),
]
_Table = Annotated[str | None, typer.Option(help="The table that --csv or --json is to have.", show_default=False)]
_Focus = Annotated[
    Path | None, typer.Option(help="Write the costs to this file as FOCUS 1.2 has them.", show_default=False)
]


def report(
    log: LogArgument = None,
    *,
    since: _Since = None,
    until: _Until = None,
    model: _Models = None,
    provider: _Providers = None,
    policy: _Policies = None,
    tenant: _Tenants = None,
    tag: _Tags = None,
    ended: _Endings = None,
    cache: _Caches = None,
    by: _By = None,
    baseline: _Baseline = None,
    storm_within_s: _StormWithin = 10.0,
    html: _Html = None,
    csv: _Csv = None,
    table: _Table = None,
    focus: _Focus = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Report what a log says of cost, time, failures, waste, duplicates and repeated context."""
    with ending(as_json=as_json):
        from router.cli import report as command

        filters = {"model": model, "provider": provider, "policy": policy, "tenant": tenant, "cache": cache}
        wanted = command.Wanted(
            since=since,
            until=until,
            where={name: values for name, values in {**filters, "ending": ended}.items() if values},
            tags=tag or (),
            by=by or (),
            baseline=baseline,
            storm_within_s=storm_within_s,
        )
        outputs = command.Outputs(as_json=as_json, html=html, csv=csv, table=table, focus=focus)
        command.run(log, wanted, outputs, config=config)
