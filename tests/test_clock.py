from __future__ import annotations

from datetime import UTC

from router.clock import SystemClock


async def test_the_system_clock_has_a_time_zone_and_runs_forward() -> None:
    """Wall time is in UTC; waiting takes at least the time asked for."""
    clock = SystemClock()
    assert clock.now().tzinfo is UTC
    before = clock.monotonic()
    await clock.sleep(0.001)
    assert clock.monotonic() >= before + 0.001
