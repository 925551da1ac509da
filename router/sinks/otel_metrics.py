"""The sink `otel_metrics`: measures decisions with OpenTelemetry (extra `otel`).

The SDK adds measurements up in memory and sends sums now and then from a thread of its own. So a collector that is
slow or down holds nobody up, and what it missed is in the next sum that it gets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import version
from typing import Any

from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation

from router.core.instruments import COUNTED, STANDING, Instrument
from router.core.measure import Measurable
from router.sinks.metric_labels import VALUES_MOST, MetricLabels
from router.sinks.otel_export import Export, Protocol
from router.sinks.otel_meter import OwnProvider, provider_of
from router.sinks.states import States


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
        self._states: States | None = None
        self._own: OwnProvider | None = None
        if provider is None:
            provider, self._own = provider_of(
                Export(endpoint=endpoint, protocol=protocol, headers_env=headers_env, service_name=service_name)
            )
        meter = provider.get_meter("lowfare", version("lowfare"))
        self._metrics = {instrument: _made(meter, instrument) for instrument in COUNTED}
        for instrument in STANDING:
            head = {"unit": instrument.unit, "description": instrument.description}
            meter.create_observable_gauge(instrument.name, [self._standing(instrument)], **head)

    def emit(self, decision: Measurable, /) -> None:
        """Measures a decision."""
        for instrument, value, attributes in self._labels.measured(decision):
            self._metrics[instrument](value, attributes)

    def observe(self, states: States, /) -> None:
        """Takes what to look through for breakers and budgets, whenever sums are sent."""
        self._states = states

    def close(self) -> None:
        """Sends what was measured, where the provider is our own, and looks no more at the router."""
        if self._own is not None:
            self._own.close()
        self._states = None

    def _standing(self, instrument: Instrument) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def look(_: CallbackOptions) -> Iterator[Observation]:
            states = self._states
            for measured in () if states is None else states.measured():
                if measured.instrument is instrument:
                    yield Observation(measured.value, measured.attributes)

        return look


def _made(meter: Meter, instrument: Instrument) -> Callable[[float, Mapping[str, Any]], None]:
    """Returns what takes the values of an instrument."""
    head = {"unit": instrument.unit, "description": instrument.description}
    if instrument.kind == "counter":
        return meter.create_counter(instrument.name, **head).add
    return meter.create_histogram(
        instrument.name, **head, explicit_bucket_boundaries_advisory=instrument.buckets
    ).record
