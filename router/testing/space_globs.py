"""Texts that stand for all texts, as far as some patterns with `*`, `?` and `[...]` can tell them apart.

Two texts that match the same patterns are the same to whatever only asks whether they match. So one text for each set
of patterns that can be matched together is enough, and the shortest is shown. Sets are found by walking all patterns
at once, as automata do: exactly those that some text matches.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Final

STATES_MOST: Final = 2_000
"""Places in the walk above which patterns are too entangled to be told apart."""
_READABLE: Final = ("other", "another")
"""Tried first where nothing is to match."""
_BEYOND: Final = "xqz0~\u00a4"
"""Signs for "any other character": the first that no pattern has."""

Token = str | None
"""A part of a pattern that takes one character, as a pattern itself; None takes any text (`*`)."""


class TooEntangled(ValueError):
    """Patterns whose combinations are too many to be listed."""


def witnesses(patterns: Iterable[str], /, *, empty: bool = True) -> tuple[str, ...]:
    """Returns one text for each set of patterns that some text matches all of, and no others; plain ones first.

    Args:
        patterns: as `fnmatch.fnmatchcase` reads them.
        empty: whether the empty text is one.

    Raises:
        TooEntangled: there are too many.
    """
    every = sorted(set(patterns))
    plain = [p for p in every if not _wild(p) and (p or empty)]
    wild = [p for p in every if _wild(p)]
    found: dict[tuple[bool, ...], str] = {}
    beyond = next(sign for sign in (*_BEYOND, chr(0x10FFFF)) if not any(sign in p for p in every))
    taken = set(plain)
    for text in _READABLE:
        if text not in taken and not any(fnmatchcase(text, p) for p in wild):
            found.setdefault(tuple(False for _ in wild), text)
    for text in _walk([_tokens(p) for p in wild], _signs(wild, beyond), len(plain) + 1 + (not empty)):
        if text not in taken and (text or empty):
            found.setdefault(tuple(fnmatchcase(text, p) for p in wild), text)
    return (*plain, *found.values())


def _walk(patterns: Sequence[tuple[Token, ...]], signs: Sequence[str], visits: int) -> Iterator[str]:
    """Yields texts, shortest first, that reach every combination of places in the patterns `visits` times.

    Several times, since the texts that reach it first may be spoken for.
    """
    start = tuple(_closed(frozenset((0,)), tokens) for tokens in patterns)
    seen = {start: 1}
    queue = deque([(start, "")])
    while queue:
        places, text = queue.popleft()
        yield text
        for sign in signs:
            after = tuple(_step(place, tokens, sign) for place, tokens in zip(places, patterns, strict=True))
            if seen.get(after, 0) < visits:
                seen[after] = seen.get(after, 0) + 1
                queue.append((after, text + sign))
        if len(seen) > STATES_MOST:
            raise TooEntangled(f"patterns can be matched together in more than {STATES_MOST} ways")


def _step(places: frozenset[int], tokens: tuple[Token, ...], sign: str) -> frozenset[int]:
    after = {place for place in places if place < len(tokens) and tokens[place] is None}
    after |= {
        place + 1
        for place in places
        if place < len(tokens) and (token := tokens[place]) is not None and fnmatchcase(sign, token)
    }
    return _closed(frozenset(after), tokens)


def _closed(places: frozenset[int], tokens: tuple[Token, ...]) -> frozenset[int]:
    """Returns the places with those that are reached from them without a character."""
    more = set(places)
    for place in sorted(places):
        here = place
        while here < len(tokens) and tokens[here] is None:
            here += 1
            more.add(here)
    return frozenset(more)


def _tokens(pattern: str) -> tuple[Token, ...]:
    """Returns the parts of a pattern, cut as `fnmatch` cuts them."""
    parts: list[Token] = []
    at = 0
    while at < len(pattern):
        sign, end = pattern[at], at + 1
        if sign == "[":
            close = at + 1 + pattern.startswith("!", at + 1)
            close = pattern.find("]", close + pattern.startswith("]", close))
            if close >= 0:
                end = close + 1
        parts.append(None if sign == "*" else pattern[at:end])
        at = end
    return tuple(parts)


def _signs(patterns: Iterable[str], beyond: str) -> tuple[str, ...]:
    """Returns characters that stand for all: those of the patterns, their neighbours in ranges, and one other."""
    signs = {beyond}
    for pattern in patterns:
        for part in _tokens(pattern):
            if part is None or part == "?":
                continue
            inner = part[1:-1] if len(part) > 1 else part
            signs |= set(inner)
            if "-" in inner:
                signs |= {chr(ord(sign) + step) for sign in inner for step in (-1, 1) if 0 < ord(sign) < 0x10FFFF}
    return tuple(sorted(signs))


def _wild(pattern: str) -> bool:
    return any(sign in pattern for sign in "*?[")
