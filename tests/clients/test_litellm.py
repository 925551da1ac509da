from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from router.clients import litellm_adapter, litellm_results
from router.clients.litellm import Joined, LitellmClient, answer_from, failure_from, usage_from
from router.core.answer import Answer, Chunk, Usage
from router.core.catalog import Timeouts
from router.core.failure import Failure
from tests.clients.calls import KEY, call, sse, streamed
from tests.replay.server import Recording, ReplayServer

# Two hosts that litellm reaches in different ways: by its own HTTP handler and by OpenAI's SDK.
BEDROCK, OPENAI_LIKE = "bedrock/converse/amazon.nova-micro-v1:0", "hosted_vllm/some-model"
AWS = {"aws_region_name": "us-east-1", "aws_access_key_id": "a", "aws_secret_access_key": "b"}
JSON = {"content-type": "application/json"}
SSE = {"content-type": "text/event-stream"}
CONVERSE = {
    "output": {"message": {"role": "assistant", "content": [{"text": "hello"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 5, "outputTokens": 2, "totalTokens": 7, "cacheReadInputTokens": 3},
    "metrics": {"latencyMs": 1},
}


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    """Returns a chunk in OpenAI's shape."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **more}


STREAM = [
    chunk({"role": "assistant", "content": "Grü"}),
    chunk({"content": "ezi"}),
    chunk({"tool_calls": [{"index": 0, "id": "t", "type": "function", "function": {"name": "f", "arguments": ""}}]}),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"a":1}'}}]}),
    chunk({}, "tool_calls"),
]
USAGE_CHUNK = {**chunk({}), "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}}


@pytest.fixture
async def client() -> AsyncIterator[LitellmClient]:
    """Returns a client, closed after the test."""
    one = LitellmClient()
    yield one
    await one.aclose()


async def test_a_whole_answer(client: LitellmClient) -> None:
    """A provider that only litellm speaks to answers like any other; cached tokens are inside the input."""
    async with ReplayServer({"a": Recording(headers=JSON, body=json.dumps(CONVERSE).encode())}) as server:
        one = call(BEDROCK, base_url=f"{server.url}/a", key=None, options=AWS, headers={"x-trace-id": "t"})
        answer = await client.send(one)
        assert server.count == 1
        assert server.seen["a"].headers["x-trace-id"] == "t"
    assert isinstance(answer, Answer)
    assert (answer.text, answer.finish_reason) == ("hello", "stop")
    assert answer.usage == Usage(input_tokens=8, output_tokens=2, cached_input_tokens=3)


async def test_a_stream(client: LitellmClient) -> None:
    """Chunks and the joined answer, with the usage that the host reports."""
    body = sse(*STREAM, USAGE_CHUNK, "[DONE]")
    async with ReplayServer({"a": Recording(headers=SSE, body=body, pieces=5)}) as server:
        chunks, answer = await streamed(client, call(OPENAI_LIKE, base_url=f"{server.url}/a", stream=True))
        assert server.seen["a"].json()["stream_options"] == {"include_usage": True}
    assert isinstance(answer, Answer)
    assert "".join(one.text for one in chunks) == answer.text == "Grüezi"
    assert answer.finish_reason == "tool_calls"
    assert [c.function.arguments for c in answer.choices[0].message.tool_calls or ()] == ['{"a":1}']
    assert answer.usage == Usage(input_tokens=9, output_tokens=4)


async def test_a_guess_is_no_usage(client: LitellmClient) -> None:
    """Where a stream reports no usage there is none, although litellm would estimate it."""
    async with ReplayServer({"a": Recording(headers=SSE, body=sse(*STREAM, "[DONE]"))}) as server:
        _, answer = await streamed(client, call(OPENAI_LIKE, base_url=f"{server.url}/a", stream=True))
    assert isinstance(answer, Answer)
    assert answer.usage is None


@pytest.mark.parametrize("model_id", [BEDROCK, OPENAI_LIKE])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, '{"message":"Too many requests, please wait"}', "refused"),
        (401, '{"message":"invalid api key"}', "denied"),
        (404, '{"message":"model not found"}', "no_such_model"),
        (500, '{"message":"internal"}', "server_error"),
    ],
)
async def test_errors_by_status_and_body(
    client: LitellmClient, model_id: str, stream: bool, status: int, body: str, kind: str
) -> None:
    """One call upstream, and the provider's own words decide, whatever class of exception litellm makes of them."""
    recording = Recording(status=status, headers=JSON | {"retry-after": "7"}, body=body.encode())
    async with ReplayServer({"a": recording}) as server:
        one = call(model_id, base_url=f"{server.url}/a", stream=stream, options=AWS if model_id == BEDROCK else {})
        failure = (await streamed(client, one))[1] if stream else await client.send(one)
        assert server.count == 1
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.status) == (kind, status)
    assert KEY not in failure.message
    assert (failure.retry_after_s == 7) is (kind == "refused")


async def test_what_never_leaves(client: LitellmClient) -> None:
    """No connection, or a parameter that cannot be honoured: nothing was sent."""
    options = dict(AWS)
    for stream in (False, True):
        for params, kind in (({}, "not_sent"), ({"seed": 1}, "unsupported")):
            one = call(BEDROCK, base_url="http://127.0.0.1:9/a", stream=stream, options=options, params=params)
            failure = (await streamed(client, one))[1] if stream else await client.send(one)
            assert isinstance(failure, Failure)
            assert (failure.kind, failure.sent) == (kind, False)


async def test_time_outs(client: LitellmClient) -> None:
    """The whole, and the first token of a stream, are waited for as long as the call says."""
    async with ReplayServer({"a": Recording(headers=JSON, body=b"{}", delay_s=30)}) as server:
        late = call(OPENAI_LIKE, base_url=f"{server.url}/a", timeouts=Timeouts(total_s=0.5))
        failure = await client.send(late)
        slow = call(OPENAI_LIKE, base_url=f"{server.url}/a", stream=True, timeouts=Timeouts(first_token_s=0.5))
        _, second = await streamed(client, slow)
    assert isinstance(failure, Failure)
    assert isinstance(second, Failure)
    assert (failure.kind, second.kind) == ("timed_out", "timed_out")


async def test_a_stream_that_breaks_off(client: LitellmClient) -> None:
    """A connection lost in mid-stream, and a stream without an end, are no answers."""
    body = sse(*STREAM[:2])
    recordings = {
        "a": Recording(headers=SSE, body=body, pieces=2, cut_after=len(body) - 5),
        "b": Recording(headers=SSE, body=sse({"error": {"message": "overloaded", "code": 503}})),
    }
    async with ReplayServer(recordings) as server:
        for name in recordings:
            _, failure = await streamed(client, call(OPENAI_LIKE, base_url=f"{server.url}/{name}", stream=True))
            assert isinstance(failure, Failure), name
            assert failure.sent


async def test_cancelling_closes_the_connection(client: LitellmClient) -> None:
    """A call that is cancelled ends at once, and one that is left early leaves nothing behind."""
    async with ReplayServer(
        {"a": Recording(headers=JSON, delay_s=30), "b": Recording(headers=SSE, body=sse(*STREAM))}
    ) as s:
        task = asyncio.ensure_future(client.send(call(OPENAI_LIKE, base_url=f"{s.url}/a")))
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        stream = client.stream(call(OPENAI_LIKE, base_url=f"{s.url}/b", stream=True))
        assert isinstance(await anext(stream), Chunk)
        await stream.aclose()


def test_usage_by_class() -> None:
    """Cached, written, reasoning, audio and image tokens are read from where litellm puts them."""
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "prompt_tokens_details": {
            "cached_tokens": 30,
            "audio_tokens": 1,
            "image_tokens": 2,
            "cache_creation_tokens": 9,
            "cache_creation_token_details": {"ephemeral_1h_input_tokens": 4},
        },
        "completion_tokens_details": {"reasoning_tokens": 5, "audio_tokens": 6, "image_tokens": 7},
        "server_tool_use": {"web_search_requests": 1},
    }
    assert usage_from({"usage": usage, "service_tier": "flex"}) == Usage(
        input_tokens=100,
        output_tokens=20,
        cached_input_tokens=30,
        cache_write_tokens=5,
        cache_write_1h_tokens=4,
        reasoning_tokens=5,
        input_audio_tokens=1,
        output_audio_tokens=6,
        input_image_tokens=2,
        output_image_tokens=7,
        search_requests=1,
        service_tier="flex",
    )
    assert usage_from({"usage": {"prompt_tokens": 0, "completion_tokens": 0}}) is None
    assert usage_from({}) is None


def test_what_openai_has_no_place_for_is_kept() -> None:
    """Signed thinking stays in `extra`; a signature stays with its call; fields that are empty are no fields."""
    call_ = {"id": "t", "function": {"name": "f", "arguments": "{}"}, "provider_specific_fields": {"sig": "s"}}
    message = {"role": "assistant", "content": "a", "thinking_blocks": [{"type": "thinking"}], "tool_calls": [call_]}
    answer = answer_from({"choices": [{"message": {**message, "audio": None}, "finish_reason": "stop"}]}, {})
    read = answer.choices[0].message
    assert read.extra == {"thinking_blocks": [{"type": "thinking"}]}
    assert read.to_dict()["tool_calls"][0]["provider_specific_fields"] == {"sig": "s"}


def test_joining_keeps_what_chunks_add() -> None:
    """Lists in `extra` grow, log probabilities stay, and calls without a position come one after the other."""
    joined = Joined()
    assert joined.add(chunk({"content": None})) is None
    for text in ("a", "b"):
        joined.add(chunk({"thinking_blocks": [text], "tool_calls": [{"id": text, "function": {"name": text}}]}))
    end = chunk({}, "stop")
    end["choices"][0]["logprobs"] = {"content": []}
    joined.add(end)
    answer = joined.answer(None, {})
    assert answer is not None
    assert answer.choices[0].message.extra["thinking_blocks"] == ["a", "b"]
    assert [c.id for c in answer.choices[0].message.tool_calls or ()] == ["a", "b"]
    assert answer.choices[0].logprobs == {"content": []}


def test_usage_of_a_stream_only_grows() -> None:
    """Of several reports the largest count of each kind stands, details too."""
    litellm = litellm_adapter.load()
    first = litellm.Usage(prompt_tokens=9, completion_tokens=1, prompt_tokens_details={"cached_tokens": 4})
    second = litellm.Usage(prompt_tokens=0, completion_tokens=7)
    pieces = [type("Piece", (), {"usage": usage})() for usage in (first, None, second)]
    merged = litellm_results.reported_usage(type("Stream", (), {"chunks": pieces})())
    assert merged is not None
    assert (merged["prompt_tokens"], merged["completion_tokens"]) == (9, 7)
    assert merged["prompt_tokens_details"]["cached_tokens"] == 4
    assert litellm_results.reported_usage(object()) is None


def raised(error: Exception, cause: Exception | None = None) -> Exception:
    """Returns an exception as one that was raised because of another."""
    error.__cause__ = cause
    return error


def test_exceptions_by_what_led_to_them() -> None:
    """What is in the chain decides, never the text, which quotes prompts and answers."""
    litellm = litellm_adapter.load()
    one = call(BEDROCK)
    private = {"message": "private words", "model": "m", "llm_provider": "bedrock"}
    cases = [
        (litellm.Timeout(**private), "timed_out"),
        (TimeoutError(), "timed_out"),
        (raised(litellm.APIConnectionError(**private), httpx.ConnectError("private")), "not_sent"),
        (raised(litellm.APIConnectionError(**private), httpx.ReadError("private")), "cut"),
        (litellm.UnsupportedParamsError(message="private words"), "unsupported"),
        (litellm.RateLimitError(**private), "refused"),
        (KeyError("private words"), "server_error"),
    ]
    for error, kind in cases:
        failure = failure_from(one, error)
        assert failure.kind == kind, error
        assert "private" not in failure.message


async def test_closing_before_anything_was_sent() -> None:
    """A client that sent nothing closes, too."""
    await LitellmClient().aclose()
