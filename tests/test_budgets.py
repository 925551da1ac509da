"""Budgets as a program meets them: real machine, real ledger; only client and clock are scripted."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from router import (
    Account,
    Answer,
    BudgetExceeded,
    Call,
    Chunk,
    Claim,
    Decision,
    Entry,
    Failure,
    NotCached,
    ProviderError,
    Purse,
    Refused,
    Reply,
    RequestError,
    Reserved,
    Router,
    RouterWarning,
    Settings,
    Standing,
    StoreError,
    Usage,
)
from router.core.budget import nano_of
from router.state.ledger_memory import MemoryLedger
from router.testing.clock import VirtualClock
from router.testing.decisions import Decisions
from router.testing.scripted import ScriptedClient, answer, failure
from router.testing.world import World
from tests.redis_server import RedisServer

ROOT = Path(__file__).parents[1]
PRICES = {"small": "1", "medium": "2", "large": "8"}
MODELS = {
    name: {
        "id": f"simulated/{name}",
        "client": "simulated",
        "input_usd_per_mtok": price,
        "output_usd_per_mtok": price,
        "context_window_tokens": 10_000,
        "max_output_tokens": 1_000,
    }
    for name, price in PRICES.items()
}
LARGE_FIRST = {"default": {"kind": "fallback", "models": ["large", "medium", "small"]}}


def settings(budgets: dict[str, Any], **more: Any) -> Settings:
    """Returns the settings of three models of which the large one is asked first."""
    return Settings(**{"models": MODELS, "policies": LARGE_FIRST, "budgets": budgets, "seed": "7", **more})


def routed(budgets: dict[str, Any], client: Any = None, *, ledger: Any = None, sinks: Any = (), **more: Any) -> Router:
    """Returns a router with these budgets."""
    return Router(
        settings(budgets, **more),
        clients={"simulated": client or ScriptedClient()},
        sinks=sinks,
        ledger=ledger,
        clock=VirtualClock(),
    )


def day(limit_usd: str, **more: Any) -> dict[str, Any]:
    """Returns one budget for everything, for a day."""
    return {"day": {"limit_usd": limit_usd, "window": "day", **more}}


def worst_usd(name: str, **request: Any) -> Decimal:
    """Returns what a request can cost at most at a model."""
    with routed({}) as router:
        slate = router.plan("hi", **request).slate
        worst = next(c.worst_usd for c in slate.live if c.name == name)
        assert worst is not None
        return worst


def standing(router: Router) -> Standing:
    """Returns how the only account of a router stands."""
    (found,) = asyncio.run(accounts(router))
    return found[1]


async def accounts(router: Router) -> list[tuple[Account, Standing]]:
    """Returns all accounts of a router."""
    treasury = router._treasury  # noqa: SLF001 - what a test may look at
    assert treasury is not None
    return [each async for each in treasury.ledger.accounts(now_s=0.0)]


def test_exactly_as_many_tasks_pass_as_fit() -> None:
    """Of 1,000 concurrent requests, 37 pass where the budget pays for 37 worst cases, to the nano-dollar."""
    worst = worst_usd("small", model="small", max_tokens=100)
    taken: list[Standing] = []

    class Dear(ScriptedClient):
        async def send(self, call: Call, /) -> Answer | Failure:
            await asyncio.sleep(0)
            taken.append((await accounts(router))[0][1])
            return failure("timed_out")  # billed at its worst

    router = routed(day(str(37 * worst)), Dear(), bounds={"attempts": 1})

    async def one() -> str:
        try:
            await router.acomplete("hi", model="small", max_tokens=100)
        except BudgetExceeded:
            return "refused"
        except ProviderError:
            return "asked"
        return "answered"

    async def everyone() -> list[str]:
        return await asyncio.gather(*[one() for _ in range(1_000)])

    ends = asyncio.run(everyone())
    assert ends.count("asked") == 37
    assert ends.count("refused") == 963
    assert all(s.spent_nano + s.reserved_nano <= s.limit_nano for s in taken)
    assert standing(router) == Standing(limit_nano=nano_of(37 * worst), spent_nano=nano_of(37 * worst))


def test_exactly_as_many_threads_pass_as_fit() -> None:
    """The same of 1,000 calls from 32 threads."""
    worst = worst_usd("small", model="small", max_tokens=100)
    client = ScriptedClient({"small": failure("timed_out")})
    ends: list[str] = []
    with (
        Router(settings(day(str(37 * worst)), bounds={"attempts": 1}), clients={"simulated": client}) as router,
        ThreadPoolExecutor(32) as pool,
    ):

        def one(_: int) -> None:
            try:
                router.complete("hi", model="small", max_tokens=100)
            except BudgetExceeded:
                ends.append("refused")
            except ProviderError:
                ends.append("asked")

        list(pool.map(one, range(1_000)))
        assert standing(router).spent_nano == nano_of(37 * worst)
    assert (ends.count("asked"), ends.count("refused")) == (37, 963)


@pytest.fixture(params=["sqlite", "redis"])
def shared_state(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Gives the table [state] of a store that processes share."""
    wait = {"wait_s": 30}  # a machine may be busy; how a slow store is left alone is tested elsewhere
    if request.param == "sqlite":
        yield {"backend": "sqlite", "path": str(tmp_path / "state.sqlite"), **wait}
        return
    with RedisServer() as server:
        yield {"backend": "redis", "url": server.url, **wait}


