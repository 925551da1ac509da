from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from router.clients.cohere import Chat, answer_from, usage_from
from router.clients.litellm import LitellmClient
from router.clients.litellm_adapter import WireRequest
from router.core.answer import Answer, Usage
from router.core.failure import Failure
from tests.clients.calls import KEY, call, sse, streamed
from tests.replay.server import Recording, ReplayServer

MODEL = "cohere/command-a-03-2025"
WHOLE: dict[str, Any] = {
    "id": "c1",
    "finish_reason": "TOOL_CALL",
    "message": {
        "role": "assistant",
        "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Grüezi"}],
        "tool_plan": "look",
        "tool_calls": [{"id": "t1", "type": "function", "function": {"name": "clock", "arguments": '{"a":1}'}}],
        "citations": [{"start": 0}],
    },
    "usage": {"tokens": {"input_tokens": 9, "output_tokens": 4}, "cached_tokens": 3, "billed_units": {}},
}


def event(kind: str, message: Mapping[str, Any] | None = None, index: int = 0, **more: Any) -> dict[str, Any]:
    """Returns one event of a stream."""
    return {"type": kind, "index": index, "delta": {"message": message or {}, **more}}


EVENTS = [
    {"type": "message-start", "id": "c1", "delta": {"message": {"role": "assistant", "content": []}}},
    event("content-start", {"content": {"type": "thinking", "thinking": ""}}),
    event("content-delta", {"content": {"thinking": "hm"}}),
    event("content-end"),
    event("content-start", {"content": {"type": "text", "text": ""}}, 1),
    event("content-delta", {"content": {"text": "Grü"}}, 1),
    event("content-delta", {"content": {"text": "ezi"}}, 1),
    event("tool-plan-delta", {"tool_plan": "look"}),
    event("tool-call-start", {"tool_calls": {"id": "t1", "function": {"name": "clock", "arguments": ""}}}),
    event("tool-call-delta", {"tool_calls": {"function": {"arguments": '{"a":1}'}}}),
    event("citation-start", {"citations": {"start": 0}}),
    event("message-end", finish_reason="TOOL_CALL", usage=WHOLE["usage"]),
]


def body(**params: Any) -> Any:
    """Returns the body of a request with these parameters."""
    request = Chat().request(call(MODEL, params=params))
    assert isinstance(request, WireRequest), request
    return json.loads(request.body)


@pytest.fixture
async def client() -> AsyncIterator[LitellmClient]:
    """Returns the client that Cohere's models are given to, closed after the test."""
    one = LitellmClient()
    yield one
    await one.aclose()


def test_parameters_get_cohere_s_names() -> None:
    """Those with another name there are renamed; a tool choice and a schema take Cohere's form."""
    schema = {"type": "object", "properties": {}}
    sent = body(
        top_p=0.5,
        top_k=3,
        stop="END",
        max_completion_tokens=7,
        tool_choice="required",
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
        safety_mode="NONE",
    )
    assert {name: sent[name] for name in ("p", "k", "stop_sequences", "max_tokens", "tool_choice", "safety_mode")} == {
        "p": 0.5, "k": 3, "stop_sequences": ["END"], "max_tokens": 7, "tool_choice": "REQUIRED", "safety_mode": "NONE",
    }  # fmt: skip
    assert sent["response_format"] == {"type": "json_object", "json_schema": schema}
    assert "tool_choice" not in body(tool_choice="auto")
    assert body(response_format={"type": "json_object"})["response_format"] == {"type": "json_object"}


@pytest.mark.parametrize("params", [{"logit_bias": {"1": 1}}, {"tool_choice": {"type": "function"}}, {"n": 2}])
def test_what_cohere_lacks_is_refused(params: dict[str, Any]) -> None:
    """A parameter without a counterpart is a failure before anything is sent."""
    failure = Chat().request(call(MODEL, params=params))
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.sent) == ("unsupported", False)


