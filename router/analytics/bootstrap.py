"""Poisson bootstrap: how far sums over a log could have come out differently, one pass, in any order, over any parts.

Each request is taken Poisson(1) times into each of a thousand resamples, by a hash of its id instead of a draw: the
same request gets the same weights in whatever part of the log and on whatever machine it is met, so sums of parts add
up to the same bits. Two policies see the same resamples, which pairs them: what both have in common cancels out.

Source: N. Chamandy, O. Muralidharan, A. Najmi, S. Naidu, "Estimating Uncertainty for Massive Data Streams", Google
technical report, 2012; the hash is splitmix64 (G. Steele, D. Lea, C. Flood, OOPSLA 2014).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RESAMPLES: Final = 1_000
_PER_HASH: Final = 4
"""Weights out of one hash of 64 bits, 16 bits each."""
_AT_ONCE: Final = 2_000
"""Requests whose weights are in memory at a time: 16 MB."""


def _table() -> NDArray[np.float64]:
    """Returns by 16 bits how often a request is taken."""
    chances = [math.exp(-1) / math.factorial(k) for k in range(9)]
    edges = np.cumsum(chances) * 2**16
    return np.searchsorted(edges, np.arange(2**16) + 0.5).astype(np.float64)


_TAKEN: Final = _table()
_STEPS: Final = np.arange(1, RESAMPLES // _PER_HASH + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)


def weights(ids: Sequence[int], /) -> Floats:
    """Returns how often each request is taken, one row for each, one column for each resample.

    Args:
        ids: of the requests, 64 bits each.
    """
    z = np.asarray(ids, dtype=np.uint64)[:, None] + _STEPS[None, :]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    taken: Floats = _TAKEN[z.view(np.uint16)]
    return taken


def resampled(ids: Sequence[int], columns: Floats, /) -> Floats:
    """Returns the sum of each column in each resample, one row for each column.

    The sums of whole numbers are exact, as long as they stay below 2^53.

    Args:
        ids: of the requests.
        columns: one row for each request.
    """
    total = np.zeros((columns.shape[1], RESAMPLES))
    for start in range(0, len(ids), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        total += columns[part].T @ weights(ids[part])
    return total


def interval(values: Floats, /) -> tuple[float, float]:
    """Returns the interval of 95 % of a figure: between the quantiles of what it is in the resamples."""
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)
