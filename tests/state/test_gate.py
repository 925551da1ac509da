"""The gate: what it holds back, whom it calls in, and that it loses no place."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, get_args

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from router.core.breaker import BreakerSettings
from router.core.catalog import Model
from router.core.decision import Outcome
from router.core.deployment import Deployment
from router.core.failure import FailureClass
from router.core.place import ConcurrencySettings, Held, Place
from router.core.quota import QuotaSettings
from router.state.gate import Gate
from router.testing.clock import VirtualClock
from tests.core.builders import model

OUTCOMES: tuple[Outcome, ...] = ("answer", "cancelled", *get_args(FailureClass))
SMALL = model("small", key_env="KEY")
NARROW = model("narrow", concurrency=1, queue=2)
PAIR = model("pair", deployments=(Deployment(name="east", key_env="EAST"), Deployment(name="west", key_env="WEST")))


@pytest.fixture
def clock() -> VirtualClock:
    """A clock that stands still."""
    return VirtualClock()


@pytest.fixture
def gate(clock: VirtualClock) -> Gate:
    """A gate with default settings."""
    return Gate(monotonic=clock.monotonic)


async def place(gate: Gate, asked: Model, **options: Any) -> Place:
    """Returns the place that the gate must grant."""
    found = await gate.enter(asked, **options)
    assert isinstance(found, Place), found
    return found


async def held(gate: Gate, asked: Model, **options: Any) -> Held:
    """Returns why the gate holds back, as it must."""
    found = await gate.enter(asked, **options)
    assert isinstance(found, Held), found
    return found


async def fail(gate: Gate, asked: Model, outcome: Outcome = "server_error", times: int = 5, **options: Any) -> None:
    """Makes attempts that end so."""
    for _ in range(times):
        gate.leave(await place(gate, asked), outcome, **options)


def at_once(gate: Gate, asked: Model, **options: Any) -> Place | Held:
    """Returns what the gate says without any wait; fails where it would switch tasks."""
    steps = gate.enter(asked, **options)
    try:
        steps.send(None)
    except StopIteration as end:
        found: Place | Held = end.value
        return found
    raise AssertionError("the gate waited")


def test_the_usual_way_needs_no_event_loop(gate: Gate) -> None:
    """Where nothing is wrong, an attempt passes without a task switch, and there need not even be a loop."""
    found = at_once(gate, SMALL)
    assert isinstance(found, Place)
    assert found.model is SMALL
    assert found.deployment == "small"
    assert gate.snapshot()["small"].in_flight == 1
    gate.leave(found, "answer")
    assert gate.snapshot()["small"].in_flight == 0


async def test_an_open_breaker_holds_back(gate: Gate, clock: VirtualClock) -> None:
    """After five failures the model is not asked for half a minute, and the snapshot says so; then one probe passes."""
    await fail(gate, SMALL)
    why = await held(gate, SMALL)
    assert why == Held(
        reason="breaker_open", message="small is not asked for 30.0 s more: server_error", retry_after_s=30.0
    )
    state = gate.snapshot()["small"].deployments["small"]
    assert (state.breaker, state.cause, state.shut_s, state.key_env) == ("open", "server_error", 30.0, None)
    clock.advance(30.0)
    assert gate.snapshot()["small"].deployments["small"].breaker == "half_open"
    probe = await place(gate, SMALL)
    assert (await held(gate, SMALL)).message == "small is being probed after server_error"
    gate.leave(probe, "answer")
    assert gate.snapshot()["small"].deployments["small"].breaker == "closed"
    gate.leave(await place(gate, SMALL), "answer")


async def test_a_cancelled_probe_frees_its_place(gate: Gate, clock: VirtualClock) -> None:
    """When the caller of a probe gives up, the next attempt is the probe."""
    await fail(gate, SMALL)
    clock.advance(30.0)
    gate.leave(await place(gate, SMALL), "cancelled")
    await place(gate, SMALL)
    assert (await held(gate, SMALL)).reason == "breaker_open"


async def test_the_last_model_is_asked_all_the_same(gate: Gate) -> None:
    """Where nobody else is left, an open breaker lets attempts through, and an answer closes it."""
    await fail(gate, SMALL)
    gate.leave(await place(gate, SMALL, last=True), "server_error")
    assert (await held(gate, SMALL)).reason == "breaker_open"
    gate.leave(await place(gate, SMALL, last=True), "answer")
    gate.leave(await place(gate, SMALL), "answer")


async def test_the_last_model_may_be_ejected_where_one_wants(clock: VirtualClock) -> None:
    """With `keep_last` off, an open breaker holds back whoever comes."""
    gate = Gate(breaker=BreakerSettings(keep_last=False), monotonic=clock.monotonic)
    await fail(gate, SMALL)
    assert (await held(gate, SMALL, last=True)).reason == "breaker_open"


async def test_a_rest_holds_back_as_long_as_it_was_asked_for(gate: Gate, clock: VirtualClock) -> None:
    """A refusal with a wait is honoured for every request, and then all pass at once."""
    await fail(gate, SMALL, "refused", times=1, retry_after_s=4.0)
    why = await held(gate, SMALL)
    assert why == Held(reason="rate_limited", message="small asked to be left alone for 4.0 s more", retry_after_s=4.0)
    assert gate.snapshot()["small"].deployments["small"].breaker == "resting"
    clock.advance(4.0)
    await place(gate, SMALL)
    await place(gate, SMALL)


async def test_a_bad_key_is_bad_for_every_model(gate: Gate) -> None:
    """A key that is denied holds back all models that use it, and no other."""
    await fail(gate, SMALL, "denied", times=1)
    why = await held(gate, model("large", key_env="KEY"))
    assert (why.reason, why.retry_after_s) == ("breaker_open", 300.0)
    await place(gate, model("other", key_env="OTHER"))
    await place(gate, model("free"))
    state = gate.snapshot()["small"].deployments["small"]
    assert (state.breaker, state.cause, state.key_env) == ("open", "denied", "KEY")


async def test_a_deployment_out_of_order_is_not_chosen(gate: Gate, clock: VirtualClock) -> None:
    """While one deployment's key is out, all go to the other; when both are, the reason is the one that ends first."""
    first = await place(gate, PAIR, draw=0.0)
    assert (first.deployment, first.model.key_env) == ("east", "EAST")
    gate.leave(first, "out_of_quota")
    for draw in (0.0, 0.3, 0.6, 0.9):
        assert (await place(gate, PAIR, draw=draw)).deployment == "west"
    gate.leave(await place(gate, PAIR), "refused", retry_after_s=2.0)
    why = await held(gate, PAIR)
    assert why.message == "pair/west asked to be left alone for 2.0 s more"


