from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest

from router.clients.anthropic import AnthropicClient
from router.core.answer import Answer
from tests.replay.plain_reading import Plain, Read, all_of, ask, call_of, events_of, loose_json, table
from tests.replay.server import ReplayServer, cassettes, recording_of

FINISH = {"end_turn": "stop", "stop_sequence": "stop", "tool_use": "tool_calls", "max_tokens": "length"}
EXPLAINED = {"compaction": "rounds of compaction are billed, and stand only in `iterations`"}


def rows() -> list[dict[str, Any]]:
    """Returns every recorded answer of the Messages API."""
    return [r for r in cassettes("cassettes_ok") if r["api"] == "anthropic.messages" and r["provider"] == "anthropic"]


def plain(row: Mapping[str, Any]) -> Plain:
    """Returns a recording read as plainly as can be."""
    blocks: dict[int, dict[str, Any]] = {}
    finish = None
    for event in events_of(row):
        match event["type"]:
            case "message":
                blocks = dict(enumerate(event["content"]))
                finish = event["stop_reason"]
            case "content_block_start":
                blocks[event["index"]] = event["content_block"] | {"json": ""}
            case "content_block_delta":
                block, delta = blocks[event["index"]], event["delta"]
                block["text"] = block.get("text", "") + delta.get("text", "")
                block["json"] += delta.get("partial_json", "")
            case "message_delta":
                finish = event["delta"]["stop_reason"]
            case _:
                pass
    ordered = [blocks[index] for index in sorted(blocks)]
    usage = row["usage"]
    cached, written = usage.get("cache_read_input_tokens") or 0, usage.get("cache_creation_input_tokens") or 0
    return Plain(
        text="".join(block["text"] for block in ordered if block["type"] == "text"),
        calls=tuple(
            (block["name"], loose_json(block["json"]) if block.get("json") else block["input"])
            for block in ordered
            if block["type"] == "tool_use"
        ),
        finish=FINISH.get(finish, finish) if finish else None,
        input_tokens=usage["input_tokens"] + cached + written,
        output_tokens=usage["output_tokens"],
        cached_input_tokens=cached,
    )


@pytest.fixture(scope="module")
def readings() -> list[tuple[dict[str, Any], Read]]:
    """Returns every recording with what the client made of it, over loopback."""
    return asyncio.run(read_all())


async def read_all() -> list[tuple[dict[str, Any], Read]]:
    """Returns every recording with what the client made of it."""
    chosen = rows()
    client = AnthropicClient()
    async with ReplayServer({row["id"]: recording_of(row) for row in chosen}) as server:
        calls = [
            call_of(
                "anthropic/claude-sonnet-4-5", f"{server.url}/{row['id']}", stream=row["stream"], provider="anthropic"
            )
            for row in chosen
        ]
        read = await all_of([partial(ask, client, call) for call in calls])
        await client.aclose()
    return list(zip(chosen, read, strict=True))


def test_every_recording_is_an_answer(readings: list[tuple[dict[str, Any], Read]]) -> None:
    """No recorded success is taken for a failure."""
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
        recorded = (theirs.input_tokens, theirs.output_tokens, theirs.cached_input_tokens)
        if counts == recorded:
            continue
        kinds = {one["type"] for one in row["usage"].get("iterations") or []}
        why = next((text for kind, text in EXPLAINED.items() if kind in kinds), "")
        odd.append((row["id"], str(recorded), str(counts), why or "?"))
        if not why:
            unexplained.append(row["id"])
    with capsys.disabled():
        print(table(f"\nanthropic.messages: {len(readings)} rows, usage differs in {len(odd)}", odd))  # noqa: T201 - shown
    assert not unexplained
    assert len(odd) <= 0.01 * len(readings)
