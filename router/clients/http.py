"""One pooled HTTP session, in which everything that can go wrong on the way becomes a `Failure`.

One attempt is one send. aiohttp resends only idempotent methods, so a POST that meets a pooled connection which the
server has just closed fails: as `not_sent` where the write itself was refused, as `cut` where bytes had left, because
then nobody can know whether the far end worked on them. Redirects are not followed: they would carry the API key
elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from router.clients.real import refuse_if_forbidden
from router.clients.sse import Decoder, Event
from router.core.catalog import Timeouts
from router.core.failure import Failure

if TYPE_CHECKING:
    import aiohttp
    from yarl import URL

    from router.clients.aio import Body

MAX_ANSWER_BYTES = 64 * 2**20
"""Largest answer read into memory: some forty images as base64; a server that sends more is broken or hostile."""

_LINGER_S = 0.05
"""How long the end of a body may take after its last event; the chunk that ends it comes a moment later."""

_MAX_ROUTES = 1_000  # distinct URLs remembered; beyond, the memory starts afresh


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A whole answer, whatever its status."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    """Names in lower case."""
    body: bytes = field(repr=False)
    """Decompressed."""


class Stream:
    """An answer whose head has arrived; its body comes by one of `pieces`, `events` or `read`, once.

    Attributes:
        status: HTTP status.
        headers: names in lower case.
    """

    __slots__ = ("_between_s", "_body", "_ended", "_host", "_patience_s", "_response", "headers", "status")

    def __init__(
        self, response: aiohttp.ClientResponse, body: Body, *, patience_s: float | None, between_s: float | None
    ) -> None:
        from router.clients import aio

        self.status = response.status
        self.headers = aio.head(response.headers)
        self._response = response
        self._body = body
        self._host = response.url.host_port_subcomponent or ""
        self._patience_s = patience_s
        self._between_s = between_s
        self._ended = False

    async def pieces(self) -> AsyncIterator[bytes | Failure]:
        """Yields the body as it comes; a `Failure` is the last item where the stream breaks or falls silent."""
        size = 0
        while True:
            match await self._next():
                case Failure() as failure:
                    yield failure
                    return
                case b"":
                    return
                case piece:
                    size += len(piece)
                    if size > MAX_ANSWER_BYTES:
                        yield self._too_big()
                        return
                    self._patience_s = self._between_s
                    yield piece

    async def events(self) -> AsyncIterator[Event | Failure]:
        """Yields the body's server-sent events; a `Failure` is the last item where the stream breaks or falls silent.

        Only events count as a sign of life for the time-outs: the comments that some hosts send while they wait for
        their model (`: OPENROUTER PROCESSING`) do not.
        """
        decoder, size = Decoder(), 0
        while True:
            match await self._next():
                case Failure() as failure:
                    yield failure
                    return
                case b"":
                    break
                case piece:
                    size += len(piece)
                    if size > MAX_ANSWER_BYTES:
                        yield self._too_big()
                        return
                    for event in decoder.feed(piece):
                        self._patience_s = self._between_s
                        yield event
        for event in decoder.end():
            yield event

    async def read(self) -> bytes | Failure:
        """Returns the rest of the body, for answers that turn out not to be streams."""
        pieces = []
        async for piece in self.pieces():
            if isinstance(piece, Failure):
                return piece
            pieces.append(piece)
        return b"".join(pieces)

    def ended(self) -> None:
        """Notes that the body holds nothing more of interest, so that its connection is worth keeping."""
        self._ended = True

    async def close(self) -> None:
        """Gives the connection back to the pool if the body is at its end, or very nearly; else closes it."""
        try:
            if self._ended:
                from router.clients import aio

                with suppress(*aio.FAULTS):
                    async with asyncio.timeout(_LINGER_S):
                        while await self._response.content.readany():
                            pass
        finally:
            self._response.close()  # also where the wait is cancelled

    async def _next(self) -> bytes | Failure:
        """Returns the next piece, empty at the end; the wait for it is taken off the patience."""
        from router.clients import aio

        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            async with asyncio.timeout(self._patience_s):
                piece = await self._response.content.readany()
        except aio.FAULTS as error:
            return aio.fault(error, sent=self._body.sent, host=self._host, status=self.status)
        if self._patience_s is not None:
            self._patience_s = max(0.0, self._patience_s - (loop.time() - begun))
        return piece

    def _too_big(self) -> Failure:
        return _too_big(self.status, self._host)


class Http:
    """The connections of one client in one event loop, made on first use.

    Proxies are taken from the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`), never for loopback;
    `~/.netrc` is not read. Certificates are checked against the system's.
    """

    __slots__ = ("_routes", "_session")

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._routes: dict[str, tuple[URL, URL | None, str]] = {}

    async def post(
        self, url: str, *, body: bytes, headers: Mapping[str, str], timeouts: Timeouts
    ) -> Response | Failure:
        """Returns the whole answer, whatever its status, or what kept it from arriving.

        Of the time-outs, `connect_s` and `total_s` hold. The head of an answer that is not streamed comes at once, or
        when all of it is written, as the host likes, so neither head nor body tells when the first token came.
        """
        from router.clients import aio

        target, proxy, host = self._route(url)
        refuse_if_forbidden(host)
        session = self._open()
        payload = aio.Body(body)
        try:
            async with session.post(
                target, data=payload, headers=headers, proxy=proxy, allow_redirects=False, timeout=aio.limits(timeouts)
            ) as response:
                pieces, size = [], 0
                while piece := await response.content.readany():
                    size += len(piece)
                    if size > MAX_ANSWER_BYTES:
                        response.close()  # what is left unread must not come back with the next answer
                        return _too_big(response.status, host)
                    pieces.append(piece)
        except aio.FAULTS as error:
            return aio.fault(error, sent=payload.sent, host=host)
        return Response(status=response.status, headers=aio.head(response.headers), body=b"".join(pieces))

    @asynccontextmanager
    async def stream(
        self, url: str, *, body: bytes, headers: Mapping[str, str], timeouts: Timeouts
    ) -> AsyncIterator[Stream | Failure]:
        """Opens a streamed answer; leaving the context early closes the connection.

        All time-outs hold: `first_token_s` from here to the first piece or event, `between_tokens_s` from one to the
        next, counting only the time spent waiting for the provider, not the caller's own.
        """
        from router.clients import aio

        target, proxy, host = self._route(url)
        refuse_if_forbidden(host)
        session = self._open()
        payload = aio.Body(body)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        patience_s = timeouts.first_token_s
        try:
            async with asyncio.timeout(patience_s):
                response = await session.post(
                    target,
                    data=payload,
                    headers=headers,
                    proxy=proxy,
                    allow_redirects=False,
                    timeout=aio.limits(timeouts),
                )
        except aio.FAULTS as error:
            yield aio.fault(error, sent=payload.sent, host=host)
            return
        if patience_s is not None:
            patience_s = max(0.0, patience_s - (loop.time() - begun))
        stream = Stream(response, payload, patience_s=patience_s, between_s=timeouts.between_tokens_s)
        try:
            yield stream
        finally:
            await stream.close()

    async def aclose(self) -> None:
        """Closes every connection; the next request opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def __del__(self) -> None:
        """Drops an open session without aiohttp's warning; see `aio.Connector`."""
        if self._session is not None:
            self._session.detach()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            from router.clients import aio

            self._session = aio.session()
        return self._session

    def _route(self, url: str) -> tuple[URL, URL | None, str]:
        """Returns a URL parsed, its proxy, and its host for messages (no password); remembered, as URLs are few."""
        if (route := self._routes.get(url)) is None:
            from yarl import URL

            from router.clients import aio

            if len(self._routes) >= _MAX_ROUTES:
                self._routes.clear()
            target = URL(url)
            route = self._routes[url] = (target, aio.proxy_of(target), target.host_port_subcomponent or "")
        return route


def _too_big(status: int, host: str) -> Failure:
    return Failure(
        kind="server_error", message=f"the answer of {host} is larger than {MAX_ANSWER_BYTES} bytes", status=status
    )