async def test_the_less_busy_deployment_is_chosen(gate: Gate) -> None:
    """Attempts that do not end are spread evenly, whatever is drawn; one that failed the request is not asked."""
    chosen = [(await place(gate, PAIR, draw=0.1)).deployment for _ in range(10)]
    assert sorted(chosen) == ["east"] * 5 + ["west"] * 5
    assert [(await place(gate, PAIR, draw=0.1, avoid=("east",))).deployment for _ in range(3)] == ["west"] * 3
    assert (await held(gate, PAIR, avoid=("east", "west"), last=True)).reason == "breaker_open"


async def test_configured_limits_hold_even_for_the_last(gate: Gate, clock: VirtualClock) -> None:
    """Two requests a minute are two, and a third waits for half a minute, also where nobody else is left."""
    limited = model("limited", deployments=(Deployment(name="a", requests_per_minute=2, tokens_per_minute=1_000),))
    await place(gate, limited, tokens=100)
    await place(gate, limited, tokens=100)
    why = await held(gate, limited, last=True)
    assert (why.reason, why.retry_after_s) == ("rate_limited", 30.0)
    state = gate.snapshot()["limited"].deployments["a"]
    assert (state.requests_left, state.tokens_left) == (0.0, 800.0)
    clock.advance(30.0)
    await place(gate, limited)


@pytest.mark.parametrize(
    ("outcome", "tokens", "left"), [("answer", 400, 600), ("cut", None, 100), ("not_sent", 5, 1_000)]
)
async def test_tokens_are_settled(gate: Gate, outcome: Outcome, tokens: int | None, left: float) -> None:
    """What an attempt took less than expected comes back; what was never sent took nothing."""
    limited = model("limited", deployments=(Deployment(name="a", tokens_per_minute=1_000),))
    gate.leave(await place(gate, limited, tokens=900), outcome, tokens=tokens)
    assert gate.snapshot()["limited"].deployments["a"].tokens_left == left


