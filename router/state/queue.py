"""Places at one model, and the line of those who wait for one.

Waiters may belong to different event loops of different threads. None of these methods waits or locks: whoever uses a
line holds a lock around each call, and waits for a `Waiter` without it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Waiter:
    """One who waits; `called` ends when it is its turn or its time is up, `granted` says at once which."""

    called: asyncio.Future[None]
    granted: bool = False

    def call(self) -> bool:
        """Wakes it in its own loop; False when that loop is closed, so that nobody is there to take the place."""
        try:
            self.called.get_loop().call_soon_threadsafe(self.end)
        except RuntimeError:
            return False
        self.granted = True
        return True

    def end(self) -> None:
        """Ends the wait; to be called in its own loop."""
        if not self.called.done():
            self.called.set_result(None)


class Line:
    """Places, first come, first served.

    Args:
        limit: places; None is no limit.
        queue: how many may wait.
    """

    __slots__ = ("limit", "queue", "taken", "waiting")

    def __init__(self, limit: int | None, queue: int) -> None:
        self.limit = limit
        self.queue = queue
        self.taken = 0
        self.waiting: deque[Waiter] = deque()

    @property
    def free(self) -> bool:
        """Whether a place can be taken without a wait."""
        return self.limit is None or (self.taken < self.limit and not self.waiting)

    @property
    def full(self) -> bool:
        """Whether nobody more may wait."""
        return not self.free and len(self.waiting) >= self.queue

    def join(self, loop: asyncio.AbstractEventLoop) -> Waiter:
        """Returns the new last of the line."""
        waiter = Waiter(loop.create_future())
        self.waiting.append(waiter)
        return waiter

    def quit(self, waiter: Waiter) -> None:
        """Takes one out who waits no longer; the place that it was granted and will not use goes to the next."""
        if waiter.granted:
            self.release()
        elif waiter in self.waiting:  # it is not where its loop was closed and its turn passed over
            self.waiting.remove(waiter)

    def release(self) -> None:
        """Frees a place: the first who waits takes it over, so that nobody who comes now overtakes."""
        while self.waiting:
            if self.waiting.popleft().call():
                return
        self.taken -= 1
