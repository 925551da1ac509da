"""`[otel]` -> the options of the sink that measures with OpenTelemetry, where that is wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from router.config_otel import OtelTable
from router.setup_traces import sdk_installed, warn_of_exporters
from router.sinks.metrics_late import API, LateMetrics, has_meter_provider
from router.sinks.sink import Sink
from router.sinks.tracing import exporters_of

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")


def otel_metrics(table: OtelTable, environ: Mapping[str, str]) -> dict[str, Any] | None:
    """Returns the options of the sink `otel_metrics`; None where nobody asks for metrics yet.

    Args:
        table: of the configuration.
        environ: the environment.
    """
    if switched_off(table, environ):
        return None
    warn_of_exporters(table, environ, "METRICS", API, has_meter_provider)
    return _options(table) if _wanted(table, environ) else None


def late_metrics(table: OtelTable, environ: Mapping[str, str]) -> Callable[[], Sink | None] | None:
    """Returns what makes the sink for an application that sets a meter provider; None where it must not, or need not.

    It makes none where the extra is not installed: the provider is meant for others then.

    Args:
        table: of the configuration.
        environ: the environment.
    """
    return None if switched_off(table, environ) or _wanted(table, environ) else partial(_made, table)


def _made(table: OtelTable) -> Sink | None:
    if not sdk_installed():
        return None
    from router.sinks.otel_metrics import OtelMetricsSink

    return OtelMetricsSink(**_options(table))


def metered(sinks: tuple[Sink, ...], late: Callable[[], Sink | None] | None) -> tuple[Sink, ...]:
    """Returns the sinks, and one more that waits for the application's meter provider.

    Args:
        sinks: where decisions go.
        late: as `late_metrics` returns it; None adds nothing.
    """
    return sinks if late is None else (*sinks, LateMetrics(late))


def switched_off(table: OtelTable, environ: Mapping[str, str]) -> bool:
    """Returns whether there are to be no metrics, whatever else is set."""
    disabled = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    none = "none" in exporters_of(environ, "METRICS") and table.endpoint is None
    return table.enabled is False or not table.metrics or disabled or none


def _wanted(table: OtelTable, environ: Mapping[str, str]) -> bool:
    if table.enabled or table.endpoint is not None or table.protocol is not None:
        return True
    # Variables may be there for other libraries' sake: without the extra they mean nothing to us.
    named = any(map(environ.get, _ENDPOINTS)) or not exporters_of(environ, "METRICS").isdisjoint({"otlp", "console"})
    return named and sdk_installed()


def _options(table: OtelTable) -> dict[str, Any]:
    names = ("endpoint", "protocol", "headers_env", "service_name")
    stated = {name: value for name in names if (value := getattr(table, name)) is not None}
    return {
        **stated,
        "labels": table.labels,
        "label_tenant": table.label_tenant,
        "label_values_most": table.label_values_most,
    }
