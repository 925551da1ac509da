"""How figures are written for people: money, counts, shares, durations, times.

A figure that is not zero is never written as zero, and one that is not the whole is never 100 %. A number has an ASCII
hyphen for a minus, since a terminal may have no other. `None` has no spelling here: who shows a table says "unknown" in
their own way. A float is taken as the digits that it is printed with, so that 0.1 stays 0.1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Final, assert_never

from router.analytics.tables import Unit

EXACT: Final = Context(prec=400, rounding=ROUND_HALF_EVEN)
"""Holds the digits of every amount and of every float: no rounding but where one is asked for."""

_MAGNITUDE: Final = 330
"""What is larger than any float, or has more decimals, is shown as it stands."""

_BITS: Final = 1200

_DIGITS: Final = 3
"""Significant digits of an amount that is shown to people; JSON and CSV have all of them."""

_STEPS: Final = ((0, ""), (3, "k"), (6, "M"), (9, "B"), (12, "T"))

_DURATIONS: Final = ((Decimal(86400), "d"), (Decimal(3600), "h"), (Decimal(60), "min"), (Decimal(1), "s"))

_SHORTEST_S: Final = Decimal("0.000001")

MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def number(value: Any, /) -> Decimal | None:
    """Returns a figure as an exact number; None where it is none, not finite, or out of all proportion."""
    match value:
        case Decimal():
            exact = value
        case float():
            exact = Decimal(repr(float(value)))  # a float of numpy has a repr of its own
        case int() if not isinstance(value, bool) and value.bit_length() < _BITS:
            exact = Decimal(value)
        case _:
            return None
    return exact if exact.is_finite() and abs(exact.adjusted()) < _MAGNITUDE else None


def dollars(amount: Decimal, /, *, exact: bool = False) -> str:
    """Returns an amount as people write it: "$0.000123", "-$12.30".

    Unless it is to be `exact`, it is rounded to three significant digits or to the cent, whichever is finer.
    """
    if not amount:
        return "$0"
    decimals = max(2, _DIGITS - 1 - amount.adjusted())
    whole, _, fraction = _fixed(amount.copy_abs(), None if exact else decimals).partition(".")
    return f"{_sign(amount)}${whole}.{fraction.rstrip('0'):0<2}"


def count(value: Decimal, /) -> str:
    """Returns a number of things: "1,047,576"; a mean of such numbers with a decimal: "1,024.5"."""
    whole = value == value.to_integral_value(context=EXACT)
    return _sign(value) + _fixed(value.copy_abs(), 0 if whole else max(1, -value.adjusted()))


def share(value: Decimal, /) -> str:
    """Returns a share of the whole as a percentage: "12.3 %", "0.041 %", "< 0.0001 %".

    It has two digits of what it is, or of what it lacks to the whole: "99.987 %".
    """
    percent, rest = _percent(value)
    rounded = _rounded(percent, _decimals_of_share(rest))
    if not rest or rounded not in (0, 100):
        whole, _, fraction = f"{rounded.copy_abs():,f}".partition(".")
        return f"{_sign(rounded)}{whole}.{fraction.rstrip('0'):0<1} %"
    if percent < 1:
        return "< 0.0001 %" if percent > 0 else "> -0.0001 %"
    return "> 99.9999 %" if percent < 100 else "> 100 %"


def ratio(value: Decimal, /) -> str:
    """Returns a ratio with two decimals, or as many as its first two digits take: "5.20", "0.0031"."""
    return _sign(value) + _fixed(value.copy_abs(), max(2, 1 - value.adjusted()) if value else 2)


def seconds(value: Decimal, /) -> str:
    """Returns a duration: "0.31 ms", "312 ms", "4.20 s", "1.5 h"."""
    size = value.copy_abs()
    if not size:
        return "0 s"
    if size < _SHORTEST_S:
        return "< 0.001 ms" if value > 0 else "> -0.001 ms"
    if size < Decimal("0.9995"):
        millis = EXACT.scaleb(size, 3)
        return f"{_sign(value)}{_fixed(millis, max(0, 1 - millis.adjusted()) if millis < 10 else 0)} ms"
    if size < 120:
        return f"{_sign(value)}{_fixed(size, 2)} s"
    length, unit = next(step for step in _DURATIONS if size >= step[0])
    return f"{_sign(value)}{_fixed(size / length, 1).removesuffix('.0')} {unit}"


def duration(value: Decimal, /) -> str:
    """Returns a round duration, as on an axis: "30 s", "5 min", "1 h", "7 d"."""
    for length, unit in _DURATIONS:
        if value >= length:
            return f"{_trimmed(value / length)} {unit}"
    return f"{_trimmed(EXACT.scaleb(value, 3))} ms"


def compact(value: Decimal, unit: Unit, /) -> str:
    """Returns a figure in a few characters, for axes and headlines: "$1.2k", "3.4 M", "12 %"."""
    match unit:
        case "usd":
            return _compact_dollars(value)
        case "count" | "tokens":
            return _sign(value) + _stepped(value.copy_abs(), " ")
        case "share":
            return share(value).replace(".0 %", " %")
        case "seconds":
            return seconds(value).replace(".00 s", " s")
        case "ratio":
            return ratio(value)
        case "text" | "time":
            return str(value)
        case _:
            assert_never(unit)


def figure(value: Any, unit: Unit, /) -> str:
    """Returns one figure in full, whatever stands beside it; empty where it is unknown."""
    return column([value], unit)[0]


def column(values: Sequence[Any], unit: Unit, /) -> list[str]:
    """Returns the figures of a column, with as many decimals as make them comparable; empty where unknown."""
    match unit:
        case "text":
            return ["" if value is None else str(value) for value in values]
        case "time":
            return _times(values)
        case "usd" | "seconds" | "share" | "ratio" | "count" | "tokens":
            return _numbers(values, unit)
        case _:
            assert_never(unit)


def day(moment: date, /, *, year: bool = False) -> str:
    """Returns a day as on an axis: "3 Nov", or "3 Nov 2025"."""
    return f"{moment.day} {MONTHS[moment.month - 1]}" + (f" {moment.year}" if year else "")


def utc(value: Any, /) -> datetime | None:
    """Returns a time in UTC; a date is its midnight, and a time without a zone is in UTC already."""
    match value:
        case datetime():
            return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
        case date():
            return datetime.combine(value, time(), UTC)
        case _:
            return None


def _numbers(values: Sequence[Any], unit: Unit) -> list[str]:
    numbers = [number(value) for value in values]
    spell = _speller([n for n in numbers if n is not None], unit)
    return [_odd(value) if n is None else spell(n) for n, value in zip(numbers, values, strict=True)]


def _speller(numbers: Sequence[Decimal], unit: Unit) -> Callable[[Decimal], str]:
    """Returns how to spell numbers beside each other: with the same decimals, but alone where those are too few."""
    sizes = [n.copy_abs() for n in numbers if n]
    match unit:
        case "usd":
            decimals = _decimals(sizes)
            return lambda n: dollars(n) if _poor(n, decimals) else _with(n, decimals, "$")
        case "seconds" if sizes and 1 <= max(sizes) < 600:
            return lambda n: seconds(n) if _poor(n, 2) else _with(n, 2, "", " s")
        case "seconds":
            return lambda n: seconds(n).replace(".00 s", " s")
        case "share":
            decimals = max((min(2, _decimals_of_share(_percent(n)[1])) for n in numbers), default=1)
            return lambda n: share(n) if _poor_share(n, decimals) else _with(_percent(n)[0], decimals, "", " %")
        case "ratio":
            return ratio
        case _:
            decimals = int(any(n != n.to_integral_value(context=EXACT) for n in sizes))
            return lambda n: count(n) if _poor(n, decimals) else _with(n, decimals)


def _percent(value: Decimal) -> tuple[Decimal, Decimal]:
    """Returns a share in percent, and how far it is from nothing or the whole, whichever is nearer."""
    percent = EXACT.multiply(value, Decimal(100))
    return percent, min(percent.copy_abs(), EXACT.subtract(percent, Decimal(100)).copy_abs())


def _poor_share(value: Decimal, decimals: int) -> bool:
    _, rest = _percent(value)
    return bool(rest) and _poor(rest, decimals)


def _decimals_of_share(rest: Decimal) -> int:
    return max(1, min(4, 1 - rest.adjusted())) if rest else 1


def _odd(value: Any) -> str:
    """Returns what stands where no number is: nothing for unknown, infinity for infinity, a word for a word."""
    match value:
        case None:
            return ""
        case float() | Decimal() if not Decimal(value).is_finite():
            return "" if Decimal(value).is_nan() else "∞" if value > 0 else "-∞"
        case _:
            return str(value)


def _decimals(sizes: Sequence[Decimal]) -> int:
    """Returns how many decimals show two digits of the smallest amount, and of the largest four at most."""
    if not sizes:
        return 2
    return max(2, min(1 - min(sizes).adjusted(), 3 - max(sizes).adjusted()))


def _poor(value: Decimal, decimals: int) -> bool:
    """Whether so many decimals leave less than two digits of a number, and lose some; or it is zero."""
    return not value or (1 - value.adjusted() > decimals and value != _rounded(value, decimals))


def _with(value: Decimal, decimals: int, before: str = "", after: str = "") -> str:
    return f"{_sign(value)}{before}{_fixed(value.copy_abs(), decimals)}{after}"


def _times(values: Sequence[Any]) -> list[str]:
    moments = [utc(value) for value in values]
    known = [moment for moment in moments if moment]
    if all(moment.time() == time() for moment in known):
        form = "%Y-%m-%d"
    elif all(not moment.second and not moment.microsecond for moment in known):
        form = "%Y-%m-%d %H:%M"
    else:
        form = "%Y-%m-%d %H:%M:%S"
    spelt = zip(moments, values, strict=True)
    return [moment.strftime(form) if moment else "" if value is None else str(value) for moment, value in spelt]


def _compact_dollars(value: Decimal) -> str:
    size = value.copy_abs()
    if size < 1000:
        return dollars(value).removesuffix(".00")
    return f"{_sign(value)}${_stepped(size, '')}"


def _stepped(size: Decimal, space: str) -> str:
    """Returns a number that is not negative with at most three digits and a suffix: "1.2k", "340 M"."""
    if size < 1000:
        return count(size)
    power = size.adjusted()
    rounded = EXACT.scaleb(_rounded(EXACT.scaleb(size, -power), 2), power)
    step, suffix = max(step for step in _STEPS if step[0] <= rounded.adjusted())
    return f"{_trimmed(EXACT.scaleb(rounded, -step))}{space}{suffix}"


def _rounded(value: Decimal, decimals: int) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-decimals), context=EXACT)


def _trimmed(size: Decimal) -> str:
    """Returns a number with two decimals at most, and none that are zero."""
    text = _fixed(size, 2)
    return text.rstrip("0").rstrip(".")


def _fixed(size: Decimal, decimals: int | None) -> str:
    """Returns a number with so many decimals; with all of its own where it is not said how many."""
    return f"{size if decimals is None else _rounded(size, decimals):,f}"


def _sign(value: Decimal) -> str:
    return "-" if value < 0 else ""
