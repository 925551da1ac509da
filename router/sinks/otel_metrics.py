"""The sink `otel_metrics`: measures decisions with OpenTelemetry (extra `otel`).

The SDK adds measurements up in memory and sends sums now and then from a thread of its own. So a collector that is
slow or down holds nobody up, and what it missed is in the next sum that it gets.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from typing import Any
from weakref import WeakMethod

from opentelemetry.metrics import Meter, MeterProvider

from router.core.instruments import COUNTED, Instrument
from router.core.measure import Measurable
from router.errors import warn
from router.sinks.metric_labels import VALUES_MOST, MetricLabels
from router.sinks.otel_export import Export, Protocol
from router.sinks.otel_meter import OwnProvider, provider_of
from router.sinks.otel_standing import show_standing
from router.sinks.states import States

_Instruments = Mapping[Instrument, Callable[[float, Mapping[str, Any]], None]]


class OtelMetricsSink:
    """Measures decisions.

    Args:
        endpoint: where sums go, as `OTEL_EXPORTER_OTLP_ENDPOINT` has it; None leaves it to the `OTEL_*` variables.
        protocol: "http", "grpc" or "console"; None leaves it to them as well.
        headers_env: name of the variable with the headers, as `OTEL_EXPORTER_OTLP_HEADERS` has them.
        service_name: whose metrics they are.
        labels: names of the tags that become labels.
        label_tenant: whether the tenant becomes one.
        label_values_most: values that each label takes; all later ones become "other".
        provider: what makes the instruments; None takes the application's, and where it has set none, one of our own
            that the options before describe.

    Attributes:
        states: what to look through for breakers and budgets; None before it is told, and when it was closed.

    Raises:
        ConfigError: an option is not allowed.
    """

    def __init__(
        self,
        *,
        endpoint: str | None = None,
        protocol: Protocol | None = None,
        headers_env: str | None = None,
        service_name: str | None = None,
        labels: Iterable[str] = (),
        label_tenant: bool = False,
        label_values_most: int = VALUES_MOST,
        provider: MeterProvider | None = None,
    ) -> None:
        self._labels = MetricLabels(labels, tenant=label_tenant, values_most=label_values_most)
        self.states: States | None = None
        self._export = Export(endpoint=endpoint, protocol=protocol, headers_env=headers_env, service_name=service_name)
        self._given = provider
        self._own: OwnProvider | None = None
        self._closing: list[OwnProvider] = []
        self._told = False
        self._lock = threading.Lock()
        self._metrics: _Instruments | None = self._begun()
        if hasattr(os, "register_at_fork"):
            left = WeakMethod(self._left)
            os.register_at_fork(after_in_child=lambda: leave() if (leave := left()) is not None else None)

    def emit(self, decision: Measurable, /) -> None:
        """Measures a decision."""
        metrics = self._metrics or self._again()
        for instrument, value, attributes in self._labels.measured(decision):
            metrics[instrument](value, attributes)
        if self._own is not None and self._own.lost and not self._told:
            self._told = True
            warn(
                "the collector does not take metrics; what it misses is in the sums that it is sent next; "
                "this is said once, and OpenTelemetry's loggers say why"
            )

    def observe(self, states: States, /) -> None:
        """Takes what to look through for breakers and budgets, whenever sums are sent."""
        self.states = states

    def begin_close(self) -> None:
        """Begins to send what was measured, so that others may close meanwhile."""
        with self._lock:
            own, self._own = self._own, None
            if own is not None:
                self._metrics = None
                self._closing.append(own)
                own.begin_close()

    def close(self) -> None:
        """Sends what was measured, where the provider is our own, and looks no more at the router.

        Waits for five seconds at most. The next decision begins new sums.
        """
        self.begin_close()
        with self._lock:
            closing, self._closing = self._closing, []
        closed = [own.close() for own in closing]  # each is waited for
        if not all(closed):
            warn("the collector did not take the last metrics before the end")
        self.states = None

    def _begun(self) -> _Instruments:
        """Returns new instruments."""
        provider = self._given
        if provider is None:
            provider, self._own = provider_of(self._export)
        meter = provider.get_meter("lowfare", version("lowfare"))
        show_standing(self, provider, meter)
        return {instrument: _made(meter, instrument) for instrument in COUNTED}

    def _again(self) -> _Instruments:
        """Returns instruments of a sink that was closed, or of a process that was forked; another thread's, if any."""
        with self._lock:
            if self._metrics is None:
                self._metrics = self._begun()
            return self._metrics

    def _left(self) -> None:
        """Begins anew in a forked child: what its parent measured, the parent sends."""
        self._lock = threading.Lock()  # another thread may have held it
        own, self._own = self._own, None
        if own is not None:
            own.leave()
            self._metrics = None


def _made(meter: Meter, instrument: Instrument) -> Callable[[float, Mapping[str, Any]], None]:
    """Returns what takes the values of an instrument."""
    head = {"unit": instrument.unit, "description": instrument.description}
    if instrument.kind == "counter":
        return meter.create_counter(instrument.name, **head).add
    return meter.create_histogram(
        instrument.name, **head, explicit_bucket_boundaries_advisory=instrument.buckets
    ).record
