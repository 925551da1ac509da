"""Our own export: what it is told by the configuration and by the standard variables, and what becomes of losses."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
from concurrent import futures
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.sdk.resources import SERVICE_NAME
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, TraceFlags

from router import ConfigError, Router, RouterWarning
from router.sinks.otel import OtelSink
from router.sinks.otel_export import CountedBatch, CountedExporter, Counts, Export, ending, protocol_of, queue_most
from router.testing.scripted import ScriptedClient
from tests.cache.routers import routed
from tests.sinks.otlp import attributes, collector
from tests.sinks.spans import environment
from tests.sinks.test_otel_run import settings

WAIT_S = 60.0
"""Far longer than anything here takes."""


def closed_port() -> str:
    """Returns an address at which nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{one.getsockname()[1]}"


def test_the_endpoint_is_what_the_standard_variable_is() -> None:
    """`/v1/traces` is put behind it, once; headers come from the variable that is named."""
    for tail in ("", "/", "/v1/traces"):
        with collector() as found, environment(MY_HEADERS="x-key=abc,x-other=d%20e"):
            with Router(settings(found.url, Path(os.devnull), otel={"endpoint": found.url + tail, **NAMED})) as router:
                router.complete("hi", tags={"team": "x"})
            assert set(found.paths) == {"/v1/traces"}
            assert (found.headers[0]["x-key"], found.headers[0]["x-other"]) == ("abc", "d e")
            assert found.services == {"desk"}


NAMED = {"headers_env": "MY_HEADERS", "service_name": "desk"}


def test_a_variable_that_is_not_set_is_refused() -> None:
    """A collector that asks for a key would refuse every span, and nobody would know why."""
    with pytest.raises(ConfigError, match="NO_SUCH_VARIABLE is empty or not set"):
        OtelSink(endpoint="http://127.0.0.1:9", headers_env="NO_SUCH_VARIABLE")


def test_the_standard_variables_alone_are_enough() -> None:
    """Endpoint, service and resource of the environment hold where the configuration says nothing."""
    with collector() as found, environment(OTEL_EXPORTER_OTLP_ENDPOINT=found.url, OTEL_SERVICE_NAME="from-env"):
        with Router(settings(found.url, Path(os.devnull), otel={})) as router:
            router.complete("hi")
        assert [span.name for span in found.spans] == ["chat small", "route default"]
        assert found.services == {"from-env"}


@pytest.mark.parametrize(
    ("variables", "table"),
    [
        ({"OTEL_SDK_DISABLED": "true"}, {"endpoint": "here"}),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "here"}, {}),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "here"}, {"enabled": False}),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "here"}, {"traces": False}),
        ({}, {}),
    ],
)
def test_what_is_switched_off_is_off(variables: dict[str, str], table: dict[str, Any]) -> None:
    """By the configuration or by the standard variables, whatever else is set; and nothing is on by itself."""
    with collector() as found:
        there = {name: found.url if value == "here" else value for name, value in variables.items()}
        here = {name: found.url if value == "here" else value for name, value in table.items()}
        with environment(**there), Router(settings(found.url, Path(os.devnull), otel=here)) as router:
            router.complete("hi")
        assert not found.came.is_set()


