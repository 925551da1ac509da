from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import baggage, trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, Sampler, SamplingResult
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags, TraceState

from router import RouterWarning
from router.cache.sqlite import SqliteStore
from router.sinks.otel import OtelSink
from router.testing.scripted import ScriptedClient, answer, failure
from tests.cache.routers import routed
from tests.sinks.spans import Traced


def hexed(span: ReadableSpan) -> tuple[str, str]:
    """Returns the ids of a span as the log has them."""
    context = span.context
    assert context is not None
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


def test_the_callers_span_is_the_parent() -> None:
    """The request belongs to the caller's trace, and its record says below which span."""
    traced = Traced()
    with traced.provider.get_tracer("app").start_as_current_span("work") as work:
        decision = traced.router.complete("hi").decision
    route, chat, outer = traced.named("route"), traced.named("chat"), work.get_span_context()
    assert route.parent == outer
    assert chat.parent == route.context
    assert decision.trace_id == f"{outer.trace_id:032x}"
    assert decision.ids.parent_span_id == f"{outer.span_id:016x}"
    assert decision.to_dict()["parent_span_id"] == decision.ids.parent_span_id
    assert hexed(route) == (decision.trace_id, decision.ids.span_id)
    assert hexed(chat) == (decision.trace_id, decision.attempts[0].span_id)


async def test_the_callers_span_is_the_parent_in_its_own_loop_and_in_streams() -> None:
    """Whichever way a request is made."""
    traced = Traced()
    tracer = traced.provider.get_tracer("app")
    with tracer.start_as_current_span("work") as work:
        await traced.router.acomplete("one")
        async for _ in traced.router.astream("two", cache="off"):
            pass
        async for _ in traced.router.astream("three"):
            pass
    routes = [span for span in traced.spans if span.name.startswith("route")]
    assert [span.parent for span in routes] == [work.get_span_context()] * 3


def test_a_trace_id_that_the_request_names_is_kept() -> None:
    """It begins a trace of its own, which links to the caller's span; within the caller's trace it stays below it."""
    traced = Traced()
    with traced.provider.get_tracer("app").start_as_current_span("work") as work:
        outer = work.get_span_context()
        other = traced.router.complete("hi", trace_id="ab" * 16).decision
        same = traced.router.complete("ho", trace_id=f"{outer.trace_id:032x}").decision
    assert (other.trace_id, other.ids.parent_span_id) == ("ab" * 16, None)
    assert same.ids.parent_span_id == f"{outer.span_id:016x}"
    first, second = (span for span in traced.spans if span.name.startswith("route"))
    assert first.parent is None
    assert [link.context for link in first.links] == [outer]
    assert second.parent == outer
    assert traced.client.calls[0].headers["traceparent"].endswith("-01")


def test_providers_are_told_whether_the_trace_is_recorded() -> None:
    """The flags of `traceparent` are the sampler's, with W3C's flag 2 where the trace id was drawn."""
    for sampler, flags in ((None, "03"), (ParentBased(ALWAYS_OFF), "02")):
        traced = Traced(sampler=sampler)
        decision = traced.router.complete("hi").decision
        sent = traced.client.calls[0].headers["traceparent"]
        assert sent == f"00-{decision.trace_id}-{decision.attempts[0].span_id}-{flags}"
        assert len(traced.spans) == (2 if sampler is None else 0)


@pytest.mark.parametrize("sampled", [True, False])
def test_what_the_caller_decided_holds(sampled: bool) -> None:
    """Below a span of another service that is not recorded nothing is recorded, and providers are told so."""
    traced = Traced()
    remote = SpanContext(7, 9, is_remote=True, trace_flags=TraceFlags(int(sampled)))
    token = attach(trace.set_span_in_context(NonRecordingSpan(remote)))
    decision = traced.router.complete("hi").decision
    detach(token)
    assert (decision.trace_id, decision.ids.parent_span_id) == (f"{7:032x}", f"{9:016x}")
    assert traced.client.calls[0].headers["traceparent"].endswith(f"-0{int(sampled)}")
    assert len(traced.spans) == 2 * sampled


