from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.analytics import spelling
from router.analytics.html import html_of, key_figures
from router.analytics.html_elements import plain
from router.analytics.tables import Column, Report, Section, Table, Unit
from tests.analytics.pages import Node, drawings, page_of, parsed
from tests.analytics.reports import plausible, report, table

WHOLE = html_of(plausible())
PAGE = parsed(WHOLE)

TAGS = set(
    "html head meta title style body a header h1 h2 h3 dl div dt dd nav ol ul li main section p table caption thead "
    "tbody tr th td span wbr details summary figure figcaption svg desc g text line rect path circle footer".split()
)
ATTRIBUTES = set(
    "lang charset name content http-equiv class id href role tabindex scope aria-label aria-labelledby viewbox x y x1 "
    "x2 y1 y2 width height cx cy r d text-anchor".split()
)
HOSTILE = (
    "<script>alert(1)</script>",
    "</title></style></svg><img src=x onerror=alert(1)>",
    '"><svg/onload=alert(1)>',
    "' onmouseover='alert(1)",
    "]]><![CDATA[<b>",
    "&lt;b&gt;&#60;i&#62;&amp",
    "javascript:alert(1) https://example.invalid/x.js url(https://example.invalid)",
    "{{7*7}} ${7*7} <!-- -->",
    "\u202egnp.exe\x00\x1b[31m\ud800",
    "模型 \N{WOMAN}\u200d\N{PERSONAL COMPUTER}",
)

texts = st.sampled_from(HOSTILE) | st.text(max_size=40)
figures: dict[Unit, st.SearchStrategy[Any]] = {
    "text": st.text(max_size=60),
    "count": st.integers(0, 10**15),
    "tokens": st.integers(0, 10**15) | st.floats(0, 1e9),
    "usd": st.decimals(-(10**12), 10**12, places=12),
    "seconds": st.floats(0, 1e7),
    "share": st.floats(0, 1),
    "ratio": st.floats(0, 1e4) | st.decimals(0, 100),
    "time": st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis wants bounds without a zone
}


@st.composite
def any_tables(draw: st.DrawFn) -> Table:
    """Draws a table of any units, some figures unknown."""
    units = draw(st.lists(st.sampled_from(sorted(figures)), min_size=1, max_size=5))
    rows = draw(st.lists(st.tuples(*(st.none() | figures[unit] for unit in units)), max_size=20))
    columns = tuple(Column(name=f"c{i}", title=f"C{i}", unit=unit) for i, unit in enumerate(units))
    return Table(name="anything", title="Anything", columns=columns, rows=tuple(rows))


def shown(value: str, unit: Unit) -> str:
    """Returns a figure's text on the page."""
    if not value:
        return "\N{EN DASH}"
    return plain(value) if unit == "text" else value.replace("-", "\N{MINUS SIGN}") if unit != "time" else value


def rows_of(page: Node) -> list[list[str]]:
    """Returns the cells of all tables of a page, or the values of its only list of names and values."""
    rows = [[cell.text for cell in row.all("th", "td")] for body in page.all("tbody") for row in body.all("tr")]
    facts = [
        [fact.text for fact in names.all("dd")] for names in page.all("dl") if names.attributes["class"] == "facts"
    ]
    return rows + facts


@given(any_tables())
def test_every_figure_is_shown(given_table: Table) -> None:
    """Each figure of a table is on the page once, as it is spelt in its column; the unknown is a dash, never a zero."""
    units: list[Unit] = [column.unit for column in given_table.columns]
    columns = [
        spelling.column(values, u) for u, values in zip(units, zip(*given_table.rows, strict=True), strict=False)
    ]
    expected = [
        [shown(text, unit) for text, unit in zip(row, units, strict=True)] for row in zip(*columns, strict=True)
    ]
    page = page_of(Report(title="", about=(), sections=(Section(name="x", title="", tables=(given_table,)),)))
    assert rows_of(page.one("main")) == expected


def test_the_unknown_is_said_to_be_unknown() -> None:
    """A dash has a name for those who do not see it; nothing reads None."""
    dashes = [span for span in PAGE.all("span") if span.text == "\N{EN DASH}"]
    assert dashes
    assert all(dash.attributes["aria-label"] == "unknown" for dash in dashes)
    assert "None" not in WHOLE


