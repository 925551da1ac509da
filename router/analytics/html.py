"""A report as one HTML file that needs nothing else: no request, no script; for a phone, a desk, print, and the dark.

Charts are inline SVG beside the tables that they are drawn from. The page forbids itself everything but its own style
sheet, so that even a fault in escaping could neither run nor fetch anything.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final
from xml.etree.ElementTree import Element

from router.analytics import spelling
from router.analytics.charts import charts_of
from router.analytics.html_elements import element, markup
from router.analytics.html_tables import tabled, written
from router.analytics.tables import Column, Report, Section, Table

_KEY_FIGURES: Final = (
    ("cost_usd",),
    ("requests",),
    ("success_share", "success_rate", "answered_share"),
    ("saved_usd",),
    ("waste_usd", "waste_share"),
    ("latency_p95_s",),
)
"""What the tiles on top show where the summary has it, by column; each line has names for one thing."""

_TOP_FINDINGS: Final = 8

_LEGEND: Final = "A dash \N{EN DASH} is a figure that is unknown, which is not zero. Times are in UTC."


def html_of(report: Report, /) -> str:
    """Returns a report as a page of HTML."""
    style = files("router.analytics").joinpath("report.css").read_text("utf-8")
    page = element(
        "html",
        _head(report, style),
        element(
            "body",
            element("a", "Skip to the figures", class_="skip", href="#figures"),
            element("header", element("h1", report.title), _about(report)),
            element("div", _contents(report), _main(report), class_="page"),
            element("footer", element("p", _LEGEND)),
        ),
        lang="en",
    )
    return f"<!DOCTYPE html>\n{markup(page)}\n"


def _head(report: Report, style: str) -> Element:
    digest = b64encode(sha256(style.encode()).digest()).decode()
    sheet = Element("style")
    sheet.text = style
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        _meta_policy(f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", report.title),
        sheet,
    )


def _meta_policy(policy: str) -> Element:
    return element("meta", http_equiv="Content-Security-Policy", content=policy)


def _about(report: Report) -> Element:
    pairs = (element("div", element("dt", name), element("dd", value)) for name, value in report.about)
    return element("dl", *pairs, class_="about")


def _contents(report: Report) -> Element:
    links = (element("li", element("a", section.title, href=f"#s{number}")) for number, section in _numbered(report))
    return element("nav", element("ol", *links), aria_label="Sections")


def _main(report: Report) -> Element:
    sections = (
        _section(section, f"s{number}", told=section is _summary(report)) for number, section in _numbered(report)
    )
    return element("main", _headline(report), *sections, id="figures", tabindex="-1")


def _headline(report: Report) -> Element | None:
    """Returns the key figures, and what to act on; nothing where there is neither."""
    tiles, findings = _tiles(report), _top_findings(report)
    if not tiles and not findings:
        return None
    parts = (
        element("dl", *tiles, class_="tiles") if tiles else None,
        element("h2", "What stands out", class_="plain") if findings else None,
        element("ol", *findings, class_="findings") if findings else None,
    )
    return element("section", *parts, aria_label="Key figures")


def _tiles(report: Report) -> list[Element]:
    return [
        element(
            "div",
            element("dt", column.title),
            element("dd", _brief(value, column), class_="warning" if column.name.startswith("waste") else None),
        )
        for column, value in key_figures(report)
    ]


def _brief(value: Any, column: Column) -> Element | str:
    """Returns a figure short enough for a headline; the whole of it stands in its table."""
    exact = spelling.number(value)
    if exact is None or column.unit in {"text", "time"} or abs(exact) < 100_000:
        return written(value, column.unit)
    return spelling.compact(exact, column.unit).replace("-", "\N{MINUS SIGN}")


def key_figures(report: Report, /) -> list[tuple[Column, Any]]:
    """Returns the figures that matter most, at most six, from the tables of the summary that have one row."""
    summary = _summary(report)
    found: dict[str, tuple[Column, Any]] = {}
    for table in summary.tables if summary else ():
        for column, value in zip(table.columns, table.rows[0], strict=True) if len(table.rows) == 1 else ():
            if value is not None and column.unit not in {"text", "time"}:
                found.setdefault(column.name, (column, value))  # a later table may be about a part of the requests
    chosen = [next((name for name in names if name in found), None) for names in _KEY_FIGURES]
    known = [name for name in chosen if name is not None]
    return [found[name] for name in known] or list(found.values())[: len(_KEY_FIGURES)]


def _top_findings(report: Report) -> list[Element]:
    """Returns what the summary found, and the first finding of each other section with the way there."""
    found: list[Element] = []
    for number, section in _numbered(report):
        if section is _summary(report):
            found = [*(element("li", finding) for finding in section.findings), *found]
        elif section.findings:
            found.append(element("li", section.findings[0], " ", element("a", section.title, href=f"#s{number}")))
    return found[:_TOP_FINDINGS]


def _summary(report: Report) -> Section | None:
    """Returns the section of that name, else the first one."""
    named = (section for section in report.sections if section.name == "summary")
    return next(named, next(iter(report.sections), None))


def _section(section: Section, name: str, *, told: bool) -> Element:
    """Returns a section; without its findings where they were told on top already."""
    findings = () if told else section.findings
    return element(
        "section",
        element("h2", section.title, id=f"{name}-title"),
        element("ul", *(element("li", finding) for finding in findings), class_="findings") if findings else None,
        *(_block(table, f"{name}t{number}") for number, table in enumerate(section.tables, start=1)),
        id=name,
        aria_labelledby=f"{name}-title",
    )


def _block(table: Table, name: str) -> Element:
    """Returns a table and its charts; a single small chart stands beside the table where there is room."""
    charts = charts_of(table, name)
    alone = len(charts) == 1 and charts[0].get("class") == "half"
    return element(
        "div",
        element("div", *charts, class_="charts one" if alone else "charts") if charts else None,
        element("div", *tabled(table, name), class_="data"),
        class_="block",
    )


def _numbered(report: Report) -> list[tuple[int, Section]]:
    return list(enumerate(report.sections, start=1))
