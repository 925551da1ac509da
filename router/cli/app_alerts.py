"""The commands on alerts that have not arrived yet, and on where they go."""

from __future__ import annotations

from typing import Annotated

import typer

from router.cli.ending import ending
from router.cli.options import Config, Json, LogArgument

alerts_app = typer.Typer()


def add_to(app: typer.Typer) -> None:
    """Adds the commands to the others."""
    app.add_typer(
        alerts_app, name="alerts", help="See, send and try out alerts; without a command, list those that wait."
    )


@alerts_app.callback(invoke_without_command=True)
def alerts_list(context: typer.Context, config: Config = None, as_json: Json = False) -> None:
    """List what has not arrived, what is dead, and which destinations are disabled."""
    if context.invoked_subcommand is None:
        with ending(as_json=as_json):
            from router.cli import alerts as command

            command.run_list(config=config, as_json=as_json)


@alerts_app.command("deliver")
def alerts_deliver(
    *,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until Ctrl-C or SIGTERM.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Send all alerts that are due; exit with 1 when one did not arrive."""
    with ending(as_json=as_json):
        from router.cli import alerts as command

        command.run_deliver(config=config, follow=follow, as_json=as_json)


@alerts_app.command("test")
def alerts_test(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a destination.")],
    *,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Send a made-up alert now, and print what the destination answered; exit with 1 when it did not arrive."""
    with ending(as_json=as_json):
        from router.cli import alerts as command

        command.run_test(name, config=config, as_json=as_json)


@alerts_app.command("enable")
def alerts_enable(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a destination that answered 410.")],
    *,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Let alerts go to a disabled destination again, those that were held too."""
    with ending(as_json=as_json):
        from router.cli import alerts as command

        command.run_enable(name, config=config, as_json=as_json)


@alerts_app.command("retry")
def alerts_retry(
    message_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="Id of a message; without it all.", show_default=False)
    ] = None,
    *,
    to: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only those for this destination.", show_default=False)
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Make dead alerts due again, as if they were new."""
    with ending(as_json=as_json):
        from router.cli import alerts as command

        command.run_retry(message_id, to=to, config=config, as_json=as_json)


@alerts_app.command("check")
def alerts_check(
    log: LogArgument = None,
    *,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only alerts from then on, ISO 8601.", show_default=False)
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only requests before, ISO 8601.", show_default=False)
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Print what the rules of [[alerts]] would have told of a decision log; nothing is sent."""
    with ending(as_json=as_json):
        from router.cli import alerts_check as command

        command.run(log, since=since, until=until, config=config, as_json=as_json)