class Asked(Sampler):
    """Records nothing but what it was asked."""

    def __init__(self) -> None:
        self.names: list[tuple[str, Any]] = []

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Any = None,
        links: Sequence[trace.Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        self.names.append((name, dict(attributes or {})))
        return ALWAYS_OFF.should_sample(parent_context, trace_id, name, kind, attributes, links)

    def get_description(self) -> str:
        return "asked"


def test_the_applications_sampler_is_asked_for_each_span() -> None:
    """It learns who is asked before it decides."""
    sampler = Asked()
    Traced(sampler=sampler).router.complete("hi", tenant="acme")
    assert sampler.names == [
        ("route default", {"lowfare.policy": "default", "lowfare.tenant": "acme"}),
        (
            "chat small",
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.request.model": "small",
                "gen_ai.provider.name": "simulated",
            },
        ),
    ]


class Broken(SpanProcessor):
    """A processor with a bug."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        raise ValueError("a bug")


def test_a_processor_that_fails_costs_no_answer() -> None:
    """The caller gets a warning and the answer, and the log has the request."""
    traced = Traced()
    traced.provider.add_span_processor(Broken())
    with pytest.warns(RouterWarning) as warned:
        reply = traced.router.complete("hi")
    begun, ended = (str(warning.message) for warning in warned)
    assert begun == "no span begins, as OtelSink raised ValueError"
    assert ended.startswith("OtelSink lost the decision of trace ")
    assert reply.text == "ok"
    assert traced.kept.decisions == [reply.decision]


def test_other_tracers_draw_ids_of_their_own() -> None:
    """Only our tracer hands out the ids of the log; a span that somebody else makes of our scope has one too."""
    traced = Traced()
    traced.router.complete("hi")
    others = [traced.provider.get_tracer(scope).start_span("x") for scope in ("app", "lowfare", "lowfare")]
    ids = {span.get_span_context().trace_id for span in others}
    assert len(ids) == 3
    assert 0 not in ids
    assert not ids & {span.context.trace_id for span in traced.spans if span.context is not None}


def test_two_routers_share_a_provider() -> None:
    """In as many threads as there are, each request keeps its own ids."""
    one = Traced(cache=None)
    two = routed(ScriptedClient(), one.kept, OtelSink(provider=one.provider), cache=None)

    def ask(router: Any) -> None:
        for _ in range(20):
            router.complete("hi")

    threads = [threading.Thread(target=ask, args=(router,)) for router in (one.router, two) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for router in (one.router, two):
        router.close()
    wanted = {(d.trace_id, d.ids.span_id) for d in one.kept.decisions}
    wanted |= {(d.trace_id, a.span_id) for d in one.kept.decisions for a in d.attempts}
    assert {hexed(span) for span in one.spans} == wanted
    assert len(one.spans) == len(wanted) == 160


@pytest.mark.parametrize(
    ("url", "trace_table", "got"),
    [
        ("https://llm.example.com/v1", {"hosts": ["*.example.com"]}, {"traceparent", "baggage", "tracestate"}),
        ("https://LLM.example.com/v1", {"hosts": ["llm.EXAMPLE.com"]}, {"traceparent", "baggage", "tracestate"}),
        ("https://example.org/v1", {"hosts": ["*.example.com"]}, set()),
        ("https://llm.example.com/v1", {"hosts": []}, set()),
        ("https://llm.example.com/v1", {}, {"traceparent"}),
        ("https://llm.example.com/v1", {"headers": False, "hosts": ["*"]}, set()),
    ],
)
def test_what_goes_on_to_providers_goes_to_the_listed_hosts(
    url: str, trace_table: dict[str, Any], got: set[str]
) -> None:
    """Where hosts are listed: to these the ids and what the caller passes on, to others nothing at all."""
    model = {"id": "own", "client": "simulated", "base_url": url, "input_usd_per_mtok": "1", "output_usd_per_mtok": "1"}
    limits = {"context_window_tokens": 1000, "max_output_tokens": 100}
    traced = Traced(models={"small": model | limits}, policies={}, trace=trace_table)
    remote = SpanContext(7, 9, is_remote=True, trace_flags=TraceFlags(1), trace_state=TraceState([("v", "1")]))
    token = attach(baggage.set_baggage("user", "an na", trace.set_span_in_context(NonRecordingSpan(remote))))
    traced.router.complete("hi")
    detach(token)
    headers = traced.client.calls[0].headers
    assert headers.keys() & {"traceparent", "baggage", "tracestate"} == got
    if "baggage" in got:
        assert (headers["baggage"], headers["tracestate"]) == ("user=an+na", "v=1")


def test_a_provider_is_known_by_its_host() -> None:
    """A model without an address of its own is at its provider's; where only litellm knows it, nothing is sent."""
    limits = {"client": "simulated", "context_window_tokens": 1000, "max_output_tokens": 100}
    price = {"input_usd_per_mtok": "1", "output_usd_per_mtok": "1"}
    for id_, sent in (("openai/gpt-4.1", True), ("simulated/x", False)):
        table = {"hosts": ["api.openai.com"]}
        traced = Traced(models={"small": {"id": id_} | limits | price}, policies={}, trace=table)
        traced.router.complete("hi")
        assert ("traceparent" in traced.client.calls[0].headers) is sent
        assert "baggage" not in traced.client.calls[0].headers


