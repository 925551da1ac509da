"""What pydantic found wrong, in words that say where, what was found, and what is allowed."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from router.config_secrets import ADVICE, is_secret, masked
from router.config_sources import Origin, Path
from router.core.naming import allowed
from router.errors import ConfigError

SHOWN = 80
"""Characters of a value that an error shows."""

SAID = "lowfare"
"""The type of our own errors inside pydantic's: their message is final."""

ELSEWHERE = "lowfare_elsewhere"
"""The type of an error that only passes on one which is reported where it arose."""

_KEY = "[key]"
"""What pydantic puts behind a key that is wrong itself."""

BARE_KEY = re.compile(r"[A-Za-z0-9_\-]+")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: at which key, and a sentence about it."""

    path: Path
    message: str


def said(message: str) -> PydanticCustomError:
    """Returns an error for a validator to raise, whose message is shown as it stands."""
    return PydanticCustomError(SAID, "{text}", {"text": message})


def faults_of(error: ValidationError, schema: type) -> list[Fault]:
    """Returns what a validation found.

    Args:
        error: as pydantic raised it.
        schema: the class that was validated, to tell which keys there are.
    """
    return [
        Fault(tuple(part for part in details["loc"] if part != _KEY), _message(details, schema))
        for details in error.errors(include_url=False)
        if details["type"] != ELSEWHERE and not _follows(details)
    ]


def config_error(faults: Iterable[Fault], origin: Origin) -> ConfigError:
    """Returns all faults as one error, a line for each."""
    lines = dict.fromkeys(f"{origin.where(fault.path)}: {masked(_at(fault.path) + fault.message)}" for fault in faults)
    return ConfigError("\n".join(lines))


def key_path(path: Path, /) -> str:
    """Returns a path as TOML and people write it: `policies.default.tiers[1].models`."""
    out = ""
    for part in path:
        if isinstance(part, int):
            out += f"[{part}]"
        else:
            key = part if BARE_KEY.fullmatch(part) else f'"{part}"'
            out += f".{key}" if out else key
    return out


def _at(path: Path) -> str:
    return f"{key_path(path)}: " if path else ""


def _follows(details: ErrorDetails) -> bool:
    """Returns whether it only says that a list is too short because entries of it are wrong."""
    return details["type"] == "too_short" and len(details["input"]) >= details.get("ctx", {})["min_length"]


def _message(details: ErrorDetails, schema: type) -> str:
    kind, path, context = details["type"], tuple(details["loc"]), details.get("ctx", {})
    match kind:
        case "lowfare":
            return str(context["text"])
        case "value_error":
            return str(context["error"])
        case "extra_forbidden" | "unexpected_keyword_argument":
            return _unknown_key(path, schema)
        case "missing" | "missing_keyword_only_argument":
            return "is missing; it must be set"
        case "literal_error":
            choices = re.findall(r"'([^']*)'", context["expected"])
            return f"found {_found(path, details['input'])}; {allowed(str(details['input']), choices)}"
        case "too_short":
            return f"found {_found(path, details['input'])}; allowed: at least {_many(context['min_length'])}"
        case _:
            return f"found {_found(path, details['input'])}; allowed: {_allowed(kind, context, details['msg'])}"


def _unknown_key(path: Path, schema: type) -> str:
    key = str(path[-1])
    advice = f"; {ADVICE}" if is_secret(key, None) else ""
    known = _keys(_type_at(schema, path[:-1]))
    return f"is no key that lowfare knows; {allowed(key, known)}{advice}"


def _allowed(kind: str, context: Mapping[str, Any], message: str) -> str:
    for types, text in _ALLOWED:
        if kind in types:
            return text.format(**context)
    return message


_ALLOWED = (
    ({"usd_float"}, 'an amount of US dollars; write it as a string: "{found}"'),
    ({"decimal_parsing", "decimal_type"}, 'an amount of US dollars as a string, such as "0.02"'),
    ({"greater_than_equal"}, "{ge} or more"),
    ({"greater_than"}, "more than {gt}"),
    ({"less_than_equal"}, "at most {le}"),
    ({"int_type", "int_parsing", "int_from_float"}, "a whole number"),
    ({"float_type", "float_parsing"}, "a number"),
    ({"finite_number"}, "a finite number"),
    ({"bool_type", "bool_parsing"}, "true or false"),
    ({"string_type"}, "a string"),
    ({"string_too_short"}, "a string that is not empty"),
    ({"tuple_type", "list_type", "frozen_set_type", "set_type"}, "a list"),
    ({"dict_type", "mapping_type", "model_type", "model_attributes_type", "dataclass_type"}, "a table"),
)
"""What is allowed, by pydantic's names of errors; for others its own message stands."""


def _many(count: int) -> str:
    return "one entry" if count == 1 else f"{count} entries"


def _found(path: Path, value: object) -> str:
    name = next((part for part in reversed(path) if isinstance(part, str)), None)
    match value:
        case Mapping():
            return "a table" if value else "an empty table"
        case list() | tuple():
            return "a list" if value else "an empty list"
        case bool():
            return str(value).lower()
        case _ if is_secret(name, value):
            return "a value that is not shown, as it may be secret"
        case _:
            text = repr(value)
            return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _keys(annotation: object) -> tuple[str, ...]:
    """Returns the keys that a table of this type may have; none where any will do, or where it is no table."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return tuple(annotation.model_fields)
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        return tuple(field.name for field in dataclasses.fields(annotation) if field.init)
    return ()


def _type_at(schema: object, path: Path) -> object:
    """Returns the annotation of what stands at a path below `schema`; None where that leads nowhere."""
    for part in path:
        schema = _below(schema, part)
    return _plain(schema)


def _below(schema: object, part: str | int) -> object:
    schema = _plain(schema)
    if _keys(schema):
        return get_type_hints(schema, include_extras=False).get(str(part))
    arguments = [argument for argument in get_args(schema) if argument is not ...]
    return arguments[-1] if arguments else None


def _plain(annotation: object) -> object:
    """Returns an annotation without `| None`; `get_type_hints` took `Annotated` away already."""
    if get_origin(annotation) in {Union, UnionType}:
        return next((argument for argument in get_args(annotation) if argument is not type(None)), None)
    return annotation
