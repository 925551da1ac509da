from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from router.cli.app import app
from tests.source_tree import ROOT

TEXT = (ROOT / "docs" / "commands.md").read_text()
COMMANDS = get_command(app).commands  # type: ignore[attr-defined]  # an app with several commands is a group of them


def options(command: Any) -> Iterator[str]:
    """Yields the options of a command, and those of the commands in it."""
    for parameter in command.params:
        yield from parameter.opts
    for inner in getattr(command, "commands", {}).values():
        yield from options(inner)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_documented(name: str) -> None:
    """docs/commands.md has a section for each command, and each option stands somewhere in it."""
    assert f"\n## {name}\n" in TEXT
    named = {option for option in options(COMMANDS[name]) if option.startswith("--")}
    missing = {option for option in named - {"--help"} if option not in TEXT}
    assert not missing


def test_no_option_is_made_up() -> None:
    """Every option that docs/commands.md names exists."""
    known = {option for command in COMMANDS.values() for option in options(command)}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", TEXT))
    assert named <= known | {"--help"}


def test_every_warning_is_documented() -> None:
    """Each kind of warning that `check` knows stands in the table."""
    source = (ROOT / "router" / "cli" / "check.py").read_text()
    kinds = set(re.findall(r'Warned\(\s*kind="(\w+)"', source))
    assert kinds
    assert all(f"| `{kind}` |" in TEXT for kind in kinds)
