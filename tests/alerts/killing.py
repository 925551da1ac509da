"""Senders of alerts that are killed (-9) while a receiver is in trouble, and what comes of their alerts."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from router.alerts.courier import Courier
from router.alerts.outbox import Outbox
from router.alerts.sink import Outcome
from router.alerts.webhook import WebhookSink
from router.core.alert import Message
from router.testing import VirtualClock
from tests.alerts.receiver import CUT, SECRET, Receiver
from tests.source_tree import ROOT

PATIENCE_S = 60.0
CLAIMS_OVER_S = 150.0
"""Claims of those that were killed are over by then."""


class SignedNow:
    """A sink that signs by the real time, as a courier does that runs then, whatever the time in which it waits."""

    def __init__(self, url: str) -> None:
        self._sink = WebhookSink(url, secret=SECRET, allow_hosts=["127.0.0.1"], timeout_s=1.0)

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


async def troubled_and_killed(place: str, receiver: Receiver, of: str, draw: random.Random) -> set[str]:
    """Returns the names that a process says it has raised, killed at random, whose receiver has troubles at first."""
    receiver.answers = [draw.choice([200, 200, 500, CUT]) for _ in range(5)]
    names = await killed(place, receiver, of, least=draw.randrange(1, 12))
    receiver.answers.clear()
    return names


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


def ids_by_name(receiver: Receiver) -> Mapping[str, set[str]]:
    """Returns the ids under which each alert came; all that came must be verified by the reference library."""
    ids: dict[str, set[str]] = defaultdict(set)
    for one in receiver.received:
        ids[one.told["data"]["name"]].add(one.id)
    return ids
