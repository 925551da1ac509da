"""Who makes the instruments: the application's meter provider where it has set one, else one of our own.

The application's is used and never replaced or closed; ours is private, so that nobody else's metrics go through it.
"""

from __future__ import annotations

import atexit
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
from router.sinks.otel_end import CLOSE_S, Ending
from router.sinks.otel_export import Export, protocol_of
from router.sinks.otel_headers import headers_of
from router.sinks.otel_outlet import MetricOutlet


class OwnProvider:
    """A provider that lowfare makes, and closes.

    Args:
        export: where metrics go.

    Raises:
        ConfigError: a package is missing, or a variable.
    """

    def __init__(self, export: Export) -> None:
        self._outlet = MetricOutlet(_exporter(export, os.environ))
        reader = PeriodicExportingMetricReader(self._outlet)
        self.provider = SdkMeterProvider([reader], export.resource(os.environ), shutdown_on_exit=False)
        self._ending: Ending | None = None
        atexit.register(self.close)  # for programs that end without closing

    @property
    def lost(self) -> bool:
        """Whether the collector did not take what it was last sent."""
        return self._outlet.lost

    def begin_close(self) -> None:
        """Begins to send what was measured, and to end the thread that sends."""
        atexit.unregister(self.close)
        if self._ending is None:
            self._ending = Ending(self._end)

    def close(self) -> bool:
        """Returns whether the collector got all in time; waits for it."""
        self.begin_close()
        return self._ending is not None and self._ending.done() and not self.lost

    def leave(self) -> None:
        """Sends nothing any more: what was measured is another process's, of which this one is a fork."""
        atexit.unregister(self.close)
        self._outlet.leave()

    def _end(self) -> None:
        self._outlet.hasten()
        self.provider.shutdown(timeout_millis=CLOSE_S * 1e3)


def provider_of(export: Export, /) -> tuple[MeterProvider, OwnProvider | None]:
    """Returns the provider to use, and the same where it is our own.

    Args:
        export: where metrics go as long as the application has set no provider.

    Raises:
        ConfigError: a package is missing, or a variable.
    """
    if has_meter_provider(metrics):
        return metrics.get_meter_provider(), None
    own = OwnProvider(export)
    return own.provider, own


def _exporter(export: Export, environ: Mapping[str, str]) -> MetricExporter:
    protocol = export.protocol or protocol_of(environ, signal="METRICS")
    if protocol == "console":
        return ConsoleMetricExporter(out=sys.stderr)
    headers: Any = headers_of(export.headers_env, environ, "METRICS")
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
    return HttpExporter(endpoint=export.address("metrics"), headers=headers)
