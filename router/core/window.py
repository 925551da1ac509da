"""The stretches of time that budgets are counted over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Period = Literal["hour", "day", "week", "month", "rolling", "total"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """How a budget divides time.

    Attributes:
        period: a calendar period of `time_zone`, the last `rolling_s` seconds, or all time.
        time_zone: an IANA name; weeks begin on Monday.
        rolling_s: how long a rolling window is, in seconds.
    """

    period: Period
    time_zone: str = "UTC"
    rolling_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One window: from its start, to before its end. None is without end, in the past or in the future."""

    start: datetime | None
    end: datetime | None
