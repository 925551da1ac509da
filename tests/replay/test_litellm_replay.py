"""What the `litellm` client makes of recorded answers of Bedrock and Cohere."""

from __future__ import annotations

import asyncio
import csv
import dataclasses
import json
import re
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest

from router.clients.litellm import LitellmClient
from router.core.answer import Answer
from tests.replay.plain_reading import Read, all_of, ask, call_of, table
from tests.replay.server import ReplayServer, cassettes, recording_of
from tests.shared_data import data_path

AWS = {"aws_region_name": "us-east-1", "aws_access_key_id": "a", "aws_secret_access_key": "b"}
THINKING = re.compile(r"^\s*<thinking>.*?</thinking>", re.DOTALL)
"""Some models of Bedrock write their thinking into their text; litellm takes most of it out again."""


def hidden_errors() -> dict[str, str]:
    """Returns the class of each recorded answer that is an error, as it was labelled by hand."""
    with data_path("cassettes", "failure_labels.csv").open() as file:
        return {row["id"]: row["class"] for row in csv.DictReader(file)}


def bedrock() -> list[dict[str, Any]]:
    """Returns the recorded answers of Bedrock's Converse."""
    return [r for r in cassettes("cassettes_ok") if r["api"] == "bedrock.converse" and r["provider"] == "bedrock"]


def cohere() -> list[dict[str, Any]]:
    """Returns the recorded answers of Cohere's v2 chat."""
    return [
        row
        for row in cassettes("cassettes_ok")
        if row["api"] == "cohere.chat" and row["provider"] == "cohere" and row["path"] == "/v2/chat"
    ]


def recorded_counts(row: Mapping[str, Any]) -> tuple[int, int, int]:
    """Returns input, output and cached tokens of a row's own `usage`."""
    usage = row["usage"] or {}
    if row["provider"] == "cohere":
        tokens = usage.get("tokens") or {}
        return tokens.get("input_tokens", 0), tokens.get("output_tokens", 0), usage.get("cached_tokens", 0)
    cached, written = usage.get("cacheReadInputTokens") or 0, usage.get("cacheWriteInputTokens") or 0
    return usage.get("inputTokens", 0) + cached + written, usage.get("outputTokens", 0), cached


def text_of(row: Mapping[str, Any]) -> str | None:
    """Returns the text of an answer that was not streamed, read plainly; None for a stream."""
    if row["stream"]:
        return None
    body = json.loads(row["response_body"])
    message = body["message"] if row["provider"] == "cohere" else body["output"]["message"]
    return THINKING.sub("", "".join(block.get("text", "") for block in message.get("content") or ()))


async def read_all(rows: list[dict[str, Any]], model_id: str) -> list[Read]:
    """Returns what the client made of each row, over loopback."""
    provider = model_id.partition("/")[0]
    client = LitellmClient()
    async with ReplayServer({row["id"]: recording_of(row) for row in rows}) as server:
        calls = [
            call_of(
                model_id,
                f"{server.url}/{row['id']}",
                stream=row["stream"],
                provider=provider,
                **(AWS if provider == "bedrock" else {}),
            )
            for row in rows
        ]
        if provider == "bedrock":
            # litellm picks the answer's form by the model; a bearer token would replace the signature.
            calls = [dataclasses.replace(one, key=None) for one in calls]
        read = await all_of([partial(ask, client, one) for one in calls])
        await client.aclose()
    return read


@pytest.mark.untraced
@pytest.mark.parametrize(
    ("rows", "model_id"),
    [(bedrock, "bedrock/converse/us.anthropic.claude-sonnet-4-5-20250929-v1:0"), (cohere, "cohere/command-a-03-2025")],
    ids=["bedrock.converse", "cohere.chat v2"],
)
def test_recorded_answers(rows: Any, model_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every answer is read, with its text, and with its usage in at least 99 % of the rows; hidden errors are found."""
    chosen, hidden = rows(), hidden_errors()
    read = asyncio.run(read_all(chosen, model_id))
    kinds: Counter[str] = Counter()
    odd: list[tuple[str, ...]] = []
    for row, one in zip(chosen, read, strict=True):
        if not isinstance(one.outcome, Answer):
            kinds[one.outcome.kind] += 1
            if hidden.get(row["id"]) == one.outcome.kind:
                continue
            odd.append((row["id"], one.outcome.kind, one.outcome.message[:80]))
            continue
        kinds["answer"] += 1
        plain = one.plain()
        assert text_of(row) in (None, plain.text, THINKING.sub("", plain.text)), row["id"]
        assert one.streamed in (None, plain.text), row["id"]
        counts = (plain.input_tokens, plain.output_tokens, plain.cached_input_tokens)
        if counts != recorded_counts(row):
            odd.append((row["id"], str(recorded_counts(row)), str(counts)))
    with capsys.disabled():
        print(table(f"\n{model_id}: {dict(kinds)}, usage differs in {len(odd)}", odd))  # noqa: T201 - shown
    assert len(odd) <= 0.01 * len(chosen)
