"""What a replay test expects of a client, read from the recording in the plainest way, and how the two are compared."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from router.clients.client import Call, Client
from router.core.answer import Answer, Chunk
from router.core.catalog import Model, Timeouts
from router.core.failure import Failure
from router.core.request import Request

T = TypeVar("T")

AT_ONCE = 24  # requests in flight: enough to keep both ends of the loopback busy


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """One answer, as the recording says it."""

    text: str
    calls: tuple[tuple[str, Any], ...]
    """Name and parsed arguments of each tool call."""
    finish: str | None
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One answer, as the client gave it: the outcome, and the text of the chunks before it."""

    outcome: Answer | Failure
    streamed: str | None

    def plain(self) -> Plain:
        """Returns it in the same terms as the recording."""
        assert isinstance(self.outcome, Answer), self.outcome
        message = self.outcome.choices[0].message
        usage = self.outcome.usage
        return Plain(
            text=message.content or "",
            calls=tuple((c.function.name, loose_json(c.function.arguments)) for c in message.tool_calls or ()),
            finish=self.outcome.finish_reason,
            input_tokens=usage.input_tokens if usage else 0,
            output_tokens=usage.output_tokens if usage else 0,
            cached_input_tokens=usage.cached_input_tokens if usage else 0,
        )


def loose_json(text: str) -> Any:
    """Returns tool arguments parsed; as they are where an answer that was cut off left them broken."""
    try:
        return json.loads(text or "{}")
    except ValueError:
        return text


def call_of(model_id: str, base_url: str, *, stream: bool, provider: str, **options: object) -> Call:
    """Returns a simple request to a model; what comes back is the recording's business."""
    return Call(
        model=Model(name="m", id=model_id, provider=provider, client=provider, base_url=base_url, options=options),
        request=Request(messages=({"role": "user", "content": "hi"},), stream=stream),
        timeouts=Timeouts(connect_s=60.0, between_tokens_s=None),  # importing litellm may hold up the loop for long
        key="test-key",
    )


async def ask(client: Client, call: Call) -> Read:
    """Sends one call and collects what comes."""
    if not call.request.stream:
        return Read(outcome=await client.send(call), streamed=None)
    texts: list[str] = []
    outcome: Answer | Failure | None = None
    async for item in client.stream(call):
        assert outcome is None, "nothing may follow the answer"
        if isinstance(item, Chunk):
            texts += [c.delta.content or "" for c in item.choices if c.index == 0]
        else:
            outcome = item
    assert outcome is not None, "a stream ends in an answer or a failure"
    return Read(outcome=outcome, streamed="".join(texts))


async def all_of(jobs: Iterable[Callable[[], Awaitable[T]]]) -> list[T]:
    """Runs jobs, some at once, and returns their results in order."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def run(job: Callable[[], Awaitable[T]]) -> T:
        async with gate:
            return await job()

    return await asyncio.gather(*(run(job) for job in jobs))


def events_of(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the JSON objects of a recorded answer: its events, its array's items, or the one body."""
    body = row["response_body"]
    if row["wire_format"] == "sse":
        lines = (line[5:].strip() for line in body.splitlines() if line.startswith("data:"))
        return [json.loads(line) for line in lines if line and line != "[DONE]"]
    parsed = json.loads(body)
    return parsed if isinstance(parsed, list) else [parsed]


def table(title: str, rows: Iterable[tuple[str, ...]]) -> str:
    """Returns rows as aligned text under a title."""
    lines = [title, *("  " + "  ".join(cell.ljust(14) for cell in row) for row in rows)]
    return "\n".join(lines)