async def test_limits_are_learned_from_headers(gate: Gate, clock: VirtualClock) -> None:
    """Where the provider says that nothing is left, nothing is sent until it is, but for the last that may help."""
    told = {
        "x-ratelimit-remaining-requests": "1",
        "x-ratelimit-limit-requests": "61",
        "x-ratelimit-reset-requests": "60s",
    }
    first, second = await place(gate, SMALL), await place(gate, SMALL)
    gate.leave(first, "answer", headers=told)
    why = await held(gate, SMALL)
    assert (why.reason, why.retry_after_s) == ("rate_limited", 1.0)
    gate.leave(second, "answer")
    await place(gate, SMALL, last=True)
    clock.advance(2.0)
    await place(gate, SMALL)


async def test_retries_are_a_share_of_traffic(clock: VirtualClock) -> None:
    """When the quota is spent, a retry is held back and says so; first asks pass, and earn more."""
    gate = Gate(quota=QuotaSettings(share=0.5, least_per_s=0.2), monotonic=clock.monotonic)
    await place(gate, SMALL, retry=True)
    await place(gate, SMALL, retry=True)
    assert (await held(gate, SMALL, retry=True)).reason == "quota_spent"
    for _ in range(8):
        await place(gate, SMALL)
    assert gate.snapshot()["small"].retries_left == pytest.approx(2.0)
    await place(gate, SMALL, retry=True)
    await place(gate, SMALL, retry=True)
    assert (await held(gate, SMALL, retry=True)).reason == "quota_spent"
    clock.advance(20.0)
    await place(gate, SMALL)
    await place(gate, SMALL, retry=True)


async def test_the_process_has_a_quota_of_its_own(clock: VirtualClock) -> None:
    """Retries at one model use up those of all; retries that are held back anyway use up none."""
    gate = Gate(quota=QuotaSettings(least_per_s=0.2), monotonic=clock.monotonic)
    await place(gate, SMALL, retry=True)
    await place(gate, model("large"), retry=True)
    assert (await held(gate, model("third"), retry=True)).reason == "quota_spent"
    clock.advance(10.0)
    await fail(gate, SMALL)
    left = gate.snapshot()["small"].retries_left
    assert (await held(gate, SMALL, retry=True)).reason == "breaker_open"
    assert gate.snapshot()["small"].retries_left == left


async def test_places_are_given_in_order(gate: Gate) -> None:
    """Whoever waits first is called first; nobody who comes later overtakes; a full line is told at once."""
    inside = await place(gate, NARROW)
    order: list[int] = []

    async def wait(number: int) -> None:
        mine = await place(gate, NARROW, wait_s=60.0)
        order.append(number)
        gate.leave(mine, "answer")

    tasks = [asyncio.create_task(wait(number)) for number in range(2)]
    await asyncio.sleep(0)
    why = await held(gate, NARROW, wait_s=60.0)
    assert why.reason == "queue_full"
    assert why.message == "narrow has all 1 places taken and 2 of 2 waiting"
    assert gate.snapshot()["narrow"].queued == 2
    gate.leave(inside, "answer")
    assert (await held(gate, NARROW)).reason == "queue_full"
    await asyncio.gather(*tasks)
    assert order == [0, 1]
    idle(gate, "narrow")


def idle(gate: Gate, name: str) -> None:
    """Asserts that nobody is on the way, nobody waits, and a place is free."""
    state = gate.snapshot()[name]
    assert (state.in_flight, state.queued) == (0, 0)
    found = at_once(gate, gate._kept.get().lanes[name].model, last=True)  # noqa: SLF001 - the very model that was asked
    assert isinstance(found, Place)
    gate.leave(found, "cancelled")


async def test_a_wait_ends_in_time(gate: Gate) -> None:
    """Whoever gets no place within its time is told so and leaves the line; whoever will not wait is told at once."""
    inside = await place(gate, NARROW)
    assert (await held(gate, NARROW)).reason == "queue_full"
    why = await held(gate, NARROW, wait_s=0.01)
    assert why == Held(reason="queue_full", message="narrow had no free place within 0.0 s")
    gate.leave(inside, "answer")
    idle(gate, "narrow")


