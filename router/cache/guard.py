"""What stands between the cache and a store that may be down: it costs a miss, a warning and 50 ms, never an answer.

    closed ──failure──> open ──time──> half open (one probe) ──success──> closed
                          ^                    │
                          └────── failure ─────┘   each rest lasts longer: 1 s, 2 s, ... 30 s

The first failure opens it: a store that is asked in vain costs every request, and one that is not asked for a second
costs a few answers. What a call says counts only in the epoch in which it began, and every opening begins one. So a
hundred calls that hang together are one failure, and answers that were already on their way close nothing.

A call runs in its caller's own task. One that never suspends (a read from SQLite) needs no timer, and no event loop.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType, coroutine
from typing import Any, Final, Literal, ParamSpec, TypeVar, cast

from router.cache.store import Joined, Store, Watched
from router.errors import warn
from router.state.process import PerProcess

P = ParamSpec("P")
T = TypeVar("T")

GuardState = Literal["closed", "open", "half_open"]

BUDGET_S: Final = 0.05
"""How long the calls of one request may wait for the store, all together, in seconds."""

_PARTS: Final = 10
"""A budget is spent in so many parts; one of them is the shortest wait that is worth a call."""
_STALL_PARTS: Final = 2
"""The most that a part is charged as. The event loop comes back to it later still where it, or this whole process, had
no time; then the store is not what the request waits for."""
_LAST_PASSES: Final = 10
"""How often the event loop goes round before a late call is given up: the answer may have come while the loop was busy,
and be on its way to whoever awaits it."""

_REST_S: Final = 1.0
_REST_MOST_S: Final = 30.0


class Patience:
    """How long one request may yet wait for the store.

    Attributes:
        left_s: what is left, in seconds. Time in which the event loop was busy with other things hardly counts.
        part_s: how finely it is measured.
    """

    __slots__ = ("_whole_s", "left_s", "part_s")

    def __init__(self, left_s: float = BUDGET_S) -> None:
        self.left_s = self._whole_s = left_s
        self.part_s = left_s / _PARTS

    @property
    def whole(self) -> bool:
        """Whether no call has taken any of it."""
        return self.left_s == self._whole_s

    @property
    def spent(self) -> bool:
        """Whether too little is left for another call."""
        return self.left_s <= 0.0 or self.left_s < self.part_s


class Guard:
    """Asks a store, and answers for it where it fails, is late, or rests. Its methods are those of the store.

    Safe to use from several threads and event loops. A forked child knows what its parent knew.

    Args:
        store: what to guard.
        clock: seconds since some moment; tells when a rest is over.
        budget_s: what the patience of one request is.
    """

    def __init__(
        self, store: Store, *, clock: Callable[[], float] = time.monotonic, budget_s: float = BUDGET_S
    ) -> None:
        self._store = store
        self._clock = clock
        self._budget_s = budget_s
        self._health = PerProcess(_Health(), _forked)

    def patience(self) -> Patience:
        """Returns that of a new request."""
        return Patience(self._budget_s)

    @property
    def state(self) -> GuardState:
        """Whether the store is asked, rests, or is asked once to see how it is."""
        health = self._health.get()
        if not health.rest_s:
            return "closed"
        return "half_open" if health.probing or self._clock() >= health.until_s else "open"

    @property
    def failures(self) -> int:
        """How many calls of this process failed or were late."""
        return self._health.get().failures

    async def get(self, key: str, /, *, patience: Patience) -> bytes | None:
        """Returns the value; None where there is none, or the store did not help."""
        return await self._asked(patience, self._store.get, key)

    async def put(
        self,
        key: str,
        value: bytes,
        /,
        *,
        label: bytes,
        ttl_s: float,
        holder: str | None = None,
        patience: Patience,
    ) -> bool:
        """Stores the value; returns whether the store did."""
        put = partial(self._store.put, key, value, label=label, ttl_s=ttl_s, holder=holder)
        return await self._asked(patience, _done, put) is not None

    async def join(self, key: str, holder: str, /, *, lease_s: float, patience: Patience) -> Joined | None:
        """Returns what came of asking for a lease; None where the store did not help, so that nobody knows."""
        return await self._asked(patience, self._store.join, key, holder, lease_s=lease_s)

    async def renew(
        self, key: str, holder: str, /, *, lease_s: float, pieces: Sequence[bytes] = (), patience: Patience
    ) -> bool | None:
        """Returns whether the lease is still the holder's; None where the store did not help.

        Then nobody knows whether it has the pieces.
        """
        return await self._asked(patience, self._store.renew, key, holder, lease_s=lease_s, pieces=pieces)

    async def watch(self, key: str, /, *, since: int = 0, patience: Patience) -> Watched | None:
        """Returns how the key stands; None where the store did not help."""
        return await self._asked(patience, self._store.watch, key, since=since)

    async def leave(self, key: str, holder: str, /, *, patience: Patience) -> None:
        """Gives up the lease, as far as the store helps; else it lapses."""
        await self._asked(patience, self._store.leave, key, holder)

    async def _asked(
        self, patience: Patience, ask: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **options: P.kwargs
    ) -> T | None:
        """Returns what the store says; None where it is not asked, fails, or is late."""
        health, whole = self._health.get(), patience.whole
        epoch = None if patience.spent else health.entered(self._clock)
        if epoch is None:
            return None
        try:
            answer = await _limited(ask(*args, **options), patience)
        except TimeoutError as error:
            if whole:
                self._note(health, epoch, error)
            else:  # the calls before took most of the time, and went well: the store is slow, not down
                health.left(epoch)
            return None
        except Exception as error:  # noqa: BLE001 - whatever a store's library raises, it must not cost an answer
            self._note(health, epoch, error)
            return None
        except BaseException:
            health.left(epoch)
            raise
        health.helped(epoch)
        return answer

    def _note(self, health: _Health, epoch: int, error: Exception) -> None:
        if health.failed(epoch, self._clock):
            warn(
                f"the cache's {type(self._store).__name__} does not help ({type(error).__name__}); requests go on "
                "without it, and it is tried again from time to time"
            )


async def _done(work: Callable[[], Coroutine[Any, Any, None]]) -> bool:
    await work()
    return True


@dataclass(slots=True)
class _Health:
    """How the store is, as far as this process knows.

    Attributes:
        epoch: number of the current one.
        rest_s: how long the store rests; 0 while it is well.
        until_s: when the rest is over.
        probing: whether a call is on its way to see how it is.
        failures: calls that failed or were late.
    """

    epoch: int = 0
    rest_s: float = 0.0
    until_s: float = 0.0
    probing: bool = False
    failures: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def entered(self, clock: Callable[[], float]) -> int | None:
        """Returns the epoch in which a call begins; None where the store is not to be asked."""
        with self.lock:
            if self.rest_s:
                if self.probing or clock() < self.until_s:
                    return None
                self.probing = True
            return self.epoch

    def failed(self, epoch: int, clock: Callable[[], float]) -> bool:
        """Takes note of a call that failed; returns whether an outage began with it."""
        with self.lock:
            self.failures += 1
            if epoch != self.epoch:
                return False
            began = not self.rest_s
            self.epoch += 1
            self.probing = False
            self.rest_s = min(2 * self.rest_s, _REST_MOST_S) or _REST_S
            self.until_s = clock() + self.rest_s
            return began

    def helped(self, epoch: int) -> None:
        """Takes note of a call that went well."""
        if self.probing:
            with self.lock:
                if epoch == self.epoch:
                    self.rest_s, self.probing = 0.0, False

    def left(self, epoch: int) -> None:
        """Takes note of a call that was given up by its caller: the next one is the probe in its place."""
        with self.lock:
            if epoch == self.epoch:
                self.probing = False


def _forked(parent: _Health) -> _Health:
    return _Health(rest_s=parent.rest_s, until_s=parent.until_s)


@coroutine
def _limited(call: Coroutine[Any, Any, T], patience: Patience) -> Generator[Any, Any, T]:
    """Returns what a call returns, which is stepped through here as `await` would.

    So no task is made for it, and what it does with the current one (a time-out of its own) is right.

    Raises:
        TimeoutError: it came to no end while there was patience.
        Exception: whatever the call raises.
    """
    try:
        awaited = call.send(None)
    except StopIteration as end:
        return cast("T", end.value)
    with _Limit(patience):
        try:
            while True:
                try:
                    sent = yield awaited
                except BaseException as error:  # noqa: BLE001 - thrown on to the call, which is where it belongs
                    awaited = call.throw(error)
                else:
                    awaited = call.send(sent)
        except StopIteration as end:
            return cast("T", end.value)


class _Limit:
    """Cancels the current task when patience is spent; tells then what the cancellation meant."""

    __slots__ = ("_asked_before", "_at_s", "_cancels", "_handle", "_loop", "_passes", "_patience", "_task")

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._task = cast("asyncio.Task[Any]", asyncio.current_task())  # only a task can suspend
        self._asked_before = self._task.cancelling()
        self._passes = self._cancels = 0

    def __enter__(self) -> None:
        self._at_s = self._loop.time()
        self._handle: asyncio.Handle = self._loop.call_later(self._patience.part_s, self._tick)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.cancel()
        self._charge()
        for _ in range(self._cancels):
            self._task.uncancel()
        if isinstance(error, asyncio.CancelledError):
            asked = self._task.cancelling()
            if self._cancels and asked <= self._asked_before:
                raise TimeoutError from error
            if not self._cancels and not asked:  # nobody wants this task to end: the store's library dropped the call
                raise ConnectionAbortedError from error

    def _charge(self) -> None:
        now_s = self._loop.time()
        self._patience.left_s -= min(now_s - self._at_s, _STALL_PARTS * self._patience.part_s)
        self._at_s = now_s

    def _tick(self) -> None:
        self._charge()
        if self._patience.left_s > 0.0:
            self._handle = self._loop.call_later(min(self._patience.left_s, self._patience.part_s), self._tick)
        else:
            self._handle = self._loop.call_soon(self._pass)

    def _pass(self) -> None:
        self._passes += 1
        if self._passes < _LAST_PASSES:
            self._handle = self._loop.call_soon(self._pass)
            return
        self._cancels += 1
        self._task.cancel()
        # A call that does not heed it is told again.
        self._handle = self._loop.call_later(_PARTS * self._patience.part_s, self._pass)
