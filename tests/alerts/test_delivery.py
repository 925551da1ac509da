"""Alerts against what happens to them: receivers in trouble, senders that are killed, outboxes that several share."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from router.alerts.courier import Courier
from router.alerts.outbox import Outbox
from router.alerts.outbox_memory import MemoryOutbox
from router.alerts.sink import Outcome
from router.alerts.webhook import WebhookSink
from router.core.alert import Message, message_of
from router.testing import VirtualClock
from tests.alerts.receiver import CUT, SECRET, SLOW, Receiver, message
from tests.alerts.sender import outbox_at, raised
from tests.redis_server import RedisServer
from tests.source_tree import ROOT

ROUNDS = 8
PATIENCE_S = 60.0
CLAIMS_OVER_S = 150.0
"""Claims of those that were killed are over by then."""


class SignedNow:
    """A sink that signs by the real time, as a courier does that runs then, whatever the time in which it waits."""

    def __init__(self, url: str) -> None:
        self._sink = WebhookSink(url, secret=SECRET, allow_hosts=["127.0.0.1"], timeout_s=0.5)

    async def send(self, message: Message, /, *, time: datetime) -> Outcome:
        return await self._sink.send(message, time=datetime.now(UTC))


async def until_arrived(outbox: Outbox, receiver: Receiver, *, ahead_s: float = 0.0) -> None:
    """Delivers all that stands in an outbox, in a time that runs as fast as the delays want."""
    clock = VirtualClock(datetime.now(UTC) + timedelta(seconds=ahead_s))
    courier = Courier(outbox, {"ops": SignedNow(receiver.url)}, clock=clock)
    while (due_s := await outbox.next_s(["ops"])) is not None:
        clock.advance(max(0.0, due_s - clock.now().timestamp() + 0.001))
        await courier.drain()
    await outbox.aclose()


@pytest.mark.parametrize(
    "troubles",
    [[500], [301], [CUT], [SLOW], [503, CUT, 302, SLOW, 404, 500, 429, 400, CUT]],
    ids=["500", "301", "cut", "slow", "all"],
)
async def test_an_alert_arrives_in_spite_of(troubles: list[int]) -> None:
    """Whatever a receiver does at first, the alert arrives in the end, each time with the same id and body."""
    outbox = MemoryOutbox()
    async with Receiver(answers=list(troubles)) as receiver:
        await outbox.put(message("a"), ["ops"], now_s=datetime.now(UTC).timestamp())
        await until_arrived(outbox, receiver)
    assert len(receiver.received) == len(troubles) + 1
    assert {one.told["type"] for one in receiver.received} == {"budget.threshold"}
    assert {(one.id, one.body) for one in receiver.received} == {("msg_a", message("a").body)}
    assert await outbox.deliveries() == []


async def test_an_alert_arrives_when_the_receiver_is_back() -> None:
    """A receiver that is down gets it when it is up again."""
    outbox = MemoryOutbox()
    async with Receiver() as gone:
        pass
    sink = WebhookSink(gone.url, secret=SECRET, allow_hosts=["127.0.0.1"])
    await outbox.put(message("a"), ["ops"], now_s=datetime.now(UTC).timestamp())
    failed = await Courier(outbox, {"ops": sink}, clock=VirtualClock(datetime.now(UTC))).drain()
    assert failed.failed == 1
    async with Receiver(port=gone.port) as receiver:
        await until_arrived(outbox, receiver)
    [one] = receiver.received
    assert one.told["data"]["budget"] == "team"


@pytest.mark.parametrize("backend", ["sqlite", "redis"])
async def test_senders_are_killed(backend: str, tmp_path: Path) -> None:
    """Every alert that counted as raised arrives, with one id, whenever its sender is killed (-9).

    Some of the receiver's answers fail, so that claims, failures and arrivals are all cut short.
    """
    with RedisServer() as server:
        place = server.url if backend == "redis" else str(tmp_path / "outbox.db")
        confirmed: set[str] = set()
        draw = random.Random(0)
        async with Receiver() as receiver:
            for number in range(ROUNDS):
                receiver.answers = [draw.choice([200, 200, 500, CUT]) for _ in range(5)]
                confirmed |= await killed(place, receiver, f"round{number}", least=draw.randrange(1, 12))
            receiver.answers.clear()
            await until_arrived(outbox_at(place), receiver, ahead_s=CLAIMS_OVER_S)
    ids = defaultdict(set)
    for one in receiver.received:
        ids[one.told["data"]["name"]].add(one.id)
    assert len(confirmed) >= ROUNDS
    assert confirmed <= ids.keys()
    assert {name: found for name, found in ids.items() if len(found) != 1} == {}


async def killed(place: str, receiver: Receiver, of: str, *, least: int) -> set[str]:
    """Returns the names that a process says it has raised, which is killed when these are so many."""
    environment = os.environ | {"LOWFARE_TEST_SECRET": SECRET, "PYTHONPATH": str(ROOT)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.alerts.sender", place, receiver.url, of,
        stdout=subprocess.PIPE, env=environment, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    lines: list[bytes] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(lines) < least:
            lines.append(await process.stdout.readline())
        process.kill()
        lines += (await process.stdout.read()).splitlines(keepends=True)
        await process.wait()
    assert process.returncode == -9
    return {line.decode().strip() for line in lines if line.endswith(b"\n")}


async def test_an_alert_fires_once_over_all_processes(tmp_path: Path) -> None:
    """Several processes that raise the same alerts at once and deliver them: each arrives under one id."""
    place = str(tmp_path / "outbox.db")
    async with Receiver() as receiver:
        await asyncio.gather(*(killed(place, receiver, "same", least=5) for _ in range(3)))
        await until_arrived(outbox_at(place), receiver, ahead_s=CLAIMS_OVER_S)
    ids = defaultdict(set)
    for one in receiver.received:
        ids[one.told["data"]["name"]].add(one.id)
    assert {f"same/{number}" for number in range(5)} <= ids.keys()
    assert {name: found for name, found in ids.items() if len(found) != 1} == {}
    again = message_of(raised(0, "same"), message_id="msg_again")
    assert not await outbox_at(place).put(again, ["ops"], now_s=datetime.now(UTC).timestamp())
