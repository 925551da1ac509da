"""A curve in steps over lengths of time, on a logarithmic axis: what a cache of which time to live would have saved."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final
from xml.etree.ElementTree import Element

from router.analytics import spelling
from router.analytics.chart_frame import WIDE, Chart, Picture, rule, text, widest, width_of
from router.analytics.chart_ticks import Scale, durations, labels, linear
from router.analytics.html_elements import coordinate, element
from router.analytics.tables import Unit

_MOST_DOTS: Final = 24
_GAP_PX: Final = 12
_MARGIN_PX: Final = 26


def steps(title: str, points: Sequence[tuple[Decimal, Decimal]], unit: Unit, /) -> Chart | None:
    """Returns a curve that keeps the figure of a length of time until the next one; None where there are no two.

    Args:
        title: what rises.
        points: lengths of time in seconds, each with its figure; those of no length are left out.
        unit: of the figures.
    """
    kept = sorted((at, value) for at, value in points if at > 0)
    if len({at for at, _ in kept}) < 2 or not any(value for _, value in kept):
        return None
    (first, least), (last, most) = kept[0], kept[-1]
    return Chart(
        title=title,
        caption=("by how long it keeps",),
        says=f"From {spelling.figure(least, unit)} at {spelling.duration(first)} "
        f"to {spelling.figure(most, unit)} at {spelling.duration(last)}.",
        draw=lambda width: _curve(kept, unit, width),
        long=True,
    )


def _curve(points: Sequence[tuple[Decimal, Decimal]], unit: Unit, width: int) -> Picture:
    values = [value for _, value in points]
    ticks = linear(min(values), max(values), most=5 if width == WIDE else 4, whole=unit in {"count", "tokens"})
    written = [label.replace("-", "\N{MINUS SIGN}") for label in labels(ticks, unit)]
    left, top, bottom = widest(written) + 8, 18.0, 178.0 if width == WIDE else 148.0
    upright = Scale(low=ticks[0], high=ticks[-1], start=bottom, end=top)
    along = Scale(low=points[0][0].log10(), high=points[-1][0].log10(), start=left + 6, end=width - _MARGIN_PX)
    parts: list[Element] = []
    for tick, label in zip(ticks, written, strict=True):
        parts.append(text(left - 8, upright(tick) + 4, label, anchor="end", kind="quiet"))
        parts.append(rule(left, upright(tick), width, upright(tick), kind="grid" if tick else "axis"))
    for length, x in _marks([at for at, _ in points], along):
        parts += [
            rule(x, bottom, x, bottom + 4, kind="axis"),
            text(x, bottom + 17, spelling.duration(length), anchor="middle", kind="quiet"),
        ]
    places = [(along(at.log10()), upright(value)) for at, value in points]
    parts.append(element("path", d=_path(places, width), class_="line"))
    if len(points) <= _MOST_DOTS:
        parts += [_dot(place, point, unit) for place, point in zip(places, points, strict=True)]
    end = spelling.compact(values[-1], unit).replace("-", "\N{MINUS SIGN}")
    parts.append(text(min(places[-1][0] + width_of(end) / 2, width), places[-1][1] - 8, end, anchor="end"))
    return Picture(parts=parts, height=bottom + 24)


def _marks(lengths: Sequence[Decimal], along: Scale) -> list[tuple[Decimal, float]]:
    """Returns the lengths of time to write below the axis, and where: those of the points if they are few."""
    marks = lengths if len(lengths) <= _MOST_DOTS else durations(lengths[0], lengths[-1])
    kept: list[tuple[Decimal, float]] = []
    free = 0.0
    for length in marks:
        x, half = along(length.log10()), width_of(spelling.duration(length)) / 2
        if x - half >= free and x + half <= along.end + _MARGIN_PX:
            kept.append((length, x))
            free = x + half + _GAP_PX
    return kept


def _path(places: Sequence[tuple[float, float]], width: int) -> str:
    (x, y), *others = places
    turns = "".join(f"H{coordinate(x)}V{coordinate(y)}" for x, y in others)
    return f"M{coordinate(x)} {coordinate(y)}{turns}H{width}"


def _dot(place: tuple[float, float], point: tuple[Decimal, Decimal], unit: Unit) -> Element:
    says = f"{spelling.duration(point[0])}: {spelling.figure(point[1], unit)}"
    return element("circle", element("title", says), cx=place[0], cy=place[1], r=3.5, class_="mark")
