"""The client of OpenAI and of every host that speaks its chat protocol.

A pass-through: the caller's messages and parameters go out as they came, unknown ones too, but for what `quirks` lists;
whether a model understands a parameter is for its provider to say. Nothing is retried, downloaded or logged.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final

import orjson

from router.clients.client import Call, failure_of, key_of
from router.clients.http import Http, Response, Stream
from router.clients.openai_request import body_of
from router.clients.openai_stream import Joiner
from router.clients.openai_usage import usage_from
from router.clients.openai_wire import answer_from, json_of
from router.clients.quirks import Quirks, endpoint, provider_at, quirks_of
from router.clients.sse import DONE, Decoder, Event
from router.core.answer import Answer, Chunk, ChunkChoice
from router.core.catalog import Model
from router.core.classify import error_in
from router.core.failure import Failure

__all__ = ["OpenAIClient", "answer_from", "usage_from"]

_JSON: Final = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Route:
    """All of a model's calls that does not change from one to the next."""

    model: Model
    provider: str
    quirks: Quirks
    url: str
    headers: Mapping[str, str] = field(repr=False)
    keyed: bool
    """Whether the model's own headers carry the key already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    """One request, ready to be sent."""

    route: _Route
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class OpenAIClient:
    """One attempt at an OpenAI-compatible host; see `router.clients.client.Client`."""

    keeps_time: ClassVar[bool] = True

    __slots__ = ("_http", "_routes")

    def __init__(self) -> None:
        self._http = Http()
        self._routes: dict[str, _Route] = {}

    async def send(self, call: Call, /) -> Answer | Failure:
        """Returns the whole answer, or what went wrong."""
        ready = self._ready(call, stream=False)
        if isinstance(ready, Failure):
            return ready
        response = await self._http.post(
            ready.route.url, body=ready.body, headers=ready.headers, timeouts=call.timeouts
        )
        if isinstance(response, Failure):
            return response
        return _read(response, ready.route.provider, call)

    async def stream(self, call: Call, /) -> AsyncGenerator[Chunk | Answer | Failure]:
        """Yields chunks as they come, then the whole answer or what went wrong."""
        ready = self._ready(call, stream=True)
        if isinstance(ready, Failure):
            yield ready
            return
        async with self._http.stream(
            ready.route.url, body=ready.body, headers=ready.headers, timeouts=call.timeouts
        ) as stream:
            if isinstance(stream, Failure):
                yield stream
            elif stream.status // 100 == 2 and "event-stream" in stream.headers.get("content-type", ""):
                async for item in _events(stream, ready.route.provider, call):
                    yield item
            else:
                for item in _whole(await _response(stream), ready.route.provider, call):
                    yield item

    async def aclose(self) -> None:
        """Closes its connections."""
        await self._http.aclose()

    def _ready(self, call: Call, *, stream: bool) -> _Ready | Failure:
        route = self._route(call.model)
        if isinstance(route, Failure):
            return route
        headers = {**route.headers, **call.headers}
        key = key_of(call) if call.request.headers else call.key
        if key is not None and not route.keyed:
            key = key.strip()
            if not (key.isascii() and key.isprintable()):
                return Failure(kind="denied", message="the API key holds characters that no header may", sent=False)
            headers[route.quirks.key_header] = f"{route.quirks.key_prefix}{key}"
        if own := call.request.headers:
            headers = {name: text for name, text in headers.items() if name.lower() not in own} | {**own}
        return _Ready(route=route, headers=headers, body=orjson.dumps(body_of(call, route.quirks, stream=stream)))

    def _route(self, model: Model) -> _Route | Failure:
        route = self._routes.get(model.name)
        if route is not None and route.model is model:
            return route
        url = endpoint(model)
        if url is None:
            return Failure(
                kind="no_such_model",
                message=f"no base_url is known for provider {model.provider!r} of model {model.name!r}",
                sent=False,
            )
        provider = provider_at(model.provider, model.base_url)
        quirks = quirks_of(provider)
        route = _Route(
            model=model,
            provider=provider,
            quirks=quirks,
            url=url,
            headers={"Content-Type": _JSON, **model.headers},
            keyed=any(name.lower() == quirks.key_header.lower() for name in model.headers),
        )
        self._routes[model.name] = route
        return route


def _failed(provider: str, call: Call, response: Response | Stream, body: bytes | str) -> Failure:
    return failure_of(call, provider=provider, status=response.status, headers=response.headers, body=body)


def _read(response: Response, provider: str, call: Call) -> Answer | Failure:
    """Returns the answer in a whole response, or the failure that it is."""
    if response.status // 100 != 2:
        return _failed(provider, call, response, response.body)
    try:
        body = json_of(response.body)
    except ValueError:
        body = None
    if not isinstance(body, Mapping) or error_in(body):
        if error_in(body):
            return _failed(provider, call, response, response.body)
        return Failure(kind="unusable", message="the answer is not a JSON object", status=response.status)
    if not isinstance(body.get("choices"), list):
        return Failure(kind="unusable", message="the answer is no chat completion", status=response.status)
    return answer_from(body, provider, response.headers)


async def _response(stream: Stream) -> Response | Failure:
    """Returns an answer that turned out not to be a stream, whole."""
    body = await stream.read()
    if isinstance(body, Failure):
        return body
    return Response(status=stream.status, headers=stream.headers, body=body)


def _whole(response: Response | Failure, provider: str, call: Call) -> list[Chunk | Answer | Failure]:
    """Returns what a streaming caller gets of an answer that came whole: one chunk and the answer, or the failure."""
    if isinstance(response, Failure):
        return [response]
    if response.status // 100 == 2 and response.body.lstrip().startswith((b"data:", b"event:", b":")):
        # Events all the same, under a wrong content type.
        reader = _Reader(provider, response, call)
        decoder = Decoder()
        items: list[Chunk | Answer | Failure] = []
        for event in decoder.feed(response.body) + decoder.end():
            if (item := reader.read(event)) is not None:
                items.append(item)
            if isinstance(item, Failure):
                return items
        return [*items, reader.end()]
    match _read(response, provider, call):
        case Answer() as answer:
            choices = tuple(
                ChunkChoice(index=c.index, delta=c.message, finish_reason=c.finish_reason, logprobs=c.logprobs)
                for c in answer.choices
            )
            return [Chunk(choices=choices, id=answer.id, model=answer.model), answer]
        case failure:
            return [failure]


async def _events(stream: Stream, provider: str, call: Call) -> AsyncIterator[Chunk | Answer | Failure]:
    reader = _Reader(provider, stream, call)
    async for event in stream.events():
        if isinstance(event, Failure):
            # After the last word only the usage can be lost: that is no reason to throw the answer away.
            yield reader.end() if reader.joiner.finished else event
            return
        item = reader.read(event)
        if item is not None:
            yield item
        if isinstance(item, Failure):
            return
        if reader.done:
            stream.ended()
            break
    yield reader.end()


class _Reader:
    """Turns the events of one stream into what its caller gets."""

    __slots__ = ("_call", "_provider", "_response", "done", "joiner")

    def __init__(self, provider: str, response: Response | Stream, call: Call) -> None:
        self._call = call
        self._provider = provider
        self._response = response
        self.joiner = Joiner(provider, response.headers)
        self.done = False

    def read(self, event: Event) -> Chunk | Failure | None:
        """Returns the chunk or the failure that an event is; None where it is nothing to the caller."""
        data = event.data.strip()
        if self.done or not data:
            return None
        if data == DONE:
            self.done = True
            return None
        try:
            payload = json_of(data)
        except ValueError:
            payload = None
        if event.name == "error" or error_in(payload):
            return _failed(self._provider, self._call, self._response, data)
        if not isinstance(payload, Mapping):
            # Its words are left out: under a success they may be an answer's.
            message = "an event of the stream is neither an answer nor an error"
            return Failure(kind="server_error", message=message, status=self._response.status)
        return self.joiner.add(payload)

    def end(self) -> Answer | Failure:
        """Returns the joined answer at the end of the stream, or why it is none."""
        status = self._response.status
        if not self.joiner.begun:
            if self.done:
                return Failure(kind="unusable", message="the stream ended without an answer", status=status)
            return Failure(kind="cut", message="the stream ended before it began", status=status)
        if self.done or self.joiner.finished:
            return self.joiner.answer()
        return Failure(kind="cut", message="the stream ended in the middle of the answer", status=status)
