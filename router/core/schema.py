"""A pydantic model class -> the `response_format` that OpenAI's client makes of it.

The rules are those of `openai.lib._pydantic` (openai-python 2.x, `to_strict_json_schema`), which follow what
"Structured Outputs: supported schemas" asks: every object closed, every property required, no null defaults, no `$ref`
with siblings. pydantic itself is not imported: only its classes have `model_json_schema`.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from router.errors import RequestError


class StrictSchema(dict[str, Any]):
    """A class's schema as providers are asked for it, every property required.

    Attributes:
        own: what the class itself takes: an answer without a property that has a default is still one of it.
    """

    __slots__ = ("own",)

    def __init__(self, strict: Mapping[str, Any], *, own: Mapping[str, Any]) -> None:
        super().__init__(strict)
        self.own = own

    def __deepcopy__(self, memo: dict[int, Any]) -> StrictSchema:
        """Returns a copy for a client's transform to change; the class's own schema is shared, as nobody changes it."""
        return StrictSchema(deepcopy(dict(self), memo), own=self.own)


def response_format_of(value: Any) -> Any:
    """Returns `value` as a request body holds it: a mapping as it is, a pydantic model class as a strict JSON schema.

    Raises:
        RequestError: it is neither.
    """
    if isinstance(value, Mapping):
        return value
    make = getattr(value, "model_json_schema", None) if isinstance(value, type) else None
    if not isinstance(value, type) or make is None:
        raise RequestError(
            f"response_format: a value of type {type(value).__name__} is not allowed; "
            "a mapping or a pydantic model class is"
        )
    root = make()
    schema = StrictSchema(_strict(root, root), own=make())
    return {"type": "json_schema", "json_schema": {"name": value.__name__, "strict": True, "schema": schema}}


def _strict(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """Returns `schema` made strict, in place; pydantic made it for this call alone."""
    for group in ("$defs", "definitions"):
        for definition in schema.get(group, {}).values():
            _strict(definition, root)
    if schema.get("type") == "object":
        schema.setdefault("additionalProperties", False)
    if isinstance(properties := schema.get("properties"), dict):
        schema["required"] = list(properties)
        schema["properties"] = {name: _strict(item, root) for name, item in properties.items()}
    if isinstance(items := schema.get("items"), dict):
        schema["items"] = _strict(items, root)
    if isinstance(options := schema.get("anyOf"), list):
        schema["anyOf"] = [_strict(option, root) for option in options]
    if isinstance(parts := schema.get("allOf"), list):
        if len(parts) == 1:
            del schema["allOf"]
            schema.update(_strict(parts[0], root))
        else:
            schema["allOf"] = [_strict(part, root) for part in parts]
    if "default" in schema and schema["default"] is None:
        del schema["default"]
    if "$ref" in schema and len(schema) > 1:
        ref = schema.pop("$ref")
        return _strict({**_resolved(ref, root), **schema}, root)
    return schema


def _resolved(ref: str, root: dict[str, Any]) -> dict[str, Any]:
    """Returns what a reference within the same schema points at."""
    found: Any = root
    for name in ref.removeprefix("#/").split("/"):
        found = found[name]
    resolved: dict[str, Any] = found
    return resolved
