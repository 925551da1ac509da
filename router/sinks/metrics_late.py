"""Metrics for an application that sets a meter provider after it made its router.

It imports nothing of OpenTelemetry before somebody else has.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any, Final

from router.core.decision import Decision
from router.sinks.sink import Sink
from router.sinks.states import States, show

API: Final = "opentelemetry.metrics"
"""The module that knows the application's meter provider; as long as nobody has imported it there is none."""
_NONE: Final = frozenset({"_ProxyMeterProvider", "NoOpMeterProvider"})
"""Providers that measure nothing; the first one's class is private, so it is known by its name."""


class LateMetrics:
    """Measures decisions once the application has set a meter provider; before, it looks whether it has.

    Args:
        make: makes the sink that measures; None where there is to be none.
    """

    def __init__(self, make: Callable[[], Sink | None]) -> None:
        self._make: Callable[[], Sink | None] | None = make
        self._made: Sink | None = None
        self._states: States | None = None
        self._lock = threading.Lock()

    def emit(self, decision: Decision, /) -> None:
        """Measures a decision, where there is somebody to take it."""
        if self._make is not None:
            api = sys.modules.get(API)
            if api is None or not has_meter_provider(api):
                return
            self._begin(self._make)
        if self._made is not None:
            self._made.emit(decision)

    def _begin(self, make: Callable[[], Sink | None]) -> None:
        with self._lock:
            if self._make is not None:  # another thread may have been quicker
                self._made = make()
                if self._states is not None:
                    show(self._states, [self._made])
                self._make = None

    def observe(self, states: States, /) -> None:
        """Takes what the sink looks through."""
        self._states = states

    def close(self) -> None:
        """Closes the sink."""
        if self._made is not None:
            self._made.close()


def has_meter_provider(api: Any, /) -> bool:
    """Returns whether the application has set a meter provider that measures."""
    get = getattr(api, "get_meter_provider", None)  # another thread may be in the midst of importing the module
    return get is not None and type(get()).__name__ not in _NONE
