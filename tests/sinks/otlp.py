"""A collector on loopback: takes OTLP over HTTP, and keeps what it got."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector:
    """What a collector on loopback was sent.

    Attributes:
        url: where it stands.
        status: what it answers with.
        go: it answers when this is set.
        came: set when the first batch has come.
        asked: paths of all that have come, answered or not.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.status = 200
        self.go = threading.Event()
        self.go.set()
        self.came = threading.Event()
        self.asked: set[str] = set()
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []

    def _requests(self) -> list[ExportTraceServiceRequest]:
        sent = zip(self.paths, self.bodies, strict=False)  # the path of one that is just coming may be there alone
        return [ExportTraceServiceRequest.FromString(body) for path, body in sent if path == "/v1/traces"]

    @property
    def spans(self) -> list[Span]:
        """All spans, in the order in which they came."""
        return [
            span
            for request in self._requests()
            for r in request.resource_spans
            for s in r.scope_spans
            for span in s.spans
        ]

    @property
    def scopes(self) -> set[str]:
        """Names of the instrumentation scopes."""
        return {s.scope.name for request in self._requests() for r in request.resource_spans for s in r.scope_spans}

    @property
    def services(self) -> set[Any]:
        """Names of the services."""
        return {attributes(r.resource)["service.name"] for request in self._requests() for r in request.resource_spans}


def attributes(of: Any) -> dict[str, Any]:
    """Returns the attributes of a span, an event, a link or a resource."""
    return {pair.key: plain(pair.value) for pair in of.attributes}


def plain(value: AnyValue) -> Any:
    """Returns a value as Python has it."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(one) for one in value.array_value.values]
    return getattr(value, kind) if kind is not None else None


@contextmanager
def collector() -> Iterator[Collector]:
    """Runs a collector."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            it.asked.add(self.path)
            it.came.set()
            it.go.wait()
            if it.status == 200:
                it.headers.append({name.lower(): value for name, value in self.headers.items()})
                it.paths.append(self.path)
                it.bodies.append(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
            self.send_response(it.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that the library gave it
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    it = Collector(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield it
    finally:
        it.go.set()
        server.shutdown()
        server.server_close()
        thread.join()
