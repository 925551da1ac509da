"""A clock that stands still until somebody sleeps."""

from __future__ import annotations

import asyncio
import heapq
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Final

_START: Final = datetime(2026, 1, 1, tzinfo=UTC)
_TURNS: Final = 3
"""Turns of the event loop that other tasks get, to go to sleep themselves, before time is moved."""


class VirtualClock:
    """A `router.clock.Clock` whose sleeps take no time: each moves the time on to its own end.

    Tasks that sleep at once wake in the order of their ends, as with a real clock. It belongs to one event loop.

    Args:
        start: the time it shows at first, with a time zone.
    """

    def __init__(self, start: datetime = _START) -> None:
        self._start = start
        self._passed_s = 0.0
        self._sleepers: list[tuple[float, int]] = []
        self._numbers = count()
        self.slept: list[float] = []
        """Every sleep that was asked for, in seconds, oldest first."""

    def now(self) -> datetime:
        """Returns the start and what has passed since."""
        return self._start + timedelta(seconds=self._passed_s)

    def monotonic(self) -> float:
        """Returns the seconds that have passed."""
        return self._passed_s

    def advance(self, seconds: float, /) -> None:
        """Lets time pass, as slow code would.

        Raises:
            ValueError: it would go backwards.
        """
        if not seconds >= 0:
            raise ValueError(f"seconds: {seconds!r} is not allowed; 0 or more is, since time does not go backwards")
        self._passed_s += seconds

    async def sleep(self, seconds: float, /) -> None:
        """Returns when every task that sleeps shorter has woken; moves the time to this sleep's end."""
        self.slept.append(seconds)
        me = (self._passed_s + max(0.0, seconds), next(self._numbers))
        heapq.heappush(self._sleepers, me)
        try:
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            while self._sleepers[0] != me:  # noqa: ASYNC110 - who is next is told by the heap; nothing else is waited for
                await asyncio.sleep(0)
            self._passed_s = max(self._passed_s, me[0])
        finally:
            self._sleepers.remove(me)
            heapq.heapify(self._sleepers)
