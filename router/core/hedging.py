"""Asking a second model before the first has answered, when the first takes longer than it usually does.

Source: J. Dean, L. A. Barroso, "The Tail at Scale", CACM 56(2), 2013 ("hedged requests"): waiting for the 95th
percentile before the second request keeps the added load near 5 %.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Hedging:
    """When to ask a second model.

    Attributes:
        after_s: seconds to wait for the first; None is the model's own p95, and never while that is unknown.
    """

    after_s: float | None = None
