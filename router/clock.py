"""Time, as a value that is passed in: the seam through which tests and simulations run without waiting."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What time it is, and how to wait."""

    def now(self) -> datetime:
        """Returns the wall clock's time, with a time zone."""
        ...

    def monotonic(self) -> float:
        """Returns seconds since some moment; never runs backwards."""
        ...

    async def sleep(self, seconds: float, /) -> None:
        """Waits; other tasks run meanwhile."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Returns the time in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Returns `time.monotonic()`."""
        return time.monotonic()

    async def sleep(self, seconds: float, /) -> None:
        """Waits in the running event loop."""
        await asyncio.sleep(seconds)
