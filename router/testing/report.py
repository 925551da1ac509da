"""What came of a simulation: figures, and every promise that was broken."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, Final, Literal

from router.core.bounds import Bounds
from router.core.decision import Decision
from router.core.money import usd
from router.testing.providers import Entry
from router.testing.scenario import Scenario
from router.testing.traffic import Arrival
from router.testing.troubles import Trouble

Rule = Literal[
    "attempts",
    "deadline_s",
    "worst_case",
    "true_worst_case",
    "one_decision",
    "unrecorded_call",
    "unpriced",
    "empty_success",
    "crash",
    "leak",
]
"""Promises: no more calls than `attempts`; no longer than `deadline_s`; neither the recorded nor the true cost above
the worst case stated before the first call; exactly one decision; every call in it; every attempt with a price or an
estimate; no success without text; no error outside `RouterError`, and no warning; no task, call, place, turn in a queue
or probe left over."""

_TICK_S: Final = 1e-5
"""The record rounds to microseconds, and a request has several attempts."""
_QUANTILES: Final = (50, 95, 99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the caller of one request got.

    Attributes:
        what: "answer", "empty" (a success without text), "gave_up" (the caller did), or the error's name.
        took_s: from the request's arrival to its end, in the world's time.
    """

    arrival: Arrival
    what: str
    took_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What a report needs of one decision; thousands of whole ones would slow a simulation down.

    Attributes:
        attempts: how many calls stand in the record; those that the gate held back are none.
        bounds: of the request.
    """

    trace_id: str
    attempts: int
    bounds: Bounds
    cost_usd: Decimal | None
    waste_usd: Decimal | None
    worst_case_usd: Decimal | None

    @classmethod
    def of(cls, decision: Decision, /) -> Recorded:
        """Returns it."""
        return cls(
            trace_id=decision.trace_id,
            attempts=sum(attempt.held is None for attempt in decision.attempts),
            bounds=decision.bounds,
            cost_usd=decision.cost_usd,
            waste_usd=decision.waste_usd,
            worst_case_usd=decision.worst_case_usd,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One broken promise; `trace_id` is empty where it is no request's."""

    rule: Rule
    trace_id: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Calls while a trouble lasted that comes to an end.

    Attributes:
        offered: requests that arrived meanwhile.
        calls: calls that were started meanwhile, at any model.
        calls_there: those of them at the troubled models.
    """

    trouble: str
    offered: int
    calls: int
    calls_there: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of one scenario with one seed.

    Money is in US dollars. What the record says stands beside what the providers truly bill; None where a contender
    keeps no record.

    Attributes:
        success_share: answers with text, of the requests whose callers did not give up.
        calls: by model.
        calls_most: the most that one request made.
        true_waste_usd: of the true cost, what was billed for calls that gave nobody anything.
        unrecorded_usd: what requests truly cost above what their record says.
        latency_s: by percentile, of answered requests, "max" included.
        longest_s: the longest request of all.
    """

    title: str
    seed: int
    requests: int
    outcomes: Mapping[str, int]
    success_share: float
    calls: Mapping[str, int]
    calls_most: int
    fates: Mapping[str, int]
    cost_usd: Decimal | None
    waste_usd: Decimal | None
    true_cost_usd: Decimal
    true_waste_usd: Decimal
    unrecorded_usd: Decimal | None
    latency_s: Mapping[str, float]
    longest_s: float
    loads: tuple[Load, ...]
    violations: tuple[Violation, ...]

    @property
    def waste_share(self) -> float | None:
        """Waste by the record, of the cost by the record."""
        return _share(self.waste_usd, self.cost_usd)

    @property
    def true_waste_share(self) -> float | None:
        """Waste in truth, of the true cost."""
        return _share(self.true_waste_usd, self.true_cost_usd)

    def to_dict(self) -> dict[str, Any]:
        """Returns the report as JSON values, money as decimal strings."""
        values = {name: usd(v) if isinstance(v, Decimal) else v for name, v in asdict(self).items()}
        return values | {"waste_share": self.waste_share, "true_waste_share": self.true_waste_share}


def report_of(
    scenario: Scenario,
    seed: int,
    outcomes: Sequence[Outcome],
    entries: Sequence[Entry],
    decisions: Sequence[Recorded] | None,
    leaked: Sequence[str],
    warned: Sequence[str] = (),
) -> Report:
    """Returns the figures of a run, and the promises it broke.

    Args:
        scenario: that was run.
        seed: of it.
        outcomes: one for each request.
        entries: the providers' books.
        decisions: what the contender recorded; None where it records nothing.
        leaked: what was left at the end, in words: tasks, places, probes.
        warned: what the router warned of.
    """
    what = Counter(o.what for o in outcomes)
    calls = Counter(e.trace_id for e in entries)
    waited = len(outcomes) - what["gave_up"]
    truth = _by_trace(entries)
    recorded = None if decisions is None else {d.trace_id: d for d in decisions}
    return Report(
        title=scenario.title,
        seed=seed,
        requests=len(outcomes),
        outcomes=dict(sorted(what.items())),
        success_share=what["answer"] / waited if waited else 1.0,
        calls=dict(sorted(Counter(e.model for e in entries).items())),
        calls_most=max(calls.values(), default=0),
        fates=dict(sorted(Counter(e.fate for e in entries).items())),
        cost_usd=None if decisions is None else _known(d.cost_usd for d in decisions),
        waste_usd=None if decisions is None else _known(d.waste_usd for d in decisions),
        true_cost_usd=_known(truth.values()),
        true_waste_usd=_known(e.billed_usd for e in entries if not e.useful),
        unrecorded_usd=None if recorded is None else _unrecorded(recorded, truth),
        latency_s=_quantiles([o.took_s for o in outcomes if o.what == "answer"]),
        longest_s=max((o.took_s for o in outcomes), default=0.0),
        loads=tuple(_loads(scenario.troubles, outcomes, entries)),
        violations=tuple(_violations(outcomes, entries, calls, decisions, truth, (leaked, warned))),
    )


