from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.clients.client import Call
from router.clients.openai import OpenAIClient, answer_from, usage_from
from router.clients.openai_request import body_of, short_id
from router.clients.openai_stream import Joiner
from router.clients.openai_wire import json_of
from router.clients.quirks import COMPATIBLE, QUIRKS, Quirks, endpoint, provider_at, quirks_of
from router.core.answer import Answer, Chunk, Function, Message, ToolCall, Usage
from router.core.catalog import Model, Timeouts
from router.core.failure import Failure
from router.core.request import Request
from tests.replay.server import Recording, ReplayServer

HELLO: Mapping[str, Any] = {"role": "user", "content": "hello"}


def model(id_: str = "gpt-4.1", provider: str = "openai", **fields: Any) -> Model:
    """Returns a catalog entry."""
    return Model(name=id_, id=id_, provider=provider, client="openai", **fields)


def call(entry: Model, *messages: Mapping[str, Any], stream: bool = False, **params: Any) -> Call:
    """Returns a call of a model."""
    request = Request(messages=messages or (HELLO,), params=params, stream=stream)
    return Call(model=entry, request=request, timeouts=Timeouts(total_s=10), key="sk-1")


def sent(provider: str, *messages: Mapping[str, Any], stream: bool = False, **params: Any) -> dict[str, Any]:
    """Returns the body that a provider is sent."""
    return body_of(
        call(model(provider=provider), *messages, stream=stream, **params), quirks_of(provider), stream=stream
    )


def completion(message: Mapping[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """Returns an answer's JSON."""
    choice = {"index": 0, "message": message or {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
    return {"id": "c1", "model": "gpt-4.1-2025", "choices": [choice], **fields}


def delta(finish_reason: str | None = None, index: int | None = 0, **fields: Any) -> dict[str, Any]:
    """Returns one event of a stream."""
    choice = {"delta": fields, "finish_reason": finish_reason} | ({} if index is None else {"index": index})
    return {"id": "c1", "model": "gpt-4.1-2025", "choices": [choice]}


def events(*payloads: Any, done: bool = True) -> bytes:
    """Returns the bytes of a stream."""
    datas = [payload if isinstance(payload, str) else orjson.dumps(payload).decode() for payload in payloads]
    return "".join(f"data: {data}\n\n" for data in [*datas, *(["[DONE]"] if done else [])]).encode()


def join(*payloads: Mapping[str, Any], provider: str = "openai") -> tuple[list[Chunk], Answer]:
    """Returns the chunks and the answer of a stream's events."""
    joiner = Joiner(provider, {})
    chunks = [chunk for payload in payloads if (chunk := joiner.add(payload)) is not None]
    return chunks, joiner.answer()


def usage(provider: str = "openai", /, **fields: Any) -> Usage:
    """Returns what a usage object says."""
    found = usage_from({"usage": fields}, provider)
    assert found is not None
    return found


@pytest.fixture
async def server() -> AsyncIterator[ReplayServer]:
    """A loopback provider."""
    async with ReplayServer() as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[OpenAIClient]:
    """A client that is closed after the test."""
    made = OpenAIClient()
    yield made
    await made.aclose()


def at(server: ReplayServer, recording: Recording) -> Model:
    """Returns a model that answers with a recording."""
    server.recordings["a"] = recording
    return model("m", "openai_compatible", base_url=f"{server.url}/a/v1")


SSE = {"Content-Type": "text/event-stream"}


async def streamed(
    client: OpenAIClient, server: ReplayServer, body: bytes, headers: Mapping[str, str] = SSE, **fields: Any
) -> list[Chunk | Answer | Failure]:
    """Returns all that a stream with this body yields."""
    entry = at(server, Recording(headers=headers, body=body, pieces=3, **fields))
    return [item async for item in client.stream(call(entry, stream=True))]


# Where a model stands.


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        (model(), "https://api.openai.com/v1/chat/completions"),
        (model("groq/llama", "groq"), "https://api.groq.com/openai/v1/chat/completions"),
        (model(base_url="http://127.0.0.1:8000/v1/"), "http://127.0.0.1:8000/v1/chat/completions"),
        (model(base_url="http://h/x/chat/completions"), "http://h/x/chat/completions"),
        (
            model("azure/mine", "azure", base_url="https://r.openai.azure.com/"),
            "https://r.openai.azure.com/openai/deployments/mine/chat/completions?api-version=2024-10-21",
        ),
        (
            model("azure/mine", "azure", base_url="https://r.openai.azure.com", options={"api_version": "2025-01-01"}),
            "https://r.openai.azure.com/openai/deployments/mine/chat/completions?api-version=2025-01-01",
        ),
        (
            model("azure/x", "azure", base_url="https://r.openai.azure.com/openai/deployments/d"),
            "https://r.openai.azure.com/openai/deployments/d/chat/completions?api-version=2024-10-21",
        ),
        (
            model("azure/x", "azure", base_url="https://r.openai.azure.com/openai/v1"),
            "https://r.openai.azure.com/openai/v1/chat/completions",
        ),
        (model("azure/x", "azure"), None),
        (model("x", "nobody"), None),
    ],
)
def test_the_address_follows_from_base_url_and_table(entry: Model, url: str | None) -> None:
    """The table's base URL unless the model has its own; Azure's deployments are dated, its /v1 is not."""
    assert endpoint(entry) == url


@pytest.mark.parametrize(
    ("provider", "base_url", "whose"),
    [
        ("openai", None, "openai"),
        ("openai", "https://api.openai.com/v1", "openai"),
        ("openai", "http://127.0.0.1:8000/v1", "openai_compatible"),
        ("openai", "https://api.mistral.ai/v1", "mistral"),
        ("openai_compatible", "https://x.openai.azure.com/openai/v1", "azure"),
        ("openai_compatible", "https://unknown.example/v1", "openai_compatible"),
        ("mistral", "http://127.0.0.1:8000/v1", "mistral"),
        ("together", None, "together_ai"),
    ],
)
def test_quirks_are_those_of_the_host_that_is_really_asked(provider: str, base_url: str | None, whose: str) -> None:
    """`openai` with a base URL elsewhere is only a protocol; a host known by its address keeps its quirks."""
    assert provider_at(provider, base_url) == whose


# What is sent.

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.text(min_size=1, max_size=8), JSON, max_size=5), st.booleans())
def test_parameters_go_out_as_given(params: dict[str, Any], stream: bool) -> None:
    """A compatible host gets what the caller gave, unknown fields too, plus the model and the wish for a stream."""
    params = {k: v for k, v in params.items() if k not in ("model", "messages", "stream", "stream_options")}
    body = sent("nobody", stream=stream, **params)
    extra = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    assert body == {"model": "gpt-4.1", "messages": [HELLO], **params, **extra}


