"""Two streams of one request: who is kept, and what becomes of the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from router.race import raced


class Source:
    """A stream that tells what happened to it.

    Args:
        items: what it yields; None waits for ever.
    """

    def __init__(self, *items: str | None) -> None:
        self._items = items
        self.began = False
        self.ended = False

    async def stream(self) -> AsyncGenerator[str]:
        """Yields the items."""
        self.began = True
        try:
            for item in self._items:
                if item is None:
                    await asyncio.Event().wait()
                else:
                    await asyncio.sleep(0)
                    yield item
        finally:
            self.ended = True


async def race(
    first: Source, second: Source, *, after_s: float = 0.0, won: bool = False
) -> tuple[list[str], list[int]]:
    """Returns what reached the caller, and the numbers of those that were told to have lost."""
    losers: list[int] = []
    both = raced(first.stream(), second.stream(), after_s=after_s, won=lambda: won, lost=losers.append)
    return [item async for item in both], losers


async def test_the_first_alone_where_it_is_quick() -> None:
    """The second never begins."""
    first, second = Source("a", "b"), Source("x")
    assert await race(first, second, after_s=3600) == (["a", "b"], [1])
    assert (first.ended, second.began) == (True, False)


async def test_the_second_where_the_first_is_silent() -> None:
    """All of it reaches the caller, and the first is closed."""
    first, second = Source(None), Source("x", "y", "z")
    assert await race(first, second) == (["x", "y", "z"], [0])
    assert (first.ended, second.ended) == (True, True)


class Failing(Source):
    """A stream that ends without a word once the other one has begun."""

    def __init__(self, other: Source) -> None:
        super().__init__()
        self._other = other

    async def stream(self) -> AsyncGenerator[str]:
        """Yields nothing."""
        self.began = True
        while not self._other.began:
            await asyncio.sleep(0)
        silence: tuple[str, ...] = ()
        for item in silence:
            yield item
        self.ended = True


@pytest.mark.parametrize("number", [0, 1])
async def test_one_that_fails_leaves_the_other(number: int) -> None:
    """Ended without a word and without an answer: the other one goes on as if it were alone."""
    good = Source("x", "y")
    bad = Failing(good)
    shown, losers = await race(*((bad, good) if number == 0 else (good, bad)))
    assert shown == ["x", "y"]
    assert losers == [number]
    assert bad.ended == bad.began


async def test_both_may_fail() -> None:
    """Then nothing is shown, and nobody lost to anybody."""
    first, second = Source(), Source()
    assert await race(first, second) == ([], [])


async def test_an_answer_without_a_piece_wins() -> None:
    """As a whole answer does, which is not streamed: the other one is closed."""
    first, second = Source(), Source(None)
    assert await race(first, second, after_s=3600, won=True) == ([], [1])


async def test_a_caller_who_leaves_closes_both() -> None:
    """In the midst of the winner's stream nothing of either is left open."""
    first, second = Source(None), Source("x", None)
    async with aclosing(
        raced(first.stream(), second.stream(), after_s=0.0, won=lambda: False, lost=lambda _: None)
    ) as both:
        assert await anext(both) == "x"
    assert (first.ended, second.ended) == (True, True)
