"""What metrics add to a request: microseconds of CPU time for each decision, by outlet.

    python benchmarks/telemetry_metrics.py [--rounds 30] [--each 500] [--requests 100000]

The outlets take the same decisions in short turns, so that a busy moment of the machine hits all of them alike; of each
the median over the rounds is shown. "nobody" is a router whose application has set no meter provider. The last lines
tell how far memory grows with requests that each have a tag value of their own, the collector being down, and what one
export, or one scrape, takes of another thread. Figures of one run are comparable with each other, not with another's.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import time
import tracemalloc
from collections.abc import Callable, Sequence

from opentelemetry import metrics as api
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import generate_latest

from router.core.decision import Decision
from router.core.measure import measurements
from router.sinks.metrics_late import LateMetrics, has_meter_provider
from router.sinks.otel_metrics import OtelMetricsSink
from router.sinks.prometheus import PrometheusSink
from router.sinks.sink import Sink
from router.testing.records import decision_of

Emit = Callable[[Decision], object]

KINDS = {
    "an answer": {"outcomes": ["answer"]},
    "a fallback": {"outcomes": ["server_error", "answer"]},
    "a cache hit": {"cached": True},
}


def main() -> None:
    """Measures, and prints."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--each", type=int, default=500)
    parser.add_argument("--requests", type=int, default=100_000)
    options = parser.parse_args()
    assert not has_meter_provider(api)
    reader = InMemoryMetricReader()
    otel, prometheus = OtelMetricsSink(provider=MeterProvider([reader])), PrometheusSink()
    labelled = PrometheusSink(labels=["team"], label_tenant=True)
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # which says at every export that nobody is there
    os.environ["OTEL_METRIC_EXPORT_INTERVAL"] = "200"  # 300 times as often as it is by default
    down = OtelMetricsSink(endpoint="http://127.0.0.1:9")
    outlets: dict[str, Emit] = {
        "nobody": LateMetrics(lambda: otel).emit,
        "measurements alone": lambda decision: list(measurements(decision)),
        "prometheus": prometheus.emit,
        "prometheus, 2 labels": labelled.emit,
        "otel": otel.emit,
        "otel, collector down": down.emit,
    }
    print(f"microseconds of CPU time a decision; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for kind, of in KINDS.items():
        decision = decision_of(tags={"team": "support"}, tenant="acme", **of)  # type: ignore[arg-type]  # each is one
        values = sum(1 for _ in measurements(decision))
        found = side_by_side(list(outlets.values()), decision, options.rounds, options.each)
        told = "  ".join(f"{name} {us:.1f}" for name, us in zip(outlets, found, strict=True))
        print(f"{kind:12} {values:>2} values  {told}")
    memory(options.requests)
    scrape = timed(lambda: generate_latest(prometheus.registry))
    print(f"one export {timed(reader.get_metrics_data):.1f} ms, one scrape {scrape:.1f} ms")


def side_by_side(outlets: Sequence[Emit], decision: Decision, rounds: int, each: int) -> list[float]:
    """Returns the median microseconds of each outlet."""
    taken: list[list[float]] = [[] for _ in outlets]
    for _ in range(rounds):
        for times, emit in zip(taken, outlets, strict=True):
            started = time.thread_time()
            for _ in range(each):
                emit(decision)
            times.append((time.thread_time() - started) / each * 1e6)
    return [statistics.median(times) for times in taken]


def memory(requests: int) -> None:
    """Prints how memory grows with tag values that never come again."""
    sinks: dict[str, Sink] = {
        "prometheus": PrometheusSink(labels=["user"]),
        "otel": OtelMetricsSink(endpoint="http://127.0.0.1:9", labels=["user"]),
    }
    for name, sink in sinks.items():
        tracemalloc.start()
        sizes = []
        for number in range(requests):
            sink.emit(decision_of(tags={"user": f"{number}"}) if number < 1_000 else other(number))
            if number in (999, requests - 1):
                sizes.append(tracemalloc.get_traced_memory()[0] / 1e6)
        tracemalloc.stop()
        print(f"memory of {name} after 1,000 requests {sizes[0]:.1f} MB, after {requests:,} {sizes[-1]:.1f} MB")


def other(number: int) -> Decision:
    """Returns one of few decisions, for what makes them takes longer than what counts them."""
    return _OTHERS[number % len(_OTHERS)]


_OTHERS = [decision_of(tags={"user": f"late {number}"}) for number in range(1_000)]


def timed(call: Callable[[], object]) -> float:
    """Returns the milliseconds of a call."""
    started = time.thread_time()
    call()
    return (time.thread_time() - started) * 1e3


if __name__ == "__main__":
    main()
