"""Tables as TOML, in the form in which people write configurations."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

_BARE: Final = re.compile(r"[A-Za-z0-9_\-]+")
_ESCAPED: Final = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
_DEPTH: Final = 2
"""Levels of tables with a heading of their own, as in `[models.small]`; what is deeper stands on its key's line."""


def as_toml(tables: Mapping[str, Any], /) -> str:
    """Returns a document that `tomllib` reads as these tables; a value of None is left out, an amount is a string."""
    return "\n".join(_lines(tables, ())).lstrip("\n") + "\n"


def _lines(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    inner = {name: value for name, value in table.items() if isinstance(value, Mapping) and len(path) < _DEPTH}
    plain = {name: value for name, value in table.items() if name not in inner and value is not None}
    if path and (plain or not inner):
        yield ""
        yield f"[{'.'.join(map(_key, path))}]"
    for name, value in plain.items():
        yield f"{_key(name)} = {_value(value)}"
    for name, value in inner.items():
        yield from _lines(value, (*path, name))


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _text(value)
        case Decimal():
            return _text(f"{value:f}")
        case float() if not math.isfinite(value):
            return "nan" if math.isnan(value) else f"{'-' if value < 0 else ''}inf"
        case int() | float():
            return repr(value)
        case Mapping():
            inside = ", ".join(f"{_key(name)} = {_value(item)}" for name, item in value.items() if item is not None)
            return f"{{ {inside} }}" if inside else "{}"
        case frozenset():
            return _value(sorted(value))
        case list() | tuple():
            return f"[{', '.join(map(_value, value))}]"
        case _:
            raise TypeError(f"{type(value).__name__} has no form in TOML")


def _text(value: str) -> str:
    escaped = (
        _ESCAPED.get(sign) or (sign if sign >= " " and sign != "\x7f" else f"\\u{ord(sign):04x}") for sign in value
    )
    return f'"{"".join(escaped)}"'