async def watched(tables: dict[str, Any], processes: Sequence[subprocess.Popen[str]]) -> list[Standing]:
    """Returns all that was seen of the only account while processes were at work, and after."""
    seen: list[Standing] = []
    async with Router(Settings(**tables), clients={"simulated": ScriptedClient()}) as watcher:
        working = True
        while working:
            working = any(process.poll() is None for process in processes)
            seen += [found for _, found in await accounts(watcher)]
    return seen


def test_exactly_as_many_processes_pass_as_fit(shared_state: dict[str, Any]) -> None:
    """The same of 1,000 requests from four processes, and nobody ever sees more spent and reserved than the limit."""
    worst = worst_usd("small", model="small", max_tokens=100)
    tables = {
        "models": MODELS,
        "bounds": {"attempts": 1},
        "budgets": day(str(37 * worst)),
        "state": shared_state,
    }
    command = [sys.executable, "-m", "tests.budget_load", json.dumps(tables), "250"]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(4)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        seen = asyncio.run(watched(tables, processes))
        ends: Counter[str] = Counter()
        for process in processes:
            out, _ = process.communicate()
            ends.update(json.loads(out))
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert ends == {"asked": 37, "refused": 963}
    assert all(s.spent_nano + s.reserved_nano <= s.limit_nano for s in seen)
    assert (seen[-1].spent_nano, seen[-1].reserved_nano) == (nano_of(37 * worst), 0)


async def whole(router: Router, *, streamed: bool, **request: Any) -> Reply:
    """Returns the reply, read as a stream or at once."""
    if not streamed:
        return await router.acomplete("hi", **request)
    stream = router.astream("hi", **request)
    async for _ in stream:
        pass
    return stream.reply


@pytest.mark.parametrize("streamed", [False, True])
async def test_what_an_attempt_cost_is_settled(streamed: bool) -> None:
    """The worst case is released, and the true cost stays, of an answer as of a stream."""
    decisions = Decisions()
    router = routed(day("1"), sinks=[decisions])
    reply = await whole(router, streamed=streamed, max_tokens=100)
    [(account, found)] = await accounts(router)
    assert reply.cost_usd is not None
    assert (account.budget, found.spent_nano, found.reserved_nano) == ("day", nano_of(reply.cost_usd), 0)
    (attempt,) = reply.decision.attempts
    assert attempt.reserved_usd == attempt.worst_usd
    (purse,) = reply.decision.budgets
    assert (purse.standing.spent_nano, purse.standing.limit_nano) == (0, 10**9)
    assert decisions[0].budgets == reply.decision.budgets