def test_messages_keep_what_cohere_knows() -> None:
    """The developer's role is the system's; fields of other providers are left out."""
    messages = [{"role": "developer", "content": "a"}, {"role": "user", "content": "b", "name": "n"}]
    request = Chat().request(call(MODEL, messages=messages, key=None))
    assert isinstance(request, WireRequest)
    assert json.loads(request.body)["messages"] == [
        {"role": "system", "content": "a"},
        {"role": "user", "content": "b"},
    ]
    assert "authorization" not in request.headers


@pytest.mark.parametrize(
    ("base", "url"),
    [
        (None, "https://api.cohere.com/v2/chat"),
        ("http://h/v2", "http://h/v2/chat"),
        ("http://h/v2/chat/", "http://h/v2/chat"),
    ],
)
def test_the_url(base: str | None, url: str) -> None:
    """A base may hold the API's version or its path, or neither."""
    request = Chat().request(call(MODEL, base_url=base))
    assert isinstance(request, WireRequest)
    assert request.url == url


async def test_whole_and_streamed_are_the_same(client: LitellmClient) -> None:
    """Text, thinking, calls, usage and finish reason come the same way in one piece and in many."""
    recordings = {
        "a": Recording(headers={"content-type": "application/json"}, body=json.dumps(WHOLE).encode()),
        "b": Recording(headers={"content-type": "text/event-stream"}, body=sse(*EVENTS, "[DONE]"), pieces=9),
    }
    async with ReplayServer(recordings) as server:
        whole = await client.send(call(MODEL, base_url=f"{server.url}/a"))
        chunks, joined = await streamed(client, call(MODEL, base_url=f"{server.url}/b", stream=True))
        assert server.seen["a"].headers["authorization"] == f"Bearer {KEY}"
        assert server.seen["b"].json()["stream"] is True
    assert isinstance(whole, Answer)
    assert isinstance(joined, Answer)
    assert whole.choices == joined.choices
    assert (whole.text, whole.finish_reason, whole.id) == ("Grüezi", "tool_calls", joined.id)
    assert whole.usage == joined.usage == Usage(input_tokens=9, output_tokens=4, cached_input_tokens=3)
    assert whole.choices[0].message.reasoning_content == "hmlook"
    assert "".join(chunk.text for chunk in chunks) == "Grüezi"


async def test_what_goes_wrong(client: LitellmClient) -> None:
    """A stream without its end was cut; a body of another API is no answer."""
    recordings = {
        "a": Recording(headers={"content-type": "text/event-stream"}, body=sse(*EVENTS[:5])),
        "b": Recording(headers={"content-type": "application/json"}, body=b'{"text":"private"}'),
    }
    async with ReplayServer(recordings) as server:
        _, cut = await streamed(client, call(MODEL, base_url=f"{server.url}/a", stream=True))
        strange = await client.send(call(MODEL, base_url=f"{server.url}/b"))
    assert isinstance(cut, Failure)
    assert isinstance(strange, Failure)
    assert (cut.kind, strange.kind) == ("cut", "server_error")
    assert "private" not in strange.message


def test_an_empty_answer() -> None:
    """An answer without content, usage or reason is read as just that."""
    answer = answer_from({"message": {}}, {})
    assert (answer.text, answer.finish_reason, answer.usage) == ("", None, None)
    assert usage_from({"usage": {"tokens": None}}) is None


def test_the_requests_own_key_replaces_the_model_s() -> None:
    """It goes out in its header, over the client's."""
    wire = Chat().request(call(MODEL, own_headers={"authorization": "Bearer own", "x-a": "1"}))
    assert isinstance(wire, WireRequest)
    assert (wire.headers["authorization"], wire.headers["x-a"]) == ("Bearer own", "1")
    wire = Chat().request(call(MODEL, own_headers={"x-api-key": "own"}))
    assert isinstance(wire, WireRequest)
    assert "authorization" not in wire.headers
