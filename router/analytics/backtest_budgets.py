"""Budgets in a backtest: as they stood then, or played over the whole log in the order of time.

Played, each request finds the accounts as those before it left them under the new configuration: its attempts are held
against what is left, and what they come to, observed or estimated, is spent when the request has been decided. So
requests that were under way together come one after the other, and what was held for one keeps no money from the next.
Usage that the program recorded itself is spent as it was logged.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from router.analytics.spent import claims_of
from router.core.budget import Budget, Refused, Reserved, Standing, nano_of, refused
from router.core.budget_record import purses_from
from router.core.budgeting import Purse
from router.core.catalog import Model
from router.core.decision import Attempt
from router.core.machine import NeedReserve
from router.core.request import Hints
from router.state.ledger_memory import MemoryLedger
from router.state.treasury import Treasury


class Accounts:
    """The accounts of one configuration, as its requests leave them, which must come in the order of time.

    Args:
        budgets: of the configuration.
    """

    def __init__(self, budgets: Sequence[Budget]) -> None:
        self._budgets = budgets
        self._now_s = 0.0
        self._numbers = itertools.count()
        self._treasury = Treasury(budgets, MemoryLedger(), now_s=self._clock, monotonic=self._clock)

    def purses(self, hints: Hints, policy: str, models: Collection[Model], at: datetime, /) -> tuple[Purse, ...]:
        """Returns the budgets that apply to a request, as they stand when it arrives."""
        self._now_s = at.timestamp()
        return self._treasury.purses(hints, policy, models, at)

    def spend(self, record: Mapping[str, Any], policy: str, costs: Iterable[tuple[Model, Decimal | None]], /) -> None:
        """Counts what the attempts of a request come to.

        Args:
            record: of the request.
            policy: that it went by.
            costs: whom each attempt asked, and what it cost; None, which nobody knows, counts nothing.
        """
        attempts = [
            {"model": model.name, "provider": model.provider, "span_id": f"{next(self._numbers)}", "cost_usd": usd}
            for model, usd in costs
        ]
        # Nothing is told twice here, so that nothing need be remembered.
        over = {"policy": policy, "attempts": attempts, "bounds": {"deadline_s": 0.0}, "latency_s": 0.0}
        self._count({**record, **over})

    def spend_recorded(self, record: object, /) -> None:
        """Counts usage that the program told of, once by its name; nothing of any other record."""
        if isinstance(record, dict) and record.get("ending") == "recorded":
            self._count(record)

    def _count(self, record: Mapping[str, Any]) -> None:
        self._treasury.settle((claim, None) for claim in claims_of(record, self._budgets))

    def _clock(self) -> float:
        return self._now_s


def reserved(state: NeedReserve, /) -> Reserved | Refused:
    """Returns whether an attempt fits what is left of its budgets, after those that the request made before."""
    purses = {purse.account: purse for purse in state.course.given.budgets}
    models = state.course.given.catalog
    standings = tuple(_after(purses[entry.account], state.course.attempts, models) for entry in state.claim.entries)
    return refused(state.claim, standings) or Reserved(claim=state.claim, standings=standings)


def _after(purse: Purse, attempts: Iterable[Attempt], models: Mapping[str, Model]) -> Standing:
    made = (a for a in attempts if a.cost_usd is not None and purse.pays_for(models[a.model]))
    spent_nano = sum(nano_of(a.cost_usd or Decimal(0)) for a in made)
    return replace(purse.standing, spent_nano=purse.standing.spent_nano + spent_nano)


def stood(record: Mapping[str, Any], budgets: Sequence[Budget], /) -> tuple[Purse, ...]:
    """Returns the budgets of a request that are there now, as they stood then."""
    there = {budget.name: budget for budget in budgets}
    return tuple(
        replace(
            purse,
            budget=there[purse.budget.name],
            standing=replace(purse.standing, limit_nano=there[purse.budget.name].limit_nano),
        )
        for purse in purses_from(record)
        if purse.budget.name in there
    )