def test_what_happens_beyond_a_limit_is_said_by_the_budget() -> None:
    """Block refuses, cheapest asks who fits, another policy decides, alert asks as ever."""
    limit = str(worst_usd("small", max_tokens=100))
    with routed(day(limit)) as router:
        with pytest.raises(BudgetExceeded, match=r"the budget 'day' has no room: large can cost \$0\.0") as caught:
            router.complete("hi", max_tokens=100)
        assert caught.value.budget == "day"
        assert caught.value.decision is not None
        assert caught.value.decision.attempts == ()
    with routed(day(limit, on_exceed="cheapest")) as router:
        assert router.complete("hi", max_tokens=100).model == "small"
    policies = {**LARGE_FIRST, "frugal": {"kind": "fallback", "models": ["small"]}}
    with routed(day(limit, policy="frugal"), policies=policies) as router:
        reply = router.complete("hi", max_tokens=100)
        assert (reply.model, reply.decision.policy, reply.decision.budget_policy) == ("small", "default", "frugal")
        assert isinstance(router.replay(reply.decision.to_dict()), Decision)
    with routed(day(limit, on_exceed="alert")) as router:
        assert router.complete("hi", max_tokens=100).model == "large"
        assert standing(router).spent_nano > 0


def test_an_instead_policy_gets_the_statistics_that_it_reads() -> None:
    """Whatever policy a budget may put in the place of another has its snapshot in every request."""
    policies = {**LARGE_FIRST, "quick": {"kind": "max_latency", "p95_s": 1.0, "unknown": "keep"}}
    with routed(day("1", policy="quick"), policies=policies) as router:
        router.complete("hi")
        assert router.complete("hi").decision.stats.keys() == {"large"}


def test_a_spent_budget_still_serves_what_is_stored() -> None:
    """A hit costs nothing; the same request anew is refused."""
    limit = str(worst_usd("large", max_tokens=100))
    with routed(day(limit), cache={"ttl_s": 60}) as router:
        first = router.complete("hi", max_tokens=100)
        with pytest.raises(BudgetExceeded):
            router.complete("other", max_tokens=100)
        again = router.complete("hi", max_tokens=100)
        assert (again.text, again.cost_usd, again.decision.cache) == (first.text, Decimal(0), "memory")
        with pytest.raises(NotCached):
            router.complete("third", max_tokens=100, cache="only")


def test_each_tenant_has_an_account() -> None:
    """One that spent all does not keep another from asking; whoever names none has one together."""
    limit = str(worst_usd("large", max_tokens=100))
    with routed({"each": {"limit_usd": limit, "window": "day", "scope": "tenant"}}) as router:
        router.complete("hi", max_tokens=100, tenant="acme")
        with pytest.raises(BudgetExceeded, match="left for 'acme' until 2026-01-02"):
            router.complete("hi", max_tokens=100, tenant="acme")
        router.complete("hi", max_tokens=100, tenant="zeta")
        router.complete("hi", max_tokens=100)
        found = {account.value for account, _ in asyncio.run(accounts(router))}
        assert found == {"acme", "zeta", ""}


def test_a_budget_of_a_model_holds_that_one_back() -> None:
    """The next one in the chain is asked, as the budget says nothing of it."""
    budgets = {"l": {"limit_usd": "0", "window": "total", "scope": "model", "only": "large", "on_exceed": "cheapest"}}
    with routed(budgets) as router:
        reply = router.complete("hi", max_tokens=100)
        assert reply.model == "small"
        assert {d.name: d.by for d in reply.decision.slate.dropped} == {"large": "budget l"}


