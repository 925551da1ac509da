"""The commands that read decision logs; they need the extra `analytics`, which the error says where it is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from router.cli.app_report import report
from router.cli.ending import ending
from router.cli.options import Config, Json, Log, LogArgument


def add_to(app: typer.Typer) -> None:
    """Adds the commands to the others."""
    app.command("compact")(_compact)
    app.command("import")(_import)
    app.command()(report)
    app.command()(backtest)
    app.command()(savings)
    app.command()(label)
    app.command()(tail)
    app.command()(metrics)


def _compact(
    log: LogArgument = None,
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


def backtest(
    log: LogArgument = None,
    *,
    config: Config = None,
    policy: Annotated[
        str | None, typer.Option(help="Policy of all requests; else each by that of its own name.", show_default=False)
    ] = None,
    logged_by: Annotated[
        Path | None,
        typer.Option(
            help="The configuration that wrote the log, for off-policy estimates.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    reward: Annotated[
        Literal["answer", "label", "score"] | None,
        typer.Option(help="What makes an outcome good; else labels, scores or answers.", show_default=False),
    ] = None,
    against: Annotated[
        tuple[Path, Path] | None,
        typer.Option(help="Two configurations to compare, in place of --config.", metavar="A B", show_default=False),
    ] = None,
    fail_if: Annotated[
        str | None,
        typer.Option(help="Exit with 1 if this holds: 'cost_usd > baseline * 1.02'.", show_default=False),
    ] = None,
    engine: Annotated[Literal["local", "ray"], typer.Option(help="Where to play the log.")] = "local",
    processes: Annotated[
        int | None, typer.Option(help="Processes on this machine; else one for each core.", min=1, show_default=False)
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Also write a page to this file.", show_default=False)] = None,
    budgets: Annotated[
        Literal["logged", "played"],
        typer.Option(help="Hold budgets against what was spent then, or play them in the order of time."),
    ] = "logged",
    as_json: Json = False,
) -> None:
    """Play a log under another configuration: what it would have cost, and how much of that is known."""
    with ending(as_json=as_json):
        from router.cli import backtest as command

        options: dict[str, Any] = {
            "log": log,
            "config": config,
            "policy": policy,
            "logged_by": logged_by,
            "reward": reward,
            "against": against,
            "fail_if": fail_if,
            "engine": engine,
            "processes": processes,
            "html": html,
            "budgets": budgets,
        }
        command.run(command.Asked(**options), as_json=as_json)


def savings(
    log: LogArgument = None,
    *,
    tiers: Annotated[
        str, typer.Option(metavar="TOKENS,...", help="Limits of the tiers in input tokens, inclusive, ascending.")
    ] = "500,2000",
    to: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL",
            help="A model to move to, by its id or its name in the configuration; repeatable; without it all of the "
            "configuration.",
            show_default=False,
        ),
    ] = None,
    adequate_share: Annotated[
        float,
        typer.Option(help="Fewer adequate answers among a model's labelled ones rule it out for a tier.", min=0, max=1),
    ] = 0.9,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Estimate what short requests would cost at cheaper models, and print the TOML that sends them there."""
    with ending(as_json=as_json):
        from router.cli import savings as command

        command.run(log, config=config, tiers=tiers, to=to or (), adequate_share=adequate_share, as_json=as_json)


def label(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="JSONL, or *.csv with a header: trace_id, adequate and/or score, and maybe source and time.",
            show_default=False,
        ),
    ],
    *,
    log: Log = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Take labels out of a file: which answers of the log were adequate. All lines are checked before any is taken."""
    with ending(as_json=as_json):
        from router.cli import label as command

        command.run(file, log=log, config=config, as_json=as_json)


def tail(
    log: LogArgument = None,
    *,
    last: Annotated[
        int, typer.Option("--last", "-n", help="How many of those that are there to print first.", min=0)
    ] = 20,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Only decisions that this model, by name or id, had a part in; repeatable.", show_default=False
        ),
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Only with this tag, NAME=VALUE; repeatable.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only requests without an answer.")] = False,
    no_follow: Annotated[bool, typer.Option("--no-follow", help="Print those that are there, and end.")] = False,
    interval_s: Annotated[float, typer.Option(help="Seconds between two looks at the log.", min=0.01)] = 0.5,
    config: Config = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the records, one line each, as the log has them.")
    ] = False,
) -> None:
    """Follow a log live, one line per decision, until Ctrl-C."""
    with ending(as_json=False):
        from router.cli import tail as command

        command.run(
            log,
            config=config,
            last=last,
            models=model or (),
            tags=tag or (),
            failed=failed,
            interval_s=interval_s,
            follow=not no_follow,
            as_json=as_json,
        )


def metrics(
    log: LogArgument = None,
    *,
    port: Annotated[int, typer.Option(help="To serve at.", min=0, max=65_535)] = 9464,
    host: Annotated[str, typer.Option(help="Address to serve at; 0.0.0.0 is every one of this machine.")] = "127.0.0.1",
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Also count the decisions that the log has already.")
    ] = False,
    label: Annotated[
        list[str] | None, typer.Option(help="A tag that becomes a label; repeatable.", show_default=False)
    ] = None,
    label_tenant: Annotated[bool, typer.Option("--label-tenant", help="The tenant becomes a label.")] = False,
    label_values_most: Annotated[
        int, typer.Option(help='Values of each label; all later ones become "other".', min=1)
    ] = 100,
    interval_s: Annotated[float, typer.Option(help="Seconds between two looks at the log.", min=0.01)] = 1.0,
    config: Config = None,
) -> None:
    """Serve the metrics of a log to Prometheus, as it grows, until Ctrl-C. Needs the extra `prometheus`."""
    with ending(as_json=False):
        from router.cli import metrics as command

        command.run(
            log,
            config=config,
            port=port,
            host=host,
            from_start=from_start,
            labels=label or (),
            label_tenant=label_tenant,
            label_values_most=label_values_most,
            interval_s=interval_s,
        )
