"""What the tests of the command line share: a configuration with the simulated provider, and ways to run a command."""

from __future__ import annotations

import json
import os
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from router.cli.app import app

MODELS = """
[models.small]
id = "simulated/small"
input_usd_per_mtok = "0.10"
output_usd_per_mtok = "0.40"
context_window_tokens = 8000
max_output_tokens = 1000
capabilities = ["tools"]
quality = 0.7
{small}

[models.large]
id = "simulated/large"
input_usd_per_mtok = "2"
output_usd_per_mtok = "8"
context_window_tokens = 100000
max_output_tokens = 4000
capabilities = ["tools", "json_object", "json_schema", "vision"]
quality = 0.9
{large}
"""
COMMAND = Path(sysconfig.get_path("scripts")) / "lowfare"


def write_config(folder: Path, rest: str = "", *, small: str = "", large: str = "") -> Path:
    """Writes a configuration with two simulated models; returns its path.

    Args:
        folder: where to write it.
        rest: further tables.
        small, large: further lines of the models' tables.
    """
    path = folder / "config.toml"
    path.write_text(MODELS.format(small=small, large=large) + rest)
    return path


def lowfare(*arguments: str | Path, env: Mapping[str, str] | None = None, text: str | None = None) -> Result:
    """Runs a command in this process, on a terminal of 80 columns that is none."""
    given = {"COLUMNS": "80", "LOWFARE_CONFIG": "", **(env or {})}
    result = CliRunner().invoke(app, list(map(str, arguments)), env=given, input=text)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def parsed(result: Result) -> Any:
    """Returns the JSON that a command printed, which must be all that it printed."""
    return json.loads(result.stdout)


def words(text: str) -> str:
    """Returns text with all white space made single, so that a test does not depend on where lines break."""
    return " ".join(text.split())


def environment(**more: str) -> dict[str, str]:
    """Returns this process's environment without what would configure lowfare."""
    return {name: value for name, value in os.environ.items() if not name.startswith("LOWFARE_")} | more
