"""Figures of requests, of all and by group: the summary, models, days, and the groups that a report asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain, count
from typing import Any, Final

from router.analytics.report_options import is_time, moment_at
from router.analytics.report_query import Queries, Row
from router.analytics.report_tables import NEAREST_RANK, counted, dollars, percent, ratio, table
from router.analytics.spelling import figure
from router.analytics.tables import Section, Table

_FIGURES: Final = (
    "requests Requests count",
    "share Share of requests share",
    "success_share Answered share",
    "cache_hits From the cache count",
    "tokens Tokens tokens",
    "input_tokens Input tokens tokens",
    "input_mean_tokens Input, mean tokens",
    "output_tokens Output tokens tokens",
    "output_mean_tokens Output, mean tokens",
    "cached_input_tokens Cached by provider tokens",
    "latency_mean_s Latency, mean seconds",
    "latency_p50_s Latency, p50 seconds",
    "latency_p95_s Latency, p95 seconds",
    "latency_p99_s Latency, p99 seconds",
    "cost_usd Cost usd",
    "cost_share Share of cost share",
    "unknown_cost Of unknown cost count",
    "waste_usd Wasted usd",
    "saved_usd Saved by cache usd",
)
_NOTE: Final = (
    "Tokens and latencies are of answers that a provider gave; sums of money leave out requests whose cost is unknown."
)

Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouped:
    """Figures by set of columns, each by the values of these columns."""

    figures: Mapping[tuple[str, ...], Mapping[Key, Row]]
    latencies: Mapping[tuple[str, ...], Mapping[Key, Row]]

    @property
    def whole(self) -> Row:
        """The figures of all requests."""
        return self.figures[()][()]


def grouped(queries: Queries, /) -> Grouped:
    """Returns the figures of all groups that a report shows."""
    own = tuple(f"by_{number}" for number in range(len(queries.options.by)))
    columns = ("model", "day", *own)
    sets = [(), ("model",), ("day",), *([own] if own else [])]
    rows = queries.rows("groups", sql={"columns": ", ".join(columns), "sets": _sql(sets)})
    timed = [("model",), *([own] if own else [])]
    timing = ("model", *own)
    slow = queries.rows("latency_groups", sql={"columns": ", ".join(timing), "sets": _sql(timed)})
    return Grouped(figures=_split(rows, columns, sets), latencies=_split(slow, timing, timed))


def _sql(sets: Sequence[tuple[str, ...]]) -> str:
    return ", ".join(f"({', '.join(names)})" for names in sets)


def _split(rows: Sequence[Row], columns: tuple[str, ...], sets: Sequence[tuple[str, ...]]) -> Any:
    """Returns the rows of each set of columns, by the values of these columns."""
    split: dict[tuple[str, ...], dict[Key, Row]] = {names: {} for names in sets}
    for row in rows:
        names = tuple(n for place, n in enumerate(reversed(columns)) if not row["grouped"] >> place & 1)[::-1]
        split[names][tuple(row[name] for name in names)] = row
    return split


def models_section(groups: Grouped, /) -> Section:
    """Returns the figures by the model whose answer the caller got."""
    rows = _rows(groups, ("model",), key=lambda key: key)
    rows.sort(key=_dearest)
    by_model = table(
        "by_model",
        "By model",
        ("model Model text", *_FIGURES),
        rows,
        f"A request belongs to the model whose answer the caller got, with all that its attempts cost; to none where "
        f"nobody answered. {_NOTE} {NEAREST_RANK}",
    )
    return Section(name="models", title="Models", tables=(by_model,), findings=_model_findings(by_model))


def days_section(groups: Grouped, /) -> Section:
    """Returns the figures by day."""
    described = (
        "time Day time",
        "requests Requests count",
        "success_share Answered share",
        "tokens Tokens tokens",
        "cost_usd Cost usd",
        "unknown_cost Of unknown cost count",
        "waste_usd Wasted usd",
        "saved_usd Saved by cache usd",
    )
    days = sorted((day, row) for (day,), row in groups.figures[("day",)].items() if day is not None)
    rows = [
        (
            moment_at("day", day),
            row["requests"],
            ratio(row["answered"], row["requests"]),
            _tokens(row),
            row["cost_usd"],
            row["unknown_cost"],
            row["waste_usd"],
            saved_usd(row),
        )
        for day, row in days
    ]
    by_day = table("by_day", "By day", described, rows, f"Days are those of UTC. {_NOTE}")
    timeless = groups.figures[("day",)].get((None,))
    lacking = (f"{counted(timeless['requests'], 'request')} without a time: in no day.",) if timeless else ()
    return Section(name="days", title="Days", tables=(by_day,), findings=(*_day_findings(days), *lacking))


def own_section(groups: Grouped, by: Sequence[str], /) -> Section:
    """Returns the figures by the groups that the report asks for."""
    names = tuple(f"by_{number}" for number in range(len(by)))

    def key(values: Key) -> Key:
        return tuple(moment_at(n, v) if is_time(n) else v for n, v in zip(by, values, strict=True))

    rows = _rows(groups, names, key=key)
    if is_time(by[0]):
        rows.sort(key=lambda row: (row[0] is None, row[0] or 0))
    else:
        rows.sort(key=_dearest)
    columns = _columns(by)
    described = [f"{column} {_described(name)}" for column, name in zip(columns, by, strict=True)]
    told = ", ".join(name.removeprefix("tag:") for name in by)
    own = table("by_" + "_".join(columns), f"By {told}", (*described, *_FIGURES), rows, f"{_NOTE} {NEAREST_RANK}")
    return Section(name="groups", title=f"By {told}", tables=(own,))


def _columns(by: Sequence[str]) -> list[str]:
    """Returns what the columns of groups are called: each in its own way, and a tag like no field and no figure."""
    names: list[str] = []
    for group in by:
        plain = "".join(c if c.isalnum() else "_" for c in group)
        names.append(next(name for name in chain([plain], (f"{plain}_{n}" for n in count(2))) if name not in names))
    return names


def _described(name: str) -> str:
    return f"{name.removeprefix('tag:').capitalize()} {'time' if is_time(name) else 'text'}"


def _rows(groups: Grouped, names: tuple[str, ...], *, key: Any) -> list[tuple[Any, ...]]:
    whole = groups.whole
    rows = []
    for values, row in groups.figures[names].items():
        timed = groups.latencies[names].get(values, {})
        percentiles = timed.get("percentiles_s") or (None, None, None)
        rows.append(
            (
                *key(values),
                row["requests"],
                ratio(row["requests"], whole["requests"]),
                ratio(row["answered"], row["requests"]),
                row["hits"],
                _tokens(row),
                row["input_tokens"],
                ratio(row["input_tokens"], row["counted"]),
                row["output_tokens"],
                ratio(row["output_tokens"], row["counted"]),
                row["cached_input_tokens"],
                timed.get("mean_s"),
                *percentiles,
                row["cost_usd"],
                ratio(row["cost_usd"], whole["cost_usd"]),
                row["unknown_cost"],
                row["waste_usd"],
                saved_usd(row),
            )
        )
    return rows


def saved_usd(row: Row, /) -> Decimal | None:
    """Returns what hits saved: 0 where there were none, None where nobody knows."""
    saved: Decimal | None = row["saved_usd"]
    return saved if row["hits"] else Decimal(0)


def _tokens(row: Row) -> int | None:
    if row["input_tokens"] is None and row["output_tokens"] is None:
        return None
    return (row["input_tokens"] or 0) + (row["output_tokens"] or 0)


def _dearest(row: tuple[Any, ...]) -> Any:
    """Returns what sorts rows by cost, the dearest first, and those of unknown cost last."""
    width = len(_FIGURES)
    figures = row[-width:]
    cost = figures[14]
    return (cost is None, -(cost or Decimal(0)), -figures[0], [str(value) for value in row[:-width]])


def _model_findings(by_model: Table) -> tuple[str, ...]:
    names = [column.name for column in by_model.columns]
    rows = [dict(zip(names, row, strict=True)) for row in by_model.rows]
    answering = [row for row in rows if row["model"] is not None]
    if len(answering) < 2 or not answering[0]["cost_usd"]:
        return ()
    top = answering[0]
    took = f"{percent(top['cost_share'])} of the money ({dollars(top['cost_usd'])})"
    out = [f"{top['model']} gave {percent(top['share'])} of the answers and took {took}."]
    timed = [row for row in answering if row["latency_p95_s"] is not None]
    if len(timed) > 1:
        slowest = max(timed, key=lambda row: row["latency_p95_s"])
        out.append(
            f"The slowest is {slowest['model']}: 5 % of its answers take "
            f"{figure(slowest['latency_p95_s'], 'seconds')} or more."
        )
    return tuple(out)


def _day_findings(days: Sequence[tuple[int, Row]]) -> tuple[str, ...]:
    dear = [(row["cost_usd"], day) for day, row in days if row["cost_usd"]]
    if len(dear) < 2:
        return ()
    cost, day = max(dear)
    mean = sum((c for c, _ in dear), Decimal(0)) / len(dear)
    moment = moment_at("day", day)
    dearest = f"The dearest day was {moment:%Y-%m-%d} with {dollars(cost)}"
    return (f"{dearest}; the mean of {counted(len(dear), 'day')} with costs is {dollars(mean)}.",)
