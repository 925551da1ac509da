"""How long a caller waits for a store: its call is cancelled when the patience is spent, without a task of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from types import TracebackType, coroutine
from typing import Any, Final, TypeVar, cast

T = TypeVar("T")

BUDGET_S: Final = 0.05
"""How long the calls of one request may wait for a store, all together, in seconds; unless something else is said."""

_PARTS: Final = 10
"""A budget is spent in so many parts; one of them is the shortest wait that is worth a call."""
_STALL_PARTS: Final = 2
"""The most that a part is charged as. The event loop comes back to it later still where it, or this whole process, had
no time; then the store is not what the request waits for."""
_LAST_PASSES: Final = 10
"""How often the event loop goes round before a late call is given up: the answer may have come while the loop was busy,
and be on its way to whoever awaits it."""


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


@coroutine
def limited(call: Coroutine[Any, Any, T], patience: Patience) -> Generator[Any, Any, T]:
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
