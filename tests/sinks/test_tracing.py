"""Ids where nobody makes spans: they are the log's own, and the caller's trace is kept all the same."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from opentelemetry import trace
from opentelemetry.context import attach, detach
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from router import TraceStats
from router.core.decision import Ids
from router.core.parse import parse_request
from router.sinks.tracing import Ambient, Tracing, below, has_provider, tracing_of
from router.testing.scripted import ScriptedClient
from tests.cache.routers import Kept, routed
from tests.sinks.spans import Traced

DRAWN = Ids(request_id="a" * 32, trace_id="b" * 32, span_id="c" * 16)
REMOTE = SpanContext(7, 9, is_remote=True, trace_flags=TraceFlags(0))


def test_the_callers_trace_is_kept_without_spans() -> None:
    """The log, and what providers get, name the caller's trace and flags; the record says below which span."""
    client, kept = ScriptedClient(), Kept()
    token = attach(trace.set_span_in_context(NonRecordingSpan(REMOTE)))
    decision = routed(client, kept).complete("hi").decision
    own = routed(client, kept).complete("ho", trace_id="ab" * 16).decision
    detach(token)
    assert (decision.trace_id, decision.ids.parent_span_id) == (f"{7:032x}", f"{9:016x}")
    sent = client.calls[0].headers
    assert sent["traceparent"] == f"00-{7:032x}-{decision.attempts[0].span_id}-00"
    assert sent["X-Trace-ID"] == decision.trace_id
    assert (own.trace_id, own.ids.parent_span_id) == ("ab" * 16, None)


def test_without_a_caller_the_ids_are_drawn() -> None:
    """As they always were."""
    client = ScriptedClient()
    decision = routed(client).complete("hi").decision
    assert decision.ids.parent_span_id is None
    assert "parent_span_id" not in decision.to_dict()
    assert client.calls[0].headers["traceparent"].endswith("-01")


def test_a_plan_begins_nothing() -> None:
    """What is only asked about leaves no span open."""
    traced = Traced()
    traced.router.plan("hi")
    assert not traced.sink._here.open  # noqa: SLF001 - that nothing stays behind cannot be seen from outside
    assert traced.spans == ()


def test_a_module_that_is_half_imported_knows_nobody() -> None:
    """Another thread may be in the midst of importing OpenTelemetry."""
    half: Any = SimpleNamespace()
    assert not has_provider(half)
    assert below(half, parse_request("hi"), DRAWN) == DRAWN


def test_an_ambient_that_makes_nothing_does_nothing() -> None:
    """It is a sink all the same, and knows no losses."""
    ambient = Ambient()
    assert isinstance(ambient, Tracing)
    assert ambient.stats() == TraceStats()
    assert ambient.stats().lost == 0
    assert ambient.carried(DRAWN) == {}
    ambient.emit(routed(ScriptedClient()).complete("hi").decision)
    ambient.close()


def test_a_sink_that_names_requests_is_found() -> None:
    """Wherever it stands among the others."""
    traced = Traced()
    assert tracing_of((traced.kept, traced.sink)) is traced.sink
    assert tracing_of((traced.kept,)) is None
