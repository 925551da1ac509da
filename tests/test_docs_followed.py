"""docs/testing.md, followed as a reader would: its files are written, its commands run, and print what stands there.

A line of a page's output is looked for among those that were printed, in their order; `...` stands for any others.
What Hypothesis draws is not compared (`E       `, the case as code): it depends on what else was imported.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.source_tree import ROOT
from tests.test_docs import blocks

PAGE = ROOT / "docs" / "testing.md"
HOME = "/home/me/night-shift"
NOT_RUN = ("mkdir ", "python -m venv ", "pip install 'lowfare[testing]'")
"""The reader's own environment, which the test has already."""


def commands(console: str) -> Iterator[tuple[str, list[str]]]:
    """Yields each command of a block with the lines that it is said to print."""
    for part in re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]:
        command, _, printed = part.partition("\n")
        yield command, printed.splitlines()


def installed(folder: Path) -> None:
    """Does what `pip install -e .` does, but for the build backend, which would have to be downloaded."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    metadata = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    groups = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
        for group, points in project["entry-points"].items()
    ]
    (metadata / "entry_points.txt").write_text("\n".join(groups))


def pytest_output(command: str, folder: Path) -> str:
    """Returns what a run of pytest prints, with the folder's name and the time it took as on the page."""
    others = ("LOWFARE_", "PYTEST_", "CI", "BUILD_NUMBER")  # in CI pytest cuts no line to the terminal's width
    environment = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    # The reader has none of these, and they have something to say.
    environment["PYTEST_ADDOPTS"] = "-p no:randomly -p no:asyncio -p no:xdist -p no:cacheprovider"
    environment["PYTHONPATH"] = str(ROOT)
    environment["COLUMNS"] = "80"
    environment["TZ"] = f"PAGE{datetime.now(UTC).hour - 12}"  # the page is read by day: its policy looks at the clock
    arguments = [sys.executable, *command.split()[1:]]
    run = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return seconds_left_out(run.stdout.replace(str(folder.resolve()), HOME)) + run.stderr


def seconds_left_out(text: str) -> str:
    """Returns what pytest printed without how long it took."""
    return re.sub(r" in \d+\.\d+s", " in a moment", text)


def missing(told: list[str], printed: list[str]) -> str | None:
    """Returns the first line that is not among those printed after the ones before it; None where all are."""
    left = iter(line.rstrip() for line in printed)
    for line in told:
        drawn = line.startswith("E       ") or line.strip() in {"...", "E", ""}
        if not drawn and seconds_left_out(line.rstrip()) not in left:
            return line
    return None


@pytest.mark.untraced
def test_the_page_on_testing_can_be_followed(tmp_path: Path) -> None:
    """Whoever does what docs/testing.md says, step by step, sees what it shows."""
    for block in blocks(PAGE.read_text()):
        if block.name is not None:
            (tmp_path / block.name).write_text(block.code)
        for command, told in commands(block.code) if block.language == "console" else ():
            if command == "pip install -e .":
                installed(tmp_path)
            elif command.startswith("python -m pytest"):
                printed = pytest_output(command, tmp_path)
                line = missing(told, printed.splitlines())
                assert line is None, f"docs/testing.md:{block.line}: {command}: not printed: {line}\n{printed}"
            else:
                assert command.startswith(NOT_RUN), command


def test_a_line_that_is_not_printed_is_missed() -> None:
    """Order counts, the time does not; what is left out on the page may be anything."""
    assert missing(["a", "...", "1 failed in 2.00s"], ["a", "b", "1 failed in a moment"]) is None
    assert missing(["b", "a"], ["a", "b"]) == "a"
