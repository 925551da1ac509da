from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import warnings
from decimal import Decimal
from typing import Any

import pytest
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from router.core.instruments import BREAKER_STATE, BUDGET_LEFT, COUNTED, STANDING
from router.errors import ConfigError, RouterWarning
from router.sinks.otel_export import Export
from router.sinks.otel_meter import provider_of
from router.sinks.otel_metrics import OtelMetricsSink
from router.sinks.states import States
from router.testing.records import decision_of
from router.testing.sinks import check_sink
from tests.sinks.otlp import Collector, attributes, collector
from tests.sinks.spans import environment
from tests.sinks.test_prometheus import STATES
from tests.source_tree import ROOT

PATIENCE_S = 30.0


def collected(reader: InMemoryMetricReader) -> dict[str, Any]:
    """Returns what a reader sees, by name."""
    data = reader.get_metrics_data()
    assert data is not None
    return {m.name: m for resource in data.resource_metrics for scope in resource.scope_metrics for m in scope.metrics}


def test_it_is_a_sink() -> None:
    """It keeps every promise that sinks make."""
    provider = MeterProvider([InMemoryMetricReader()])
    check_sink(lambda: OtelMetricsSink(provider=provider), examples=20)
    provider.shutdown()


def test_the_instruments_are_those_of_the_table() -> None:
    """Name, unit, description and buckets reach the SDK; the scope is lowfare's, with its version."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    sink = OtelMetricsSink(provider=provider)
    sink.observe(STATES)
    sink.emit(decision_of(outcomes=["server_error", "answer"]))
    sink.emit(decision_of(cached=True))
    found = collected(reader)
    for instrument in (*COUNTED, *STANDING):
        if instrument.name in found:
            made = found[instrument.name]
            assert (made.unit, made.description) == (instrument.unit, instrument.description)
            points = made.data.data_points
            assert all(tuple(p.explicit_bounds) == instrument.buckets for p in points if instrument.buckets)
    assert {m.name for m in (*COUNTED, *STANDING)} - set(found) == {"gen_ai.client.operation.time_to_first_chunk"}
    assert [p.value for p in found[BUDGET_LEFT.name].data.data_points] == [2.5]
    sink.close()
    assert BREAKER_STATE.name not in collected(reader)
    sink.close()
    provider.shutdown()


def left(reader: InMemoryMetricReader) -> dict[str, float]:
    """Returns what is left of budgets, by name."""
    found = collected(reader).get(BUDGET_LEFT.name)
    points = [] if found is None else found.data.data_points
    return {point.attributes["lowfare.budget.name"]: point.value for point in points}


def standing(name: str, usd: int) -> States:
    """Returns how a router with one budget stands."""
    return States(health=dict, budgets_left=lambda: {(name, ""): Decimal(usd)})


def test_routers_that_share_a_provider_all_show_how_they_stand() -> None:
    """Also one that is made when another was closed; those that are gone are not kept."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    first, second = OtelMetricsSink(provider=provider), OtelMetricsSink(provider=provider)
    first.emit(decision_of())  # without any value there is nothing to collect
    first.observe(standing("a", 1))
    second.observe(standing("b", 2))
    assert left(reader) == {"a": 1, "b": 2}
    first.close()
    assert left(reader) == {"b": 2}
    third = OtelMetricsSink(provider=provider)
    third.observe(standing("c", 3))
    del second
    gc.collect()
    assert left(reader) == {"c": 3}
    third.close()
    assert left(reader) == {}
    provider.shutdown()


def latest(received: Collector) -> dict[str, Metric]:
    """Returns the metrics that came last, by name."""
    request = ExportMetricsServiceRequest.FromString(received.bodies[-1])
    return {
        m.name: m for resource in request.resource_metrics for scope in resource.scope_metrics for m in scope.metrics
    }


