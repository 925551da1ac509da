"""Input that was sent before, and what providers' prompt caches would have saved of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from router.analytics.report_failures import moment_of_us
from router.analytics.report_prices import charges_at, steps_of
from router.analytics.report_query import Queries, Row
from router.analytics.report_tables import dollars, percent, ratio, table
from router.analytics.tables import Section, Table
from router.core.money import EXACT

_SUMS: Final = (
    "requests",
    "input_tokens",
    "cached_tokens",
    "previous_input_tokens",
    "previous_tokens",
    "previous_uncached_tokens",
    "any_input_tokens",
    "any_tokens",
    "any_uncached_tokens",
)
_SAVINGS: Final = ("previous", "any")

Model = tuple[str | None, str | None]


def context_section(queries: Queries, /) -> Section:
    """Returns repeated input by model, what caching it would have saved, and the longest resent beginnings."""
    named: dict[int, Model] = {row["of_model"]: (row["model"], row["model_id"]) for row in queries.rows("models")}
    prices = {model: queries.options.prices.of(*model) for model in named.values()}
    steps = steps_of(list(prices.values()))
    sums: dict[tuple[Model, int], dict[str, int]] = defaultdict(lambda: dict.fromkeys(_SUMS, 0))
    for row in _counted(queries, steps):
        found = sums[named[row["of_model"]], row["step"]]
        for name in _SUMS:
            found[name] += row.get(name, 0)
    models: dict[Model, dict[str, Any]] = {}
    for (model, step), found in sums.items():
        charges = charges_at(prices[model], steps, step)
        each_usd = None if charges is None else charges.input - charges.cached_input
        _add(models.setdefault(model, _nothing()), found, each_usd)
    whole = _nothing()
    for found in models.values():
        _merge(whole, found)
    rows = sorted(models.items(), key=lambda item: (-item[1]["any_tokens"], str(item[0])))
    tables = (_repeated([(("all models", None), whole), *rows] if rows else []), _prefixes(queries.rows("prefixes")))
    return Section(name="context", title="Repeated context", tables=tables, findings=_findings(whole))


def _counted(queries: Queries, steps: Sequence[int]) -> Iterator[Row]:
    yield from queries.by_step("context_inputs", steps)
    yield from queries.by_step("context_previous", steps)
    queries.run("context_firsts")
    # DuckDB takes the marks for few, since it does not know how many a request has, and would make its table of them.
    queries.connection.execute("SET disabled_optimizers = 'join_order,build_side_probe_side'")
    try:
        yield from queries.by_step("context_any", steps)
    finally:
        queries.connection.execute("RESET disabled_optimizers")


def _nothing() -> dict[str, Any]:
    return {**dict.fromkeys(_SUMS, 0), "previous_usd": Decimal(0), "any_usd": Decimal(0), "unpriced_tokens": 0}


def _add(to: dict[str, Any], found: Mapping[str, int], each_usd: Decimal | None) -> None:
    """Adds sums of tokens whose uncached part would have been cheaper by `each_usd` a token."""
    for name in _SUMS:
        to[name] += found[name]
    if each_usd is None:
        to["unpriced_tokens"] += found["any_uncached_tokens"]
        return
    for name in _SAVINGS:
        to[f"{name}_usd"] = EXACT.fma(each_usd, found[f"{name}_uncached_tokens"], to[f"{name}_usd"])


def _merge(to: dict[str, Any], found: Mapping[str, Any]) -> None:
    for name, value in found.items():
        to[name] = EXACT.add(to[name], value) if isinstance(value, Decimal) else to[name] + value


def _repeated(rows: list[tuple[Model, Mapping[str, Any]]]) -> Table:
    described = (
        "model Model text",
        "model_id Id text",
        "requests Answers count",
        "input_tokens Input tokens",
        "cached_tokens Read from provider's cache tokens",
        "previous_tokens Repeat the previous request tokens",
        "previous_share Of input in sessions share",
        "any_tokens Repeat any earlier request tokens",
        "any_share Of input with marks share",
        "previous_saving_usd Caching the former saves usd",
        "any_saving_usd Caching the latter saves usd",
        "unpriced_tokens Without a price tokens",
    )
    cells = [
        (
            *model,
            row["requests"],
            row["input_tokens"],
            row["cached_tokens"],
            row["previous_tokens"] if row["previous_input_tokens"] else None,
            ratio(row["previous_tokens"], row["previous_input_tokens"]),
            row["any_tokens"] if row["any_input_tokens"] else None,
            ratio(row["any_tokens"], row["any_input_tokens"]),
            *(_saving(row, name) for name in _SAVINGS),
            row["unpriced_tokens"],
        )
        for model, row in rows
    ]
    note = (
        "Repeated is what a request begins with like the previous one of its session (the tag `session`), or like any "
        "earlier one in the window and the filters, by bytes; tokens that the provider read from its cache already are "
        "left out of the savings. These are at most: input price less cache-read price, with no regard to how long a "
        "provider keeps a beginning, to its least size, or to what writing it costs."
    )
    return table("context", "Input that was sent before", described, cells, note)


def _saving(row: Mapping[str, Any], name: str) -> Decimal | None:
    """Returns what caching would save; None where beginnings are not known, or no price is."""
    if not row[f"{name}_input_tokens"]:
        return None
    unpriced = row["unpriced_tokens"] and row["unpriced_tokens"] == row["any_uncached_tokens"]
    saving: Decimal = row[f"{name}_usd"]
    return None if unpriced else saving


def _prefixes(rows: list[Row]) -> Table:
    described = (
        "digest Beginning text",
        "bytes Bytes count",
        "requests Requests count",
        "resent_bytes Resent bytes count",
        "first First time",
    )
    cells = [
        (row["hex"].rjust(16, "0"), row["size"], row["requests"], row["resent_bytes"], moment_of_us(row["first_us"]))
        for row in rows
    ]
    note = "Beginnings by their digest, as records have it; the longest of those that the same requests have."
    return table("prefixes", "Beginnings resent most", described, cells, note)


def _findings(whole: Mapping[str, Any]) -> tuple[str, ...]:
    out = []
    previous = ratio(whole["previous_tokens"], whole["previous_input_tokens"])
    if previous:
        out.append(f"{percent(previous)} of the input tokens in sessions repeat the previous request of the session.")
    anywhere = ratio(whole["any_tokens"], whole["any_input_tokens"])
    if anywhere:
        out.append(f"{percent(anywhere)} of the input tokens repeat what an earlier request began with.")
    if whole["any_usd"]:
        out.append(
            f"Providers' prompt caches would have saved up to {dollars(whole['any_usd'])}, "
            f"{dollars(whole['previous_usd'])} within sessions: put what stays the same first, and mark it for caching."
        )
    return tuple(out)
