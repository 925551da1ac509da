"""Whether a store is asked at all: the breaker of what stands in front of it.

    closed ──failure──> open ──time──> half open (one probe) ──success──> closed
                          ^                    │
                          └────── failure ─────┘   each rest lasts longer: 1 s, 2 s, ... 30 s

The first failure opens it: a store that is asked in vain costs every request, and one that is not asked for a second
costs little. What a call says counts only in the epoch in which it began, and every opening begins one. So a hundred
calls that hang together are one failure, and answers that were already on their way close nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

GuardState = Literal["closed", "open", "half_open"]

_REST_S: Final = 1.0
_REST_MOST_S: Final = 30.0


@dataclass(slots=True)
class Health:
    """How the store is, as far as this process knows.

    Attributes:
        epoch: number of the current one.
        rest_s: how long the store rests; 0 while it is well.
        until_s: when the rest is over.
        probing: whether a call is on its way to see how it is.
        failures: calls that failed or were late.
    """

    epoch: int = 0
    rest_s: float = 0.0
    until_s: float = 0.0
    probing: bool = False
    failures: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def state(self, clock: Callable[[], float]) -> GuardState:
        """Returns whether the store is asked, rests, or is asked once to see how it is."""
        if not self.rest_s:
            return "closed"
        return "half_open" if self.probing or clock() >= self.until_s else "open"

    def entered(self, clock: Callable[[], float]) -> int | None:
        """Returns the epoch in which a call begins; None where the store is not to be asked."""
        with self.lock:
            if self.rest_s:
                if self.probing or clock() < self.until_s:
                    return None
                self.probing = True
            return self.epoch

    def failed(self, epoch: int, clock: Callable[[], float]) -> bool:
        """Takes note of a call that failed; returns whether an outage began with it."""
        with self.lock:
            self.failures += 1
            if epoch != self.epoch:
                return False
            began = not self.rest_s
            self.epoch += 1
            self.probing = False
            self.rest_s = min(2 * self.rest_s, _REST_MOST_S) or _REST_S
            self.until_s = clock() + self.rest_s
            return began

    def helped(self, epoch: int) -> None:
        """Takes note of a call that went well."""
        if self.probing:
            with self.lock:
                if epoch == self.epoch:
                    self.rest_s, self.probing = 0.0, False

    def left(self, epoch: int) -> None:
        """Takes note of a call that was given up by its caller: the next one is the probe in its place."""
        with self.lock:
            if epoch == self.epoch:
                self.probing = False


def forked(parent: Health) -> Health:
    """Returns what a forked child knows of the store: what its parent knew."""
    return Health(rest_s=parent.rest_s, until_s=parent.until_s)