def services(received: Collector) -> set[str]:
    """Returns whose metrics came last."""
    request = ExportMetricsServiceRequest.FromString(received.bodies[-1])
    return {attributes(resource.resource)["service.name"] for resource in request.resource_metrics}


def sums(received: Collector, name: str) -> float:
    """Returns the sum over all series of a counter that came last."""
    return float(sum(point.as_double for point in latest(received)[name].sum.data_points))


def test_metrics_come_to_a_collector() -> None:
    """With our own provider, sums go out by OTLP over HTTP at the latest when the sink is closed."""
    with collector() as received:
        sink = OtelMetricsSink(endpoint=f"{received.url}/", service_name="desk", headers_env=None)
        for _ in range(3):
            sink.emit(decision_of(outcomes=["server_error", "answer"]))
        sink.close()
        sink.close()
        assert received.paths[-1] == "/v1/metrics"
        assert services(received) == {"desk"}
        assert sums(received, "lowfare.decisions") == 3
        assert sums(received, "lowfare.attempts") == 6
        cost = decision_of(outcomes=["server_error", "answer"]).cost_usd
        assert cost is not None
        assert Decimal(sums(received, "lowfare.cost")) == pytest.approx(3 * cost)
        duration = latest(received)["gen_ai.client.operation.duration"].histogram.data_points
        assert sum(point.count for point in duration) == 6


def test_a_slow_collector_holds_nobody_up() -> None:
    """While the collector keeps an export waiting, decisions are taken as ever; all of them are in the next sums."""
    with collector() as received:
        received.go.clear()
        provider, own = provider_of(Export(endpoint=received.url))
        assert own is not None
        assert isinstance(provider, MeterProvider)
        sink = OtelMetricsSink(provider=provider)
        sink.emit(decision_of())
        flushing = threading.Thread(target=provider.force_flush)
        flushing.start()
        assert received.came.wait(PATIENCE_S)
        for _ in range(200):
            sink.emit(decision_of())
        assert not received.bodies  # still waiting: nothing that was emitted had to be sent first
        received.go.set()
        flushing.join()
        own.close()
        assert sums(received, "lowfare.decisions") == 201


@pytest.mark.parametrize("status", [400, 401, 503])
def test_a_collector_that_refuses_costs_nothing(status: int) -> None:
    """Nothing is raised, what was refused is in the sums that are taken later, and closing ends."""
    with collector() as received:
        received.status = status
        provider, own = provider_of(Export(endpoint=received.url))
        assert own is not None
        assert isinstance(provider, MeterProvider)
        sink = OtelMetricsSink(provider=provider)
        sink.emit(decision_of())
        flushing = threading.Thread(target=provider.force_flush)
        flushing.start()
        assert received.came.wait(PATIENCE_S)
        received.status = 200
        flushing.join()
        sink.emit(decision_of())
        assert own.close()
        assert sums(received, "lowfare.decisions") == 2


def test_a_collector_that_is_down() -> None:
    """Every decision is taken, and closing says that the sums are lost."""
    with collector() as received:
        endpoint = received.url
    sink = OtelMetricsSink(endpoint=endpoint)
    for _ in range(20):
        sink.emit(decision_of())
    with pytest.warns(RouterWarning, match="did not take the last metrics"):
        sink.close()


def test_metrics_that_do_not_arrive_are_told_of_once() -> None:
    """They are no loss yet, as the next sums have them; nobody would know that the collector refuses them."""
    with collector() as received:
        received.status = 400
        with environment(OTEL_METRIC_EXPORT_INTERVAL="1"):
            sink = OtelMetricsSink(endpoint=received.url)
        told: list[str] = []
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(3):
                received.came.clear()
                while not received.came.is_set():
                    sink.emit(decision_of())
            told += [str(warning.message) for warning in caught]
        assert [text.partition(";")[0] for text in told] == ["the collector does not take metrics"]
        received.status = 200
        sink.close()
        assert sums(received, "lowfare.decisions") > 3


