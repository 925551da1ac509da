"""`[otel]` -> the options of the sink that measures with OpenTelemetry, where that is wanted."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, Final

from router.config_otel import OtelTable

_VARIABLES: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")


def otel_metrics(table: OtelTable, environ: Mapping[str, str] | None = None) -> dict[str, Any] | None:
    """Returns the options of the sink `otel_metrics`; None where no metrics are wanted.

    Args:
        table: of the configuration.
        environ: the environment; None is that of the process.
    """
    if not table.metrics or not _wanted(table, os.environ if environ is None else environ):
        return None
    names = ("endpoint", "protocol", "headers_env", "service_name")
    stated = {name: value for name in names if (value := getattr(table, name)) is not None}
    return {
        **stated,
        "labels": table.labels,
        "label_tenant": table.label_tenant,
        "label_values_most": table.label_values_most,
    }


def _wanted(table: OtelTable, environ: Mapping[str, str]) -> bool:
    if table.enabled is not None:
        return table.enabled
    if table.endpoint is not None or table.protocol is not None:
        return True
    # Variables and a provider may be there for other libraries' sake: without the extra they mean nothing to us.
    return (any(map(environ.get, _VARIABLES)) and _installed()) or _provider_set()


def _installed() -> bool:
    return find_spec("opentelemetry") is not None and find_spec("opentelemetry.sdk.metrics") is not None


def _provider_set() -> bool:
    """Returns whether the application has set a meter provider; if it has, the module is imported."""
    metrics = sys.modules.get("opentelemetry.metrics")
    get = getattr(metrics, "get_meter_provider", None)
    return get is not None and _installed() and type(get()).__name__ not in {"_ProxyMeterProvider", "NoOpMeterProvider"}
