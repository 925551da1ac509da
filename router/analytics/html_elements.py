"""Elements of a page. Text goes in as text, and only here does it become markup: nobody else writes a `<`.

What users named (models, tenants, tags, errors) goes into text alone, never into an attribute; so a page needs one rule
of escaping, and an SVG in it is XML too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, TypeAlias
from xml.etree.ElementTree import Element, tostring

Child: TypeAlias = Element | str | None
"""What an element may hold; None is nothing, so that a part can be left out in place."""

SHORT_WORD: Final = 24
"""So many letters in a row are never broken."""

_LONG_WORD: Final = re.compile(rf"(\S{{{SHORT_WORD + 1},}})")
_PIECE: Final = re.compile(r"[^/_.:@-]{1,24}[/_.:@-]{0,24}|[/_.:@-]{1,24}")

_JOINERS: Final = frozenset("\u200c\u200d")
"""Not printable alone, but in words of some scripts and in emoji."""


def element(tag: str, /, *children: Child, **attributes: str | float | None) -> Element:
    """Returns an element.

    Args:
        tag: its name.
        children: what it holds, in order.
        attributes: by name, `_` for `-`, and one after a word that Python keeps (`class_`); None leaves one out.
    """
    made = Element(tag)
    for name, value in attributes.items():
        if value is not None:
            made.set(name.rstrip("_").replace("_", "-"), value if isinstance(value, str) else coordinate(value))
    return extended(made, children)


def extended(parent: Element, children: Iterable[Child], /) -> Element:
    """Puts more into an element, and returns it."""
    for child in children:
        if isinstance(child, str):
            _write(parent, plain(child))
        elif child is not None:
            parent.append(child)
    return parent


def coordinate(value: float, /) -> str:
    """Returns a number as an attribute, to a tenth of a pixel."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def breakable(text: str, /) -> list[Child]:
    """Returns a text whose long words may be broken between lines: after what parts them, else where they get too long.

    Words that are short, as most are, stay whole however narrow a column is.
    """
    parts: list[Child] = []
    for place, word in enumerate(_LONG_WORD.split(text)):
        for piece in _PIECE.findall(word) if place % 2 else [word]:
            parts += [element("wbr") if place % 2 and parts[-1] else None, piece]
    return parts


def plain(text: str, /) -> str:
    """Returns text without characters that are no text: controls, halves of surrogates, switches of direction.

    Each is shown as U+FFFD. A name that turns the direction of writing around would make others read wrong.
    """
    return "".join(c if c.isprintable() or c in _JOINERS else " " if c.isspace() else "\ufffd" for c in text)


def markup(root: Element, /) -> str:
    """Returns an element as HTML."""
    return tostring(root, encoding="unicode", method="html")


def _write(parent: Element, text: str) -> None:
    if len(parent):
        parent[-1].tail = (parent[-1].tail or "") + text
    else:
        parent.text = (parent.text or "") + text
