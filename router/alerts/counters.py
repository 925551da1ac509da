"""The seam between the rules of alerts and what keeps the sums that they look at, for one process or for many.

Sums are kept by quarter of an hour (`router.core.counting`) for `KEPT_S`, and added in batches, so that nothing is
asked of a store on a request's way. What a process had not yet added when it died is missing for good: budgets, which
must be exact, are counted elsewhere.

Times are Unix seconds, told by the caller. `tests/alerts/test_counters.py` holds all counters to this.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from router.core.alert_counts import Range
from router.core.counting import Counts, Of

KEPT_S: Final = 30 * 86_400
"""How long a quarter is kept after it began, in seconds: rules look back 28 days, and a clock may be set back."""

REMEMBERED_S: Final = 3_600.0
"""How long a batch's id is remembered, in seconds: one that failed is added again, and may have been added already."""


class Counters(Protocol):
    """Keeps sums by quarter. Every method may be called from any thread, event loop and process."""

    async def add(self, batch: str, counts: Counts, /, *, now_s: float) -> None:
        """Adds counts to what is kept, all of them or none; a batch that was added before changes nothing.

        Args:
            batch: what tells this batch from all others.
            counts: from 0 up, by quarter.
            now_s: the time; what is older than `KEPT_S` may be forgotten.
        """
        ...

    async def read(self, ranges: Sequence[Range], /) -> Sequence[dict[Of, int]]:
        """Returns the sums over the quarters of each range; of what was never counted there is none."""
        ...

    async def aclose(self) -> None:
        """Closes the connections that belong to the running event loop, and whatever belongs to all of them."""
        ...
