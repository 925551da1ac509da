"""Budgets under random storms: nothing stays reserved, and each window is the sum of its decisions."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from router import Account, Claim, Decision, Entry, Refused, Reserved, Standing
from router.analytics.spent import claims_of
from router.router import Router
from router.setup import setup_of
from router.state.ledger import Ledger
from router.state.ledger_memory import MemoryLedger
from router.testing.drawn import random_scenario
from router.testing.report import Report
from router.testing.scenario import Scenario
from router.testing.simulation import Routed, Stage, simulate

SEEDS = range(20)


class Distant:
    """A ledger that takes its time, so that callers give up while it is asked, and that others could ask too."""

    def __init__(self, chance: random.Random) -> None:
        self._own = MemoryLedger()
        self._chance = chance

    async def reserve(self, claim: Claim, /) -> Reserved | Refused:
        """Reserves a claim some time before it says so."""
        await self._wait()
        told = await self._own.reserve(claim)
        await self._wait()
        return told

    async def settle(self, claim: Claim, cost_nano: int | None, /, *, now_s: float) -> None:
        """Settles a claim some time before it says so."""
        await self._wait()
        await self._own.settle(claim, cost_nano, now_s=now_s)
        await self._wait()

    async def standings(self, entries: Sequence[Entry], /, *, now_s: float) -> tuple[Standing, ...]:
        """Returns how accounts stood a moment ago."""
        found = await self._own.standings(entries, now_s=now_s)
        await self._wait()
        return found

    async def accounts(self, *, now_s: float) -> AsyncIterator[tuple[Account, Standing]]:
        """Yields all accounts."""
        async for each in self._own.accounts(now_s=now_s):
            yield each

    async def rebuild(self, spent: Sequence[Claim], /, *, now_s: float) -> None:
        """Puts the log in the place of all."""
        await self._own.rebuild(spent, now_s=now_s)

    async def aclose(self) -> None:
        """There is nothing to let go of."""

    async def _wait(self) -> None:
        await asyncio.sleep(self._chance.choice((0.0, 0.001, 0.05)))


class Budgeted(Routed):
    """lowfare with budgets, whose accounts are held against its decisions at the end."""

    ledger: Ledger | None = None

    def __init__(self, stage: Stage) -> None:
        self.decisions: list[Decision] = []
        super().__init__(stage, sinks=[self])
        self._budgets = setup_of(stage.settings).budgets
        self._clock = stage.clock
        if self.ledger is not None:
            self._router = Router(
                stage.settings,
                clients={"simulated": stage.provider},
                sinks=[self._kept, self],
                ledger=self.ledger,
                clock=stage.clock,
            )

    def emit(self, decision: Decision, /) -> None:
        """Keeps a decision: it is its own sink."""
        self.decisions.append(decision)

    def close(self) -> None:
        """Has nothing to let go of."""

    async def aclose(self) -> None:
        """Closes the router, and holds its accounts against the decisions."""
        await super().aclose()
        treasury = self._router._treasury  # noqa: SLF001 - what a test may look at
        assert treasury is not None
        now_s = self._clock.now().timestamp()
        found = {a: s async for a, s in treasury.ledger.accounts(now_s=now_s)}
        logged: Counter[Account] = Counter()
        for decision in self.decisions:
            record = json.loads(json.dumps(decision.to_dict()))
            for claim in claims_of(record, self._budgets):
                logged.update({entry.account: claim.amount_nano for entry in claim.entries})
            again = self._router.replay(record)
            assert isinstance(again, Decision), record["trace_id"]
            assert again.to_dict() == record
        assert {a: s.spent_nano for a, s in found.items() if s.spent_nano} == +logged
        strict = {budget.name for budget in self._budgets if budget.on_exceed != "alert"}
        for account, standing in found.items():
            assert standing.reserved_nano == standing.lapsed_nano == 0
            assert account.budget not in strict or standing.spent_nano <= standing.limit_nano


def with_budgets(scenario: Scenario, chance: random.Random) -> Scenario:
    """Returns a scenario with some budgets, few of which have room for all of it."""
    limits = ("0.0005", "0.005", "0.05", "1")
    budgets = {
        f"b{number}": {
            "limit_usd": chance.choice(limits),
            "window": chance.choice(("hour", "day", "total", "24h")),
            "scope": chance.choice(("all", "model", "provider", "policy", "tenant")),
            "on_exceed": chance.choice(("block", "cheapest", "alert")),
        }
        for number in range(chance.randint(1, 3))
    }
    if chance.random() < 0.4:
        budgets["b0"] |= {"on_exceed": "policy", "policy": "instead"}
    config: dict[str, Any] = dict(scenario.config)  # type: ignore[arg-type]  # drawn as tables, never as a file's name
    config |= {"budgets": budgets, "policies": {**config["policies"], "instead": {"kind": "cheapest"}}}
    return scenario.model_copy(update={"config": config})


def stormy(seed: int) -> Scenario:
    """Returns the scenario of a seed."""
    chance = random.Random(seed)
    return with_budgets(random_scenario(chance), chance)


def kept(report: Report) -> None:
    """Fails with what was broken."""
    assert not report.violations, report.violations[:3]


@pytest.mark.untraced
@pytest.mark.parametrize("distant", [False, True])
def test_whatever_happened_the_accounts_are_the_decisions(distant: bool) -> None:
    """Holds, hedges, deployments, leavers, streams that are dropped: no reservation is left, and sums are exact."""
    refused = 0
    for seed in SEEDS:

        class Contender(Budgeted):
            ledger = Distant(random.Random(seed)) if distant else None

        report = simulate(stormy(seed), seed, contender=Contender)
        kept(report)
        refused += report.outcomes.get("BudgetExceeded", 0)
    assert refused
