"""How our own exports end, and that they write nothing to standard error."""

from __future__ import annotations

import socket
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from router import ConfigError, Router, RouterWarning
from router.core.decision import Decision
from router.sinks.otel_export import CountedBatch, Counts, ending
from router.sinks.otel_headers import headers_of
from router.sinks.otel_outlet import SpanOutlet, nobody_at
from router.sinks.sink import close_all
from tests.sinks.otlp import collector
from tests.sinks.spans import environment
from tests.sinks.test_otel_export import Waiting, closed_port, made
from tests.sinks.test_otel_metrics import ran
from tests.sinks.test_otel_run import settings

WAIT_S = 60.0
"""Far longer than anything here takes."""


class Trying(SpanExporter):
    """Tries again for ever, as the SDK's own do for a while, until it is shut down."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self.tried, self.over = threading.Event(), threading.Event()
        self.ended = 0

    def export(self, spans: Any) -> SpanExportResult:
        self.tried.set()
        self.over.wait(WAIT_S)
        return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        self.ended += 1
        self.over.set()


@pytest.mark.parametrize("begun", [True, False])
def test_nobody_is_waited_for_who_is_not_there(begun: bool) -> None:
    """Neither by what is just trying again when the end begins, nor by what is still waiting; all count as lost."""
    counts, exporter = Counts(10), Trying(closed_port())
    batch = CountedBatch(SpanOutlet(exporter), counts, made, max_export_batch_size=1 if begun else 9)
    batch.take([Waiting(), Waiting()])
    assert not begun or exporter.tried.wait(WAIT_S)
    assert ending(batch, counts, within_s=WAIT_S).done()
    assert (counts.stats().failed, counts.stats().waiting, exporter.ended) == (2, 0, 1)
    assert exporter.tried.is_set() is begun


def test_a_collector_that_is_slow_is_waited_for() -> None:
    """One that accepts connections is not taken for one that is not there."""
    with collector() as found:
        assert not nobody_at(found.url)
        assert nobody_at(closed_port())


def test_who_is_there_cannot_always_be_told() -> None:
    """Not behind a proxy, nor without a host or a port; an address that cannot be looked up is nobody's."""
    closed = closed_port()
    for name in ("HTTP_PROXY", "ALL_PROXY"):
        with environment(**{name: "http://127.0.0.1:9"}):
            assert not nobody_at(closed)
    with environment(NO_PROXY="localhost"):
        assert nobody_at(closed)
    assert nobody_at(closed.removeprefix("http://"))
    assert nobody_at("http://no-such-host.invalid/v1/traces")
    assert not nobody_at("")
    assert not nobody_at("unix:///run/collector")
    assert not nobody_at("127.0.0.1")


def test_a_full_backlog_is_no_refusal() -> None:
    """Whoever is too busy to let us in may still take what he is sent."""
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(busy.getsockname())
        assert not nobody_at(f"http://127.0.0.1:{busy.getsockname()[1]}")
        for one in waiting:
            one.close()


@pytest.mark.parametrize("make", [HttpExporter, GrpcExporter])
def test_exporters_say_where_they_send_to(make: Any) -> None:
    """Under the name that is looked at; the gRPC one leaves out the scheme."""
    closed = closed_port()
    exporter = make(endpoint=closed)
    outlet = SpanOutlet(exporter)
    outlet.hasten()
    assert outlet.export([]) is SpanExportResult.FAILURE
    outlet.shutdown()


@contextmanager
def slow_pair() -> Iterator[Any]:
    """Runs a collector that answers nobody before it was asked for both, traces and metrics."""
    with collector() as found:
        found.go.clear()

        def opens() -> None:
            while found.asked < {"/v1/traces", "/v1/metrics"} and not closed.is_set():
                found.came.wait(0.01)
            found.go.set()

        closed, opener = threading.Event(), threading.Thread(target=opens)
        opener.start()
        yield found
        closed.set()
        opener.join()


