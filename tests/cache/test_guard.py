"""The guard in front of a store: what a store that fails, hangs or comes back costs."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from router.cache.guard import Guard
from router.cache.store import Joined, Row, Watched
from router.errors import RouterWarning
from router.state.patience import BUDGET_S, Patience
from router.testing.clock import VirtualClock

KEY = "5f" * 32
DOWN = (
    "the cache's Scripted does not help (ConnectionRefusedError); requests go on without it, and it is tried again "
    "from time to time"
)
REFUSED, LATE = re.escape(DOWN), re.escape(DOWN.replace("ConnectionRefusedError", "TimeoutError"))


class Scripted:
    """A store whose every call does what `act` says, and is written down."""

    def __init__(self, act: Callable[[], Awaitable[Any]]) -> None:
        self.act = act
        self.calls: list[tuple[Any, ...]] = []

    async def get(self, key: str, /) -> bytes | None:
        found: bytes | None = await self._said("get", key)
        return found

    async def put(self, key: str, value: bytes, /, *, label: bytes, ttl_s: float, holder: str | None = None) -> None:
        await self._said("put", key, value, label, ttl_s, holder)

    async def delete(self, keys: Sequence[str], /) -> None:
        raise NotImplementedError

    def scan(self) -> AsyncIterator[Row]:
        raise NotImplementedError

    async def join(self, key: str, holder: str, /, *, lease_s: float) -> Joined:
        found: Joined = await self._said("join", key, holder, lease_s)
        return found

    async def renew(self, key: str, holder: str, /, *, lease_s: float, pieces: Sequence[bytes] = ()) -> bool:
        found: bool = await self._said("renew", key, holder, lease_s, pieces)
        return found

    async def watch(self, key: str, /, *, since: int = 0) -> Watched:
        found: Watched = await self._said("watch", key, since)
        return found

    async def leave(self, key: str, holder: str, /) -> None:
        await self._said("leave", key, holder)

    async def aclose(self) -> None:
        raise NotImplementedError

    async def _said(self, *call: Any) -> Any:
        self.calls.append(call)
        return await self.act()


async def well() -> bytes:
    """A store that answers at once."""
    return b"value"


async def down() -> bytes:
    """A store that cannot be reached; its library's message holds more than a log should."""
    raise ConnectionRefusedError("redis://user:password@host")


async def hang() -> bytes:
    """A store that never answers."""
    await asyncio.Event().wait()
    raise AssertionError("nobody sets the event")


@pytest.fixture
def clock() -> VirtualClock:
    """A clock that stands still."""
    return VirtualClock()


@pytest.fixture
def store() -> Scripted:
    """A store that is well, until a test says otherwise."""
    return Scripted(well)


@pytest.fixture
def guard(store: Scripted, clock: VirtualClock) -> Guard:
    """A guard in front of it."""
    return Guard(store, clock=clock.monotonic)


async def ask(guard: Guard) -> bytes | None:
    """Returns what a request of its own finds."""
    return await guard.get(KEY, patience=guard.patience())


async def every(guard: Guard) -> list[Any]:
    """Returns what each method of a guard returns, for requests of their own."""
    calls: list[Coroutine[Any, Any, Any]] = [
        guard.get(KEY, patience=Patience()),
        guard.put(KEY, b"v", label=b"l", ttl_s=9.0, holder="me", patience=Patience()),
        guard.join(KEY, "me", lease_s=5.0, patience=Patience()),
        guard.renew(KEY, "me", lease_s=5.0, pieces=(b"p",), patience=Patience()),
        guard.watch(KEY, since=3, patience=Patience()),
        guard.leave(KEY, "me", patience=Patience()),
    ]
    return [await call for call in calls]


def state(guard: Guard) -> str:
    """Returns the guard's state."""
    return guard.state


def told(warned: pytest.WarningsRecorder) -> list[str]:
    """Returns the warnings so far."""
    return [str(warning.message) for warning in warned.list]


def at_once(steps: Coroutine[Any, Any, Any]) -> Any:
    """Returns what a coroutine returns without any wait; fails where it would suspend."""
    try:
        steps.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waited")


