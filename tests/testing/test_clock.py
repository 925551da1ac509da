from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.testing.clock import VirtualClock


async def test_a_sleep_moves_time() -> None:
    """Exactly by its length, on both faces of the clock."""
    clock = VirtualClock()
    start = clock.now()
    await clock.sleep(2.5)
    clock.advance(1)
    assert clock.monotonic() == 3.5
    assert clock.now() - start == timedelta(seconds=3.5)
    assert clock.slept == [2.5]


@pytest.mark.parametrize("seconds", [-5, float("nan")])
def test_time_does_not_go_backwards(seconds: float) -> None:
    """Nor anywhere else than forwards: what is asked for is refused, and the time stays."""
    clock = VirtualClock()
    with pytest.raises(ValueError, match="0 or more is"):
        clock.advance(seconds)
    assert clock.monotonic() == 0


@given(st.lists(st.floats(-1, 100), min_size=1, max_size=6))
async def test_sleepers_wake_in_order(lengths: list[float]) -> None:
    """Tasks that sleep at once wake by the length of their sleep, and together take as long as the longest."""
    clock, woken = VirtualClock(), list[float]()

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(max(0.0, seconds))
        assert clock.monotonic() == pytest.approx(max(0.0, seconds))

    await asyncio.gather(*map(sleeper, lengths))
    assert woken == sorted(woken)
    assert clock.monotonic() == pytest.approx(max(0.0, *lengths))


async def test_a_cancelled_sleep_holds_nobody_up() -> None:
    """Whoever sleeps longer wakes all the same."""
    clock = VirtualClock()
    task = asyncio.create_task(clock.sleep(1))
    await asyncio.sleep(0)
    task.cancel()
    await clock.sleep(5)
    assert task.cancelled()
    assert clock.monotonic() == 5
