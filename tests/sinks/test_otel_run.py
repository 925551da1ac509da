"""A mixed run, as a collector on loopback sees it.

Hits, followers, retries, fallbacks, streams, cancellations, hedges, turns that are held back, budgets, usage that is
recorded; from tasks and from threads, below spans of the caller and without.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span

from router import Answer, BudgetExceeded, Call, Chunk, Failure, Router, RouterError, Settings, Usage
from router.core.answer import ChunkChoice, Message
from router.sinks.jsonl import JsonlSink
from router.sinks.otel import OtelSink
from router.sinks.otel_spans import ns
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
        if prompt.startswith("hang") or f"{name} hangs" in prompt:
            await asyncio.Event().wait()
        if f"{name} is slow" in prompt:
            await self.until(prompt, "large")
        again = self.asked.count((prompt, name)) > 1
        if "everyone fails" in prompt or ("small fails" in prompt and name == "small"):
            return failure("server_error")
        if "everyone refuses once" in prompt and not again:
            return failure("refused", retry_after_s=0.001)
        return replace(answer("fine"), id=f"answer-{len(self.asked)}")

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

    async def until(self, prompt: str, name: str) -> None:
        """Waits until a model was asked something."""
        while (prompt, name) not in self.asked:
            await asyncio.sleep(0)

    async def aclose(self) -> None:
        """Has nothing open."""


def settings(endpoint: str, log: Path, **more: Any) -> Settings:
    """Returns those of a router over two models with a cache, a log and traces, and without metrics."""
    model = {"client": "simulated", "context_window_tokens": 10_000, "max_output_tokens": 1_000}
    tables: dict[str, Any] = {
        "models": {
            name: model | {"id": f"simulated/{name}", "input_usd_per_mtok": price, "output_usd_per_mtok": price}
            for name, price in {"small": "1", "large": "3", "narrow": "1", "rare": "1"}.items()
        },
        "policies": {
            name: {"kind": "fallback", "models": [first, "large"]}
            for name, first in {"default": "small", "hedged": "small", "narrow": "narrow", "rare": "rare"}.items()
        },
        "hedge": {"after_s": 0.001},
        "per_policy": {"hedged": {"hedge": True}},
        "retry_quota": {"share": 1.0},
        "breaker": {"consecutive_failures": 1_000, "window_attempts": 1_000},
        "budgets": {
            "poor": {"limit_usd": "0", "window": "day", "scope": "tenant", "only": "poor"},
            "tight": {"limit_usd": "0.0007", "window": "day", "scope": "tenant", "only": "tight"},
        },
        "cache": {"backend": "memory"},
        "bounds": {"waste_usd": "1", "attempts": 4},
        "log": {"path": str(log)},
        "otel": {"endpoint": endpoint},
    }
    tables["models"]["narrow"] |= {"concurrency": 1, "queue": 0}
    tables["models"]["rare"] |= {"deployments": [{"name": "one", "requests_per_minute": 1}]}
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
    await client.until("wait for it", "small")
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
    async with given_up(router, client, "hang", "small"):
        pass
    await hedged(router)
    await held(router, client)
    await below_spans(router)
    with ThreadPoolExecutor(4) as pool:
        loop = asyncio.get_running_loop()
        threads = [loop.run_in_executor(pool, threaded, router, number) for number in range(8)]
        await asyncio.gather(*threads, *(router.acomplete(f"beside thread {number}") for number in range(8)))


@asynccontextmanager
async def given_up(router: Router, client: Moody, prompt: str, name: str, **request: Any) -> AsyncGenerator[None]:
    """Makes a request whose model hangs, and cancels it in the end."""
    hung = asyncio.create_task(router.acomplete(prompt, **request))
    await client.until(prompt, name)
    yield
    hung.cancel()
    with suppress(asyncio.CancelledError):
        await hung


async def hedged(router: Router) -> None:
    """Makes requests of which a second model is asked beside the first: it wins, loses, or both fail."""
    asked = {"policy": "hedged", "max_tokens": 50}
    for prompt in ("small hangs", "small is slow, large hangs", "small is slow, everyone fails"):
        with suppress(RouterError):
            await router.acomplete(prompt, **asked)
    async for _ in router.astream("small hangs in a stream", **asked):
        pass
    hung = asyncio.create_task(router.acomplete("small hangs, large hangs", **asked))
    with suppress(asyncio.CancelledError, TimeoutError):
        await asyncio.wait_for(hung, 0.05)  # long enough for the second to be asked; if not, it is a plain request


async def held(router: Router, client: Moody) -> None:
    """Makes requests some of whose turns are held back: the queue is full, the limit used up, the money gone."""
    async with given_up(router, client, "hang narrowly", "narrow", policy="narrow"):
        assert (await router.acomplete("next to narrow", policy="narrow")).model == "large"
    for prompt in ("rare", "too often"):
        await router.acomplete(prompt, policy="rare")
    with suppress(RouterError):
        await router.acomplete("small fails for little money", tenant="tight", max_tokens=100, attempts=2)


async def below_spans(router: Router) -> None:
    """Makes requests below spans of the caller: two below one, one that names a trace, one that nobody records."""
    with use_span(NonRecordingSpan(CALLER)):
        await router.acomplete("below", cache="off")
        async for _ in router.astream("small fails below"):
            pass
        await router.acomplete("of its own", trace_id=f"{OWN:032x}")
        await router.arecord_usage(model="small", usage=Usage(input_tokens=5))
    with use_span(NonRecordingSpan(SILENT)):
        await router.acomplete("small fails below one that is not recorded")


def threaded(router: Router, number: int) -> None:
    """Makes requests from a thread, below a span of its own."""
    for prompt in ("plain", f"small fails in thread {number}", "asked by all threads"):
        router.complete(prompt, tags={"thread": f"{number}"})
    caller = SpanContext(0xB0 + number, 0xC0 + number, is_remote=False, trace_flags=TraceFlags(1))
    with use_span(NonRecordingSpan(caller)):
        list(router.stream(f"streamed in thread {number}"))
        with suppress(RouterError):
            router.complete(f"everyone fails in thread {number}")
    router.record_usage(model="large", usage=Usage(input_tokens=number + 1))


CALLER = SpanContext(0xA1, 0xA2, is_remote=True, trace_flags=TraceFlags(1))
SILENT = SpanContext(0xA3, 0xA4, is_remote=True, trace_flags=TraceFlags(0))
OWN = 0xA5


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
    records = [orjson.loads(line) for line in log.read_bytes().splitlines()]
    silent = [record for record in records if record["trace_id"] == f"{SILENT.trace_id:032x}"]
    assert len(silent) == 1  # whose caller is not recorded: no span is below it
    assert not any(span.trace_id.hex() == silent[0]["trace_id"] for span in found.spans)
    return [record for record in records if record not in silent], found


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
    attempts = [attempt for record in records for attempt in record["attempts"]]
    assert {a["outcome"] for a in attempts} >= {"answer", "server_error", "refused", "cut", "cancelled"}
    assert {a["held"] for a in attempts} == {None, "queue_full", "rate_limited", "budget_spent"}
    assert {a["outcome"] for a in attempts if a["hedge"]} >= {"answer", "cancelled", "server_error"}
    assert max(len(r["attempts"]) for r in records) > 2
    assert {r.get("parent_span_id") for r in records} == {
        None,
        f"{CALLER.span_id:016x}",
        *(f"{0xC0 + number:016x}" for number in range(8)),
    }
    assert {r["tags"].get("thread") for r in records} == {None, *map(str, range(8))}


def test_every_request_is_one_trace_with_the_ids_of_the_log(run: tuple[list[Record], Collector]) -> None:
    """Each record is a span, below its caller's if any, each of its attempts one below it; there are no others."""
    records, found = run
    spans = by_id(found.spans)
    assert len(spans) == len(found.spans) == sum(1 + len(r["attempts"]) for r in records)
    assert found.services == {"lowfare"}
    assert found.scopes == {"lowfare"}
    assert set(found.paths) == {"/v1/traces"}
    for record in records:
        root = spans[record["span_id"]]
        assert root.trace_id.hex() == record["trace_id"]
        assert root.parent_span_id.hex() == record.get("parent_span_id", "")
        assert (root.name, root.kind) == (f"route {record['policy']}", Span.SPAN_KIND_INTERNAL)
        for attempt, span in below(record, spans):
            assert span.trace_id.hex() == record["trace_id"]
            assert span.parent_span_id == root.span_id
            called = f"chat {attempt['model']}", Span.SPAN_KIND_CLIENT
            assert (span.name, span.kind) == (
                called if attempt["held"] is None else (f"held {attempt['model']}", Span.SPAN_KIND_INTERNAL)
            )


