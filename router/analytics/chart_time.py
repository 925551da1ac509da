"""Charts of figures over time: a bar for each hour, day or week."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from xml.etree.ElementTree import Element

from router.analytics import spelling
from router.analytics.chart_frame import Chart, Picture, box, rule, text, widest, width_of
from router.analytics.chart_ticks import Scale, calendar, labels, linear
from router.analytics.html_elements import Child, element
from router.analytics.spelling import EXACT
from router.analytics.tables import Unit

_MOST_BARS: Final = 180
_BROADEST_PX: Final = 56
_TALL_PX: Final = 140
_SMALL_PX: Final = 72
_WEEK: Final = timedelta(days=7)
_LADDER: Final = (timedelta(hours=1), timedelta(hours=3), timedelta(hours=6), timedelta(days=1), _WEEK, 4 * _WEEK)
_NAMES: Final = {timedelta(hours=1): "hour", timedelta(days=1): "day", _WEEK: "week"}
_MONDAY: Final = datetime.fromisoformat("1970-01-05T00:00:00+00:00")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar: how much, and how much of it is waste. None is unknown."""

    whole: Decimal | None
    wasted: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Bars by the beginning of their time in UTC, each as long as `bucket`."""

    bars: Mapping[datetime, Bar]
    bucket: timedelta
    unit: Unit

    @classmethod
    def of(cls, rows: Iterable[tuple[datetime, Bar]], /, *, bucket: timedelta, unit: Unit) -> Series:
        """Returns the bars of some figures; those of one time are added up."""
        bars: dict[datetime, Bar] = {}
        for at, bar in rows:
            held = bars.get(at, Bar(whole=None))
            bars[at] = Bar(whole=_sum(held.whole, bar.whole), wasted=_sum(held.wasted, bar.wasted))
        return cls(bars=bars, bucket=bucket, unit=unit)

    @property
    def first(self) -> datetime:
        """The beginning of the first bar."""
        return min(self.bars)

    @property
    def slots(self) -> int:
        """How many bars there would be if none was missing."""
        return (max(self.bars) - self.first) // self.bucket + 1

    def coarser(self) -> Series:
        """Returns the same in bars long enough for a picture."""
        if self.slots <= _MOST_BARS:
            return self
        span = self.slots * self.bucket
        longer = (step for step in _LADDER if step > self.bucket and span / step < _MOST_BARS)
        bucket = next(longer, -(-span // (_MOST_BARS * _WEEK)) * _WEEK)
        moved = ((_MONDAY + (at - _MONDAY) // bucket * bucket, bar) for at, bar in self.bars.items())
        return Series.of(moved, bucket=bucket, unit=self.unit)


def over_time(title: str, series: Series, /, *, small: bool = False) -> Chart | None:
    """Returns a bar for each piece of time; None where there are no two figures to compare.

    Args:
        title: what is shown, without "per day".
        series: the figures; those of one bucket are summed where there are too many for a picture.
        small: it stands below another one, which says more.
    """
    known = {at: bar.whole for at, bar in series.bars.items() if bar.whole is not None}
    if len(known) < 2 or not any(known.values()):
        return None
    drawn = series.coarser()
    unknown = len(series.bars) - len(known)
    wasted = any(bar.wasted for bar in drawn.bars.values())
    begin, end = spelling.day(min(known), year=True), spelling.day(max(known), year=True)
    caption: list[Child] = [f"on {begin}" if begin == end else f"from {begin} to {end}"]
    if wasted:
        caption += ["; ", element("span", "wasted", class_="warning"), " at the foot of each bar"]
    if unknown:
        caption.append(f"; {unknown} unknown")
    return Chart(
        title=f"{title} per {_NAMES.get(drawn.bucket) or _long(drawn.bucket)}",
        caption=tuple(caption),
        says=_says(drawn),
        draw=lambda width: _bars(drawn, width, _SMALL_PX if small else _TALL_PX),
        long=True,
    )


def _says(series: Series) -> str:
    known = {at: bar.whole for at, bar in series.bars.items() if bar.whole is not None}
    most, least = max(known, key=known.__getitem__), min(known, key=known.__getitem__)
    return (
        f"{len(known)} bars; the most is {spelling.figure(known[most], series.unit)} ({_when(most, series.bucket)}), "
        f"the least {spelling.figure(known[least], series.unit)} ({_when(least, series.bucket)})."
    )


def _bars(series: Series, width: int, height: int) -> Picture:
    values = [bar.whole for bar in series.bars.values() if bar.whole is not None]
    ticks = linear(min(values), max(values), most=max(3, height // 28), whole=series.unit != "usd")
    written = [label.replace("-", "\N{MINUS SIGN}") for label in labels(ticks, series.unit)]
    left, top, bottom = widest(written) + 8, 18, 18 + height
    upright = Scale(low=ticks[0], high=ticks[-1], start=bottom, end=top)
    parts: list[Element] = []
    for tick, label in zip(ticks, written, strict=True):
        parts.append(text(left - 8, upright(tick) + 4, label, anchor="end", kind="quiet"))
        if tick:
            parts.append(rule(left, upright(tick), width, upright(tick), kind="grid"))
    slot = (width - left) / series.slots
    parts += [_bar(at, bar, series, upright, left=left, slot=slot) for at, bar in series.bars.items() if bar.whole]
    parts.append(rule(left, upright(Decimal(0)), width, upright(Decimal(0)), kind="axis"))
    parts += _dates(series, left=left, slot=slot, width=width, y=bottom)
    parts += _highest(series, upright, left=left, slot=slot, width=width)
    return Picture(parts=parts, height=bottom + 24)


def _bar(at: datetime, bar: Bar, series: Series, upright: Scale, *, left: float, slot: float) -> Element:
    """Returns a bar that says its figures when a mouse rests on it."""
    whole, wasted = bar.whole or Decimal(0), bar.wasted or Decimal(0)
    x = left + slot * ((at - series.first) / series.bucket)
    gap = min(3.0, slot / 4)
    foot, zero, end = upright(min(wasted, max(whole, Decimal(0)))), upright(Decimal(0)), upright(whole)
    says = f"{_when(at, series.bucket)}: {spelling.figure(whole, series.unit)}"
    if wasted:
        says += f", of which wasted {spelling.figure(wasted, series.unit)}"
    breadth = min(max(slot - gap, 0.5), _BROADEST_PX)
    start = x + (slot - breadth) / 2
    parts = [
        box(start, min(foot, end), breadth, max(abs(foot - end), 0.3), kind="mark warning" if whole < 0 else "mark")
    ]
    if wasted > 0:
        parts.append(box(start, foot, breadth, max(zero - foot, 0.3), kind="mark warning"))
    return element("g", element("title", says), *parts)


def _dates(series: Series, *, left: float, slot: float, width: int, y: float) -> list[Element]:
    last = series.first + (series.slots - 1) * series.bucket
    parts = []
    for at, label in calendar(series.first, last, series.bucket, most=max(1, int((width - left) // 58))):
        x = left + slot * ((at - series.first) / series.bucket + 0.5)
        half = width_of(label) / 2
        parts += [
            rule(x, y, x, y + 4, kind="axis"),
            text(min(max(x, half), width - half), y + 17, label, anchor="middle", kind="quiet"),
        ]
    return parts


def _highest(series: Series, upright: Scale, *, left: float, slot: float, width: int) -> list[Element]:
    """Returns the figure of the highest bar, above it."""
    known = {at: bar.whole for at, bar in series.bars.items() if bar.whole is not None}
    most = max(known, key=known.__getitem__)
    if known[most] <= 0:
        return []
    label = spelling.compact(known[most], series.unit)
    half = width_of(label) / 2
    x = left + slot * ((most - series.first) / series.bucket + 0.5)
    return [text(min(max(x, left + half), width - half), upright(known[most]) - 5, label, anchor="middle")]


def _when(at: datetime, bucket: timedelta) -> str:
    if bucket < timedelta(days=1):
        return f"{spelling.day(at)}, {at:%H:%M}"
    return (
        spelling.day(at)
        if bucket == timedelta(days=1)
        else f"{_NAMES.get(bucket) or _long(bucket)} from {spelling.day(at)}"
    )


def _long(bucket: timedelta) -> str:
    return spelling.duration(Decimal(int(bucket.total_seconds())))


def _sum(a: Decimal | None, b: Decimal | None) -> Decimal | None:
    return b if a is None else a if b is None else EXACT.add(a, b)
