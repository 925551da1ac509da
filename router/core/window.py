"""The stretches of time that budgets are counted over.

The windows of a calendar period tile time: each instant is in exactly one, and each ends where the next one begins.

- A day begins when the zone's clock first shows its date, and lasts until it first shows a later one: 23 or 25 hours
  where the clock is changed. Weeks and months are made of such days. An hour that is shown twice around midnight
  belongs to the later day; a date that a zone left out has no window.
- An hour is an hour of time, cut at the full hours of the zone's clock. An hour that is shown twice is two windows, so
  that none is longer than an hour. Where a zone moves by part of an hour, a window ends there and is shorter.

A rolling window is the last so many seconds. It is counted in buckets, and one leaves only when all of it is outside.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final, Literal, assert_never, get_args
from zoneinfo import ZoneInfo, available_timezones

from router.core.naming import allowed

Period = Literal["hour", "day", "week", "month", "rolling", "total"]

BUCKETS: Final = 60
"""How many buckets a rolling window is counted in: what leaves it leaves at most 1/60 of its length late."""

_CALENDAR: Final = tuple(period for period in get_args(Period) if period != "rolling")
_ROLLING: Final = re.compile(r"([1-9]\d{0,5})([mhd])", re.ASCII)
_UNIT_S: Final = {"m": 60, "h": 3_600, "d": 86_400}
_LONGEST_S: Final = 366 * 86_400
_SECOND: Final = timedelta(seconds=1)
_HOUR: Final = timedelta(hours=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


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
    """One window: from its start, to before its end, in UTC. None is without end, in the past or in the future."""

    start: datetime | None
    end: datetime | None


def parse_window(text: str, /, *, time_zone: str = "UTC") -> Window:
    """Returns the window that a text names: `hour`, `day`, `week`, `month`, `total`, or rolling, as `90m`, `24h`, `7d`.

    Raises:
        ValueError: nothing is called that; says what is allowed.

    >>> parse_window("24h").rolling_s
    86400
    """
    _zone(time_zone)
    for period in _CALENDAR:
        if text == period:
            return Window(period=period, time_zone=time_zone)
    found = _ROLLING.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no window; {allowed(text, [*_CALENDAR, '90m', '24h', '7d'])}, or the like")
    rolling_s = int(found[1]) * _UNIT_S[found[2]]
    if rolling_s > _LONGEST_S:
        raise ValueError(f"{text!r} is longer than 366 days, the longest rolling window; allowed beyond: total")
    return Window(period="rolling", time_zone=time_zone, rolling_s=rolling_s)


def span(window: Window, at: datetime, /) -> Span:
    """Returns the window that an instant is in; that of a rolling window is all time, as it has no edges.

    Args:
        window: as `parse_window` returns it.
        at: with a time zone, any.

    Raises:
        ValueError: the zone is not known here.
    """
    match window.period:
        case "rolling" | "total":
            return Span(start=None, end=None)
        case "hour":
            return _hour(_zone(window.time_zone), at.astimezone(UTC))
        case "day" | "week" | "month":
            return _days(window.period, _zone(window.time_zone), at.astimezone(UTC))
        case never:
            assert_never(never)


def bucket_s(rolling_s: int, /) -> int:
    """Returns how long a bucket of a rolling window is, in whole seconds."""
    return -(-rolling_s // BUCKETS)


def unix_s(instant: datetime | None, /) -> int | None:
    """Returns an instant in seconds since 1970; edges of windows are whole seconds. None stays None."""
    return None if instant is None else (instant - _EPOCH) // _SECOND


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # not found, not a name, or the name of a folder
        near = allowed(name, available_timezones()).rpartition(" (did you")
        hint = f" (did you{near[2]}" if near[1] else ""
        raise ValueError(f"{name!r} is no time zone{hint}; allowed: IANA names, as 'Europe/Berlin' or 'UTC'") from None


def _days(period: Literal["day", "week", "month"], zone: ZoneInfo, at: datetime) -> Span:
    """Returns the span of whole days that an instant is in."""
    first = _first(period, at.astimezone(zone).date())
    start, following = _began(zone, first), _next(period, first)
    end = _began(zone, following)
    while end <= at:  # the clock has shown a later date already, and was set back
        start, following = end, _next(period, following)
        end = _began(zone, following)
    return Span(start=start, end=end)


def _first(period: Literal["day", "week", "month"], day: date) -> date:
    match period:
        case "day":
            return day
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
        case never:
            assert_never(never)


def _next(period: Literal["day", "week", "month"], first: date) -> date:
    match period:
        case "day":
            return first + timedelta(days=1)
        case "week":
            return first + timedelta(days=7)
        case "month":
            return (first + timedelta(days=31)).replace(day=1)
        case never:
            assert_never(never)


@lru_cache(maxsize=256)
def _began(zone: ZoneInfo, day: date) -> datetime:
    """Returns the first instant at which the zone's clock shows the date, or a later one."""
    midnight = datetime.combine(day, time(), tzinfo=zone)
    began = midnight.astimezone(UTC)
    if _shown(zone, began) == midnight.replace(tzinfo=None):
        return began
    # The clock passed over midnight: so the date began when it was set, which is found by halves.
    return _changed(zone, midnight.replace(fold=1).astimezone(UTC), began)


def _hour(zone: ZoneInfo, at: datetime) -> Span:
    """Returns the hour that an instant is in."""
    shown = _shown(zone, at)
    start = at - timedelta(minutes=shown.minute, seconds=shown.second, microseconds=shown.microsecond)
    end = start + _HOUR
    # Where the zone is moved by whole hours, its full hours stay where they are.
    if (_moved(zone, at) - _moved(zone, start)) % _HOUR:
        start = _changed(zone, start, at)
    last = end - _SECOND
    if (_moved(zone, last) - _moved(zone, at)) % _HOUR:
        end = _changed(zone, at.replace(microsecond=0), last)
    return Span(start=start, end=end)


def _changed(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """Returns when the zone's clock was set, between two instants; to the second, as all are."""
    old, low, high = _moved(zone, before), 0, -(-(after - before) // _SECOND)
    before = before.replace(microsecond=0)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _moved(zone, before + middle * _SECOND) == old else (low, middle)
    return before + high * _SECOND


def _shown(zone: ZoneInfo, at: datetime) -> datetime:
    return at.astimezone(zone).replace(tzinfo=None)


def _moved(zone: ZoneInfo, at: datetime) -> timedelta:
    """Returns what the zone's clock is ahead of UTC."""
    return at.astimezone(zone).utcoffset() or timedelta()
