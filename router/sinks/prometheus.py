"""The sink `prometheus`: counts decisions in this process, for Prometheus to fetch (extra `prometheus`).

Names follow OpenTelemetry's rules for Prometheus, so that a query holds whichever way the metrics came:
https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/, "OTLP Metric points to Prometheus".
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, make_asgi_app
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector

from router.core.instruments import COUNTED, STANDING, Instrument
from router.core.measure import Measurable
from router.sinks.metric_labels import VALUES_MOST, MetricLabels, prometheus_label
from router.sinks.states import AsgiApp, States

MULTIPROCESS: Final = "PROMETHEUS_MULTIPROC_DIR"
"""prometheus-client's variable: the folder through which the processes of one application add up their counts."""

_UNITS: Final = {"s": "_seconds", "USD": "_USD"}


class PrometheusSink:
    """Counts decisions; the registry has the metrics.

    Args:
        labels: names of the tags that become labels.
        label_tenant: whether the tenant becomes one.
        label_values_most: values that each label takes; all later ones become "other".
        registry: where the metrics are put; None makes one of its own.

    Raises:
        ConfigError: an option is not allowed.
    """

    def __init__(
        self,
        *,
        labels: Iterable[str] = (),
        label_tenant: bool = False,
        label_values_most: int = VALUES_MOST,
        registry: CollectorRegistry | None = None,
    ) -> None:
        self._labels = MetricLabels(labels, tenant=label_tenant, values_most=label_values_most)
        self._states: States | None = None
        self.registry: CollectorRegistry = CollectorRegistry() if registry is None else registry
        self._metrics: dict[Instrument, _Series] = {}
        for instrument in COUNTED:
            names = (*instrument.attributes, *self._labels.names)
            head = prometheus_name(instrument), instrument.description, label_names(names)
            if instrument.kind == "histogram":
                histogram = Histogram(*head, registry=self.registry, buckets=instrument.buckets)
                self._metrics[instrument] = _Series(names, lambda *labels, of=histogram: of.labels(*labels).observe)
            else:
                counter = Counter(*head, registry=self.registry)
                self._metrics[instrument] = _Series(names, lambda *labels, of=counter: of.labels(*labels).inc)
        self.registry.register(_Standing(self))

    def emit(self, decision: Measurable, /) -> None:
        """Counts a decision; also one that was read from a log."""
        for instrument, value, attributes in self._labels.measured(decision):
            self._metrics[instrument](attributes)(value)

    def observe(self, states: States, /) -> None:
        """Takes what to look through for breakers and budgets, whenever Prometheus asks."""
        self._states = states

    def close(self) -> None:
        """Looks no more at the router; what was counted stays."""
        self._states = None

    def app(self) -> AsgiApp:
        """Returns an ASGI application that serves the metrics."""
        app: AsgiApp = make_asgi_app(self.served())
        return app

    def served(self) -> CollectorRegistry:
        """Returns what to serve: the registry, or where `PROMETHEUS_MULTIPROC_DIR` is set that of all processes."""
        if MULTIPROCESS not in os.environ:
            return self.registry
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call] # prometheus-client leaves it untyped
        return together

    def standing(self) -> Iterator[GaugeMetricFamily]:
        """Yields how breakers and budgets stand."""
        states = self._states
        found = () if states is None else tuple(states.measured())
        for instrument in STANDING:
            names = instrument.attributes
            family = GaugeMetricFamily(prometheus_name(instrument), instrument.description, labels=label_names(names))
            for measured in found:
                if measured.instrument is instrument:
                    family.add_metric([measured.attributes[name] for name in names], measured.value)
            yield family


class _Series:
    """Remembers what counts each series of a metric: prometheus-client takes longer to find it than to count.

    Args:
        names: of the labels.
        made: returns what counts the series of these label values.
    """

    def __init__(self, names: tuple[str, ...], made: Callable[..., Callable[[float], None]]) -> None:
        self._names = names
        self._made = made
        self._known: dict[tuple[str, ...], Callable[[float], None]] = {}

    def __call__(self, attributes: Mapping[str, str], /) -> Callable[[float], None]:
        """Returns what counts the series of these attributes; those that a series lacks are empty labels."""
        values = tuple([attributes.get(name, "") for name in self._names])
        count = self._known.get(values)
        if count is None:
            count = self._known[values] = self._made(*values)
        return count


class _Standing:
    """Asks a sink how things stand whenever its registry is read."""

    def __init__(self, sink: PrometheusSink) -> None:
        self._sink = sink

    def collect(self) -> Iterator[GaugeMetricFamily]:
        return self._sink.standing()


def prometheus_name(instrument: Instrument, /) -> str:
    """Returns a metric's name for Prometheus, without the `_total` that counters get there."""
    return prometheus_label(instrument.name) + _UNITS.get(instrument.unit, "")


def label_names(attributes: Iterable[str], /) -> list[str]:
    """Returns the names of attributes for Prometheus."""
    return list(map(prometheus_label, attributes))