@given(st.sampled_from(sorted(QUIRKS)), st.booleans())
def test_what_the_caller_passed_is_not_changed_in_place(provider: str, stream: bool) -> None:
    """Quirks are applied to copies: the next attempt, at another host, starts from the caller's own."""
    messages = ({"role": "developer", "content": "x"}, {"role": "assistant", "content": None, "reasoning_content": "r"})
    params = {"max_tokens": 1, "seed": 2, "tool_choice": "required", "stream_options": {"other": 1}}
    before = orjson.dumps([messages, params])
    entry = Request(messages=messages, params=params, stream=stream)
    ask = Call(model=model(provider=provider), request=entry, timeouts=Timeouts())
    body_of(ask, quirks_of(provider), stream=stream)
    assert orjson.dumps([messages, params]) == before


def test_the_output_limit_goes_by_the_hosts_name_for_it() -> None:
    """A limit under a name the host ignores would be no limit; what the caller gave under the right name stands."""
    assert sent("openai", max_tokens=5)["max_completion_tokens"] == 5
    assert "max_tokens" not in sent("openai", max_tokens=5)
    assert sent("deepseek", max_completion_tokens=5)["max_tokens"] == 5
    assert sent("deepseek", max_completion_tokens=5, max_tokens=7)["max_tokens"] == 7
    assert sent("groq", max_tokens=5)["max_tokens"] == 5


def test_mistral_has_its_own_words() -> None:
    """Seed, tool choice and the form of tool call ids are Mistral's; usage is not asked for, as it comes unasked."""
    called = {"role": "assistant", "tool_calls": [{"id": "call_abcdefgh", "function": {"name": "f", "arguments": ""}}]}
    result = {"role": "tool", "tool_call_id": "call_abcdefgh", "content": "1"}
    body = sent("mistral", called, result, stream=True, seed=1, tool_choice="required", stream_options={"x": 1})
    assert (body["random_seed"], body["tool_choice"], body["stream"]) == (1, "any", True)
    assert not {"seed", "stream_options"} & body.keys()
    [short] = {body["messages"][0]["tool_calls"][0]["id"], body["messages"][1]["tool_call_id"]}
    assert len(short) == 9
    kept = {"role": "assistant", "tool_calls": [{"id": "D681PevKs", "function": {"name": "f", "arguments": ""}}]}
    assert sent("mistral", kept)["messages"][0] is kept
    odd = {"role": "assistant", "tool_calls": ["?"]}
    assert sent("mistral", odd)["messages"] == [odd]


@given(st.text(max_size=20))
def test_short_ids_are_nine_letters_and_stay_themselves(call_id: str) -> None:
    """The same id always becomes the same short one, and a short one itself."""
    short = short_id(call_id)
    assert len(short) == 9
    assert short.isalnum()
    assert short_id(short) == short


def test_usage_is_asked_for_on_streams_beside_what_the_caller_asks() -> None:
    """`include_usage` joins the caller's own stream options; a model's options can switch it off."""
    assert sent("openai", stream=True, stream_options={"x": 1})["stream_options"] == {"x": 1, "include_usage": True}
    assert sent("openai", stream=True, stream_options="?")["stream_options"] == {"include_usage": True}
    quiet = call(model(options={"include_usage": False}), stream=True)
    assert "stream_options" not in body_of(quiet, QUIRKS["openai"], stream=True)
    assert sent("openrouter")["usage"] == {"include": True}
    assert sent("openrouter", usage={"include": False})["usage"] == {"include": False}


