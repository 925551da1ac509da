"""Values of other programs' logs -> ours: times, units, counts, money. Each says what it takes where it takes not."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ABSOLUTE_S: Final = 1e9
"""Seconds since 1970 in 2001; times below are counted from the beginning of a trace."""
_MOST_S: Final = 1e11
_TOKENS_MOST: Final = 10**12


class Wrong(ValueError):
    """A value that is not what its field takes; the message says which, and what is allowed."""


def moment(name: str, value: Any, start: datetime | None, /) -> datetime | None:
    """Returns a time: an ISO date, a number of seconds since 1970, or, with `start`, since then.

    A number is milliseconds where `name` ends in "_ms".

    Raises:
        Wrong: it is none of these, or it is counted from a start that is not given.
    """
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        return _aware(value)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    try:
        seconds = float(value) / (1e3 if name.endswith("_ms") else 1e6 if name.endswith("_us") else 1)
    except (TypeError, ValueError):
        return _written(name, value)
    if not math.isfinite(seconds) or abs(seconds) > _MOST_S:
        raise Wrong(f"{name}: {value!r} is no time; seconds or, in a column ..._ms, milliseconds are")
    if start is not None:
        try:
            return start + timedelta(seconds=seconds)
        except OverflowError:
            raise Wrong(f"{name}: {value!r} is after the year 9999, or before the year 1") from None
    if seconds < _ABSOLUTE_S:
        raise Wrong(f"{name}: {value!r} is counted from the start of the trace; say when that was: --start TIME")
    return _EPOCH + timedelta(seconds=seconds)


def _written(name: str, value: Any) -> datetime:
    try:
        return _aware(datetime.fromisoformat(str(value)))
    except (ValueError, OverflowError):  # a zone may take a date out of all years
        raise Wrong(f"{name}: is no time; an ISO date (2026-11-01T12:00:00Z) or a number is") from None


def _aware(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def duration_s(name: str, value: Any, /) -> float | None:
    """Returns seconds; the column's name may end in "_ms".

    Raises:
        Wrong: it is no duration.
    """
    if value is None or value == "":
        return None
    try:
        seconds = float(value) / (1e3 if name.endswith("_ms") else 1)
    except (TypeError, ValueError):
        seconds = math.nan
    if not 0 <= seconds < _MOST_S:
        raise Wrong(f"{name}: is no duration; a number from 0 up is")
    return seconds


def count(name: str, value: Any, /) -> int | None:
    """Returns a number of tokens.

    Raises:
        Wrong: it is no whole number from 0 up.
    """
    if value is None or value == "":
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not 0 <= number <= _TOKENS_MOST or number != int(number):
        raise Wrong(f"{name}: is no count of tokens; a whole number from 0 up is")
    return int(number)


def money(name: str, value: Any, /) -> Decimal | None:
    """Returns dollars, exactly as they are written; of a binary fraction, the 15 digits that are sure.

    Raises:
        Wrong: it is no amount.
    """
    if value is None or value == "":
        return None
    try:
        amount = Decimal(f"{value:.15g}" if isinstance(value, float) else str(value))
    except InvalidOperation:
        amount = Decimal("NaN")
    if isinstance(value, bool) or not amount.is_finite() or amount < 0:
        raise Wrong(f"{name}: is no amount of dollars; a number from 0 up is")
    return amount


def text(value: Any, /) -> str | None:
    """Returns a text; None where there is none."""
    return None if value is None or value == "" else str(value)
