from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from router.pump import pumped


async def test_a_source_does_not_wait_for_its_reader() -> None:
    """All is drawn from it while the reader is still at the first item."""
    drawn: list[int] = []

    async def source() -> AsyncGenerator[int]:
        for number in range(5):
            drawn.append(number)
            yield number

    stream = pumped(source())
    assert await anext(stream) == 0
    await asyncio.sleep(0)
    assert drawn == [0, 1, 2, 3, 4]
    assert [number async for number in stream] == [1, 2, 3, 4]


async def test_an_error_comes_after_what_was_before_it() -> None:
    """The reader gets every item, then the error."""

    async def source() -> AsyncGenerator[int]:
        yield 1
        raise ValueError("broken")

    stream = pumped(source())
    assert await anext(stream) == 1
    with pytest.raises(ValueError, match="broken"):
        await anext(stream)


async def test_a_reader_that_leaves_ends_the_source() -> None:
    """Closing waits until the source has cleaned up."""
    cleaned = asyncio.Event()

    async def source() -> AsyncGenerator[int]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.set()

    stream = pumped(source())
    assert await anext(stream) == 1
    await stream.aclose()
    assert cleaned.is_set()


async def test_a_reader_that_is_cancelled_ends_the_source_too() -> None:
    """The task of the reader waits for the source to end."""
    cleaned = asyncio.Event()

    async def source() -> AsyncGenerator[int]:
        try:
            await asyncio.Event().wait()
            yield 1
        finally:
            cleaned.set()

    async def read() -> None:
        async for _ in pumped(source()):
            raise AssertionError("nothing comes")

    reader = asyncio.create_task(read())
    await asyncio.sleep(0.01)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert cleaned.is_set()
