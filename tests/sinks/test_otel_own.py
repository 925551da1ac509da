"""Spans of our own: decided when a request begins, made when it has ended, within the limits of the environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.context import attach, detach
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState

from router import Router, RouterError
from router.sinks.otel import OtelSink
from router.sinks.otel_content import SWITCH
from router.testing.scripted import ScriptedClient, answer, failure
from tests.sinks.otlp import attributes, collector
from tests.sinks.spans import environment
from tests.sinks.test_otel_run import settings

CALLER = SpanContext(7, 9, is_remote=True, trace_flags=TraceFlags(1))
CALLER_ID = (9).to_bytes(8, "big")


def router_to(url: str, client: ScriptedClient | None = None, **otel: Any) -> Router:
    """Returns a router whose spans go to a collector."""
    table = {"endpoint": url, **otel}
    return Router(settings(url, Path(os.devnull), otel=table), clients={"simulated": client or ScriptedClient()})


@pytest.mark.parametrize(("flags", "sent"), [(0, 0), (1, 2), (2, 0), (3, 2)])
def test_what_the_caller_decided_holds(flags: int, sent: int) -> None:
    """Below a remote span its trace goes on, recorded or not, with its `tracestate`, and so providers are told."""
    remote = SpanContext(7, 9, is_remote=True, trace_flags=TraceFlags(flags), trace_state=TraceState([("a", "b")]))
    client = ScriptedClient()
    with collector() as found:
        with router_to(found.url, client) as router:
            token = attach(trace.set_span_in_context(NonRecordingSpan(remote)))
            decision = router.complete("hi").decision
            detach(token)
        assert len(found.spans) == sent
        for span in found.spans:
            assert (span.trace_id, span.trace_state) == ((7).to_bytes(16, "big"), "a=b")
        parents = {span.name: span.parent_span_id.hex() for span in found.spans}
        assert parents == ({"route default": f"{9:016x}", "chat small": decision.ids.span_id} if sent else {})
    assert (decision.trace_id, decision.ids.parent_span_id) == (f"{7:032x}", f"{9:016x}")
    assert client.calls[0].headers["traceparent"] == f"00-{7:032x}-{decision.attempts[0].span_id}-{flags:02x}"


@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_traces_that_begin_here_are_recorded_by_their_share(ratio: float) -> None:
    """All or none at the ends of the scale; the log has every one of them."""
    client = ScriptedClient()
    with collector() as found:
        with router_to(found.url, client, sample_ratio=ratio) as router:
            flags = [router.complete(f"request {number}").decision.ids.trace_flags for number in range(3)]
        assert len(found.spans) == 6 * ratio
    assert {flag & 1 for flag in flags} == {ratio}
    assert {call.headers["traceparent"][-1] for call in client.calls} == {"3" if ratio else "2"}


def test_the_limits_of_the_environment_hold() -> None:
    """Of how long a value may be and how many there may be, on spans and in their events, as the SDK has it."""
    limits = {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "5", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "3"}
    with collector() as found:
        client = ScriptedClient({"small": failure("invalid")})
        with environment(**limits), router_to(found.url, client) as router, pytest.raises(RouterError):
            router.complete("hi")
        assert found.spans
        for span in found.spans:
            assert len(span.attributes) == 5
            assert span.dropped_attributes_count > 0
            texts = [attributes(of) for of in (span, *span.events)]
            assert {len(text) for one in texts for text in one.values() if isinstance(text, str)} <= {1, 2, 3}


def test_as_many_tags_as_there_may_be_attributes() -> None:
    """Beyond 128 attributes the SDK keeps the latest, and says how many it left out."""
    with collector() as found:
        with router_to(found.url) as router:
            router.complete("hi", tags={f"tag{number}": "x" for number in range(200)})
        (route,) = [span for span in found.spans if span.name == "route default"]
        assert len(route.attributes) == 128
        assert route.dropped_attributes_count > 72


@pytest.mark.parametrize(
    ("limits", "drops"),
    [
        ({}, False),
        ({"OTEL_SPAN_EVENT_COUNT_LIMIT": "1", "OTEL_SPAN_LINK_COUNT_LIMIT": "1"}, True),
        ({"OTEL_SPAN_EVENT_COUNT_LIMIT": "0", "OTEL_SPAN_LINK_COUNT_LIMIT": "0"}, True),
        ({"OTEL_SPAN_EVENT_COUNT_LIMIT": "", "OTEL_SPAN_LINK_COUNT_LIMIT": ""}, False),
        ({"OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT": "1", "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT": "0"}, True),
        ({"OTEL_ATTRIBUTE_COUNT_LIMIT": "1"}, True),
        ({"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "2"}, False),
    ],
)
def test_limits_hold_as_with_the_sdk(limits: dict[str, str], *, drops: bool) -> None:
    """Of events and links, and of what stands on them: our own spans keep, drop and count what the SDK's do."""
    said = []
    for own in (True, False):
        with collector() as found, environment(**{SWITCH: "EVENT_ONLY"}, **limits):
            sink = OtelSink(endpoint=found.url) if own else OtelSink(provider=provider_to(found.url))
            client = ScriptedClient({"small": [failure("invalid"), answer("yes")]})
            with Router(settings(found.url, Path(os.devnull)), clients={"simulated": client}, sinks=[sink]) as router:
                with pytest.raises(RouterError):
                    router.complete("no")
                router.complete("hi")
                token = attach(trace.set_span_in_context(NonRecordingSpan(CALLER)))
                assert router.complete("hi", trace_id="ab" * 16).decision.cache == "memory"
                detach(token)
            said.append(sorted(map(kept, found.spans)))
    assert said[0] == said[1]
    assert any(dropped for *_, dropped in said[0]) == drops


def provider_to(url: str) -> TracerProvider:
    """Returns an application's provider whose spans go to a collector one by one."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces")))
    return provider


def kept(span: Span) -> tuple[Any, ...]:
    """Returns what of a span's events and links is left, and at the end how much is not."""
    on = [*span.events, *span.links]
    dropped = span.dropped_events_count + span.dropped_links_count + sum(one.dropped_attributes_count for one in on)
    texts = [sorted((name, type(value).__name__) for name, value in attributes(one).items()) for one in on]
    lengths = [len(value) for one in on for value in attributes(one).values() if isinstance(value, str)]
    names = [event.name for event in span.events], [link.span_id == CALLER_ID for link in span.links]
    return span.name, span.dropped_events_count, span.dropped_links_count, names, texts, lengths, dropped
