"""Tables from what a query returns, and the words of findings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Final, get_args

from router.analytics import spelling
from router.analytics.tables import Column, Table, Unit

NEAREST_RANK: Final = (
    "Percentiles are nearest rank: the smallest value that at least so many per cent of all values are not above."
)
_UNITS: Final[dict[str, Unit]] = {unit: unit for unit in get_args(Unit)}


def columns_of(described: Sequence[str], /) -> tuple[Column, ...]:
    """Returns columns from "name title unit", the title of any number of words."""
    words = [text.split() for text in described]
    return tuple(Column(name=w[0], title=" ".join(w[1:-1]), unit=_UNITS[w[-1]]) for w in words)


def table(name: str, title: str, described: Sequence[str], rows: Iterable[Sequence[Any]], note: str = "") -> Table:
    """Returns a table; its columns are described as `columns_of` takes them."""
    return Table(name=name, title=title, columns=columns_of(described), rows=tuple(map(tuple, rows)), note=note)


def ratio(part: Decimal | float | None, whole: Decimal | float | None, /) -> float | None:
    """Returns part by whole; None where one is unknown, or the whole is 0."""
    if part is None or not whole:
        return None
    return float(part) / float(whole)


def dollars(amount: Decimal | None, /) -> str:
    """Returns an amount for a sentence, of three significant digits or to the cent, whichever is finer."""
    return "an unknown amount" if amount is None else spelling.dollars(amount)


def percent(share: float | None, /) -> str:
    """Returns a share for a sentence: "12.3 %"."""
    if share is None:
        return "an unknown share"
    return "less than 0.1 %" if 0 < share < 0.001 else f"{100 * share:.1f} %".replace(".0 %", " %")


def counted(count: int, one: str, many: str | None = None, /) -> str:
    """Returns a number of things: "1 request", "1,204 requests"."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