def test_each_host_gets_the_reasoning_under_its_own_name() -> None:
    """A conversation over several models shows each host only the fields it knows."""
    turn = {
        "role": "assistant",
        "content": "a",
        "reasoning_content": "r",
        "reasoning_details": [1],
        "annotations": [2],
        "own": 3,
    }
    plain = {"role": "assistant", "content": "a", "own": 3}
    assert sent("mistral", turn)["messages"] == [plain]
    assert sent("openai", turn)["messages"] == [plain | {"annotations": [2]}]
    assert sent("deepseek", turn)["messages"] == [plain | {"reasoning_content": "r"}]
    assert sent("groq", turn)["messages"] == [plain | {"reasoning": "r"}]
    assert sent("nobody", turn)["messages"] == [turn]
    assert sent("openrouter", turn)["messages"] == [
        plain | {"reasoning": "r", "reasoning_details": [1], "annotations": [2]}
    ]


def test_other_hosts_fields_in_tool_calls_are_left_out() -> None:
    """Google's thought signatures go back to Google alone."""
    function = {"name": "f", "arguments": "{}"}
    turn = {"role": "assistant", "tool_calls": [{"id": "1", "function": function, "extra_content": {"google": 1}}]}
    assert sent("groq", turn)["messages"][0]["tool_calls"] == [{"id": "1", "function": function}]
    assert sent("gemini", turn)["messages"] == [turn]
    assert sent("nobody", turn)["messages"] == [turn]


def test_developers_are_the_system_where_they_are_not_known() -> None:
    """The role that only some hosts know is sent under its older name elsewhere."""
    rule = {"role": "developer", "content": "be brief"}
    assert sent("openai", rule)["messages"] == [rule]
    assert sent("deepseek", rule)["messages"] == [{"role": "system", "content": "be brief"}]


async def test_keys_and_headers_go_where_the_host_looks(client: OpenAIClient, server: ReplayServer) -> None:
    """Bearer or `api-key`; the model's and the call's headers join; a key in the model's own headers stands."""
    entry = replace(at(server, Recording(body=orjson.dumps(completion()))), headers={"X-Team": "a"})
    await client.send(replace(call(entry), headers={"traceparent": "00-1"}, key=" sk-1\n"))
    seen = server.seen["a"].headers
    assert (seen["authorization"], seen["x-team"], seen["traceparent"]) == ("Bearer sk-1", "a", "00-1")
    assert seen["content-type"] == "application/json"
    await client.send(call(replace(entry, provider="azure", base_url=f"{server.url}/a/v1")))
    assert server.seen["a"].headers["api-key"] == "sk-1"
    assert "authorization" not in server.seen["a"].headers
    await client.send(call(replace(entry, headers={"authorization": "Basic x"})))
    assert server.seen["a"].headers["authorization"] == "Basic x"
    await client.send(replace(call(entry), key=None))
    assert "authorization" not in server.seen["a"].headers


async def test_the_requests_own_headers_go_over_all_others(client: OpenAIClient, server: ReplayServer) -> None:
    """Over the client's, the model's and the router's; a key among them is the only one, and none of it is body."""
    entry = replace(at(server, Recording(body=orjson.dumps(completion()))), headers={"X-A": "model", "X-B": "model"})
    own = {"x-a": "mine", "authorization": "Bearer own", "content-type": "application/json; charset=utf-8"}
    for headers in (own, {"api-key": "own"}):
        one = call(entry)
        one = replace(one, headers={"X-A": "router"}, request=replace(one.request, headers=headers))
        assert isinstance(await client.send(one), Answer)
        seen = server.seen["a"]
        assert {name: seen.headers[name] for name in headers} == headers
        assert seen.headers["x-b"] == "model"
        assert "sk-1" not in str(seen)
        assert seen.json().keys() == {"model", "messages"}


async def test_ids_with_slashes_reach_a_compatible_server_whole(client: OpenAIClient, server: ReplayServer) -> None:
    """The id of a model behind a base URL is the server's own."""
    entry = replace(at(server, Recording(body=orjson.dumps(completion()))), id="openai/gpt-oss-20b")
    await client.send(call(entry))
    assert server.seen["a"].json()["model"] == "openai/gpt-oss-20b"
    assert server.seen["a"].path == "/a/v1/chat/completions"


async def test_a_key_that_no_header_may_hold_is_denied_unsent(client: OpenAIClient, server: ReplayServer) -> None:
    """A key pasted with a line break inside is refused here, and never shown."""
    entry = at(server, Recording())
    for ask in (call(entry), call(entry, stream=True)):
        broken = replace(ask, key="sk-\n1")
        result = [item async for item in client.stream(broken)][-1] if ask.request.stream else await client.send(broken)
        assert isinstance(result, Failure)
        assert (result.kind, result.sent) == ("denied", False)
        assert "sk-" not in result.message
    assert server.count == 0


