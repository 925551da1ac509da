"""Whether a regular expression could run for years on a text of a few lines: `re` knows no time limit."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

MANY: Final = 16
"""Repetitions from which a counted one is as good as endless."""
ADVICE: Final = "make what varies in it possessive (`++`, `*+`, `?+`) or a group (?>...), or repeat it less"

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
    r"""Returns the first part of an expression whose repetition can take exponential time; None where there is none.

    `(a+)+b` tries every way to cut a row of a's into pieces before it knows that no b follows; so do `(aa?)+b` and
    `(a|a)+b`. What is repeated may hold no repetition, nothing optional, and no alternatives that may begin alike. Told
    by the expression's form alone, so harmless ones such as `(?:\w+,)+` are found as well; what is atomic or possessive
    is not.

    >>> runaway("x?([a-z]+ ?)*$")
    '([a-z]+ ?)*'
    >>> runaway("x?([a-z]++ ?+)*$")
    >>> runaway("(?:yes|no)+(?:cat|car)+")
    '(?:cat|car)+'
    """
    frames = [_Group()]
    last, inner = 0, False  # where the last thing that can be repeated begins, and whether it has more than one way
    for piece in _PIECE.finditer(pattern):
        group = frames[-1]
        if piece["opens"] is not None:
            group.begin(None)
            frames.append(_Group(start=piece.start(), atomic=piece["kind"] in _ATOMIC))
        elif piece["closes"] is not None and len(frames) > 1:
            closed = frames.pop()
            last, inner = closed.start, closed.ambiguous
            frames[-1].loose |= inner
        elif piece["repeats"] is not None:
            if inner and _endless(piece[0]):
                return pattern[last : piece.end()]
            group.repeat(piece[0])
        elif piece[0] == "|":
            group.branch()
        else:
            last, inner = piece.start(), False
            group.begin(piece[0])
    return None


@dataclass(slots=True, kw_only=True)
class _Group:
    """What was seen of an open group; the whole expression is one.

    Attributes:
        start: where it begins.
        atomic: whether it is never entered again once it has matched.
        loose: whether something in it can match in more than one length.
        firsts: what each of its alternatives begins with; "" where that is no single character.
        begun: whether the last alternative has begun, and `fresh` whether nothing came after its first thing.
    """

    start: int = 0
    atomic: bool = False
    loose: bool = False
    firsts: list[str] = field(default_factory=lambda: [""])
    begun: bool = False
    fresh: bool = False

    @property
    def ambiguous(self) -> bool:
        """Whether it can match one text in more than one way."""
        alike = len(self.firsts) > 1 and ("" in self.firsts or len(set(self.firsts)) < len(self.firsts))
        return (self.loose or alike) and not self.atomic

    def begin(self, atom: str | None) -> None:
        """Takes note of the next thing in it: a character or set of them; None is a group."""
        if not self.begun and atom is not None:
            self.firsts[-1] = _only(atom)
        self.fresh, self.begun = not self.begun, True

    def branch(self) -> None:
        """Begins the next alternative."""
        self.firsts.append("")
        self.begun = self.fresh = False

    def repeat(self, repeats: str) -> None:
        """Takes note that the last thing in it is repeated, or optional."""
        if self.fresh and repeats[0] in "?*{":  # it may be left out, so the alternative may begin with the next thing
            self.firsts[-1] = ""
        self.loose |= _varies(repeats)


def _only(atom: str) -> str:
    """Returns the one character that a piece stands for, in lower case; "" where it stands for several."""
    char = atom.removeprefix("\\") or atom
    plain = len(char) == 1 and (char not in ".^$" if char == atom else not char.isalnum())
    return char.lower() if plain else ""


def _varies(repeats: str) -> bool:
    """Returns whether a quantifier may match more or less, and give back what it matched."""
    if len(repeats) > 1 and repeats.endswith("+"):
        return False
    if repeats[0] != "{":
        return True
    least, comma, most = repeats.strip("{}?").partition(",")
    return bool(comma) and least != most


def _endless(repeats: str) -> bool:
    """Returns whether a quantifier may match very often, and give back what it matched."""
    if len(repeats) > 1 and repeats.endswith("+"):
        return False
    if repeats[0] != "{":
        return repeats[0] in "*+"
    most = repeats.strip("{}?").rpartition(",")[2]
    return not most or int(most) > MANY
