"""What the values of every table have in common."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Gt, Le
from pydantic import ConfigDict

DAY_S = 86_400
Seconds = Annotated[float, Gt(0), Le(DAY_S)]
"""Up to a day: more is a mistake in the unit, and infinity would bound nothing."""

STRICT = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)
"""Input is hidden since pydantic's own messages would show whatever stands in the file, keys included."""
