"""The commands and their options; each imports what it needs when it runs, so that `--help` is quick."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from router.cli import app_alerts, app_evidence
from router.cli.app_budget import budget_app
from router.cli.ending import ending
from router.cli.options import (
    Config,
    Deadline,
    File,
    Json,
    Log,
    MaxCost,
    MaxTokens,
    MinQuality,
    Model,
    Param,
    Policy,
    Tag,
    Tenant,
    Verbose,
)

app = typer.Typer(
    name="lowfare",
    help="Routes requests for language models to the cheapest model that is adequate, and says what each cost.",
    epilog="Exit codes: 0 done, 1 the request or the check failed, 2 wrong usage or configuration, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they would print local variables, and with them prompts and keys
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def root(
    *,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Prints the version, or the help where no command is given."""
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"lowfare {installed('lowfare')}")
        raise typer.Exit
    from router.cli.terminal import tolerate_encoding

    tolerate_encoding(sys.stdout, sys.stderr)


@app.command()
def demo(
    log: Annotated[
        Path | None, typer.Option(help="Also write the decisions to this JSONL file.", show_default=False)
    ] = None,
    print_config: Annotated[bool, typer.Option("--print-config", help="Print its configuration and exit.")] = False,
    as_json: Json = False,
) -> None:
    """Route a few requests over four models with a simulated provider: no key, no network, real prices."""
    from router.cli import demo as command

    if print_config:
        typer.echo(command.config_text(), nl=False)
    else:
        command.run(log=None if log is None else str(log), as_json=as_json)


