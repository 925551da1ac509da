from __future__ import annotations

from contextlib import aclosing

import pytest

from router.clients.client import Call
from router.core.answer import Answer, Chunk, ChunkChoice, Message
from router.core.catalog import Model, Timeouts
from router.core.failure import Failure
from router.core.parse import parse_request
from router.testing.scripted import ScriptedClient, answer

FAILED = Failure(kind="server_error", message="no", status=500)
CHUNK = Chunk(choices=(ChunkChoice(delta=Message(content="o")),))


def call(name: str = "m") -> Call:
    """Returns a call of the model with this name."""
    model = Model(name=name, id=f"x/{name}", provider="x", client="x")
    return Call(model=model, request=parse_request("hi"), timeouts=Timeouts())


async def test_steps_come_in_order_and_the_last_is_repeated() -> None:
    """By model; one without steps answers "ok"; every call is kept."""
    client = ScriptedClient({"m": [FAILED, answer("yes")], "n": FAILED, "f": lambda c: answer(c.model.name)})
    results = [await client.send(call(name)) for name in ("m", "m", "m", "n", "n", "f", "other")]
    assert [r.text if isinstance(r, Answer) else r.kind for r in results] == [
        "server_error",
        "yes",
        "yes",
        "server_error",
        "server_error",
        "f",
        "ok",
    ]
    assert client.asked == ["m", "m", "m", "n", "n", "f", "other"]


async def test_streams_are_replayed_event_by_event() -> None:
    """A list of events is a stream; an answer comes in one chunk; a failure alone."""
    whole = answer("ok")
    client = ScriptedClient({"m": [CHUNK, CHUNK, FAILED], "n": [[CHUNK, whole], [whole]], "f": FAILED})
    assert [e async for e in client.stream(call("m"))] == [CHUNK, CHUNK, FAILED]
    assert await client.send(call("m")) == FAILED
    assert [e async for e in client.stream(call("n"))] == [CHUNK, whole]
    assert [e async for e in client.stream(call("n"))] == [whole]
    assert [e async for e in client.stream(call("f"))] == [FAILED]
    first, last = [e async for e in client.stream(call("other"))]
    assert isinstance(first, Chunk)
    assert first.text == "ok"
    assert last == whole
    assert client.streams_closed_early == 0


async def test_a_dropped_stream_is_noticed() -> None:
    """Closing it before its end is counted; so is closing the client."""
    client = ScriptedClient({"m": [CHUNK, CHUNK, FAILED]})
    async with aclosing(client.stream(call())) as events:
        assert await anext(events) == CHUNK
    assert client.streams_closed_early == 1
    await client.aclose()
    assert client.closed


async def test_a_stream_without_a_result_is_a_mistake_in_the_test() -> None:
    """Sending it says so."""
    with pytest.raises(TypeError, match="ends without an Answer or a Failure"):
        await ScriptedClient({"m": [CHUNK]}).send(call())
