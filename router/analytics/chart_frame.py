"""What every chart has: a caption, a picture for wide pages and one for narrow ones, and words for who sees neither.

A picture is drawn at the size at which it is shown, so that its writing is never shrunk; hence two of them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element

from router.analytics.html_elements import Child, element, extended

WIDE: Final = 860
"""Pixels of a picture that spans the page of a desk."""

NARROW: Final = 350
"""Pixels of one that fits a phone, or half a desk's page."""

SIZE: Final = 12
"""Pixels of the writing."""

_SLIM: Final = frozenset("ijlft.,:;'|!()[] -")
_BROAD: Final = frozenset("mwMW@%")


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What was drawn: its parts, and how high they are in pixels."""

    parts: Sequence[Element]
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart before it is drawn.

    Attributes:
        title: what it shows.
        caption: how to read it, after the title; parts of it may be marked up.
        says: in words what a reader sees in it.
        draw: makes the picture for a width in pixels.
        long: spans the page of a desk, rather than half of it.
    """

    title: str
    says: str
    draw: Callable[[int], Picture]
    caption: tuple[Child, ...] = ()
    long: bool = False


def figure(chart: Chart, name: str, /) -> Element:
    """Returns a chart as a figure.

    Args:
        chart: the chart.
        name: what its ids begin with, unique on the page.
    """
    heading: list[Child] = [chart.title]
    if chart.caption:
        heading += [" ", element("span", *chart.caption)]
    if chart.long:
        pictures = [_svg(chart, WIDE, f"{name}w", "wide"), _svg(chart, NARROW, f"{name}n", "narrow")]
    else:
        pictures = [_svg(chart, NARROW, name, "both")]
    return element("figure", element("figcaption", *heading), *pictures, class_="long" if chart.long else "half")


def _svg(chart: Chart, width: int, name: str, kind: str) -> Element:
    picture = chart.draw(width)
    return extended(
        element(
            "svg",
            element("title", chart.title, id=f"{name}-title"),
            element("desc", chart.says, id=f"{name}-desc"),
            viewBox=f"0 0 {width} {picture.height:.0f}",
            class_=kind,
            role="img",
            aria_labelledby=f"{name}-title {name}-desc",
        ),
        picture.parts,
    )


def text(x: float, y: float, words: str, /, *, anchor: str = "start", kind: str | None = None) -> Element:
    """Returns writing with its baseline at y, and its start, middle or end at x."""
    return element("text", words, x=x, y=y, text_anchor=None if anchor == "start" else anchor, class_=kind)


def rule(x1: float, y1: float, x2: float, y2: float, /, *, kind: str) -> Element:
    """Returns a straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind)


def box(x: float, y: float, width: float, height: float, /, *, kind: str) -> Element:
    """Returns a filled rectangle."""
    return element("rect", x=x, y=y, width=width, height=height, class_=kind)


def width_of(words: str, /) -> float:
    """Returns about how many pixels a text takes; rather too many than too few."""
    return sum(map(_em, words)) * SIZE


def widest(texts: Iterable[str], /) -> float:
    """Returns about how many pixels the longest of some texts takes."""
    return max(map(width_of, texts), default=0)


def fitted(words: str, room: float, /) -> str:
    """Returns a text that fits into so many pixels: what is too long loses its middle.

    Names of models often differ in their last letters.
    """
    if width_of(words) <= room:
        return words
    for kept in range(len(words) - 1, 1, -1):
        tail = kept * 2 // 5
        short = f"{words[: kept - tail]}…{words[-tail:] if tail else ''}"
        if width_of(short) <= room:
            return short
    return "…"


def _em(character: str) -> float:
    if unicodedata.east_asian_width(character) in {"W", "F"}:
        return 1.05
    if character in _SLIM:
        return 0.38
    if character in _BROAD:
        return 0.92
    return 0.7 if character.isupper() else 0.65
