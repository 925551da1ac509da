"""A backtest as tables, each with what it takes to read it right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from router.analytics.backtest import Backtest
from router.analytics.backtest_explored import Reward
from router.analytics.backtest_figures import Estimated, Figures, costs, decimal, percentile_s, rewards, share
from router.analytics.backtest_tally import Sums, Tally
from router.analytics.offpolicy import Estimate
from router.analytics.report_tables import counted
from router.analytics.spelling import dollars
from router.analytics.tables import Column, Report, Section, Table, Unit
from router.core import statics
from router.setup import Setup

SHOWN: Final = 50
"""Reasons that a table lists; the commonest first."""
REWARDS: Final[Mapping[Reward, str]] = {
    "answer": "answered",
    "label": "adequate",
    "score": "score",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One configuration of the report.

    Attributes:
        title: what the titles of its sections begin with.
        suffix: what their names end with.
    """

    tally: Tally
    setup: Setup
    policy: str | None
    reward: Reward
    title: str
    suffix: str

    def section(self, name: str, title: str, *tables: Table, findings: Iterable[str] = ()) -> Section:
        """Returns a section of this configuration."""
        return Section(
            name=f"{name}{self.suffix}", title=f"{self.title}{title}", tables=tables, findings=tuple(findings)
        )


def report_of(
    done: Backtest, figures: Figures, /, *, names: tuple[str, ...], about: Iterable[tuple[str, str]]
) -> Report:
    """Returns the report of a backtest.

    Args:
        done: what it came to.
        figures: of it.
        names: of the configurations.
        about: facts to put first.
    """
    result, job = done.result, done.job
    sections = [_set_aside(result.aside, result.records)] if result.aside else []
    if job.compare:
        sections.append(_comparison(figures, names))
    several = len(names) > 1
    for index, (name, tally, setup) in enumerate(zip(names, result.tallies, job.setups, strict=True), start=1):
        part = _Part(
            tally=tally,
            setup=setup,
            policy=job.policy,
            reward=job.reward,
            title=f"{name}: " if several else "",
            suffix=f"_{index}" if several else "",
        )
        sections += _sections(part, explored=job.logged_by is not None)
    facts = (*about, ("records", f"{result.records:,}"), ("set aside", f"{sum(result.aside.values()):,}"))
    return Report(title="Backtest", about=facts, sections=tuple(sections))


def _sections(part: _Part, *, explored: bool) -> Iterator[Section]:
    tally = part.tally
    yield part.section("cost", "Cost", _cost(tally), _latency(tally), findings=_findings(part))
    yield part.section("moves", "From model to model", _moves(tally))
    yield part.section("days", "By day", _days(tally))
    yield part.section("bounds", "Bounds", _endings(tally), _refused(tally))
    yield part.section("drops", "Models dropped, by reason", _drops(tally))
    if explored or tally.explored.requests or tally.explored.outside:
        yield _offpolicy(part)


def _columns(*of: tuple[str, str, Unit]) -> tuple[Column, ...]:
    return tuple(Column(name=name, title=title, unit=unit) for name, title, unit in of)


_MONEY: Final[tuple[tuple[str, str, Unit], ...]] = (
    ("was_usd", "then", "usd"),
    ("now_usd", "now", "usd"),
    ("savings_share", "saved", "share"),
    ("observed_usd", "observed", "usd"),
    ("unknown", "unknown", "count"),
)
_HOW: Final = (
    "Costs are of the requests whose cost is known then and now; the others are counted. Observed: what the log has, "
    "as it has it. Estimated: another model answers than in the log, in one attempt and with as many tokens; the price "
    "is exact, whether the answer would have done is not known."
)


def _money(sums: Sums) -> tuple[Any, ...]:
    if sums.all_unknown:
        return None, None, None, None, sums.unknown
    saved = (sums.was_usd - sums.now_usd) / sums.was_usd if sums.was_usd else None
    return sums.was_usd, sums.now_usd, saved, sums.observed_usd, sums.unknown


def _cost(tally: Tally) -> Table:
    total = tally.total
    saved = total.was_usd - total.now_usd
    columns = _columns(
        ("requests", "requests", "count"),
        ("was_usd", "cost then", "usd"),
        ("now_usd", "cost now", "usd"),
        ("savings_usd", "saved", "usd"),
        ("savings_share", "saved, of the cost then", "share"),
        ("observed_usd", "of the cost now, observed", "usd"),
        ("estimated_usd", "of the cost now, estimated", "usd"),
        ("unknown", "requests whose cost is unknown", "count"),
        ("observed_share", "requests observed", "share"),
        ("changed_share", "requests with another model", "share"),
    )
    money = (
        total.was_usd,
        total.now_usd,
        saved,
        saved / total.was_usd if total.was_usd else None,
        total.observed_usd,
        total.now_usd - total.observed_usd,
    )
    row = (
        total.requests,
        *(money if not total.all_unknown else (None,) * len(money)),
        total.unknown,
        share(total.observed, total.requests),
        share(total.changed, total.requests),
    )
    return Table(name="cost", title="Cost", columns=columns, rows=(row,), note=_HOW)


