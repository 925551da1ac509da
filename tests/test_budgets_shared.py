"""Budgets in a store that others share, and that may be out of reach."""

from __future__ import annotations

from typing import Any

import pytest

from router import (
    BudgetExceeded,
    Reply,
    Router,
    RouterWarning,
)
from router.core.budget import nano_of
from router.testing.clock import VirtualClock
from router.testing.scripted import ScriptedClient
from tests.budget_routers import Away, day, routed, settings, worst_usd


async def refused_by(ledger: Away) -> BudgetExceeded:
    """Returns what a request is told under a closed budget."""
    async with routed(day("1"), ledger=ledger) as router:
        with pytest.raises(BudgetExceeded) as caught:
            await router.acomplete("hi", max_tokens=100)
    return caught.value


async def test_a_store_that_is_away_closes_its_budgets() -> None:
    """Nothing is sent, and the error says why."""
    with pytest.warns(RouterWarning, match="Away does not help"):
        error = await refused_by(Away())
    assert error.budget is None
    assert "is not reachable, and the budget 'day' has fail = \"closed\"" in str(error)


async def spent_alone(ledger: Away) -> Reply:
    """Returns the reply to a request under an open budget, whose store comes back before the router is closed."""
    share = 1.5 * float(worst_usd("large", max_tokens=100))
    config, clock = settings(day("1", fail="open", open_share=share)), VirtualClock()
    async with Router(config, clients=_scripted(), sinks=(), ledger=ledger, clock=clock) as router:
        reply = await router.acomplete("hi", max_tokens=100)
        ledger.away = False
        clock.advance(600.0)  # it is asked again when it has rested
    return reply


async def test_a_share_of_an_open_budget_is_spent_while_its_store_is_away() -> None:
    """The store is told what was spent when it is back."""
    ledger = Away()
    with pytest.warns(RouterWarning, match="Away does not help"):
        first = await spent_alone(ledger)
    [(_, found)] = [each async for each in ledger.accounts(now_s=0.0)]
    assert first.cost_usd is not None
    assert (first.model, found.spent_nano) == ("large", nano_of(first.cost_usd))


def _scripted() -> dict[str, Any]:
    return {"simulated": ScriptedClient()}


async def test_a_reading_of_a_shared_ledger_is_a_second_old_at_most() -> None:
    """It is read for the first request, then after a second; each reservation says how things stand as well."""
    ledger, clock = Away(), VirtualClock()
    ledger.away = False
    router = Router(settings(day("1")), clients=_scripted(), sinks=(), ledger=ledger, clock=clock)
    spent = []
    for _ in range(3):
        (purse,) = (await router.acomplete("hi", max_tokens=100)).decision.budgets
        spent.append(purse.standing.spent_nano + purse.standing.reserved_nano)
    assert ledger.asked.count("standings") == 1
    assert spent[0] == 0 < spent[1] < spent[2]
    clock.advance(1.0)
    await router.acomplete("hi", max_tokens=100)
    assert ledger.asked.count("standings") == 2
    assert router.plan("hi").budgets[0].standing.spent_nano > 0
    await router.aclose()


def test_synchronous_calls_read_a_shared_ledger_too() -> None:
    """`complete`, `stream` and `plan` see what others spent before they decide."""
    ledger = Away()
    ledger.away = False
    with routed(day("1"), ledger=ledger) as router:
        assert router.plan("hi").budgets[0].standing.spent_nano == 0
        router.complete("hi", max_tokens=100)
        with router.stream("hi", max_tokens=100) as stream:
            list(stream)
        assert ledger.asked.count("standings") == 1
    with routed(day("1"), ledger=ledger) as router:
        reply = router.complete("hi", max_tokens=100)
        assert reply.decision.budgets[0].standing.spent_nano > 0
