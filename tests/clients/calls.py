"""Calls for tests of the clients, with what each test cares about spelt out and the rest left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from router.clients.client import Call, Client
from router.core.answer import Answer, Chunk
from router.core.catalog import Model, Timeouts
from router.core.failure import Failure
from router.core.request import Request

USER = {"role": "user", "content": "hi"}
KEY = "sk-test-key-that-must-not-leak"


def call(
    model_id: str,
    *,
    base_url: str | None = None,
    messages: Sequence[Mapping[str, Any]] = (USER,),
    stream: bool = False,
    key: str | None = KEY,
    timeouts: Timeouts | None = None,
    headers: Mapping[str, str] | None = None,
    max_output_tokens: int | None = None,
    **more: Any,
) -> Call:
    """Returns a call; `params`, `options`, `model_headers` and `own_headers` are given by name, too."""
    provider = model_id.partition("/")[0]
    return Call(
        model=Model(
            name="m",
            id=model_id,
            provider=provider,
            client=provider,
            base_url=base_url,
            max_output_tokens=max_output_tokens,
            headers=more.get("model_headers", {}),
            options=more.get("options", {}),
        ),
        request=Request(
            messages=tuple(messages), params=more.get("params", {}), stream=stream, headers=more.get("own_headers", {})
        ),
        timeouts=timeouts or Timeouts(),
        key=key,
        headers=headers or {},
    )


async def streamed(client: Client, one: Call) -> tuple[list[Chunk], Answer | Failure]:
    """Returns the chunks of a stream and what came after them, which must be exactly one thing."""
    items = [item async for item in client.stream(one)]
    chunks = [item for item in items[:-1] if isinstance(item, Chunk)]
    assert len(chunks) == len(items) - 1
    assert not isinstance(items[-1], Chunk)
    return chunks, items[-1]


def sse(*events: str | Mapping[str, Any], name: str = "") -> bytes:
    """Returns events as a body; mappings become JSON."""
    import json

    head = f"event: {name}\n" if name else ""
    texts = (event if isinstance(event, str) else json.dumps(event) for event in events)
    return "".join(f"{head}data: {text}\n\n" for text in texts).encode()