async def test_a_model_without_an_address_is_not_sent(client: OpenAIClient) -> None:
    """Where neither table nor model has a base URL the failure names both."""
    failure = await client.send(call(model("x", "nobody")))
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.sent) == ("no_such_model", False)
    assert "'nobody'" in failure.message


# What comes back.


async def test_an_answer_has_its_parts(client: OpenAIClient, server: ReplayServer) -> None:
    """Text, finish reason, id, model, usage and headers of a plain answer."""
    body = orjson.dumps(completion(usage={"prompt_tokens": 3, "completion_tokens": 2}, service_tier="flex"))
    answer = await client.send(call(at(server, Recording(headers={"X-Request-ID": "r1"}, body=b"\n\n " + body))))
    assert isinstance(answer, Answer)
    assert (answer.text, answer.finish_reason, answer.id, answer.model) == ("hi", "stop", "c1", "gpt-4.1-2025")
    assert answer.usage == Usage(input_tokens=3, output_tokens=2, service_tier="flex")
    assert answer.headers["x-request-id"] == "r1"


def message(**fields: Any) -> Message:
    """Returns what a message's JSON is read as."""
    return answer_from(completion(fields), "openai").choices[0].message


def test_a_message_has_its_parts_whatever_the_host_calls_them() -> None:
    """Reasoning by three names, content by lists, and all that has no place of its own kept aside."""
    assert message(content="a", reasoning_content="r").reasoning_content == "r"
    assert message(content="a", reasoning="r", reasoning_content=None).reasoning_content == "r"
    details = [{"type": "reasoning.text", "text": "r"}, {"summary": "s"}, "?"]
    assert message(content="a", reasoning_details=details).reasoning_content == "rs"
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "r"}, 1]}, {"type": "text", "text": "a"}]
    listed = message(content=[*parts, "b", {"type": "thinking", "thinking": "q"}, {"type": "reference"}])
    assert (listed.content, listed.reasoning_content) == ("ab", "rq")
    assert message(content=7).content is None
    assert message(content=None, refusal="no").refusal == "no"
    kept = message(content="", annotations=[], audio={"id": "x"}, function_call=None, images=[1])
    assert (kept.content, kept.extra) == ("", {"audio": {"id": "x"}, "images": [1]})


def test_tool_calls_are_read_in_every_shape() -> None:
    """Arguments as text or parsed, custom tools with free text, and broken ones without an exception."""
    calls = [
        {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
        {"id": "2", "function": {"name": "g", "arguments": {"b": 2}}, "extra_content": {"google": 1}},
        {"id": "3", "type": "custom", "custom": {"name": "h", "input": "free"}},
        {"id": "4", "function": None},
        "?",
    ]
    found = message(tool_calls=calls).tool_calls
    assert found is not None
    first, second, third, fourth = found
    assert first.function == Function(name="f", arguments='{"a":1}')
    assert (second.function.arguments, second.extra) == ('{"b":2}', {"extra_content": {"google": 1}})
    assert (third.type, third.function.arguments) == ("custom", "free")
    assert fourth == ToolCall(id="4", function=Function(name="", arguments=""))
    assert message(tool_calls=[]).tool_calls is None


def test_a_tool_call_goes_back_as_it_came() -> None:
    """What `to_dict` gives is what the next request needs, for functions and for custom tools."""
    calls = [
        {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}, "extra_content": {"google": 1}},
        {"id": "2", "type": "custom", "custom": {"name": "h", "input": "free"}},
    ]
    assert message(tool_calls=calls).to_dict()["tool_calls"] == calls


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("stop", "stop"),
        ("eos", "stop"),
        ("tool_use", "tool_calls"),
        ("MAX_TOKENS", "length"),
        ("new", "new"),
        ("", None),
    ],
)
def test_finish_reasons_are_openais_words_where_there_is_one(word: str, reason: str | None) -> None:
    """Other hosts' words are translated, unknown ones kept."""
    body = {"choices": [{"message": {}, "finish_reason": word}, {"text": "plain"}, "?"]}
    answer = answer_from(body, "openai")
    assert answer.finish_reason == reason
    assert answer.choices[1].message.content == "plain"
    assert [choice.index for choice in answer.choices] == [0, 1]


def test_citations_beside_the_choices_go_with_the_first_message() -> None:
    """Perplexity's sources are not lost, whole or streamed."""
    assert answer_from(completion(citations=["u"]), "perplexity").choices[0].message.extra == {"citations": ["u"]}
    _, answer = join(delta(content="a") | {"citations": ["u"]}, delta("stop"))
    assert answer.choices[0].message.extra == {"citations": ["u"]}
    assert not join({"choices": [], "citations": ["u"]})[1].choices


@pytest.mark.parametrize("body", [b"<html>gateway</html>", b"[1]", b'"text"', b'{"ok": true}', b"", b"error: no"])
async def test_a_success_that_is_no_completion_is_unusable(
    client: OpenAIClient, server: ReplayServer, body: bytes
) -> None:
    """HTTP 200 with something else in it is no answer, whether a stream was asked for or not."""
    entry = at(server, Recording(headers={"Content-Type": "text/html"}, body=body))
    for failure in (await client.send(call(entry)), *[item async for item in client.stream(call(entry, stream=True))]):
        assert isinstance(failure, Failure)
        assert (failure.kind, failure.status) == ("unusable", 200)