def test_a_sink_may_be_used_after_it_was_closed() -> None:
    """As a log may; its sums begin anew."""
    with collector() as received:
        sink = OtelMetricsSink(endpoint=received.url)
        for count in (1, 2):
            for _ in range(count):
                sink.emit(decision_of())
            sink.close()
            assert sums(received, "lowfare.decisions") == count


UNCLOSED = """
from router.sinks.otel_metrics import OtelMetricsSink
from router.testing.records import decision_of
OtelMetricsSink(endpoint={url!r}).emit(decision_of())
"""


def test_a_program_that_ends_without_closing_sends_what_it_measured() -> None:
    """As it does with spans."""
    with collector() as received:
        result = ran(UNCLOSED.format(url=received.url))
        assert (result.returncode, result.stderr) == (0, "")
        assert sums(received, "lowfare.decisions") == 1


FORKED = """
import os, sys
from router.sinks.otel_metrics import OtelMetricsSink
from router.testing.records import decision_of
sink = OtelMetricsSink(endpoint={url!r})
for _ in range(3):
    sink.emit(decision_of())
pid = os.fork()
if pid == 0:
    if {measures}:
        sink.emit(decision_of())
    sink.close()
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
sink.close()
"""


@pytest.mark.parametrize("measures", [True, False])
def test_a_forked_child_sends_what_it_measured_itself(measures: bool) -> None:
    """And nothing of what its parent had measured before, which the parent sends."""
    with collector() as received:
        result = ran(FORKED.format(url=received.url, measures=measures))
        assert (result.returncode, result.stderr) == (0, "")
        assert sums(received, "lowfare.decisions") == 3
        assert len(received.bodies) == 1 + measures
        received.bodies.pop()
        assert not measures or sums(received, "lowfare.decisions") == 1


def test_series_are_bounded_whatever_comes() -> None:
    """A thousand values of a listed tag are few series: what a collector that is down leaves in memory is bounded."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    sink = OtelMetricsSink(provider=provider, labels=["user"], label_values_most=7)
    for number in range(1_000):
        sink.emit(decision_of(outcomes=[], tags={"user": f"{number}"}))
    points = collected(reader)["lowfare.decisions"].data.data_points
    assert len(points) == 8
    assert sum(point.value for point in points) == 1_000
    provider.shutdown()


def ran(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a program that may set what is global in a process."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "LOWFARE_"))}
    env = inherited | {"PYTHONPATH": str(ROOT)} | environment
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)


APPLICATION = """
from opentelemetry.metrics import get_meter_provider, set_meter_provider
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from router.sinks.otel_metrics import OtelMetricsSink
from router.testing.records import decision_of
reader = InMemoryMetricReader()
theirs = MeterProvider([reader])
set_meter_provider(theirs)
sink = OtelMetricsSink(endpoint="http://127.0.0.1:9")
sink.emit(decision_of())
sink.close()
assert get_meter_provider() is theirs
print(sorted(m.name for r in reader.get_metrics_data().resource_metrics for s in r.scope_metrics for m in s.metrics))
"""


def test_the_applications_provider_is_used_and_left_alone() -> None:
    """Metrics go through the provider that the application has set, which is neither replaced nor closed."""
    result = ran(APPLICATION)
    assert result.returncode == 0, result.stderr
    assert "lowfare.decisions" in result.stdout
    assert "gen_ai.client.token.usage" in result.stdout


PLAIN = """
from opentelemetry.metrics import get_meter_provider
from router.sinks.otel_metrics import OtelMetricsSink
from router.testing.records import decision_of
before = get_meter_provider()
sink = OtelMetricsSink({options})
sink.emit(decision_of())
sink.close()
assert get_meter_provider() is before
"""


def test_the_standard_variables_hold() -> None:
    """Without options the address and the headers are those of the variables; ours is not made everybody's provider."""
    with collector() as received:
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": received.url, "OTEL_EXPORTER_OTLP_HEADERS": "x-key=one"}
        result = ran(PLAIN.format(options=""), **variables, OTEL_SERVICE_NAME="theirs")
        assert result.returncode == 0, result.stderr
        assert received.headers[-1]["x-key"] == "one"
        assert services(received) == {"theirs"}
        keys = {"MY_HEADERS": "x-key=two,other=3"}
        result = ran(PLAIN.format(options=f"endpoint={received.url!r}, headers_env='MY_HEADERS'"), **keys)
        assert result.returncode == 0, result.stderr
        assert (received.headers[-1]["x-key"], received.headers[-1]["other"]) == ("two", "3")


