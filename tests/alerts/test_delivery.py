"""Alerts against what happens to them: receivers in trouble, senders that are killed, outboxes that several share."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime
from pathlib import Path

import pytest

from router.alerts.courier import Courier
from router.alerts.outbox_memory import MemoryOutbox
from router.alerts.webhook import WebhookSink
from router.core.alert import message_of
from router.testing import VirtualClock
from tests.alerts.killing import CLAIMS_OVER_S, ids_by_name, killed, troubled_and_killed, until_arrived
from tests.alerts.receiver import CUT, SECRET, SLOW, Receiver, message
from tests.alerts.sender import outbox_at, raised
from tests.redis_server import RedisServer

ROUNDS = 8


@pytest.mark.parametrize(
    "troubles",
    [[500], [301], [CUT], [SLOW], [503, CUT, 302, SLOW, 404, 500, 429]],
    ids=["500", "301", "cut", "slow", "all"],
)
async def test_an_alert_arrives_in_spite_of(troubles: list[int]) -> None:
    """Whatever a receiver does at first, the alert arrives in the end, each time with the same id and body."""
    outbox = MemoryOutbox()
    async with Receiver(answers=list(troubles)) as receiver:
        await outbox.put(message("a"), ["ops"], now_s=datetime.now(UTC).timestamp())
        await until_arrived(outbox, receiver)
    assert len(receiver.received) > len(troubles)
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


@pytest.mark.untraced
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
                confirmed |= await troubled_and_killed(place, receiver, f"round{number}", draw)
            await until_arrived(outbox_at(place), receiver, ahead_s=CLAIMS_OVER_S)
    ids = ids_by_name(receiver)
    assert len(confirmed) >= ROUNDS
    assert confirmed <= ids.keys()
    assert {name: found for name, found in ids.items() if len(found) != 1} == {}


async def test_an_alert_fires_once_over_all_processes(tmp_path: Path) -> None:
    """Several processes that raise the same alerts at once and deliver them: each arrives under one id."""
    place = str(tmp_path / "outbox.db")
    async with Receiver() as receiver:
        await asyncio.gather(*(killed(place, receiver, "same", least=5) for _ in range(3)))
        await until_arrived(outbox_at(place), receiver, ahead_s=CLAIMS_OVER_S)
    ids = ids_by_name(receiver)
    assert {f"same/{number}" for number in range(5)} <= ids.keys()
    assert {name: found for name, found in ids.items() if len(found) != 1} == {}
    again = message_of(raised(0, "same"), message_id="msg_again")
    assert not await outbox_at(place).put(again, ["ops"], now_s=datetime.now(UTC).timestamp())