def _findings(part: _Part) -> Iterator[str]:
    tally, total = part.tally, part.tally.total
    n = total.requests
    if not n:
        yield "No request was replayed, so nothing can be said."
        return
    money = "What they cost is not known of any request" if total.all_unknown else _compared(total)
    yield f"{money}; {100 * total.changed / n:.1f} % of {counted(n, 'request')} would get another model."
    if estimated := n - total.observed:
        yield (
            f"{counted(estimated, 'request')} ({100 * estimated / n:.1f} %) would ask a model whose outcome is not in "
            "the log: the cost is estimated, and the adequacy unobserved."
        )
    yield from _doubts(tally)
    policies = part.setup.policies
    if any(statics.patterns(one) for name, one in policies.items() if part.policy in {None, name}):
        yield (
            "Rules match the last user message, which the log does not have: they hold where the configuration that "
            "wrote the log had the same expression and it matched, and nowhere else."
        )


def _compared(total: Sums) -> str:
    """Returns what the new configuration costs beside the old, in words that differ where the amounts do."""
    saved = total.was_usd - total.now_usd
    if not saved:
        return f"{dollars(total.now_usd)}, as before"
    exact = dollars(total.now_usd) == dollars(total.was_usd)
    now, was = dollars(total.now_usd, exact=exact), dollars(total.was_usd, exact=exact)
    percent = f" ({abs(100 * saved / total.was_usd):.1f} %)" if total.was_usd else ""
    return f"{now} instead of {was}: {dollars(abs(saved))}{percent} {'less' if saved > 0 else 'more'}"


def _doubts(tally: Tally) -> Iterator[str]:
    total = tally.total
    if total.was_estimated_usd:
        yield f"{dollars(total.was_estimated_usd)} of the cost then is not in the log either: tokens at today's prices."
    if total.unknown:
        yield f"The cost of {counted(total.unknown, 'request')} is not known then or now, and in no sum of dollars."
    if total.by_features:
        yield f"Of {counted(total.by_features, 'estimate')} no tokens are reported: those counted ahead stand for them."
    if tally.hits_lost:
        yield (
            f"{counted(tally.hits_lost, 'answer')} out of the cache would not count any more, since the model is not "
            "live; taken as calls, though some would have found an answer of the new model."
        )
    if tally.without_stats:
        yield f"The record of {counted(tally.without_stats, 'request')} lacks the statistics that the policy reads now."
    if tally.near_limit:
        yield (
            f"{counted(tally.near_limit, 'request')} near a limit of the policy, not counted exactly, may belong on "
            "its other side."
        )


def _latency(tally: Tally) -> Table:
    columns = _columns(
        ("when", "", "text"),
        ("answers", "answers", "count"),
        ("latency_p50_s", "p50", "seconds"),
        ("latency_p95_s", "p95", "seconds"),
        ("latency_p99_s", "p99", "seconds"),
    )
    rows = tuple(
        (when, sum(known.values()), *(percentile_s(known, p) for p in (0.5, 0.95, 0.99)))
        for when, known in (("then", tally.latency_was), ("now, observed", tally.latency_now))
    )
    note = "Nearest rank, in whole milliseconds. How long the unobserved answers would take, nobody knows."
    return Table(name="latency", title="Latency of answers", columns=columns, rows=rows, note=note)


def _moves(tally: Tally) -> Table:
    columns = _columns(
        ("was", "then", "text"),
        ("now", "now", "text"),
        ("requests", "requests", "count"),
        ("share", "share", "share"),
        *_MONEY,
    )
    moves = sorted(tally.moves.items(), key=lambda move: (-move[1].requests, move[0]))
    rows = tuple((was, now, s.requests, share(s.requests, tally.total.requests), *_money(s)) for (was, now), s in moves)
    note = (
        "By whose answer the caller got; nobody's where there was none. Observed: of the cost now. Unknown: requests "
        "whose cost is not known."
    )
    return Table(name="moves", title="Requests by model, then and now", columns=columns, rows=rows, note=note)


def _days(tally: Tally) -> Table:
    columns = _columns(
        ("day", "day (UTC)", "text"),
        ("requests", "requests", "count"),
        *_MONEY,
        ("changed_share", "changed", "share"),
    )
    rows = tuple((day, s.requests, *_money(s), share(s.changed, s.requests)) for day, s in sorted(tally.days.items()))
    note = "Changed: requests that get another model."
    return Table(name="days", title="By day", columns=columns, rows=rows, note=note)


def _endings(tally: Tally) -> Table:
    columns = _columns(("ending", "ending", "text"), ("was", "then", "count"), ("now", "now", "count"))
    names = sorted({*tally.endings_was, *tally.endings_now})
    return Table(
        name="endings",
        title="How requests end",
        columns=columns,
        rows=tuple((name, tally.endings_was.get(name, 0), tally.endings_now.get(name, 0)) for name in names),
        note="cache: a stored answer; bounds: one more attempt would have crossed one; unobserved: a model would be "
        "asked whose outcome is not in the log. There are no budgets over several requests in this version.",
    )


