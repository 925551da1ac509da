"""What becomes of spans and of sums where things end at the same time, or fail half-way."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Sampler, SamplingResult

from router import Router, RouterWarning
from router.sinks.otel_export import CountedBatch, Counts, Export, queue_most
from router.sinks.otel_metrics import OtelMetricsSink
from router.sinks.otel_outlet import nobody_at
from router.testing.scripted import ScriptedClient
from tests.sinks.otlp import collector
from tests.sinks.spans import Traced, environment
from tests.sinks.test_otel_export import Waiting, made
from tests.sinks.test_otel_run import settings


class Keeping(SpanExporter):
    """Keeps nothing."""

    def export(self, spans: Any) -> SpanExportResult:
        """Takes all of it."""
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Has nothing open."""


@pytest.mark.parametrize("most", ["+20", " 20 ", "2_0"])
def test_the_queue_has_one_length(most: str) -> None:
    """However the variable writes its number: what is let in has room, and no batch is longer than the queue."""
    with environment(OTEL_BSP_MAX_QUEUE_SIZE=most):
        counts = Counts(queue_most(os.environ))
        batch = CountedBatch(Keeping(), counts, made)
        for _ in range(30):
            batch.take([Waiting()])
        batch.shutdown()
    stats = counts.stats()
    assert counts.most == 20
    assert (stats.exported + stats.dropped, stats.failed, stats.waiting) == (30, 0, 0)


@pytest.mark.parametrize("endpoint", ["ipv4:127.0.0.1:4317", "http://a..b:1", "http://[::1"])
def test_an_address_that_cannot_be_read_is_not_nobodys(endpoint: str) -> None:
    """GRPC knows more kinds of them; closing then sends what waits, as ever."""
    assert not nobody_at(endpoint)


@pytest.mark.parametrize("tail", ["", "/", "/v1/traces", "/v1/metrics"])
def test_an_address_of_one_signal_serves_both(tail: str) -> None:
    """Vendors print the whole address of traces; metrics go to the one beside it."""
    export = Export(endpoint=f"http://localhost:4318/otlp{tail}")
    assert export.address("traces") == "http://localhost:4318/otlp/v1/traces"
    assert export.address("metrics") == "http://localhost:4318/otlp/v1/metrics"
    assert Export().address("metrics") is None


def test_a_processor_that_fails_leaves_no_span_open() -> None:
    """The span of the request ends, and the caller has the answer."""

    class Failing(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            if span.name.startswith("chat"):
                raise ValueError("a bug")

    traced = Traced()
    traced.provider.add_span_processor(Failing())
    with pytest.warns(RouterWarning, match="lost the decision"):
        assert traced.router.complete("hi").text == "ok"
    assert traced.named("route").end_time is not None


def test_a_sampler_that_drops_a_request_sees_nothing_of_it() -> None:
    """Neither prompt nor answer, with the capture of content on."""
    seen: list[dict[str, Any]] = []

    class Noting(Sampler):
        def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
            seen.extend(dict(value) for value in args if isinstance(value, dict))
            return ALWAYS_OFF.should_sample(*args, **kwargs)

        def get_description(self) -> str:
            return "notes"

    with environment(OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="SPAN_ONLY"):
        traced = Traced(sampler=Noting())
    traced.router.complete("hi")
    assert any("gen_ai.request.model" in one for one in seen)
    assert not any("gen_ai.input.messages" in one for one in seen)


def test_sums_begun_while_closing_are_sent() -> None:
    """A request that ends while the sink is closing is measured anew, and not into what is shut down already."""
    with collector() as found:
        table = {"endpoint": found.url, "traces": False, "metrics": True}
        router = Router(settings(found.url, Path(os.devnull), otel=table), clients={"simulated": ScriptedClient()})
        (sink,) = [one for one in router._sinks if isinstance(one, OtelMetricsSink)]  # noqa: SLF001 - nobody else has it
        router.complete("one")
        sink.begin_close()
        router.complete("two")
        router.close()
        assert found.paths.count("/v1/metrics") == 2
