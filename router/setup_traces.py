"""`[otel]` -> the options of the sink that makes spans, where that is wanted."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib.util import find_spec
from typing import Any, Final

from router.config_otel import OtelTable
from router.errors import warn
from router.prices.providers import PROVIDERS
from router.sinks.sink import Sink
from router.sinks.tracing import API, Ambient, Signal, Tracing, exporters_of, has_provider, tracing_of

EXPORTERS: Final = frozenset({"otlp", "console", "none"})
"""What the standard variables may list of exporters."""
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_HOSTS: Final[Mapping[str, str]] = {name: known.hosts[0] for name, known in PROVIDERS.items() if known.hosts}


def otel_traces(table: OtelTable, environ: Mapping[str, str]) -> dict[str, Any] | None:
    """Returns the options of the sink `otel`; None where nobody asks for spans yet.

    Args:
        table: of the configuration.
        environ: the environment.
    """
    if switched_off(table, environ):
        return None
    warn_of_exporters(table, environ, "TRACES", API, has_provider)
    return _options(table) if _wanted(table, environ) else None


def late_traces(table: OtelTable, environ: Mapping[str, str]) -> Callable[[], Tracing | None] | None:
    """Returns what makes the sink `otel` for an application that sets a tracer provider; None where it must not.

    It makes none where the extra is not installed: the provider is meant for others then.
    """
    return None if switched_off(table, environ) else partial(_made, table)


def _made(table: OtelTable) -> Tracing | None:
    if not sdk_installed():
        return None
    from router.sinks.otel import OtelSink

    return OtelSink(**_options(table))


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


def warn_of_exporters(
    table: OtelTable, environ: Mapping[str, str], signal: Signal, api: str, provided: Callable[[Any], bool], /
) -> None:
    """Warns of exporters that a standard variable lists and that there are not: they are passed over.

    Not where nobody here reads it: a protocol is stated, the extra is missing, or the application has set a provider.

    Args:
        table: of the configuration.
        environ: the environment.
        signal: whose variable.
        api: the module that knows the application's provider.
        provided: whether that has one.
    """
    unknown = exporters_of(environ, signal) - EXPORTERS - {""}
    if not unknown or table.protocol is not None or not sdk_installed():
        return
    module = sys.modules.get(api)
    if module is None or not provided(module):
        listed, allowed = ", ".join(map(repr, sorted(unknown))), ", ".join(sorted(EXPORTERS))
        warn(f"OTEL_{signal}_EXPORTER has {listed}, which lowfare passes over; allowed: {allowed}")


def sdk_installed() -> bool:
    """Returns whether the extra is there."""
    return find_spec("opentelemetry") is not None and find_spec("opentelemetry.sdk") is not None
