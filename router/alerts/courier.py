"""Brings what stands in the outbox to where it is to go, again and again until it has arrived."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, assert_never

from router.alerts.outbox import Delivery, Outbox
from router.alerts.sink import AlertSink, Arrived, Failed, Gone, Outcome
from router.clock import Clock
from router.core.alert import wait_s
from router.errors import warn

SEND_S: Final = 60.0
"""How long one attempt may take, whatever the sink; webhooks give up by themselves before."""

LEASE_S: Final = 120.0
"""How long a claim lasts: longer than an attempt takes with what is written after it."""

POLL_S: Final = 5.0
"""How often it is looked for what other processes left."""

_LEAST_PAUSE_S: Final = 0.1
_AT_ONCE: Final = 8
"""Messages that are on their way to one destination at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """What came of deliveries: how many arrived, failed and will be tried again, are dead, or met one that is gone."""

    arrived: int = 0
    failed: int = 0
    dead: int = 0
    gone: int = 0

    def __add__(self, other: Delivered) -> Delivered:
        """Returns both together."""
        return Delivered(
            arrived=self.arrived + other.arrived,
            failed=self.failed + other.failed,
            dead=self.dead + other.dead,
            gone=self.gone + other.gone,
        )


class Courier:
    """Delivers for one event loop; several, in several processes, may share an outbox.

    Args:
        outbox: what is to be delivered.
        sinks: by the name of the destination; what is for others is left alone.
        clock: what time it is, and how to wait.
        draw: returns a number from 0 up to 1, at random.
        send_s: how long one attempt may take.
        told: is given every delivery and what came of it.
    """

    def __init__(
        self,
        outbox: Outbox,
        sinks: Mapping[str, AlertSink],
        *,
        clock: Clock,
        draw: Callable[[], float] = random.random,
        send_s: float = SEND_S,
        told: Callable[[Delivery, Outcome], None] = lambda _delivery, _outcome: None,
    ) -> None:
        self._outbox = outbox
        self._sinks = sinks
        self._clock = clock
        self._draw = draw
        self._send_s = send_s
        self._told = told
        self._woken = {name: asyncio.Event() for name in sinks}
        self._stopping = False

    def wake(self) -> None:
        """Lets `follow` look at once; called on its loop."""
        for event in self._woken.values():
            event.set()

    def stop(self) -> None:
        """Lets `follow` end when it has tried what is due now; called on its loop."""
        self._stopping = True
        self.wake()

    async def sent(self, delivery: Delivery, /) -> Outcome:
        """Sends a message once, wherever it stands; returns what came of it."""
        limit = asyncio.timeout(self._send_s)
        try:
            async with limit:
                return await self._sinks[delivery.destination].send(delivery.message, time=self._clock.now())
        except Exception as error:  # noqa: BLE001 - a sink may be anyone's; its text may hold anything, an address too
            late = f"no end within {self._send_s:g} s"
            return Failed(note=late if limit.expired() else f"{type(error).__name__} in the sink")

    async def drain(self) -> Delivered:
        """Delivers all that is due; returns what came of it.

        Raises:
            Exception: what the outbox raised, where it cannot be asked.
        """
        return sum(await asyncio.gather(*map(self._drained, self._sinks)), Delivered())

    async def follow(self) -> None:
        """Delivers until `stop` is called; each destination by itself, so that a slow one holds up no other."""
        await asyncio.gather(*map(self._followed, self._sinks))

    async def _followed(self, destination: str) -> None:
        failing = False
        while True:
            stopping = self._stopping
            self._woken[destination].clear()
            try:
                await self._drained(destination)
                due_s = await self._outbox.next_s([destination])
                failing = False
            except Exception as error:  # noqa: BLE001 - whatever the outbox's library raises, it may work again later
                if not failing:
                    warn(f"alerts to {destination!r} wait: the outbox does not help ({type(error).__name__})")
                failing, due_s = True, None
            if stopping:
                return
            pause_s = POLL_S if due_s is None else min(POLL_S, due_s - self._now_s())
            await self._pause(destination, max(_LEAST_PAUSE_S, pause_s))

    async def _pause(self, destination: str, seconds: float) -> None:
        tasks = [
            asyncio.ensure_future(self._clock.sleep(seconds)),
            asyncio.ensure_future(self._woken[destination].wait()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _drained(self, destination: str) -> Delivered:
        total = Delivered()
        while claimed := await self._outbox.claim([destination], now_s=self._now_s(), lease_s=LEASE_S, most=_AT_ONCE):
            total = sum(await asyncio.gather(*map(self._delivered, claimed)), total)
        return total

    async def _delivered(self, delivery: Delivery) -> Delivered:
        try:
            outcome = await self.sent(delivery)
        except asyncio.CancelledError:  # nobody knows whether it arrived: whoever comes next may send it again
            await self._outbox.retry(
                delivery, failures=delivery.failures, due_s=self._now_s(), note="the sender ended meanwhile"
            )
            raise
        self._told(delivery, outcome)
        match outcome:
            case Arrived():
                await self._outbox.done(delivery)
                return Delivered(arrived=1)
            case Gone():
                return await self._given_up(delivery, outcome)
            case Failed():
                return await self._put_off(delivery, outcome)
            case _:
                assert_never(outcome)

    async def _given_up(self, delivery: Delivery, outcome: Gone) -> Delivered:
        name, now_s = delivery.destination, self._now_s()
        await self._outbox.disable(name, now_s=now_s, note=outcome.note)
        await self._outbox.retry(delivery, failures=delivery.failures, due_s=now_s, note=outcome.note)
        warn(f"alerts to {name!r} are held: it is gone ({outcome.note}); `lowfare alerts enable {name}` sends them")
        return Delivered(gone=1)

    async def _put_off(self, delivery: Delivery, outcome: Failed) -> Delivered:
        failures = delivery.failures + 1
        again_s = wait_s(failures, draw=self._draw(), retry_after_s=outcome.retry_after_s)
        if again_s is None:
            await self._outbox.bury(delivery, failures=failures, note=outcome.note)
            warn(
                f"the alert {delivery.message.id} did not arrive at {delivery.destination!r} in {failures} attempts "
                f"({outcome.note}); it is kept, and `lowfare alerts retry` sends it again"
            )
            return Delivered(dead=1)
        due_s = self._now_s() + again_s
        await self._outbox.retry(delivery, failures=failures, due_s=due_s, note=outcome.note)
        return Delivered(failed=1)

    def _now_s(self) -> float:
        return self._clock.now().timestamp()
