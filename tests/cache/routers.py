"""Routers for tests of the cache: real machine, real cache; only the provider is scripted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from router import Answer, Call, Chunk, Decision, Failure, Reply, Router, Settings
from router.core.answer import ChunkChoice, Message
from router.testing.scripted import answer

TEXT = "The quick brown fox jumps over the lazy dog."
PIECES = tuple(TEXT[i : i + 5] for i in range(0, len(TEXT), 5))
DOWN = Failure(kind="server_error", message="boom", status=500)


class Kept:
    """A sink that keeps decisions in memory."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []

    def emit(self, decision: Decision, /) -> None:
        self.decisions.append(decision)

    def close(self) -> None:
        """Keeps what it has."""


class Provider:
    """A client that answers when it is let, in pieces where a stream is asked for.

    Args:
        results: of the first call, of the second, and so on; the last one is repeated.
        held_at: the piece before which a stream waits for `go`, as a whole answer then does too; None never waits.
    """

    keeps_time = True

    def __init__(self, *results: Answer | Failure, held_at: int | None = None) -> None:
        self._results: Sequence[Answer | Failure] = results or (answer(TEXT),)
        self._held_at = held_at
        self.calls = 0
        self.go = asyncio.Event()
        self.begun = asyncio.Event()

    def _next(self) -> Answer | Failure:
        self.calls += 1
        self.begun.set()
        return self._results[min(self.calls, len(self._results)) - 1]

    async def send(self, call: Call, /) -> Answer | Failure:
        """Returns the next result."""
        result = self._next()
        await (self.go.wait() if self._held_at is not None else asyncio.sleep(0))
        return result

    async def stream(self, call: Call, /) -> AsyncGenerator[Chunk | Answer | Failure]:
        """Yields the pieces of the next result, then itself."""
        result = self._next()
        text = result.text if isinstance(result, Answer) else ""
        for i in range(0, len(text), 5):
            if self._held_at == i // 5:
                await self.go.wait()
            yield Chunk(choices=(ChunkChoice(delta=Message(content=text[i : i + 5])),))
            await asyncio.sleep(0)
        if isinstance(result, Answer):
            yield Chunk(choices=(ChunkChoice(delta=Message(), finish_reason="stop"),))
        yield result

    async def aclose(self) -> None:
        """Has nothing open."""


def routed(client: Any, *sinks: Any, clock: Any = None, store: Any = None, checks: Any = (), **more: Any) -> Router:
    """Returns a router over two models, with a cache in memory unless another is asked for."""
    tables: dict[str, Any] = {
        "models": {
            name: {
                "id": f"simulated/{name}",
                "client": "simulated",
                "input_usd_per_mtok": price,
                "output_usd_per_mtok": price,
                "context_window_tokens": 10_000,
                "max_output_tokens": 1_000,
            }
            for name, price in {"small": "1", "large": "3"}.items()
        },
        "policies": {"default": {"kind": "fallback", "models": ["small", "large"]}},
        "cache": {"backend": "memory"},
    }
    return Router(
        Settings(**tables | more), clients={"simulated": client}, sinks=sinks, clock=clock, store=store, checks=checks
    )


async def asked(router: Router, prompt: str = "hi", *, streamed: bool = False, **request: Any) -> Reply:
    """Returns the reply; of a stream, what was streamed must be what the reply says."""
    if not streamed:
        return await router.acomplete(prompt, **request)
    stream = router.astream(prompt, **request)
    shown = "".join([chunk.text async for chunk in stream])
    assert shown == stream.reply.text
    return stream.reply
