"""Metrics for an application that sets a meter provider after it made its router.

It imports nothing of OpenTelemetry before somebody else has.
"""

from __future__ import annotations

import sys
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
        make: makes the sink that measures.
    """

    def __init__(self, make: Callable[[], Sink]) -> None:
        self._make = make
        self._made: Sink | None = None
        self._states: States | None = None

    def emit(self, decision: Decision, /) -> None:
        """Measures a decision, where there is somebody to take it."""
        if self._made is None:
            api = sys.modules.get(API)
            if api is None or not has_meter_provider(api):
                return
            self._made = self._make()
            if self._states is not None:
                show(self._states, [self._made])
        self._made.emit(decision)

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
