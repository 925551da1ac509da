"""How much of what was sent, of the window, and of what was asked for, answers make use of."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from router.analytics.report_query import Queries, Row
from router.analytics.report_tables import NEAREST_RANK, counted, dollars, percent, ratio, table
from router.analytics.tables import Section, Table

_SUMS: Final = (
    *("answers", "compared", "completions", "underused", "overused"),
    *("limited", "asked_tokens", "used_tokens", "at_limit"),
)
_ROOMY: Final = 0.5
"""Of what is asked for, the answers use less: worth a finding, since bounds and rate limits go by what is asked."""


def efficiency_section(queries: Queries, /) -> Section:
    """Returns the completion ratio, window use, and `max_tokens` against what was written."""
    models = queries.rows("efficiency")
    whole = _whole(models)
    rows = [whole, *models] if models else []
    tables = (_completion(rows), _windows(models), _limits([row for row in rows if row["limited"]]))
    return Section(name="efficiency", title="Token efficiency", tables=tables, findings=_findings(whole))


def _whole(models: list[Row]) -> Row:
    """Returns the sums of all models."""
    sums = {name: sum(row[name] for row in models) for name in _SUMS}
    costs = {name: [row[name] for row in models if row[name] is not None] for name in ("underused_usd", "overused_usd")}
    known = {name: sum(amounts, Decimal(0)) if amounts else None for name, amounts in costs.items()}
    return {"model": "all models", "used_p95": None, **sums, **known}


def _completion(rows: list[Row]) -> Table:
    described = (
        "model Model text",
        "requests Answers count",
        "completion_mean_ratio Completion ratio, mean ratio",
        "underused Underused count",
        "underused_share Of answers share",
        "underused_usd Their cost usd",
        "overused Overused count",
        "overused_share Of answers share",
        "overused_usd Their cost usd",
    )
    cells = [
        (
            row["model"],
            row["compared"],
            ratio(row["completions"], row["compared"]),
            row["underused"],
            ratio(row["underused"], row["compared"]),
            row["underused_usd"] if row["underused"] else Decimal(0),
            row["overused"],
            ratio(row["overused"], row["compared"]),
            row["overused_usd"] if row["overused"] else Decimal(0),
        )
        for row in rows
    ]
    note = (
        "The completion ratio is output by input tokens of one answer; below 0.1 much was sent for little (underused), "
        "above 5 little for much (overused). Answers of providers alone; those without input are left out."
    )
    return table("completion", "Completion ratio", described, cells, note)


def _windows(rows: list[Row]) -> Table:
    described = (
        "model Model text",
        "requests Answers count",
        "window_tokens Window tokens",
        "window_mean_share Used, mean share",
        "window_p95_share Used, p95 share",
        "window_most_share Used, most share",
    )
    cells = [
        (row["model"], row["fitted"], row["window_tokens"], row["filled_mean"], row["filled_p95"], row["filled_most"])
        for row in rows
        if row["fitted"]
    ]
    note = f"Input tokens by the context window of the model as the record has it. {NEAREST_RANK}"
    return table("windows", "Use of the context window", described, cells, note)


def _limits(rows: list[Row]) -> Table:
    described = (
        "model Model text",
        "requests Answers count",
        "asked_tokens Asked for tokens",
        "used_tokens Written tokens",
        "used_share Written of asked share",
        "used_p95_share Written of asked, p95 share",
        "at_limit Cut at the limit count",
    )
    cells = [
        (
            row["model"],
            row["limited"],
            row["asked_tokens"],
            row["used_tokens"],
            ratio(row["used_tokens"], row["asked_tokens"]),
            row["used_p95"],
            row["at_limit"],
        )
        for row in rows
    ]
    note = (
        "`max_tokens` times choices against the tokens written, where a request named a limit. Worst cases, budgets "
        "and providers' rate limits go by what is asked for."
    )
    return table("limits", "max_tokens asked and used", described, cells, note)


def _findings(whole: Row) -> tuple[str, ...]:
    out = []
    if whole["underused"]:
        share = percent(ratio(whole["underused"], whole["compared"]))
        out.append(
            f"{counted(whole['underused'], 'answer')} ({share}) wrote less than a tenth of what was sent, for "
            f"{dollars(whole['underused_usd'])}: look for context that could be left out."
        )
    used = ratio(whole["used_tokens"], whole["asked_tokens"])
    if used is not None and used < _ROOMY:
        out.append(
            f"Of the max_tokens asked for {percent(used)} were written: lower limits make worst cases smaller, and "
            f"what providers' rate limits count."
        )
    if whole["at_limit"]:
        out.append(f"{counted(whole['at_limit'], 'answer')} reached max_tokens and may have been cut off.")
    return tuple(out)
