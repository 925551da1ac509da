"""The summary: what was asked, what it cost, how long it took, what the cache and the choice of models saved."""

from __future__ import annotations

from dataclasses import dataclass, fields
from decimal import Decimal

from router.analytics.report_groups import Grouped, saved_usd
from router.analytics.report_prices import Tokens, charges_at, cost_of, steps_of
from router.analytics.report_query import Queries, Row
from router.analytics.report_tables import NEAREST_RANK, counted, dollars, percent, ratio, table
from router.analytics.tables import Section, Table
from router.errors import RequestError


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The whole cost beside what the same answers would have cost elsewhere.

    Attributes:
        name: of the model, or what the records themselves compared with.
        requests: how many are compared: those for which both costs are known.
        cost_usd: theirs.
        baseline_usd: at the other model.
    """

    name: str
    requests: int
    cost_usd: Decimal | None
    baseline_usd: Decimal | None

    @property
    def saved_usd(self) -> Decimal | None:
        """What was saved; negative where the baseline would have been cheaper."""
        if self.cost_usd is None or self.baseline_usd is None:
            return None
        return self.baseline_usd - self.cost_usd


def baseline_of(queries: Queries, whole: Row, /) -> Baseline:
    """Returns the comparison that a report is to make.

    Raises:
        RequestError: the baseline that was named has no known price.
    """
    wanted, prices = queries.options.baseline, queries.options.prices
    if wanted is None:
        return Baseline(
            name="each record's own baseline",
            requests=whole["compared"],
            cost_usd=whole["compared_usd"],
            baseline_usd=whole["baseline_usd"],
        )
    price = prices.of(wanted, None)
    steps = steps_of([price])
    rows = queries.by_step("baseline", steps)
    charges = [charges_at(price, steps, row["step"]) for row in rows] or [charges_at(price, steps, 0)]
    if price is None or None in charges:
        known = f"; the configuration has {', '.join(sorted(prices.catalog))}" if prices.catalog else ""
        raise RequestError(f"--baseline {wanted}: no price is known for it{known}")
    costs = [
        cost_of(Tokens(**{f.name: row[f.name] for f in fields(Tokens)}), price, of)
        for row, of in zip(rows, charges, strict=False)
        if of is not None
    ]
    return Baseline(
        name=wanted,
        requests=sum(row["requests"] for row in rows),
        cost_usd=sum((row["cost_usd"] for row in rows), Decimal(0)) if rows else None,
        baseline_usd=sum(costs, Decimal(0)) if costs else None,
    )


def summary_section(queries: Queries, groups: Grouped, /) -> Section:
    """Returns the figures of all requests."""
    whole = groups.whole
    baseline = baseline_of(queries, whole)
    split = queries.rows("endings")
    (timed,) = queries.rows("latencies")
    tables = (
        _summary(whole, baseline, timed),
        _tokens(whole),
        _latency(timed),
        _baseline(baseline),
        _cache([row for row in split if not row["of_endings"] and row["cache"] != "none"], whole),
        _endings([row for row in split if row["of_endings"]], whole),
    )
    return Section(name="summary", title="Summary", tables=tables, findings=_findings(whole, baseline))


def _summary(whole: Row, baseline: Baseline, timed: Row) -> Table:
    described = (
        "requests Requests count",
        "success_share Answered share",
        "cost_usd Cost usd",
        "unknown_cost Requests of unknown cost count",
        "baseline_usd The same at the baseline usd",
        "saved_usd Saved against the baseline usd",
        "waste_usd Wasted usd",
        "waste_share Wasted of the whole share",
        "input_tokens Input tokens tokens",
        "output_tokens Output tokens tokens",
        "latency_p95_s Latency, p95 seconds",
        "cache_hits Answered from the cache count",
        "cache_saved_usd Saved by the cache usd",
    )
    row = (
        whole["requests"],
        ratio(whole["answered"], whole["requests"]),
        whole["cost_usd"],
        whole["unknown_cost"],
        baseline.baseline_usd,
        baseline.saved_usd,
        whole["waste_usd"],
        ratio(whole["known_waste_usd"], whole["cost_usd"]),
        whole["input_tokens"],
        whole["output_tokens"],
        (timed["percentiles_s"] or (None, None, None))[1],
        whole["hits"],
        saved_usd(whole),
    )
    note = (
        "Sums of money leave out requests whose cost is unknown, and so do both parts of the share that is wasted; an "
        "answered request is one that ended with an answer."
    )
    return table("summary", "Everything", described, [row], note)


def _tokens(whole: Row) -> Table:
    described = (
        "input_tokens Input tokens",
        "cached_input_tokens of it read from providers' caches tokens",
        "cache_write_tokens of it written to them tokens",
        "output_tokens Output tokens",
        "reasoning_tokens of it reasoning tokens",
        "stored_input_tokens Input of stored answers tokens",
        "stored_output_tokens Output of stored answers tokens",
    )
    row = [whole[text.split()[0]] for text in described]
    note = "Tokens that providers counted for the answers they gave; those of answers out of the cache stand apart."
    return table("tokens", "Tokens", described, [row], note)


def _latency(timed: Row) -> Table:
    described = (
        "what Time to text",
        "requests Answers count",
        "mean_s Mean seconds",
        "p50_s p50 seconds",
        "p95_s p95 seconds",
        "p99_s p99 seconds",
    )
    kinds = (
        ("the answer", ""),
        *((("the answer, by a provider", "provided_"),) if timed["provided"] else ()),
        *((("the answer, from the cache", "stored_"),) if timed["stored"] else ()),
        ("the first token of a stream", "first_"),
    )
    rows = [
        (what, timed[f"{of}timed"], timed[f"{of}mean_s"], *(timed[f"{of}percentiles_s"] or (None, None, None)))
        for what, of in kinds
    ]
    return table("latency", "Latency", described, rows, f"From the request's arrival. {NEAREST_RANK}")


def _baseline(baseline: Baseline) -> Table:
    described = (
        "baseline Compared with text",
        "requests Requests count",
        "cost_usd Cost usd",
        "baseline_usd At the baseline usd",
        "saved_usd Saved usd",
        "saved_share Saved of the baseline share",
    )
    row = (
        baseline.name,
        baseline.requests,
        baseline.cost_usd,
        baseline.baseline_usd,
        baseline.saved_usd,
        ratio(baseline.saved_usd, baseline.baseline_usd),
    )
    note = "Over requests for which both are known. The baseline is the answer's tokens at the other model's price."
    return table("baseline", "Against a baseline", described, [row], note)


def _cache(rows: list[Row], whole: Row) -> Table:
    described = (
        "cache From text",
        "requests Requests count",
        "share Share of requests share",
        "saved_usd Saved usd",
        "unknown_saved Of unknown saving count",
    )
    cells = [
        (
            row["cache"],
            row["requests"],
            ratio(row["requests"], whole["requests"]),
            row["saved_usd"],
            row["unknown_saved"],
        )
        for row in rows
    ]
    return table("cache", "Answers out of the cache", described, cells, "Saved is what the stored answer had cost.")


def _endings(rows: list[Row], whole: Row) -> Table:
    described = (
        "ending Ending text",
        "requests Requests count",
        "share Share share",
        "cost_usd Cost usd",
        "unknown_cost Of unknown cost count",
    )
    cells = [
        (
            row["ending"],
            row["requests"],
            ratio(row["requests"], whole["requests"]),
            row["cost_usd"],
            row["unknown_cost"],
        )
        for row in rows
    ]
    return table("endings", "How requests ended", described, cells)


def _findings(whole: Row, baseline: Baseline) -> tuple[str, ...]:
    if not whole["requests"]:
        return ("No request of this log is in the window and the filters.",)
    unknown = f", and {whole['unknown_cost']:,} more of unknown cost" if whole["unknown_cost"] else ""
    spent = (
        f"{dollars(whole['cost_usd'])} were spent on {counted(whole['requests'] - whole['unknown_cost'], 'request')}"
    )
    out = [f"{spent}{unknown}; {percent(ratio(whole['answered'], whole['requests']))} of all were answered."]
    if baseline.baseline_usd and baseline.saved_usd is not None:
        more = "saved" if baseline.saved_usd >= 0 else "lost"
        share = percent(abs(float(baseline.saved_usd / baseline.baseline_usd)))
        out.append(
            f"{counted(baseline.requests, 'request')} can be compared, and cost {dollars(baseline.cost_usd)}; "
            f"at {baseline.name} they would have cost {dollars(baseline.baseline_usd)}: "
            f"{dollars(abs(baseline.saved_usd))} {more}, {share}."
        )
    if whole["hits"]:
        out.append(f"The cache served {counted(whole['hits'], 'request')} and saved {dollars(whole['saved_usd'])}.")
    return tuple(out)
