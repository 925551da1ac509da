"""What the standard variables list of exporters, for traces and metrics alike."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from router.config_otel import OtelTable
from router.setup_metrics import otel_metrics
from router.setup_traces import otel_traces
from tests.sinks.test_otel_metrics import ran

OPTIONS = {"TRACES": otel_traces, "METRICS": otel_metrics}

OTHERS = """
import sys, warnings
{before}
from router.config_otel import OtelTable
from router.setup_metrics import otel_metrics
from router.setup_traces import otel_traces
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for signal, options in (("TRACES", otel_traces), ("METRICS", otel_metrics)):
        assert options(OtelTable(), {{f"OTEL_{{signal}}_EXPORTER": "zipkin"}}) is None
print(*(one.message for one in caught), sep="\\n")
"""

TRACERS = """
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import set_tracer_provider
set_tracer_provider(TracerProvider())
"""
METERS = """
from opentelemetry.metrics import set_meter_provider
from opentelemetry.sdk.metrics import MeterProvider
set_meter_provider(MeterProvider())
"""

each_signal = pytest.mark.parametrize("signal", ["TRACES", "METRICS"])


def made(signal: str, exporters: str, **table: Any) -> tuple[list[str], bool]:
    """Returns what is warned of where the variable lists these exporters, and whether anything is exported."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        options = OPTIONS[signal](OtelTable(**table), {f"OTEL_{signal}_EXPORTER": exporters})
    return [str(one.message) for one in caught], options is not None


@each_signal
def test_an_exporter_that_there_is_not_is_told_of(signal: str) -> None:
    """Once, with those that there are; it is passed over, and what stands beside it holds."""
    allowed = "which lowfare passes over; allowed: console, none, otlp"
    assert made(signal, "otpl") == ([f"OTEL_{signal}_EXPORTER has 'otpl', {allowed}"], False)
    assert made(signal, "zipkin, console,jaeger") == (
        [f"OTEL_{signal}_EXPORTER has 'jaeger', 'zipkin', {allowed}"],
        True,
    )


@each_signal
@pytest.mark.parametrize(
    ("exporters", "table"),
    [
        ("", {}),
        ("otlp", {}),
        ("console, otlp,", {}),
        ("none,zipkin", {}),
        ("zipkin", {"enabled": False}),
        ("zipkin", {"protocol": "http"}),
    ],
)
def test_what_is_known_or_not_read_is_not(signal: str, exporters: str, table: dict[str, Any]) -> None:
    """Nor where the signal is switched off, or the configuration states the protocol."""
    told, _ = made(signal, exporters, **table)
    assert told == []


@pytest.mark.parametrize(
    ("before", "told"),
    [
        ("sys.modules['opentelemetry.sdk'] = None", []),
        ("import opentelemetry.trace, opentelemetry.metrics", ["OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER"]),
        (TRACERS, ["OTEL_METRICS_EXPORTER"]),
        (METERS, ["OTEL_TRACES_EXPORTER"]),
    ],
    ids=["no extra", "no provider", "tracers", "meters"],
)
def test_a_variable_that_is_there_for_others_is_not(before: str, told: list[str]) -> None:
    """It is the application's where it has set a provider, and means nothing to us without the extra."""
    result = ran(OTHERS.format(before=before))
    assert (result.returncode, result.stderr) == (0, "")
    assert [line.split()[0] for line in result.stdout.splitlines() if line] == told
