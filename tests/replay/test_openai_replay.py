"""The `openai` client against recorded answers of the hosts it serves, over a real connection to this machine.

What the client returns is compared with a plain reading of the recorded bytes that shares no code with it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from router.clients.client import Call
from router.clients.openai import OpenAIClient
from router.clients.quirks import provider_at, quirks_of
from router.core.answer import Answer, Chunk, Usage
from router.core.catalog import Model, Timeouts
from router.core.failure import Failure
from router.core.request import Request
from tests.replay.server import ReplayServer, cassettes, recording_of

PROVIDERS = {
    "alibaba": "dashscope",
    "azure": "azure",
    "baseten": "baseten",
    "cerebras": "cerebras",
    "crusoe": "crusoe",
    "deepseek": "deepseek",
    "groq": "groq",
    "huggingface": "huggingface",
    "litellm-proxy": "openai_compatible",
    "llamacpp": "llamacpp",
    "local": "openai_compatible",
    "mistral": "mistral",
    "ollama": "ollama",
    "openai": "openai",
    "openrouter": "openrouter",
    "perplexity": "perplexity",
    "snowflake": "snowflake",
    "together": "together_ai",
    "vercel-gateway": "vercel_ai_gateway",
    "xai": "xai",
    "xiaomi": "xiaomi_mimo",
    "zai": "zai",
}
"""litellm's name of each recorded host."""

OTHERS = frozenset({"api.avian.io", "bedrock", "gemini", "heroku", "demo-endpoints.pydantic.workers.dev"})
"""Hosts met once or twice, tested together as compatible servers."""

FINISH_WORDS = {"eos": "stop"}
"""Finish reasons that are expected in OpenAI's words."""


@dataclass
class Report:
    """What a host's rows came to."""

    rows: int = 0
    lost: int = 0
    """Rows whose recording holds no answer and no usage, for which a failure is right."""
    wrong: list[str] = field(default_factory=list)
    explained: Counter[str] = field(default_factory=Counter)

    def table(self, provider: str) -> str:
        """Returns the rows that differ from their recording, by reason, as lines of text."""
        equal = self.rows - len(self.wrong) - self.explained.total()
        lines = [f"\n{provider}: {equal} of {self.rows} rows equal, {len(self.wrong)} wrong"]
        if self.lost:
            lines.append(f"  {self.lost:4} of the equal hold no answer and no usage: a failure is right")
        return "\n".join([*lines, *(f"  {count:4} {reason}" for reason, count in self.explained.items())])


def call_of(row: Mapping[str, Any], server: ReplayServer) -> Call:
    """Returns the recorded request as a call of the client, through the loopback server."""
    request = row["request"] if isinstance(row["request"], dict) else {}
    messages = request.get("messages") or [{"role": "user", "content": "lost"}]
    params = {k: v for k, v in request.items() if k not in ("model", "messages", "stream")}
    provider = PROVIDERS.get(row["provider"], "openai_compatible")
    model = Model(
        name=row["id"],
        id=f"{provider}/{request.get('model') or row['model'] or 'unnamed'}",
        provider=provider,
        client="openai",
        base_url=f"{server.url}/{row['id']}/v1",
    )
    return Call(
        model=model,
        request=Request(messages=tuple(messages), params=params, stream=row["stream"]),
        timeouts=Timeouts(total_s=30),
        key="sk-loopback",
    )


async def ask(client: OpenAIClient, call: Call) -> tuple[Answer | Failure, str]:
    """Returns the client's answer, and the text of the chunks before it."""
    if not call.request.stream:
        return await client.send(call), ""
    text, last = "", None
    async for item in client.stream(call):
        assert last is None, "something came after the answer"
        if isinstance(item, Chunk):
            text += item.text
        else:
            last = item
    assert last is not None
    return last, text


