"""Virtual time: nothing waits, everything is in order, and what waits for ever is named."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.testing.world import DeadlockError, World


@given(st.lists(st.floats(min_value=0, max_value=1e5), max_size=20))
def test_sleepers_wake_in_the_order_of_their_ends(naps: list[float]) -> None:
    """Each sleep ends at its own time on the loop's clock, the shorter before the longer."""
    woken: list[tuple[float, float]] = []

    async def nap(seconds: float) -> None:
        await asyncio.sleep(seconds)
        woken.append((seconds, asyncio.get_running_loop().time()))

    async def all_of_them() -> None:
        await asyncio.gather(*map(nap, naps))

    with World() as world:
        world.run(all_of_them())
    assert [seconds for seconds, _ in woken] == sorted(naps)
    assert all(at == pytest.approx(seconds, abs=1e-6) for seconds, at in woken)


def test_an_hour_takes_no_time() -> None:
    """Timers move the time; the machine's clock hardly notices."""

    async def hour() -> float:
        for _ in range(3600):
            await asyncio.sleep(1)
        return asyncio.get_running_loop().time()

    started = time.monotonic()
    with World() as world:
        assert world.run(hour()) == pytest.approx(3600)
        assert world.clock.monotonic() == pytest.approx(3600)
    assert time.monotonic() - started < 1800


def test_a_timeout_ends_at_its_time() -> None:
    """`asyncio.timeout` follows the same clock, and interrupts a longer sleep."""

    async def impatient() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(7):
                await asyncio.sleep(60)
        return asyncio.get_running_loop().time()

    with World() as world:
        assert world.run(impatient()) == pytest.approx(7)


def test_the_clock_sleeps_in_virtual_time() -> None:
    """The router's way of waiting moves the wall clock by as much."""
    start = datetime(2026, 3, 1, tzinfo=UTC)
    with World(start) as world:
        world.run(world.clock.sleep(90))
        assert world.clock.now() == start + timedelta(seconds=90)


def test_a_jump_moves_the_wall_clock_alone() -> None:
    """Monotonic time does not notice that somebody set the clock back."""
    with World() as world:
        before = world.clock.now()
        world.clock.jump(-3600)
        assert world.clock.now() == before - timedelta(hours=1)
        assert world.clock.monotonic() == 0


def test_tasks_and_time_last_between_runs() -> None:
    """What was started in one run goes on in the next."""
    done: list[float] = []

    async def later() -> None:
        await asyncio.sleep(10)
        done.append(asyncio.get_running_loop().time())

    async def start() -> asyncio.Task[None]:
        return asyncio.create_task(later())

    with World() as world:
        task = world.run(start())
        world.run(asyncio.sleep(9))
        assert not task.done()
        world.run(asyncio.sleep(2))
        assert done == [pytest.approx(10)]


def test_who_waits_for_what_never_comes_is_named() -> None:
    """With nothing scheduled the world does not hang: it says which tasks wait."""

    async def stuck() -> None:
        task = asyncio.create_task(asyncio.Event().wait(), name="the forgotten one")
        await task

    with World() as world, pytest.raises(DeadlockError, match="the forgotten one") as caught:
        world.run(stuck())
    assert "the forgotten one" in caught.value.tasks
