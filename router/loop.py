"""One private event loop in one thread, on which a router's synchronous calls run.

So there is one engine, not two: `complete` is `acomplete` on this loop, from any thread, also from inside a running
loop, and after a fork (threads do not survive one, so the child starts its own).
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_FAREWELL_S = 2.0


class LoopThread:
    """Runs coroutines to their end for threads that have no loop of their own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pid = 0

    @property
    def started(self) -> bool:
        """Whether the thread runs in this process."""
        return self._loop is not None and self._pid == os.getpid()

    def run(self, work: Coroutine[Any, Any, T], /) -> T:
        """Returns the coroutine's result; the calling thread waits.

        When the wait is interrupted (Ctrl-C), the coroutine is cancelled and given a moment to log what it did.

        Raises:
            RuntimeError: called from the private loop's own thread, which would wait for itself.
        """
        loop = self._running()
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("complete() and stream() cannot be called on the router's own loop; await acomplete()")
        ended = threading.Event()
        future = asyncio.run_coroutine_threadsafe(_until(work, ended), loop)
        try:
            return future.result()
        except BaseException:
            if future.cancel():
                ended.wait(_FAREWELL_S)
            raise

    def stop(self) -> None:
        """Ends the thread; a later `run` starts another."""
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None and self._pid == os.getpid():
            loop.call_soon_threadsafe(loop.stop)
            thread.join()

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._pid != os.getpid():
                self._loop = asyncio.new_event_loop()
                self._pid = os.getpid()
                self._thread = threading.Thread(target=_serve, args=(self._loop,), name="lowfare", daemon=True)
                self._thread.start()
            return self._loop


async def _until(work: Coroutine[Any, Any, T], ended: threading.Event) -> T:
    try:
        return await work
    finally:
        ended.set()


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()
