"""Clients that are wrong on purpose, each with the rule that must notice it.

All begin with `PlainClient`, the shortest client that is right; its provider says `{"say": "hi"}`, and in a stream the
same for each piece, as server-sent events that end in `[DONE]`.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, ClassVar

import aiohttp

from router.clients.client import Call
from router.core.answer import Answer, Choice, Chunk, ChunkChoice, Message
from router.core.failure import Failure, FailureClass

WHOLE = b'{"say": "hi there"}'
STREAMED = b'data: {"say": "hi "}\n\ndata: {"say": "there"}\n\ndata: [DONE]\n\n'

BROKEN: list[tuple[str, type[PlainClient]]] = []
FAULTS = (aiohttp.ClientError, OSError, TimeoutError)


def noticed_by(rule: str) -> Callable[[type[PlainClient]], type[PlainClient]]:
    """Registers a client under the rule that it breaks."""

    def register(client: type[PlainClient]) -> type[PlainClient]:
        BROKEN.append((rule, client))
        return client

    return register


def said(text: str) -> Answer:
    """Returns a whole answer."""
    return Answer(choices=(Choice(message=Message(content=text), finish_reason="stop"),))


def piece(text: str) -> Chunk:
    """Returns a chunk of a stream."""
    return Chunk(choices=(ChunkChoice(delta=Message(content=text)),))


class PlainClient:
    """Keeps every promise."""

    keeps_time: ClassVar[bool] = True
    redirects = False

    async def send(self, call: Call, /) -> Any:
        return await self.whole(call)

    async def whole(self, call: Call) -> Answer | Failure:
        try:
            async with self.asked(call) as response:
                body = await response.read()
                return self.read(body) if response.status == 200 else self.failed(response.status, body)
        except FAULTS as error:
            return self.fault(error)

    async def stream(self, call: Call, /) -> AsyncGenerator[Any]:
        text = ""
        try:
            async with self.asked(call) as response:
                if response.status != 200:
                    yield self.failed(response.status, await response.read())
                    return
                async for line in response.content:
                    if line.strip() == b"data: [DONE]":
                        yield said(text)
                        return
                    word = self.word(line.removeprefix(b"data: "))
                    if word is not None:
                        text += word
                        yield piece(word)
        except FAULTS as error:
            yield self.fault(error)
            return
        yield Failure(kind="cut", message="the stream broke off")

    async def aclose(self) -> None:
        """Has nothing to close: each call has a connection of its own."""

    @asynccontextmanager
    async def asked(self, call: Call) -> AsyncIterator[aiohttp.ClientResponse]:
        timeout = aiohttp.ClientTimeout(total=call.timeouts.total_s)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(
                call.model.base_url or "",
                json=self.body(call),
                headers=self.headers(call),
                allow_redirects=self.redirects,
            ) as response,
        ):
            yield response

    def body(self, call: Call) -> Any:
        return {"messages": list(call.request.messages), "stream": call.request.stream, **call.request.params}

    def headers(self, call: Call) -> Mapping[str, str]:
        return {**call.headers, "Authorization": f"Bearer {call.key}"}

    def read(self, body: bytes) -> Answer | Failure:
        word = self.word(body)
        return said(word) if word is not None else Failure(kind="unusable", message="no answer", status=200)

    def word(self, text: bytes) -> str | None:
        with suppress(ValueError):
            match json.loads(text):
                case {"say": str() as word}:
                    return word
                case _:
                    return None
        return None

    def failed(self, status: int, body: bytes) -> Failure:
        kinds: dict[int, FailureClass] = {401: "denied", 429: "refused"}
        kind = kinds.get(status, "server_error" if status >= 500 else "invalid")
        return Failure(kind=kind, message=f"HTTP {status}", status=status)

    def fault(self, error: Exception) -> Failure:
        match error:
            case aiohttp.ClientConnectorError():
                return Failure(kind="not_sent", message="no connection", sent=False)
            case TimeoutError():
                return Failure(kind="timed_out", message="no answer in time")
            case _:
                return Failure(kind="cut", message="connection lost")


class Offline(PlainClient):
    """Asks nobody, for faults that need no host."""

    async def send(self, call: Call, /) -> Any:
        return said("hi there")

    async def stream(self, call: Call, /) -> AsyncGenerator[Any]:
        yield piece("hi ")
        yield piece("there")
        yield said("hi there")


@noticed_by("survives_its_host")
class BelievesInJson(PlainClient):
    """Raises where the body is none."""

    def read(self, body: bytes) -> Answer | Failure:
        return said(str(json.loads(body).get("say")))


@noticed_by("asks_once")
class Retries(PlainClient):
    """Asks again when it is refused."""

    async def send(self, call: Call, /) -> Any:
        result = await self.whole(call)
        return await self.whole(call) if isinstance(result, Failure) and result.kind == "refused" else result


@noticed_by("asks_once")
class TriesCutConnectionsAgain(PlainClient):
    """Asks again when the connection was lost."""

    async def send(self, call: Call, /) -> Any:
        result = await self.whole(call)
        return await self.whole(call) if isinstance(result, Failure) and result.kind == "cut" else result


@noticed_by("asks_once")
class FollowsRedirects(PlainClient):
    """Carries the key elsewhere."""

    redirects = True


@noticed_by("keeps_secrets")
class RepeatsTheBody(PlainClient):
    """Tells what the host said, word for word."""

    def failed(self, status: int, body: bytes) -> Failure:
        return replace(super().failed(status, b""), message=body.decode(errors="replace"))


@noticed_by("keeps_secrets")
class QuotesTheRequest(PlainClient):
    """Says what it had asked, where that failed."""

    async def send(self, call: Call, /) -> Any:
        result = await self.whole(call)
        if isinstance(result, Failure) and result.status == 400:
            return replace(result, message=f"refused: {call.request.messages}")
        return result


@noticed_by("tells_what_was_sent")
class CallsLostNotSent(PlainClient):
    """Calls every fault of a connection one before it."""

    def fault(self, error: Exception) -> Failure:
        return Failure(kind="not_sent", message="no connection", sent=False)


@noticed_by("tells_what_was_not_sent")
class CallsRefusedLost(PlainClient):
    """Calls a connection that was never made one that was lost, which is charged at its worst."""

    def fault(self, error: Exception) -> Failure:
        return Failure(kind="cut", message="connection lost")


@noticed_by("keeps_time")
class ForgetsTheTime(PlainClient):
    """Says that it keeps time, and does not."""

    async def send(self, call: Call, /) -> Any:
        return await self.whole(replace(call, timeouts=replace(call.timeouts, total_s=None)))


@noticed_by("stops_when_cancelled")
class SwallowsCancellation(PlainClient):
    """Takes being cancelled for a failure."""

    async def send(self, call: Call, /) -> Any:
        try:
            return await self.whole(call)
        except asyncio.CancelledError:
            return Failure(kind="cut", message="cancelled")


@noticed_by("stops_when_cancelled")
class WorksOn(PlainClient):
    """Leaves the request to a task that nobody cancels."""

    async def send(self, call: Call, /) -> Any:
        return await asyncio.shield(asyncio.create_task(self.whole(call)))


@noticed_by("passes_headers_on")
class DropsHeaders(PlainClient):
    """Sends its own headers alone."""

    def headers(self, call: Call) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {call.key}"}


@noticed_by("names_failures")
class CallsEverythingInvalid(PlainClient):
    """So nothing ever follows a failure."""

    def failed(self, status: int, body: bytes) -> Failure:
        return Failure(kind="invalid", message=f"HTTP {status}", status=status)


@noticed_by("goes_on_after_faults")
class GivesUpForGood(PlainClient):
    """Remembers that its host failed."""

    bad = False

    async def send(self, call: Call, /) -> Any:
        result = Failure(kind="server_error", message="it failed before") if self.bad else await self.whole(call)
        self.bad = isinstance(result, Failure) and result.kind == "cut"
        return result


@noticed_by("hangs_up")
class LeavesStreamsOpen(PlainClient):
    """Reads a stream to its end, whoever wants it."""

    async def stream(self, call: Call, /) -> AsyncGenerator[Any]:
        queue: asyncio.Queue[Any] = asyncio.Queue()

        async def read() -> None:
            async for event in PlainClient.stream(self, call):
                await queue.put(event)

        self.reading = asyncio.create_task(read())
        while True:
            try:
                event = await queue.get()
            except asyncio.CancelledError:
                self.reading.cancel()
                raise
            yield event
            if not isinstance(event, Chunk):
                await self.reading
                return


@noticed_by("reads_answers")
class ReadsNothing(PlainClient):
    """Finds no answer in a proper one."""

    def word(self, text: bytes) -> str | None:
        return super().word(text.replace(b"say", b"said"))


@noticed_by("reads_answers")
class StreamsAtTheEnd(PlainClient):
    """Has a stream whole before anybody sees a piece."""

    async def stream(self, call: Call, /) -> AsyncGenerator[Any]:
        async for event in super().stream(call):
            if not isinstance(event, Chunk):
                yield event


@noticed_by("answers_or_fails")
class RaisesForEmptyPrompts(Offline):
    """Refuses in its own way."""

    async def send(self, call: Call, /) -> Any:
        if not call.request.messages[0]["content"]:
            raise ValueError("an empty prompt")
        return said("hi there")


@noticed_by("closes_more_than_once")
class ReturnsText(Offline):
    """Returns what the model said, and nothing else."""

    async def send(self, call: Call, /) -> Any:
        return "hi there"


@noticed_by("ends_streams_in_one_result")
class EndsStreamsInNothing(Offline):
    """Forgets the result where the request has a stop word."""

    async def stream(self, call: Call, /) -> AsyncGenerator[Any]:
        yield piece("hi there")
        if "stop" not in call.request.params:
            yield said("hi there")


@noticed_by("ends_streams_in_one_result")
class EndsStreamsTwice(Offline):
    """Says the answer once more where several were asked for."""

    async def stream(self, call: Call, /) -> AsyncGenerator[Any]:
        yield piece("hi there")
        for _ in range(call.request.params.get("n", 1)):
            yield said("hi there")


@noticed_by("joins_its_chunks")
class LosesTheFirstPiece(Offline):
    """Ends in an answer that lacks what came first."""

    async def stream(self, call: Call, /) -> AsyncGenerator[Any]:
        yield piece("hi ")
        yield piece("there")
        yield said("there")


@noticed_by("leaves_requests_alone")
class FillsParametersIn(Offline):
    """Writes its defaults into the caller's request."""

    async def send(self, call: Call, /) -> Any:
        params: Any = call.request.params
        params.setdefault("max_tokens", 1000)
        return said("hi there")


