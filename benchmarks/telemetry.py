"""What traces add to a request: recorded, not sampled, not installed; with a collector that is down, slow or refuses.

    python benchmarks/telemetry.py [--requests 50] [--rounds 90]

Routers that differ in nothing but their traces answer the same requests in turn, in one run on one loop; the provider
is a coroutine that answers at once, and the collector another process. A figure is the median over the rounds of what a
request took more than with traces switched off in the same round: time on the clock, and the processor's time of the
thread that asks. Where the machine is busy the second is the steadier one.

"application's" is a provider that the application has set, whose spans the SDK makes within the request; "by hand" is
as many spans with as many attributes by the SDK alone, without lowfare. Neither has a bar.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import set_span_in_context

from router import Answer, Call, Chunk, Decision, Failure, Router, RouterWarning, Settings
from router.sinks.otel import OtelSink
from router.sinks.sink import Sink
from router.testing.scripted import answer

BARS_US = {"not sampled": 30.0, "not installed": 1.0} | dict.fromkeys(("recorded", "down", "slow", "refusing"), 120.0)

COLLECTOR = """
import sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
mode = sys.argv[1]
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        if mode == "slow":
            time.sleep(2)
        self.send_response(503 if mode == "refusing" else 200)
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *args):
        pass
server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"""

BARE = """
import sys, time, statistics
sys.modules["opentelemetry"] = None
from datetime import UTC, datetime
from router.core.decision import Ids
from router.core.parse import parse_request
from router.sinks.tracing import Ambient
ambient, request, now = Ambient(lambda: None), parse_request("hi"), datetime.now(UTC)
ids, n = Ids(request_id="a" * 32, trace_id="b" * 32, span_id="c" * 16), 20_000
def once():
    began = time.thread_time()
    for _ in range(n):
        ambient.begin(request, "default", now, ids)
        ambient.emit(None)
    return (time.thread_time() - began) / n * 1e6
def empty():
    began = time.thread_time()
    for _ in range(n):
        pass
    return (time.thread_time() - began) / n * 1e6
print(statistics.median(once() - empty() for _ in range(15)))
"""


class Ready:
    """A provider that has its answer ready."""

    keeps_time = True

    def __init__(self) -> None:
        self._answer = answer("fine")

    async def send(self, call: Call, /) -> Answer:
        """Returns the answer."""
        return self._answer

    async def stream(self, call: Call, /) -> AsyncGenerator[Chunk | Answer | Failure]:
        """Is not asked for."""
        yield self._answer

    async def aclose(self) -> None:
        """Has nothing open."""


class ByHand:
    """A sink that makes as many spans as ours, with as many attributes, of nothing: the SDK's share of the time."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("by hand")
        self._about: dict[str, Any] = {
            f"lowfare.a{number}": value for number, value in enumerate((1.5, "text", 3, True) * 4)
        }

    def emit(self, decision: Decision, /) -> None:
        """Makes a span and one below it."""
        span = self._tracer.start_span("route")
        below = set_span_in_context(span)
        self._tracer.start_span("chat", below, attributes=self._about).end()
        span.set_attributes(self._about)
        span.end()

    def close(self) -> None:
        """Has nothing open."""


@dataclass(slots=True)
class Seen:
    """What the requests of one router took, by round, in microseconds for each."""

    clock_us: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)


def router_with(otel: dict[str, Any], *sinks: Sink) -> Router:
    """Returns a router over two models with these traces, or with these sinks in the place of all others."""
    model = {"client": "simulated", "context_window_tokens": 10_000, "max_output_tokens": 1_000}
    price = {"input_usd_per_mtok": "1", "output_usd_per_mtok": "1"}
    tables: dict[str, Any] = {
        "models": {name: model | price | {"id": f"simulated/{name}"} for name in ("small", "large")},
        "policies": {"default": {"kind": "fallback", "models": ["small", "large"]}},
        "otel": {"metrics": False} | otel,  # telemetry_metrics.py has those
    }
    return Router(Settings(**tables), clients={"simulated": Ready()}, sinks=sinks or None)


