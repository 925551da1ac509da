"""What to say of a name that nobody knows: what is allowed, and which of that was probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def allowed(found: str, names: Iterable[str], /, *, none: str = "there is none") -> str:
    """Returns what is allowed in place of `found`, and the likeliest spelling, as the end of an error message.

    Args:
        found: what was written.
        names: what is allowed.
        none: what to say where nothing is.
    """
    known = sorted(names)
    if not known:
        return none
    by_spelling = {name.lower().replace("-", "_"): name for name in reversed(known)}
    plain = found.lower().replace("-", "_")
    near = get_close_matches(plain, by_spelling, n=1, cutoff=0.6) or [
        n for n in by_spelling if len(plain) > 2 and plain in n
    ]
    hint = f" (did you mean {by_spelling[near[0]]!r}?)" if near else ""
    return f"allowed: {', '.join(known)}{hint}"
