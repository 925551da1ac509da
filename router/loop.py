"""One private event loop in one thread, on which a router's synchronous calls run.

So there is one engine, not two: `complete` is `acomplete` on this loop, from any thread, also from inside a running
loop, and after a fork (threads do not survive one, so the child starts its own).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from router.state.process import PerProcess

T = TypeVar("T")

Farewell = Callable[[], Coroutine[Any, Any, None]]

_FAREWELL_S = 2.0
"""How long an interrupted caller waits for its call to be logged."""


class LoopThread:
    """Runs coroutines to their end for threads that have no loop of their own."""

    def __init__(self) -> None:
        self._own = PerProcess(_Own(), lambda _: _Own())

    def run(self, work: Coroutine[Any, Any, T], /) -> T:
        """Returns the coroutine's result; the calling thread waits.

        When the wait is interrupted (Ctrl-C), the coroutine is cancelled and given a moment to log what it did.

        Raises:
            RuntimeError: called from the private loop's own thread, which would wait for itself.
            CancelledError: the loop was stopped meanwhile.
        """
        ended, own = threading.Event(), self._own.get()
        if own.runs_here():
            work.close()
            raise RuntimeError("complete() and stream() cannot wait on the router's own loop; await acomplete()")
        future = own.submit(work, ended)
        try:
            return future.result()
        except BaseException:
            if future.cancel():
                ended.wait(_FAREWELL_S)
            raise

    def submit(self, work: Coroutine[Any, Any, T], /) -> Future[T]:
        """Returns at once, with what the coroutine's result will be in; to cancel that cancels the coroutine."""
        return self._own.get().submit(work, threading.Event())

    def stop(self, farewell: Farewell) -> None:
        """Cancels what runs on the loop, then awaits `farewell` on it and ends the thread.

        A later `run` starts another.
        """
        self._own.get().stop(farewell)


class _Own:
    """The loop and the thread of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def runs_here(self) -> bool:
        return threading.current_thread() is self._thread

    def submit(self, work: Coroutine[Any, Any, T], ended: threading.Event) -> Future[T]:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="lowfare", daemon=True)
                self._thread.start()
            return asyncio.run_coroutine_threadsafe(_until(work, ended), self._loop)

    def stop(self, farewell: Farewell) -> None:
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(_end(farewell), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _until(work: Coroutine[Any, Any, T], ended: threading.Event) -> T:
    try:
        return await work
    finally:
        ended.set()


async def _end(farewell: Farewell) -> None:
    """Cancels all other tasks, waits for their end, then closes what they left open."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
    await farewell()
