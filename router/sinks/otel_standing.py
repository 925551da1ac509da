"""How routers stand, shown by a meter provider that several of them may share.

Of instruments with one name the SDK keeps the callbacks of whoever asked first, and drops those of all others without a
word. So each provider has its gauges once, and they look at every router that is there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Final, Protocol
from weakref import WeakKeyDictionary, WeakSet

from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation

from router.core.instruments import STANDING, Instrument
from router.sinks.states import States


class Standing(Protocol):
    """What knows how a router stands; None where it looks at none."""

    states: States | None


class _Gauges:
    """The gauges of one provider."""

    def __init__(self, meter: Meter) -> None:
        self.shown: WeakSet[Standing] = WeakSet()
        for instrument in STANDING:
            head = {"unit": instrument.unit, "description": instrument.description}
            look: Callable[[CallbackOptions], Iterable[Observation]] = partial(self._look, instrument)
            meter.create_observable_gauge(instrument.name, [look], **head)

    def _look(self, instrument: Instrument, _: CallbackOptions) -> Iterator[Observation]:
        for one in tuple(self.shown):
            states = one.states
            for measured in () if states is None else states.measured():
                if measured.instrument is instrument:
                    yield Observation(measured.value, measured.attributes)


_GAUGES: Final[WeakKeyDictionary[MeterProvider, _Gauges]] = WeakKeyDictionary()
"""By provider, which is the process's and not ours, so that nobody of us can keep them."""
_LOCK: Final = threading.Lock()


def show_standing(one: Standing, provider: MeterProvider, meter: Meter, /) -> None:
    """Has a provider show how a router stands, as long as it is there."""
    with _LOCK:
        gauges = _GAUGES.get(provider)
        if gauges is None:
            gauges = _GAUGES[provider] = _Gauges(meter)
        gauges.shown.add(one)
