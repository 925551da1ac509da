"""The watch: what it is given reaches the rules and the outbox, once, and no fault of it reaches a request."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from router.alerts.alerts import Alerts
from router.alerts.counters import Counters
from router.alerts.counters_memory import MemoryCounters
from router.alerts.outbox import Outbox
from router.alerts.outbox_memory import MemoryOutbox
from router.alerts.watch import Watch
from router.core.alert_rules import BudgetRule, CacheHitsRule, ErrorsRule, Rule, SpendRateRule
from router.core.budget import Budget, Standing, account_of
from router.core.budgeting import Purse
from router.core.decision import Decision
from router.core.window import parse_window
from router.errors import ConfigError, RouterWarning
from router.testing.records import decision_of
from tests.alerts.sender import outbox_at
from tests.redis_server import RedisServer
from tests.source_tree import ROOT

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
PATIENCE_S = 60.0
DOLLAR = 10**9
ERRORS = ErrorsRule(
    name="errors", to=("ops",), window=parse_window("hour"), shares=(Decimal("0.5"),), model=None, min_attempts=4
)
TEAM = BudgetRule(name="team", to=("ops",), budget="team", shares=(Decimal("0.5"), Decimal("0.8"), Decimal(1)))
BUDGET = Budget(name="team", limit_nano=DOLLAR, window=parse_window("day"), on_exceed="alert")


class Broken(MemoryCounters):
    """Counters that cannot be reached until they are mended; what is added may have been all the same."""

    broken = True

    async def add(self, batch: str, counts: Any, /, *, now_s: float) -> None:
        await super().add(batch, counts, now_s=now_s)
        if self.broken:
            raise OSError("redis://:hunter2@localhost")


class Hanging(MemoryCounters):
    """Counters that take for ever."""

    async def add(self, batch: str, counts: Any, /, *, now_s: float) -> None:
        await asyncio.Event().wait()


class Full(MemoryOutbox):
    """An outbox that takes nothing until there is room."""

    full = True

    async def put(self, *given: Any, **more: Any) -> bool:
        if self.full:
            raise OSError("disk full")
        return await super().put(*given, **more)


class Stage:
    """A watch, its outbox, and a time that a test sets."""

    def __init__(
        self, *rules: Rule, counters: Counters | None = None, outbox: Outbox | None = None, every_s: float = 3_600.0
    ) -> None:
        self.at = NOON
        self.counters = MemoryCounters() if counters is None else counters
        self.alerts = Alerts(MemoryOutbox() if outbox is None else outbox, ["ops"], dict, deliver=False)
        self.watch = Watch(rules, self.counters, self.alerts, now=lambda: self.at, every_s=every_s)

    def fails(self, times: int, *, at: datetime | None = None) -> None:
        """Gives it decisions whose only attempt failed."""
        for _ in range(times):
            self.watch.emit(decided(at or self.at, fails=True))

    def spends(self, spent_nano: int, *, budget: Budget = BUDGET, value: str = "") -> None:
        """Tells it how an account stands."""
        standing = Standing(limit_nano=budget.limit_nano, spent_nano=spent_nano)
        self.watch.observe([Purse(budget=budget, account=account_of(budget, value, self.at), standing=standing)])

    def told(self) -> list[list[str]]:
        """Returns the parts of the names of all alerts, when what was raised is kept; in their order."""
        self.watch.close()
        self.alerts.close()
        return [json.loads(delivery.message.name) for delivery in asyncio.run(self.alerts.outbox.deliveries())]


def decided(at: datetime, *, fails: bool = False) -> Decision:
    """Returns a decision of this time, with one attempt, which fails or not."""
    [attempt] = (made := decision_of()).attempts
    return replace(made, time=at, attempts=(replace(attempt, outcome="server_error" if fails else "answer"),))


def until(came: Callable[[], object]) -> None:
    """Waits for what another thread does."""
    end = time.monotonic() + PATIENCE_S
    while not came():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.005)


def test_a_rule_fires_once_in_a_window() -> None:
    """At the look after the threshold was reached, however often it is reached; and in the next window again."""
    stage = Stage(ERRORS)
    stage.fails(3)
    stage.watch.flush()
    stage.fails(1)
    stage.watch.flush()
    stage.fails(5)
    stage.watch.flush()
    stage.at += timedelta(hours=1)
    stage.fails(3)
    stage.watch.flush()
    assert stage.told() == [["errors", "m1", "2026-11-28T12:00:00Z", "0.5"]]
    stage.fails(1)
    assert [name[2] for name in stage.told()] == ["2026-11-28T12:00:00Z", "2026-11-28T13:00:00Z"]


def test_a_request_counts_where_it_arrived() -> None:
    """Also when it ends in the next window, and when the clock was set back meanwhile."""
    stage = Stage(ERRORS)
    stage.fails(3)
    stage.watch.flush()
    stage.at += timedelta(hours=2)
    stage.fails(1, at=NOON + timedelta(minutes=59))
    stage.watch.flush()
    stage.at = NOON - timedelta(hours=3)
    stage.fails(9, at=NOON)
    stage.fails(3)
    assert stage.told() == [["errors", "m1", "2026-11-28T12:00:00Z", "0.5"]]


def test_what_came_last_is_judged_at_the_end() -> None:
    """Closing adds and judges it; and whoever goes on begins anew."""
    stage = Stage(ERRORS)
    stage.fails(4)
    assert len(stage.told()) == 1
    stage.at += timedelta(hours=1)
    stage.fails(4)
    assert len(stage.told()) == 2
    stage.watch.close()


def test_it_looks_by_itself() -> None:
    """Nobody needs to ask."""
    stage = Stage(ERRORS, every_s=0.01)
    stage.fails(4)
    until(lambda: asyncio.run(stage.alerts.outbox.deliveries()))
    assert len(stage.told()) == 1


def test_a_budget_tells_at_once() -> None:
    """All thresholds that are crossed at once, each one once; those of each account and window apart."""
    stage = Stage(TEAM, ERRORS)
    stage.spends(DOLLAR // 2 - 1)
    for _ in range(3):
        stage.spends(DOLLAR, value="acme")
    stage.spends(DOLLAR // 2)
    stage.at += timedelta(days=1)
    stage.spends(0, value="acme")
    stage.spends(DOLLAR // 2, value="acme")
    stage.at -= timedelta(days=1)
    stage.spends(DOLLAR, value="acme")
    today, tomorrow = "2026-11-28T00:00:00Z", "2026-11-29T00:00:00Z"
    assert sorted(stage.told()) == [
        ["team", "", today, "share 0.5"],
        ["team", "acme", today, "share 0.5"],
        ["team", "acme", today, "share 0.8"],
        ["team", "acme", today, "share 1"],
        ["team", "acme", tomorrow, "share 0.5"],
    ]


def test_a_rolling_budget_tells_again_later() -> None:
    """At most once in its length."""
    stage, rolling = Stage(TEAM), replace(BUDGET, window=parse_window("24h"))
    for _ in range(4):
        stage.spends(DOLLAR // 2, budget=rolling)
        stage.at += timedelta(hours=12)
    assert [name[2] for name in stage.told()] == [
        "2026-11-28T00:00:00Z",
        "2026-11-29T00:00:00Z",
        "2026-11-30T00:00:00Z",
    ]


def test_budgets_that_no_rule_watches_are_passed_over() -> None:
    """As are decisions where no rule counts them: nothing is begun for them."""
    stage = Stage(TEAM)
    stage.spends(DOLLAR, budget=replace(BUDGET, name="other"))
    stage.watch.emit(decided(NOON))
    assert stage.told() == []


def test_a_forecast_is_judged_at_the_look() -> None:
    """Off the request's way; the threshold itself is told at once, and both once."""
    stage = Stage(replace(TEAM, forecast=True))
    stage.spends(6 * DOLLAR // 10)
    assert [name[3] for name in stage.told()] == ["share 0.5", "forecast share 0.8", "forecast share 1"]
    stage.spends(6 * DOLLAR // 10)
    assert len(stage.told()) == 3


def test_rules_look_back() -> None:
    """What is counted now is compared with what was counted on the days before."""
    hour = parse_window("hour")
    rate = SpendRateRule(name="rate", to=("ops",), window=hour, factors=(Decimal(3),), days=3, min_days=3, min_nano=1)
    hits = CacheHitsRule(
        name="hits",
        to=("ops",),
        window=hour,
        falls_to=(Decimal("0.5"),),
        days=3,
        min_requests=4,
        min_share=Decimal("0.1"),
    )
    stage = Stage(rate, hits)
    for days in (3, 2, 1):
        stage.at = NOON - timedelta(days=days)
        stage.watch.emit(decided(stage.at))
        for _ in range(2):
            stage.watch.emit(replace(decision_of(cached=True), time=stage.at))
        stage.watch.flush()
    stage.at = NOON
    for _ in range(2):
        stage.watch.emit(decided(NOON))
        stage.watch.flush()
    missed = decision_of(cached=True)
    assert missed.lookup is not None
    missed = replace(missed, time=NOON, lookup=replace(missed.lookup, hit=None))
    for _ in range(4):
        stage.watch.emit(missed)
    stage.watch.flush()
    stage.watch.emit(decided(NOON))
    assert [name[0] for name in stage.told()] == ["hits", "rate"]


def test_counters_that_cannot_be_reached_lose_nothing() -> None:
    """What was to be added is added later, once; one warning tells of the outage, and nothing of the address."""
    counters = Broken()
    stage = Stage(ERRORS, counters=counters)
    stage.fails(1)
    with pytest.warns(RouterWarning, match=r"^alerts are not judged for the time being: OSError$"):
        stage.watch.flush()
    for _ in range(2):  # which warns no more
        stage.fails(1)
        stage.watch.flush()
    counters.broken = False
    stage.watch.flush()
    assert asyncio.run(counters.read([(0, 2**40)]))[0]["failures", "m1"] == 3
    stage.fails(1)
    assert len(stage.told()) == 1


def test_an_outbox_that_takes_nothing_is_tried_again() -> None:
    """At the next look, whether or not anything came meanwhile; budgets as well as what is counted."""
    outbox = Full()
    stage = Stage(ERRORS, TEAM, outbox=outbox)
    stage.spends(DOLLAR // 2)
    stage.fails(4)
    with pytest.warns(RouterWarning, match="the outbox does not take it"):
        stage.watch.close()
    stage.alerts.close()
    outbox.full = False
    stage.watch.flush()
    assert sorted(name[0] for name in stage.told()) == ["errors", "team"]


def test_counters_that_hang_hold_up_no_end() -> None:
    """What came last is then lost, and a warning says so."""
    alerts = Alerts(MemoryOutbox(), ["ops"], dict, deliver=False)
    watch = Watch([ERRORS], Hanging(), alerts, now=lambda: NOON, closing_s=0.05)
    watch.emit(decided(NOON, fails=True))
    with pytest.warns(RouterWarning, match="what came last is in no rule of alerts"):
        watch.close()
    alerts.close()


def test_a_rule_that_cannot_be_told_warns() -> None:
    """Where no destination has its name, as no configuration allows: who told the watch of a decision has no harm."""
    stage = Stage(replace(ERRORS, to=("nobody",)), replace(TEAM, to=("nobody",)))
    stage.fails(4)
    with pytest.warns(RouterWarning, match="alerts are not judged for the time being: ConfigError"):
        stage.watch.flush()
    with pytest.raises(ConfigError):  # which the treasury takes for a warning
        stage.spends(DOLLAR)


def test_what_is_remembered_is_bounded() -> None:
    """More accounts than are remembered: each tells once all the same, since the outbox has the last word."""
    stage = Stage(replace(TEAM, shares=(Decimal(1),)))
    stage.spends(DOLLAR, value="first")
    for number in range(10_001):
        stage.spends(0, value=f"tenant{number}")
    stage.spends(DOLLAR, value="first")
    assert stage.told() == [["team", "first", "2026-11-28T00:00:00Z", "share 1"]]


_FORK = """
import asyncio, os, sys
from router.alerts.counters_sqlite import SqliteCounters
from tests.alerts.test_watch import ERRORS, Stage

stage = Stage(ERRORS, counters=SqliteCounters(sys.argv[1]))
stage.fails(2)
child = os.fork()
if not child:
    stage.fails(1)
    stage.watch.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
stage.watch.close()
[sums] = asyncio.run(stage.counters.read([(0, 2**40)]))
print(sums["failures", "m1"])
"""


async def test_a_forked_child_watches_for_itself(tmp_path: Path) -> None:
    """What its parent had not added yet is added by the parent alone."""
    told = await run(
        "-c",
        _FORK,
        str(tmp_path / "counters.db"),
    )
    assert told.strip() == "3"


async def run(*words: str) -> str:
    """Returns what a Python process prints, that ends in good order."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *words, stdout=asyncio.subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)}, cwd=ROOT
    )
    told, _ = await process.communicate()
    assert process.returncode == 0
    return told.decode()


@pytest.mark.untraced
@pytest.mark.parametrize("backend", ["sqlite", "redis"])
async def test_four_processes_tell_once(backend: str, tmp_path: Path) -> None:
    """Of what all of them spend and count together: every threshold that is reached, each by one of them."""
    with RedisServer() as server:
        place = server.url if backend == "redis" else str(tmp_path / "outbox.db")
        await asyncio.gather(*(run("-m", "tests.alerts.watcher", place) for _ in range(4)))
        outbox = outbox_at(place)
        names = sorted(json.loads(delivery.message.name) for delivery in await outbox.deliveries())
        bodies = [json.loads(delivery.message.body) for delivery in await outbox.deliveries()]
        await outbox.aclose()
    day = "2026-11-28T00:00:00Z"
    budgets: Sequence[list[str]] = [
        ["half", tenant, day, f"share {share}"] for tenant in ("tenant0", "tenant1") for share in ("0.5", "0.8", "1")
    ]
    assert names == [["errors", "m", day, "0.05"], ["errors", "m", day, "0.1"], *budgets]
    assert all(Decimal(body["data"]["spent_usd"]) <= Decimal("0.1") for body in bodies if "spent_usd" in body["data"])
