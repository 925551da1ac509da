"""Where in a TOML file a key, a table or an entry of a list stands: paths -> numbers of lines.

`tomllib` forgets places. This scans a text that `tomllib` has read already, so it takes for granted that the text is
TOML, and only follows keys, brackets and strings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

Path = tuple[str | int, ...]

_STRING: Final = re.compile(
    r"""
      \"{3} (?: [^\\] | \\. )*? \"{3,5}
    | '{3} .*? '{3,5}
    | \"  (?: [^\"\\\n] | \\. )* \"
    | '   [^'\n]* '
    """,
    re.DOTALL | re.VERBOSE,
)
_SKIPPED: Final = re.compile(r"(?:[\s,]|#[^\n]*)*")
_BARE: Final = re.compile(r"[A-Za-z0-9_\-]+")
_SCALAR: Final = re.compile(r"[^\s,\]}#][^,\]}#\n]*")
_ESCAPES: Final = re.compile(r'\\(["\\])')


def lines_of(text: str, /) -> Mapping[Path, int]:
    """Returns the line, counted from 1, of every table, key and entry of a list.

    A table that is written in several places stands where it came first. A text that cannot be followed gives the lines
    up to there.
    """
    scan = _Scan(text)
    try:
        scan.document()
    except IndexError:
        return scan.lines
    return scan.lines


def line_of(lines: Mapping[Path, int], path: Path, /) -> int | None:
    """Returns the line of what stands at a path, or else of the nearest table around it; None where nothing does."""
    return next((lines[path[:length]] for length in range(len(path), 0, -1) if path[:length] in lines), None)


@dataclass(slots=True)
class _Scan:
    text: str
    at: int = 0
    lines: dict[Path, int] = field(default_factory=dict)
    counts: dict[Path, int] = field(default_factory=dict)
    counted: tuple[int, int] = (0, 1)

    def document(self) -> None:
        table: Path = ()
        while not self.ends():
            start = self.at
            if self.text[self.at] == "[":
                table = self.header()
                self.note(table, start)
            else:
                self.pair(table)

    def ends(self) -> bool:
        self.skip()
        return self.at >= len(self.text)

    def skip(self) -> None:
        found = _SKIPPED.match(self.text, self.at)
        self.at = found.end() if found else self.at

    def note(self, path: Path, start: int) -> None:
        """Notes the line of a place; places come in the order of the text."""
        before, line = self.counted
        line += self.text.count("\n", before, start)
        self.counted = (start, line)
        for length in range(1, len(path) + 1):
            self.lines.setdefault(path[:length], line)

    def header(self) -> Path:
        double = self.text.startswith("[[", self.at)
        self.at += 1 + double
        keys = self.key()
        self.at += 1 + double
        path: Path = ()
        for place, key in enumerate(keys):
            path = (*path, key)
            last = place == len(keys) - 1
            if double and last:
                self.counts[path] = self.counts.get(path, -1) + 1
            if path in self.counts:
                path = (*path, self.counts[path])
        return path

    def pair(self, table: Path) -> None:
        start = self.at
        path = (*table, *self.key())
        self.note(path, start)
        self.at += 1  # the sign of equality
        self.skip()
        self.value(path)

    def key(self) -> list[str]:
        parts: list[str] = []
        while True:
            self.blanks()
            parts.append(self.name())
            self.blanks()
            if self.text[self.at] != ".":
                return parts
            self.at += 1

    def blanks(self) -> None:
        while self.text[self.at] in " \t":
            self.at += 1

    def name(self) -> str:
        quote = self.text[self.at]
        if quote not in "\"'":
            return self.take(_BARE)
        inner = self.take(_STRING)[1:-1]
        return inner if quote == "'" else _ESCAPES.sub(r"\1", inner)

    def take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.at)
        if found is None:
            raise IndexError(self.at)
        self.at = found.end()
        return found[0]

    def value(self, path: Path) -> None:
        opening = self.text[self.at]
        if opening == "[":
            self.at += 1
            index = 0
            while self.more("]"):
                self.note((*path, index), self.at)
                self.value((*path, index))
                index += 1
        elif opening == "{":
            self.at += 1
            while self.more("}"):
                self.pair(path)
        else:
            self.take(_STRING if opening in "\"'" else _SCALAR)

    def more(self, closing: str) -> bool:
        """Returns whether a list or an inline table goes on; steps over its end where it does not."""
        self.skip()
        if self.text[self.at] == closing:
            self.at += 1
            return False
        return True
