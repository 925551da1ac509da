"""The examples of the README and of docs/ run as they stand there.

In a Markdown file the blocks of Python run one after another in one process, in an empty folder and without a network.
A TOML block whose first line is a comment with a file's name, `# config.toml`, is written there first. A block after
`<!-- not run: why -->` is left alone; one that prints is held against the block of `text` right after it. A block of
Python with a file's name belongs to a page that is followed step by step: `test_docs_followed`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from tests.source_tree import ROOT, relative

FENCE = re.compile(
    r"(?P<not_run><!-- not run: [^>]+ -->\s*\n)?^```(?P<language>\w+)[^\n]*\n(?P<code>.*?)^```\s*$",
    re.MULTILINE | re.DOTALL,
)
NAMED = re.compile(r"# (?P<name>[\w.\-]+\.(?:toml|py))\n")
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
FILES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Top-level `await` and `async for` are what a reader types into `python -m asyncio`.
RUN = """
import ast, asyncio, inspect, pathlib, sys
from router.testing.guard import loopback_only
code = compile(pathlib.Path(sys.argv[1]).read_text(), sys.argv[2], "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
with loopback_only() as refused:
    result = eval(code, {"__name__": "__main__", "__file__": sys.argv[1]})
    if inspect.iscoroutine(result):
        asyncio.run(result)
assert not refused, refused
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block of a Markdown file, at its line in that file."""

    language: str
    code: str
    line: int

    @property
    def name(self) -> str | None:
        """The name of the file that it is, if it is one."""
        named = NAMED.match(self.code)
        return None if named is None else named["name"]


def blocks(markdown: str) -> Iterator[Block]:
    """Yields the blocks that are to be run, in their order."""
    for found in FENCE.finditer(markdown):
        if not found["not_run"]:
            line = markdown.count("\n", 0, found.start("code")) + 1
            yield Block(language=found["language"], code=found["code"], line=line)


def script(found: list[Block]) -> str:
    """Returns the Python blocks as one source whose line numbers are those of the Markdown file."""
    source = ""
    for block in found:
        if block.language == "python" and block.name is None:
            source += "\n" * (block.line - 1 - source.count("\n")) + block.code
    return source


def run_alone(source: Path, shown_as: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a script in a process of its own: in that folder, without a network, warnings as errors."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LOWFARE_")}
    environment["PYTHONPATH"] = str(ROOT)
    command = [sys.executable, "-P", "-W", "error", "-c", RUN, str(source), shown_as]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.untraced
@pytest.mark.parametrize("path", FILES, ids=relative)
def test_documents_run(path: Path, tmp_path: Path) -> None:
    """Every Python block of a document runs without an error and prints what the document says it prints."""
    found = list(blocks(path.read_text()))
    folder = tmp_path / "empty"
    folder.mkdir()
    for block in found:
        if block.language == "toml" and block.name is not None:
            (folder / block.name).write_text(block.code)
    source = tmp_path / "example.py"
    source.write_text(script(found))
    run = run_alone(source, relative(path), folder)
    assert run.returncode == 0, run.stderr
    for block, after in pairwise(found):
        if block.language == "python" and after.language == "text":
            assert after.code.strip() in run.stdout, (
                f"{relative(path)}:{after.line} is not what is printed:\n{run.stdout}"
            )


@pytest.mark.parametrize("path", EXAMPLES, ids=relative)
def test_examples_run(path: Path, tmp_path: Path) -> None:
    """Every file of examples/ runs without an error and prints something."""
    run = run_alone(path, relative(path), tmp_path)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip()


def test_a_block_keeps_its_line_numbers() -> None:
    """A failing example is reported at its line in the document."""
    markdown = "# Title\n\n```python\none = 1\n```\n\nText.\n\n```python\ntwo = one / 0\n```\n"
    assert script(list(blocks(markdown))).splitlines().index("two = one / 0") == 9


def test_a_block_that_cannot_run_is_left_alone() -> None:
    """A block after a `not run` comment is not run; the next one is."""
    markdown = "<!-- not run: needs a key -->\n```python\nraise\n```\n\n```python\nx = 1\n```\n"
    assert [block.code for block in blocks(markdown)] == ["x = 1\n"]