@pytest.mark.parametrize("stream", [False, True])
async def test_errors_are_classified(client: OpenAIClient, server: ReplayServer, stream: bool) -> None:
    """An error status, and an error inside HTTP 200, are failures of their class; retry-after is read."""
    limited = Recording(status=429, headers={"Retry-After": "7"}, body=b'{"error": {"message": "Rate limit reached"}}')
    hidden = Recording(body=b'{"error": {"message": "Provider returned error", "code": 502}}')
    for recording, kind in ((limited, "refused"), (hidden, "server_error")):
        ask = call(at(server, recording), stream=stream)
        result = [item async for item in client.stream(ask)][-1] if stream else await client.send(ask)
        assert isinstance(result, Failure)
        assert (result.kind, result.status) == (kind, recording.status)
        if recording is limited:
            assert result.retry_after_s == 7


async def test_an_unreachable_host_is_not_sent(client: OpenAIClient, server: ReplayServer) -> None:
    """Transport faults pass through as the HTTP layer names them, whole and streamed."""
    entry = model("m", "openai_compatible", base_url="http://127.0.0.1:9/v1")
    for result in (await client.send(call(entry)), *[item async for item in client.stream(call(entry, stream=True))]):
        assert isinstance(result, Failure)
        assert result.kind == "not_sent"


def test_json_is_read_also_where_it_is_broken_in_known_ways() -> None:
    """Halves of an emoji and numbers that JSON lacks are no reason to lose a paid answer; other nonsense is one."""
    assert json_of(b'{"a": "\\ud83d", "b": "\\ude00\\ud83d\\ude00"}') == {"a": "\ufffd", "b": "\ufffd\U0001f600"}
    assert json_of(b'{"a": -Infinity}') == {"a": float("-inf")}
    assert json_of('"\\\\ud83d \\udc00"') == "\\ud83d \ufffd"
    with pytest.raises(ValueError, match="Expecting"):
        json_of(b"\xff<html>")


# Usage.


def test_usage_parts_are_inside_their_totals() -> None:
    """Every known place of a count is read, and one that exceeds its total is cut to it."""
    details = {"cached_tokens": 4, "audio_tokens": 3, "image_tokens": 2, "cache_write_tokens": 1}
    out = {"reasoning_tokens": 9, "audio_tokens": 1, "image_tokens": 2}
    assert usage(
        prompt_tokens=10, completion_tokens=5, prompt_tokens_details=details, completion_tokens_details=out
    ) == Usage(
        input_tokens=10,
        output_tokens=5,
        cached_input_tokens=4,
        cache_write_tokens=1,
        reasoning_tokens=5,
        input_audio_tokens=3,
        output_audio_tokens=1,
        input_image_tokens=2,
        output_image_tokens=2,
    )
    for name in ("prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens"):
        assert usage(prompt_tokens=10, completion_tokens=5, **{name: 4}).cached_input_tokens == 4
    assert usage(prompt_tokens=10, completion_tokens=5, cache_creation_input_tokens=4).cache_write_tokens == 4
    assert usage(prompt_tokens=10, completion_tokens=None, prompt_tokens_details=None) == Usage(input_tokens=10)


def test_tokens_counted_beside_their_total_are_added_to_it() -> None:
    """Reasoning of xAI and Google stands beside the completion; Anthropic's cache beside the prompt."""
    reasoning = {"reasoning_tokens": 320}
    beside = usage(prompt_tokens=468, completion_tokens=82, total_tokens=870, completion_tokens_details=reasoning)
    assert (beside.output_tokens, beside.reasoning_tokens) == (402, 320)
    google: dict[str, Any] = {
        "prompt_tokens": 9,
        "completion_tokens": 400,
        "total_tokens": 409,
        "completion_tokens_details": reasoning,
    }
    gateway = usage_from({"model": "google/gemini-3", "usage": google}, "vercel_ai_gateway")
    assert gateway is not None
    assert gateway.output_tokens == 720
    assert usage("vercel_ai_gateway", **google).output_tokens == 400
    thoughts = usage("gemini", prompt_tokens=35, completion_tokens=12, total_tokens=109)
    assert (thoughts.output_tokens, thoughts.reasoning_tokens) == (74, 62)
    cached = usage(prompt_tokens=5, completion_tokens=1, cache_read_input_tokens=100, cache_creation_input_tokens=10)
    assert (cached.input_tokens, cached.cached_input_tokens, cached.cache_write_tokens) == (115, 100, 10)


