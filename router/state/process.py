"""Values that belong to one process: after a fork the child makes its own from its parent's."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerProcess(Generic[T]):
    """Holds one value for each process.

    A lock that another thread held at the moment of a fork stays locked in the child for ever, so what holds locks
    must not be used there.

    Args:
        first: the value of this process.
        renewed: makes a child's value from its parent's.
    """

    def __init__(self, first: T, renewed: Callable[[T], T]) -> None:
        self._last = first
        self._renewed = renewed
        self._values = {os.getpid(): first}

    def get(self) -> T:
        """Returns this process's value, the same for all of its threads."""
        value = self._values.get(os.getpid())
        if value is None:
            # One atomic step decides whose value holds when threads of a child come here together.
            value = self._last = self._values.setdefault(os.getpid(), self._renewed(self._last))
        return value