def test_a_turn_that_was_held_back_is_no_call() -> None:
    """Its span says why nothing was sent, and is none of a client."""
    client = ScriptedClient({"small": failure("server_error")})
    traced = Traced(client, breaker={"consecutive_failures": 1}, cache=None, bounds={"attempts": 2})
    traced.router.complete("one")
    decision = traced.router.complete("two").decision
    assert decision.attempts[0].held == "breaker_open"
    held = traced.named("held small")
    assert hexed(held) == (decision.trace_id, decision.attempts[0].span_id)
    assert held.kind is SpanKind.INTERNAL
    assert held.attributes is not None
    assert held.attributes["error.type"] == "breaker_open"
    assert "gen_ai.operation.name" not in held.attributes


def test_a_decision_from_elsewhere_becomes_spans_too() -> None:
    """A sink that was not told when the request began takes all from the record, the parent included."""
    traced, late = Traced(), Traced()
    with traced.provider.get_tracer("app").start_as_current_span("work"):
        decision = traced.router.complete("hi", tenant="acme").decision
    late.sink.emit(decision)
    assert [hexed(span) for span in late.spans] == [hexed(span) for span in traced.spans[:2]]
    assert late.named("route").parent is not None
    assert late.named("route").attributes == traced.named("route").attributes
    late.sink.emit(replace(decision, ids=replace(decision.ids, parent_span_id=None)))
    assert late.spans[-1].parent is None
    assert late.sink.carried(decision.ids) == {}


async def test_an_answer_that_another_process_stored_links_to_who_paid(tmp_path: Path) -> None:
    """The store keeps the span's id beside the answer."""
    paid = Traced(store=SqliteStore(tmp_path / "cache.sqlite"))
    free = Traced(store=SqliteStore(tmp_path / "cache.sqlite"))
    async with paid.router, free.router:
        first = (await paid.router.acomplete("hi")).decision
        second = (await free.router.acomplete("hi")).decision
    assert second.cache == "shared"
    (link,) = free.named("route").links
    assert (link.context.trace_id, link.context.span_id) == (int(first.trace_id, 16), int(first.ids.span_id, 16))


class Foreign(trace.TracerProvider):
    """A provider that is not the SDK's: it draws ids where nobody can tell it others."""

    def __init__(self) -> None:
        self.made = TracerProvider(shutdown_on_exit=False)

    def get_tracer(self, *args: Any, **more: Any) -> trace.Tracer:
        return ForeignTracer(self.made.get_tracer("x"))


