"""A page of HTML taken apart, for tests of what it holds."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from xml.etree.ElementTree import Element, fromstring

from router.analytics.html import html_of
from router.analytics.tables import Report

VOID = {"meta", "wbr"}


@dataclass(slots=True)
class Node:
    """An element: its attributes, and what it holds."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Node | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All text inside."""
        return "".join(child if isinstance(child, str) else child.text for child in self.children)

    def all(self, *tags: str) -> list[Node]:
        """Returns the elements of these names inside, in order; all elements where none is named."""
        found = []
        for child in self.children:
            if isinstance(child, Node):
                found += [*([child] if not tags or child.tag in tags else []), *child.all(*tags)]
        return found

    def one(self, tag: str) -> Node:
        """Returns the only element of this name inside."""
        (found,) = self.all(tag)
        return found


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Node("")]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, {name: value or "" for name, value in attrs})
        assert len(node.attributes) == len(attrs), "an attribute twice"
        self.open[-1].children.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def parsed(html: str) -> Node:
    """Returns a page as a tree; fails where an element is not closed in order."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert len(reader.open) == 1, "something is not closed"
    return reader.open[0]


def page_of(report: Report) -> Node:
    """Returns the page of a report."""
    return parsed(html_of(report))


def drawings(html: str) -> list[Element]:
    """Returns the charts of a page, read as XML."""
    return [fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", html, re.DOTALL)]  # noqa: S314 - our own page
