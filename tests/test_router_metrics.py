"""A router's metrics, as a program and as Prometheus sees them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from router import ConfigError, Failure, Router, RouterError
from router.sinks.otel_metrics import OtelMetricsSink
from router.sinks.prometheus import PrometheusSink
from router.testing.scripted import ScriptedClient, answer
from tests.sinks.otlp import collector
from tests.sinks.test_otel_metrics import sums
from tests.sinks.test_prometheus import fetched, samples
from tests.test_router import DOWN, settings

CANARIES = [
    "canary-prompt",
    "canary-system",
    "canary-answer",
    "canary-error",
    "canary-key",
    "canary-tag",
    "canary-tenant",
]


def router(steps: dict[str, Any], *sinks: Any, **tables: Any) -> Router:
    """Returns a router of three models whose provider takes these steps."""
    return Router(settings(**tables), clients={"simulated": ScriptedClient(steps)}, sinks=sinks or None)


async def test_the_app_of_a_router() -> None:
    """With the sink in the configuration, `metrics_app` serves what was counted, and how the breakers stand."""
    tables = {"sinks": {"metrics": {"kind": "prometheus", "labels": ["team"], "label_tenant": True}}}
    async with router({"small": DOWN}, **tables) as made:
        await made.acomplete("hi", tags={"team": "x", "user": "y"}, tenant="acme")
        text = (await fetched(made.metrics_app()))[1]["body"].decode()
    assert 'lowfare_tag_team="x"' in text
    assert 'lowfare_tenant="acme"' in text
    assert "user" not in text
    breakers = dict(re.findall(r'^lowfare_breaker_state{.*lowfare_model="(\w+)"} (\S+)', text, re.MULTILINE))
    assert breakers == {"small": "0.0", "medium": "0.0"}
    assert re.search(
        r'^lowfare_attempts_total{.*lowfare_model="small",lowfare_outcome="server_error".*} 1.0', text, re.MULTILINE
    )


async def test_the_app_of_a_router_has_what_is_left_of_budgets() -> None:
    """Of each that applied to a request, and of those for everything from the start."""
    tables = {
        "sinks": {"metrics": {"kind": "prometheus"}},
        "budgets": {
            "daily": {"limit_usd": "5", "window": "day"},
            "each": {"limit_usd": "1", "window": "total", "scope": "tenant"},
        },
    }
    async with router({}, **tables) as made:
        before = (await fetched(made.metrics_app()))[1]["body"].decode()
        cost_usd = (await made.acomplete("hi", tenant="acme")).cost_usd
        assert cost_usd is not None
        after = (await fetched(made.metrics_app()))[1]["body"].decode()
    series = r'^lowfare_budget_left_USD{lowfare_budget_name="(\w+)",lowfare_budget_scope="(\w*)"} (\S+)'
    assert re.findall(series, before, re.MULTILINE) == [("daily", "", "5.0")]
    assert {(name, scope): float(left) for name, scope, left in re.findall(series, after, re.MULTILINE)} == {
        ("daily", ""): pytest.approx(float(5 - cost_usd), abs=1e-9),
        ("each", "acme"): pytest.approx(float(1 - cost_usd), abs=1e-9),
    }


def test_a_router_without_the_sink() -> None:
    """The error says how to make one."""
    with router({}) as made, pytest.raises(ConfigError, match=r"\[sinks.metrics\] kind = \"prometheus\""):
        made.metrics_app()


def test_metrics_go_where_the_configuration_says() -> None:
    """`[otel] endpoint` is all that is needed; closing the router sends the rest."""
    with collector() as received:
        with router({}, otel={"endpoint": received.url, "traces": False}) as made:
            made.complete("hi")
        assert received.paths == ["/v1/metrics"]
        assert sums(received, "lowfare.decisions") == 1


def test_nothing_that_was_said_is_in_a_metric() -> None:
    """No prompt, answer, key, error message, tag that is not listed or tenant, whatever the request comes to."""
    said = Failure(kind="server_error", message="canary-error", status=500, code="canary-error")
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    otel, prometheus = OtelMetricsSink(provider=provider), PrometheusSink()
    tables = {
        "seed": "canary-key",
        "log": {"content": "full"},
        "cache": {"backend": "memory"},
    }
    messages = [{"role": "system", "content": "canary-system"}, {"role": "user", "content": "canary-prompt"}]
    with router({"small": said, "medium": answer("canary-answer")}, otel, prometheus, **tables) as made:
        for _ in range(2):
            made.complete(messages, tags={"note": "canary-tag"}, tenant="canary-tenant", temperature=0)
        with pytest.raises(RouterError):
            made.complete("canary-prompt", model="small", user="canary-key")
        data = reader.get_metrics_data()
        assert data is not None
        outputs = [
            data.to_json(),
            generate_latest(prometheus.registry).decode(),
            generate_openmetrics(prometheus.registry).decode(),  # type: ignore[no-untyped-call]  # it has no types
        ]
        assert len(samples(prometheus.registry)) > 10
    for output in outputs:
        assert "lowfare" in output
        assert "canary" not in output
    provider.shutdown()
