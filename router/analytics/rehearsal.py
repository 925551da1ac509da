"""What the rules of `[[alerts]]` would have told, from a decision log: the same pure rules, stepped through it.

Requests are taken in the order of their arrival, each as if it had ended when it arrived. Budgets are looked at after
each request, what is counted at the first request after every minute; a router looks each second, and at the end. So a
threshold that was reached for less than a minute, as the share of a window that has just begun, may be missed.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import orjson

from router.analytics.log import Progress, opened
from router.analytics.spent import claims_of
from router.core.alert import Alert
from router.core.alert_budget import budget_alerts
from router.core.alert_counts import Range, count_alerts, looked_at
from router.core.alert_rules import BudgetRule, CountRule, Rule
from router.core.budget import Account, Budget, Claim, Standing
from router.core.counting import QUARTER_S, Of, added, quarter_of, record_counts

LOOK_S: Final = 60.0
"""How often what is counted is looked at, in seconds of the log's time."""

_ROWS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """What came of a rehearsal.

    Attributes:
        told: the alerts, each with its rule, in the order in which they would have been raised.
        requests: how many decisions were read.
        first, last: when the first of them arrived, and the last; None where there was none.
        aside: lines that are no decisions.
    """

    told: tuple[tuple[Rule, Alert], ...]
    requests: int
    first: datetime | None
    last: datetime | None
    aside: int


def rehearsed(
    path: str | os.PathLike[str],
    rules: Sequence[Rule],
    budgets: Sequence[Budget],
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    progress: Progress | None = None,
) -> Rehearsed:
    """Returns what rules would have told of a log.

    Args:
        path: of the log.
        rules: which.
        budgets: of the configuration.
        since: what would have been told before is left out; what was counted before counts all the same.
        until: of requests that arrived from then on, nothing is read.
        progress: is told how far the reading is.

    Raises:
        ConfigError: there is no such log.
    """
    stage = Rehearsal(rules, budgets)
    with opened(path, progress=progress) as connection:
        [(aside,)] = connection.execute("SELECT coalesce(sum(lines), 0) FROM aside").fetchall()
        rows = connection.execute(
            "SELECT record FROM decisions WHERE trace_id IS NOT NULL AND schema IS NOT NULL AND source IS NULL"
            " AND time IS NOT NULL AND time < coalesce(?::TIMESTAMPTZ, 'infinity'::TIMESTAMPTZ) ORDER BY time",
            [until],
        )
        while batch := rows.fetchmany(_ROWS):
            for (line,) in batch:
                try:
                    stage.take(orjson.loads(line))
                except (ValueError, KeyError, TypeError):
                    aside += 1
    stage.look()
    told = tuple((rule, alert) for rule, alert in stage.told if since is None or alert.time >= since)
    return Rehearsed(told=told, requests=stage.requests, first=stage.first, last=stage.last, aside=int(aside))


@dataclass(slots=True)
class _Spent:
    """What an account spent: in all, and of a rolling window each amount with its time."""

    nano: int = 0
    amounts: deque[tuple[float, int]] = field(default_factory=deque)


class Rehearsal:
    """Takes records in the order of their arrival, and keeps what the rules tell of them.

    Attributes:
        told: the alerts so far, each with its rule.
        requests: how many records were taken.
        first, last: when the first of them arrived, and the last.
    """

    def __init__(self, rules: Iterable[Rule], budgets: Sequence[Budget]) -> None:
        every = tuple(rules)
        self.told: list[tuple[Rule, Alert]] = []
        self.requests = 0
        self.first: datetime | None = None
        self.last: datetime | None = None
        self._counted: tuple[CountRule, ...] = tuple(rule for rule in every if not isinstance(rule, BudgetRule))
        self._spending: tuple[BudgetRule, ...] = tuple(rule for rule in every if isinstance(rule, BudgetRule))
        watched = {rule.budget for rule in self._spending}
        self._budgets = tuple(budget for budget in budgets if budget.name in watched)
        self._names: set[str] = set()
        self._quarters: dict[int, dict[Of, int]] = {}
        self._before: dict[Range, dict[Of, int]] = {}
        self._touched: set[int] = set()
        self._looked_s = 0.0
        self._spent: dict[Account, _Spent] = {}

    def take(self, record: dict[str, Any], /) -> None:
        """Takes one record, which arrived no earlier than those before.

        Raises:
            ValueError, KeyError, TypeError: it is no record; then nothing of it is taken.
        """
        at = datetime.fromisoformat(record["time"])
        counts, claims = record_counts(record), tuple(claims_of(record, self._budgets))
        if self.last is not None and at.timestamp() >= self._looked_s + LOOK_S:
            self.look()
        if not self._touched:
            self._looked_s = at.timestamp()
        self.requests += 1
        self.first, self.last = self.first or at, at
        quarter = quarter_of(at)
        self._quarters[quarter] = added(self._quarters.get(quarter, {}), counts)
        self._touched.add(quarter)
        for claim in claims:
            self._spend(claim, at)

    def look(self) -> None:
        """Looks at what was counted since the last look."""
        at = self.last
        if at is None:
            return
        for rule in self._counted:
            for looked in looked_at(rule, self._touched):
                before = [self._past(edges) for edges in looked.before]
                self._tell(rule, count_alerts(rule, looked.window, self._sum(looked.window), before, at=at))
        self._touched.clear()

    def _spend(self, claim: Claim, at: datetime) -> None:
        for entry in claim.entries:
            account = entry.account
            spent = self._spent.setdefault(account, _Spent())
            spent.nano += claim.amount_nano
            if account.rolling_s is not None:
                spent.amounts.append((claim.now_s, claim.amount_nano))
                while spent.amounts[0][0] <= claim.now_s - account.rolling_s:
                    spent.nano -= spent.amounts.popleft()[1]
            standing = Standing(limit_nano=entry.limit_nano, spent_nano=spent.nano)
            for rule in self._spending:
                if rule.budget == account.budget:
                    self._tell(rule, budget_alerts(rule, account, standing, at=at))

    def _tell(self, rule: Rule, alerts: Iterable[Alert]) -> None:
        for alert in alerts:
            if alert.name not in self._names:
                self._names.add(alert.name)
                self.told.append((rule, alert))

    def _sum(self, edges: Range) -> dict[Of, int]:
        sums: dict[Of, int] = {}
        for quarter in self._within(edges):
            sums = added(sums, self._quarters[quarter])
        return sums

    def _past(self, edges: Range) -> dict[Of, int]:
        """Returns the sums of a range that is over: nothing more is added to it, as requests come in order."""
        if edges not in self._before:
            self._before[edges] = self._sum(edges)
        return self._before[edges]

    def _within(self, edges: Range) -> Iterator[int]:
        return (quarter for quarter in range(*edges, QUARTER_S) if quarter in self._quarters)


def by_rule(rules: Iterable[Rule], found: Rehearsed, /) -> dict[str, int]:
    """Returns how often each rule would have told, by its name, in the order of the configuration."""
    counts = {rule.name: 0 for rule in rules}
    for rule, _ in found.told:
        counts[rule.name] += 1
    return counts
