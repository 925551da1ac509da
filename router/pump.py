"""A stream that runs on at its own pace, however slowly it is read."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

T = TypeVar("T")


async def pumped(source: AsyncGenerator[T]) -> AsyncGenerator[T]:
    """Yields what a source yields, which does not wait for the reader: others may read along.

    What was not read yet is kept in memory. A reader that leaves ends the source.
    """
    ready: deque[T] = deque()
    more = asyncio.Event()
    task = asyncio.create_task(_pump(source, ready, more))
    task.add_done_callback(lambda _: more.set())
    try:
        while True:
            ended = task.done()  # asked before the rest is read: of a source that had ended, this is all
            while ready:
                yield ready.popleft()
            if ended:
                break
            await more.wait()
            more.clear()
        await task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _pump(source: AsyncGenerator[T], ready: deque[T], more: asyncio.Event) -> None:
    async with aclosing(source) as items:
        async for item in items:
            ready.append(item)
            more.set()
