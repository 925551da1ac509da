"""Rules of the house that no linter knows: see CONTRIBUTING.md."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.source_tree import CODE, PRODUCT, python_files, relative

LONGEST_FILE, LONGEST_FUNCTION = 450, 60  # lines: the hard ceilings; the aim is 300 and 30
# What makes a core that is not pure although it imports nothing impure.
IMPURE_CALLS = {"breakpoint", "input", "open", "print", "now", "utcnow", "today", "uuid1", "uuid4", "__import__"}
PATCHING = re.compile(r"\bmonkeypatch\b|\bmock\b|\bMock\b|\bMagicMock\b")
PRAGMA = re.compile(r"#\s*pragma:\s*no\s*(cover|branch)", re.IGNORECASE)
SWITCHED_OFF = re.compile(r"#\s*(noqa|type:\s*ignore|pyright:\s*ignore)(:\s*[A-Z0-9, ]+|\[[\w\-, ]+\])?(?P<reason>.*)$")
THIS_FILE = Path(__file__)


def code_of(*folders: str) -> list[Path]:
    """Returns the files below these folders but this one, which must spell out what it looks for."""
    return [path for path in python_files(*folders) if path != THIS_FILE]


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Returns every function of a file, methods and inner ones included."""
    tree = ast.parse(path.read_text())
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_no_file_outgrows_its_subject() -> None:
    """A file of the product stays below the ceiling of lines."""
    long = {relative(path): length for path in python_files(*PRODUCT) if (length := lines_of(path)) > LONGEST_FILE}
    assert not long, f"longer than {LONGEST_FILE} lines: {long}"


def lines_of(path: Path) -> int:
    """Returns the number of lines of a file."""
    return len(path.read_text().splitlines())


def test_no_function_outgrows_its_subject() -> None:
    """A function of the product stays below the ceiling of lines."""
    long = {
        f"{relative(path)}:{node.lineno} {node.name}": length
        for path in python_files(*PRODUCT)
        for node in functions(path)
        if (length := (node.end_lineno or node.lineno) - node.lineno + 1) > LONGEST_FUNCTION
    }
    assert not long, f"longer than {LONGEST_FUNCTION} lines: {long}"


def test_core_calls_nothing_impure() -> None:
    """The core reads no clock, no file and no random number, not even through a type it may import."""
    found = []
    for path in python_files("router/core"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in IMPURE_CALLS:
                    found.append(f"{relative(path)}:{node.lineno} {name}()")
                case ast.Global(names=names):
                    found.append(f"{relative(path)}:{node.lineno} global {', '.join(names)}")
                case _:
                    continue
    assert not found, found


def test_every_test_says_the_behaviour() -> None:
    """Each test has one docstring, which says what holds."""
    silent = [
        f"{relative(path)}:{node.lineno} {node.name}"
        for path in python_files("tests")
        for node in functions(path)
        if node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert not silent, silent


@pytest.mark.parametrize(
    ("pattern", "folders", "instead"),
    [
        (PATCHING, ("tests",), "pass a scripted client, a virtual clock or an environment as an argument"),
        (PRAGMA, CODE, "cover the line, or delete it"),
        (re.compile(r"\bTODO\b|\bFIXME\b|\bXXX\b"), CODE, "do it, or write an issue"),
    ],
    ids=["patching", "pragma", "todo"],
)
def test_what_the_house_does_without(pattern: re.Pattern[str], folders: tuple[str, ...], instead: str) -> None:
    """No test patches, no line is exempt from coverage, nothing is put off in a comment."""
    found = [
        f"{relative(path)}:{number} {line.strip()}"
        for path in code_of(*folders)
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if pattern.search(line)
    ]
    assert not found, f"{instead}: {found}"


def test_every_check_switched_off_says_why() -> None:
    """A lint or type check switched off carries its reason, on its line or in a comment just above."""
    found = []
    for path in code_of(*CODE):
        previous = ""
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            off = SWITCHED_OFF.search(line)
            if off and not re.search(r"\w{3}", off["reason"]) and not previous.strip().startswith("#"):
                found.append(f"{relative(path)}:{number} {line.strip()}")
            previous = line
    assert not found, found
