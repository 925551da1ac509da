"""A loopback provider that counts its calls and can hold them half-way."""

from __future__ import annotations

import asyncio
import json
from types import TracebackType
from typing import Self

from aiohttp import web

from tests.cache.routers import PIECES, TEXT


class Upstream:
    """Answers OpenAI's chat completions with one text, whole or in pieces.

    Args:
        hold_first: whether the first call stays half-way until its caller is gone.

    Attributes:
        calls: the caller of each call, as its header X-Child names it, in order.
        half_way: set when the first call is half-way.
    """

    def __init__(self, *, hold_first: bool = False) -> None:
        self._hold_first = hold_first
        self.calls: list[str] = []
        self.half_way = asyncio.Event()
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._handle)
        self._runner = runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.calls.append(request.headers.get("X-Child", ""))
        held = self._hold_first and len(self.calls) == 1
        return await (self._stream(request, held) if body.get("stream") else self._whole(held))

    async def _whole(self, held: bool) -> web.StreamResponse:
        await self._wait(held)
        message = {"role": "assistant", "content": TEXT}
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        return web.json_response(
            {"id": "one", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage}
        )

    async def _stream(self, request: web.Request, held: bool) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for i, piece in enumerate(PIECES):
            if i == len(PIECES) // 2:
                await self._wait(held)
            await response.write(_event({"choices": [{"index": 0, "delta": {"content": piece}}]}))
        await response.write(_event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))
        await response.write(_event({"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5}}))
        await response.write(b"data: [DONE]\n\n")
        return response

    async def _wait(self, held: bool) -> None:
        if held:
            self.half_way.set()
            await asyncio.Event().wait()
        # Long enough for whoever comes at the same time to come while this one is in flight.
        await asyncio.sleep(1.0)


def _event(data: object) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()
