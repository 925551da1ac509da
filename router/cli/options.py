"""Options that several commands take, each described once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[
    Path | None,
    typer.Option(
        help="TOML file; without it $LOWFARE_CONFIG, else ./config.toml, else models whose keys are set.",
        exists=True,
        dir_okay=False,
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, and nothing else there.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Print a line per decision on stderr.")]
Policy = Annotated[str | None, typer.Option(help="Name of the policy to use.", show_default=False)]
Model = Annotated[str | None, typer.Option(help="Name of the only model that may answer.", show_default=False)]
MaxTokens = Annotated[int | None, typer.Option(help="Most tokens of the answer.", min=1, show_default=False)]
Tag = Annotated[list[str] | None, typer.Option(help="NAME=VALUE, for rules and reports; repeatable.")]
Tenant = Annotated[str | None, typer.Option(help="Whose request it is.", show_default=False)]
MaxCost = Annotated[
    str | None, typer.Option(help="Refuse rather than risk more than this.", metavar="USD", show_default=False)
]
MinQuality = Annotated[float | None, typer.Option(help="Least quality prior of a model, 0 to 1.", show_default=False)]
Deadline = Annotated[float | None, typer.Option(help="Seconds that the request may take.", show_default=False)]
Param = Annotated[
    list[str] | None, typer.Option(help="Any other parameter, NAME=VALUE with VALUE in JSON; repeatable.")
]
File = Annotated[
    str | None,
    typer.Option(
        "--file",
        "-f",
        help="Text file, or *.json with messages or a request body; - is standard input.",
        show_default=False,
    ),
]
Log = Annotated[
    Path | None,
    typer.Option(help="Log file or folder; without it the log of the configuration.", show_default=False),
]
LogArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="LOG",
        help="Log file or folder; without it the log of the configuration.",
        show_default=False,
    ),
]