def applications(endpoint: str) -> TracerProvider:
    """Returns a provider as an application sets one: the SDK's own batches over HTTP."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{endpoint}/v1/traces")))
    return provider


@contextmanager
def collector(mode: str) -> Iterator[str]:
    """Runs a collector in a process of its own; yields its address."""
    process = subprocess.Popen([sys.executable, "-c", COLLECTOR, mode], stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own command
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()


async def one_round(router: Router, requests: int, seen: Seen) -> None:
    """Asks, and notes what a request took."""
    began, cpu = time.perf_counter(), time.thread_time()
    for _ in range(requests):
        await router.acomplete("hello", max_tokens=20, tags={"team": "x"})
    seen.clock_us.append((time.perf_counter() - began) / requests * 1e6)
    seen.cpu_us.append((time.thread_time() - cpu) / requests * 1e6)


async def measured(routers: dict[str, Router], *, requests: int, rounds: int) -> dict[str, Seen]:
    """Returns what each router's requests took, asked in turn."""
    seen = {name: Seen() for name in routers}
    for number in range(rounds + 1):
        names = list(routers)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            await one_round(routers[name], requests, Seen() if number == 0 else seen[name])
            await asyncio.sleep(0.02)  # the exporters' threads have their turn between the rounds
    return seen


def added(of: list[float], base: list[float]) -> float:
    """Returns the median of what was added."""
    return statistics.median(one - other for one, other in zip(of, base, strict=True))


def compared(routers: dict[str, Router], *, requests: int, rounds: int) -> int:
    """Measures routers with traces beside one without; prints, and returns how many miss their bar."""
    routers = {"off": router_with({"enabled": False}), **routers}
    seen = asyncio.run(measured(routers, requests=requests, rounds=rounds))
    stats = {name: router.trace_stats() for name, router in routers.items()}
    for router in routers.values():
        router.close()
    base, missed = seen.pop("off"), 0
    print(f"load {os.getloadavg()[0]:.1f}; {statistics.median(base.cpu_us):.0f} us a request with traces switched off")
    for name, one in seen.items():
        bar = BARS_US.get(name)
        cpu_us, told = added(one.cpu_us, base.cpu_us), stats[name]
        missed += bar is not None and cpu_us > bar
        print(
            f"{name:15} clock {added(one.clock_us, base.clock_us):6.1f} us, cpu {cpu_us:6.1f} us, bar {bar or 'none'};"
            f" exported {told.exported:,}, dropped {told.dropped:,}, failed {told.failed:,}, waiting {told.waiting:,}"
        )
    return missed


def main() -> None:
    """Measures and prints; exit code 1 where a bar is missed by the processor's time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=90)
    options = parser.parse_args()
    logging.disable()  # exporters tell of collectors that fail
    warnings.simplefilter("ignore", RouterWarning)  # of spans that are lost, which is what some of this is about
    os.environ["OTEL_EXPORTER_OTLP_TIMEOUT"] = "3"
    missed = 0
    with collector("ok") as good, collector("slow") as slow, collector("refusing") as refusing:
        provider = applications(good)
        fine = {
            "recorded": router_with({"endpoint": good}),
            "not sampled": router_with({"endpoint": good, "sample_ratio": 0.0}),
            "application's": router_with({}, OtelSink(provider=provider)),
            "by hand": router_with({}, ByHand(provider)),
        }
        troubled = {
            "down": router_with({"endpoint": "http://127.0.0.1:9"}),
            "slow": router_with({"endpoint": slow}),
            "refusing": router_with({"endpoint": refusing}),
        }
        for routers in (fine, troubled):
            missed += compared(routers, requests=options.requests, rounds=options.rounds)
        provider.shutdown()
    bare = float(subprocess.run([sys.executable, "-c", BARE], capture_output=True, text=True, check=True).stdout)  # noqa: S603 - our own command
    print(f"{'not installed':15} cpu {bare:.2f} us, bar {BARS_US['not installed']:g} us")
    sys.exit(1 if missed or bare > BARS_US["not installed"] else 0)


if __name__ == "__main__":
    main()