def test_a_request_that_names_its_trace_links_to_its_caller(run: tuple[list[Record], Collector]) -> None:
    """It is no part of the caller's trace, and has no parent."""
    records, found = run
    (record,) = [r for r in records if r["trace_id"] == f"{OWN:032x}"]
    (link,) = by_id(found.spans)[record["span_id"]].links
    assert (int(link.trace_id.hex(), 16), int(link.span_id.hex(), 16)) == (CALLER.trace_id, CALLER.span_id)


def test_spans_take_the_time_of_the_log(run: tuple[list[Record], Collector]) -> None:
    """Each begins and ends when the record says, so that attempts lie within their request."""
    records, found = run
    spans = by_id(found.spans)
    for record in records:
        root = spans[record["span_id"]]
        assert root.start_time_unix_nano == ns(datetime.fromisoformat(record["time"]))
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
    assert len(free) == 1 + 3 + 7 + 7
    for record in free:
        (link,) = spans[record["span_id"]].links
        hit = record["lookup"]["hit"]
        assert (link.trace_id.hex(), link.span_id.hex()) == (hit["trace_id"], hit["span_id"])
        assert spans[link.span_id.hex()].trace_id == link.trace_id
        assert attributes(spans[record["span_id"]])["lowfare.cache.kind"] == record["cache"]
    others = [r for r in records if r["cache"] == "none" and r["trace_id"] != f"{OWN:032x}"]
    assert not any(spans[r["span_id"]].links for r in others)


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
            assert call.get("lowfare.hedge", False) == attempt["hedge"]
            assert call.get("lowfare.held") == attempt["held"]
            assert call.get("gen_ai.response.id") == attempt["response_id"]
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
            kind = attempt["held"] or attempt["outcome"]
            assert attributes(span).get("error.type") == (kind if failed else None)
            assert [attributes(event)["exception.message"] for event in span.events] == (
                [attempt["error"]] if failed else []
            )
