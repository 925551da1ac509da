from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.clients.gemini import GeminiClient, Reading, answer_from, usage_from
from router.core.answer import Answer, Usage
from router.core.failure import Failure
from tests.clients.calls import KEY, call, sse, streamed
from tests.replay.server import Recording, ReplayServer

MODEL = "gemini/gemini-2.5-flash"
JSON = {"content-type": "application/json"}
SSE = {"content-type": "text/event-stream"}
COUNTS = {"promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 7}


def body(*parts: Mapping[str, Any], finish: object = "STOP", **more: Any) -> dict[str, Any]:
    """Returns an answer of one candidate."""
    candidate = {"content": {"role": "model", "parts": list(parts)}, "finishReason": finish, "index": 0}
    head = {"usageMetadata": COUNTS, "modelVersion": "gemini", "responseId": "r1"}
    return {"candidates": [{k: v for k, v in candidate.items() if v is not None}], **head, **more}


def tool(name: str, **arguments: Any) -> dict[str, Any]:
    """Returns a tool call's part."""
    return {"functionCall": {"name": name, "args": arguments}}


PARTS = st.lists(
    st.one_of(
        st.text(min_size=1).map(lambda text: {"text": text}),
        st.text(min_size=1).map(lambda text: {"text": text, "thought": True}),
        st.dictionaries(st.text(), st.integers()).map(lambda args: tool("f", x=args)),
        st.just({"text": "", "thoughtSignature": "sig"}),
    ),
    max_size=6,
)


@given(PARTS, st.sampled_from(["STOP", "MAX_TOKENS", "SAFETY", "OTHER", 2, 99]))
def test_a_stream_reads_as_the_same_answer_unstreamed(parts: list[dict[str, Any]], finish: object) -> None:
    """Put together from events of one part each, an answer is what it would have been in one piece."""
    reading = Reading()
    chunks = [chunk for part in parts for chunk in reading.feed(body(part, finish=None))]
    chunks += reading.feed(body(finish=finish))
    answer = reading.end({})
    assert answer == answer_from(body(*parts, finish=finish), {})
    assert answer is not None
    assert "".join(chunk.text for chunk in chunks) == answer.text
    ids = [c.id for chunk in chunks for c in chunk.choices[0].delta.tool_calls or ()]
    assert ids == [c.id for c in answer.choices[0].message.tool_calls or ()]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (COUNTS, Usage(input_tokens=5, output_tokens=2)),
        (
            {**COUNTS, "thoughtsTokenCount": 3, "totalTokenCount": 10},
            Usage(input_tokens=5, output_tokens=5, reasoning_tokens=3),
        ),
        ({**COUNTS, "thoughtsTokenCount": 1}, Usage(input_tokens=5, output_tokens=2, reasoning_tokens=1)),
        ({"promptTokenCount": 5, "totalTokenCount": 5}, Usage(input_tokens=5)),
        ({"responseTokenCount": 4, "promptTokenCount": 1}, Usage(input_tokens=1, output_tokens=4)),
    ],
    ids=["plain", "thoughts beside", "thoughts inside", "blocked", "live"],
)
def test_thoughts_are_output(usage: Mapping[str, Any], expected: Usage) -> None:
    """Thoughts are added to the output unless the total says that they are in it already."""
    assert usage_from({"usageMetadata": usage}) == expected


def test_every_class_of_tokens() -> None:
    """What tools fed to the model is input; cached, audio and image tokens are read from the details, numbers too."""
    usage = {
        "promptTokenCount": 100, "toolUsePromptTokenCount": 10, "candidatesTokenCount": 20, "totalTokenCount": 130,
        "cachedContentTokenCount": 40, "serviceTier": "FLEX",
        "promptTokensDetails": [
            {"modality": "AUDIO", "tokenCount": 30}, {"modality": 2, "tokenCount": 7}, {"modality": "TEXT"},
        ],
        "toolUsePromptTokensDetails": [{"modality": "IMAGE", "tokenCount": 1}],
        "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 4}],
        "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 5}, {"modality": "AUDIO", "tokenCount": 6}],
    }  # fmt: skip
    grounded = {"groundingMetadata": {"webSearchQueries": ["a", "b"]}}
    assert usage_from({"usageMetadata": usage, "candidates": [grounded]}) == Usage(
        input_tokens=110,
        output_tokens=20,
        cached_input_tokens=40,
        input_audio_tokens=30,
        cached_input_audio_tokens=4,
        output_audio_tokens=6,
        input_image_tokens=8,
        output_image_tokens=5,
        search_requests=1,
        service_tier="flex",
    )


