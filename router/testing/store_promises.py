"""What the checks of stores share: how a store is opened, waited for, and told what it broke."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from router.cache.store import Store

Make = Callable[[], Store]
"""Makes one more store on the same data, as another process would."""

Leave = Callable[[], Awaitable[None]]

T = TypeVar("T")

LONG_S, SHORT_S = 600.0, 0.05
"""A time that no check lives to see the end of, and one whose end it waits for."""

_PATIENCE_S = 20.0
"""How long a check waits for what must come; a machine that is so busy is not the store's fault."""


def broken(did: str, promise: object, /) -> AssertionError:
    """Returns the error that says what a store did, and what the protocol asks of it instead."""
    asked = " ".join((promise.__doc__ or "").split())
    name = getattr(promise, "__qualname__", repr(promise))
    return AssertionError(f"{did}. router/cache/store.py says of {name}: {asked}")


def new_key() -> str:
    """Returns a key that no other check uses."""
    return secrets.token_hex(32)


@asynccontextmanager
async def opened(make: Make, count: int = 1) -> AsyncIterator[tuple[Store, ...]]:
    """Gives that many stores on the same data, and closes them."""
    stores = tuple(make() for _ in range(count))
    try:
        yield stores
    finally:
        for store in stores:
            await store.aclose()


async def in_threads(threads: int, work: Callable[[int], Coroutine[Any, Any, T]], leave: Leave) -> list[T]:
    """Returns what came of `work(number)`, each in a thread and an event loop of its own.

    `leave` is awaited on each of these loops when the work of all has ended, so that nobody closes what others use.
    """
    ended = threading.Barrier(threads)

    async def run(number: int) -> T:
        try:
            return await work(number)
        finally:
            await asyncio.to_thread(ended.wait)
            await leave()

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(threads) as executor:
        runs = [loop.run_in_executor(executor, lambda n: asyncio.run(run(n)), number) for number in range(threads)]
        return await asyncio.gather(*runs)


async def until(came: Callable[[], Awaitable[bool]], did: str, promise: object) -> None:
    """Waits for what must come some time.

    Raises:
        AssertionError: it did not, in a time that is long for any machine.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + _PATIENCE_S
    while not await came():
        if loop.time() > end:
            raise broken(f"{did}, {_PATIENCE_S:.0f} s later", promise)
        await asyncio.sleep(0.01)
