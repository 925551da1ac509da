"""How our own export ends: in threads, so that traces and metrics end at the same time, and not for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

CLOSE_S: Final = 5.0
"""How long closing waits for a collector that takes its time."""


class Ending:
    """Does something that ends an export, beginning now, in a thread of its own.

    Args:
        end: what is done.
        within_s: how long `done` waits for it, from now on.
    """

    def __init__(self, end: Callable[[], object], within_s: float = CLOSE_S) -> None:
        self._until = time.monotonic() + within_s
        self._thread: threading.Thread | None = threading.Thread(target=end, name="lowfare-otel-close", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # the interpreter is on its way out and starts no more threads
            self._thread = None
            end()

    def done(self) -> bool:
        """Returns whether it came to its end in time; waits for it."""
        if self._thread is None:
            return True
        self._thread.join(max(0.0, self._until - time.monotonic()))
        return not self._thread.is_alive()
