"""What a decision in its JSON form says of the cache -> what a person reads; and how old answers are, in words.

Records of versions without a cache lack these fields: they read as records of requests that used none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from router.cli.terminal import seconds, shown

Record = Mapping[str, Any]

_SOURCES = {"memory": "from memory", "shared": "from the shared store", "flight": "from an equal request in flight"}
_PLACES = {
    "memory": "in this process's memory",
    "shared": "in the store that processes share",
    "flight": "an equal request in flight, which was waited for",
}
_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"))


def lookup(record: Record) -> Table | None:
    """Returns what the cache had for a request, and on what terms; None for one that had nothing to do with it."""
    if not (record.get("caching") or record.get("lookup") or record.get("key_without")):
        return None
    grid = _grid()
    looked = record.get("lookup")
    if looked is not None:
        for label, text in _found(record, looked):
            grid.add_row(label, Text(shown(text)))
    for label, text in _terms(record):
        grid.add_row(label, Text(shown(text)))
    return grid


def planned(record: Record, *, cached: bool) -> Table | None:
    """Returns what the cache would be for a request that was not sent; None where there is none.

    Args:
        record: of the preview.
        cached: whether the configuration has a cache.
    """
    if not cached:
        return None
    grid = _grid()
    if not record["caching"]:
        grid.add_row("mode", Text("off for this request: neither asked nor written"))
    for label, text in _terms(record):
        grid.add_row(label, Text(shown(text)))
    return grid


def would(record: Record) -> str:
    """Returns who would be asked first for a request that was not sent."""
    first = record["slate"]["live"][0]["model"]
    match (record.get("caching") or {}).get("mode"):
        case "use":
            return f"The cache would be asked, and then {first}"
        case "only":
            return "The cache would be asked, and nobody else"
        case _:
            return f"{first} would be asked first"


def kept(record: Record) -> Mapping[str, Any] | None:
    """Returns the hit whose answer the caller got; None where a provider answered, or nobody."""
    looked = record.get("lookup")
    return looked["hit"] if looked and record["cache"] != "none" and record["model"] is not None else None


def source(hit: Mapping[str, Any]) -> str:
    """Returns where an answer came from that nobody was asked for: "from memory"."""
    return _SOURCES.get(hit["kind"], "from the cache")


def age(duration_s: float) -> str:
    """Returns a time in the unit that a person would choose: "312 ms", "4.5 s", "3.5 hours", "1 day"."""
    for unit_s, name in _UNITS:
        if duration_s >= unit_s:
            count = f"{duration_s / unit_s:,.1f}".removesuffix(".0")
            return f"{count} {name}" if count == "1" else f"{count} {name}s"
    return f"{duration_s:,.1f}".removesuffix(".0") + " s" if duration_s >= 1 else seconds(duration_s)


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(width=6, no_wrap=True)
    grid.add_column(overflow="fold")
    return grid


def _found(record: Record, looked: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    hit = looked["hit"]
    if hit is None:
        yield "found", f"nothing, after {seconds(looked['ended_s'] - record['started_s'])}"
        return
    yield "found", _PLACES.get(hit["kind"], "in the cache")
    failure = hit["failure"]
    what = f"answer of {hit['model']}" if failure is None else f"refusal by {hit['model']} ({failure['kind']})"
    yield "whose", f"{what} to trace {hit['trace_id']}, {age(hit['age_s'])} old"
    if looked["refused"] is not None:
        yield "but", f"it did not count: {looked['refused']}"


def _terms(record: Record) -> Iterator[tuple[str, str]]:
    terms = record.get("caching")
    if terms:
        yield "mode", _mode(terms)
    yield "key", record["key"]
    if without := record.get("key_without"):
        yield "", f"rules of policy {record['policy']} left out of it: {', '.join(without)}"


def _mode(terms: Mapping[str, Any]) -> str:
    kept = f"a new one is kept for {age(terms['ttl_s'])}"
    limit = "" if terms["max_age_s"] is None else f" up to {age(terms['max_age_s'])} old"
    match terms["mode"]:
        case "use":
            return f"use: a stored answer{limit} is taken, {kept}"
        case "refresh":
            return f"refresh: no stored answer is taken, {kept}"
        case "only":
            return f"only: a stored answer{limit}, or an error"
        case other:
            return str(other)
