"""Watches decisions and budgets, and raises the alerts of `[[alerts]]`: off a request's way, on a thread of its own.

decision ──emit──> pending ──each second──> counters (shared) ──> rules on what is counted ──> Alerts.fire
standing ──observe──> rules on budgets, at once ─────────────────────────────────────────────────^

To take a decision is to append it to a list. What was not added to the counters when a process is killed is lost: at
most what came in the last second, or while the store could not be reached. No fault of the watch reaches a request; the
first of several in a row warns.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from math import inf
from typing import Any, Final
from uuid import uuid4

from router.alerts.alerts import Alerts
from router.alerts.counters import Counters
from router.core.alert import Alert
from router.core.alert_budget import budget_alerts, next_nano
from router.core.alert_counts import Looked, Range, count_alerts, looked_at
from router.core.alert_rules import BudgetRule, CountRule, Rule
from router.core.budget import Account, Standing
from router.core.budgeting import Purse
from router.core.counting import Of, added, counts_of
from router.core.decision import Decision
from router.errors import warn
from router.loop import LoopThread
from router.state.process import PerProcess

EVERY_S: Final = 1.0
"""How often what came is added and judged."""

REFRESH_S: Final = 60.0
"""How long the sums of past windows are remembered: they hardly change, and are much to read."""

CLOSING_S: Final = 5.0
"""How long `close` waits for what came last to be added."""

_REMEMBERED: Final = 10_000
"""How many names and accounts are remembered. Whoever forgets one asks the outbox again, which has the last word."""


@dataclass(slots=True)
class _Running:
    """What runs in one process.

    Attributes:
        pending: decisions that came since the last look.
        waiting: what is counted and not yet in a batch.
        batch: what is being added, under one id until it is.
        touched: quarters that were added to, and not yet judged.
        before: sums of past ranges, and until when they are good.
        standings: the last one of each account that is to be forecast.
        spent_to: for a rule and an account, up to what may be spent before it is judged again.
        fired: names of alerts that were raised.
        again: alerts that the outbox did not take.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    looking: asyncio.Lock = field(default_factory=asyncio.Lock)
    following: Future[None] | None = None
    stopped: asyncio.Event | None = None
    pending: deque[Decision] = field(default_factory=deque)
    waiting: dict[int, dict[Of, int]] = field(default_factory=dict)
    batch: tuple[str, dict[int, dict[Of, int]]] | None = None
    touched: set[int] = field(default_factory=set)
    before: dict[Range, tuple[float, dict[Of, int]]] = field(default_factory=dict)
    standings: dict[tuple[str, Account], tuple[BudgetRule, Standing]] = field(default_factory=dict)
    spent_to: dict[tuple[Any, ...], float] = field(default_factory=dict)
    fired: dict[str, None] = field(default_factory=dict)
    again: deque[tuple[Rule, Alert]] = field(default_factory=deque)
    failing: bool = False