def _refused(tally: Tally) -> Table:
    return Table(
        name="refused",
        title="Requests that nobody may serve within their max_cost_usd",
        columns=_columns(("was", "then", "count"), ("now", "now", "count")),
        rows=((tally.refused_was, tally.refused_now),),
        note="A bound of the configuration counts where it is lower than the logged one; a higher one changes nothing, "
        "since the log does not tell whose bound it was.",
    )


def _drops(tally: Tally) -> Table:
    columns = _columns(
        ("model", "model", "text"),
        ("by", "by", "text"),
        ("reason", "reason", "text"),
        ("requests", "requests", "count"),
    )
    dropped = sorted(tally.dropped.items(), key=lambda entry: (-entry[1], entry[0]))
    rows = tuple((*name, count) for name, count in dropped[:SHOWN])
    note = "Numbers in reasons are left out (#)."
    if len(dropped) > SHOWN:
        note += f" The {SHOWN} commonest of {len(dropped):,}."
    return Table(name="drops", title="Now", columns=columns, rows=rows, note=note)


def _set_aside(aside: Mapping[str, int], records: int) -> Section:
    columns = _columns(("reason", "reason", "text"), ("records", "records", "count"))
    rows = tuple(sorted(aside.items(), key=lambda entry: (-entry[1], entry[0])))
    n = sum(aside.values())
    return Section(
        name="set_aside",
        title="Set aside",
        tables=(Table(name="set_aside", title="Not replayed", columns=columns, rows=rows),),
        findings=(f"{n:,} of {counted(records, 'record')} {_are(n)} not replayed, and in no other figure.",),
    )


def _offpolicy(part: _Part) -> Section:
    tally, reward = part.tally, part.reward
    outcome, cost = rewards(tally), costs(tally)
    title = "Estimated from what the log explored"
    dollars_table = _estimates("offpolicy_usd", f"{title}: dollars", "usd", cost)
    table = _estimates(
        "offpolicy",
        f"{title}: {REWARDS[reward]}",
        "ratio",
        outcome,
        note="Per request, of those for which a model was asked with a known chance. Adequate and score are of labels; "
        "answered is whether there was an answer, which says nothing of its worth. Effective: how many requests of the "
        "new policy itself would tell as much. Assumes that outcomes depend on who is "
        "asked first and on what the record has of the request, and that labels are missing by chance. SNIPS: "
        "self-normalised inverse propensity; DR: doubly robust, with mean outcomes by model and size of input.",
    )
    reasons = tuple(
        f"{what}: not estimated; {one.refused}."
        for what, one in ((REWARDS[reward], outcome), ("dollars", cost))
        if one.refused
    )
    outside = sorted(tally.explored.outside.items(), key=lambda entry: (-entry[1], entry[0]))
    left_out = tuple(f"{counted(n, 'request')} {_are(n)} outside these estimates: {reason}." for reason, n in outside)
    return part.section("offpolicy", "Off-policy estimates", table, dollars_table, findings=(*reasons, *left_out))


def _estimates(name: str, title: str, unit: Unit, found: Estimated, note: str = "") -> Table:
    end = "_usd" if unit == "usd" else ""
    columns = _columns(
        ("estimator", "by", "text"),
        (f"value{end}", "estimate", unit),
        (f"low{end}", "95 % from", unit),
        (f"high{end}", "to", unit),
        ("ess", "effective", "count"),
        ("requests", "requests", "count"),
    )
    estimates = (("SNIPS", found.snips), ("DR", found.doubly_robust))
    rows = tuple((by, *_bounds_of(one), round(found.ess), found.requests) for by, one in estimates)
    return Table(name=name, title=title, columns=columns, rows=rows, note=note)


def _bounds_of(one: Estimate | None) -> tuple[Decimal | None, ...]:
    return (None,) * 3 if one is None else tuple(decimal(value, 9) for value in (one.value, one.low, one.high))


def _comparison(figures: Figures, names: tuple[str, ...]) -> Section:
    first, second = names[:2]
    columns = _columns(
        ("difference_usd", "difference", "usd"),
        ("difference_usd_low", "95 % from", "usd"),
        ("difference_usd_high", "to", "usd"),
        ("difference_share_low", "in %: from", "share"),
        ("difference_share_high", "to", "share"),
    )
    cost = Table(
        name="difference",
        title=f"Cost of {second} above that of {first}, of requests whose cost is known under both",
        columns=columns,
        rows=(tuple(figures.get(column.name) for column in columns),),
        note="Poisson bootstrap of 1,000 resamples, the same for both: how far the difference could be another for "
        "other requests of this kind. It does not know how far the estimated part of the costs is off.",
    )
    columns = _columns(
        ("reward_difference", "difference", "ratio"),
        ("reward_difference_low", "95 % from", "ratio"),
        ("reward_difference_high", "to", "ratio"),
    )
    adequacy = Table(
        name="reward_difference",
        title=f"Off-policy outcome of {second} above that of {first} (SNIPS)",
        columns=columns,
        rows=(tuple(figures.get(column.name) for column in columns),),
    )
    shown = (cost, adequacy) if figures.get("reward_difference") is not None else (cost,)
    return Section(name="comparison", title=f"{second} against {first}", tables=shown)


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
