"""`[otel]` -> the options of the sink that makes spans, where that is wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib.util import find_spec
from typing import Any, Final

from router.config_otel import OtelTable
from router.prices.providers import PROVIDERS
from router.sinks.sink import Sink
from router.sinks.tracing import Ambient, Tracing, exporters_of, tracing_of

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_HOSTS: Final[Mapping[str, str]] = {name: known.hosts[0] for name, known in PROVIDERS.items() if known.hosts}


def otel_traces(table: OtelTable, environ: Mapping[str, str]) -> dict[str, Any] | None:
    """Returns the options of the sink `otel`; None where nobody asks for spans yet.

    Args:
        table: of the configuration.
        environ: the environment.
    """
    if switched_off(table, environ) or not _wanted(table, environ):
        return None
    return _options(table)


def late_traces(table: OtelTable, environ: Mapping[str, str]) -> Callable[[], Tracing | None] | None:
    """Returns what makes the sink `otel` for an application that sets a tracer provider; None where it must not.

    It makes none where the extra is not installed: the provider is meant for others then.
    """
    if switched_off(table, environ):
        return None

    return partial(_made, _options(table))


def traced(sinks: Iterable[Sink], late: Callable[[], Tracing | None] | None) -> tuple[tuple[Sink, ...], Tracing]:
    """Returns the sinks, and that among them which names requests; adds one where there is none.

    Args:
        sinks: where decisions go.
        late: as `late_traces` returns it.
    """
    sinks = tuple(sinks)
    found = tracing_of(sinks)
    if found is not None:
        return sinks, found
    ambient = Ambient(late)
    return (sinks if late is None else (*sinks, ambient)), ambient


def switched_off(table: OtelTable, environ: Mapping[str, str]) -> bool:
    """Returns whether there are to be no spans, whatever else is set."""
    disabled = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    none = "none" in exporters_of(environ) and table.endpoint is None
    return table.enabled is False or not table.traces or disabled or none


def _made(options: Mapping[str, Any]) -> Tracing | None:
    """Returns the sink; not a closure, since the processes of a backtest get the set-up pickled."""
    if not sdk_installed():
        return None
    from router.sinks.otel import OtelSink

    return OtelSink(**options)


def _wanted(table: OtelTable, environ: Mapping[str, str]) -> bool:
    if table.enabled or table.endpoint is not None or table.protocol is not None:
        return True
    # Variables may be there for other libraries' sake: without the extra they mean nothing to us.
    named = any(map(environ.get, _ENDPOINTS)) or not exporters_of(environ).isdisjoint({"otlp", "console"})
    return named and sdk_installed()


def _options(table: OtelTable) -> dict[str, Any]:
    names = ("endpoint", "protocol", "headers_env", "service_name", "sample_ratio")
    stated = {name: value for name in names if (value := getattr(table, name)) is not None}
    return {
        **stated,
        "cost_names": table.cost_names,
        "cache_write_name": table.cache_write_name,
        "hosts": _HOSTS,
    }


def sdk_installed() -> bool:
    """Returns whether the extra is there."""
    return find_spec("opentelemetry") is not None and find_spec("opentelemetry.sdk") is not None
