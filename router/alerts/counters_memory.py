"""The counters of one process: what other processes count is not in them."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from router.alerts.counters import KEPT_S, REMEMBERED_S
from router.core.alert_counts import Range
from router.core.counting import Counts, Of
from router.state.process import PerProcess


class _Held:
    """What is kept, and the lock of whoever looks at it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.quarters: dict[int, dict[Of, int]] = {}
        self.batches: dict[str, float] = {}


class MemoryCounters:
    """`router.alerts.counters.Counters` in the memory of this process. A forked child begins with none."""

    def __init__(self) -> None:
        self._own = PerProcess(_Held(), lambda _: _Held())

    async def add(self, batch: str, counts: Counts, /, *, now_s: float) -> None:
        """Adds counts to what is kept; a batch that was added before changes nothing."""
        held = self._own.get()
        with held.lock:
            for known in [known for known, at_s in held.batches.items() if at_s < now_s - REMEMBERED_S]:
                del held.batches[known]
            if batch in held.batches:
                return
            held.batches[batch] = now_s
            for start_s in [start_s for start_s in held.quarters if start_s < now_s - KEPT_S]:
                del held.quarters[start_s]
            for start_s, sums in counts.items():
                kept = held.quarters.setdefault(start_s, {})
                for of, number in sums.items():
                    kept[of] = kept.get(of, 0) + number

    async def read(self, ranges: Sequence[Range], /) -> Sequence[dict[Of, int]]:
        """Returns the sums over the quarters of each range."""
        held = self._own.get()
        with held.lock:
            return [_sum(held, start_s, end_s) for start_s, end_s in ranges]

    async def aclose(self) -> None:
        """Has nothing to let go of."""


def _sum(held: _Held, start_s: int, end_s: int) -> dict[Of, int]:
    sums: dict[Of, int] = {}
    for at_s, kept in held.quarters.items():
        if start_s <= at_s < end_s:
            for of, number in kept.items():
                sums[of] = sums.get(of, 0) + number
    return sums
