"""A cache played through the requests of keys that come very often, for several times to live at once.

What `sql/cache_curve.sql` does in one expression for each request, which is quick for the many keys that come a few
times; here each answer that is stored takes one step, and the hits between two of them none.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from itertools import accumulate, groupby
from operator import itemgetter
from typing import Any, Final

from router.core.money import EXACT

OFTEN: Final = 1_000
"""Requests of a key from which on it is played here."""
_NEVER: Final = -(2**63)

Repeat = tuple[int, int, int, bool, Decimal | None]
"""A request: its key, when it came and when its answer did in microseconds, whether there was one, what it cost."""


def played(parts: Iterable[Sequence[Repeat]], ttls_s: Sequence[int], /) -> list[dict[str, Any]]:
    """Returns hits, what they cost, and how many are of unknown cost, for each time to live.

    Args:
        parts: of all requests, those of one key after each other, in the order in which they came. One part at a time
            is held in memory.
        ttls_s: for how long an answer is kept.
    """
    found: list[dict[str, Any]] = [
        {"ttl_s": ttl_s, "hits": 0, "saved_usd": Decimal(0), "unknown_cost": 0} for ttl_s in ttls_s
    ]
    key: int | None = None
    until = [_NEVER] * len(found)
    for part in parts:
        for of, group in groupby(part, itemgetter(0)):
            if of != key:
                key, until = of, [_NEVER] * len(found)
            step = _stepper(list(group))
            until = [step(row, kept) for row, kept in zip(found, until, strict=True)]
    return found


def _stepper(requests: Sequence[Repeat]) -> Callable[[dict[str, Any], int], int]:
    """Returns what plays requests of one key for a time to live, given until when an answer is kept before."""
    _, came, ready, answered, costs = zip(*requests, strict=True)
    usd = list(accumulate((cost or Decimal(0) for cost in costs), EXACT.add, initial=Decimal(0)))
    unknown = list(accumulate((cost is None for cost in costs), initial=0))
    stored = [place for place, has in enumerate(answered) if has]

    def step(row: dict[str, Any], until: int) -> int:
        place = 0
        while True:
            missed = bisect_left(came, until, place)
            row["hits"] += missed - place
            row["saved_usd"] = EXACT.add(row["saved_usd"], EXACT.subtract(usd[missed], usd[place]))
            row["unknown_cost"] += unknown[missed] - unknown[place]
            following = bisect_left(stored, missed)
            if following == len(stored):
                return until
            until = ready[stored[following]] + row["ttl_s"] * 1_000_000
            place = stored[following] + 1

    return step
