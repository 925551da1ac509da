"""Failed calls, and what they and other calls cost that gave the caller nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from router.analytics.report_groups import Grouped
from router.analytics.report_query import Queries, Row
from router.analytics.report_tables import counted, dollars, percent, ratio, table
from router.analytics.tables import Section, Table


def failures_section(queries: Queries, groups: Grouped, /) -> Section:
    """Returns failed calls by model and class, and the commonest errors of each."""
    queries.run("wasted_found")
    rows = queries.rows("failures")
    answers = {model: row["answered"] - row["stored_answers"] for (model,), row in groups.figures[("model",)].items()}
    firsts = [row for row in rows if row["place"] == 1]
    return Section(
        name="failures",
        title="Failures",
        tables=(_failures(firsts, answers), _errors(rows)),
        findings=_failure_findings(firsts),
    )


def _failures(firsts: list[Row], answers: dict[str | None, int]) -> Table:
    failed = sum(row["all_calls"] for row in firsts)
    described = (
        "model Model text",
        "class Class text",
        "count Calls count",
        "share Share of failed calls share",
        "failed_share Of the model's calls share",
        "cost_usd Cost usd",
        "unknown_cost Of unknown cost count",
        "error Commonest error text",
    )
    own: dict[str | None, int] = {}
    for row in firsts:
        own[row["model"]] = own.get(row["model"], 0) + row["all_calls"]
    cells = [
        (
            row["model"],
            row["class"],
            row["all_calls"],
            ratio(row["all_calls"], failed),
            ratio(row["all_calls"], own[row["model"]] + answers.get(row["model"], 0)),
            row["cost_usd"],
            row["unknown_cost"],
            row["error"],
        )
        for row in firsts
    ]
    note = "A request may have failed calls and still be answered. A model's calls are its failed ones and its answers."
    return table("failures", "Failed calls by model and class", described, cells, note)


def _errors(rows: list[Row]) -> Table:
    described = (
        "model Model text",
        "class Class text",
        "count Calls count",
        "share Of its class share",
        "error Error text",
    )
    cells = [
        (row["model"], row["class"], row["calls"], ratio(row["calls"], row["all_calls"]), row["error"])
        for row in rows
        if row["error"] is not None
    ]
    note = "In the provider's words, shortened; those that differ in numbers or ids alone are one."
    return table("errors", "Commonest errors", described, cells, note)


def _failure_findings(firsts: list[Row]) -> tuple[str, ...]:
    if not firsts:
        return ()
    failed, top = sum(row["all_calls"] for row in firsts), firsts[0]
    share = percent(ratio(top["all_calls"], failed))
    words = f"; the commonest says {top['error']!r}" if top["error"] else ""
    return (f"{share} of {counted(failed, 'failed call')} are {top['class']} of {top['model']}{words}.",)


def waste_section(queries: Queries, groups: Grouped, /) -> Section:
    """Returns what was spent on calls that gave the caller nothing; after `failures_section`, which finds them."""
    rows, whole = queries.rows("waste"), groups.whole
    kinds = [row for row in rows if row["of_kinds"]]
    models = [row for row in rows if not row["of_kinds"]]
    answered = (whole["input_tokens"] or 0) + (whole["output_tokens"] or 0)
    all_tokens = answered + sum(row["tokens"] or 0 for row in kinds)
    tables = (
        _waste("waste", "Waste by kind", "kind Kind text", kinds, whole, all_tokens),
        _waste("waste_by_model", "Waste by model", "model Model text", models, whole, all_tokens),
        _most(queries.rows("most_wasteful")),
    )
    return Section(name="waste", title="Waste", tables=tables, findings=_waste_findings(kinds, whole))


def _waste(name: str, title: str, first: str, rows: list[Row], whole: Row, all_tokens: int) -> Table:
    described = (
        first,
        "calls Calls count",
        "billed Billed calls count",
        "tokens Tokens tokens",
        "tokens_share Of all tokens share",
        "cost_usd Cost usd",
        "share Of all cost share",
        "unknown_cost Of unknown cost count",
    )
    of, _, _ = first.partition(" ")
    cells = [
        (
            row[of],
            row["calls"],
            row["billed"],
            row["tokens"],
            ratio(row["tokens"], all_tokens),
            row["cost_usd"],
            ratio(row["known_usd"], whole["cost_usd"]),
            row["unknown_cost"],
        )
        for row in rows
    ]
    note = (
        "Calls that gave the caller nothing, each of one kind: time-outs and dropped connections; answers of no use; "
        "other failures that another call followed, and those that none did; answers that came too late or were given "
        "up. Tokens are those reported, else the request's likely input where it was billed; all tokens are these and "
        "those of answers. Shares of cost are of requests whose whole cost is known."
    )
    return table(name, title, described, cells, note)


def _most(rows: list[Row]) -> Table:
    described = (
        "trace_id Trace text",
        "time Time time",
        "model Model text",
        "ending Ending text",
        "calls Calls count",
        "cost_usd Cost usd",
        "waste_usd Wasted usd",
    )
    cells = [
        (
            row["trace_id"],
            moment_of_us(row["time_us"]),
            row["model"],
            row["ending"],
            row["calls"],
            row["cost_usd"],
            row["waste_usd"],
        )
        for row in rows
    ]
    note = "`lowfare explain TRACE` tells the story of one."
    return table("most_wasteful", "Requests that wasted most", described, cells, note)


def moment_of_us(time_us: int | None, /) -> datetime | None:
    """Returns a time in UTC from microseconds since 1970."""
    return None if time_us is None else datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)


def _waste_findings(kinds: list[Row], whole: Row) -> tuple[str, ...]:
    costs = [(row["cost_usd"], row["kind"]) for row in kinds if row["cost_usd"]]
    if not costs:
        return ()
    wasted = sum((cost for cost, _ in costs), Decimal(0))
    cost, kind = max(costs)
    known = [row["known_usd"] for row in kinds if row["known_usd"] is not None]
    of_all = ratio(sum(known, Decimal(0)), whole["cost_usd"]) if known else None
    share = "" if of_all is None else f", {percent(of_all)} of the cost"
    return (f"{dollars(wasted)} were wasted{share}; {dollars(cost)} of it by {kind}.",)
