"""Two streams of one request, of which the first to show something is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import TypeVar

T = TypeVar("T")


async def raced(
    first: AsyncGenerator[T],
    second: AsyncGenerator[T],
    *,
    after_s: float,
    won: Callable[[], bool],
    lost: Callable[[int], None],
) -> AsyncGenerator[T]:
    """Yields what the winner yields; the loser is closed.

    Args:
        first: begins at once.
        second: begins when `first` has neither yielded nor ended after `after_s` seconds; else it never does.
        after_s: see there.
        won: tells whether one that ended without yielding ended well; if it did not, the other one goes on.
        lost: is told the number of the loser, 0 or 1, before it is closed.
    """
    heads = {_head(first): first}
    try:
        done, _ = await asyncio.wait(heads, timeout=after_s)
        if not done:
            heads[_head(second)] = second
        while heads:
            done, _ = await asyncio.wait(heads, return_when=asyncio.FIRST_COMPLETED)
            task = next(head for head in heads if head in done)  # of two at once, the one that began first
            winner = heads.pop(task)
            shown = task.result()
            if not shown and not won():
                continue
            lost(1 if winner is first else 0)
            await _drop(heads)
            heads = {}
            for item in shown:
                yield item
            async for item in winner:
                yield item
            return
    finally:
        await _drop(heads)
        await first.aclose()
        await second.aclose()


def _head(source: AsyncGenerator[T]) -> asyncio.Task[list[T]]:
    return asyncio.ensure_future(_pull(source))


async def _pull(source: AsyncGenerator[T]) -> list[T]:
    """Returns the next item; nothing where there is none."""
    try:
        return [await anext(source)]
    except StopAsyncIteration:
        return []


async def _drop(heads: dict[asyncio.Task[list[T]], AsyncGenerator[T]]) -> None:
    """Stops those that lost, and waits until they have stopped, also where it is itself cancelled meanwhile."""
    for task in heads:
        task.cancel()
    interrupted: asyncio.CancelledError | None = None
    while any(not task.done() for task in heads):
        try:
            await asyncio.wait(heads)
        except asyncio.CancelledError as error:
            interrupted = error
    for source in heads.values():
        await source.aclose()
    if interrupted is not None:
        raise interrupted