@settings(max_examples=60)
@given(st.lists(texts, min_size=8, max_size=8))
def test_no_text_becomes_markup(words: list[str]) -> None:
    """Whatever users named is shown as text: in headings, cells and charts; it makes no element and no attribute."""
    title, about, section, finding, caption, note, heading, name = words
    hostile = table(
        "by_model",
        "x",
        ("model Model text", "cost_usd Cost usd", "latency_p95_s p95 seconds"),
        [(name, Decimal(2), 1.0), ("other", Decimal(1), 2.0)],
    )
    renamed = replace(
        hostile,
        title=caption,
        note=note,
        columns=(replace(hostile.columns[0], title=heading), *hostile.columns[1:]),
    )
    days = table(
        "by_day",
        caption,
        ("time Day time", "cost_usd Cost usd"),
        [(datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=n), Decimal(n)) for n in range(3)],
    )
    days = replace(days, columns=(days.columns[0], replace(days.columns[1], title=heading)))
    sections = tuple(
        Section(name=n, title=section, tables=(renamed, days), findings=(finding,)) for n in ("summary", "other")
    )
    html = html_of(Report(title=title, about=((about, about),), sections=sections))
    page = parsed(html)
    elements = page.all()
    assert {element.tag for element in elements} <= TAGS
    assert {name for element in elements for name in element.attributes} <= ATTRIBUTES
    assert all(link.attributes["href"].startswith("#") for link in page.all("a"))
    everything = page.text
    assert all(plain(word) in everything for word in words)
    assert drawings(html)


def test_the_page_asks_for_nothing() -> None:
    """There is no script, no address, nothing that a browser would fetch; and the page forbids itself to."""
    style = PAGE.one("style").text
    assert not re.search(r"https?:|//[a-z]|\bsrc=|\bstyle=|\bon[a-z]+=", WHOLE)
    assert "url(" not in style
    assert "@import" not in style
    policy = next(m for m in PAGE.all("meta") if m.attributes.get("http-equiv") == "Content-Security-Policy")
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert policy.attributes["content"].startswith(f"default-src 'none'; style-src 'sha256-{digest}';")