async def cancelled(task: asyncio.Task[Any]) -> None:
    """Cancels a task, and waits for its end, which must be that."""
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_store_that_is_well_is_asked(guard: Guard, store: Scripted) -> None:
    """Each call reaches the store as it was made, and its answer comes back."""
    assert await every(guard) == [b"value", True, b"value", b"value", b"value", None]
    assert store.calls == [
        ("get", KEY),
        ("put", KEY, b"v", b"l", 9.0, "me"),
        ("join", KEY, "me", 5.0),
        ("renew", KEY, "me", 5.0, (b"p",)),
        ("watch", KEY, 3),
        ("leave", KEY, "me"),
    ]
    assert (state(guard), guard.failures) == ("closed", 0)


def test_a_store_that_never_waits_needs_no_event_loop(guard: Guard) -> None:
    """An answer that is there at once is passed on at once: no task, no timer, not even a loop."""
    assert at_once(ask(guard)) == b"value"


@pytest.mark.parametrize("suspends", [False, True])
async def test_a_store_that_fails_does_not_help(
    guard: Guard, store: Scripted, clock: VirtualClock, recwarn: pytest.WarningsRecorder, suspends: bool
) -> None:
    """Nothing is raised; every method returns None, with one warning, which does not repeat what the library said."""

    async def fail() -> bytes:
        if suspends:
            await asyncio.sleep(0)
        return await down()

    store.act = fail
    assert await every(guard) == [None, False, None, None, None, None]
    clock.advance(1.0)
    assert await ask(guard) is None
    assert told(recwarn) == [DOWN]
    assert len(store.calls) == 2
    assert (state(guard), guard.failures) == ("open", 2)


async def test_a_store_that_hangs_costs_one_wait(guard: Guard, store: Scripted) -> None:
    """The first call waits as long as its patience lasts and is ended; the next ones do not wait at all."""
    ended = False

    async def hang_and_tell() -> bytes:
        nonlocal ended
        try:
            return await hang()
        finally:
            await asyncio.sleep(0)
            ended = True

    store.act = hang_and_tell
    patience = guard.patience()
    with pytest.warns(RouterWarning, match=LATE):
        assert await guard.get(KEY, patience=patience) is None
    assert ended
    assert patience.spent
    assert at_once(guard.join(KEY, "me", lease_s=5.0, patience=patience)) is None
    assert at_once(ask(guard)) is None
    assert len(store.calls) == 1
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_rests_grow_longer(
    guard: Guard, store: Scripted, clock: VirtualClock, recwarn: pytest.WarningsRecorder
) -> None:
    """After each rest one call finds out how the store is: 1, 2, 4, ... at most 30 s; then it is as before."""
    store.act = down
    await ask(guard)
    for asked, rest_s in enumerate((1, 2, 4, 8, 16, 30, 30, 30), start=1):
        clock.advance(rest_s - 0.25)
        assert state(guard) == "open"
        await ask(guard)
        assert len(store.calls) == asked
        clock.advance(0.25)
        assert state(guard) == "half_open"
        await ask(guard)
        assert len(store.calls) == asked + 1
    assert told(recwarn) == [DOWN]
    clock.advance(30.0)
    store.act = well
    assert await ask(guard) == b"value"
    assert (state(guard), guard.failures) == ("closed", 9)


async def test_each_outage_is_told_of(guard: Guard, store: Scripted, clock: VirtualClock) -> None:
    """After a recovery the next failure warns again, and the rests begin with the shortest."""
    for outage in range(3):
        store.act = down
        with pytest.warns(RouterWarning, match=REFUSED) as warned:
            assert await ask(guard) is None
        assert len(warned) == 1
        clock.advance(1.0)
        store.act = well
        assert await ask(guard) == b"value"
        assert guard.failures == outage + 1


