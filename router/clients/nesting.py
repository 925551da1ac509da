"""How deeply a provider's JSON may be nested: what is deeper cannot be written again, nor walked by recursion."""

from __future__ import annotations

from typing import Any, Final

DEPTH_MOST: Final = 200
"""Levels, as of requests; orjson writes no more than 254, and Python's recursion ends at some hundreds."""


def too_deep(value: Any, text: bytes | str, /) -> bool:
    """Returns whether parsed JSON is nested deeper than `DEPTH_MOST`.

    Args:
        value: as parsed.
        text: what it was parsed from; one that opens few brackets and braces spares the walk.
    """
    opened = text.count("{") + text.count("[") if isinstance(text, str) else text.count(b"{") + text.count(b"[")
    if opened <= DEPTH_MOST or not isinstance(value, (dict, list)):
        return False
    level = [value]
    for _ in range(DEPTH_MOST):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True
