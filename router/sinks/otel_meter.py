"""Who makes the instruments: the application's meter provider where it has set one, else one of our own.

The application's is used and never replaced or closed; ours is private, so that nobody else's metrics go through it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any, Final

from opentelemetry.metrics import MeterProvider, get_meter_provider
from opentelemetry.sdk.metrics import MeterProvider as SdkMeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.util.re import parse_env_headers

from router.errors import ConfigError

_CLOSE_MS: Final = 5_000
"""How long closing waits for the last sums to be taken, where the collector is slow or down."""
_PROXY: Final = "_ProxyMeterProvider"
"""What stands in the provider's place until the application sets one."""


class OwnProvider:
    """A provider that lowfare made, and closes."""

    def __init__(self, provider: SdkMeterProvider) -> None:
        self._provider: SdkMeterProvider | None = provider

    def close(self) -> None:
        """Sends what was measured, and ends the thread that sends; the second time there is nothing left to do."""
        provider, self._provider = self._provider, None
        if provider is not None:
            provider.shutdown(timeout_millis=_CLOSE_MS)


def provider_of(
    *,
    endpoint: str | None = None,
    protocol: str | None = None,
    headers_env: str | None = None,
    service_name: str | None = None,
) -> tuple[MeterProvider, OwnProvider | None]:
    """Returns the provider to use, and the same where it is our own.

    Args:
        endpoint, protocol, headers_env, service_name: as in `[otel]`; what is None follows the `OTEL_*` variables.

    Raises:
        ConfigError: an option is not allowed, or its extra is not installed.
    """
    theirs = get_meter_provider()
    if type(theirs).__name__ != _PROXY:
        return theirs, None
    exporter = _exporter(protocol or _stated_protocol(), endpoint, _headers(headers_env))
    resource = Resource.create({} if service_name is None else {"service.name": service_name})
    own = SdkMeterProvider([PeriodicExportingMetricReader(exporter)], resource)
    return own, OwnProvider(own)


def _stated_protocol() -> str:
    """Returns the protocol that the standard variables state; "http" where they state none."""
    stated = os.environ.get("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL") or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    return "grpc" if stated == "grpc" else "http"


def _exporter(protocol: str, endpoint: str | None, headers: Mapping[str, str] | None) -> MetricExporter:
    match protocol:
        case "console":
            return ConsoleMetricExporter(out=sys.stderr)
        case "grpc":
            return _grpc_exporter(endpoint, headers)
        case "http":
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

            # With None the exporter reads the variables, which may have the whole address of this signal.
            whole = None if endpoint is None else f"{endpoint.rstrip('/')}/v1/metrics"
            return OTLPMetricExporter(endpoint=whole, headers=headers)
        case _:
            raise ConfigError(f'protocol: found {protocol!r}; allowed: "http", "grpc", "console"')


def _grpc_exporter(endpoint: str | None, headers: Mapping[str, str] | None) -> MetricExporter:
    try:
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    except ImportError as error:
        raise ConfigError("protocol = \"grpc\" needs an extra: pip install 'lowfare[otel-grpc]'") from error
    given: Any = None if headers is None else tuple(headers.items())
    return OTLPMetricExporter(endpoint=endpoint, headers=given)


def _headers(headers_env: str | None) -> Mapping[str, str] | None:
    """Returns the headers that a variable holds; never shown, as they hold keys."""
    if headers_env is None:
        return None
    if headers_env not in os.environ:
        raise ConfigError(f"headers_env: the variable {headers_env} is not set")
    return parse_env_headers(os.environ[headers_env], liberal=True)