@pytest.mark.parametrize("recovers", [False, True])
async def test_one_probe_at_a_time(guard: Guard, store: Scripted, clock: VirtualClock, recovers: bool) -> None:
    """While a probe is on its way, all others go on without the store; it decides for all."""
    go_on = asyncio.Event()

    async def slow() -> bytes:
        await go_on.wait()
        return await (well() if recovers else down())

    store.act = down
    with pytest.warns(RouterWarning, match=REFUSED):
        await ask(guard)
    clock.advance(1.0)
    store.act = slow
    probe = asyncio.create_task(guard.get(KEY, patience=Patience(60.0)))
    await asyncio.sleep(0)
    assert state(guard) == "half_open"
    clock.advance(100.0)
    assert [at_once(ask(guard)) for _ in range(20)] == [None] * 20
    assert len(store.calls) == 2
    go_on.set()
    assert await probe == (b"value" if recovers else None)
    assert state(guard) == ("closed" if recovers else "open")


async def test_a_probe_that_is_given_up_leaves_its_place(guard: Guard, store: Scripted, clock: VirtualClock) -> None:
    """When the caller of a probe is cancelled, nothing is known of the store, and the next call is the probe."""
    store.act = down
    with pytest.warns(RouterWarning, match=REFUSED):
        await ask(guard)
    clock.advance(1.0)
    store.act = hang
    probe = asyncio.create_task(guard.get(KEY, patience=Patience(60.0)))
    await asyncio.sleep(0)
    await cancelled(probe)
    assert guard.failures == 1
    store.act = well
    assert await ask(guard) == b"value"
    assert state(guard) == "closed"


async def test_calls_that_hang_together_are_one_outage(guard: Guard, store: Scripted, clock: VirtualClock) -> None:
    """A hundred requests in flight when a store goes down make one warning and the shortest rest."""
    store.act = hang
    with pytest.warns(RouterWarning, match=LATE) as warned:
        assert await asyncio.gather(*(ask(guard) for _ in range(100))) == [None] * 100
    assert len(warned) == 1
    assert (state(guard), guard.failures) == ("open", 100)
    clock.advance(1.0)
    store.act = well
    assert await ask(guard) == b"value"


async def test_old_news_changes_nothing(
    guard: Guard, store: Scripted, clock: VirtualClock, recwarn: pytest.WarningsRecorder
) -> None:
    """Of calls begun before an outage, answers do not end it, and failures do not lengthen it."""
    go_on = asyncio.Event()
    outcomes = [well, down]

    async def slow() -> bytes:
        act = outcomes.pop()
        await go_on.wait()
        return await act()

    store.act = slow
    early = [asyncio.create_task(guard.get(KEY, patience=Patience(60.0))) for _ in outcomes]
    await asyncio.sleep(0)
    store.act = down
    await ask(guard)
    go_on.set()
    assert await asyncio.gather(*early) == [None, b"value"]
    assert told(recwarn) == [DOWN]
    assert state(guard) == "open"
    clock.advance(1.0)
    store.act = well
    assert await ask(guard) == b"value"


async def test_an_old_answer_does_not_close_for_the_probe(guard: Guard, store: Scripted, clock: VirtualClock) -> None:
    """While a probe is on its way, calls begun before the outage say nothing, whether they are answered or given up."""
    go_on = asyncio.Event()

    async def slow() -> bytes:
        await go_on.wait()
        return b"value"

    store.act = slow
    early, other = [asyncio.create_task(guard.get(KEY, patience=Patience(60.0))) for _ in range(2)]
    await asyncio.sleep(0)
    store.act = down
    with pytest.warns(RouterWarning, match=REFUSED):
        await ask(guard)
    clock.advance(1.0)
    store.act = hang
    probe = asyncio.create_task(guard.get(KEY, patience=Patience(60.0)))
    await asyncio.sleep(0)
    await cancelled(other)
    go_on.set()
    assert await early == b"value"
    assert state(guard) == "half_open"
    assert await ask(guard) is None
    assert len(store.calls) == 4
    await cancelled(probe)