@pytest.mark.parametrize(
    ("fields", "billed"),
    [
        ({"cost": 4e-05}, "0.00004"),
        ({"cost": 0}, "0"),
        ({"cost": "0.5"}, "0.5"),
        ({"cost": {"total_cost": 0.006, "request_cost": 0.006}}, "0.006"),
        ({"cost": {}}, None),
        ({"cost_in_usd_ticks": 2488500}, "0.00024885"),
        ({"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.00417}}, "0.00417"),
        ({"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": None}}, None),
        ({"cost": "free"}, None),
        ({"cost": -1}, None),
        ({"cost": True}, None),
        ({}, None),
    ],
)
def test_billed_dollars_are_what_the_provider_states(fields: dict[str, Any], billed: str | None) -> None:
    """Exact, in each host's own form; None where it says nothing that is a price."""
    found = usage(prompt_tokens=1, completion_tokens=1, **fields).billed_usd
    assert found == (None if billed is None else Decimal(billed))


def test_searches_are_counted() -> None:
    """Web searches billed by the piece are found at each host that has them."""
    base: dict[str, Any] = {"prompt_tokens": 1, "completion_tokens": 1}
    for fields in (
        {"server_tool_use_details": {"web_search_requests": 2}},
        {"server_tool_use": {"web_search_requests": 2}},
        {"num_search_queries": 2},
        {"num_sources_used": 2},
        {"web_search_usage": {"tool_usage": 2}},
    ):
        assert usage(**base, **fields).search_requests == 2


def test_usage_is_found_wherever_a_host_keeps_it() -> None:
    """At the top, under `x_groq`, in a choice, by itself, or nowhere: then it is None, never zero."""
    counts = {"prompt_tokens": 1, "completion_tokens": 2}
    expected = Usage(input_tokens=1, output_tokens=2)
    for body in ({"usage": counts}, {"x_groq": {"usage": counts}}, {"choices": [1, {"usage": counts}]}, counts):
        assert usage_from(body, "groq") == expected
    for nothing in ({}, {"usage": None}, {"usage": {"total_tokens": 3}}, {"choices": [{}], "x_groq": 1}):
        assert usage_from(nothing, "groq") is None


@given(JSON)
def test_usage_of_any_json_is_no_exception(value: Any) -> None:
    """An odd usage object costs no answer."""
    for body in ({"usage": value}, {"usage": {"prompt_tokens": value, "completion_tokens": value, "cost": value}}):
        found = usage_from(body, "openai")
        assert found is None or found.input_tokens >= 0


# Streams.


async def test_a_stream_yields_chunks_and_then_the_answer(client: OpenAIClient, server: ReplayServer) -> None:
    """Empty openings are not chunks; the answer has the joined text, the usage of the last event, and the headers."""
    counts = {"prompt_tokens": 3, "completion_tokens": 2}
    body = events(
        delta(role="assistant", content=""),
        delta(content="he", reasoning_content=None),
        delta(content="y"),
        delta("stop"),
        {"choices": [], "usage": counts, "service_tier": "priority"},
    )
    *chunks, answer = await streamed(client, server, body)
    assert [chunk.text for chunk in chunks if isinstance(chunk, Chunk)] == ["he", "y", ""]
    assert isinstance(answer, Answer)
    assert (answer.text, answer.finish_reason) == ("hey", "stop")
    assert answer.usage == Usage(input_tokens=3, output_tokens=2, service_tier="priority")
    assert server.seen["a"].json()["stream_options"] == {"include_usage": True}


def test_reasoning_refusal_and_logprobs_are_joined() -> None:
    """Each goes into its own place; chunks carry their piece."""
    first = delta(reasoning="th")
    first["choices"][0]["logprobs"] = {"content": [1], "refusal": None}
    second = delta("stop", reasoning_content="ink", refusal="no")
    second["choices"][0]["logprobs"] = {"content": [2]}
    chunks, answer = join(first, second)
    said = answer.choices[0]
    assert (said.message.reasoning_content, said.message.refusal, said.message.content) == ("think", "no", None)
    assert said.logprobs == {"content": [1, 2], "refusal": None}
    assert [chunk.choices[0].delta.reasoning_content for chunk in chunks] == ["th", "ink"]


def test_several_choices_are_kept_apart() -> None:
    """Choices come in any order and without an index; a chunk's text is that of the first choice alone."""
    chunks, answer = join(
        delta(content="b", index=1), delta(content="a"), delta("length", index=1), delta("stop", index=None)
    )
    assert [(c.index, c.message.content, c.finish_reason) for c in answer.choices] == [
        (0, "a", "stop"),
        (1, "b", "length"),
    ]
    assert [chunk.text for chunk in chunks] == ["", "a", "", ""]


def piece(**fields: Any) -> dict[str, Any]:
    """Returns an event with one piece of a tool call."""
    said = {k: fields.pop(k) for k in ("name", "arguments") if k in fields}
    return delta(tool_calls=[{**fields, "function": said}])


@pytest.mark.parametrize(
    "payloads",
    [
        pytest.param(
            [
                piece(index=0, id="1", name="f", arguments=""),
                piece(index=0, arguments='{"a"'),
                piece(index=0, id=None, name=None, arguments=":1}"),
                piece(index=1, id="2", name="g", arguments="{}"),
            ],
            id="by index",
        ),
        pytest.param(
            [piece(id="1", name="f", arguments='{"a":1}'), piece(id="2", name="g", arguments="{}")],
            id="whole calls without an index",
        ),
        pytest.param(
            [
                piece(id="1", name="f", arguments='{"a"'),
                piece(arguments=":1}"),
                piece(id="2", name="g", arguments={}),
            ],
            id="pieces without an index",
        ),
        pytest.param(
            [
                piece(index=0, id="1", name="f", arguments='{"a":1}'),
                piece(index=0, id="2", name="g", arguments="{}"),
            ],
            id="every index 0",
        ),
        pytest.param(
            [
                piece(index=0, id="1", name="f", arguments='{"a"'),
                piece(index=0, id="x", arguments=":1}"),
                piece(index=3, id="2", name="g", arguments="{"),
                piece(index=3, id="2", name="g", arguments="}"),
            ],
            id="new ids for each piece, names repeated, indices with gaps",
        ),
        pytest.param(
            [
                delta(
                    tool_calls=[
                        {"index": 0, "id": "1", "function": {"name": "f", "arguments": '{"a":1}'}},
                        {"index": 1, "id": "2", "function": {"name": "g", "arguments": "{}"}},
                        "?",
                    ]
                )
            ],
            id="two in one event",
        ),
    ],
)
def test_tool_calls_are_joined_as_each_host_cuts_them(payloads: list[dict[str, Any]]) -> None:
    """Two calls come out whichever way a host streams them, and adding up the chunks gives the same."""
    chunks, answer = join(*payloads, delta("tool_calls"))
    calls = answer.choices[0].message.tool_calls or ()
    expected = [("1", "f", '{"a":1}'), ("2", "g", "{}")]
    assert [(c.id, c.function.name, c.function.arguments) for c in calls] == expected
    added: dict[int, list[str]] = {}
    for chunk in chunks:
        for part in chunk.choices[0].delta.tool_calls or ():
            assert part.index is not None
            sums = added.setdefault(part.index, ["", "", ""])
            for i, text in enumerate((part.id, part.function.name, part.function.arguments)):
                sums[i] += text
    assert [tuple(sums) for sums in added.values()] == expected


def test_a_custom_tool_call_is_joined() -> None:
    """Free text of a custom tool is its arguments."""
    first = delta(tool_calls=[{"index": 0, "id": "1", "type": "custom", "custom": {"name": "h", "input": "fr"}}])
    second = delta(tool_calls=[{"index": 0, "type": "custom", "custom": {"input": "ee"}}])
    _, answer = join(first, second, delta("tool_calls"))
    assert answer.choices[0].message.tool_calls == (
        ToolCall(id="1", type="custom", function=Function(name="h", arguments="free")),
    )


def test_other_fields_of_deltas_are_joined() -> None:
    """Reasoning details continue by index, audio by field, annotations by list, and the rest by the newest."""
    text = {"type": "reasoning.text", "index": 0, "format": "f"}
    _, answer = join(
        delta(reasoning_details=[text | {"text": "a"}], audio={"id": "x", "data": "AB"}, annotations=[1], odd=1),
        delta(
            reasoning_details=[text | {"text": "b", "signature": None}], audio={"data": "CD", "expires_at": 5}, odd=2
        ),
        delta(
            reasoning_details=[text | {"signature": "s"}, {"index": 1, "data": "E"}],
            annotations=[2],
            audio={"id": "x", "expires_at": None},
        ),
        delta("stop"),
    )
    said = answer.choices[0].message
    assert said.reasoning_content == "ab"
    assert said.extra == {
        "reasoning_details": [text | {"text": "ab", "signature": "s"}, {"index": 1, "data": "E"}],
        "audio": {"id": "x", "data": "ABCD", "expires_at": 5},
        "annotations": [1, 2],
        "odd": 2,
    }


def test_a_repeated_end_is_told_once() -> None:
    """A host that repeats its last event with the usage in it ends the answer once."""
    chunks, answer = join(delta(content="a"), delta("stop"), delta("stop") | {"usage": {"prompt_tokens": 1}})
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None, "stop"]
    assert answer.usage == Usage(input_tokens=1)


