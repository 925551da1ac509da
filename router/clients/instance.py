"""A JSON schema -> a small value that satisfies it, for answers that are made up."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

_DEEP: Final = 6
"""Levels from which on the shallowest way is taken: null, an empty list, only what is required."""
_DEEPEST: Final = 40
_FORMATS: Final = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "duration": "P1D",
    "email": "simulated@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_FOR_PATTERNS: Final = ("simulated", "Simulated", "SIMULATED", "a", "A", "0", "1", "00", "AA", "aa", "a0", "A0", "a-0")


def instance_of(schema: Any, *, text: str = "simulated") -> Any:
    """Returns a value for a schema; strings are `text` where the schema leaves the choice.

    Only what models are asked for is known: types, properties, items, enums, bounds, formats, alternatives, references
    within the schema. A regular expression gets one of a few short strings, where one of them matches.
    """
    return _value(schema, schema, text, 0)


def _value(schema: Any, root: Any, text: str, depth: int) -> Any:
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return None
    if isinstance(ref := schema.get("$ref"), str):
        return _value(
            {**_resolved(ref, root), **{k: v for k, v in schema.items() if k != "$ref"}}, root, text, depth + 1
        )
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    if parts := schema.get("allOf"):
        return _value(_merged(schema, parts, root), root, text, depth + 1)
    for name in ("anyOf", "oneOf"):
        if options := schema.get(name):
            rest = {k: v for k, v in schema.items() if k != name}
            return _value({**rest, **_resolve(_choice(options, depth), root)}, root, text, depth + 1)
    return _of_type(_type(schema, depth), schema, root, text, depth)


def _of_type(name: Any, schema: Mapping[str, Any], root: Any, text: str, depth: int) -> Any:
    match name:
        case "object":
            return _object(schema, root, text, depth)
        case "array":
            return _array(schema, root, text, depth)
        case "integer":
            return int(_number(schema, 1))
        case "number":
            return _number(schema, 0)
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return _string(schema, text)


def _resolved(ref: str, root: Any) -> Mapping[str, Any]:
    found = root
    for name in ref.removeprefix("#").strip("/").split("/"):
        if name and isinstance(found, Mapping):
            found = found.get(name.replace("~1", "/").replace("~0", "~"))
    return found if isinstance(found, Mapping) else {}


def _resolve(schema: Any, root: Any) -> Mapping[str, Any]:
    if not isinstance(schema, Mapping):
        return {}
    ref = schema.get("$ref")
    return {**_resolved(ref, root), **{k: v for k, v in schema.items() if k != "$ref"}} if ref else schema


def _merged(schema: Mapping[str, Any], parts: list[Any], root: Any) -> dict[str, Any]:
    """Returns one schema for all of `parts`, as far as they only add properties and bounds."""
    merged: dict[str, Any] = {name: value for name, value in schema.items() if name != "allOf"}
    for part in parts:
        for name, value in _resolve(part, root).items():
            match name, merged.get(name):
                case "properties", dict(known):
                    merged[name] = {**known, **value}
                case "required", list(known):
                    merged[name] = [*known, *value]
                case _:
                    merged[name] = value
    return merged


def _choice(options: list[Any], depth: int) -> Any:
    """Returns the first alternative; deep down null, or else one that needs no other schema."""
    if depth < _DEEP:
        return options[0]
    shallow = [o for o in options if isinstance(o, Mapping) and (o.get("type") == "null" or "$ref" not in o)]
    return next((o for o in shallow if o.get("type") == "null"), next(iter(shallow), options[0]))


def _type(schema: Mapping[str, Any], depth: int) -> Any:
    found = schema.get("type")
    if isinstance(found, list):
        return "null" if depth >= _DEEP and "null" in found else next((t for t in found if t != "null"), "null")
    if found is None:
        return "object" if "properties" in schema else "array" if "items" in schema else "string"
    return found


def _object(schema: Mapping[str, Any], root: Any, text: str, depth: int) -> dict[str, Any]:
    properties = schema.get("properties") or {}
    required = schema.get("required") or []
    names = dict.fromkeys([*required, *(properties if depth < _DEEP and not required else ())])
    return {name: _value(properties.get(name, {"type": "string"}), root, text, depth + 1) for name in names}


def _array(schema: Mapping[str, Any], root: Any, text: str, depth: int) -> list[Any]:
    least = schema.get("minItems", 0)
    number = max(least, 1) if depth < _DEEP and schema.get("maxItems", 1) else least
    leading = schema.get("prefixItems") or []
    item = schema.get("items", {"type": "string"})
    schemas = [*leading, *[item] * (number - len(leading))]
    values = [_value(each, root, text, depth + 1) for each in schemas]
    if schema.get("uniqueItems"):
        values = [_other(value, i) for i, value in enumerate(values)]
    return values


def _other(value: Any, i: int) -> Any:
    """Returns a value that differs from the same one at another place, as far as its type allows."""
    match value:
        case str() if i:
            return f"{value} {i}"
        case bool():
            return i == 0
        case int() | float():
            return value + i
        case _:
            return value


def _number(schema: Mapping[str, Any], least_step: int) -> Any:
    """Returns the number nearest to the lower bound, else to the upper one, that is a multiple of the step."""
    step = schema.get("multipleOf") or least_step or 1
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    start = max((n for n in (low, above) if n is not None), default=None)
    end = min((n for n in (high, below) if n is not None), default=None)
    if start is not None:
        value = math.ceil(start / step) * step
        return value + step if value == above else value
    if end is not None and end <= step:
        value = math.floor(end / step) * step
        return value - step if value == below else value
    return step


def _string(schema: Mapping[str, Any], text: str) -> str:
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    pattern = schema.get("pattern")
    candidates = (text, *_FOR_PATTERNS) if pattern else (_FORMATS.get(schema.get("format", ""), text),)
    for candidate in candidates:
        padded = candidate.ljust(least, "x")[:most]
        if not pattern or re.search(pattern, padded):
            return padded
    return candidates[0].ljust(least, "x")[:most]