async def test_a_late_failure_of_an_old_epoch_opens_nothing(guard: Guard, store: Scripted, clock: VirtualClock) -> None:
    """A call that outlasted a whole outage says nothing of the store as it is now."""
    go_on = asyncio.Event()

    async def slow() -> bytes:
        await go_on.wait()
        return await down()

    store.act = slow
    early = asyncio.create_task(guard.get(KEY, patience=Patience(60.0)))
    await asyncio.sleep(0)
    store.act = down
    with pytest.warns(RouterWarning, match=REFUSED):
        await ask(guard)
    clock.advance(1.0)
    store.act = well
    await ask(guard)
    go_on.set()
    assert await early is None
    assert (state(guard), guard.failures) == ("closed", 2)


async def test_patience_is_for_all_calls_together(guard: Guard, store: Scripted) -> None:
    """A store that answers slowly is waited for until the request's patience is spent, then no more."""

    async def slow() -> bytes:
        await asyncio.sleep(BUDGET_S / 2.5)
        return b"value"

    store.act = slow
    patience = guard.patience()
    found = [await guard.get(KEY, patience=patience) for _ in range(8)]
    # Each call is charged a fifth of the budget at least, however busy this machine is.
    assert found[0] == b"value"
    assert found[5:] == [None] * 3
    assert patience.spent
    assert len(store.calls) <= 5


async def test_waiting_is_charged_and_nothing_is_left_behind(guard: Guard, store: Scripted) -> None:
    """A call that waits less than the finest measure is charged too; once it is over no timer of it ends anything."""

    async def quick() -> bytes:
        await asyncio.sleep(BUDGET_S / 100)
        return b"value"

    store.act = quick
    patience = guard.patience()
    assert await guard.get(KEY, patience=patience) == b"value"
    assert BUDGET_S - patience.left_s > 0.0
    left_s = patience.left_s
    await asyncio.sleep(3 * BUDGET_S)
    assert patience.left_s == left_s


@pytest.mark.parametrize(("whole_s", "left_s", "spent"), [(1.0, 1.0, 0), (1.0, 0.1, 0), (1.0, 0.09, 1), (0.0, 0.0, 1)])
def test_patience_that_is_too_little_is_none(whole_s: float, left_s: float, spent: bool) -> None:
    """What is left must be worth a call: a tenth of the whole. None at all never is."""
    patience = Patience(whole_s)
    assert patience.left_s == whole_s
    patience.left_s = left_s
    assert patience.spent == spent


def block(seconds: float) -> None:
    """Keeps the event loop's thread at work."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        sum(range(1_000))


@pytest.mark.parametrize("left_s", [BUDGET_S, BUDGET_S / 10], ids=["whole", "least"])
@pytest.mark.parametrize("busy", [block, time.sleep], ids=["work", "sleep"])
async def test_a_busy_loop_is_not_taken_for_a_dead_store(
    guard: Guard, store: Scripted, busy: Callable[[float], None], left_s: float
) -> None:
    """Where the loop had no time for an answer that was there, it is taken, and of much patience little is spent."""

    async def soon() -> bytes:
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        # From another thread, as from a network: it is there long before the loop looks.
        loop = asyncio.get_running_loop()
        timer = threading.Timer(0.005, loop.call_soon_threadsafe, (answer.set_result, b"value"))
        timer.start()
        try:
            return await asyncio.shield(asyncio.ensure_future(through(answer)))
        finally:
            timer.join()

    async def through(answer: asyncio.Future[bytes]) -> bytes:
        """Takes some passes of the loop more, as the layers of a library do."""
        found = await answer
        for _ in range(4):
            await asyncio.sleep(0)
        return found

    store.act = soon
    patience = guard.patience()
    patience.left_s = left_s
    asyncio.get_running_loop().call_soon(lambda: asyncio.get_running_loop().call_soon(busy, 4 * BUDGET_S))
    assert await guard.get(KEY, patience=patience) == b"value"
    assert patience.spent == (left_s < BUDGET_S)
    assert guard.failures == 0


async def test_a_busy_loop_may_take_several_round_trips(guard: Guard, store: Scripted) -> None:
    """A call over a network that goes to and fro while the loop is busy again and again gets its answer too."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)

    def serve() -> None:
        while data := theirs.recv(100):
            theirs.sendall(data)

    async def trips() -> bytes:
        loop = asyncio.get_running_loop()
        for number in range(4):
            await loop.sock_sendall(ours, bytes([number]))
            assert await loop.sock_recv(ours, 100) == bytes([number])
        return b"value"

    async def crowd() -> None:
        while True:
            block(2 * BUDGET_S)
            await asyncio.sleep(0)

    store.act = trips
    server = threading.Thread(target=serve)
    server.start()
    others = asyncio.create_task(crowd())
    try:
        assert await ask(guard) == b"value"
    finally:
        others.cancel()
        ours.close()
        server.join()
        theirs.close()


