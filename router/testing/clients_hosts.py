"""What holds of clients that ask a host, whatever that host does."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import aclosing
from typing import Final

from router.core.answer import Answer
from router.core.failure import Failure
from router.testing.clients_bench import KEY, PROMPT, TRACE, Asked, ClientBench, Rule, Session, Trial
from router.testing.hosts import LoopbackHost, Received, Response

__tracebackhide__ = True  # pytest shows the test's own line, and what it was told

_SHORT_S: Final = 0.3
"""A time-out that a rule waits for."""
_SILENCE: Final = Response(status=None, then="hang")
_KINDS: Final = {
    400: None,
    401: {"denied"},
    429: {"refused", "out_of_quota", "too_long"},
    500: {"server_error"},
    503: {"server_error", "refused"},
}
"""What a bare status can mean; None is anything that was not sent again."""


def survives_its_host(bench: ClientBench, response: Response, /) -> None:
    """Everything that a provider can do wrong becomes a `Failure`; nothing is raised."""
    _each_way(Trial(survives_its_host, bench, response, "response"), response, lambda *_: None)


def asks_once(bench: ClientBench, response: Response, /) -> None:
    """One attempt is one request: nothing is sent again, and no redirect is followed."""
    trial = Trial(asks_once, bench, response, "response")

    def check(name: str, _: Answer | Failure, host: LoopbackHost) -> None:
        if len(host.received) > 1:
            raise trial.breach(f"{name}() sent {len(host.received)} requests")

    _each_way(trial, response, check)


def keeps_secrets(bench: ClientBench, response: Response, /) -> None:
    """No message of a failure has the key or the prompt in it, whatever its provider repeats."""
    trial = Trial(keeps_secrets, bench, response, "response")

    def check(name: str, result: Answer | Failure, _: LoopbackHost) -> None:
        if isinstance(result, Failure):
            for what, secret in (("key", KEY), ("prompt", PROMPT)):
                if secret in repr(result):
                    raise trial.breach(f"{name}() returned a Failure with the {what} in it")

    _each_way(trial, response, check)


def tells_what_was_sent(bench: ClientBench, response: Response, /) -> None:
    """A failure says that it was not sent only where no byte reached the provider: what was sent may be billed."""
    trial = Trial(tells_what_was_sent, bench, response, "response")

    def check(name: str, result: Answer | Failure, host: LoopbackHost) -> None:
        if isinstance(result, Failure) and host.received and (result.kind == "not_sent" or not result.sent):
            raise trial.breach(f"the host got the request, and {name}() says that it was not sent")

    _each_way(trial, response, check)


def tells_what_was_not_sent(bench: ClientBench, response: Response, /) -> None:
    """Where nobody listens, the failure is `not_sent`, with `sent=False`."""
    trial = Trial(tells_what_was_not_sent, bench, response, "response")

    async def work() -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))  # nobody listens, and nobody else gets the port
            url = f"http://127.0.0.1:{closed.getsockname()[1]}"
            for stream in (False, True):
                async with trial.session(response, at=url) as session:
                    result = await trial.asked(session, Asked(), stream=stream)
                    if not isinstance(result, Failure) or result.kind != "not_sent" or result.sent:
                        raise trial.breach(f"nobody listened, and {_name(stream)}() returned {_shown(result)}")

    trial.run(work)


def keeps_time(bench: ClientBench, response: Response, /) -> None:
    """One whose class says `keeps_time = True` is not at work past `timeouts.total_s`, however silent its host is."""
    trial = Trial(keeps_time, bench, response, "response")

    async def work() -> None:
        for stream in (False, True):
            async with trial.session(response) as session:
                if not getattr(session.client, "keeps_time", False):
                    return
                result = await trial.asked(session, Asked(), stream=stream, total_s=_SHORT_S)
                if not isinstance(result, Failure):
                    raise trial.breach(f"{_name(stream)}() returned an Answer of a silent host")

    trial.run(work)


def stops_when_cancelled(bench: ClientBench, response: Response, /) -> None:
    """When it is cancelled it stops, and closes its connection first."""
    trial = Trial(stops_when_cancelled, bench, response, "response")

    async def ask(session: Session, *, stream: bool) -> None:
        call = session.call(Asked().request(stream=stream))
        if not stream:
            await session.client.send(call)
            return
        async with aclosing(session.client.stream(call)) as events:
            async for _ in events:
                pass

    async def work() -> None:
        for stream in (False, True):
            async with trial.session(response) as session:
                task = asyncio.create_task(ask(session, stream=stream))
                host = _host(session)
                if not await host.until(lambda h: bool(h.received), within_s=bench.patience_s):
                    raise trial.breach(f"{_name(stream)}() sent nothing")
                task.cancel()
                _, running = await asyncio.wait([task], timeout=bench.patience_s)
                if running or not task.cancelled():
                    raise trial.breach(f"{_name(stream)}() was cancelled, and {'went on' if running else 'returned'}")
                if not await host.until(lambda h: not h.connections, within_s=bench.patience_s):
                    raise trial.breach(f"{_name(stream)}() was cancelled, and its connection stayed open")

    trial.run(work)


def hangs_up(bench: ClientBench, response: Response, /) -> None:
    """Closing a stream early closes its connection: what nobody reads is not paid for."""
    trial = Trial(hangs_up, bench, response, "response")

    async def read(session: Session) -> None:
        async with aclosing(session.client.stream(session.call(Asked().request(stream=True)))) as events:
            await anext(events, None)

    async def work() -> None:
        async with trial.session(response) as session:
            await trial.awaited("reading the first event of a stream", lambda: read(session))
            if not await _host(session).until(lambda h: not h.connections, within_s=bench.patience_s):
                raise trial.breach("a stream was closed early, and its connection stayed open")

    trial.run(work)


def passes_headers_on(bench: ClientBench, response: Response, /) -> None:
    """The headers of a call are sent besides the client's own, so that traces go on at the provider."""
    trial = Trial(passes_headers_on, bench, response, "response")

    def check(name: str, _: Answer | Failure, host: LoopbackHost) -> None:
        for request in host.received:
            if dict(request.headers).get("traceparent") != TRACE:
                raise trial.breach(f"{name}() sent no traceparent, or another one")

    _each_way(trial, response, check)