@noticed_by("leaves_requests_alone")
class CleansMessagesUp(Offline):
    """Trims the caller's own messages."""

    async def send(self, call: Call, /) -> Any:
        for message in call.request.messages:
            text: Any = message
            text["content"] = message["content"].strip()
        return said("hi there")


@noticed_by("closes_more_than_once")
class ClosesOnce(Offline):
    """Lets go of something twice."""

    closed = False

    async def aclose(self) -> None:
        if self.closed:
            raise RuntimeError("closed already")
        self.closed = True


@noticed_by("serves_many_at_once")
class ServesOneAtATime(Offline):
    """Cannot be asked while it is asked."""

    busy = False

    async def send(self, call: Call, /) -> Any:
        if self.busy:
            return Failure(kind="not_sent", message="busy", sent=False)
        self.busy = True
        await asyncio.sleep(0)
        self.busy = False
        return said("hi there")


@noticed_by("ends_streams_that_are_left")
class HoldsOnToStreams(Offline):
    """Goes on when a stream is closed."""

    async def stream(self, call: Call, /) -> AsyncGenerator[Any]:
        with suppress(GeneratorExit):
            yield piece("hi ")
        yield piece("there")
        yield said("hi there")


@noticed_by("leaves_nothing_running")
class PingsForEver(Offline):
    """Starts a task with its first call, and leaves it."""

    async def send(self, call: Call, /) -> Any:
        self.ping = asyncio.create_task(asyncio.Event().wait())
        return said("hi there")


@noticed_by("leaves_nothing_running")
class KeepsConnections(PlainClient):
    """Lets go of a connection when it likes."""

    spare: socket.socket | None = None

    async def send(self, call: Call, /) -> Any:
        if self.spare is None:
            host, _, port = (call.model.base_url or "").removeprefix("http://").partition(":")
            self.spare = socket.create_connection((host, int(port)))
        return await self.whole(call)

    def __del__(self) -> None:
        if self.spare is not None:
            self.spare.close()
