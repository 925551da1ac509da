from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.config_lines import line_of, lines_of

EXAMPLE = Path(__file__).parents[1] / "config.example.toml"

TRICKY = '''# a comment with [brackets] and "quotes"
title = "a = b # no comment"
"quoted key" = 1
a.b.c = 1
a.'x.y' = """
[not.a.table]
\\""" and = 1
"""
raw = \'\'\'
[[neither]]
\'\'\'
when = 1979-05-27 07:32:00
list = [
  1, # one
  [2, 3],
  { x = 1, y = [ { z = "]" } ] },
]

[ one . two ]
key = true
[[many]]
first = 1
[many.inner]
x = 2
[[many.deep]]
[[many.deep]]
y = 3
[[many]]
second = { a.b = 1 }
'''


def paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yields the path of everything in some tables."""
    if path:
        yield path
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in below:
        yield from paths(inner, (*path, key))


@pytest.mark.parametrize("text", [TRICKY, EXAMPLE.read_text()], ids=["tricky", "example"])
def test_everything_has_a_line(text: str) -> None:
    """Every key, table and entry that tomllib reads has a line, and nothing else has."""
    assert set(lines_of(text)) == set(paths(tomllib.loads(text)))


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("title",), "title ="),
        (("quoted key",), '"quoted key"'),
        (("a", "b", "c"), "a.b.c"),
        (("a", "x.y"), "a.'x.y'"),
        (("list", 0), "  1, # one"),
        (("list", 1, 1), "  [2, 3]"),
        (("list", 2, "y", 0, "z"), "  { x = 1"),
        (("one", "two", "key"), "key = true"),
        (("many", 0, "inner", "x"), "x = 2"),
        (("many", 0, "deep", 1, "y"), "y = 3"),
        (("many", 1, "second", "a", "b"), "second ="),
    ],
)
def test_a_line(path: tuple[str | int, ...], line: str) -> None:
    """What stands at a path stands on that line."""
    assert TRICKY.splitlines()[lines_of(TRICKY)[path] - 1].startswith(line)


def test_what_is_not_written_stands_where_its_table_does() -> None:
    """A default has the line of the nearest table around it; what is in no table has none."""
    lines = lines_of(TRICKY)
    assert line_of(lines, ("many", 1, "third")) == lines["many", 1]
    assert line_of(lines, ("none", "here")) is None


@given(st.text(alphabet="ab =.[]{}\"'#\n,1\\"))
def test_no_text_breaks_it(text: str) -> None:
    """A text that is no TOML gives some lines, and no error."""
    assert all(line >= 1 for line in lines_of(text).values())
