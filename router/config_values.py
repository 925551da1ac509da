"""What the values of every table have in common."""

from __future__ import annotations

import json
from typing import Annotated, Any

from annotated_types import Gt, Le
from pydantic import BaseModel, BeforeValidator, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticKnownError, core_schema


class Spelt(str):
    """The text of an environment variable, in which a number has no other form; in a file it has."""

    __slots__ = ()


def read_spelt(value: Any) -> Any:
    """Returns an option of somebody's class; what an environment variable says, as JSON says it, or else as text."""
    if not isinstance(value, Spelt):
        return value
    try:
        return json.loads(value.lower() if value.lower() in ("true", "false") else value)
    except ValueError:
        return str(value)


def _as_whole(value: Any) -> Any:
    return _no_number(value, "int_type")


def _as_real(value: Any) -> Any:
    return _no_number(value, "float_type")


def _no_number(value: Any, fault: Any) -> Any:
    """Refuses what pydantic would read as a number: `true` as 1, and a string that may be meant as one."""
    if isinstance(value, bool) or (isinstance(value, str) and not isinstance(value, Spelt)):
        raise PydanticKnownError(fault)
    return value


Whole = Annotated[int, BeforeValidator(_as_whole)]
Real = Annotated[float, BeforeValidator(_as_real)]

DAY_S = 86_400
Seconds = Annotated[Real, Gt(0), Le(DAY_S)]
"""Up to a day: more is a mistake in the unit, and infinity would bound nothing."""

STRICT = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)
"""Input is hidden since pydantic's own messages would show whatever stands in the file, keys included."""


def with_flags(schema: Any, /) -> Any:
    """Returns a schema of pydantic's whose booleans are not read out of words or numbers, as "yes" or 1.

    Only the environment has no other form: there pydantic's words are taken.
    """
    match schema:
        case {"type": "bool"}:
            return core_schema.no_info_before_validator_function(_as_flag, core_schema.bool_schema())
        case {"type": "function-before", "function": {"function": known}} if known is _as_flag:
            return schema
        case dict():
            return {name: value if name in _OPAQUE else with_flags(value) for name, value in schema.items()}
        case list() | tuple():
            return type(schema)(with_flags(value) for value in schema)
        case _:
            return schema


_OPAQUE = frozenset({"metadata", "default", "cls", "config", "serialization"})
"""Parts of a schema that hold no schema to validate by."""


def _as_flag(value: Any) -> Any:
    if not isinstance(value, bool | Spelt):
        raise PydanticKnownError("bool_type")
    return value


class Table(BaseModel):
    """A table, as all are: nothing in it changes, no key is passed over, and no word stands for true or false."""

    model_config = STRICT

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Returns the schema that pydantic makes of the class, with booleans that take nothing else."""
        schema = handler(source)
        whole: Any = handler.resolve_ref_schema(schema)
        whole.update(with_flags(whole))
        return schema
