from __future__ import annotations

import re

import pytest
from typer.main import get_command

from router.cli.app import app
from tests.source_tree import ROOT

TEXT = (ROOT / "docs" / "commands.md").read_text()
COMMANDS = get_command(app).commands  # type: ignore[attr-defined]  # an app with several commands is a group of them


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_documented(name: str) -> None:
    """docs/commands.md has a section for each command, and each option stands somewhere in it."""
    assert f"\n## {name}\n" in TEXT
    missing = [
        option
        for parameter in COMMANDS[name].params
        for option in parameter.opts
        if option.startswith("--") and option != "--help" and option not in TEXT
    ]
    assert not missing


def test_no_option_is_made_up() -> None:
    """Every option that docs/commands.md names exists."""
    known = {option for command in COMMANDS.values() for parameter in command.params for option in parameter.opts}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", TEXT))
    assert named <= known | {"--help"}


def test_every_warning_is_documented() -> None:
    """Each kind of warning that `check` knows stands in the table."""
    source = (ROOT / "router" / "cli" / "check.py").read_text()
    kinds = set(re.findall(r'Warned\(\s*kind="(\w+)"', source))
    assert kinds
    assert all(f"| `{kind}` |" in TEXT for kind in kinds)