async def test_a_cancelled_wait_leaves_no_trace(gate: Gate) -> None:
    """Whoever gives up in the line leaves it; with the place already granted, the next one gets it."""
    inside = await place(gate, NARROW)
    waiting = [asyncio.create_task(gate.enter(NARROW, wait_s=60.0)) for _ in range(2)]
    await asyncio.sleep(0)
    gate.leave(inside, "answer")
    waiting[0].cancel()
    found = await waiting[1]
    assert waiting[0].cancelled()
    assert isinstance(found, Place)
    late = asyncio.create_task(gate.enter(NARROW, wait_s=60.0))
    await asyncio.sleep(0)
    late.cancel()
    await asyncio.gather(late, return_exceptions=True)
    gate.leave(found, "answer")
    idle(gate, "narrow")


async def test_who_waited_is_looked_at_again(gate: Gate) -> None:
    """A breaker that opened while one waited for a place holds it back, and the place goes on to the next."""
    inside = [await place(gate, model("five", concurrency=5)) for _ in range(5)]
    waiting = [asyncio.create_task(gate.enter(model("five", concurrency=5), wait_s=60.0)) for _ in range(7)]
    await asyncio.sleep(0)
    for one in inside:
        gate.leave(one, "timed_out")
    found = await asyncio.gather(*waiting)
    assert {one.reason for one in found if isinstance(one, Held)} == {"breaker_open"}
    idle(gate, "five")


async def test_a_full_line_is_seen_again_after_the_quota() -> None:
    """Where the quota's store takes its time, the line may have filled meanwhile, and is asked again."""

    class Slow:
        """Keeps every retry waiting until it is told to grant it."""

        def __init__(self) -> None:
            self.go = asyncio.Event()

        def deposit(self, model: str, now_s: float, /) -> None: ...

        async def withdraw(self, model: str, now_s: float, /) -> bool:
            return await self.go.wait()

        def left(self, model: str, now_s: float, /) -> float:
            return 1.0

    quotas = Slow()
    gate = Gate(quotas=quotas)
    one = model("one", concurrency=1, queue=1)
    inside = await place(gate, one)
    retry = asyncio.create_task(gate.enter(one, retry=True, wait_s=60.0))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(gate.enter(one, wait_s=60.0))
    await asyncio.sleep(0)
    quotas.go.set()
    found = await retry
    assert isinstance(found, Held)
    assert found.reason == "queue_full"
    gate.leave(inside, "answer")
    assert isinstance(await waiting, Place)


async def test_a_second_leave_changes_nothing(gate: Gate) -> None:
    """A place that was given back is not freed again, and its failure counts once; nor does a stranger's place."""
    inside = await place(gate, NARROW)
    for _ in range(9):
        gate.leave(inside, "server_error")
    gate.leave(Place(model=SMALL, deployment="small", ticket=1), "server_error")
    await place(gate, NARROW)
    assert (await held(gate, NARROW)).reason == "queue_full"


async def test_a_catalog_may_change(gate: Gate) -> None:
    """A model whose entry changed keeps its places, its breaker and what is known of deployments that stayed."""
    before = model("m", concurrency=2, deployments=(Deployment(name="a"), Deployment(name="b", requests_per_minute=9)))
    old = await place(gate, before, draw=0.0)
    await place(gate, before, draw=0.9)
    waiting = asyncio.create_task(gate.enter(before, wait_s=60.0))
    await asyncio.sleep(0)
    after = model("m", concurrency=2, deployments=(Deployment(name="b", requests_per_minute=9), Deployment(name="c")))
    assert (await held(gate, after)).reason == "queue_full"
    gate.leave(old, "answer")
    found = await waiting
    assert isinstance(found, Place)
    assert found.deployment in ("b", "c")
    assert gate.snapshot()["m"].deployments["b"].requests_left in (7.0, 8.0)
    assert gate.snapshot()["m"].in_flight == 2
    equal = model("m", concurrency=2, deployments=after.deployments)
    assert (await held(gate, equal)).reason == "queue_full"