@app.command()
def complete(
    prompt: Annotated[str | None, typer.Argument(help="The prompt; - is standard input.", show_default=False)] = None,
    *,
    file: File = None,
    stream: Annotated[bool, typer.Option("--stream", "-s", help="Print the answer as it comes.")] = False,
    model: Model = None,
    policy: Policy = None,
    max_tokens: MaxTokens = None,
    max_cost_usd: MaxCost = None,
    min_quality: MinQuality = None,
    deadline_s: Deadline = None,
    tag: Tag = None,
    tenant: Tenant = None,
    param: Param = None,
    config: Config = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Ask the cheapest adequate model; the answer goes to stdout, what it cost to stderr."""
    with ending(as_json=as_json):
        from router.cli import complete as command

        asked = _asked(
            prompt,
            file,
            tag,
            param,
            model=model,
            policy=policy,
            max_tokens=max_tokens,
            max_cost_usd=max_cost_usd,
            min_quality=min_quality,
            deadline_s=deadline_s,
            tenant=tenant,
        )
        command.run(asked, config=config, stream=stream, as_json=as_json, verbose=verbose)


@app.command()
def explain(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="PROMPT|FILE|TRACE_ID",
            help="A prompt or the file with it, to see what would be done; or 8 to 32 hex digits of a logged trace id.",
            show_default=False,
        ),
    ] = None,
    *,
    file: File = None,
    log: Log = None,
    model: Model = None,
    policy: Policy = None,
    max_tokens: MaxTokens = None,
    max_cost_usd: MaxCost = None,
    min_quality: MinQuality = None,
    tag: Tag = None,
    tenant: Tenant = None,
    param: Param = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show what would be done with a prompt, without sending it, or what was done with a logged request."""
    with ending(as_json=as_json):
        from router.cli import explain as command

        if what is not None and file is None and command.TRACE_ID.fullmatch(what):
            command.run_trace(what, log=log, config=config, as_json=as_json)
            return
        if what is not None and file is None and command.is_file(what):
            what, file = None, what
        asked = _asked(
            what,
            file,
            tag,
            param,
            model=model,
            policy=policy,
            max_tokens=max_tokens,
            max_cost_usd=max_cost_usd,
            min_quality=min_quality,
            tenant=tenant,
        )
        command.run_plan(asked, config=config, as_json=as_json)


@app.command()
def key(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="Text file, or *.json with messages or a request body; - is standard input.",
            show_default=False,
        ),
    ],
    *,
    model: Model = None,
    policy: Policy = None,
    tenant: Tenant = None,
    param: Param = None,
    hash_only: Annotated[bool, typer.Option("--hash-only", help="Print the key without what it stands for.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Print what a request's answer is kept under: its canonical form, and the hash of that."""
    with ending(as_json=as_json):
        from router.cli import key as command

        asked = _asked(None, file, None, param, model=model, policy=policy, tenant=tenant)
        command.run(asked, config=config, hash_only=hash_only, as_json=as_json)


@app.command()
def check(
    config: Config = None,
    *,
    expect: Annotated[
        Path | None,
        typer.Option(
            help="TOML file with more expectations; without it config.expect.toml beside config.toml, if there is one.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(help="Most tokens of the answers whose worst case is shown.", min=1, show_default=False),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 when there are warnings.")] = False,
    as_json: Json = False,
) -> None:
    """Load the configuration; prove what is expected of it; print worst cases, and what somebody will regret."""
    from router.cli import check as command

    command.run(config=config, expect=expect, strict=strict, max_tokens=max_tokens, as_json=as_json)


cache_app = typer.Typer(no_args_is_help=True)
app.add_typer(cache_app, name="cache", help="See and take out the answers that processes share: stats, get, purge.")


@cache_app.command("stats")
def cache_stats(config: Config = None, as_json: Json = False) -> None:
    """Count the stored answers: how many, how large, whose, and how old."""
    with ending(as_json=as_json):
        from router.cli import cache as command

        command.run_stats(config=config, as_json=as_json)


@cache_app.command("get")
def cache_get(
    key: Annotated[str, typer.Argument(help="A content key, or at least 8 of its hex digits.")],
    *,
    answer: Annotated[bool, typer.Option("--answer", help="Print the answer too.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Print what is known of one stored answer: model, age, cost, trace, tenant, tags, tokens."""
    with ending(as_json=as_json):
        from router.cli import cache as command

        command.run_get(key, config=config, answer=answer, as_json=as_json)


@cache_app.command("purge")
def cache_purge(
    *,
    key: Annotated[
        str | None, typer.Option(help="A content key, or at least 8 of its hex digits.", show_default=False)
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(help="NAME=VALUE of the request that paid; repeatable.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Whose request it was.", show_default=False)] = None,
    model: Annotated[str | None, typer.Option(help="Name of the model that answered.", show_default=False)] = None,
    older_than: Annotated[
        str | None, typer.Option(help="Stored before so long: 3600, 90m, 12h, 7d.", metavar="TIME", show_default=False)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that is stored, instead of the above.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it; otherwise it is only counted.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Take out stored answers for which all of the options hold; only counts them without --yes."""
    with ending(as_json=as_json):
        from router.cli import cache as command

        chosen = command.Chosen(
            key=key, tags=tag or (), tenant=tenant, model=model, older_than=older_than, everything=everything
        )
        command.run_purge(chosen, config=config, really=yes, as_json=as_json)


@app.command()
def models(
    everything: Annotated[bool, typer.Option("--all", help="List the whole price map instead of the catalog.")] = False,
    search: Annotated[
        str | None, typer.Option(help="With --all: only ids that contain this.", show_default=False)
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """List the catalog: prices, windows, capabilities, deprecation dates, and where each figure comes from."""
    from router.cli import models as command

    if everything:
        command.run_all(search, as_json=as_json)
    elif search is not None:
        raise typer.BadParameter("--search needs --all")
    else:
        command.run(config=config, as_json=as_json)


@app.command()
def compare(
    prompt: Annotated[str | None, typer.Argument(help="The prompt; - is standard input.", show_default=False)] = None,
    *,
    file: File = None,
    model: Annotated[
        list[str] | None, typer.Option(help="A model to ask; repeatable; without it all.", show_default=False)
    ] = None,
    max_tokens: MaxTokens = None,
    max_cost_usd: MaxCost = None,
    tag: Tag = None,
    tenant: Tenant = None,
    param: Param = None,
    config: Config = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Ask several models the same, at once: answers, tokens, time and cost side by side."""
    with ending(as_json=as_json):
        from router.cli import compare as command

        asked = _asked(prompt, file, tag, param, max_tokens=max_tokens, max_cost_usd=max_cost_usd, tenant=tenant)
        command.run(asked, model or (), config=config, as_json=as_json, verbose=verbose)


@app.command()
def simulate(
    scenario: Annotated[
        str, typer.Option(metavar="FILE", help="TOML file of the scenario; 'random' draws one from the seed.")
    ],
    seed: Annotated[int, typer.Option(help="Of every draw; the same seed gives the same run.", min=0)] = 0,
    trace: Annotated[
        Path | None,
        typer.Option(
            help="Parquet file with t_s, input_tokens, output_tokens, in place of the scenario's own traffic.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run the router against scripted providers in virtual time; exit with 1 when a promise is broken."""
    from router.cli import simulate as command

    command.run(scenario=scenario, seed=seed, trace=trace, as_json=as_json)


app_evidence.add_to(app)
app_alerts.add_to(app)
app.add_typer(budget_app)


def _asked(
    prompt: str | None, file: str | None, tags: list[str] | None, params: list[str] | None, **options: Any
) -> Any:
    from router.cli.asking import asked, pairs

    if tags:
        options["tags"] = pairs(tags, "--tag")
    return asked(prompt, file, options, params or ())
