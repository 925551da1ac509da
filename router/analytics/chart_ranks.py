"""Charts of things beside each other: how much each has, or from where to where it ranges."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import reduce
from typing import Final
from xml.etree.ElementTree import Element

from router.analytics import spelling
from router.analytics.chart_frame import Chart, Picture, box, fitted, rule, text, widest, width_of
from router.analytics.chart_ticks import Scale, labels, linear
from router.analytics.html_elements import element
from router.analytics.spelling import EXACT
from router.analytics.tables import Unit

_MOST_BARS: Final = 10
_SHORTEST_S: Final = Decimal("0.000001")
_PITCH: Final = 32
_BAR: Final = 7
_ADDS_UP: Final = frozenset({"usd", "count", "tokens"})

Ranked = Sequence[tuple[str, Decimal | None]]
"""Names, each with its figure; None is unknown."""


def ranks(title: str, entries: Ranked, unit: Unit, /, *, warning: bool = False) -> Chart | None:
    """Returns bars, the longest first; None where there are no two things to compare.

    Args:
        title: what is compared.
        entries: what, and how much; negative figures have no bar.
        unit: of the figures.
        warning: these are figures that should be small.
    """
    known = sorted((e for e in entries if e[1] is not None), key=lambda e: -(e[1] or 0))
    if len(entries) < 2 or not any(value and value > 0 for _, value in known):
        return None
    shown, rest = known[:_MOST_BARS], known[_MOST_BARS:]
    bars = [(name, value or Decimal(0)) for name, value in shown]
    others = None
    if rest:
        others = (f"{len(rest)} others", reduce(EXACT.add, (value or Decimal(0) for _, value in rest)))
    unknown = len(entries) - len(known)
    return Chart(
        title=title,
        caption=(f"({unknown} unknown)",) if unknown else (),
        says="; ".join(f"{name} {spelling.figure(value, unit)}" for name, value in bars[:3]) + ".",
        draw=lambda width: _bars(bars, others if unit in _ADDS_UP else None, unit, width, warning=warning),
    )


def _bars(
    bars: Sequence[tuple[str, Decimal]], others: tuple[str, Decimal] | None, unit: Unit, width: int, *, warning: bool
) -> Picture:
    rows: list[tuple[str, Decimal]] = [*bars, *([others] if others else [])]
    figures = [t.replace("-", "\N{MINUS SIGN}") for t in spelling.column([value for _, value in rows], unit)]
    scale = Scale(low=Decimal(0), high=max(value for _, value in bars), start=0, end=width)
    parts = []
    for place, ((name, value), shown) in enumerate(zip(rows, figures, strict=True)):
        top, drawn = place * _PITCH, place < len(bars)  # the others have no bar: theirs would dwarf the rest
        kind = None if drawn else "quiet"
        parts.append(text(0, top + 12, fitted(name, width - width_of(shown) - 12), kind=kind))
        parts.append(text(width, top + 12, shown, anchor="end", kind=kind))
        if drawn:
            parts.append(box(0, top + 18, width, _BAR, kind="track"))
        if drawn and value > 0:
            parts.append(box(0, top + 18, max(scale(value), 1), _BAR, kind="mark warning" if warning else "mark"))
    return Picture(parts=parts, height=len(bars) * _PITCH + (20 if others else 0))


def ranges(title: str, entries: Sequence[tuple[str, tuple[Decimal, ...]]], marks: Sequence[str], /) -> Chart | None:
    """Returns a line for each thing, from its first figure to its last, in seconds; None where there is nothing.

    Args:
        title: what is compared.
        entries: names, each with as many figures as there are marks, ascending.
        marks: what the figures are: "p50", "p95", "p99".
    """
    shown = entries[:_MOST_BARS]
    if not any(figures[-1] >= _SHORTEST_S for _, figures in shown):
        return None
    return Chart(
        title=title,
        caption=(f"{', '.join(marks[:-1])} and {marks[-1]}: dot, bar, ring",),
        says="; ".join(f"{name}: {_listed(figures, marks)}" for name, figures in shown[:3]) + ".",
        draw=lambda width: _lines(shown, width),
    )


def _listed(figures: Sequence[Decimal], marks: Sequence[str]) -> str:
    return ", ".join(f"{mark} {spelling.figure(value, 'seconds')}" for mark, value in zip(marks, figures, strict=True))


def _lines(entries: Sequence[tuple[str, tuple[Decimal, ...]]], width: int) -> Picture:
    ticks = linear(Decimal(0), max(figures[-1] for _, figures in entries), most=5)
    written = labels(ticks, "seconds")
    scale = Scale(low=ticks[0], high=ticks[-1], start=6, end=width - widest(written) / 2)
    bottom = len(entries) * (_PITCH + 2)
    parts: list[Element] = []
    for place, (name, figures) in enumerate(entries):
        top = place * (_PITCH + 2)
        shown = " · ".join(spelling.column(figures, "seconds"))
        parts += [
            text(0, top + 12, fitted(name, width - width_of(shown) - 12)),
            text(width, top + 12, shown, anchor="end"),
            *(rule(scale(tick), top + 18, scale(tick), top + 28, kind="grid") for tick in ticks),
            *_range([scale(value) for value in figures], top + 23),
        ]
    parts += [
        text(scale(tick), bottom + 14, label, anchor="middle" if tick else "start", kind="quiet")
        for tick, label in zip(ticks, written, strict=True)
    ]
    return Picture(parts=parts, height=bottom + 20)


def _range(places: Sequence[float], y: float) -> list[Element]:
    first, *between, last = places
    return [
        rule(first, y, last, y, kind="span"),
        *(box(place - 1.5, y - 5, 3, 10, kind="mark") for place in between),
        element("circle", cx=last, cy=y, r=4, class_="hollow"),
        element("circle", cx=first, cy=y, r=4, class_="mark"),
    ]
