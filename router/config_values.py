"""What the values of every table have in common."""

from __future__ import annotations

import json
from typing import Annotated, Any

from annotated_types import Gt, Le
from pydantic import BeforeValidator, ConfigDict
from pydantic_core import PydanticKnownError


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
