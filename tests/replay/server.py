"""A loopback provider that answers with recorded bytes.

    recordings = {row["id"]: recording_of(row) for row in cassettes("cassettes_ok")}
    async with ReplayServer(recordings) as server:
        model = Model(..., base_url=f"{server.url}/{cassette_id}")
        ...
        server.seen[cassette_id].json()     # what the client sent, last

The recording is chosen by the first segment of the path, so that any base URL does: `{server.url}/{id}`; or by the
header `x-cassette`, for clients whose path is fixed. An unknown id gets 404 and the text "no such cassette". Streams go
out in several pieces, cut at odd places that follow from the id, so that events, lines and characters are torn; pass
`pieces=1` to send them whole. Anything can be served besides cassettes: `server.recordings["x"] = Recording(...)`.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from types import TracebackType
from typing import Any, Self

import orjson
from aiohttp import web

from tests.shared_data import data_path

HOP_BY_HOP = frozenset({"connection", "content-encoding", "content-length", "keep-alive", "transfer-encoding", "date"})
"""Headers that tell of the recorded connection, not of the answer; the recorded body is decompressed already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One answer to give.

    Attributes:
        pieces: into how many pieces the body is cut on its way; 1 sends it with its length, more send it chunked.
        cut_after: close the connection after so many bytes of the body; None sends it all.
        delay_s: how long to wait before answering.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    pieces: int = 1
    cut_after: int | None = None
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One request as the server saw it; header names in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Returns the body, parsed."""
        return orjson.loads(self.body)


@cache
def cassettes(name: str) -> tuple[dict[str, Any], ...]:
    """Returns the rows of `cassettes_ok` or `cassettes_errors`, or skips the test where the real data is absent."""
    with gzip.open(data_path("cassettes", f"{name}.jsonl.gz")) as file:
        return tuple(orjson.loads(line) for line in file)


def recording_of(row: Mapping[str, Any], *, pieces: int = 6) -> Recording:
    """Returns the answer that a cassette row recorded; streams are cut into `pieces`."""
    body = row["response_body"] or ""
    streamed = row["wire_format"] != "json"
    return Recording(
        status=row["status"],
        headers={name: value for name, value in row["response_headers"].items() if name.lower() not in HOP_BY_HOP},
        body=base64.b64decode(body) if row["body_form"] == "base64" else body.encode(),
        pieces=pieces if streamed else 1,
    )


class ReplayServer:
    """Serves recordings on a free port of this machine while its context is open.

    Attributes:
        recordings: by id; may be added to while the server runs.
        seen: the last request for each id.
        count: how many requests came in all.
    """

    def __init__(self, recordings: Mapping[str, Recording] | None = None) -> None:
        self.recordings = dict(recordings or {})
        self.seen: dict[str, Seen] = {}
        self.count = 0
        self._runner: web.AppRunner | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """The server's address, without a path."""
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=2**28)
        app.router.add_route("*", "/{tail:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        cassette = request.headers.get("x-cassette") or request.path.split("/")[1]
        self.count += 1
        self.seen[cassette] = Seen(
            path=request.path_qs,
            headers={name.lower(): value for name, value in request.headers.items()},
            body=await request.read(),
        )
        recording = self.recordings.get(cassette)
        if recording is None:
            return web.Response(status=404, text="no such cassette")
        await asyncio.sleep(recording.delay_s)
        if recording.pieces == 1 and recording.cut_after is None:
            return web.Response(status=recording.status, headers=recording.headers, body=recording.body)
        return await self._stream(request, cassette, recording)

    async def _stream(self, request: web.Request, cassette: str, recording: Recording) -> web.StreamResponse:
        response = web.StreamResponse(status=recording.status, headers=recording.headers)
        response.enable_chunked_encoding()
        await response.prepare(request)
        for piece in torn(recording.body[: recording.cut_after], recording.pieces, seed=cassette):
            await response.write(piece)
            await asyncio.sleep(0)
        if recording.cut_after is not None and request.transport is not None:
            request.transport.close()
            return response
        await response.write_eof()
        return response


def torn(body: bytes, pieces: int, *, seed: str) -> list[bytes]:
    """Returns a body in pieces, cut at places that follow from the seed."""
    places = sorted(random.Random(seed).randrange(len(body) + 1) for _ in range(pieces - 1))
    bounds = [0, *places, len(body)]
    cut = [body[start:end] for start, end in pairwise(bounds)]
    return [piece for piece in cut if piece]
