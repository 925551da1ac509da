"""`check_client`: the clients that ship pass, and each broken one is caught, with the smallest case as code."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from router.clients.anthropic import AnthropicClient
from router.clients.client import Call
from router.clients.gemini import GeminiClient
from router.clients.openai import OpenAIClient
from router.clients.simulated import SimulatedClient
from router.core.catalog import Model
from router.testing.clients import Asked, ClientBench, check_client, client_rules
from router.testing.hosts import LoopbackHost, Response
from router.testing.scripted import ScriptedClient, answer
from router.testing.trial import Breach
from tests.clients.calls import sse
from tests.testing.broken_clients import BROKEN, STREAMED, WHOLE, Offline, PlainClient, said

RULES = {rule.__name__: rule for rule in client_rules()}
SIMULATED = Model(name="m", id="simulated/m", provider="simulated", client="simulated")
COMPLETION = (
    b'{"id": "c", "model": "m", "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant",'
    b' "content": "hi there"}}], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}'
)
DELTAS = [{"choices": [{"index": 0, "delta": {"content": text}}]} for text in ("hi ", "there")]
LAST = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def at(url: str) -> Model:
    """Returns a model that is served at an address."""
    return Model(name="m", id="openai_compatible/m", provider="openai_compatible", client="openai", base_url=url)


def hosted(provider: str, name: str) -> Any:
    """Returns a function of the address where a provider's model is served."""

    def model(url: str) -> Model:
        return Model(name="m", id=f"{provider}/{name}", provider=provider, client=provider, base_url=url)

    return model


def test_the_simulated_client_is_a_client() -> None:
    """`simulated` keeps every promise that needs no host."""
    check_client(SimulatedClient, model=SIMULATED)


def test_the_scripted_client_is_a_client() -> None:
    """What tests script keeps the promises of what it stands for, whether it answers or fails."""
    check_client(ScriptedClient, model=SIMULATED)
    check_client(lambda: ScriptedClient({"m": answer("")}), model=SIMULATED, examples=10)


def test_openai_is_a_client() -> None:
    """`openai` keeps every promise, whatever its host does."""
    check_client(OpenAIClient, model=at, whole=COMPLETION, streamed=sse(*DELTAS, LAST, "[DONE]"))


@pytest.mark.parametrize(
    ("client", "model"),
    [
        (AnthropicClient, hosted("anthropic", "claude-sonnet-4-5")),
        (GeminiClient, hosted("gemini", "gemini-2.5-flash")),
    ],
)
def test_clients_of_other_formats_are_clients(client: Any, model: Any) -> None:
    """`anthropic` and `gemini` keep every promise that can be tried without an answer of theirs."""
    check_client(client, model=model, examples=25)


def test_the_plain_clients_pass() -> None:
    """What the broken clients begin with is right."""
    check_client(PlainClient, model=at, whole=WHOLE, streamed=Response(body=STREAMED))
    check_client(Offline, model=SIMULATED, examples=20)


@pytest.mark.untraced
@pytest.mark.parametrize(("rule", "broken"), BROKEN, ids=lambda value: getattr(value, "__name__", value))
def test_broken_clients_are_caught(rule: str, broken: type[PlainClient]) -> None:
    """A client that breaks a promise is told which, what it did, and the code that shows it again."""
    model: Any = SIMULATED if issubclass(broken, Offline) else at
    named: dict[str, Any] = {"make": broken, "model": model}
    if model is at:
        named |= {"whole": Response(body=WHOLE), "streamed": Response(body=STREAMED)}
    with pytest.raises(Breach) as caught:
        check_client(broken, model=model, whole=named.get("whole"), streamed=named.get("streamed"), patience_s=2)
    breach = caught.value
    assert breach.rule == rule
    for part in (rule, breach.says, breach.promise):
        assert part in str(breach)
    assert len(breach.code.splitlines()) <= 9
    with pytest.raises(Breach) as again:
        exec(breach.code, named)  # noqa: S102 - the very thing that is promised
    assert again.value.rule == rule


def test_every_rule_can_be_broken() -> None:
    """For each rule there is a client that breaks it."""
    assert {rule for rule, _ in BROKEN} == RULES.keys()