def test_whole_messages_and_plain_texts_stream_too() -> None:
    """Hosts that put `message` or `text` where a delta should be are understood; what is no choice is passed over."""
    _, answer = join({"choices": [{"message": {"content": "a"}}, "?"]}, {"choices": [{"text": "b"}]})
    assert answer.text == "ab"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (events(), "unusable"),
        (b"", "cut"),
        (b": comment only\n\n", "cut"),
        (events(delta(content="a"), done=False), "cut"),
        (events(delta(content="a"), {"error": {"message": "overloaded", "code": 503}}), "refused"),
        (b'data: {"choices": []}\n\nevent: error\ndata: {"message": "An error occurred"}\n\n', "server_error"),
        (events(delta(content="a"), "upstream connect error"), "server_error"),
        (events(delta(content="a"), [1]), "server_error"),
    ],
)
async def test_a_stream_that_fails_ends_in_a_failure(
    client: OpenAIClient, server: ReplayServer, body: bytes, kind: str
) -> None:
    """Errors in mid-stream, silence and streams without an answer are failures, under any content type."""
    for headers in (SSE, {"Content-Type": "application/json"}):
        *before, failure = await streamed(client, server, body, headers)
        assert all(isinstance(item, Chunk) for item in before)
        assert isinstance(failure, Failure)
        if body or headers is SSE:
            assert (failure.kind, failure.status) == (kind, 200)