async def test_who_cancels_a_request_cancels_its_call(guard: Guard, store: Scripted) -> None:
    """The store's call is told, is waited for while it cleans up, and nothing is held against the store."""
    cleaned = False

    async def careful() -> bytes:
        nonlocal cleaned
        try:
            return await hang()
        except asyncio.CancelledError:
            await asyncio.sleep(0.01)
            cleaned = True
            raise

    store.act = careful
    task = asyncio.create_task(guard.get(KEY, patience=Patience(60.0)))
    await asyncio.sleep(0)
    await cancelled(task)
    assert cleaned
    assert (state(guard), guard.failures) == ("closed", 0)


async def test_a_request_that_is_cancelled_while_its_call_is_too_late_stays_cancelled(
    guard: Guard, store: Scripted
) -> None:
    """Two reasons to stop at once are not taken for the guard's own alone."""

    async def stubborn() -> bytes:
        with suppress(asyncio.CancelledError):
            await hang()
        return await hang()

    store.act = stubborn
    task = asyncio.create_task(guard.get(KEY, patience=Patience()))
    await asyncio.sleep(0)
    await cancelled(task)  # of two cancellations, this first one is not heeded; the second is the guard's
    assert guard.failures == 0


async def test_a_call_that_does_not_heed_is_told_again(guard: Guard, store: Scripted) -> None:
    """One that goes on after it was cancelled costs another budget, not the request; the task is left clean."""
    times = 0

    async def deaf() -> bytes:
        nonlocal times
        while times < 2:
            try:
                await hang()
            except asyncio.CancelledError:
                times += 1
        await asyncio.sleep(0)
        return await hang()

    store.act = deaf
    with pytest.warns(RouterWarning, match=LATE):
        assert await ask(guard) is None
    task = asyncio.current_task()
    assert task is not None
    assert (times, task.cancelling()) == (2, 0)


async def test_an_answer_in_spite_of_the_cancellation_is_taken(guard: Guard, store: Scripted) -> None:
    """A call that ends well at the last moment is no failure."""

    async def at_last() -> bytes:
        with suppress(asyncio.CancelledError):
            await hang()
        return b"value"

    store.act = at_last
    assert await ask(guard) == b"value"
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)
    assert (state(guard), guard.failures) == ("closed", 0)


async def test_a_call_that_the_library_drops_is_a_failure(guard: Guard, store: Scripted) -> None:
    """Where nobody cancelled the request, a cancellation is the store's own doing, and ends no request."""

    async def dropped() -> bytes:
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(answer.cancel)
        return await answer

    store.act = dropped
    with pytest.warns(RouterWarning, match=r"does not help \(ConnectionAbortedError\)"):
        assert await ask(guard) is None


async def test_a_request_cancelled_beforehand_stays_cancelled(guard: Guard, store: Scripted) -> None:
    """A task that cancelled itself is stopped at the first wait, which is the store's."""

    async def ask_late() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await ask(guard)

    store.act = hang
    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(ask_late())
    assert guard.failures == 0


async def test_time_outs_around_and_inside_work(guard: Guard, store: Scripted) -> None:
    """A caller's own time-out is raised to it; one of the store's library ends its call and is a failure."""
    store.act = hang
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await guard.get(KEY, patience=Patience(60.0))
    assert guard.failures == 0

    async def impatient() -> bytes:
        async with asyncio.timeout(0.001):
            return await hang()

    store.act = impatient
    with pytest.warns(RouterWarning, match=LATE):
        assert await guard.get(KEY, patience=Patience(60.0)) is None
    assert guard.failures == 1


