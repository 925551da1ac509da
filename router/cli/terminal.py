"""What the commands print with: two consoles, and the spelling of money, tokens and time.

The answer of a command goes to stdout and everything about it (progress, errors, warnings) to stderr, so that a pipe
gets what was asked for and nothing else. Rich leaves colours away where there is no terminal, or NO_COLOR is set.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from io import TextIOWrapper
from typing import Any, TextIO

import orjson
from rich.console import Console
from rich.text import Text

from router.analytics import spelling


class _Plain(Console):
    """A console that prints text as it stands, brackets and numbers included."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, highlight=False, emoji=False)

    def on_broken_pipe(self) -> None:
        """Leaves the exit code to `router.cli.ending`; rich's own would be 1."""
        raise BrokenPipeError


def out() -> Console:
    """Returns the console of stdout."""
    return _Plain()


def err() -> Console:
    """Returns the console of stderr."""
    return _Plain(stderr=True)


def tolerate_encoding(*streams: TextIO) -> None:
    """Lets streams that cannot encode a character print `?` in its place instead of failing."""
    for stream in streams:
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def print_json(value: Any) -> None:
    """Prints one JSON value on one line of stdout, for programs."""
    sys.stdout.write(orjson.dumps(value, default=str).decode() + "\n")
    sys.stdout.flush()


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Shows on stderr that something is under way; nothing where stderr is no terminal."""
    console = err()
    if not console.is_terminal:
        yield
        return
    with console.status(Text(what)):
        yield


def shown(text: str) -> str:
    """Returns text from elsewhere without the control characters that would drive the terminal.

    A model's answer, a provider's error message and a log line may hold escape sequences; a pipe gets them unchanged, a
    person's terminal does not.
    """
    return "".join(c if c in "\n\t" or c.isprintable() else "" if c == "\r" else "\ufffd" for c in text)


def dollars(amount: Decimal | str | None, *, exact: bool = False) -> str:
    """Returns an amount as people write it: "$0.000123"; "unknown" where it is None.

    Unless it is to be `exact`, it is rounded to three significant digits or to the cent, whichever is finer; so an
    amount that is not zero is never shown as zero.
    """
    return "unknown" if amount is None else spelling.dollars(Decimal(amount), exact=exact)


def times(part: Decimal | None, whole: Decimal | None) -> str:
    """Returns how `whole` compares with `part`: "12 times as much", "27 % as much"; empty where that says nothing."""
    if not part or not whole:
        return ""
    ratio = whole / part
    if ratio < 1:
        return f"{100 * ratio:.0f} % as much"
    return f"{ratio:,.0f} times as much" if ratio >= 10 else f"{ratio:.1f} times as much"


def seconds(duration: float | None) -> str:
    """Returns a duration: "312 ms", "4.20 s"."""
    if duration is None:
        return "-"
    return f"{duration * 1000:.0f} ms" if duration < 1 else f"{duration:,.2f} s"


def tokens(count: int | None) -> str:
    """Returns a number of tokens: "1,047,576"; "unknown" where it is None."""
    return "unknown" if count is None else f"{count:,}"