@pytest.mark.parametrize(
    "data", ["The patient John Smith was ill", '"The patient John Smith was ill"', '["John Smith"]']
)
async def test_an_event_that_is_no_error_is_never_quoted(client: OpenAIClient, server: ReplayServer, data: str) -> None:
    """Under HTTP 200 the words of a broken event may be the answer's: no failure repeats them."""
    for headers in (SSE, {"Content-Type": "application/json"}):
        failure = (await streamed(client, server, events(delta(content="a"), data), headers))[-1]
        assert isinstance(failure, Failure)
        assert (failure.kind, failure.status) == ("server_error", 200)
        assert "John" not in failure.message
    named = b"event: error\ndata: upstream connect error\n\n"
    failure = (await streamed(client, server, named))[-1]
    assert isinstance(failure, Failure)
    assert "upstream connect error" in failure.message


async def test_a_stream_needs_no_done_after_its_finish_reason(client: OpenAIClient, server: ReplayServer) -> None:
    """Perplexity never sends `[DONE]`; empty events and what follows the end are passed over."""
    for body in (
        events(delta(content="a"), "", delta("stop"), done=False),
        events(delta(content="a"), delta("stop")) + events(delta(content="late")),
        events(delta(content="a")),
    ):
        for headers in (SSE, {"Content-Type": "text/plain"}):
            answer = (await streamed(client, server, body, headers))[-1]
            assert isinstance(answer, Answer)
            assert answer.text == "a"


async def test_a_connection_lost_after_the_last_word_costs_only_the_usage(
    client: OpenAIClient, server: ReplayServer
) -> None:
    """The answer stands without its usage; lost before, it is cut."""
    body = events(delta(content="a"), delta("stop"), {"choices": [], "usage": {"prompt_tokens": 1}})
    answer = (await streamed(client, server, body, cut_after=len(body) - 20))[-1]
    assert isinstance(answer, Answer)
    assert (answer.text, answer.usage) == ("a", None)
    failure = (await streamed(client, server, body, cut_after=20))[-1]
    assert isinstance(failure, Failure)
    assert failure.kind == "cut"
    failure = (await streamed(client, server, body, {"Content-Type": "application/json"}, cut_after=20))[-1]
    assert isinstance(failure, Failure)
    assert failure.kind == "cut"


async def test_a_host_that_does_not_stream_answers_in_one_chunk(client: OpenAIClient, server: ReplayServer) -> None:
    """The caller who asked for a stream gets one chunk with everything, then the answer."""
    chunk, answer = await streamed(client, server, orjson.dumps(completion()), {"Content-Type": "application/json"})
    assert isinstance(chunk, Chunk)
    assert isinstance(answer, Answer)
    assert (chunk.text, chunk.choices[0].finish_reason, answer.text) == ("hi", "stop", "hi")


async def test_closing_a_stream_early_stops_the_provider(client: OpenAIClient, server: ReplayServer) -> None:
    """The caller who leaves after the first chunk leaves no connection behind."""
    body = events(*[delta(content="x" * 1000) for _ in range(2_000)])
    items = client.stream(call(at(server, Recording(headers=SSE, body=body, pieces=400)), stream=True))
    assert isinstance(await anext(items), Chunk)
    await items.aclose()
    plain = at(server, Recording(body=orjson.dumps(completion())))
    assert isinstance(await client.send(call(plain)), Answer)


async def test_a_cancelled_call_stops(client: OpenAIClient, server: ReplayServer) -> None:
    """Cancellation is raised, not turned into a failure."""
    task = asyncio.create_task(client.send(call(at(server, Recording(delay_s=30)))))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@given(JSON)
def test_a_chunk_of_any_json_is_no_exception(value: Any) -> None:
    """An odd event costs no stream."""
    fields = ("content", "tool_calls", "reasoning_details", "refusal", "audio")
    payloads = [{"choices": value}, {"choices": [{"delta": value, "finish_reason": value, "index": value}]}]
    payloads += [delta(**{name: value}) for name in fields]
    calls = [{"index": value, "id": value, "function": value}, {"type": "custom", "custom": value}]
    payloads += [delta(tool_calls=calls)]
    payloads += [{"usage": {"prompt_tokens": 1}, "service_tier": value, "id": value, "citations": value}]
    _, answer = join(*payloads, *payloads)
    assert isinstance(answer.text, str)
    for name in (*fields, "function_call"):
        assert answer_from({"choices": [{"message": {name: value}, "finish_reason": value}]}, "openai").choices


def test_a_default_quirk_changes_nothing() -> None:
    """The table's entry for unknown hosts passes everything on."""
    assert quirks_of("nobody") is COMPATIBLE
    assert Quirks(developer=True) == COMPATIBLE