def test_structure() -> None:
    """Who hears the page finds one title, levels without a gap, named regions, and heads of rows and columns."""
    levels = [int(heading.tag[1]) for heading in PAGE.all("h1", "h2", "h3")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    ids = [element.attributes["id"] for element in PAGE.all() if "id" in element.attributes]
    assert len(set(ids)) == len(ids)
    named = [element.attributes["aria-labelledby"] for element in PAGE.all() if "aria-labelledby" in element.attributes]
    assert {name for names in named for name in names.split()} <= set(ids)
    assert {link.attributes["href"].removeprefix("#") for link in PAGE.all("a")} <= set(ids)
    assert PAGE.one("html").attributes["lang"] == "en"
    for one in PAGE.all("table"):
        assert one.one("caption").text
        assert {head.attributes["scope"] for head in one.one("thead").all("th")} == {"col"}
        assert all(
            len(row.all("th")) == 1 and row.one("th").attributes["scope"] == "row" for row in one.one("tbody").all("tr")
        )
    scrolled = [element for element in PAGE.all("div") if element.attributes.get("role") == "region"]
    assert len(scrolled) == len(PAGE.all("table"))
    assert all(
        element.attributes["tabindex"] == "0" and "scroll" in element.attributes["class"] for element in scrolled
    )


def test_charts_have_words() -> None:
    """Each chart is an image with a name and a description; a wide one has a narrow twin for phones."""
    for svg in PAGE.all("svg"):
        assert svg.attributes["role"] == "img"
        name, description = svg.attributes["aria-labelledby"].split()
        title, *_ = svg.all("title")
        assert (title.attributes["id"], svg.one("desc").attributes["id"]) == (name, description)
        assert title.text
        assert svg.one("desc").text
    kinds = [svg.attributes["class"] for svg in PAGE.all("svg")]
    assert kinds.count("wide") == kinds.count("narrow") > 0


def colours(style: str) -> dict[str, dict[str, str]]:
    """Returns the colours of the light and the dark page by name."""
    light, dark = (dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", block)) for block in style.split(":root {")[1:3])
    return {"light": light, "dark": dark}


def luminance(colour: str) -> float:
    """Returns the relative luminance of a colour (WCAG 2.2, Success Criterion 1.4.3)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("ink", ["ink", "muted", "accent", "warning"])
@pytest.mark.parametrize("paper", ["paper", "panel"])
def test_contrast(scheme: str, ink: str, paper: str) -> None:
    """Whatever is written can be read: its contrast is that of WCAG's level AA at least."""
    named = colours(PAGE.one("style").text)[scheme]
    dark, light = sorted(luminance(named[name]) for name in (ink, paper))
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_dark_and_paper() -> None:
    """The dark is for screens alone; on paper tables keep their head, rows stay whole and nothing scrolls."""
    style = PAGE.one("style").text
    assert "@media screen and (prefers-color-scheme: dark)" in style
    printed = style[style.index("@media print") :]
    for rule in ("size: A4", "break-inside: avoid", "table-header-group", "overflow: visible", "break-after: avoid"):
        assert rule in printed


def test_every_style_is_used() -> None:
    """No class stands in the style sheet that no page has."""
    style = re.sub(r"/\*.*?\*/", "", PAGE.one("style").text, flags=re.DOTALL)
    named = set(re.findall(r"\.([a-z]\w*)", re.sub(r"\{[^{}]*\}", "", style)))
    used = {name for element in PAGE.all() for name in element.attributes.get("class", "").split()}
    assert named <= used


def test_tiles_show_the_summary() -> None:
    """The key figures are those of the summary, in a fixed order; waste is marked."""
    tiles = next(names for names in PAGE.all("dl") if names.attributes["class"] == "tiles")
    pairs = [(div.one("dt").text, div.one("dd").text) for div in tiles.all("div")]
    assert pairs == [
        ("Cost", "$131.88"),
        ("Requests", "48,210"),
        ("Answered", "99.87 %"),
        ("Saved", "$570.23"),
        ("Wasted", "$4.09"),
    ]
    assert [dd.text for dd in tiles.all("dd") if dd.attributes.get("class") == "warning"] == ["$4.09"]


def test_tiles_of_another_summary() -> None:
    """Where the usual figures are not there the first ones are shown; large ones in short; texts and unknowns never."""
    other = table(
        "x",
        "X",
        ("a A text", "b B count", "c C usd", "d D ratio"),
        [("word", 123_456_789, Decimal("-1234567.5"), None)],
    )
    assert [column.name for column, _ in key_figures(report(other))] == ["b", "c"]
    tiles = next(names for names in page_of(report(other)).all("dl") if names.attributes["class"] == "tiles")
    assert [dd.text for dd in tiles.all("dd")] == ["123 M", "\N{MINUS SIGN}$1.23M"]


def test_tiles_are_of_all_requests() -> None:
    """A later table of the summary, about some of the requests, does not change what the tiles say of all."""
    kinds = ("requests Requests count", "cost_usd Cost usd")
    some = report(table("x", "X", kinds, [(5, Decimal(3))]), table("y", "Y", kinds, [(4, Decimal(2))]))
    assert [value for _, value in key_figures(some)] == [Decimal(3), 5]


def test_broad_tables_are_printed_across() -> None:
    """A table of more than ten columns has a page of its own, turned, when it is printed."""
    for number, kinds in ((10, ["scroll"]), (11, ["scroll", "broad"])):
        shape = table("x", "X", [f"c{n} C count" for n in range(number)], [(1,) * number] * 2)
        scrolled = next(div for div in page_of(report(shape)).all("div") if div.attributes.get("role") == "region")
        assert scrolled.attributes["class"].split() == kinds


def test_findings_come_first() -> None:
    """On top stands what the summary found, which is not repeated, and the first finding of each other section."""
    first = Section(name="a", title="A", tables=(), findings=("a1", "a2"))
    second = Section(name="summary", title="Summary", tables=(), findings=("s1", "s2"))
    page = page_of(Report(title="", about=(), sections=(first, second)))
    told = [item.text for items in page.one("main").all("ol") for item in items.all("li")]
    assert told == ["s1", "s2", "a1 A"]
    assert [item.text for items in page.one("main").all("ul") for item in items.all("li")] == ["a1", "a2"]


def test_long_tables_are_folded() -> None:
    """Of a table with more than fifteen rows ten are shown and the others are one click away."""
    columns = ("name Name text", "count Count count")
    assert not page_of(report(table("x", "X", columns, [(str(n), n) for n in range(15)]))).all("details")
    page = page_of(report(table("x", "X", columns, [(str(n), n) for n in range(1016)])))
    folded = page.one("details")
    assert folded.one("summary").text == "1,006 more rows"
    assert len(folded.one("tbody").all("tr")) == 1006
    assert [len(body.all("tr")) for body in page.all("tbody")] == [10, 1006]
    assert folded.one("caption").text == "X, rows 11 to 1016"


def test_empty_reports() -> None:
    """A report without sections, a table without rows, one row or one column: all make a page."""
    assert page_of(Report(title="Nothing", about=(), sections=())).one("h1").text == "Nothing"
    page = page_of(report(table("x", "Empty", ("a A text",), []), table("y", "One", ("a A count",), [(7,)])))
    assert "Nothing in this log." in page.text
    assert [row.text for row in page.one("tbody").all("tr")] == ["7"]


def test_times_of_day_have_a_zone() -> None:
    """A column of times says UTC, once; one of days need not."""
    noon, midnight = datetime(2025, 1, 1, 12, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)
    for title, value, heading in (("At", noon, "At (UTC)"), ("UTC", noon, "UTC"), ("Day", midnight, "Day")):
        shape = Table(name="x", title="X", columns=(Column(name="t", title=title, unit="time"),), rows=((value,),))
        assert page_of(report(shape)).one("thead").text == heading


def test_long_words_may_be_broken() -> None:
    """A long name can be broken after what parts it, or in a long part, a short one nowhere; its text is the same."""
    long = "fireworks/accounts/models/" + "x" * 50
    page = page_of(report(table("x", "X", ("a A text",), [(long,), ("claude-sonnet-4-5",)])))
    first, second = page.one("tbody").all("tr")
    assert (first.text, second.text) == (long, "claude-sonnet-4-5")
    assert len(first.all("wbr")) == 5
    assert not second.all("wbr")
