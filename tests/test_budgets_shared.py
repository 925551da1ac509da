"""Budgets in a store that others share, and that may be out of reach."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from router import BudgetExceeded, Reply, Router, RouterWarning, Usage
from router.analytics.spent import spent
from router.core.budget import nano_of
from router.setup import setup_of
from router.state.ledger_memory import MemoryLedger
from router.testing.clock import VirtualClock
from router.testing.scripted import ScriptedClient
from tests.budget_kills import summed
from tests.budget_routers import Away, day, routed, settings, whole, worst_usd


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


@pytest.mark.untraced
@pytest.mark.filterwarnings("ignore:Away does not help")
@pytest.mark.parametrize("emptied", [False, True])
@pytest.mark.parametrize("rebuilds", [(1,), (0, 1, 2)])
@pytest.mark.parametrize("late_s", [0.0, 3_600.0])
async def test_an_outage_with_rebuilds_in_it_counts_once(
    emptied: bool, rebuilds: tuple[int, ...], late_s: float, tmp_path: Path
) -> None:
    """Whatever the log had when it was read, and whenever the process tells: each account is its decisions' sum."""
    budgets = {
        "all": {"limit_usd": "1", "window": "total", "fail": "open", "open_share": 0.5},
        "each": {"limit_usd": "1", "window": "24h", "scope": "tenant", "fail": "open", "open_share": 0.5},
    }
    ledger, clock = Away(), VirtualClock()
    ledger.away = False
    config = settings(budgets, log={"path": str(tmp_path / "log")})
    router = Router(config, clients=_scripted(), ledger=ledger, clock=clock)

    async def spends() -> None:
        await whole(router, streamed=True, max_tokens=100, tenant="acme")
        await router.acomplete("hi", max_tokens=100)
        await router.arecord_usage(model="small", usage=Usage(input_tokens=7))

    async def rebuilt() -> None:
        now_s = clock.now().timestamp()
        await ledger.rebuild(spent(tmp_path / "log", setup_of(config).budgets, now_s=now_s).claims, now_s=now_s)

    await spends()
    under_way = router.astream("hi", max_tokens=100)
    await anext(under_way)
    ledger.away = True
    for number in range(3):
        await spends()
        if emptied and not number:
            ledger.own = MemoryLedger()
        if number == 1:
            async for _ in under_way:
                pass
        if number in rebuilds:
            await rebuilt()
        clock.advance(late_s)
    ledger.away = False
    clock.advance(60.0)
    await spends()
    await router.aclose()
    found = {account: standing async for account, standing in ledger.accounts(now_s=clock.now().timestamp())}
    sums = summed(tmp_path / "log", setup_of(config))
    assert {account: s.spent_nano for account, s in found.items()} == sums
    assert sum(s.reserved_nano for s in found.values()) == 0


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