async def test_a_failed_attempt_is_settled_before_the_next_is_reserved() -> None:
    """A budget with room for one attempt pays for a second one after the first turned out to cost nothing."""
    limit = str(worst_usd("large", max_tokens=100))
    client = ScriptedClient({"large": failure("no_such_model")})
    reply = await routed(day(limit), client).acomplete("hi", max_tokens=100)
    assert [attempt.model for attempt in reply.decision.attempts] == ["large", "medium"]


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


class Late(ScriptedClient):
    """A client whose large model answers after all others."""

    async def send(self, call: Call, /) -> Answer | Failure:
        """Waits where it is the large model's turn."""
        if call.model.name == "large":
            await asyncio.sleep(0.2)
        return answer("ok")


class Away:
    """A ledger that cannot be reached until it is back."""

    def __init__(self) -> None:
        self.own = MemoryLedger()
        self.away = True
        self.asked: list[str] = []

    async def reserve(self, claim: Claim, /) -> Reserved | Refused:
        """Reserves a claim, if it can be reached."""
        self._reach("reserve")
        return await self.own.reserve(claim)

    async def settle(self, claim: Claim, cost_nano: int | None, /, *, now_s: float) -> None:
        """Settles a claim, if it can be reached."""
        self._reach("settle")
        await self.own.settle(claim, cost_nano, now_s=now_s)

    async def standings(self, entries: Sequence[Entry], /, *, now_s: float) -> tuple[Standing, ...]:
        """Returns how accounts stand, if it can be reached."""
        self._reach("standings")
        return await self.own.standings(entries, now_s=now_s)

    async def accounts(self, *, now_s: float) -> AsyncGenerator[tuple[Account, Standing]]:
        """Yields all accounts."""
        async for each in self.own.accounts(now_s=now_s):
            yield each

    async def rebuild(self, spent: Sequence[Claim], /, *, now_s: float) -> None:
        """Puts the log in the place of all."""
        await self.own.rebuild(spent, now_s=now_s)

    async def aclose(self) -> None:
        """There is nothing to let go of."""

    def _reach(self, what: str) -> None:
        self.asked.append(what)
        if self.away:
            raise StoreError("nobody is there")


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


async def test_observers_are_told_of_every_settlement() -> None:
    """With how the accounts stand after it; one that fails is a warning, and the others are told all the same."""
    for ledger in (None, Away()):
        if ledger is not None:
            ledger.away = False
        router = routed(day("1"), ledger=ledger)
        treasury = router._treasury  # noqa: SLF001 - there is no public way yet
        assert treasury is not None
        told: list[Purse] = []
        treasury.observe(_broken)
        treasury.observe(told.extend)
        with pytest.warns(RouterWarning, match="an observer of budgets raised ValueError: oops"):
            reply = await router.acomplete("hi", max_tokens=100)
        assert reply.cost_usd is not None
        assert [purse.standing.spent_nano for purse in told] == [nano_of(reply.cost_usd)]
        await router.aclose()


def _broken(_: tuple[Purse, ...]) -> None:
    raise ValueError("oops")


AT = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_usage_from_elsewhere_counts() -> None:
    """It has a record of its own, priced by the same rows, and counts in budgets whatever they have left."""
    decisions = Decisions()
    with routed(day("0"), sinks=[decisions]) as router:
        usage = {"prompt_tokens": 1_000, "completion_tokens": 500}
        decision = router.record_usage(model="large", usage=usage, tags={"team": "x"}, tenant="acme", time=AT)
        assert standing(router).spent_nano == 12_000_000
    assert decisions == [decision]
    record = decision.to_dict()
    assert (record["ending"], record["model"], record["cost_usd"]) == ("recorded", "large", "0.012")
    assert (record["tenant"], record["tags"], record["policy"]) == ("acme", {"team": "x"}, "none")
    assert record["time"] == "2026-01-01T12:00:00.000000+00:00"
    assert record["attempts"][0]["usage"] == {"input_tokens": 1_000, "output_tokens": 500}
    assert record["attempts"][0]["price_rule"] == "stated usage times price"
    with routed({}) as router:
        assert router.record_usage(model="simulated/small", usage=Usage(input_tokens=1)).model == "small"


