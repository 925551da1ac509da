from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry, generate_latest

from router.core.decision import Decision
from router.core.place import DeploymentState, ModelState
from router.sinks.otel_metrics import OtelMetricsSink
from router.sinks.prometheus import PrometheusSink
from router.sinks.states import States, app_of
from router.testing.records import decision_of
from router.testing.sinks import check_sink
from tests.decisions import decisions

STATE = ModelState(
    deployments={"east": DeploymentState(breaker="half_open")}, in_flight=0, queued=0, limit=None, retries_left=1.0
)
STATES = States(health=lambda: {"m1": STATE}, budgets_left=lambda: {("daily", "acme"): Decimal("2.5")})

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(registry: CollectorRegistry) -> Samples:
    """Returns all values of a registry, without empty labels, scopes, and when each series began."""
    return {
        (sample.name, frozenset(shown(sample.labels))): sample.value
        for family in registry.collect()
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def shown(labels: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yields labels; the bounds of buckets in one spelling."""
    for name, value in labels.items():
        if name == "le":
            yield name, str(float(value))
        elif value and not name.startswith("otel_scope"):
            yield name, value


@settings(max_examples=50)
@given(st.lists(decisions(), max_size=6))
def test_both_outlets_agree(told: list[Decision]) -> None:
    """OpenTelemetry's own exporter for Prometheus shows of our metrics what we show: names, labels, values."""
    options: dict[str, Any] = {"labels": ["team"], "label_tenant": True, "label_values_most": 2}
    theirs = CollectorRegistry()
    provider = MeterProvider([PrometheusMetricReader(disable_target_info=True, registry=theirs)])
    otel, ours = OtelMetricsSink(provider=provider, **options), PrometheusSink(**options)
    for sink in (otel, ours):
        sink.observe(STATES)
        for decision in told:
            sink.emit(decision)
    assert samples(ours.registry) == pytest.approx(samples(theirs))
    provider.shutdown()


def test_it_is_a_sink() -> None:
    """It keeps every promise that sinks make, and counts every decision, also from many threads."""
    check_sink(PrometheusSink, examples=20)
    sink = PrometheusSink()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: sink.emit(decision_of()), range(400)))
    assert requests(sink) == 400


def requests(sink: PrometheusSink) -> float:
    """Returns how many requests were counted."""
    return sum(value for (name, _), value in samples(sink.registry).items() if name == "lowfare_decisions_total")


def test_how_things_stand() -> None:
    """Breakers and budgets are asked when somebody reads; after the sink was closed there are none, but counts are."""
    sink = PrometheusSink()
    sink.observe(STATES)
    sink.emit(decision_of())
    breaker = ("lowfare_breaker_state", frozenset({("lowfare_model", "m1"), ("lowfare_deployment", "east")}))
    left = ("lowfare_budget_left_USD", frozenset({("lowfare_budget_name", "daily"), ("lowfare_budget_scope", "acme")}))
    found = samples(sink.registry)
    assert (found[breaker], found[left]) == (2.0, 2.5)
    sink.close()
    assert not {breaker, left} & set(samples(sink.registry))
    assert requests(sink) == 1


def test_a_tag_with_the_name_of_one_of_our_labels() -> None:
    """Is a label of its own beside that one, since tags have names of their own."""
    sink = PrometheusSink(labels=["model", "tenant"], label_tenant=True)
    sink.emit(decision_of(tags={"model": "mine", "tenant": "theirs"}, tenant="acme"))
    found = next(dict(labels) for name, labels in samples(sink.registry) if name == "lowfare_decisions_total")
    assert {name: found[name] for name in found if "model" in name or "tenant" in name} == {
        "lowfare_model": "m1",
        "lowfare_tag_model": "mine",
        "lowfare_tag_tenant": "theirs",
        "lowfare_tenant": "acme",
    }


def test_a_registry_of_the_application() -> None:
    """The metrics can stand beside the application's own."""
    registry = CollectorRegistry()
    PrometheusSink(registry=registry).emit(decision_of())
    assert b"lowfare_decisions_total" in generate_latest(registry)


async def test_the_app_serves_what_was_counted() -> None:
    """It is an ASGI application: status, content type, text."""
    sink = PrometheusSink()
    sink.emit(decision_of())
    sent = await fetched(app_of([object(), sink]))
    assert sent[0]["status"] == 200
    assert any(b"text/plain" in value for _, value in sent[0]["headers"])
    assert b"lowfare_decisions_total" in sent[1]["body"]


async def fetched(app: Any) -> list[dict[str, Any]]:
    """Returns what an ASGI application sends for a GET."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)
        await asyncio.sleep(0)

    await app({"type": "http", "method": "GET", "path": "/metrics", "query_string": b"", "headers": []}, receive, send)
    return sent


WORKER = """
from router.sinks.prometheus import PrometheusSink
from router.testing.records import decision_of
sink = PrometheusSink()
for _ in range(3):
    sink.emit(decision_of())
from prometheus_client import generate_latest
lines = generate_latest(sink.served()).decode().splitlines()
print([line for line in lines if line.startswith("lowfare_decisions_total{")])
"""


def test_the_processes_of_an_application_add_up(tmp_path: Path) -> None:
    """With prometheus-client's folder for several processes, each serves what all of them counted."""
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    told = [
        subprocess.run(
            [sys.executable, "-c", WORKER], env=environment, capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    ]
    assert [line.rstrip("']\n").rpartition(" ")[2] for line in told] == ["3.0", "6.0"]
