"""One attempt over HTTP, for the clients whose requests litellm's transforms make and whose answers we read.

What such a client adds is a `Format`: how to write the request, and how to read an answer, whole or event by event.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Protocol

from router.clients import media
from router.clients.client import Call, failure_of
from router.clients.http import Http, Response, Stream
from router.clients.litellm_adapter import WireRequest
from router.clients.nesting import too_deep
from router.clients.sse import DONE, Event
from router.core.answer import Answer, Chunk
from router.core.classify import error_in
from router.core.failure import Failure


class Reading(Protocol):
    """One streamed answer as it is read, event by event."""

    def feed(self, event: Mapping[str, Any], /) -> list[Chunk]:
        """Takes the next event's object and returns what it adds for the caller."""
        ...

    def end(self, headers: Mapping[str, str], /) -> Answer | None:
        """Returns the whole answer after the last event; None where the stream broke off before it was complete."""
        ...


class Format(Protocol):
    """One provider's wire format."""

    provider: str

    async def ready(self) -> None:
        """Returns when `request` can be called without delay."""
        ...

    def wanted(self, remote: media.Remote, /) -> bool:
        """Tells which URLs of images and files must be inlined before `request` is called."""
        ...

    def request(self, call: Call, /) -> WireRequest | Failure:
        """Returns what to send; does no I/O."""
        ...

    def whole(self, body: Mapping[str, Any], wire: WireRequest, headers: Mapping[str, str], /) -> Answer | None:
        """Returns an answer's body read; None where it is no answer of this provider's."""
        ...

    def reading(self, wire: WireRequest, /) -> Reading:
        """Returns what reads a streamed answer."""
        ...


class FormatClient:
    """A client that speaks one format, over connections of its own.

    Args:
        form: how it writes requests and reads answers.
    """

    def __init__(self, form: Format) -> None:
        self._http = Http()
        self._form = form

    async def send(self, call: Call, /) -> Answer | Failure:
        """Returns the whole answer, or what went wrong."""
        return await send(self._http, self._form, call)

    def stream(self, call: Call, /) -> AsyncGenerator[Chunk | Answer | Failure, None]:
        """Yields chunks as they come, then the `Answer` or a `Failure`."""
        return stream(self._http, self._form, call)

    async def aclose(self) -> None:
        """Closes its connections."""
        await self._http.aclose()


async def send(http: Http, form: Format, call: Call) -> Answer | Failure:
    """Returns the whole answer, or what went wrong."""
    prepared = await _prepared(form, call)
    if isinstance(prepared, Failure):
        return prepared
    wire, call = prepared
    response = await http.post(wire.url, body=wire.body, headers=wire.headers, timeouts=call.timeouts)
    if isinstance(response, Failure):
        return response
    body = _object(response.body)
    if response.status != 200 or is_error(body):
        return _failed(form, call, response, response.body)
    answer = None if body is None else form.whole(body, wire, response.headers)
    return answer or _strange(response.status)


async def stream(http: Http, form: Format, call: Call) -> AsyncGenerator[Chunk | Answer | Failure, None]:
    """Yields chunks as they come, then the whole `Answer` or a `Failure`."""
    prepared = await _prepared(form, call)
    if isinstance(prepared, Failure):
        yield prepared
        return
    wire, call = prepared
    async with http.stream(wire.url, body=wire.body, headers=wire.headers, timeouts=call.timeouts) as response:
        if isinstance(response, Failure):
            yield response
        elif response.status != 200:
            body = await response.read()
            # An error whose body breaks off is still the error that its status says.
            said = b"" if isinstance(body, Failure) else body
            yield _failed(form, call, response, said)
        elif "json" in response.headers.get("content-type", ""):
            async for item in _unstreamed(form, wire, call, response):
                yield item
        else:
            async for item in _streamed(form, wire, call, response):
                yield item


async def _prepared(form: Format, call: Call) -> tuple[WireRequest, Call] | Failure:
    """Returns the request to send and the call with the time that this took off its time-outs."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await form.ready()
    messages = await media.inlined(
        call.request.messages,
        wanted=form.wanted,
        timeouts=call.timeouts,
        allow_private=call.model.options.get("allow_private_media") is True,
    )
    if isinstance(messages, Failure):
        return messages
    wire = form.request(dataclasses.replace(call, request=dataclasses.replace(call.request, messages=messages)))
    if isinstance(wire, Failure):
        return wire
    return wire, dataclasses.replace(call, timeouts=media.less(call.timeouts, loop.time() - begun))


async def _streamed(
    form: Format, wire: WireRequest, call: Call, response: Stream
) -> AsyncGenerator[Chunk | Answer | Failure, None]:
    reading = form.reading(wire)
    begun = done = False
    async for event in response.events():
        match event:
            case Failure():
                yield event
                return
            case Event(data=data) if data == DONE:
                done = True
            case Event(data=data, name=name):
                body = _object(data)
                if name == "error" or is_error(body):
                    yield _failed(form, call, response, data)
                    return
                if body is None:
                    yield _strange(response.status)
                    return
                begun = True
                for chunk in reading.feed(body):
                    yield chunk
    if done and not begun:
        yield Failure(kind="unusable", message="the stream ended without an answer", status=response.status)
    else:
        yield reading.end(response.headers) or _cut(response)


async def _unstreamed(
    form: Format, wire: WireRequest, call: Call, response: Stream
) -> AsyncGenerator[Chunk | Answer | Failure, None]:
    """Reads a streamed answer that comes as one JSON document: an array of the events, or one event alone."""
    text = await response.read()
    if isinstance(text, Failure):
        yield text
        return
    reading = form.reading(wire)
    events = _parsed(text)
    for event in events if isinstance(events, list) else [events]:
        if not isinstance(event, dict):
            yield _strange(response.status)
            return
        if is_error(event):
            yield _failed(form, call, response, json.dumps(event))
            return
        for chunk in reading.feed(event):
            yield chunk
    yield reading.end(response.headers) or _cut(response)


def _failed(form: Format, call: Call, response: Response | Stream, body: bytes | str) -> Failure:
    return failure_of(call, provider=form.provider, status=response.status, headers=response.headers, body=body)


def _strange(status: int) -> Failure:
    """Returns the failure of a success that is none; its words are left out, as they may be an answer's."""
    return Failure(kind="server_error", message="the body is neither an answer nor an error", status=status)


def _cut(response: Stream) -> Failure:
    return Failure(kind="cut", message="the stream ended before the answer did", status=response.status)


def is_error(body: Mapping[str, Any] | None) -> bool:
    """Tells whether an object under HTTP 200 is an error instead of an answer."""
    if body is not None and "promptFeedback" in body:
        # A prompt that Gemini blocked is billed: its client reads it as an answer, with its usage.
        body = {name: value for name, value in body.items() if name != "promptFeedback"}
    return error_in(body)


def _object(text: bytes | str) -> dict[str, Any] | None:
    body = _parsed(text)
    # Gemini wraps some errors in an array.
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    return body if isinstance(body, dict) else None


def _parsed(text: bytes | str) -> Any:
    # The standard library's parser keeps integers of any size and lone surrogates, which tool arguments may hold.
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return None if too_deep(value, text) else value
