"""Where an axis has its marks, and what stands beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from itertools import count
from typing import Final

from router.analytics import spelling
from router.analytics.spelling import EXACT
from router.analytics.tables import Unit

_NICE: Final = (Decimal(1), Decimal(2), Decimal(5))

_DURATIONS_S: Final = (
    *(Decimal(text) for text in ("0.001", "0.01", "0.1", "1", "5", "10", "30", "60", "300", "900")),
    *(Decimal(hours * 3600) for hours in (1, 3, 6, 12)),
    *(Decimal(days * 86400) for days in (1, 3, 7, 14, 30, 90, 365, 1000, 3650, 10000)),
)
"""Lengths of time that people name, for a logarithmic axis."""

_HOURS: Final = (1, 3, 6, 12)
_DAYS: Final = (1, 2, 7, 14)
_MONTHS: Final = (1, 3, 6)
_YEARS: Final = tuple(12 * nice * 10**power for power in range(5) for nice in (1, 2, 5))
_EPOCH: Final = datetime(1970, 1, 5, tzinfo=UTC)
"""A Monday, from which steps of days and hours are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Places numbers between `low` and `high` along the pixels from `start` to `end`."""

    low: Decimal
    high: Decimal
    start: float
    end: float

    def __call__(self, value: Decimal, /) -> float:
        """Returns the pixel of a number."""
        part = EXACT.divide(EXACT.subtract(value, self.low), EXACT.subtract(self.high, self.low))
        return self.start + float(part) * (self.end - self.start)


def linear(low: Decimal, high: Decimal, /, *, most: int = 5, whole: bool = False) -> tuple[Decimal, ...]:
    """Returns evenly spaced round numbers that enclose zero, `low` and `high`.

    Args:
        low: the least figure that is drawn.
        high: the largest one.
        most: how many there may be, 3 or more.
        whole: no fractions, as for counts.
    """
    low, high = min(low, Decimal(0)), max(high, Decimal(0))
    if low == high:
        high = Decimal(1)
    rough = EXACT.divide(EXACT.subtract(high, low), Decimal(most))
    first = max(0, rough.adjusted()) if whole else rough.adjusted()
    steps = (EXACT.scaleb(nice, power) for power in count(first) for nice in _NICE)
    return next(ticks for step in steps if len(ticks := _multiples(low, high, step)) <= most)


def _multiples(low: Decimal, high: Decimal, step: Decimal) -> tuple[Decimal, ...]:
    """Returns the multiples of a step from the last one that is not above `low` to the first not below `high`."""
    start = int(EXACT.divide(low, step).to_integral_value(ROUND_FLOOR))
    end = int(EXACT.divide(high, step).to_integral_value(ROUND_CEILING))
    return tuple(EXACT.multiply(step, Decimal(i)) for i in range(start, end + 1))


def labels(ticks: Sequence[Decimal], unit: Unit, /) -> list[str]:
    """Returns what stands at the marks of an axis: as short as tells them apart, with the same decimals throughout."""
    largest = max(abs(tick) for tick in ticks)
    decimals = max(0, *(-_exponent(tick) for tick in ticks))
    match unit:
        case "usd" if largest < 1000:
            decimals = max(decimals, 2) if decimals else 0
            return [f"{'-' if tick < 0 else ''}${abs(tick):,.{decimals}f}" if tick else "$0" for tick in ticks]
        case "seconds" if largest < 1:
            return [f"{(tick * 1000).normalize():f} ms" if tick else "0" for tick in ticks]
        case "seconds" if largest < 600:
            return [f"{tick:,.{decimals}f} s" if tick else "0" for tick in ticks]
        case "share":
            return [f"{100 * tick:,.{max(0, decimals - 2)}f} %" if tick else "0" for tick in ticks]
        case "count" | "tokens" | "ratio" if largest < 1000:
            return [f"{tick:,.{decimals}f}" if tick else "0" for tick in ticks]
        case _:
            return [spelling.compact(tick, unit) if tick else "0" for tick in ticks]


def durations(low_s: Decimal, high_s: Decimal, /) -> list[Decimal]:
    """Returns lengths of time between two, as people name them; the first one where no such length is between."""
    return [length for length in _DURATIONS_S if low_s <= length <= high_s] or [low_s]


def calendar(first: datetime, last: datetime, bucket: timedelta, /, *, most: int) -> list[tuple[datetime, str]]:
    """Returns moments between two, each with its label: whole hours, days, months or years, so many at most.

    Args:
        first: the earliest moment, in UTC.
        last: the latest one.
        bucket: no marks closer than this.
        most: how many there may be, at least 1.
    """
    for hours in _HOURS:
        if bucket <= timedelta(hours=hours) and (last - first) / timedelta(hours=hours) < most:
            marks = _every(first, last, timedelta(hours=hours))
            return _or_first([(at, f"{at:%H:%M}" if at.hour else spelling.day(at)) for at in marks], first)
    for days in _DAYS:
        if bucket <= timedelta(days=days) and (last - first) / timedelta(days=days) < most:
            marks = _every(first, last, timedelta(days=days))
            return _or_first([(at, spelling.day(at)) for at in marks], first)
    steps = (_month_starts(first, last, months) for months in (*_MONTHS, *_YEARS))
    starts = next(starts for starts in steps if len(starts) <= most)
    return _or_first([(at, str(at.year) if at.month == 1 else spelling.MONTHS[at.month - 1]) for at in starts], first)


def _or_first(marks: list[tuple[datetime, str]], first: datetime) -> list[tuple[datetime, str]]:
    return marks or [(first, spelling.day(first))]


def _every(first: datetime, last: datetime, step: timedelta) -> list[datetime]:
    start = _EPOCH + -(-(first - _EPOCH) // step) * step
    return [start + i * step for i in range((last - start) // step + 1)]


def _month_starts(first: datetime, last: datetime, step: int) -> list[datetime]:
    """Returns the beginnings of every so many months between two moments."""
    begin, end = first.year * 12 + first.month - 1, last.year * 12 + last.month - 1
    months = range(-(-begin // step) * step, end + 1, step)
    starts = (datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC) for month in months)
    return [start for start in starts if start >= first]


def _exponent(tick: Decimal) -> int:
    exponent = tick.normalize().as_tuple().exponent
    return exponent if isinstance(exponent, int) else 0
