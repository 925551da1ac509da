"""`Alerts`: the way out for whoever raises one, and the thread on which they are delivered.

raised ──> put into the outbox ──> claimed ──> sent ──> arrived: taken out
  (any thread)      (a thread and an event loop of their own)
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import Final
from uuid import uuid4

from router.alerts.courier import Courier
from router.alerts.outbox import Outbox
from router.alerts.sink import AlertSink
from router.clock import Clock, SystemClock
from router.core.alert import Alert, Message, message_of
from router.core.naming import allowed
from router.errors import ConfigError, warn
from router.loop import LoopThread
from router.state.process import PerProcess

CLOSING_S: Final = 5.0
"""How long `close` waits for what was just raised to be kept, and for what is due to be sent once."""


@dataclass(slots=True)
class _Running:
    """What runs in one process.

    Attributes:
        courier: delivers, and what comes of that, which is nothing until it ends; None where nothing is delivered yet.
        raised: alerts that are on their way into the outbox.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    courier: tuple[Courier, Future[None]] | None = None
    raised: set[Future[bool]] = field(default_factory=set)


class Alerts:
    """Takes alerts, and delivers them in a thread of its own, so that nobody waits for a destination.

    Safe to use from several threads; a forked child has a thread of its own from its first alert on.

    Args:
        outbox: what keeps alerts until they have arrived.
        destinations: the names that alerts may be sent to.
        make: returns the sink of each; called when deliveries begin.
        clock: what time it is when an alert is raised; deliveries go by the machine's own clock.
        deliver: whether this process delivers; otherwise alerts are only kept, for others to deliver.
    """

    def __init__(
        self,
        outbox: Outbox,
        destinations: Collection[str],
        make: Callable[[], Mapping[str, AlertSink]],
        *,
        clock: Clock | None = None,
        deliver: bool = True,
    ) -> None:
        self.outbox = outbox
        self.destinations = tuple(sorted(destinations))
        self._make = make
        self._clock = SystemClock() if clock is None else clock
        self._deliver = deliver
        self._thread = LoopThread()
        self._running = PerProcess(_Running(), lambda _: _Running())
        self._before_close: list[Callable[[], None]] = []

    def fire(self, alert: Alert, /, *, to: Collection[str]) -> Future[bool]:
        """Raises an alert; returns at once.

        What is returned is done when the outbox has the alert, from where it is delivered even if this process dies at
        once: True where it is new, False where one of its name was raised before, by whomever. It holds an exception
        where the outbox could not take it; then the alert is not raised, and may be raised again.

        Args:
            alert: what happened.
            to: names of destinations.

        Raises:
            ConfigError: there is no such destination, or none is named.
            ValueError: the alert's data is not JSON.
        """
        for name in to:
            if name not in self.destinations:
                raise ConfigError(f"alert {alert.name!r}: no destination {name!r}; {allowed(name, self.destinations)}")
        if not to:
            raise ConfigError(f"alert {alert.name!r}: goes to no destination; {allowed('', self.destinations)}")
        message = message_of(alert, message_id=f"msg_{uuid4().hex}")
        self.start()
        running = self._running.get()
        future = self._thread.submit(self._put(message, tuple(to)))
        running.raised.add(future)
        future.add_done_callback(running.raised.discard)
        return future

    def start(self) -> None:
        """Begins to deliver what there is, unless this process does already, or is not to.

        Raises:
            ConfigError: a destination cannot be made.
        """
        running = self._running.get()
        with running.lock:
            if self._deliver and self.destinations and running.courier is None:
                courier = Courier(self.outbox, self._make(), clock=SystemClock())
                running.courier = courier, self._thread.submit(courier.follow())

    def before_close(self, call: Callable[[], None], /) -> None:
        """Adds what `close` calls first: whoever raises alerts may have some left."""
        self._before_close.append(call)

    async def aclose(self) -> None:
        """`close` for a running event loop, which is not held up."""
        if self.destinations:
            await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Waits until what was raised is kept and what is due was tried once, but not for long; then ends the thread.

        What has not arrived stays in the outbox, for other processes and later ones. A later alert begins anew.
        """
        for call in self._before_close:
            call()
        running = self._running.get()
        with running.lock:
            at_work, running.courier = running.courier, None
        if running.raised:
            wait(tuple(running.raised), timeout=CLOSING_S)
        if at_work is not None:
            courier, following = at_work
            self._thread.submit(_stop(courier))
            wait([following], timeout=CLOSING_S)
        self._thread.stop(self._farewell)

    async def _put(self, message: Message, to: Collection[str]) -> bool:
        try:
            new = await self.outbox.put(message, to, now_s=self._clock.now().timestamp())
        except Exception as error:
            warn(f"an alert was not raised: the outbox does not take it ({type(error).__name__})")
            raise
        if new and (at_work := self._running.get().courier) is not None:
            at_work[0].wake()
        return new

    async def _farewell(self) -> None:
        await self.outbox.aclose()


async def _stop(courier: Courier) -> None:
    courier.stop()