class Watch:
    """Takes decisions, and how budgets stand, from any thread; raises what the rules find.

    Args:
        rules: on budgets, and on what is counted.
        counters: what keeps the sums, for all processes that share it.
        alerts: the way out.
        now: what time it is, with a time zone.
        every_s: how often what came is added and judged.
        closing_s: how long `close` waits for what came last to be added.
    """

    def __init__(
        self,
        rules: Iterable[Rule],
        counters: Counters,
        alerts: Alerts,
        *,
        now: Callable[[], datetime],
        every_s: float = EVERY_S,
        closing_s: float = CLOSING_S,
    ) -> None:
        every = tuple(rules)
        self._counted: tuple[CountRule, ...] = tuple(rule for rule in every if not isinstance(rule, BudgetRule))
        self._budgets: dict[str, tuple[BudgetRule, ...]] = {}
        for rule in every:
            if isinstance(rule, BudgetRule):
                self._budgets[rule.budget] = (*self._budgets.get(rule.budget, ()), rule)
        self._counters = counters
        self._alerts = alerts
        self._now = now
        self._every_s = every_s
        self._closing_s = closing_s
        self._thread = LoopThread()
        self._own = PerProcess(_Running(), lambda _: _Running())
        alerts.before_close(self.close)

    def emit(self, decision: Decision, /) -> None:
        """Takes one decision."""
        if self._counted:
            running = self._own.get()
            running.pending.append(decision)
            if running.following is None:
                self._start(running)

    def observe(self, purses: Iterable[Purse], /) -> None:
        """Takes how accounts of budgets stand, after something was settled in them; raises what that calls for."""
        running = self._own.get()
        for purse in purses:
            for rule in self._budgets.get(purse.account.budget, ()):
                self._look(running, rule, purse.account, purse.standing)

    def flush(self) -> None:
        """Adds and judges what came so far, and waits for it."""
        self._thread.run(self._looked(self._own.get()))

    def close(self) -> None:
        """Adds and judges what came last, but does not wait for it long; then ends the thread."""
        running = self._own.get()
        with running.lock:
            following, running.following = running.following, None
        if following is not None:
            self._thread.submit(self._stop(running))
            if wait([following], timeout=self._closing_s).not_done:
                warn("what came last is in no rule of alerts: the counters did not take it in time")
        self._thread.stop(self._counters.aclose)

    def _look(self, running: _Running, rule: BudgetRule, account: Account, standing: Standing) -> None:
        stretch = None if account.rolling_s is None else self._now().timestamp() // account.rolling_s
        key = (rule.name, account, standing.limit_nano, stretch)
        if standing.spent_nano >= running.spent_to.get(key, 0.0):
            at = self._now()
            told = [one for one in budget_alerts(rule, account, standing, at=at) if one.type == "budget.threshold"]
            for alert in told:
                self._fire(running, rule, alert)
            above = next_nano(rule, standing)
            _remember(running.spent_to, key, inf if above is None else float(above))
        if rule.forecast:
            running.standings[rule.name, account] = (rule, standing)
            if running.following is None:
                self._start(running)

    def _fire(self, running: _Running, rule: Rule, alert: Alert) -> None:
        """Raises an alert, unless this process has; again at the next look where the outbox does not take it."""
        if alert.name in running.fired:
            return
        _remember(running.fired, alert.name, None)

        def put(future: Future[bool]) -> None:
            if future.cancelled() or future.exception() is not None:  # it was warned of where it failed
                running.fired.pop(alert.name, None)
                running.again.append((rule, alert))
                if running.following is None:
                    self._start(running)

        self._alerts.fire(alert, to=rule.to).add_done_callback(put)

    def _start(self, running: _Running) -> None:
        with running.lock:
            if running.following is None:
                running.following = self._thread.submit(self._follow(running))

    async def _follow(self, running: _Running) -> None:
        stopped = running.stopped = asyncio.Event()
        while not stopped.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stopped.wait(), self._every_s)
            await self._looked(running)

    async def _stop(self, running: _Running) -> None:
        if running.stopped is not None:
            running.stopped.set()

    async def _looked(self, running: _Running) -> None:
        async with running.looking:
            try:
                for rule, alert in _drained(running.again):
                    self._fire(running, rule, alert)
                await self._add(running)
                await self._judge(running)
                self._forecast(running)
            except Exception as error:  # noqa: BLE001 - of whatever library; its text may hold an address with a password
                if not running.failing:
                    warn(f"alerts are not judged for the time being: {type(error).__name__}")
                running.failing = True
            else:
                running.failing = False

    async def _add(self, running: _Running) -> None:
        for start_s, sums in counts_of(_drained(running.pending)).items():
            running.waiting[start_s] = added(running.waiting.get(start_s, {}), sums)
        while running.batch is not None or running.waiting:
            if running.batch is None:
                running.batch, running.waiting = (uuid4().hex, running.waiting), {}
            batch, counts = running.batch
            await self._counters.add(batch, counts, now_s=self._now().timestamp())
            running.touched |= counts.keys()
            running.batch = None

    async def _judge(self, running: _Running) -> None:
        if not running.touched:
            return
        found = [(rule, looked) for rule in self._counted for looked in looked_at(rule, running.touched)]
        sums = await self._sums(running, [looked for _, looked in found])
        at = self._now()
        for rule, looked in found:
            before = [sums[one] for one in looked.before]
            for alert in count_alerts(rule, looked.window, sums[looked.window], before, at=at):
                self._fire(running, rule, alert)
        running.touched.clear()

    async def _sums(self, running: _Running, looked: Sequence[Looked]) -> dict[Range, dict[Of, int]]:
        """Returns the sums of all windows as they are, and of what they are compared with as they were lately."""
        now_s = asyncio.get_running_loop().time()
        windows = {one.window for one in looked}
        past = {edges for one in looked for edges in one.before}
        known = {edges: sums for edges, (until_s, sums) in running.before.items() if edges in past and now_s < until_s}
        wanted = sorted(windows | (past - known.keys()))
        read = dict(zip(wanted, await self._counters.read(wanted), strict=True))
        running.before = {edges: one for edges, one in running.before.items() if edges in known}
        running.before |= {edges: (now_s + REFRESH_S, read[edges]) for edges in past - known.keys()}
        return known | read

    def _forecast(self, running: _Running) -> None:
        at = self._now()
        while running.standings:
            (_, account), (rule, standing) = running.standings.popitem()
            for alert in budget_alerts(rule, account, standing, at=at):
                self._fire(running, rule, alert)


def _drained(queue: deque[Any]) -> list[Any]:
    """Returns what stands in a queue that others append to meanwhile."""
    return [queue.popleft() for _ in range(len(queue))]


def _remember(known: dict[Any, Any], key: Any, value: Any) -> None:
    if len(known) >= _REMEMBERED:
        known.clear()
    known[key] = value
