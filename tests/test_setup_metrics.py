from __future__ import annotations

import tomllib
from typing import Any

import pytest

from router.config_otel import OtelTable
from router.setup_metrics import late_metrics, metered, otel_metrics
from router.sinks.metrics_late import LateMetrics
from router.sinks.otel_metrics import OtelMetricsSink
from tests.sinks.test_otel_metrics import ran

HERE = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
OFF = {"OTEL_METRICS_EXPORTER": "none"}


def table(text: str) -> OtelTable:
    """Returns the table of a text."""
    return OtelTable.model_validate(tomllib.loads(text))


@pytest.mark.parametrize(
    ("text", "environ", "wanted"),
    [
        ("", {}, False),
        ("enabled = true", {}, True),
        ('endpoint = "http://127.0.0.1:9"', {}, True),
        ('protocol = "console"', {}, True),
        ("", HERE, True),
        ("", {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:9/v1/metrics"}, True),
        ("", {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/v1/traces"}, False),
        ("", {"OTEL_METRICS_EXPORTER": "console"}, True),
        ("enabled = false", HERE, False),
        ("metrics = false", HERE, False),
        ("traces = false", HERE, True),
        ("", HERE | OFF, False),
        ('endpoint = "http://127.0.0.1:9"', OFF, True),
        ("enabled = true", {"OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_when_metrics_are_wanted(text: str, environ: dict[str, str], *, wanted: bool) -> None:
    """Where an address is stated, in the table or a standard variable, and nothing switches them off."""
    assert (otel_metrics(table(text), environ) is not None) == wanted
    switched_off = "false" in text.partition("traces")[0] or "OTEL_SDK_DISABLED" in environ or environ == HERE | OFF
    assert (late_metrics(table(text), environ) is not None) == (not wanted and not switched_off)


def test_the_options_are_those_of_the_sink() -> None:
    """What is stated goes to the sink, what is left out does not; a sink can be made of them."""
    stated = table(
        'endpoint = "http://127.0.0.1:9"\nprotocol = "http"\nheaders_env = "H"\nservice_name = "desk"\n'
        'labels = ["team"]\nlabel_tenant = true\nlabel_values_most = 5'
    )
    labels: dict[str, Any] = {"labels": ("team",), "label_tenant": True, "label_values_most": 5}
    where = {"endpoint": "http://127.0.0.1:9", "protocol": "http", "headers_env": "H", "service_name": "desk"}
    assert otel_metrics(stated, {}) == where | labels
    defaults = {"labels": (), "label_tenant": False, "label_values_most": 100}
    assert otel_metrics(table("enabled = true"), {}) == defaults


def test_one_that_waits_is_added() -> None:
    """Where metrics may still be wanted, a sink waits for the application's provider; else there is none."""
    late = late_metrics(table(""), {})
    assert late is not None
    [waiting] = metered((), late)
    assert isinstance(waiting, LateMetrics)
    made = late()  # the extra is installed here
    assert isinstance(made, OtelMetricsSink)
    made.close()
    assert metered((), None) == ()


def test_without_the_extra_a_provider_is_for_others() -> None:
    """Where the SDK is not installed, nobody waits for a provider in vain, and variables mean nothing."""
    code = (
        "import sys; sys.modules['opentelemetry.sdk'] = None\n"
        "from router.config_otel import OtelTable\nfrom router.setup_metrics import late_metrics, otel_metrics\n"
        f"assert otel_metrics(OtelTable(), {HERE!r}) is None\nassert late_metrics(OtelTable(), {{}})() is None"
    )
    result = ran(code)
    assert (result.returncode, result.stderr) == (0, "")