def test_protocols_by_their_standard_names() -> None:
    """One that there is not is refused with those that there are."""
    both = "OTEL_EXPORTER_OTLP_PROTOCOL"
    assert protocol_of({}) == protocol_of({both: "http/protobuf"}) == "http"
    assert protocol_of({both: "http/protobuf", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"}) == "grpc"
    assert protocol_of({"OTEL_TRACES_EXPORTER": "console", both: "grpc"}) == "console"
    assert protocol_of({"OTEL_TRACES_EXPORTER": "console, otlp", both: "grpc"}) == "grpc"
    with pytest.raises(ConfigError, match="'http/json'; allowed: http/protobuf, grpc"):
        protocol_of({both: "http/json"})
    assert isinstance(Export().exporter({}), OTLPSpanExporter)


def test_the_queue_is_as_long_as_the_standard_variable_says() -> None:
    """Whatever is no length is passed over, as the SDK does."""
    assert (
        queue_most({}) == queue_most({"OTEL_BSP_MAX_QUEUE_SIZE": "x"}) == queue_most({"OTEL_BSP_MAX_QUEUE_SIZE": "0"})
    )
    assert queue_most({"OTEL_BSP_MAX_QUEUE_SIZE": "7"}) == 7


def test_a_service_has_a_name() -> None:
    """The configuration's, else the environment's, else ours: never "unknown_service"."""

    def name(export: Export, **environ: str) -> Any:
        with environment(**environ):
            return export.resource(os.environ).attributes[SERVICE_NAME]

    assert name(Export()) == "lowfare"
    assert name(Export(), OTEL_SERVICE_NAME="env") == "env"
    assert name(Export(), OTEL_RESOURCE_ATTRIBUTES="service.name=attr") == "attr"
    assert name(Export(service_name="mine"), OTEL_SERVICE_NAME="env") == "mine"


def test_the_console_writes_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    """Standard output belongs to whoever runs the program."""
    with Router(settings("", Path(os.devnull), otel={"protocol": "console"})) as router:
        trace_id = router.complete("hi").trace_id
    out, err = capfd.readouterr()
    assert out == ""
    assert f'"trace_id": "0x{trace_id}"' in err
    assert isinstance(Export(protocol="console").exporter({}), ConsoleSpanExporter)


class Servicer(trace_service_pb2_grpc.TraceServiceServicer):
    """A collector that speaks gRPC."""

    def __init__(self) -> None:
        self.spans: list[Any] = []

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - the name that the protocol gave it
        self.spans += [span for r in request.resource_spans for s in r.scope_spans for span in s.spans]
        return trace_service_pb2.ExportTraceServiceResponse()


def test_grpc_works_too() -> None:
    """By its extra."""
    grpc: Any = import_module("grpc")  # which has no types
    register: Any = trace_service_pb2_grpc.add_TraceServiceServicer_to_server
    servicer = Servicer()
    server = grpc.server(futures.ThreadPoolExecutor(1))
    register(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    table = {"endpoint": f"http://127.0.0.1:{port}", "protocol": "grpc"}
    with Router(settings("", Path(os.devnull), otel=table)) as router:
        decision = router.complete("hi").decision
    server.stop(None).wait()
    assert {span.span_id.hex() for span in servicer.spans} == {decision.ids.span_id, decision.attempts[0].span_id}


def test_some_traces_are_recorded_where_a_ratio_is_set() -> None:
    """Of the traces that begin here; whole ones, never a part."""
    with collector() as found:
        table = {"endpoint": found.url, "sample_ratio": 0.5}
        sent = "0" * 31 + "1", "f" * 32
        with Router(settings("", Path(os.devnull), otel=table)) as router:
            for trace_id in sent:
                router.complete("hi", trace_id=trace_id, cache="off")
        assert {span.trace_id.hex() for span in found.spans} == {sent[0]}
        assert len(found.spans) == 2


def test_nothing_is_sampled_at_a_ratio_of_zero() -> None:
    """And providers are told so."""
    client = ScriptedClient()
    with collector() as found:
        sink = OtelSink(endpoint=found.url, sample_ratio=0.0)
        with routed(client, sink) as router:
            router.complete("hi")
        assert not found.came.is_set()
    assert client.calls[0].headers["traceparent"].endswith("-02")


@pytest.mark.parametrize("how", ["down", "refusing"])
def test_a_collector_that_takes_nothing_costs_no_answer(how: str) -> None:
    """Requests are answered, the spans are counted as lost, and the router says so once."""
    with collector() as found:
        found.status = 400
        url = found.url if how == "refusing" else closed_port()
        with environment(OTEL_EXPORTER_OTLP_TIMEOUT="1"):
            router = routed(ScriptedClient(), OtelSink(endpoint=url), cache=None)
        for _ in range(5):
            assert router.complete("hi").text == "ok"
        with pytest.warns(RouterWarning, match="spans are lost: 0 found the queue full, and 10 the collector"):
            router.close()
    assert (router.trace_stats().failed, router.trace_stats().lost, router.trace_stats().exported) == (10, 10, 0)


def test_a_collector_that_hangs_costs_no_answer_and_no_memory() -> None:
    """What the queue has no room for is dropped and counted; the rest goes out when the collector is back."""
    with collector() as found:
        found.go.clear()
        sizes = {"OTEL_BSP_MAX_QUEUE_SIZE": "20", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "10"}
        with environment(**sizes):
            router = routed(ScriptedClient(), OtelSink(endpoint=found.url), cache=None)
        for _ in range(5):
            router.complete("hi")
        assert found.came.wait(WAIT_S)
        with pytest.warns(RouterWarning, match="spans are lost"):
            texts = [router.complete("hi").text for _ in range(20)]
        assert texts == ["ok"] * 20
        stats = router.trace_stats()
        assert stats.waiting <= 20
        assert stats.dropped >= 50 - 20 - 10
        found.go.set()
        router.close()
        stats = router.trace_stats()
        assert (stats.exported, stats.failed, stats.waiting) == (len(found.spans), 0, 0)
        assert stats.exported + stats.dropped == 50


SAMPLED = SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


@dataclass(frozen=True)
class Waiting:
    """What stands in the queue, of which a span is made."""

    context: SpanContext = SAMPLED


def made(waiting: Any) -> ReadableSpan:
    """Makes a span."""
    return ReadableSpan("a", context=waiting.context)


def test_close_does_not_wait_for_ever() -> None:
    """What a collector has not taken by then is given up, and said so."""
    counts, stuck = Counts(10), threading.Event()

    class Stuck(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            stuck.wait(WAIT_S)
            return SpanExportResult.SUCCESS

        def shutdown(self) -> None:
            """Has nothing open."""

    batch = CountedBatch(Stuck(), counts, made, max_export_batch_size=1)
    batch.take([Waiting(), Waiting()])
    assert not ending(batch, counts, within_s=0.1).done()
    assert counts.late
    stuck.set()


def test_an_exporter_that_raises_loses_its_spans_and_no_others() -> None:
    """They are counted, and the next ones are tried."""

    class Raising(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            raise ValueError("a bug")

    counts = Counts(10)
    exporter = CountedExporter(Raising(), counts, made)
    assert exporter.export([Waiting(), Waiting()]) is SpanExportResult.FAILURE
    assert counts.stats().failed == 2
    assert exporter.force_flush()
    counts.end(0.0)
    assert exporter.export([Waiting()]) is SpanExportResult.FAILURE
    assert counts.stats().failed == 3


def test_a_span_that_cannot_be_made_is_lost_alone() -> None:
    """It is counted, and those beside it go out."""
    counts, exporter = Counts(10), InMemorySpanExporter()

    counted = CountedExporter(exporter, counts, made)
    assert counted.export([Waiting(), None, Waiting()]) is SpanExportResult.SUCCESS
    assert len(exporter.get_finished_spans()) == counts.stats().exported == 2
    assert counts.stats().failed == 1


def test_a_request_has_all_its_spans_or_none() -> None:
    """A trace with holes in it would mislead more than one that is not there."""
    counts = Counts(3)
    batch = CountedBatch(InMemorySpanExporter(), counts, made)
    batch.take([Waiting(), Waiting()])
    batch.take([Waiting(), Waiting()])
    assert (counts.stats().waiting, counts.stats().dropped) == (2, 2)
    batch.shutdown()
    batch.take([Waiting()])
    assert (counts.stats().exported, counts.stats().failed) == (2, 1)


def test_a_router_may_be_used_after_it_was_closed() -> None:
    """As its log may."""
    with collector() as found:
        router = Router(settings(found.url, Path(os.devnull)), clients={"simulated": ScriptedClient()})
        for _ in range(2):
            asyncio.run(router.acomplete("hi", cache="off"))
            router.close()
        assert len(found.spans) == 4
        assert router.trace_stats().exported == 4


CHILD = """
import os
from pathlib import Path
from router import Router
from tests.sinks.test_otel_run import settings
router = Router(settings({url!r}, Path(os.devnull)))
router.complete("parent", tags={{"who": "parent"}})
pid = os.fork()
router.complete("forked", tags={{"who": "child" if pid == 0 else "parent"}}, cache="off")
if pid == 0:
    router.close()
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
if {closes}:
    router.close()
"""


def ran(program: str, **variables: str) -> str:
    """Runs a program in a process of its own; returns what it wrote."""
    folder = Path(__file__).parents[2]
    command = [sys.executable, "-W", "ignore", "-c", program]
    environ = {**os.environ, **variables, "PYTHONPATH": str(folder)}
    run = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, cwd=folder)
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.parametrize("closes", [True, False])
def test_a_forked_child_sends_its_own_spans(closes: bool) -> None:
    """None of its parent's, and over a connection of its own; a program that ends without closing sends them too."""
    with collector() as found:
        ran(CHILD.format(url=found.url, closes=closes))
        routes = [attributes(span) for span in found.spans if span.name.startswith("route")]
        assert sorted(says["lowfare.tag.who"] for says in routes) == ["child", "parent", "parent"]
        assert len({span.span_id for span in found.spans}) == len(found.spans) == 6


AMBIENT = """
import sys
from router import Router, Settings
from router.testing.scripted import ScriptedClient
client = ScriptedClient()
limits = {"input_usd_per_mtok": "1", "output_usd_per_mtok": "1", "context_window_tokens": 100, "max_output_tokens": 9}
tables = {"models": {"a": {"id": "simulated/a", "client": "simulated", **limits}}}
router = Router(Settings(**tables), clients={"simulated": client})
first = router.complete("hi")
assert not any(name.startswith("opentelemetry") for name in sys.modules), sys.modules.keys()
assert client.calls[0].headers["traceparent"] == f"00-{first.trace_id}-{first.decision.attempts[0].span_id}-01"
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
remote = SpanContext(7, 9, is_remote=True, trace_flags=TraceFlags(0))
with trace.use_span(NonRecordingSpan(remote)):
    below = router.complete("ho")
    own = router.complete("ha", trace_id="ab" * 16)
assert (below.trace_id, below.decision.ids.parent_span_id) == (f"{7:032x}", f"{9:016x}")
assert client.calls[1].headers["traceparent"].endswith("-00")
assert (own.trace_id, own.decision.ids.parent_span_id) == ("ab" * 16, None)
assert router.trace_stats().exported == 0
assert "opentelemetry.sdk" not in sys.modules
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
exporter = InMemorySpanExporter()
provider = TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
last = router.complete("now")
names = [(span.name, f"{span.context.trace_id:032x}") for span in exporter.get_finished_spans()]
assert names == [("chat a", last.trace_id), ("route default", last.trace_id)], names
assert client.calls[-1].headers["traceparent"].endswith("-03")
given = Router(Settings(**tables), clients={"simulated": client}, sinks=[])
with trace.use_span(NonRecordingSpan(remote)):
    assert given.complete("hi").trace_id == f"{7:032x}"
assert len(exporter.get_finished_spans()) == 2
off = Router(Settings(**tables, otel={"enabled": False}), clients={"simulated": client})
off.complete("hi")
assert len(exporter.get_finished_spans()) == 2
for one in (router, given, off):
    one.close()
provider.get_tracer("app").start_span("after").end()
assert len(exporter.get_finished_spans()) == 3
late = Router(Settings(**tables, otel={"endpoint": "http://127.0.0.1:9"}), clients={"simulated": client})
late.complete("theirs")
late.close()
assert len(exporter.get_finished_spans()) == 5
print("as promised")
"""


def test_an_application_that_sets_a_provider_gets_spans() -> None:
    """No configuration is needed; before it does, the caller's span gives the ids, and nothing is imported."""
    assert ran(AMBIENT) == "as promised\n"


WITHOUT = """
import sys
sys.modules["opentelemetry"] = None
from router import ConfigError, Router, Settings
tables = {"models": {"a": {"id": "deepseek/deepseek-v3.2", "client": "simulated"}}}
with Router(Settings(**tables)) as router:
    router.complete("hi")
try:
    Router(Settings(**tables, otel={"endpoint": "http://127.0.0.1:9"}))
except ConfigError as error:
    print(error)
"""


def test_without_the_extra_all_works_but_what_asks_for_it() -> None:
    """Standard variables may be meant for others; a table is meant for us, and says what to install."""
    said = ran(WITHOUT, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    assert "lowfare[otel]" in said


LACKING = """
import sys
sys.modules["opentelemetry.exporter"] = None
from router import ConfigError, Router, Settings
tables = {"models": {"a": {"id": "deepseek/deepseek-v3.2", "client": "simulated"}}}
for protocol in ("http", "grpc"):
    try:
        Router(Settings(**tables, otel={"protocol": protocol}))
    except ConfigError as error:
        print(error)
"""


def test_an_exporter_that_is_not_installed_is_named_with_its_extra() -> None:
    """The SDK may be there for others' sake."""
    first, second = ran(LACKING).splitlines()
    assert "pip install 'lowfare[otel]'" in first
    assert "pip install 'lowfare[otel-grpc]'" in second