def names_failures(bench: ClientBench, response: Response, /) -> None:
    """A failure has the class that its status means: a bad key is `denied`, too many requests are `refused`, ...."""
    trial = Trial(names_failures, bench, response, "response")

    def check(name: str, result: Answer | Failure, _: LoopbackHost) -> None:
        kinds = _KINDS.get(response.status or 0)
        if kinds is not None and (not isinstance(result, Failure) or result.kind not in kinds):
            raise trial.breach(f"{name}() made {_shown(result)} of HTTP {response.status}")

    _each_way(trial, response, check)


def goes_on_after_faults(bench: ClientBench, response: Response, /) -> None:
    """A fault of its host leaves nothing behind: the next call gets its answer."""
    trial = Trial(goes_on_after_faults, bench, response, "response")

    async def work() -> None:
        for stream, proper in ((False, bench.whole), (True, bench.streamed)):
            if proper is not None:
                async with trial.session(_first(response, proper)) as session:
                    await trial.asked(session, Asked(), stream=stream)
                    result = await trial.asked(session, Asked(), stream=stream)
                    if not isinstance(result, Answer):
                        raise trial.breach(f"after this fault, {_name(stream)}() made {_shown(result)} of an answer")

    trial.run(work)


WHATEVER_THE_HOST_DOES: Final[tuple[Rule, ...]] = (
    survives_its_host,
    asks_once,
    keeps_secrets,
    tells_what_was_sent,
    goes_on_after_faults,
)
WHERE_THE_HOST_DOES: Final[tuple[tuple[Rule, Response], ...]] = (
    (tells_what_was_not_sent, Response()),
    (passes_headers_on, Response(status=500)),
    *((names_failures, Response(status=status)) for status in _KINDS if status > 400),
    (asks_once, Response(status=429, headers=(("Retry-After", "0"), ("X-Should-Retry", "true")))),
    (asks_once, Response(status=307, headers=(("Location", "/elsewhere"),))),
    (asks_once, Response(status=None, then="cut")),
    (keeps_secrets, Response(status=400, echo=True)),
    (tells_what_was_sent, Response(status=None, then="cut")),
    (keeps_time, _SILENCE),
    (stops_when_cancelled, _SILENCE),
)
"""Rules with the one response each of which they are about."""


def _each_way(trial: Trial, response: Response, check: Callable[[str, Answer | Failure, LoopbackHost], None]) -> None:
    """Asks once by each of the two ways, and looks at what came of it."""

    async def work() -> None:
        for stream in (False, True):
            async with trial.session(response) as session:
                result = await trial.asked(session, Asked(), stream=stream)
                check(_name(stream), result, _host(session))

    trial.run(work)


def _first(response: Response, then: Response) -> Callable[[int, Received], Response]:
    return lambda number, _: response if number == 0 else then


def _host(session: Session) -> LoopbackHost:
    if session.host is None:
        raise TypeError("this rule is for clients that ask a host: `model` is a function of its address")
    return session.host


def _name(stream: bool) -> str:  # noqa: FBT001 - the one thing that the name follows from
    return "stream" if stream else "send"


def _shown(result: Answer | Failure) -> str:
    """Returns what a result is, without what it says."""
    return "an Answer" if isinstance(result, Answer) else f"a Failure of kind {result.kind!r}"
