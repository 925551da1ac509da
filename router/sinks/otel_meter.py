"""Who makes the instruments: the application's meter provider where it has set one, else one of our own.

The application's is used and never replaced or closed; ours is private, so that nobody else's metrics go through it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from opentelemetry import metrics
from opentelemetry.metrics import MeterProvider
from opentelemetry.sdk.metrics import MeterProvider as SdkMeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, MetricExporter, PeriodicExportingMetricReader

from router.errors import ConfigError
from router.sinks.metrics_late import has_meter_provider
from router.sinks.otel_export import CLOSE_S, Export, protocol_of

_PATH = "/v1/metrics"


class OwnProvider:
    """A provider that lowfare made, and closes."""

    def __init__(self, provider: SdkMeterProvider) -> None:
        self._provider: SdkMeterProvider | None = provider

    def close(self) -> None:
        """Sends what was measured, and ends the thread that sends; the second time there is nothing left to do."""
        provider, self._provider = self._provider, None
        if provider is not None:
            provider.shutdown(timeout_millis=CLOSE_S * 1e3)


def provider_of(export: Export, /) -> tuple[MeterProvider, OwnProvider | None]:
    """Returns the provider to use, and the same where it is our own.

    Args:
        export: where metrics go as long as the application has set no provider.

    Raises:
        ConfigError: a package is missing, or a variable.
    """
    if has_meter_provider(metrics):
        return metrics.get_meter_provider(), None
    exporter = _exporter(export, os.environ)
    own = SdkMeterProvider([PeriodicExportingMetricReader(exporter)], export.resource(os.environ))
    return own, OwnProvider(own)


def _exporter(export: Export, environ: Mapping[str, str]) -> MetricExporter:
    protocol = export.protocol or protocol_of(environ, signal="METRICS")
    if protocol == "console":
        return ConsoleMetricExporter(out=sys.stderr)
    headers: Any = export.headers(environ)
    try:
        if protocol == "grpc":
            from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcExporter

            return GrpcExporter(endpoint=export.endpoint, headers=headers)
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpExporter
    except ImportError as error:
        extra = "otel-grpc" if protocol == "grpc" else "otel"
        raise ConfigError(
            f"{error.name} is not installed; run pip install 'lowfare[{extra}]', or set another protocol"
        ) from error
    # With None the exporter reads the variables, which may have the whole address of this signal.
    whole = None if export.endpoint is None else export.endpoint.rstrip("/").removesuffix(_PATH) + _PATH
    return HttpExporter(endpoint=whole, headers=headers)