async def test_a_request_that_is_closed_closes_its_call(guard: Guard, store: Scripted) -> None:
    """A coroutine thrown away half-way, as at the end of a loop, leaves nothing open and counts for nothing."""
    closed = False

    async def open_end() -> bytes:
        nonlocal closed
        try:
            return await hang()
        finally:
            closed = True

    store.act = open_end
    steps = ask(guard)
    steps.send(None)
    steps.close()
    assert closed
    assert (state(guard), guard.failures) == ("closed", 0)


async def test_an_interrupt_is_not_held_back(guard: Guard, store: Scripted) -> None:
    """Whatever is no ordinary error passes through."""

    class Interrupted(BaseException):
        """As a KeyboardInterrupt."""

    async def interrupted() -> bytes:
        raise Interrupted

    store.act = interrupted
    with pytest.raises(Interrupted):
        await ask(guard)
    assert guard.failures == 0


def test_threads_and_loops_share_a_guard(
    guard: Guard, store: Scripted, clock: VirtualClock, recwarn: pytest.WarningsRecorder
) -> None:
    """Six threads, each with its event loop, hammer a store through an outage: one warning, and one probe at a time."""
    lock = threading.Lock()
    inside = most = 0

    async def refuse() -> bytes:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        for _ in range(5):
            await asyncio.sleep(0)
        with lock:
            inside -= 1
        raise ConnectionRefusedError

    async def crowd() -> set[bytes | None]:
        return set(await asyncio.gather(*(guard.get(KEY, patience=Patience(60.0)) for _ in range(20))))

    def hammer(_: int) -> set[bytes | None]:
        found: set[bytes | None] = set()
        for _ in range(40):
            clock.advance(5.0)
            found |= asyncio.run(crowd())
        return found

    with ThreadPoolExecutor(6) as threads:
        assert set().union(*threads.map(hammer, range(6))) == {b"value"}
        store.act = down
        assert at_once(ask(guard)) is None
        store.act = refuse
        assert set().union(*threads.map(hammer, range(6))) == {None}
        assert (most, inside) == (1, 0)
        assert guard.failures > 5
        assert told(recwarn) == [DOWN]
        clock.advance(30.0)
        store.act = well
        assert at_once(ask(guard)) == b"value"
        assert set().union(*threads.map(hammer, range(6))) == {b"value"}


@pytest.mark.parametrize("lock_held", [False, True])
def test_a_forked_child_knows_of_the_outage(
    guard: Guard, store: Scripted, clock: VirtualClock, lock_held: bool
) -> None:
    """A child lets the store rest as its parent does, probes for itself, and hangs on no lock held at the fork."""
    store.act = down
    with pytest.warns(RouterWarning, match=REFUSED):
        at_once(ask(guard))
    store.act = well
    if lock_held:
        guard._health.get().lock.acquire()  # noqa: SLF001 - as another thread might at the moment of a fork
    child = os.fork()
    if child == 0:
        fine = False
        try:
            fine = state(guard) == "open" and at_once(ask(guard)) is None and guard.failures == 0
            clock.advance(1.0)
            fine = fine and at_once(ask(guard)) == b"value" and state(guard) == "closed"
        finally:
            os._exit(0 if fine else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert state(guard) == "open"


async def test_a_slow_store_is_not_taken_for_one_that_is_down(guard: Guard, store: Scripted) -> None:
    """A call that had only what others left of the patience is given up, and nothing is held against the store."""
    never = asyncio.Event()

    async def slow() -> bytes:
        await asyncio.sleep(0.02)
        return b"value"

    async def hang() -> bytes:
        await never.wait()
        return b"value"

    patience = Patience()
    store.act = slow
    assert await guard.get(KEY, patience=patience) == b"value"
    assert not patience.whole
    store.act = hang
    assert await guard.join(KEY, "me", lease_s=5.0, patience=patience) is None
    assert (state(guard), guard.failures) == ("closed", 0)