@pytest.mark.parametrize("metadata", [None, {}, {"trafficType": "ON_DEMAND"}])
def test_no_usage_is_not_zero(metadata: object) -> None:
    """An answer that counts nothing has no usage."""
    assert usage_from({"usageMetadata": metadata}) is None


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("MAX_TOKENS", "length"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "error"),
        ("OTHER", "OTHER"),
        ("FINISH_REASON_UNSPECIFIED", None),
        (3, "content_filter"),
        (None, None),
    ],
)
def test_finish_reasons_in_openai_s_words(reason: object, finish: str | None) -> None:
    """Finish reasons become OpenAI's, numbers too; one that says nothing stays."""
    assert answer_from(body({"text": "a"}, finish=reason), {}).finish_reason == finish


def test_tool_calls_have_ids_that_replay() -> None:
    """Gemini's own id is kept; a call without one gets the same id each time, and its signature goes along."""
    parts = [{**tool("f", x="ü"), "thoughtSignature": "sig"}, {"functionCall": {"id": "own", "name": "g"}}, tool("f")]
    message = answer_from(body(*parts), {}).choices[0].message
    assert message.tool_calls is not None
    first, second, third = message.tool_calls
    assert answer_from(body(*parts), {}).choices[0].message == message
    assert (first.function.arguments, second.id, second.function.arguments) == ('{"x":"ü"}', "own", "{}")
    assert len({first.id, second.id, third.id}) == 3
    assert message.to_dict()["tool_calls"][0]["provider_specific_fields"] == {"thought_signature": "sig"}
    assert answer_from(body(*parts), {}).finish_reason == "tool_calls"


def test_what_openai_has_no_place_for_is_kept() -> None:
    """Images, code, signatures and grounding go into `extra`; log probabilities take OpenAI's shape."""
    whole = body(
        {"text": "a", "thoughtSignature": "sig"},
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        {"executableCode": {"code": "1"}},
    )
    whole["candidates"][0] |= {
        "groundingMetadata": {"x": 1},
        "logprobsResult": {
            "chosenCandidates": [{"token": "a", "logProbability": -0.1}, {"token": "b", "logProbability": -1}],
            "topCandidates": [{"candidates": [{"token": "c", "logProbability": -2}]}],
        },
    }
    choice = answer_from(whole, {}).choices[0]
    extra = choice.message.extra
    assert extra["images"] == [
        {"index": 0, "type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    ]
    assert extra["executableCode"] == [{"code": "1"}]
    assert extra["provider_specific_fields"] == {"thought_signatures": ["sig"]}
    assert extra["groundingMetadata"] == {"x": 1}
    assert [token["logprob"] for token in choice.logprobs["content"]] == [-0.1, -1]
    assert choice.logprobs["content"][0]["top_logprobs"][0]["token"] == "c"


def test_several_candidates() -> None:
    """Each candidate is a choice, in a stream too."""
    two = {**body({"text": "a"})["candidates"][0]}, {**body({"text": "b"})["candidates"][0], "index": 1}
    whole = {**body(), "candidates": list(two)}
    reading = Reading()
    (chunk,) = reading.feed(whole)
    assert [choice.index for choice in chunk.choices] == [0, 1]
    answer = reading.end({})
    assert answer == answer_from(whole, {})
    assert answer is not None
    assert [choice.message.content for choice in answer.choices] == ["a", "b"]


BLOCKED = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}, "responseId": "r"}


@pytest.fixture
async def client() -> AsyncIterator[GeminiClient]:
    """Returns a client, closed after the test."""
    one = GeminiClient()
    yield one
    await one.aclose()


async def test_a_whole_answer(client: GeminiClient) -> None:
    """The request goes to the model's method with the key in its own header."""
    async with ReplayServer({"a": Recording(headers=JSON, body=json.dumps(body({"text": "hi"})).encode())}) as server:
        answer = await client.send(call(MODEL, base_url=f"{server.url}/a", params={"max_tokens": 5}))
        seen = server.seen["a"]
    assert isinstance(answer, Answer)
    assert (answer.text, answer.finish_reason, answer.model, answer.id) == ("hi", "stop", "gemini", "r1")
    assert seen.path == "/a/models/gemini-2.5-flash:generateContent"
    assert seen.headers["x-goog-api-key"] == KEY
    assert "authorization" not in seen.headers
    assert seen.json()["generationConfig"]["max_output_tokens"] == 5


