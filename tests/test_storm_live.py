"""The same promise over real sockets: the real client, and a loopback server that never gives an answer of use."""

from __future__ import annotations

import asyncio
from collections import Counter
from types import TracebackType
from typing import Any, Self

import pytest
from aiohttp import web

from router import Decision, Router, RouterError, Settings

MODES = ("500", "429", "429 with a wait", "hang", "cut", "empty", "error in 200", "slow stream")
ATTEMPTS, DEADLINE_S = 4, 0.6
REQUESTS = 12
"""Of each kind, at once."""
EMPTY = {"choices": [{"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "stop"}]}
PIECE = b'data: {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}\n\n'


class BrokenServer:
    """Fails every request in the way that the first segment of its path names, and counts them by trace id.

    Attributes:
        calls: by trace id.
        open: requests under way.
    """

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.open = 0
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/{mode}/chat/completions", self._handle)
        # A handler whose client is gone must end, or it would count as open.
        self._runner = runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.port = runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    @property
    def connections(self) -> int:
        """How many clients hold one open."""
        assert self._runner is not None
        assert self._runner.server is not None
        return len(self._runner.server.connections)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.calls[request.headers["X-Trace-ID"]] += 1
        self.open += 1
        try:
            await request.read()
            return await self._fail(request, MODES[int(request.match_info["mode"])])
        finally:
            self.open -= 1

    async def _fail(self, request: web.Request, mode: str) -> web.StreamResponse:
        match mode:
            case "500":
                return web.json_response({"error": {"message": "boom"}}, status=500)
            case "429":
                return web.json_response({"error": {"message": "slow down"}}, status=429)
            case "429 with a wait":
                headers = {"retry-after-ms": "30"}
                return web.json_response({"error": {"message": "slow down"}}, status=429, headers=headers)
            case "empty":
                return web.json_response(EMPTY)
            case "error in 200":
                return web.json_response({"error": {"message": "boom", "type": "server_error"}})
            case "cut":
                return await self._cut(request)
            case "slow stream":
                return await self._trickle(request)
            case _:
                await asyncio.Event().wait()
                raise AssertionError("an event that is never set was set")

    async def _cut(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(PIECE)
        assert request.transport is not None
        request.transport.close()
        return response

    async def _trickle(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        while True:
            await response.write(PIECE)
            await asyncio.sleep(0.05)


class Kept:
    """A sink in memory."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []

    def emit(self, decision: Decision, /) -> None:
        self.decisions.append(decision)

    def close(self) -> None:
        """Has nothing to let go of."""


def settings(port: int, modes: list[int], *, deadline_s: float = DEADLINE_S) -> Settings:
    """Returns the settings of one model for each mode, under policies inside policies."""
    names = [f"m{mode}" for mode in modes]
    tables: dict[str, Any] = {
        "models": {
            f"m{mode}": {
                "id": f"m{mode}",
                "client": "openai",
                "base_url": f"http://127.0.0.1:{port}/{mode}",
                "input_usd_per_mtok": "1",
                "output_usd_per_mtok": "2",
                "context_window_tokens": 10_000,
                "max_output_tokens": 100,
            }
            for mode in modes
        },
        "policies": {
            "inner": {"kind": "fallback", "models": names},
            "middle": {"kind": "weighted", "split": [{"weight": 1, "use": "inner"}, {"weight": 1, "model": names[0]}]},
            "default": {"kind": "chain", "policies": [{"kind": "cheapest"}, "middle"]},
        },
        "bounds": {"attempts": ATTEMPTS, "deadline_s": deadline_s, "waste_usd": "1"},
    }
    return Settings(**tables)


async def ask(router: Router, *, stream: bool) -> None:
    """Asks, and reads whatever comes."""
    if not stream:
        await router.acomplete("hi", max_tokens=10)
        return
    async for _ in router.astream("hi", max_tokens=10):
        pass


@pytest.mark.untraced
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "modes", [*([n] for n in range(len(MODES))), list(range(len(MODES)))], ids=[*MODES, "all of them"]
)
async def test_a_dead_upstream_is_called_no_more_than_attempts_allow(modes: list[int], stream: bool) -> None:
    """Whatever fails, each request makes at most `attempts` calls, all recorded, and leaves no connection."""
    kept = Kept()
    async with BrokenServer() as server:
        async with Router(settings(server.port, modes), sinks=[kept]) as router:
            asked = [ask(router, stream=stream) for _ in range(REQUESTS)]
            ends = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(end, RouterError) for end in ends), ends
        assert len(kept.decisions) == len({d.trace_id for d in kept.decisions}) == REQUESTS
        assert max(server.calls.values()) <= ATTEMPTS
        for decision in kept.decisions:
            assert server.calls[decision.trace_id] <= len(decision.attempts)
            assert decision.cost_usd is not None
            assert decision.worst_case_usd is not None
            assert decision.cost_usd <= decision.worst_case_usd
        while server.open or server.connections:
            await asyncio.sleep(0.01)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_callers_who_leave_close_their_connections() -> None:
    """Cancelled requests to a server that hangs: one decision each, and every socket is closed."""
    kept = Kept()
    async with BrokenServer() as server:
        patient = settings(server.port, [MODES.index("hang")], deadline_s=3600)
        async with Router(patient, sinks=[kept]) as router:
            tasks = [asyncio.create_task(router.acomplete("hi", max_tokens=10)) for _ in range(REQUESTS)]
            while server.open < REQUESTS:
                await asyncio.sleep(0.005)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert len(kept.decisions) == REQUESTS
            assert all(d.ending == "cancelled" and d.cost_usd is not None for d in kept.decisions)
            while server.open:
                await asyncio.sleep(0.01)
        while server.connections:
            await asyncio.sleep(0.01)