def test_counterexamples_are_small() -> None:
    """Of all requests that a client cannot take, the plainest one is shown."""

    class Picky(Offline):
        async def send(self, call: Call, /) -> Any:
            assert "tools" not in call.request.params
            return said("")

    with pytest.raises(Breach, match=r"answers_or_fails: send\(\) raised AssertionError") as caught:
        check_client(Picky, model=SIMULATED)
    assert "said=''" in caught.value.code
    assert caught.value.code.count("'function'") == 2
    assert "temperature" not in caught.value.code


def test_what_cannot_be_made_is_said() -> None:
    """A client whose class raises when it is made breaks the first rule that makes one."""

    def make() -> Offline:
        raise OSError("no certificates")

    with pytest.raises(Breach, match=r"make\(\) raised OSError\('no certificates'\)"):
        check_client(make, model=SIMULATED)


def test_clients_that_hang_are_not_waited_for() -> None:
    """Neither one that waits for ever, nor one that holds its event loop up, holds the check up."""

    class Waits(Offline):
        async def send(self, call: Call, /) -> Any:
            await asyncio.Event().wait()

    class Sleeps(Offline):
        async def send(self, call: Call, /) -> Any:
            time.sleep(2)
            return said("")

    class TimesOut(Offline):
        async def send(self, call: Call, /) -> Any:
            raise TimeoutError("its own")

    with pytest.raises(Breach, match=r"send\(\) hung: no return within 0\.1 s"):
        check_client(Waits, model=SIMULATED, patience_s=0.1)
    with pytest.raises(Breach, match=r"the event loop was held up: no return within 0\.4 s"):
        check_client(Sleeps, model=SIMULATED, patience_s=0.1)
    with pytest.raises(Breach, match=r"send\(\) raised TimeoutError\('its own'\)"):
        check_client(TimesOut, model=SIMULATED)


@pytest.mark.parametrize(
    ("events", "says"),
    [
        ((), r"stream\(\) ended in nothing"),
        (("sesame", answer("sesame")), r"stream\(\) yielded a str before its end"),
        ((answer("sesame"), "sesame"), r"stream\(\) ended in a str"),
    ],
)
def test_streams_of_something_else_are_told(events: tuple[Any, ...], says: str) -> None:
    """What is neither a chunk nor a result is named by its type, and its words are left out."""

    class Odd(Offline):
        async def stream(self, call: Call, /) -> AsyncGenerator[Any]:
            for event in events:
                yield event

    with pytest.raises(Breach, match=says) as caught:
        RULES["ends_streams_in_one_result"](ClientBench(make=Odd, model=SIMULATED), Asked())
    assert caught.value.says.count("sesame") == 0


def test_a_silent_host_needs_no_promise_to_keep_time() -> None:
    """A client that does not say that it keeps time is not held to it: the router watches over it."""

    class Patient(PlainClient):
        keeps_time = False

    RULES["keeps_time"](ClientBench(make=Patient, model=at), Response(status=None, then="hang"))


def test_a_client_that_asks_nobody_is_told() -> None:
    """Where the rules wait for a request that never comes, they say so."""
    with pytest.raises(Breach, match=r"send\(\) sent nothing"):
        RULES["stops_when_cancelled"](ClientBench(make=Offline, model=at, patience_s=0.1), Response())


async def test_a_check_works_inside_a_coroutine() -> None:
    """A test that runs in an event loop may call it, too."""
    check_client(SimulatedClient, model=SIMULATED, examples=2)


async def test_the_host_reads_bodies_of_either_framing() -> None:
    """A request's body comes with its length or in chunks; several come over one connection."""
    async with LoopbackHost(Response(body=b"ok")) as host:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(host.url.rpartition(":")[2]))
        writer.write(b"POST /a HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi")
        writer.write(b"POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")
        assert await host.until(lambda h: len(h.received) == 2, within_s=20)
        assert [(r.target, r.body) for r in host.received] == [("/a", b"hi"), ("/b", b"hi")]
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        writer.close()
        assert await host.until(lambda h: not h.connections, within_s=20)
        assert not await host.until(lambda h: h.connections > 0, within_s=0.01)


def test_rules_about_hosts_need_one() -> None:
    """A rule about a host, tried on a client that asks none, says what it wants."""
    with pytest.raises(TypeError, match="`model` is a function of its address"):
        RULES["asks_once"](ClientBench(make=Offline, model=SIMULATED), Response())