@pytest.mark.parametrize("form", ["events", "array"])
async def test_a_stream(client: GeminiClient, form: str) -> None:
    """Events come as events, or as one array where the host does not know `alt=sse`."""
    pieces = [body({"text": "Grü"}, finish=None), body({"text": "ezi"}), body(tool("f"), finish="STOP")]
    recording = (
        Recording(headers=SSE, body=sse(*pieces), pieces=7)
        if form == "events"
        else Recording(headers=JSON, body=json.dumps(pieces).encode())
    )
    async with ReplayServer({"a": recording}) as server:
        chunks, answer = await streamed(client, call(MODEL, base_url=f"{server.url}/a", stream=True))
        path = server.seen["a"].path
    assert path == "/a/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
    assert isinstance(answer, Answer)
    assert "".join(chunk.text for chunk in chunks) == answer.text == "Grüezi"
    assert chunks[-1].choices[0].finish_reason == answer.finish_reason == "tool_calls"


async def test_a_blocked_prompt_is_an_empty_filtered_answer(client: GeminiClient) -> None:
    """It keeps its usage, as Gemini bills it; in a stream no chunk comes before it."""
    for stream, recording in (
        (False, Recording(headers=JSON, body=json.dumps(BLOCKED).encode())),
        (True, Recording(headers=SSE, body=sse(BLOCKED))),
    ):
        async with ReplayServer({"a": recording}) as server:
            one = call(MODEL, base_url=f"{server.url}/a", stream=stream)
            chunks, answer = await streamed(client, one) if stream else ([], await client.send(one))
        assert chunks == []
        assert isinstance(answer, Answer)
        assert (answer.text, answer.finish_reason) == ("", "content_filter")
        assert answer.usage == Usage(input_tokens=4)


ERROR = {"error": {"code": 429, "message": "Resource has been exhausted", "status": "RESOURCE_EXHAUSTED"}}


@pytest.mark.parametrize(
    ("recording", "kind"),
    [
        (Recording(headers=SSE, body=sse(body({"text": "a"}, finish=None))), "cut"),
        (Recording(headers=SSE, body=b""), "cut"),
        (Recording(headers=SSE, body=sse(body({"text": "a"}, finish=None), ERROR)), "refused"),
        (Recording(headers=JSON, body=json.dumps([ERROR]).encode()), "refused"),
        (Recording(headers=JSON, body=json.dumps([body({"text": "a"}, finish=None)]).encode()), "cut"),
        (Recording(headers=JSON, body=b"[7]"), "server_error"),
        (Recording(status=429, headers=JSON, body=json.dumps([ERROR]).encode()), "refused"),
    ],
)
async def test_what_goes_wrong_in_a_stream(client: GeminiClient, recording: Recording, kind: str) -> None:
    """A stream that breaks off or turns into an error is a failure."""
    async with ReplayServer({"a": recording}) as server:
        _, failure = await streamed(client, call(MODEL, base_url=f"{server.url}/a", stream=True))
    assert isinstance(failure, Failure)
    assert failure.kind == kind


async def test_a_body_that_is_no_answer(client: GeminiClient) -> None:
    """A success without candidates is a failure that quotes nothing of it."""
    async with ReplayServer({"a": Recording(headers=JSON, body=b'{"kind":"private words"}')}) as server:
        failure = await client.send(call(MODEL, base_url=f"{server.url}/a"))
    assert isinstance(failure, Failure)
    assert failure.kind == "server_error"
    assert "private" not in failure.message


async def test_an_image_that_gemini_does_not_fetch_is_sent_along(client: GeminiClient) -> None:
    """A URL in the messages is fetched, once, and its bytes go into the request."""
    picture = Recording(headers={"content-type": "image/png"}, body=b"\x89PNG\r\n\x1a\n")
    answered = Recording(headers=JSON, body=json.dumps(body({"text": "a pixel"})).encode())
    async with ReplayServer({"a": answered, "p.png": picture}) as server:
        image = {"type": "image_url", "image_url": {"url": f"{server.url}/p.png"}}
        one = call(
            MODEL, base_url=f"{server.url}/a", messages=[{"role": "user", "content": [image, image]}],
            options={"allow_private_media": True},
        )  # fmt: skip
        answer = await client.send(one)
        sent = server.seen["a"].json()
        refused = await client.send(call(MODEL, base_url=f"{server.url}/a", messages=one.request.messages))
        assert server.count == 2
    assert isinstance(answer, Answer)
    parts = sent["contents"][0]["parts"]
    assert parts[0]["inline_data"] == {"mime_type": "image/png", "data": "iVBORw0KGgo="}
    assert isinstance(refused, Failure)
    assert (refused.kind, refused.sent) == ("unsupported", False)