class ForeignTracer(trace.Tracer):
    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer

    def start_span(self, *args: Any, **more: Any) -> trace.Span:
        return self._tracer.start_span(*args, **more)

    start_as_current_span: Any = None


def test_a_provider_that_draws_its_own_ids_gives_them_to_the_log() -> None:
    """The request's ids are then those of its span."""
    spans: list[Any] = []
    provider = Foreign()
    sink = OtelSink(provider=provider)

    class Noting(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            spans.append(span)

    provider.made.add_span_processor(Noting())
    reply = routed(ScriptedClient(), sink).complete("hi")
    route = next(span for span in spans if span.name.startswith("route"))
    assert hexed(route) == (reply.decision.trace_id, reply.decision.ids.span_id)


def test_a_provider_that_is_switched_off_leaves_the_ids_alone() -> None:
    """The SDK then makes no span; a request has ids of its own, in the caller's trace if there is one."""
    reply = routed(ScriptedClient(), OtelSink(provider=trace.NoOpTracerProvider())).complete("hi")
    assert reply.decision.ids.parent_span_id is None
    assert len(reply.trace_id) == 32
    assert int(reply.trace_id, 16)
    remote = SpanContext(7, 9, is_remote=True, trace_flags=TraceFlags(1))
    token = attach(trace.set_span_in_context(NonRecordingSpan(remote)))
    client = ScriptedClient()
    below = routed(client, OtelSink(provider=trace.NoOpTracerProvider())).complete("hi").decision
    detach(token)
    assert (below.trace_id, below.ids.parent_span_id) == (f"{7:032x}", f"{9:016x}")
    assert int(below.ids.span_id, 16) != 9
    assert client.calls[0].headers["traceparent"] == f"00-{7:032x}-{below.attempts[0].span_id}-01"


def test_the_application_keeps_its_provider() -> None:
    """What `[otel]` says of the export is then unused, which is said once; `close` leaves the provider running."""
    traced = Traced(sink={"endpoint": "http://127.0.0.1:9"})
    with pytest.warns(RouterWarning, match="spans go to the application's tracer provider"):
        traced.router.complete("one")
    traced.router.complete("two")
    traced.router.close()
    traced.provider.get_tracer("app").start_span("after").end()
    assert traced.spans[-1].name == "after"
    assert traced.router.trace_stats().exported == 0


COSTS = {
    "langfuse": ("langfuse.observation.cost_details", '{"total": 0.000015}'),
    "logfire": ("operation.cost", 0.000015),
    "openinference": ("llm.cost.total", 0.000015),
    "genai": ("gen_ai.usage.cost.amount", 0.000015),
}


@pytest.mark.parametrize("name", COSTS)
def test_the_cost_has_the_names_of_other_systems_where_asked(name: Any) -> None:
    """None of them by default; ours always."""
    plain, mapped = Traced(), Traced(sink={"cost_names": (name,)})
    for traced in (plain, mapped):
        traced.router.complete("hi")
    key, value = COSTS[name]
    before, after = plain.named("chat").attributes, mapped.named("chat").attributes
    assert before is not None
    assert after is not None
    assert after["lowfare.cost_usd"] == before["lowfare.cost_usd"] == 0.000015
    assert after[key] == value
    more = {"gen_ai.usage.cost.currency", "gen_ai.usage.cost.source"} if name == "genai" else set()
    assert after.keys() - before.keys() == {key, *more}


def test_nothing_stays_behind_of_a_request() -> None:
    """Its span is remembered until it ends, and no longer."""
    traced = Traced(ScriptedClient({"small": answer("fine")}))
    assert traced.router.complete("hi").text == "fine"
    assert not traced.sink._here.open  # noqa: SLF001 - that nothing stays behind cannot be seen from outside
