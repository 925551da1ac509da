"""Lines: who is called, and who is passed over."""

from __future__ import annotations

import asyncio

from router.state.queue import Line


async def test_a_closed_loop_is_passed_over() -> None:
    """One who waits on a loop that was closed under it is skipped, and the place goes to the next, or is free."""
    closed, here = asyncio.new_event_loop(), asyncio.get_running_loop()
    line = Line(1, 5)
    line.taken = 1
    gone, alive = line.join(closed), line.join(here)
    closed.close()
    line.release()
    await alive.called
    assert (gone.granted, alive.granted, line.taken) == (False, True, 1)
    line.quit(gone)
    line.quit(alive)
    assert (line.taken, line.free) == (0, True)


async def test_one_who_gave_up_is_not_called() -> None:
    """A call that comes after the wait was cancelled changes nothing, and the place that was granted goes on."""
    line = Line(1, 5)
    line.taken = 1
    first, second = (line.join(asyncio.get_running_loop()) for _ in range(2))
    line.release()
    first.called.cancel()
    await asyncio.sleep(0)
    line.quit(first)
    await second.called
    assert line.taken == 1


def test_without_a_limit_nobody_waits() -> None:
    """A line without a limit is always free, and with one it is full when as many wait as may."""
    assert Line(None, 0).free
    none = Line(1, 0)
    assert (none.free, none.full) == (True, False)
    none.taken = 1
    assert (none.free, none.full) == (False, True)
