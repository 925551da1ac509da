"""The private loop on which synchronous calls run."""

from __future__ import annotations

import asyncio
import threading

import pytest

from router.loop import LoopThread


async def current_thread() -> str:
    """Returns the name of the thread that it runs on."""
    await asyncio.sleep(0)
    return threading.current_thread().name


async def nothing() -> None:
    """Has nothing to close."""


def test_work_runs_on_one_thread_of_its_own() -> None:
    """From any thread, and also from inside a loop that is running already."""
    before = set(threading.enumerate())
    loop = LoopThread()

    async def inside() -> str:
        return loop.run(current_thread())

    names = {loop.run(current_thread()), asyncio.run(inside())}
    loop.stop(nothing)
    assert names == {"lowfare"}
    assert "lowfare" not in {thread.name for thread in set(threading.enumerate()) - before}


def test_what_the_work_raises_reaches_who_waits() -> None:
    """As it was raised; the loop goes on to serve others."""
    loop = LoopThread()

    async def broken() -> None:
        await asyncio.sleep(0)
        raise LookupError("nowhere")

    with pytest.raises(LookupError, match="nowhere"):
        loop.run(broken())
    assert loop.run(current_thread()) == "lowfare"
    loop.stop(nothing)


def test_the_loop_does_not_wait_for_itself() -> None:
    """A synchronous call from the private loop's own thread would never return: it is refused, and says what to do."""
    loop = LoopThread()

    async def within() -> str:
        return loop.run(current_thread())

    with pytest.raises(RuntimeError, match="await acomplete"):
        loop.run(within())
    loop.stop(nothing)


def test_stopping_ends_what_runs_and_says_farewell() -> None:
    """Work is cancelled before the farewell; a loop that never ran has nobody to say it to, and one may run again."""
    loop, said, started = LoopThread(), list[str](), threading.Event()
    ended: list[BaseException] = []

    async def endless() -> None:
        try:
            started.set()
            await asyncio.Event().wait()
        finally:
            said.append("cancelled")

    async def farewell() -> None:
        said.append("farewell")

    def caller() -> None:
        try:
            loop.run(endless())
        except BaseException as error:  # noqa: BLE001 - what a stopped loop raises is what is tested
            ended.append(error)

    loop.stop(farewell)
    assert said == []
    thread = threading.Thread(target=caller)
    thread.start()
    started.wait()
    loop.stop(farewell)
    thread.join()
    assert said == ["cancelled", "farewell"]
    assert [type(error).__name__ for error in ended] == ["CancelledError"]
    assert loop.run(current_thread()) == "lowfare"
    loop.stop(nothing)
