"""A collector for tests: takes metrics by OTLP over HTTP on loopback, as protobuf, or does not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest


@dataclass
class Receiver:
    """What came, and how to treat what comes.

    Attributes:
        status: of every response.
        go: cleared, requests wait until it is set.
    """

    port: int = 0
    status: int = 200
    go: threading.Event = field(default_factory=threading.Event)
    came: threading.Event = field(default_factory=threading.Event)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def latest(self) -> dict[str, Any]:
        """Returns the metrics that came last, by name."""
        request = ExportMetricsServiceRequest.FromString(self.bodies[-1])
        return {
            metric.name: metric
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def services(self) -> set[str]:
        """Returns whose metrics came last."""
        request = ExportMetricsServiceRequest.FromString(self.bodies[-1])
        return {
            attribute.value.string_value
            for resource in request.resource_metrics
            for attribute in resource.resource.attributes
            if attribute.key == "service.name"
        }


@contextmanager
def receiver(*, status: int = 200, slow: bool = False) -> Iterator[Receiver]:
    """Runs a collector; one that is slow answers nobody before the end."""
    state = Receiver(status=status)
    if not slow:
        state.go.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.bodies.append(body)
            state.paths.append(self.path)
            state.headers.append({name.lower(): value for name, value in self.headers.items()})
            state.came.set()
            state.go.wait()
            try:
                self.send_response(state.status)
                self.send_header("Content-Length", "0")
                self.end_headers()
            except OSError:  # the other side has left
                return

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as http.server has it
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        state.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield state
        finally:
            state.go.set()
            server.shutdown()
            thread.join()