def test_threads_and_loops_share_places() -> None:
    """Callers on eight loops of eight threads never exceed the limit, all get their turn, and no place is lost."""
    gate = Gate(concurrency=ConcurrencySettings(limit=3, queue=1_000))
    lock, inside, most = threading.Lock(), 0, 0

    async def one(number: int) -> None:
        nonlocal inside, most
        mine = await place(gate, SMALL, wait_s=60.0)
        with lock:
            inside += 1
            most = max(most, inside)
        await asyncio.sleep(0)
        with lock:
            inside -= 1
        gate.leave(mine, "cancelled" if number % 3 else "answer")

    async def many() -> None:
        await asyncio.gather(*(one(number) for number in range(100)))

    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(asyncio.run, many()) for _ in range(8)]:
            done.result()
    assert most <= 3
    idle(gate, "small")


@pytest.mark.parametrize("lock_held", [False, True])
def test_a_forked_child_starts_anew(gate: Gate, clock: VirtualClock, lock_held: bool) -> None:
    """A child knows which breakers were open, has all places free, and hangs on no lock that was held at the fork."""
    asyncio.run(fail(gate, SMALL))
    at_once(gate, NARROW)
    at_once(gate, PAIR, retry=True)
    if lock_held:
        gate._kept.get().lock.acquire()  # noqa: SLF001 - as another thread might at the moment of a fork
    child = os.fork()
    if child == 0:
        fine = False
        try:
            fine = isinstance(at_once(gate, SMALL), Held) and isinstance(at_once(gate, NARROW), Place)
            fine = fine and gate.snapshot()["pair"].retries_left < 30.0 and gate.snapshot()["narrow"].in_flight == 1
        finally:
            os._exit(0 if fine else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


class Traffic(RuleBasedStateMachine):
    """Requests enter, wait, give up and leave in any order, with any outcome, at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = VirtualClock()
        self.gate = Gate(concurrency=ConcurrencySettings(limit=2, queue=3), monotonic=self.clock.monotonic)
        self.models = (SMALL, PAIR, model("large", key_env="KEY"), NARROW)
        self.waiting: list[asyncio.Task[Place | Held]] = []
        self.inside: list[Place] = []

    def turn(self) -> None:
        """Lets all who can go on do so."""
        for _ in range(4):
            self.loop.run_until_complete(asyncio.sleep(0))
        for task in [task for task in self.waiting if task.done()]:
            self.waiting.remove(task)
            if not task.cancelled() and isinstance(found := task.result(), Place):
                self.inside.append(found)

    @rule(seconds=st.floats(0, 100))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(which=st.integers(0, 3), retry=st.booleans(), last=st.booleans(), draw=st.floats(0, 0.99))
    def enter(self, which: int, retry: bool, last: bool, draw: float) -> None:
        asked = self.gate.enter(self.models[which], retry=retry, last=last, draw=draw, tokens=10, wait_s=1_000.0)
        self.waiting.append(self.loop.create_task(asked))
        self.turn()

    @rule(which=st.integers(0, 9), at_once=st.booleans())
    def give_up(self, which: int, at_once: bool) -> None:
        if which < len(self.waiting):
            self.waiting[which].cancel()
            if not at_once:
                self.turn()

    @rule(
        which=st.integers(0, 9),
        outcome=st.sampled_from(OUTCOMES),
        wait_s=st.none() | st.floats(0, 1_000),
        again=st.booleans(),
    )
    def leave(self, which: int, outcome: Outcome, wait_s: float | None, again: bool) -> None:
        if which < len(self.inside):
            mine = self.inside.pop(which)
            self.gate.leave(mine, outcome, retry_after_s=wait_s)
            if again:
                self.gate.leave(mine, outcome)

    @invariant()
    def no_place_is_lost_or_made(self) -> None:
        """Who is inside is who was let in, within the limits; nobody waits where a place is free."""
        self.turn()
        snapshot = self.gate.snapshot()
        assert sum(state.in_flight for state in snapshot.values()) == len(self.inside)
        assert sum(state.queued for state in snapshot.values()) == len(self.waiting)
        for state in snapshot.values():
            assert state.limit is not None
            assert state.in_flight <= state.limit
            assert state.queued == 0 or state.in_flight == state.limit
            assert sum(d.in_flight for d in state.deployments.values()) == state.in_flight

    def teardown(self) -> None:
        """Everyone leaves, and every place is free again."""
        for task in self.waiting:
            task.cancel()
        self.turn()
        for mine in self.inside:
            self.gate.leave(mine, "cancelled")
        for name in self.gate.snapshot():
            idle(self.gate, name)
        self.loop.close()


TestTraffic = Traffic.TestCase
TestTraffic.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