def _known(amounts: Iterable[Decimal | None]) -> Decimal:
    return sum((amount for amount in amounts if amount is not None), Decimal(0))


def _share(part: Decimal | None, whole: Decimal | None) -> float | None:
    if part is None or whole is None:
        return None
    return float(part / whole) if whole else 0.0


def _by_trace(entries: Iterable[Entry]) -> Mapping[str, Decimal]:
    truth: defaultdict[str, Decimal] = defaultdict(Decimal)
    for entry in entries:
        truth[entry.trace_id] += entry.billed_usd
    return truth


def _unrecorded(recorded: Mapping[str, Recorded], truth: Mapping[str, Decimal]) -> Decimal:
    total = Decimal(0)
    for trace_id, billed_usd in truth.items():
        cost_usd = recorded[trace_id].cost_usd if trace_id in recorded else None
        total += max(Decimal(0), billed_usd - (cost_usd or 0))
    return total


def _quantiles(values: list[float]) -> dict[str, float]:
    values.sort()
    last = len(values) - 1
    figures = {f"p{percent}": values[round(last * percent / 100)] for percent in _QUANTILES} if values else {}
    return {name: round(value, 6) for name, value in figures.items()} | ({"max": values[-1]} if values else {})


def _loads(troubles: Iterable[Trouble], outcomes: Sequence[Outcome], entries: Sequence[Entry]) -> Iterator[Load]:
    for index, trouble in enumerate(troubles):
        if trouble.kind == "clock_jump" or trouble.duration_s is None:
            continue
        calls = [e for e in entries if trouble.left_s(e.started_s) is not None]
        yield Load(
            trouble=f"{index}: {trouble.kind} {trouble.model}",
            offered=sum(trouble.left_s(o.arrival.at_s) is not None for o in outcomes),
            calls=len(calls),
            calls_there=sum(trouble.befalls(e.model, e.region) for e in calls),
        )


def _violations(
    outcomes: Sequence[Outcome],
    entries: Sequence[Entry],
    calls: Mapping[str, int],
    decisions: Sequence[Recorded] | None,
    truth: Mapping[str, Decimal],
    noticed: tuple[Sequence[str], Sequence[str]],
) -> Iterator[Violation]:
    leaked, warned = noticed
    for warning in warned:
        yield Violation(rule="crash", trace_id="", detail=f"warned: {warning}")
    for what in leaked:
        yield Violation(rule="leak", trace_id="", detail=f"{what} left over")
    for entry in entries:
        if entry.state == "open":
            yield Violation(rule="leak", trace_id=entry.trace_id, detail=f"a call to {entry.model} was left open")
    by_trace: defaultdict[str, list[Recorded]] = defaultdict(list)
    for decision in decisions or ():
        by_trace[decision.trace_id].append(decision)
    for outcome in outcomes:
        trace_id = outcome.arrival.trace_id
        if outcome.what.startswith("crash"):
            yield Violation(rule="crash", trace_id=trace_id, detail=outcome.what)
        if decisions is None:
            continue
        if outcome.what == "empty":
            yield Violation(rule="empty_success", trace_id=trace_id, detail="the reply has no text")
        found = by_trace[trace_id]
        if len(found) != 1:
            yield Violation(rule="one_decision", trace_id=trace_id, detail=f"there are {len(found)} decisions")
        for decision in found:
            yield from _broken(decision, outcome, calls.get(trace_id, 0), truth.get(trace_id, Decimal(0)))


def _broken(decision: Recorded, outcome: Outcome, calls: int, billed_usd: Decimal) -> Iterator[Violation]:
    """Yields the promises that one request's record broke."""
    trace_id, bounds = decision.trace_id, decision.bounds
    cost_usd, worst_usd = decision.cost_usd, decision.worst_case_usd
    checks: tuple[tuple[Rule, bool, str], ...] = (
        ("attempts", calls > bounds.attempts, f"{calls} calls, {bounds.attempts} are allowed"),
        (
            "deadline_s",
            outcome.took_s > bounds.deadline_s + _TICK_S,
            f"took {outcome.took_s} s, {bounds.deadline_s} s are allowed",
        ),
        (
            "worst_case",
            None not in (cost_usd, worst_usd) and (cost_usd or 0) > (worst_usd or 0),
            f"cost ${cost_usd}, at most ${worst_usd} was stated",
        ),
        (
            "true_worst_case",
            worst_usd is not None and billed_usd > worst_usd,
            f"truly cost ${billed_usd}, at most ${worst_usd} was stated",
        ),
        (
            "unrecorded_call",
            calls > decision.attempts,
            f"{calls} calls, {decision.attempts} are recorded",
        ),
        ("unpriced", cost_usd is None, "an attempt has neither price nor estimate"),
    )
    for rule, broken, detail in checks:
        if broken:
            yield Violation(rule=rule, trace_id=trace_id, detail=detail)
