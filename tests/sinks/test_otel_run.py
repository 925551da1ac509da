"""A mixed run, as a collector on loopback sees it: hits, followers, retries, fallbacks, streams, cancellations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from router import Answer, BudgetExceeded, Call, Chunk, Failure, Router, RouterError, Settings, Usage
from router.core.answer import ChunkChoice, Message
from router.sinks.jsonl import JsonlSink
from router.sinks.otel import OtelSink
from router.sinks.sink import Sink
from router.testing.scripted import answer, failure
from tests.sinks.otlp import Collector, attributes, collector

Record = dict[str, Any]


class Moody:
    """A client that does what the prompt says: "small fails", "everyone refuses once", "wait", "hang", "breaks", ..."""

    keeps_time = True

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.asked: list[tuple[str, str]] = []

    async def send(self, call: Call, /) -> Answer | Failure:
        prompt, name = str(call.request.messages[-1]["content"]), call.model.name
        self.asked.append((prompt, name))
        if prompt.startswith("wait"):
            await self.go.wait()
        if prompt.startswith("hang"):
            await asyncio.Event().wait()
        again = self.asked.count((prompt, name)) > 1
        if "everyone fails" in prompt or ("small fails" in prompt and name == "small"):
            return failure("server_error")
        if "everyone refuses once" in prompt and not again:
            return failure("refused", retry_after_s=0.001)
        return answer("fine")

    async def stream(self, call: Call, /) -> AsyncGenerator[Chunk | Answer | Failure]:
        result = await self.send(call)
        if isinstance(result, Answer):
            for text in ("fi", "ne"):
                yield Chunk(choices=(ChunkChoice(delta=Message(content=text)),))
                await asyncio.sleep(0)
            if "breaks" in str(call.request.messages[-1]["content"]):
                yield failure("cut")
                return
        yield result

    async def aclose(self) -> None:
        """Has nothing open."""


def settings(endpoint: str, log: Path, **more: Any) -> Settings:
    """Returns those of a router over two models with a cache, a log and traces, and without metrics."""
    model = {"client": "simulated", "context_window_tokens": 10_000, "max_output_tokens": 1_000}
    tables: dict[str, Any] = {
        "models": {
            name: model | {"id": f"simulated/{name}", "input_usd_per_mtok": price, "output_usd_per_mtok": price}
            for name, price in {"small": "1", "large": "3"}.items()
        },
        "policies": {"default": {"kind": "fallback", "models": ["small", "large"]}},
        "budgets": {"poor": {"limit_usd": "0", "window": "day", "scope": "tenant", "only": "poor"}},
        "cache": {"backend": "memory"},
        "bounds": {"waste_usd": "1", "attempts": 4},
        "log": {"path": str(log)},
        "otel": {"endpoint": endpoint},
    }
    whole = tables | more
    return Settings(**whole | {"otel": {"metrics": False} | whole["otel"]})


async def mixed(router: Router, client: Moody) -> None:
    """Makes requests of every kind."""
    for prompt in ("plain", "plain", "small fails", "everyone refuses once"):
        await router.acomplete(prompt, tags={"team": "x"}, tenant="acme", temperature=0.5, max_tokens=50)
    for prompt in ("everyone fails", "too dear"):
        with suppress(RouterError):
            await router.acomplete(prompt, max_cost_usd="0.000000001" if prompt == "too dear" else None)
    with pytest.raises(RouterError):
        await router.acomplete("never seen", cache="only")
    with pytest.raises(BudgetExceeded):
        await router.acomplete("over the budget", tenant="poor")
    await router.arecord_usage(model="small", usage=Usage(input_tokens=9), request_id="elsewhere")
    leader = asyncio.create_task(router.acomplete("wait for it"))
    while ("wait for it", "small") not in client.asked:
        await asyncio.sleep(0)
    followers = [asyncio.create_task(router.acomplete("wait for it")) for _ in range(3)]
    for _ in range(100):
        await asyncio.sleep(0)
    client.go.set()
    await asyncio.gather(leader, *followers)
    async for _ in router.astream("streamed"):
        pass
    with pytest.raises(RouterError):
        async for _ in router.astream("streamed and breaks"):
            pass
    half = router.astream("half a stream")
    async for _ in half:
        break
    await half.aclose()
    hung = asyncio.create_task(router.acomplete("hang"))
    while ("hang", "small") not in client.asked:
        await asyncio.sleep(0)
    hung.cancel()
    with suppress(asyncio.CancelledError):
        await hung


@pytest.fixture(scope="module", params=["our own", "the application's"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Record], Collector]:
    """Returns the log of a mixed run, and the collector that got its traces: from us, or the application's provider."""
    log = tmp_path_factory.mktemp("run") / "log.jsonl"
    with collector() as found:
        provider = TracerProvider(resource=Resource.create({"service.name": "lowfare"}), shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{found.url}/v1/traces")))
        theirs: tuple[Sink, ...] = (JsonlSink(log), OtelSink(provider=provider))
        sinks = None if request.param == "our own" else theirs

        async def runs() -> None:
            client = Moody()
            async with Router(settings(found.url, log), clients={"simulated": client}, sinks=sinks) as router:
                await mixed(router, client)

        asyncio.run(runs())
        provider.shutdown()
    return [orjson.loads(line) for line in log.read_bytes().splitlines()], found


def by_id(spans: list[Span]) -> dict[str, Span]:
    """Returns spans by their ids."""
    return {span.span_id.hex(): span for span in spans}


def below(record: Record, spans: dict[str, Span]) -> Iterator[tuple[dict[str, Any], Span]]:
    """Yields each attempt of a record with its span."""
    for attempt in record["attempts"]:
        yield attempt, spans[attempt["span_id"]]


def test_the_run_is_mixed(run: tuple[list[Record], Collector]) -> None:
    """All kinds of requests are in it."""
    records, _ = run
    assert {r["cache"] for r in records} == {"none", "memory", "flight"}
    endings = {
        "answer",
        "final",
        "bounds",
        "no_candidate",
        "not_cached",
        "committed",
        "cancelled",
        "budget",
        "recorded",
    }
    assert {r["ending"] for r in records} >= endings - {"bounds", "final"}
    assert {r["ending"] for r in records} & {"bounds", "final"}
    outcomes = {a["outcome"] for r in records for a in r["attempts"]}
    assert outcomes >= {"answer", "server_error", "refused", "cut", "cancelled"}
    assert max(len(r["attempts"]) for r in records) > 2


def test_every_request_is_one_trace_with_the_ids_of_the_log(run: tuple[list[Record], Collector]) -> None:
    """Each record is a span without a parent, each of its attempts one below it, and there are no others."""
    records, found = run
    spans = by_id(found.spans)
    assert len(spans) == len(found.spans) == sum(1 + len(r["attempts"]) for r in records)
    assert found.services == {"lowfare"}
    assert found.scopes == {"lowfare"}
    assert set(found.paths) == {"/v1/traces"}
    for record in records:
        root = spans[record["span_id"]]
        assert root.trace_id.hex() == record["trace_id"]
        assert root.parent_span_id == b""
        assert (root.name, root.kind) == (f"route {record['policy']}", Span.SPAN_KIND_INTERNAL)
        for attempt, span in below(record, spans):
            assert span.trace_id.hex() == record["trace_id"]
            assert span.parent_span_id == root.span_id
            assert (span.name, span.kind) == (f"chat {attempt['model']}", Span.SPAN_KIND_CLIENT)


def test_spans_take_the_time_of_the_log(run: tuple[list[Record], Collector]) -> None:
    """Each begins and ends when the record says, so that attempts lie within their request."""
    records, found = run
    spans = by_id(found.spans)
    for record in records:
        root = spans[record["span_id"]]
        took_s = (root.end_time_unix_nano - root.start_time_unix_nano) / 1e9
        assert took_s == pytest.approx(record["latency_s"], abs=2e-6)
        for attempt, span in below(record, spans):
            began_s = (span.start_time_unix_nano - root.start_time_unix_nano) / 1e9
            assert began_s == pytest.approx(attempt["started_s"], abs=2e-6)
            assert (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9 == pytest.approx(
                attempt["latency_s"], abs=2e-6
            )
            assert span.end_time_unix_nano <= root.end_time_unix_nano + 2_000


def test_what_was_free_links_to_what_was_paid(run: tuple[list[Record], Collector]) -> None:
    """A hit and a follower each link to the span of the request whose answer they got."""
    records, found = run
    spans = by_id(found.spans)
    free = [r for r in records if r["cache"] != "none"]
    assert len(free) == 4
    for record in free:
        (link,) = spans[record["span_id"]].links
        hit = record["lookup"]["hit"]
        assert (link.trace_id.hex(), link.span_id.hex()) == (hit["trace_id"], hit["span_id"])
        assert spans[link.span_id.hex()].trace_id == link.trace_id
        assert attributes(spans[record["span_id"]])["lowfare.cache.kind"] == record["cache"]
    assert not any(spans[r["span_id"]].links for r in records if r["cache"] == "none")


def test_spans_say_what_the_record_says(run: tuple[list[Record], Collector]) -> None:
    """Money, model, reasons and usage are those of the log."""
    records, found = run
    spans = by_id(found.spans)
    for record in records:
        says = attributes(spans[record["span_id"]])
        assert says.get("lowfare.model") == record["model"]
        assert (says["lowfare.why"], says["lowfare.ending"]) == (record["why"], record["ending"])
        for name in ("cost_usd", "waste_usd", "worst_case_usd", "baseline_usd"):
            told = record[name]
            assert says.get(f"lowfare.{name}") == (None if told is None else float(told)), name
        assert len(says.get("lowfare.dropped", ())) == len(record["slate"]["dropped"])
        assert {f"lowfare.tag.{name}" for name in record["tags"]} <= says.keys()
        for attempt, span in below(record, spans):
            call = attributes(span)
            usage = attempt["usage"] or {}
            assert call.get("gen_ai.usage.input_tokens") == usage.get("input_tokens")
            assert call.get("lowfare.cost_usd") == (attempt["cost_usd"] and float(attempt["cost_usd"]))
            assert call.get("gen_ai.response.time_to_first_chunk") == attempt["first_token_s"]
            assert call["lowfare.outcome"] == attempt["outcome"]
            if attempt["finish_reason"]:
                assert call["gen_ai.response.finish_reasons"] == [attempt["finish_reason"]]
    plain = attributes(spans[next(r for r in records if r["tags"])["attempts"][0]["span_id"]])
    assert (plain["gen_ai.request.temperature"], plain["gen_ai.request.max_tokens"]) == (0.5, 50)


def test_what_failed_has_an_exception_and_a_type(run: tuple[list[Record], Collector]) -> None:
    """A failed attempt, and a request without an answer, is an error with `error.type`; nothing else is one."""
    records, found = run
    spans = by_id(found.spans)
    for record in records:
        root = spans[record["span_id"]]
        failed = record["ending"] not in ("answer", "cancelled", "recorded")
        assert (root.status.code == Status.STATUS_CODE_ERROR) is failed
        assert ("error.type" in attributes(root)) is failed
        assert [event.name for event in root.events] == (["exception"] if failed else [])
        for attempt, span in below(record, spans):
            failed = attempt["outcome"] not in ("answer", "cancelled")
            assert attributes(span).get("error.type") == (attempt["outcome"] if failed else None)
            assert [attributes(event)["exception.message"] for event in span.events] == (
                [attempt["error"]] if failed else []
            )
