"""What is left reserved of requests that end early, and of hedges: nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from decimal import Decimal

import pytest

from router import (
    Answer,
    Call,
    Chunk,
    Claim,
    Failure,
    Reply,
    Router,
)
from router.core.budget import nano_of
from router.testing.decisions import Decisions
from router.testing.scripted import ScriptedClient, answer, failure
from router.testing.world import World
from tests.budget_routers import Away, Late, accounts, day, routed, settings, standing, whole, worst_usd


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_caller_who_gives_up_leaves_nothing_reserved(streamed: bool) -> None:
    """What the attempt may have cost is settled as its record says."""
    started = asyncio.Event()

    class Slow(ScriptedClient):
        async def send(self, call: Call, /) -> Answer | Failure:
            started.set()
            await asyncio.Event().wait()
            raise AssertionError

        async def stream(self, call: Call, /) -> AsyncGenerator[Chunk | Answer | Failure]:
            yield await self.send(call)

    decisions = Decisions()
    router = routed(day("1"), Slow(), sinks=[decisions])
    task = asyncio.create_task(whole(router, streamed=streamed, max_tokens=100))
    await started.wait()
    [(_, during)] = await accounts(router)
    assert during.reserved_nano > 0
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    [(_, after)] = await accounts(router)
    (attempt,) = decisions[0].attempts
    assert attempt.cost_usd is not None
    assert (after.reserved_nano, after.spent_nano) == (0, nano_of(attempt.cost_usd))


def test_what_ends_with_its_event_loop_is_settled() -> None:
    """Requests that are cancelled as a program ends tell the store what they cost before their loop is closed."""

    class Distant(Away):
        async def settle(self, claim: Claim, cost_nano: int | None, /, *, now_s: float) -> None:
            for _ in range(50):
                await asyncio.sleep(0)
            await super().settle(claim, cost_nano, now_s=now_s)

    class Slow(ScriptedClient):
        async def send(self, call: Call, /) -> Answer | Failure:
            started.append(call)
            await asyncio.Event().wait()
            raise AssertionError

    ledger, started = Distant(), list[Call]()
    ledger.away = False
    router = routed(day("1"), Slow(), ledger=ledger)

    async def begun() -> None:
        tasks = {asyncio.create_task(router.acomplete("hi", max_tokens=100)) for _ in range(3)}
        while len(started) < len(tasks):
            await asyncio.sleep(0)

    asyncio.run(begun())
    found = standing(router)
    assert (found.reserved_nano, found.spent_nano) == (0, 3 * nano_of(worst_usd("large", max_tokens=100)))


def test_a_hedge_that_there_is_no_money_for_is_not_sent() -> None:
    """The first attempt goes on alone; with money for both, both are made."""
    limit = {name: worst_usd(name, max_tokens=100) for name in ("large", "medium")}

    async def asked(most: Decimal, world: World) -> Reply:
        config = settings(day(str(most), on_exceed="cheapest"), hedge={"enabled": True, "after_s": 0.01})
        router = Router(config, clients={"simulated": Late()}, sinks=(), clock=world.clock)
        reply = await router.acomplete("hi", max_tokens=100)
        [(_, found)] = await accounts(router)
        assert found.reserved_nano == 0
        return reply

    for usd, models in ((limit["large"], ["large"]), (limit["large"] + limit["medium"], ["large", "medium"])):
        with World() as world:
            reply = world.run(asked(usd, world))
        assert [attempt.model for attempt in reply.decision.attempts] == models


def test_what_is_asked_after_a_hedge_that_was_not_sent_counts() -> None:
    """When the first attempt fails in the end, the next one has a reservation of its own, and its cost is spent."""
    limit = worst_usd("large", max_tokens=100)
    held: list[int] = []

    class Overloaded(ScriptedClient):
        async def send(self, call: Call, /) -> Answer | Failure:
            if call.model.name == "large":
                await asyncio.sleep(0.2)
                return failure("refused")
            held.append((await accounts(router))[0][1].reserved_nano)
            return answer("ok")

    async def asked() -> Reply:
        return await router.acomplete("hi", max_tokens=100)

    with World() as world:
        config = settings(day(str(limit), on_exceed="cheapest"), hedge={"enabled": True, "after_s": 0.01})
        router = Router(config, clients={"simulated": Overloaded()}, sinks=(), clock=world.clock)
        reply = world.run(asked())
    assert [(a.model, a.hedge) for a in reply.decision.attempts] == [("large", False), ("medium", False)]
    assert held == [nano_of(worst_usd("medium", max_tokens=100))]
    cost = reply.decision.cost_usd
    assert cost
    assert standing(router).spent_nano == nano_of(cost)