def test_traces_and_metrics_end_at_the_same_time(tmp_path: Path) -> None:
    """Neither waits for the other: a collector that answers none before it has both gets both."""
    with slow_pair() as found, warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        table = {"endpoint": found.url, "metrics": True}
        with Router(settings("", tmp_path, otel=table)) as router:
            router.complete("hi")
        assert sorted(found.paths) == ["/v1/metrics", "/v1/traces"]
    assert [str(one.message) for one in told] == []


def test_a_sink_that_cannot_begin_to_close_is_told_of() -> None:
    """The others close all the same, and so does it."""

    class Broken:
        closed = 0

        def emit(self, decision: Decision, /) -> None:
            """Takes it."""

        def begin_close(self) -> None:
            raise OSError("not now")

        def close(self) -> None:
            self.closed += 1

    broken, other = Broken(), Broken()
    with pytest.warns(RouterWarning, match="Broken did not close: not now"):
        close_all([broken, other])
    assert (broken.closed, other.closed) == (1, 1)


PROGRAM = """
import logging, sys, warnings
from pathlib import Path
from router import Router
from tests.sinks.test_otel_run import settings
warnings.simplefilter("ignore")
if {logs}:
    logging.basicConfig(level=logging.WARNING, format="%(name)s %(message)s")
table = {{"endpoint": {url!r}, "protocol": {protocol!r}, "metrics": True}}
with Router(settings("", Path("/dev/null"), otel=table)) as router:
    router.complete("hi")
    if {own}:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import SpanContext
        theirs = OTLPSpanExporter(endpoint={url!r} + "/v1/traces", timeout=0)
        theirs.export([ReadableSpan("a", context=SpanContext(1, 2, is_remote=False))])
"""


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize("logs", [True, False])
def test_exporters_write_nothing_where_nobody_logs(protocol: str, logs: bool) -> None:
    """The router's own warning tells of losses; who has set up logging gets the SDK's lines as ever."""
    with collector() as found:
        found.status = 400
        url = found.url if protocol == "http" else closed_port()
        result = ran(PROGRAM.format(url=url, protocol=protocol, logs=logs, own=False), OTEL_EXPORTER_OTLP_TIMEOUT="1")
    assert result.returncode == 0, result.stderr
    if not logs:
        assert result.stderr == ""
    elif protocol == "http":
        assert "opentelemetry.exporter.otlp.proto.http.trace_exporter Failed to export" in result.stderr
        assert "opentelemetry.exporter.otlp.proto.http.metric_exporter Failed to export" in result.stderr


def test_an_exporter_of_the_applications_own_is_not_silenced() -> None:
    """It logs under the same name, and nobody else tells of its losses."""
    with collector() as found:
        found.status = 400
        result = ran(PROGRAM.format(url=found.url, protocol="http", logs=False, own=True))
    assert result.returncode == 0, result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith("Failed to export")


KEY = "sk-canary-0a1b2c3d4e5f6071"


@pytest.mark.parametrize("text", [KEY, f"x-key: {KEY}", f"x={KEY},{KEY}", f'x="{KEY}"', f"x=a%0A{KEY}", f"x={KEY}\nb"])
@pytest.mark.parametrize("stated", [True, False])
def test_a_variable_that_holds_no_headers_is_refused_and_not_shown(
    text: str, stated: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    """The SDK would leave out what it cannot read, and log it, key and all."""
    name = "MINE" if stated else "OTEL_EXPORTER_OTLP_HEADERS"
    with pytest.raises(ConfigError) as caught:
        headers_of("MINE" if stated else None, {name: text}, "TRACES")
    place = f"headers_env: the variable {name}" if stated else name
    assert str(caught.value).startswith(f"{place} holds something else than headers (not shown); allowed: name=value")
    assert KEY not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_headers_of_a_variable() -> None:
    """As the SDK reads them: names in lower case, values decoded; without a name the standard variables are its own."""
    said = " X-Key = abc , authorization=Basic YTpi==, x-other=d%20e,"
    wanted = {"x-key": "abc", "authorization": "Basic YTpi==", "x-other": "d e"}
    assert headers_of("MINE", {"MINE": said}, "TRACES") == wanted
    assert headers_of(None, {"OTEL_EXPORTER_OTLP_HEADERS": said}, "METRICS") is None
    assert headers_of(None, {}, "METRICS") is None
