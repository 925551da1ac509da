"""Rules rehearsed on a log: the same alerts as the watch raises, whatever the log is made of."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import orjson
from hypothesis import given
from hypothesis import strategies as st

from router.alerts.alerts import Alerts
from router.alerts.counters_memory import MemoryCounters
from router.alerts.outbox_memory import MemoryOutbox
from router.alerts.watch import Watch
from router.analytics.rehearsal import Rehearsal, by_rule, rehearsed
from router.core.alert_rules import BudgetRule, ErrorsRule, Rule, SpendRateRule, UnpricedRule, WasteRule
from router.core.budget import Budget, Scope, nano_of
from router.core.decision import Decision, Outcome
from router.core.record import decision_dict
from router.core.window import parse_window
from router.testing.records import decision_of
from tests.analytics.log_lines import line

MORNING = datetime(2026, 11, 28, 8, tzinfo=UTC)
HOUR = parse_window("hour")
ERRORS = ErrorsRule(name="errors", to=("ops",), window=HOUR, shares=(Decimal("0.5"),), model=None, min_attempts=3)
RULES: tuple[Rule, ...] = (
    ERRORS,
    WasteRule(name="waste", to=("ops",), window=HOUR, shares=(Decimal("0.3"),), min_requests=2, min_nano=1),
    UnpricedRule(name="unpriced", to=("ops",), window=HOUR, of="requests", shares=(Decimal("0.5"),), min_unpriced=2),
    SpendRateRule(name="rate", to=("ops",), window=HOUR, factors=(Decimal(2),), days=2, min_days=1, min_nano=1),
)
OUTCOMES: tuple[tuple[Outcome, ...], ...] = (("answer",), ("server_error", "answer"), ("server_error",))
TEAM = BudgetRule(name="team", to=("ops",), budget="team", shares=(Decimal("0.5"), Decimal(1)))
COST = nano_of(decision_of().cost_usd or Decimal(0))
"""Of an answer."""


def told_by_a_watch(decisions: Sequence[Decision]) -> list[str]:
    """Returns the names of what a watch raises that looks after each decision."""
    now = [MORNING]
    alerts = Alerts(MemoryOutbox(), ["ops"], dict, deliver=False)
    watch = Watch(RULES, MemoryCounters(), alerts, now=lambda: now[0], every_s=3_600)
    for decision in decisions:
        now[0] = decision.time
        watch.emit(decision)
        watch.flush()
    watch.close()
    alerts.close()
    return sorted(delivery.message.name for delivery in asyncio.run(alerts.outbox.deliveries()))


@st.composite
def traffic(draw: st.DrawFn) -> list[Decision]:
    """Draws decisions some minutes or a day apart."""
    at, found = MORNING, []
    for _ in range(draw(st.integers(0, 12))):
        at += draw(st.sampled_from([timedelta(minutes=2), timedelta(minutes=25), timedelta(days=1)]))
        outcomes: Sequence[Outcome] = draw(st.sampled_from(OUTCOMES))
        found.append(replace(decision_of(outcomes=outcomes, priced=draw(st.booleans())), time=at))
    return found


@given(traffic())
def test_a_rehearsal_tells_what_the_watch_told(decisions: list[Decision]) -> None:
    """Of records that are further apart than its looks: the same alerts by name."""
    stage = Rehearsal(RULES, ())
    for decision in decisions:
        stage.take(decision_dict(decision))
    stage.look()
    assert sorted(alert.name for _, alert in stage.told) == told_by_a_watch(decisions)
    assert stage.requests == len(decisions)


def written(log: Path, decisions: Sequence[Decision], *more: bytes) -> Path:
    """Writes a log."""
    log.write_bytes(b"".join([orjson.dumps(decision_dict(one)) + b"\n" for one in decisions] + list(more)))
    return log


def test_a_log_is_rehearsed_in_order(tmp_path: Path) -> None:
    """In that of arrival, whatever its own is; up to `until`, and telling of nothing before `since`."""
    failures = [
        replace(decision_of(outcomes=["server_error", "answer"]), time=MORNING + timedelta(hours=hours, seconds=number))
        for hours in (0, 2)
        for number in range(3)
    ]
    log = written(tmp_path / "log.jsonl", failures[::-1], b"no decision\n", line(1, time=MORNING.isoformat()))
    found = rehearsed(log, [ERRORS, TEAM], ())
    starts = [alert.data["window"]["start"] for _, alert in found.told]
    assert starts == ["2026-11-28T08:00:00Z", "2026-11-28T10:00:00Z"]
    assert (found.requests, found.aside) == (6, 2)
    assert (found.first, found.last) == (MORNING, failures[-1].time)
    assert by_rule([ERRORS, TEAM], found) == {"errors": 2, "team": 0}
    late = rehearsed(log, [ERRORS], (), since=MORNING + timedelta(hours=1))
    assert [alert.name for _, alert in late.told] == [found.told[1][1].name]
    early = rehearsed(log, [ERRORS], (), until=MORNING + timedelta(seconds=2))
    assert (early.told, early.requests) == ((), 2)


def test_budgets_are_rehearsed(tmp_path: Path) -> None:
    """Each account by itself, at the request that reached the threshold; a rolling window forgets."""
    times = [MORNING + timedelta(minutes=minutes) for minutes in (0, 10, 70, 80)]
    decisions = [replace(decision_of(tenant=tenant), time=at) for at in times for tenant in ("a", "b")]
    log = written(tmp_path / "log.jsonl", decisions)
    day, hour = (
        Budget(name="team", limit_nano=4 * COST, window=parse_window(window), scope=Scope(kind="tenant"))
        for window in ("day", "60m")
    )
    found = rehearsed(log, [TEAM], [day, replace(day, name="other")])
    told = [json.loads(alert.name)[1:] for _, alert in found.told]
    start = "2026-11-28T00:00:00Z"
    assert told == [
        ["a", start, "share 0.5"],
        ["b", start, "share 0.5"],
        ["a", start, "share 1"],
        ["b", start, "share 1"],
    ]
    rolling = rehearsed(log, [TEAM], [hour])
    assert [(json.loads(alert.name)[3], alert.time) for _, alert in rolling.told] == [
        ("share 0.5", times[1]),
        ("share 0.5", times[1]),
        ("share 0.5", times[3]),
        ("share 0.5", times[3]),
    ]


def test_an_empty_log_tells_nothing(tmp_path: Path) -> None:
    """And says that there was nothing."""
    found = rehearsed(written(tmp_path / "log.jsonl", []), [ERRORS], ())
    assert (found.told, found.requests, found.first, found.last) == ((), 0, None, None)
