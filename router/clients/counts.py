"""Reading counts and names in what providers send: any of it may be missing, null, of another type, or none at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

COUNT_MOST: Final = 1_000_000_000
"""Tokens; a hundred times the largest context window there is."""


def table_at(value: Mapping[str, Any], name: str, /) -> Mapping[str, Any]:
    """Returns the object under a name; an empty one where there is none."""
    inner = value.get(name)
    return inner if isinstance(inner, Mapping) else {}


def text_or_none(value: object, /) -> str | None:
    """Returns a string that is not empty, or None."""
    return value if isinstance(value, str) and value else None


def count_at(value: Mapping[str, Any], name: str, /) -> int:
    """Returns the count under a name; 0 where the provider leaves it out, or sends what is none."""
    return sound_count(value.get(name)) or 0


def is_number(value: object, /) -> bool:
    """Returns whether a value is a number, be it infinite."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def sound_count(value: object, /) -> int | None:
    """Returns a count; None of what is none: no number, negative, infinite, or more than there could be."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    # Compared before it is converted: `isfinite` and `int` fail on some of what JSON can hold.
    return int(value) if 0 <= value <= COUNT_MOST else None


def believable(*totals: object) -> bool:
    """Returns whether a usage may be believed: no total is a number that counts nothing. What is missing is no lie."""
    return not any(is_number(total) and sound_count(total) is None for total in totals)