def test_the_console() -> None:
    """`protocol = "console"` writes to standard error."""
    result = ran(PLAIN.format(options="protocol='console'"))
    assert (result.returncode, result.stdout) == (0, "")
    assert '"lowfare.decisions"' in result.stderr


def test_grpc_is_an_exporter_too() -> None:
    """Stated or by the standard variable, the exporter for gRPC is made; a collector that is down is no error."""
    for options, variables in (
        ("protocol='grpc', endpoint='http://127.0.0.1:9'", {}),
        ("endpoint='http://127.0.0.1:9'", {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}),
        ("endpoint='http://127.0.0.1:9', headers_env='H'", {"OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "grpc", "H": "a=b"}),
    ):
        result = ran(PLAIN.format(options=options), OTEL_EXPORTER_OTLP_TIMEOUT="1", **variables)
        assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(("protocol", "extra"), [("grpc", "otel-grpc"), ("http", "otel")])
def test_without_the_extra(protocol: str, extra: str) -> None:
    """The error says what to install."""
    hidden = f"import sys; sys.modules['opentelemetry.exporter.otlp.proto.{protocol}.metric_exporter'] = None\n"
    result = ran(hidden + PLAIN.format(options=f"protocol={protocol!r}"))
    assert f"run pip install 'lowfare[{extra}]', or set another protocol" in result.stderr


def test_options_that_are_not_allowed() -> None:
    """A variable that is not set is told by its name."""
    with pytest.raises(ConfigError, match="headers_env: the variable LOWFARE_NOT_SET is empty or not set"):
        OtelMetricsSink(headers_env="LOWFARE_NOT_SET")


LATE = """
from router.sinks.metrics_late import LateMetrics
from router.sinks.states import States
from router.testing.records import decision_of
import sys
def unmade():
    asked.append(1)
def made():
    from router.sinks.otel_metrics import OtelMetricsSink
    return OtelMetricsSink()
asked = []
late, unseen, never = LateMetrics(made), LateMetrics(made), LateMetrics(unmade)
late.observe(States(health=dict, budgets_left=lambda: {("daily", ""): 1}))
late.emit(decision_of())
late.close()
assert "opentelemetry" not in sys.modules
from opentelemetry import metrics
late.emit(decision_of())
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider([reader]))
late.emit(decision_of())
late.emit(decision_of())
unseen.emit(decision_of())
never.emit(decision_of())
never.emit(decision_of())
never.close()
assert asked == [1]
found = {m.name: m for r in reader.get_metrics_data().resource_metrics for s in r.scope_metrics for m in s.metrics}
assert sum(point.value for point in found["lowfare.decisions"].data.data_points) == 3
assert "lowfare.budget.left" in found
late.close()
"""


def test_a_provider_that_is_set_late() -> None:
    """Decisions are measured from when the application has set one; before, nothing of OpenTelemetry is imported."""
    result = ran(LATE)
    assert (result.returncode, result.stderr) == (0, "")


def test_a_provider_that_does_nothing() -> None:
    """An application that has switched metrics off has them off."""
    sink = OtelMetricsSink(provider=NoOpMeterProvider())
    sink.observe(STATES)
    sink.emit(decision_of())
    sink.close()
