from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest

from router.alerts.courier import Courier, Delivered
from router.alerts.outbox import Delivery
from router.alerts.outbox_memory import MemoryOutbox
from router.alerts.sink import AlertSink, Arrived, Failed, Gone, Outcome
from router.core.alert import DELAYS_S, Message
from router.errors import RouterWarning
from router.testing import VirtualClock
from tests.alerts.receiver import NOW, message

NOW_S = NOW.timestamp()


@dataclass(slots=True)
class Scripted:
    """A sink that answers as a test says; `Arrived` when there is nothing more to say."""

    answers: list[Outcome | Exception | Callable[[], Awaitable[Outcome]]] = field(default_factory=list)
    sent: list[tuple[str, float]] = field(default_factory=list)

    async def send(self, message: Message, /, *, time: datetime) -> Outcome:
        self.sent.append((message.id, time.timestamp() - NOW_S))
        answer = self.answers.pop(0) if self.answers else Arrived(note="200")
        if isinstance(answer, Exception):
            raise answer
        return await answer() if callable(answer) else answer


class Unreachable(MemoryOutbox):
    """An outbox that cannot be asked a number of times."""

    failing = 0

    async def claim(self, *args: Any, **options: Any) -> Sequence[Delivery]:
        if self.failing:
            self.failing -= 1
            raise ConnectionError("password=hunter2")
        return await super().claim(*args, **options)


def couriered(
    sinks: dict[str, AlertSink] | AlertSink, outbox: MemoryOutbox | None = None, **options: Any
) -> tuple[Courier, MemoryOutbox, VirtualClock]:
    """Returns a courier without jitter, its outbox and its clock."""
    clock = VirtualClock(NOW)
    outbox = MemoryOutbox() if outbox is None else outbox
    named = sinks if isinstance(sinks, dict) else {"ops": sinks}
    return Courier(outbox, named, clock=clock, draw=lambda: 0.5, **options), outbox, clock


async def test_what_arrives_is_taken_out() -> None:
    """Each destination gets each message once, and nothing is left."""
    ops, sales = Scripted(), Scripted()
    courier, outbox, _ = couriered({"ops": ops, "sales": sales})
    await outbox.put(message("a"), ["ops", "sales"], now_s=NOW_S)
    await outbox.put(message("b"), ["ops"], now_s=NOW_S)
    assert await courier.drain() == Delivered(arrived=3)
    assert sorted(ops.sent) == [("msg_a", 0.0), ("msg_b", 0.0)]
    assert sales.sent == [("msg_a", 0.0)]
    assert await outbox.deliveries() == []


async def test_what_fails_is_sent_again_on_schedule() -> None:
    """Ten attempts with the specification's delays between; then it is dead, kept, and warned of."""
    sink = Scripted(answers=[Failed(note="500")] * 10)
    courier, outbox, clock = couriered(sink)
    await outbox.put(message("a"), ["ops"], now_s=NOW_S)
    for number in range(9):
        assert await courier.drain() == Delivered(failed=1)
        assert await courier.drain() == Delivered()
        due_s = await outbox.next_s(["ops"])
        assert due_s is not None
        assert due_s - clock.now().timestamp() == pytest.approx(DELAYS_S[number + 1])
        clock.advance(due_s - clock.now().timestamp() + 0.001)
    with pytest.warns(RouterWarning, match=r"msg_a did not arrive at 'ops' in 10 attempts \(500\); it is kept"):
        assert await courier.drain() == Delivered(dead=1)
    assert {name for name, _ in sink.sent} == {"msg_a"}
    [dead] = await outbox.deliveries()
    assert (dead.dead, dead.failures, dead.note) == (True, 10, "500")
    await outbox.revive(now_s=clock.now().timestamp())
    assert await courier.drain() == Delivered(arrived=1)


async def test_a_receiver_is_not_disturbed_before_it_says() -> None:
    """`retry-after` lengthens the delay."""
    courier, outbox, _ = couriered(Scripted(answers=[Failed(note="503", retry_after_s=3_600.0)]))
    await outbox.put(message("a"), ["ops"], now_s=NOW_S)
    await courier.drain()
    assert await outbox.next_s(["ops"]) == NOW_S + 3_600


async def test_whoever_is_gone_gets_nothing_until_enabled() -> None:
    """What is for a destination that answered 410 is held, also what comes later; others get theirs."""
    ops, sales = Scripted(answers=[Gone(note="410, gone")]), Scripted()
    courier, outbox, _ = couriered({"ops": ops, "sales": sales})
    await outbox.put(message("a"), ["ops"], now_s=NOW_S)
    with pytest.warns(
        RouterWarning, match=r"alerts to 'ops' are held: it is gone \(410, gone\); `lowfare alerts enable"
    ):
        assert await courier.drain() == Delivered(gone=1)
    await outbox.put(message("b"), ["ops", "sales"], now_s=NOW_S)
    assert await courier.drain() == Delivered(arrived=1)
    assert len(await outbox.deliveries()) == 2
    await outbox.enable("ops")
    assert await courier.drain() == Delivered(arrived=2)
    assert [name for name, _ in ops.sent] == ["msg_a", "msg_a", "msg_b"]


