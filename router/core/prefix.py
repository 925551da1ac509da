"""What requests begin with alike: digests of their beginnings, so that a log without texts tells what was sent before.

A request's marks stand after its tools and schema, and after each message: a digest of all that comes before, and how
many bytes that is. Two requests that share a mark begin with the same input, which a provider's prompt cache may have.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

Mark = tuple[str, int]
"""16 hex digits, and the bytes of input up to there, as compact JSON."""

_FIRST: Final = 8
_LAST: Final = 24
"""Marks that are kept: the first, which many conversations share, and the last, where one goes on."""


def prefix_of(definitions: str, messages: Iterable[Mapping[str, Any]], /) -> tuple[Mark, ...]:
    """Returns the request's marks, shortest beginning first; of more than 32, the first and the last.

    Args:
        definitions: tools and response schema as JSON text, which come before all messages; empty where there are none.
        messages: oldest first.
    """
    marks: list[Mark] = []
    digest, size = hashlib.blake2b(digest_size=8), 0
    if definitions:
        defined = definitions.encode(errors="replace")
        digest.update(defined)
        size = len(defined)
        marks.append((digest.hexdigest(), size))
    for message in messages:
        written = _written(message)
        digest.update(written)
        size += len(written)
        marks.append((digest.hexdigest(), size))
    return tuple(marks) if len(marks) <= _FIRST + _LAST else (*marks[:_FIRST], *marks[-_LAST:])


def _written(message: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(message, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # half of a surrogate pair, or what is no JSON: other parts of the router say so
        return repr(message).encode(errors="replace")
