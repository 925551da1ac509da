"""Answers that no sane provider sends: each becomes an answer without usage, or a failure, and never an exception."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from router.clients import anthropic, cohere, gemini, litellm, openai, openai_wire
from router.clients.client import Client
from router.clients.counts import COUNT_MOST
from router.clients.nesting import DEPTH_MOST, too_deep
from router.core.answer import Answer, Usage
from router.core.failure import Failure
from tests.clients.calls import call, sse, streamed
from tests.replay.server import Recording, ReplayServer

JSON, SSE = {"content-type": "application/json"}, {"content-type": "text/event-stream"}
NO_COUNTS = [float("inf"), float("-inf"), float("nan"), 10**400, -1, -0.5, COUNT_MOST + 1]
READERS: Mapping[str, Callable[[object, object], Usage | None]] = {
    "openai": lambda a, b: openai.usage_from({"usage": {"prompt_tokens": a, "completion_tokens": b}}, "openai"),
    "anthropic": lambda a, b: anthropic.usage_from({"usage": {"input_tokens": a, "output_tokens": b}}),
    "gemini": lambda a, b: gemini.usage_from({"usageMetadata": {"promptTokenCount": a, "candidatesTokenCount": b}}),
    "cohere": lambda a, b: cohere.usage_from({"usage": {"tokens": {"input_tokens": a, "output_tokens": b}}}),
    "litellm": lambda a, b: litellm.usage_from({"usage": {"prompt_tokens": a, "completion_tokens": b}}),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("count", NO_COUNTS)
def test_a_total_that_is_no_count_is_no_usage(reader: str, count: float) -> None:
    """One broken total makes the whole unreported: half a bill would look like a whole one."""
    assert READERS[reader](count, 5) is None
    assert READERS[reader](5, count) is None
    assert READERS[reader](5, None) == Usage(input_tokens=5)


@pytest.mark.parametrize("count", [*NO_COUNTS, True, "7", [7]])
def test_a_part_that_is_no_count_is_not_reported(count: object) -> None:
    """The totals stand where only a part of one is broken."""
    said = {"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": count}}
    assert openai.usage_from({"usage": said}, "openai") == Usage(input_tokens=9, output_tokens=4)
    said = {"input_tokens": 9, "output_tokens": 4, "cache_read_input_tokens": count}
    assert anthropic.usage_from({"usage": said}) == Usage(input_tokens=9, output_tokens=4)


@pytest.mark.parametrize("cost", ["1e999999", "1e-999999", "NaN", "-1", 1e400, -3, True, []])
def test_a_bill_that_is_none_is_not_reported(cost: object) -> None:
    """What is no amount of money says nothing of what an answer cost."""
    usage = openai.usage_from({"usage": {"prompt_tokens": 9, "completion_tokens": 4, "cost": cost}}, "openrouter")
    assert usage == Usage(input_tokens=9, output_tokens=4)


NAMED: Mapping[str, Callable[[object], Answer]] = {
    "openai": lambda name: openai_wire.answer_from({"id": name, "model": name}, "openai"),
    "anthropic": lambda name: anthropic.answer_from({"id": name, "model": name, "content": []}, {}),
    "gemini": lambda name: gemini.answer_from({"responseId": name, "modelVersion": name, "candidates": []}, {}),
    "cohere": lambda name: cohere.answer_from({"id": name, "message": {}}, {}),
    "litellm": lambda name: litellm.answer_from({"id": name, "model": name}, {}),
}


@pytest.mark.parametrize("reader", NAMED)
def test_a_name_that_is_no_text_is_none(reader: str) -> None:
    """The record and spans hold the names of an answer and of its model, and take text."""
    for name in (7, True, "", ["a"], {"a": 1}, None):
        answer = NAMED[reader](name)
        assert (answer.id, answer.model) == (None, None)
    assert NAMED[reader]("a-1").id == "a-1"


def nested(depth: int) -> Any:
    """Returns lists inside each other."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def test_how_deep_is_too_deep() -> None:
    """The limit is exact, whatever stands beside it; many shallow values are no depth."""
    for depth in (DEPTH_MOST, DEPTH_MOST + 1):
        value = {"beside": [{}] * 300, "deep": nested(depth - 1)}
        assert too_deep(value, json.dumps(value)) is (depth > DEPTH_MOST)
        assert too_deep(value, json.dumps(value).encode()) is (depth > DEPTH_MOST)
    assert not too_deep("[" * 300, json.dumps("[" * 300))


CLIENTS: Mapping[str, tuple[type[Client], Any]] = {
    "openai/m": (openai.OpenAIClient, {"choices": [{"message": {"content": "x", "more": 0}}]}),
    "anthropic/claude-sonnet-4-5": (anthropic.AnthropicClient, {"content": [{"type": "tool_use", "input": 0}]}),
    "gemini/gemini-2.5-flash": (
        gemini.GeminiClient,
        {"candidates": [{"content": {"parts": [{"functionCall": {"args": 0}}]}}]},
    ),
    "cohere/command-a-03-2025": (litellm.LitellmClient, {"message": {"content": [{"text": "x"}], "citations": 0}}),
    "hosted_vllm/m": (litellm.LitellmClient, {"choices": [{"message": {"content": "x", "more": 0}}]}),
}


@pytest.mark.parametrize("model", CLIENTS)
@pytest.mark.parametrize("depth", [DEPTH_MOST + 50, 100_000])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_deeply_nested_answer_is_an_outcome(model: str, depth: int, stream: bool) -> None:
    """Nothing meets the limit on recursion: the attempt failed, or litellm made an answer of it."""
    make, body = CLIENTS[model]
    deep = "[" * depth + "]" * depth
    text = json.dumps(body).replace(" 0", deep)
    recording = Recording(headers=SSE, body=sse(text)) if stream else Recording(headers=JSON, body=text.encode())
    client = make()
    async with ReplayServer({"a": recording}) as server:
        one = call(model, base_url=f"{server.url}/a", stream=stream)
        result = (await streamed(client, one))[1] if stream else await client.send(one)
        await client.aclose()
    assert isinstance(result, (Answer, Failure) if model.startswith("hosted_vllm") else Failure)
