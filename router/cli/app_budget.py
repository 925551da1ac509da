"""The command `budget`, the one below it, and their options."""

from __future__ import annotations

from typing import Annotated

import typer

from router.cli.ending import ending
from router.cli.options import Config, Json, LogArgument

budget_app = typer.Typer(
    name="budget",
    help="Show how budgets stand; below it: bring their accounts in line with the log.",
    invoke_without_command=True,
    no_args_is_help=False,
)


@budget_app.callback()
def budget(context: typer.Context, *, config: Config = None, as_json: Json = False) -> None:
    """Show of each budget the limit, what is spent, reserved and left, and where spending is going to."""
    if context.invoked_subcommand is not None:
        return
    with ending(as_json=as_json):
        from router.cli import budget as command

        command.run(config=config, as_json=as_json)


@budget_app.command("rebuild")
def rebuild(
    log: LogArgument = None,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it; otherwise only the differences are shown.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Compute every window anew from the decision log, and put that in the place of what was counted."""
    with ending(as_json=as_json):
        from router.cli import budget as command

        command.run_rebuild(log, config=config, really=yes, as_json=as_json)
