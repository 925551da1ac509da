"""JSONL of other programs, line by line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from router.analytics.import_values import Wrong
from router.analytics.imported import Imported
from router.analytics.importing import Fault, Read


def json_lines(path: Path, read: Callable[[Mapping[str, Any]], Imported | None], /) -> Iterator[Read]:
    """Yields what is made of each line of a file; one that is no JSON object, or lacks what it needs, is a fault.

    Args:
        read: makes a request of a line's object; None where it is none. May raise `Wrong`.
    """
    size = 0
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            size += len(line)
            yield Read(number, _read(line, read) if line.strip() else None, size)


def _read(line: bytes, read: Callable[[Mapping[str, Any]], Imported | None]) -> Imported | Fault | None:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return Fault(f"is no JSON: column {error.colno}")
    if not isinstance(value, dict):
        return Fault("is no JSON object")
    try:
        return read(value)
    except Wrong as error:
        return Fault(str(error))


def table(value: Any, /) -> Mapping[str, Any]:
    """Returns a JSON object; an empty one where there is none."""
    return value if isinstance(value, dict) else {}


def word(value: Any, /) -> str | None:
    """Returns a text that is not empty; None for whatever else."""
    return value if isinstance(value, str) and value else None


def finish_reason(response: Mapping[str, Any], /) -> str | None:
    """Returns why an answer in OpenAI's form ended; None where it does not say."""
    choices = response.get("choices")
    return word(table(choices[0]).get("finish_reason")) if isinstance(choices, list) and choices else None
