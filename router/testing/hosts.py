"""A provider's host on loopback that does what real ones do: answer, break off, fall silent, repeat what was sent.

It knows HTTP/1.1 and nothing of what the bodies say, so it serves clients of any wire format.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self

Then = Literal["end", "cut", "hang"]
"""What follows the body that is sent: its proper end; the end of the connection instead; silence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What a host does with a request that it has read.

    Attributes:
        status: None sends no head either, so that `then` follows the request at once.
        headers: besides those of the framing.
        then: what follows the body.
        echo: whether the request, its headers too, stands behind the body, as in the errors of careless hosts.
    """

    status: int | None = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    then: Then = "end"
    echo: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request as the host got it; names of headers in lower case."""

    target: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)


class LoopbackHost:
    """Serves responses on a free port of this machine while its context is open.

    Args:
        response: what it does with each request, or a function of the number of those before and of the request.

    Attributes:
        url: the host's address, without a path; empty until the context opens.
        received: the requests, oldest first.
        connections: that are open.
        tasks: of the host itself, in the loop that runs it.
    """

    def __init__(self, response: Response | Callable[[int, Received], Response]) -> None:
        self._reply = response
        self._server: asyncio.Server | None = None
        self.url = ""
        self._changed = asyncio.Event()
        self.received: list[Received] = []
        self.connections = 0
        self.tasks: set[asyncio.Task[Any]] = set()

    async def until(self, holds: Callable[[LoopbackHost], bool], /, *, within_s: float) -> bool:
        """Returns whether something holds of the host, within some time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not holds(self):
                    self._changed.clear()
                    await self._changed.wait()
        return holds(self)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.update(filter(None, [asyncio.current_task()]))
        self.connections += 1
        try:
            while (request := await _read(reader)) is not None:
                number = len(self.received)
                self.received.append(request)
                self._changed.set()
                response = self._reply if isinstance(self._reply, Response) else self._reply(number, request)
                writer.write(_bytes(response, request))
                await writer.drain()
                if response.then == "hang":
                    await reader.read()  # until the other side hangs up
                if response.then != "end" or response.status is None:
                    break
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # whoever asked has gone, or the context closes
        finally:
            writer.transport.abort()
            self.connections -= 1
            self._changed.set()


async def _read(reader: asyncio.StreamReader) -> Received | None:
    """Returns the next request of a connection; None at its end."""
    line = await reader.readline()
    if not line:
        return None
    headers: list[tuple[str, str]] = []
    while (field_line := (await reader.readline()).decode("latin-1").rstrip("\r\n")) != "":
        name, _, value = field_line.partition(":")
        headers.append((name.strip().lower(), value.strip()))
    named = dict(headers)
    if named.get("transfer-encoding", "").lower() == "chunked":
        body = b""
        while size := int((await reader.readline()).split(b";")[0], 16):
            body += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
    else:
        body = await reader.readexactly(int(named.get("content-length", "0")))
    target = line.decode("latin-1").split(" ")[1]
    return Received(target=target, headers=tuple(headers), body=body)


def _bytes(response: Response, request: Received) -> bytes:
    if response.status is None:
        return b""
    body = response.body
    if response.echo:
        body += "\n".join(f"{name}: {value}" for name, value in request.headers).encode() + b"\n" + request.body
    framing = ("Content-Length", str(len(body))) if response.then == "end" else ("Transfer-Encoding", "chunked")
    lines = [
        f"HTTP/1.1 {response.status} Made up",
        *(f"{name}: {value}" for name, value in (*response.headers, framing)),
    ]
    if response.then != "end" and body:
        body = b"%x\r\n%s\r\n" % (len(body), body)
    return "\r\n".join([*lines, "", ""]).encode() + body
