"""Requests that came more than once: what they cost, what a cache would have saved, and storms of retries."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Final

from router.analytics.cache_played import OFTEN, played
from router.analytics.report_failures import moment_of_us
from router.analytics.report_groups import Grouped
from router.analytics.report_query import Queries, Row
from router.analytics.report_tables import counted, dollars, percent, ratio, table
from router.analytics.tables import Section, Table
from router.core.money import EXACT

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
TTLS_S: Final = (
    *(n * _MINUTE for n in (1, 5, 15)),
    *(n * _HOUR for n in (1, 3, 6, 12)),
    *(n * _DAY for n in (1, 2, 7, 14, 30)),
)
"""For how long a cache keeps an answer, in the curve."""
_NO_HITS: Final[Row] = {"hits": 0, "saved_usd": Decimal(0), "unknown_cost": 0}
_PART: Final = 100_000
"""Requests of keys that came often, which are held at a time."""
_ENOUGH: Final = 0.9
"""Of what the longest time saves: the shortest that saves as much is the one to take."""


def duplicates_section(queries: Queries, groups: Grouped, /) -> Section:
    """Returns repeated requests, the curve of a cache, and retry storms."""
    queries.run("duplicates_found")
    repeats, *dearest = queries.rows("duplicates")
    curve = _played(queries)
    storms, *largest = queries.rows("storms", within_s=queries.options.storm_within_s)
    tables = (
        _repeats(repeats, groups.whole),
        _dearest(dearest),
        _curve(curve, groups.whole),
        _storms(storms, groups.whole),
        _largest(largest, queries.options.storm_within_s),
    )
    findings = (*_repeat_findings(repeats, curve, groups.whole), *_storm_findings(storms))
    return Section(name="duplicates", title="Duplicates", tables=tables, findings=findings)


def _played(queries: Queries) -> list[Row]:
    """Returns what a cache would have come to, for each time that it may keep an answer."""
    few = {row["ttl_s"]: row for row in queries.rows("cache_curve", ttls_s=list(TTLS_S), often=OFTEN)}
    queries.run("cache_often", often=OFTEN)
    often = played(iter(partial(queries.connection.fetchmany, _PART), []), TTLS_S)
    return [_sum(row, few.get(row["ttl_s"], _NO_HITS)) for row in often]


def _sum(one: Row, other: Row) -> Row:
    return {
        "ttl_s": one["ttl_s"],
        "hits": one["hits"] + other["hits"],
        "saved_usd": EXACT.add(one["saved_usd"], other["saved_usd"]),
        "unknown_cost": one["unknown_cost"] + other["unknown_cost"],
    }


def _repeats(repeats: Row, whole: Row) -> Table:
    described = (
        "keys Different requests that came again count",
        "repeats Repeats count",
        "share Of all requests share",
        "cost_usd Cost of the repeats usd",
        "cost_share Of all cost share",
        "unknown_cost Of unknown cost count",
        "cache_hits Answered from the cache count",
    )
    row = (
        repeats["keys"],
        repeats["repeats"],
        ratio(repeats["repeats"], whole["requests"]),
        repeats["cost_usd"] if repeats["repeats"] else Decimal(0),
        ratio(repeats["cost_usd"], whole["cost_usd"]),
        repeats["unknown_cost"],
        repeats["stored"],
    )
    note = "A repeat has the content key of an earlier request in the window and the filters."
    return table("duplicates", "Repeated requests", described, [row], note)


def _dearest(rows: list[Row]) -> Table:
    described = (
        "key Key text",
        "repeats Repeats count",
        "cost_usd Cost of the repeats usd",
        "unknown_cost Of unknown cost count",
        "cache_hits From the cache count",
        "first First time",
        "last Last time",
    )
    cells = [
        (
            row["key"],
            row["repeats"],
            row["cost_usd"],
            row["unknown_cost"],
            row["stored"],
            moment_of_us(row["first_us"]),
            moment_of_us(row["last_us"]),
        )
        for row in rows
    ]
    return table("most_repeated", "Dearest repeats", described, cells, "Keys by their first 16 digits.")


def _curve(rows: list[Row], whole: Row) -> Table:
    described = (
        "ttl_s Kept for seconds",
        "hits Hits count",
        "share Of all requests share",
        "saved_usd Saved usd",
        "saved_share Of all cost share",
        "unknown_cost Of unknown cost count",
    )
    cells = [
        (
            row["ttl_s"],
            row["hits"],
            ratio(row["hits"], whole["requests"]),
            row["saved_usd"],
            ratio(row["saved_usd"], whole["cost_usd"]),
            row["unknown_cost"],
        )
        for row in rows
    ]
    note = (
        "An answer is kept from when it came, a hit does not prolong that, and a request that comes while an equal one "
        "is under way shares its answer. Saved is what the hits cost in the log, beyond what its own cache saved."
    )
    return table("cache_curve", "What a cache would have saved", described, cells, note)


def told(ttl_s: int, /) -> str:
    """Returns a time in whole units: "15 min", "7 d"."""
    unit, name = next(u for u in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min"), (1, "s")) if ttl_s % u[0] == 0)
    return f"{ttl_s // unit} {name}"


def _storms(storms: Row, whole: Row) -> Table:
    described = (
        "storms Storms count",
        "requests Requests in them count",
        "share Of all requests share",
        "cost_usd Cost usd",
        "cost_share Of all cost share",
        "unknown_cost Of unknown cost count",
    )
    row = (
        storms["storms"],
        storms["requests"],
        ratio(storms["requests"], whole["requests"]),
        storms["cost_usd"] if storms["requests"] else Decimal(0),
        ratio(storms["cost_usd"], whole["cost_usd"]),
        storms["unknown_cost"],
    )
    return table("storms", "Retry storms", described, [row])


def _largest(rows: list[Row], within_s: float) -> Table:
    described = (
        "key Key text",
        "client Client text",
        "requests Requests count",
        "first From time",
        "lasted_s Lasted seconds",
        "cost_usd Cost usd",
    )
    cells = [
        (
            row["key"],
            row["client"],
            row["requests"],
            moment_of_us(row["first_us"]),
            (row["last_us"] - row["first_us"]) / 1_000_000,
            row["cost_usd"],
        )
        for row in rows
    ]
    note = (
        f"Three or more equal requests of one client (the tag `client`, else the tenant), each within {within_s:g} s "
        f"of the one before it."
    )
    return table("largest_storms", "Largest storms", described, cells, note)


def _repeat_findings(repeats: Row, curve: list[Row], whole: Row) -> tuple[str, ...]:
    if not repeats["repeats"]:
        return ()
    share = percent(ratio(repeats["repeats"], whole["requests"]))
    repeated = counted(repeats["repeats"], "repeat")
    out = [f"{repeated} of earlier requests ({share} of all) cost {dollars(repeats['cost_usd'])}."]
    most = curve[-1]["saved_usd"]
    if most:
        enough = next(row for row in curve if row["saved_usd"] >= Decimal(str(_ENOUGH)) * most)
        out.append(
            f"A cache that keeps answers for {told(enough['ttl_s'])} would have saved {dollars(enough['saved_usd'])} "
            f"({counted(enough['hits'], 'hit')}); 30 days would have saved {dollars(most)}."
        )
    return tuple(out)


def _storm_findings(storms: Row) -> tuple[str, ...]:
    if not storms["storms"]:
        return ()
    what = f"{counted(storms['storms'], 'retry storm')} made {counted(storms['requests'], 'request')}"
    return (f"{what} for {dollars(storms['cost_usd'])}: let those clients wait between retries, or cache.",)
