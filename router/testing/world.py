"""A world whose time is made up: an event loop that never waits, and the clocks that show its time.

`loop.time()`, `asyncio.sleep`, `asyncio.timeout` and the router's `Clock` all follow one number, which jumps to the
next timer as soon as nobody has anything left to do. An hour of traffic takes as long as its work, and takes the same
way every time. Threads and sockets have no place in it: nothing outside moves this time.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self, TypeVar

T = TypeVar("T")

_START: Final = datetime(2026, 1, 1, tzinfo=UTC)


class DeadlockError(RuntimeError):
    """Tasks wait, and nothing is left that could ever wake one of them.

    Attributes:
        tasks: names of those that wait, sorted.
    """

    def __init__(self, tasks: tuple[str, ...]) -> None:
        super().__init__(f"nothing is scheduled that could wake {', '.join(tasks)}")
        self.tasks = tasks


class _StuckError(Exception):
    """The loop was about to wait for ever."""


class _Selector(selectors.SelectSelector):
    """Lets the time pass instead of waiting for files."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Returns that no file is ready, `timeout` seconds later.

        Raises:
            _StuckError: there is no timer to wait for.
        """
        if timeout is None:
            raise _StuckError
        if timeout > 0:
            self.now_s += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in which waiting takes no time."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        """Returns the seconds since the world began."""
        return self._virtual.now_s


class WorldClock:
    """The clocks of a world, as `router.clock.Clock` has them.

    Args:
        loop: whose time it is.
        start: what the wall clock shows when the world begins, with a time zone.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, start: datetime = _START) -> None:
        self._loop = loop
        self._start = start
        self._jumped_s = 0.0

    def now(self) -> datetime:
        """Returns the wall clock's time, jumps included."""
        return self._start + timedelta(seconds=self._loop.time() + self._jumped_s)

    def monotonic(self) -> float:
        """Returns the seconds since the world began; jumps do not touch them."""
        return self._loop.time()

    async def sleep(self, seconds: float, /) -> None:
        """Waits without taking time; other tasks run meanwhile."""
        await asyncio.sleep(seconds)

    def jump(self, seconds: float, /) -> None:
        """Moves the wall clock alone, backwards where negative, as a correction of a machine's clock does."""
        self._jumped_s += seconds


class World:
    """One event loop with virtual time, for as long as the context is open.

    Example:
        >>> async def nap() -> float:
        ...     await asyncio.sleep(3600)
        ...     return asyncio.get_running_loop().time()
        >>> with World() as world:
        ...     world.run(nap())
        3600.0

    Args:
        start: what its wall clock shows at first, with a time zone.
    """

    def __init__(self, start: datetime = _START) -> None:
        self._runner = asyncio.Runner(loop_factory=VirtualLoop)
        self.clock = WorldClock(self._runner.get_loop(), start)

    def run(self, work: Coroutine[Any, Any, T], /) -> T:
        """Returns the coroutine's result.

        Raises:
            DeadlockError: it waits for what never comes.
        """
        try:
            return self._runner.run(work)
        except _StuckError:
            waiting = asyncio.all_tasks(self._runner.get_loop())
            raise DeadlockError(tuple(sorted(task.get_name() for task in waiting))) from None

    def close(self) -> None:
        """Ends the world: tasks that are left are cancelled."""
        self._runner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