def documents(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the recorded JSON documents: one for an answer, one per event for a stream."""
    body = row["response_body"]
    if row["wire_format"] == "json":
        return [json.loads(body)]
    datas = [line[5:].strip() for line in body.splitlines() if line.startswith("data:")]
    return [json.loads(data) for data in datas if data and data != "[DONE]"]


def plain_text(row: Mapping[str, Any]) -> str:
    """Returns the first choice's text, read plainly from the recording."""
    text = ""
    for document in documents(row):
        for choice in document.get("choices") or []:
            if choice.get("index", 0) != 0:
                continue
            content = (choice.get("message" if row["wire_format"] == "json" else "delta") or {}).get("content")
            if isinstance(content, list):
                content = "".join(part.get("text", "") for part in content if part.get("type") == "text")
            text += content or ""
    return text


def plain_finish(row: Mapping[str, Any]) -> str | None:
    """Returns the first choice's finish reason, read plainly from the recording."""
    found = None
    for document in documents(row):
        for choice in document.get("choices") or []:
            if choice.get("index", 0) == 0:
                found = choice.get("finish_reason") or found
    return FINISH_WORDS.get(found, found) if found else None


def plain_calls(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns names and arguments of the first choice's function calls, read plainly from the recording."""
    calls: dict[Any, list[str]] = {}
    for document in documents(row):
        for choice in document.get("choices") or []:
            if choice.get("index", 0) != 0:
                continue
            message = choice.get("message" if row["wire_format"] == "json" else "delta") or {}
            for position, call in enumerate(message.get("tool_calls") or []):
                said = call.get("function") or call.get("custom") or {}
                place = position if row["wire_format"] == "json" else call.get("index", position)
                name_and_arguments = calls.setdefault(place, ["", ""])
                name_and_arguments[0] = name_and_arguments[0] or said.get("name") or ""
                name_and_arguments[1] += said.get("arguments") or said.get("input") or ""
    return [(name, arguments) for name, arguments in calls.values()]


def plain_usage(row: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """Returns the counts that the recorded usage states: input, output, cached, written, reasoning, audio, dollars."""
    usage = row["usage"]
    if usage is None:
        return None
    inp, out = usage.get("prompt_tokens_details") or {}, usage.get("completion_tokens_details") or {}
    cached = (
        inp.get("cached_tokens")
        or usage.get("cached_tokens")
        or usage.get("num_cached_tokens")
        or usage.get("prompt_cache_hit_tokens")
        or 0
    )
    billed = row["billed_cost_usd"]
    reasoning = out.get("reasoning_tokens") or usage.get("reasoning_tokens") or 0
    output = usage["completion_tokens"]
    if usage["total_tokens"] == usage["prompt_tokens"] + output + reasoning:
        output += reasoning  # xAI: the recorded total says that reasoning is not part of the completion
    return (
        usage["prompt_tokens"],
        output,
        cached,
        inp.get("cache_write_tokens") or usage.get("cache_creation_input_tokens") or 0,
        reasoning,
        inp.get("audio_tokens") or 0,
        None if billed is None else Decimal(str(billed)),
    )


def counts(usage: Usage | None) -> tuple[Any, ...] | None:
    """Returns the same counts of the client's usage."""
    if usage is None:
        return None
    return (
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_input_tokens,
        usage.cache_write_tokens,
        usage.reasoning_tokens,
        usage.input_audio_tokens,
        usage.billed_usd,
    )


def why_different(row: Mapping[str, Any], got: tuple[Any, ...] | None) -> str | None:
    """Returns why the client rightly counts otherwise than the recorded object; None where nothing explains it."""
    want = plain_usage(row)
    if want is None or got is None:
        return None
    beside = got[1] - want[1]
    if got[:6] == want[:6] and row["usage"].get("is_byok") and got[6] > want[6]:
        return "with a key of one's own upstream the gateway states its fee alone; the upstream cost is added"
    same = (got[0], got[2], got[3], got[5], got[6]) == (want[0], want[2], want[3], want[5], want[6])
    if not same:
        return None
    if beside == want[4] > 0 and str(row["model"]).startswith("google/"):
        return "reasoning of Google's models is billed beside completion_tokens (the stated cost says so)"
    if beside == 0 and got[4] == want[1] < want[4]:
        return "more reasoning than completion tokens, billed by the latter: reasoning counts as the whole output"
    return None


def lost_body(row: Mapping[str, Any]) -> bool:
    """Tells whether the recording kept nothing of a stream, or an answer that is no chat completion."""
    body = row["response_body"].strip()
    return body in ("", "data: [DONE]") or '"choices"' not in body


def check(row: Mapping[str, Any], result: Answer | Failure, chunks: str, report: Report) -> None:
    """Compares one result with the recording."""
    report.rows += 1
    if isinstance(result, Failure):
        if lost_body(row) and row["usage"] is None and result.kind in ("unusable", "cut"):
            report.lost += 1
        else:
            report.wrong.append(f"{row['id']}: {result}")
        return
    got, want = counts(result.usage), plain_usage(row)
    if got != want:
        reason = why_different(row, got)
        if reason is None:
            report.wrong.append(f"{row['id']}: usage {got}, recorded {want}")
        else:
            report.explained[reason] += 1
    if result.text != plain_text(row):
        report.wrong.append(f"{row['id']}: another text")
    if row["stream"] and chunks != result.text:
        report.wrong.append(f"{row['id']}: the chunks do not add up to the answer")
    if result.finish_reason != plain_finish(row):
        report.wrong.append(f"{row['id']}: finish reason {result.finish_reason}, recorded {plain_finish(row)}")
    calls = [(c.function.name, c.function.arguments) for c in result.choices[0].message.tool_calls or ()]
    if calls != plain_calls(row):
        report.wrong.append(f"{row['id']}: other tool calls")


def check_request(row: Mapping[str, Any], server: ReplayServer, report: Report) -> None:
    """Compares what the server got with the recorded request, less the quirks the table lists."""
    seen = server.seen[row["id"]]
    assert seen.headers["content-type"] == "application/json"
    quirks = quirks_of(provider_at(PROVIDERS.get(row["provider"], ""), server.url))
    assert seen.headers[quirks.key_header.lower()] == f"{quirks.key_prefix}sk-loopback"
    if not isinstance(row["request"], dict):
        return
    sent, want = seen.json(), dict(row["request"])
    want.setdefault("model", sent["model"])
    if not want.get("stream"):
        want.pop("stream", None)
    allowed = {*quirks.adds, *quirks.renames.values(), quirks.output_limit}
    if want.get("stream"):
        allowed.add("stream_options")
    for name in ("max_tokens", "max_completion_tokens"):
        if quirks.output_limit not in (None, name) and name in want:
            want[quirks.output_limit] = want.pop(name)
    if isinstance(want.get("tool_choice"), str):
        want["tool_choice"] = quirks.tool_choices.get(want["tool_choice"], want["tool_choice"])
    different = {name for name in sent.keys() | want.keys() if sent.get(name) != want.get(name)} - allowed
    if "messages" in different and _without_foreign(want["messages"]) == _without_foreign(sent["messages"]):
        different.discard("messages")
    if different:
        report.wrong.append(f"{row['id']}: the request was changed in {sorted(different)}")


def _without_foreign(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    dropped = ("reasoning", "reasoning_content", "annotations", "refusal")
    return [{k: v for k, v in message.items() if k not in dropped} for message in messages]


async def replay(rows: Sequence[Mapping[str, Any]]) -> Report:
    """Returns what the rows came to, asked eight at a time."""
    report = Report()
    async with ReplayServer({row["id"]: recording_of(row) for row in rows}) as server:
        client = OpenAIClient()
        gate = asyncio.Semaphore(8)

        async def one(row: Mapping[str, Any]) -> None:
            async with gate:
                result, chunks = await ask(client, call_of(row, server))
            check(row, result, chunks, report)
            check_request(row, server, report)

        await asyncio.gather(*(one(row) for row in rows))
        await client.aclose()
        assert server.count == len(rows), "one attempt is one request"
    return report


async def replay_all() -> dict[str, Report]:
    """Returns each provider's report; one after the other, so that each has a client of its own."""
    rows = [row for row in cassettes("cassettes_ok") if row["api"] == "openai.chat"]
    wanted = {provider: {provider} for provider in PROVIDERS} | {"others": OTHERS}
    return {name: await replay([row for row in rows if row["provider"] in hosts]) for name, hosts in wanted.items()}


@pytest.fixture(scope="module")
def reports() -> dict[str, Report]:
    """Returns what the rows of every provider came to; all are replayed once."""
    return asyncio.run(replay_all())


@pytest.mark.untraced
@pytest.mark.parametrize("provider", [*PROVIDERS, "others"])
def test_reads_recorded_answers_as_recorded(provider: str, reports: dict[str, Report]) -> None:
    """Usage, text, finish reason and tool calls are as recorded, streams included; the request goes out as given."""
    report = reports[provider]
    assert report.rows
    assert not report.wrong, "\n".join(report.wrong)


def test_usage_equals_the_recorded_in_99_of_100_rows(
    reports: dict[str, Report], capsys: pytest.CaptureFixture[str]
) -> None:
    """Nearly every row's usage is the recorded one; the table says why the others' is not."""
    with capsys.disabled():
        sys.stdout.write("".join(report.table(provider) for provider, report in reports.items()))
    rows = sum(report.rows for report in reports.values())
    other = sum(report.explained.total() for report in reports.values())
    assert (rows - other) / rows >= 0.99


def test_covers_every_chat_row() -> None:
    """No recorded host is left out by accident."""
    hosts = {row["provider"] for row in cassettes("cassettes_ok") if row["api"] == "openai.chat"}
    assert hosts <= PROVIDERS.keys() | OTHERS