async def test_what_a_sink_raises_is_a_failure_and_not_quoted() -> None:
    """A sink may be anyone's: what it raises may hold an address or a secret."""
    told: list[tuple[Delivery, Outcome]] = []
    sink = Scripted(answers=[ValueError("https://hooks.example/SECRET")])
    courier, outbox, _ = couriered(sink, told=lambda delivery, outcome: told.append((delivery, outcome)))
    await outbox.put(message("a"), ["ops"], now_s=NOW_S)
    assert await courier.drain() == Delivered(failed=1)
    assert [outcome for _, outcome in told] == [Failed(note="ValueError in the sink")]
    assert (await outbox.deliveries())[0].note == "ValueError in the sink"


async def test_a_sink_that_times_out_is_a_failure() -> None:
    """A sink's own time-out counts as a failure like any other."""
    courier, outbox, _ = couriered(Scripted(answers=[TimeoutError()]))
    await outbox.put(message("a"), ["ops"], now_s=NOW_S)
    assert await courier.drain() == Delivered(failed=1)
    assert (await outbox.deliveries())[0].note == "TimeoutError in the sink"


async def test_a_sink_that_never_ends_is_given_up() -> None:
    """Whatever the sink, an attempt has an end."""

    async def wait() -> Outcome:
        await asyncio.Event().wait()
        raise AssertionError

    courier, outbox, _ = couriered(Scripted(answers=[wait]), send_s=0.01)
    await outbox.put(message("a"), ["ops"], now_s=NOW_S)
    assert await courier.drain() == Delivered(failed=1)
    assert (await outbox.deliveries())[0].note == "no end within 0.01 s"


async def test_following_waits_for_what_is_due() -> None:
    """It tries again when the delays are over, takes in what others put, and ends when it is stopped."""
    sink = Scripted(answers=[Failed(note="500"), Failed(note="500")])
    courier, outbox, clock = couriered(sink)
    await outbox.put(message("a"), ["ops"], now_s=NOW_S)
    following = asyncio.create_task(courier.follow())
    while len(sink.sent) < 3:
        await asyncio.sleep(0)
    assert [round(at_s) for _, at_s in sink.sent] == [0, 5, 305]
    await outbox.put(message("b"), ["ops"], now_s=clock.now().timestamp())
    courier.wake()
    while len(sink.sent) < 4:
        await asyncio.sleep(0)
    await outbox.put(message("c"), ["ops"], now_s=clock.now().timestamp())
    courier.stop()
    await following
    assert [name for name, _ in sink.sent][3:] == ["msg_b", "msg_c"]
    assert await outbox.deliveries() == []


async def test_an_outbox_that_fails_is_asked_again() -> None:
    """It is warned of once, without what the library says, and what stands in it is sent when it is back."""
    sink, outbox = Scripted(), Unreachable()
    outbox.failing = 3
    courier, _, _ = couriered(sink, outbox)
    await outbox.put(message("a"), ["ops"], now_s=NOW_S)

    async def follow() -> None:
        following = asyncio.create_task(courier.follow())
        while not sink.sent:
            await asyncio.sleep(0)
        courier.stop()
        await following

    with pytest.warns(RouterWarning) as caught:
        await follow()
    assert [str(warning.message) for warning in caught] == [
        "alerts to 'ops' wait: the outbox does not help (ConnectionError)"
    ]


async def test_a_slow_destination_holds_up_no_other() -> None:
    """Each is followed by itself."""
    never = asyncio.Event()

    async def wait() -> Outcome:
        await never.wait()
        return Arrived(note="late")

    slow, quick = Scripted(answers=[wait]), Scripted()
    courier, outbox, _ = couriered({"slow": slow, "quick": quick})
    await outbox.put(message("a"), ["slow", "quick"], now_s=NOW_S)
    following = asyncio.create_task(courier.follow())
    while not (slow.sent and quick.sent):
        await asyncio.sleep(0)
    await outbox.put(message("b"), ["quick"], now_s=NOW_S)
    courier.wake()
    while len(quick.sent) < 2:
        await asyncio.sleep(0)
    never.set()
    courier.stop()
    await following
    assert await outbox.deliveries() == []


async def test_what_is_cancelled_on_its_way_is_free_at_once() -> None:
    """A process that ends gives up its claims, with no failure counted."""
    never = asyncio.Event()

    async def wait() -> Outcome:
        await never.wait()
        return Arrived(note="late")

    sink = Scripted(answers=[wait])
    courier, outbox, _ = couriered(sink)
    await outbox.put(message("a"), ["ops"], now_s=NOW_S)
    draining = asyncio.create_task(courier.drain())
    while not sink.sent:
        await asyncio.sleep(0)
    draining.cancel()
    await asyncio.gather(draining, return_exceptions=True)
    [left] = await outbox.deliveries()
    assert (left.claim, left.failures, left.note) == ("", 0, "the sender ended meanwhile")
    assert await courier.drain() == Delivered(arrived=1)
