from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest

from router.clients.gemini import GeminiClient
from router.core.answer import Answer
from tests.replay.plain_reading import Plain, Read, all_of, ask, call_of, events_of, table
from tests.replay.server import ReplayServer, cassettes, recording_of

FINISH = {
    "STOP": "stop", "MAX_TOKENS": "length", "SAFETY": "content_filter", "MODEL_ARMOR": "content_filter",
    "UNEXPECTED_TOOL_CALL": "error", 1: "stop", 2: "length",
}  # fmt: skip


def rows() -> list[dict[str, Any]]:
    """Returns every recorded answer of Gemini's API, from Google AI Studio and from Vertex AI."""
    return [
        row
        for row in cassettes("cassettes_ok")
        if row["api"] == "gemini.generate" and row["provider"] in ("gemini", "vertex")
    ]


def plain(row: Mapping[str, Any]) -> Plain:
    """Returns a recording read as plainly as can be; the usage is the last one in it."""
    text, calls, finish = "", [], None
    usage: dict[str, Any] = {}
    for event in events_of(row):
        for candidate in event.get("candidates", ())[:1]:
            for part in (candidate.get("content") or {}).get("parts", ()):
                text += "" if part.get("thought") else part.get("text", "")
                if "functionCall" in part:
                    calls.append((part["functionCall"]["name"], part["functionCall"].get("args") or {}))
            finish = candidate.get("finishReason", finish)
        if event.get("promptFeedback"):
            finish = "SAFETY"
        usage = event.get("usageMetadata") or usage
    found = FINISH.get(finish) if finish else None
    return Plain(
        text=text,
        calls=tuple(calls),
        finish="tool_calls" if found == "stop" and calls else found,
        input_tokens=usage.get("promptTokenCount", 0) + usage.get("toolUsePromptTokenCount", 0),
        output_tokens=usage.get("candidatesTokenCount", 0) + usage.get("thoughtsTokenCount", 0),
        cached_input_tokens=usage.get("cachedContentTokenCount", 0),
    )


def recorded_counts(row: Mapping[str, Any]) -> tuple[int, int, int]:
    """Returns the counts of the row's own `usage`, which the collection merged over a stream's events."""
    usage = row["usage"] or {}
    return (
        usage.get("promptTokenCount", 0) + usage.get("toolUsePromptTokenCount", 0),
        usage.get("candidatesTokenCount", 0) + usage.get("thoughtsTokenCount", 0),
        usage.get("cachedContentTokenCount", 0),
    )


@pytest.fixture(scope="module")
def readings() -> list[tuple[dict[str, Any], Read]]:
    """Returns every recording with what the client made of it, over loopback."""
    return asyncio.run(read_all())


async def read_all() -> list[tuple[dict[str, Any], Read]]:
    """Returns every recording with what the client made of it."""
    chosen = rows()
    client = GeminiClient()
    async with ReplayServer({row["id"]: recording_of(row) for row in chosen}) as server:
        calls = [
            call_of("gemini/gemini-2.5-flash", f"{server.url}/{row['id']}", stream=row["stream"], provider="gemini")
            for row in chosen
        ]
        read = await all_of([partial(ask, client, call) for call in calls])
        await client.aclose()
    return list(zip(chosen, read, strict=True))


def test_every_recording_is_an_answer(readings: list[tuple[dict[str, Any], Read]]) -> None:
    """No recorded success is taken for a failure, not even one whose content was blocked."""
    assert [(row["id"], read.outcome) for row, read in readings if not isinstance(read.outcome, Answer)] == []


def test_text_calls_and_finish_reason_are_the_recorded_ones(readings: list[tuple[dict[str, Any], Read]]) -> None:
    """Text, tool calls and finish reason of every row equal a plain reading of its bytes, streamed or not."""
    wrong = []
    for row, read in readings:
        ours, theirs = read.plain(), plain(row)
        if (ours.text, ours.calls, ours.finish) != (theirs.text, theirs.calls, theirs.finish):
            wrong.append((row["id"], ours, theirs))
        if read.streamed is not None:
            assert read.streamed == ours.text, row["id"]
    assert not wrong


def test_usage_is_the_recorded_one(
    readings: list[tuple[dict[str, Any], Read]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Usage equals the recorded one in at least 99 % of the rows, and every other row is explained."""
    odd, unexplained = [], []
    for row, read in readings:
        ours, theirs = read.plain(), plain(row)
        counts = (ours.input_tokens, ours.output_tokens, ours.cached_input_tokens)
        if counts == recorded_counts(row):
            continue
        last = (theirs.input_tokens, theirs.output_tokens, theirs.cached_input_tokens)
        why = "the last event's usage is the whole; the collection mixed in an earlier one's" if counts == last else ""
        odd.append((row["id"], str(recorded_counts(row)), str(counts), why or "?"))
        if not why:
            unexplained.append(row["id"])
    with capsys.disabled():
        print(table(f"\ngemini.generate: {len(readings)} rows, usage differs in {len(odd)}", odd))  # noqa: T201 - shown
    assert not unexplained
    assert len(odd) <= 0.01 * len(readings)


def test_ids_of_tool_calls_replay(readings: list[tuple[dict[str, Any], Read]]) -> None:
    """Every tool call has an id, no two of one answer the same."""
    for row, read in readings:
        assert isinstance(read.outcome, Answer)
        ids = [call.id for choice in read.outcome.choices for call in choice.message.tool_calls or ()]
        assert all(ids), row["id"]
        assert len(set(ids)) == len(ids), row["id"]
