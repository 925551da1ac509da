from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.clients.anthropic import AnthropicClient, Reading, answer_from, usage_from
from router.core.answer import Answer, Usage
from router.core.catalog import Timeouts
from router.core.failure import Failure
from tests.clients.calls import KEY, call, sse, streamed
from tests.replay.server import Recording, ReplayServer

MODEL = "anthropic/claude-sonnet-4-5"
OLD_MODEL = "anthropic/claude-3-5-haiku-20241022"  # has no structured output: a tool stands for `response_format`
JSON = {"content-type": "application/json"}
SSE = {"content-type": "text/event-stream"}
USAGE = {"input_tokens": 10, "output_tokens": 4}


def body(*blocks: Mapping[str, Any], stop: str | None = "end_turn", **more: Any) -> dict[str, Any]:
    """Returns a whole answer."""
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": list(blocks),
        "stop_reason": stop, "stop_sequence": None, "usage": USAGE, **more,
    }  # fmt: skip


def text(value: str) -> dict[str, Any]:
    """Returns a text block."""
    return {"type": "text", "text": value}


def tool(name: str, **arguments: Any) -> dict[str, Any]:
    """Returns a tool call's block."""
    return {"type": "tool_use", "id": f"toolu_{name}", "name": name, "input": arguments}


def events(whole: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields the events by which an answer would have been streamed."""
    head = {**whole, "content": [], "stop_reason": None, "usage": {"input_tokens": 10, "output_tokens": 1}}
    yield {"type": "message_start", "message": head}
    yield {"type": "ping"}
    for index, block in enumerate(whole["content"]):
        yield from block_events(index, block)
    delta = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": delta, "usage": {**whole["usage"], "input_tokens": None}}
    yield {"type": "message_stop"}


def block_events(index: int, block: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields the events of one block, its value in two pieces."""
    match block["type"]:
        case "text":
            start, kind, field, value = text(""), "text_delta", "text", block["text"]
        case "thinking":
            start = {"type": "thinking", "thinking": "", "signature": ""}
            kind, field, value = "thinking_delta", "thinking", block["thinking"]
        case "tool_use" | "server_tool_use":
            start, kind, field = {**block, "input": {}}, "input_json_delta", "partial_json"
            value = json.dumps(block["input"], ensure_ascii=False, separators=(",", ":"))
        case _:
            start, kind, field, value = dict(block), "", "", ""
    yield {"type": "content_block_start", "index": index, "content_block": start}
    for piece in (value[: len(value) // 2], value[len(value) // 2 :]) if kind else ():
        yield {"type": "content_block_delta", "index": index, "delta": {"type": kind, field: piece}}
    if block["type"] == "thinking":
        delta = {"type": "signature_delta", "signature": block["signature"]}
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    for citation in block.get("citations") or ():
        delta = {"type": "citations_delta", "citation": citation}
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


BLOCKS = st.lists(
    st.one_of(
        st.text().map(text),
        st.builds(
            lambda thought, sign: {"type": "thinking", "thinking": thought, "signature": sign}, st.text(), st.text()
        ),
        st.dictionaries(st.text(), st.integers() | st.text()).map(lambda value: {**tool("f"), "input": value}),
        st.just({"type": "redacted_thinking", "data": "x"}),
        st.just({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}}),
    ),
    max_size=5,
)


@given(BLOCKS, st.sampled_from(["end_turn", "tool_use", "max_tokens", "refusal"]))
def test_a_stream_reads_as_the_same_answer_unstreamed(blocks: list[dict[str, Any]], stop: str) -> None:
    """Put together from its events, an answer is what it would have been in one piece; the chunks add up to it."""
    whole = body(*blocks, stop=stop)
    reading = Reading(tool_names={}, json_tool=None)
    chunks = [chunk for event in events(whole) for chunk in reading.feed(event)]
    answer = reading.end({})
    assert answer == answer_from(whole, {})
    assert answer is not None
    assert "".join(chunk.text for chunk in chunks) == answer.text
    arguments: dict[int | None, str] = {}
    for chunk in chunks:
        for part in chunk.choices[0].delta.tool_calls or ():
            arguments[part.index] = arguments.get(part.index, "") + part.function.arguments
    assert list(arguments.values()) == [c.function.arguments for c in answer.choices[0].message.tool_calls or ()]


def test_all_input_counts_as_input() -> None:
    """Tokens read from the cache and written to it are inside the input, the writes split by their time to live."""
    usage = {
        "input_tokens": 10, "output_tokens": 7, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 30,
        "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 10},
        "output_tokens_details": {"thinking_tokens": 3}, "server_tool_use": {"web_search_requests": 2},
        "service_tier": "priority",
    }  # fmt: skip
    assert usage_from({"usage": usage}) == Usage(
        input_tokens=140,
        output_tokens=7,
        cached_input_tokens=100,
        cache_write_tokens=20,
        cache_write_1h_tokens=10,
        reasoning_tokens=3,
        search_requests=2,
        service_tier="priority",
    )


def test_rounds_of_compaction_are_added_and_those_of_another_model_are_not() -> None:
    """A compaction is billed at this model's price and stands only in `iterations`; an advisor has its own price."""
    rounds = [
        {"type": "compaction", "input_tokens": 1000, "output_tokens": 50},
        {"type": "message", **USAGE},
        {"type": "advisor_message", "model": "other", "input_tokens": 9, "output_tokens": 9},
    ]
    usage = usage_from({"usage": {**USAGE, "iterations": rounds}})
    assert usage == Usage(input_tokens=1010, output_tokens=54)


@pytest.mark.parametrize("reported", [None, [], "12"])
def test_no_usage_is_not_zero(reported: object) -> None:
    """An answer that reports no usage has none."""
    assert usage_from({"usage": reported}) is None


def test_counts_may_be_null() -> None:
    """Null is how Anthropic writes a count that does not apply."""
    usage = {"input_tokens": 3, "output_tokens": None, "cache_read_input_tokens": None, "cache_creation": None}
    assert usage_from({"usage": usage}) == Usage(input_tokens=3)


def test_what_openai_has_no_place_for_is_kept() -> None:
    """Signed thinking, citations, the provider's own tools and its container go into `extra`, to be sent back."""
    thinking = {"type": "thinking", "thinking": "hm", "signature": "s"}
    search = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
    cited = {**text("a"), "citations": [{"type": "page", "url": "u"}]}
    whole = body(thinking, search, cited, {"type": "compaction", "content": "c"}, container={"id": "c_1"})
    message = answer_from(whole, {}).choices[0].message
    assert message.reasoning_content == "hm"
    assert message.tool_calls is None
    assert message.extra["thinking_blocks"] == [thinking]
    assert message.extra["server_tool_use"] == [search]
    assert message.extra["citations"] == [{"type": "page", "url": "u"}]
    assert message.extra["container"] == {"id": "c_1"}
    assert message.extra["provider_specific_fields"] == {"compaction_blocks": message.extra["compaction"]}


@pytest.mark.parametrize(
    ("stop", "finish"),
    [
        ("stop_sequence", "stop"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
        ("pause_turn", "pause_turn"),
        (None, None),
    ],
)
def test_stop_reasons_in_openai_s_words(stop: str | None, finish: str | None) -> None:
    """Stop reasons become OpenAI's; one without a counterpart stays."""
    assert answer_from(body(text("a"), stop=stop), {}).finish_reason == finish


def test_the_tool_that_stands_for_response_format_is_the_text() -> None:
    """Its arguments are the content, and the answer ends as one without tools; the caller's own tools stay calls."""
    whole = body(tool("json_tool_call", age=3), stop="tool_use")
    answer = answer_from(whole, {}, json_tool="json_tool_call")
    assert (answer.text, answer.finish_reason, answer.choices[0].message.tool_calls) == ('{"age":3}', "stop", None)
    mixed = answer_from(
        body(tool("json_tool_call", age=3), tool("a_b"), stop="tool_use"),
        {},
        json_tool="json_tool_call",
        tool_names={"a_b": "a.b"},
    )
    assert mixed.finish_reason == "tool_calls"
    assert [c.function.name for c in mixed.choices[0].message.tool_calls or ()] == ["a.b"]


@pytest.fixture
async def client() -> AsyncIterator[AnthropicClient]:
    """Returns a client, closed after the test."""
    one = AnthropicClient()
    yield one
    await one.aclose()


async def test_a_whole_answer(client: AnthropicClient) -> None:
    """The request goes to the Messages API with key and headers; the answer comes back with the response's headers."""
    answered = Recording(headers=JSON | {"Request-Id": "r1"}, body=json.dumps(body(text("hello"))).encode())
    async with ReplayServer({"a": answered}) as server:
        one = call(
            MODEL, base_url=f"{server.url}/a", headers={"X-Trace-ID": "t"}, model_headers={"X-Own": "o"},
            params={"max_tokens": 5},
        )  # fmt: skip
        answer = await client.send(one)
        seen = server.seen["a"]
    assert isinstance(answer, Answer)
    assert (answer.text, answer.finish_reason, answer.model, answer.id) == ("hello", "stop", "claude", "msg_1")
    assert answer.usage == Usage(input_tokens=10, output_tokens=4)
    assert answer.headers["request-id"] == "r1"
    assert seen.path == "/a/v1/messages"
    assert seen.headers["x-api-key"] == KEY
    assert (seen.headers["x-trace-id"], seen.headers["x-own"]) == ("t", "o")
    assert seen.headers["anthropic-version"]
    assert seen.json()["max_tokens"] == 5


async def test_a_stream(client: AnthropicClient) -> None:
    """Chunks come as the events do, the last with the finish reason; then the joined answer."""
    whole = body(text("Grüezi"), tool("clock", city="Zürich"), stop="tool_use")
    async with ReplayServer({"a": Recording(headers=SSE, body=sse(*events(whole)), pieces=9)}) as server:
        chunks, answer = await streamed(client, call(MODEL, base_url=f"{server.url}/a/v1", stream=True))
        sent = server.seen["a"].json()
    assert isinstance(answer, Answer)
    assert sent["stream"] is True
    assert "".join(chunk.text for chunk in chunks) == answer.text == "Grüezi"
    assert answer.choices[0].message.to_dict()["tool_calls"][0]["function"]["arguments"] == '{"city":"Zürich"}'
    assert chunks[-1].choices[0].finish_reason == answer.finish_reason == "tool_calls"
    assert answer.usage == Usage(input_tokens=10, output_tokens=4)


async def test_a_stream_of_the_tool_that_stands_for_response_format(client: AnthropicClient) -> None:
    """Its pieces are pieces of the text."""
    whole = body(tool("json_tool_call", age=3), stop="tool_use")
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object", "properties": {}}}}
    async with ReplayServer({"a": Recording(headers=SSE, body=sse(*events(whole)))}) as server:
        one = call(OLD_MODEL, base_url=f"{server.url}/a", stream=True, params={"response_format": schema})
        chunks, answer = await streamed(client, one)
    assert isinstance(answer, Answer)
    assert "".join(chunk.text for chunk in chunks) == answer.text == '{"age":3}'
    assert chunks[-1].choices[0].finish_reason == answer.finish_reason == "stop"


async def test_an_end_without_content_is_no_first_token(client: AnthropicClient) -> None:
    """An answer that is empty sends no chunk, so that the router may still turn to another model."""
    whole = body(stop="refusal")
    async with ReplayServer({"a": Recording(headers=SSE, body=sse(*events(whole)))}) as server:
        chunks, answer = await streamed(client, call(MODEL, base_url=f"{server.url}/a", stream=True))
    assert chunks == []
    assert isinstance(answer, Answer)
    assert answer.finish_reason == "content_filter"


OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
HEAD, *REST = events(body(text("a")))


@pytest.mark.parametrize(
    ("recording", "kind"),
    [
        (Recording(headers=SSE, body=sse(HEAD) + sse(OVERLOADED, name="error")), "refused"),
        (Recording(headers=SSE, body=sse(*[HEAD, *REST][:5])), "cut"),
        (Recording(headers=SSE, body=sse(HEAD, "{broken")), "server_error"),
        (Recording(headers=SSE, body=sse(*events(body(text("a" * 500)))), pieces=3, cut_after=700), "cut"),
        (Recording(headers=SSE, body=sse("[DONE]")), "unusable"),
        (Recording(headers=SSE, body=sse(HEAD, {"throttlingException": {"message": "Too many requests"}})), "refused"),
        (Recording(headers=JSON, body=json.dumps(OVERLOADED).encode()), "refused"),
        (Recording(headers=JSON, body=b'{"object":"error","message":"overloaded","code":503}'), "refused"),
        (Recording(headers=JSON, body=b"[1]"), "server_error"),
        (Recording(headers=JSON, body=b"{}", pieces=2, cut_after=1), "cut"),
        (Recording(status=529, headers=JSON, body=json.dumps(OVERLOADED).encode()), "refused"),
        (Recording(status=503, headers=JSON, body=b"x" * 50, pieces=2, cut_after=10), "refused"),
    ],
)
async def test_what_goes_wrong_in_a_stream(client: AnthropicClient, recording: Recording, kind: str) -> None:
    """Errors in mid-stream, broken events and broken connections are failures, after whatever came before them."""
    async with ReplayServer({"a": recording}) as server:
        _, failure = await streamed(client, call(MODEL, base_url=f"{server.url}/a", stream=True))
    assert isinstance(failure, Failure)
    assert failure.kind == kind


@pytest.mark.parametrize(
    ("recording", "kind"),
    [
        (Recording(status=529, headers=JSON, body=json.dumps(OVERLOADED).encode()), "refused"),
        (Recording(headers=JSON, body=json.dumps(OVERLOADED).encode()), "refused"),
        (Recording(headers=JSON, body=b'{"object":"error","message":"overloaded","code":503}'), "refused"),
        (Recording(status=401, headers=JSON, body=b'{"error":{"type":"authentication_error"}}'), "denied"),
        (Recording(headers=JSON, body=b'{"object":"thread","text":"private words"}'), "server_error"),
        (Recording(headers={"content-type": "text/html"}, body=b"<p>private words</p>"), "server_error"),
    ],
)
async def test_what_goes_wrong_with_a_whole_answer(client: AnthropicClient, recording: Recording, kind: str) -> None:
    """Every answer that is none is a failure, and quotes nothing that may be someone's text."""
    async with ReplayServer({"a": recording}) as server:
        failure = await client.send(call(MODEL, base_url=f"{server.url}/a"))
    assert isinstance(failure, Failure)
    assert failure.kind == kind
    assert "private" not in failure.message


async def test_what_never_leaves(client: AnthropicClient) -> None:
    """No connection, and a request that cannot be written, are failures of a request that was not sent."""
    refused = call(MODEL, base_url="http://127.0.0.1:9")
    strange = call(MODEL, base_url="http://127.0.0.1:9", params={"seed": 1})
    assert isinstance(failure := await client.send(refused), Failure)
    assert (failure.kind, failure.sent) == ("not_sent", False)
    assert isinstance(failure := await client.send(strange), Failure)
    assert (failure.kind, failure.sent) == ("unsupported", False)
    for one, kind in ((refused, "not_sent"), (strange, "unsupported")):
        streaming = call(MODEL, base_url="http://127.0.0.1:9", stream=True, params=dict(one.request.params))
        _, outcome = await streamed(client, streaming)
        assert isinstance(outcome, Failure)
        assert outcome.kind == kind


async def test_the_total_time_out(client: AnthropicClient) -> None:
    """An answer that takes too long has timed out."""
    late = Recording(headers=JSON, body=b"{}", delay_s=30)
    async with ReplayServer({"a": late}) as server:
        failure = await client.send(call(MODEL, base_url=f"{server.url}/a", timeouts=Timeouts(total_s=1.5)))
    assert isinstance(failure, Failure)
    assert failure.kind == "timed_out"


def test_events_that_nobody_foresaw() -> None:
    """A delta without its block, arguments that came with their head, and unknown events are taken as they are."""
    reading = Reading(tool_names={}, json_tool=None)
    feed: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"id": "m"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": ""}},
        {"type": "content_block_start", "index": 1, "content_block": tool("f", x=1)},
        {"type": "content_block_stop", "index": 1},
        {"type": "content_block_start", "index": 2, "content_block": text("b")},
        {"type": "content_block_start", "index": 3, "content_block": {"type": "thinking"}},
        {"type": "content_block_delta", "index": 3, "delta": {"type": "thinking_delta", "thinking": ""}},
        {"type": "content_block_start", "index": 4, "content_block": tool("g")},
        {"type": "content_block_delta", "index": 4, "delta": {"type": "input_json_delta", "partial_json": ""}},
        {"type": "content_block_stop", "index": 4},
        {"type": "yet_to_come"},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
    ]
    chunks = [chunk for event in feed for chunk in reading.feed(event)]
    answer = reading.end({})
    assert answer is not None
    assert answer.text == "ab" == "".join(chunk.text for chunk in chunks)
    assert [c.function.arguments for c in answer.choices[0].message.tool_calls or ()] == ['{"x":1}', "{}"]
    assert answer.usage is None