def test_what_is_recorded_under_one_name_counts_once() -> None:
    """In budgets and in the log; without a name each time."""
    decisions = Decisions()
    with routed(day("1"), sinks=[decisions]) as router:
        for _ in range(3):
            router.record_usage(model="small", usage=Usage(input_tokens=1_000), request_id="job-7")
        assert standing(router).spent_nano == 1_000_000
        assert len(decisions) == 1
        for _ in range(2):
            router.record_usage(model="small", usage=Usage(input_tokens=1_000))
        assert standing(router).spent_nano == 3_000_000
    assert len(decisions) == 3


async def test_it_is_recorded_from_an_event_loop_too() -> None:
    """In a shared ledger, in the window of the time that is given."""
    ledger = Away()
    ledger.away = False
    async with routed({"hour": {"limit_usd": "1", "window": "hour"}}, ledger=ledger) as router:
        await router.arecord_usage(model="small", usage=Usage(input_tokens=7), policy="default", time=AT)
    [(account, found)] = [each async for each in ledger.accounts(now_s=AT.timestamp())]
    assert (account.start_s, found.spent_nano) == (int(AT.timestamp()), 7_000)


async def test_what_is_recorded_stands_in_the_log_also_where_the_caller_gives_up() -> None:
    """Whatever budgets have, a rebuild finds."""
    decisions, ledger = Decisions(), Away()
    ledger.away = False
    router = routed(day("1"), ledger=ledger, sinks=[decisions])
    task = asyncio.create_task(router.arecord_usage(model="small", usage=Usage(input_tokens=7)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await router.aclose()
    [(_, found)] = [each async for each in ledger.accounts(now_s=AT.timestamp())]
    assert (found.spent_nano, len(decisions)) == (7_000, 1)


def test_a_cost_that_nobody_knows_counts_nothing() -> None:
    """A model without a price has a record whose cost is unknown."""
    models = {**MODELS, "own": {"id": "own/model", "base_url": "http://127.0.0.1:9", "context_window_tokens": 10}}
    with routed(day("1"), models=models, unpriced="allow") as router:
        decision = router.record_usage(model="own", usage=Usage(input_tokens=1_000))
        assert decision.cost_usd is None
        assert decision.attempts[0].billing == "unknown"
        assert standing(router).spent_nano == 0


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"model": "nobody"}, "model 'nobody' is not configured"),
        ({"policy": "nobody"}, "policy 'nobody' is not configured"),
        ({"usage": {}}, "states no tokens; allowed: a router.Usage"),
        ({"usage": Usage(input_tokens=-1)}, "states no tokens"),
        ({"time": datetime(2026, 1, 1)}, "time: a datetime without a time zone"),  # noqa: DTZ001 - what is refused
        ({"time": "2026-01-01"}, "time: a value of type str is not allowed; a datetime, or None, is"),
        ({"tenant": 5}, "tenant"),
    ],
)
def test_usage_that_makes_no_sense_is_refused(given: dict[str, Any], says: str) -> None:
    """Nothing is counted or logged."""
    decisions = Decisions()
    with routed(day("1"), sinks=[decisions]) as router, pytest.raises(RequestError, match=says):
        router.record_usage(**{"model": "small", "usage": Usage(input_tokens=1), **given})
    assert not decisions


def test_what_the_provider_billed_is_taken_at_its_word() -> None:
    """As of an answer that came by the router."""
    with routed({}) as router:
        told = {"usage": {"prompt_tokens": 10, "completion_tokens": 1, "cost": 0.5}}
        decision = router.record_usage(model="small", usage=told)
    assert decision.cost_usd == Decimal("0.5")
    assert decision.attempts[0].price_rule == "as the provider says it billed"
