"""Whether a regular expression could run for years on a text of a few lines: `re` knows no time limit."""

from __future__ import annotations

import re
from typing import Final

MANY: Final = 16
"""Repetitions from which a counted one is as good as endless."""
ADVICE: Final = "make the inner repetition possessive (`++`, `*+`), or write it without the outer one"

_PIECE: Final = re.compile(
    r"""
      (?P<atom> \\. | \[\^?\]?(?:\\.|[^\]\\])*\] | [^()\\\[*+?{] | \{(?!\d*,?\d*\}) )
    | (?P<opens> \((?:\?(?P<kind>[:>=!]|<[=!]|P<\w+>|P=\w+|\#[^)]*|[a-zA-Z-]*:?))? )
    | (?P<closes> \) )
    | (?P<repeats> (?:[*+?]|\{\d*,?\d*\})[?+]? )
    """,
    re.VERBOSE | re.DOTALL,
)
_ATOMIC: Final = frozenset({">", "=", "!", "<=", "<!"})
"""Groups that are never entered again once they have matched."""


def runaway(pattern: str, /) -> str | None:
    r"""Returns the first part of an expression that repeats a repetition, which can take exponential time; else None.

    `(a+)+b` tries every way to cut a row of a's into pieces before it knows that no b follows. Told by the expression's
    form alone, so harmless ones such as `(?:\w+,)+` are found as well; what is atomic or possessive is not.

    >>> runaway("x?([a-z]+ ?)*$")
    '([a-z]+ ?)*'
    >>> runaway("x?([a-z]++ ?)*$")
    """
    frames: list[tuple[int, bool]] = []  # where each open group begins, and whether it is atomic
    repeating = [False]  # of each open group, whether anything endless is repeated in it
    last, inner = 0, False  # where the last thing that can be repeated begins, and whether it repeats something
    for piece in _PIECE.finditer(pattern):
        if piece["opens"] is not None:
            frames.append((piece.start(), piece["kind"] in _ATOMIC))
            repeating.append(False)
        elif piece["closes"] is not None and frames:
            last, atomic = frames.pop()
            inner = repeating.pop() and not atomic
            repeating[-1] |= inner
        elif piece["repeats"] is not None:
            if not _endless(piece[0]):
                continue
            if inner:
                return pattern[last : piece.end()]
            repeating[-1] = True
        else:
            last, inner = piece.start(), False
    return None


def _endless(repeats: str) -> bool:
    """Returns whether a quantifier may match very often, and give back what it matched."""
    if len(repeats) > 1 and repeats.endswith("+"):
        return False
    if repeats[0] != "{":
        return repeats[0] in "*+"
    most = repeats.strip("{}?").rpartition(",")[2]
    return not most or int(most) > MANY
