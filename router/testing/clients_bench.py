"""What the rules of clients share: what is tried, what it is asked, and how it is called."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from router.clients.client import Call, Client
from router.core.answer import Answer, Chunk
from router.core.catalog import Model, Timeouts
from router.core.failure import Failure
from router.core.request import Request
from router.testing.hosts import LoopbackHost, Received, Response
from router.testing.trial import PATIENCE_S, Breach, HungError, run_alone, shown_call

__tracebackhide__ = True  # pytest shows the test's own line, and what it was told

T = TypeVar("T")

Make = Callable[[], Client]
At = Callable[[str], Model]
"""Returns the model that is asked, served at this address."""

KEY: Final = "lowfare-check-key-that-nobody-may-read"
PROMPT: Final = "a prompt that nobody but its provider may read"
TRACE: Final = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"

_EMPTY: Final = Response(headers=(("Content-Type", "application/json"),), body=b"{}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request, besides its model.

    Attributes:
        said: what the user says.
        params: parameters of the request's body.
    """

    said: str = PROMPT
    params: Mapping[str, Any] = field(default_factory=dict)

    def request(self, *, stream: bool) -> Request:
        """Returns the request, of new objects throughout."""
        message = {"role": "user", "content": self.said}
        return Request(messages=(message,), params=copy.deepcopy(dict(self.params)), stream=stream)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientBench:
    """What a rule tries.

    Attributes:
        make: makes one more client.
        model: the model that is asked, or a function of the address where a host of the rule's own serves it.
        whole: how that host answers `send`; None leaves unchecked what the client makes of a proper answer.
        streamed: how it answers `stream`; the same.
        patience_s: how long a call may take before it counts as hung.
    """

    make: Make
    model: Model | At
    whole: Response | None = None
    streamed: Response | None = None
    patience_s: float = PATIENCE_S

    def answers(self, *, stream: bool) -> Response:
        """Returns how a host answers, where the rule does not care."""
        return (self.streamed if stream else self.whole) or self.whole or _EMPTY


Rule = Callable[[ClientBench, Any], None]


@dataclass(slots=True)
class Session:
    """One client, the host that it asks where there is one, and what is known of both.

    Attributes:
        client: a new one.
        model: the model to ask.
        host: None where the client asks no host of ours.
        before: tasks that ran before the client was used.
    """

    client: Client
    model: Model
    host: LoopbackHost | None
    before: set[asyncio.Task[Any]]

    def call(self, request: Request, *, total_s: float = 60.0) -> Call:
        """Returns the call of a request."""
        headers = {"traceparent": TRACE}
        return Call(model=self.model, request=request, timeouts=Timeouts(total_s=total_s), key=KEY, headers=headers)

    def left(self) -> list[asyncio.Task[Any]]:
        """Returns the tasks that are there only because of the client."""
        others = self.before | (self.host.tasks if self.host is not None else set())
        return [task for task in asyncio.all_tasks() if task not in others]


class Trial:
    """One rule at work on one client.

    Args:
        rule: what is tried.
        bench: on what.
        case: the argument of the rule.
        name: what the argument is called in the code that is shown.
    """

    def __init__(self, rule: Rule, bench: ClientBench, case: Asked | Response, name: str) -> None:
        self.rule = rule
        self.bench = bench
        self._shown = {name: case}

    def breach(self, says: str) -> Breach:
        """Returns what is raised where the rule is broken."""
        bench = self.bench
        given = ["make", "model", *(name for name in ("whole", "streamed") if getattr(bench, name) is not None)]
        shown = [f"{name}={name}" for name in given]
        if bench.patience_s != PATIENCE_S:
            shown.append(f"patience_s={bench.patience_s:g}")
        thing = f"ClientBench({', '.join(shown)})"
        name = self.rule.__name__
        return Breach(
            name,
            says,
            promise=f"{self.rule.__doc__} (router/clients/client.py)",
            code=shown_call(name, "router.testing.clients", thing=thing, given=", ".join(given), **self._shown),
        )

    def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Returns what comes of a coroutine in an event loop of its own."""

        async def whole() -> T:
            return await work()

        try:
            return run_alone(whole, patience_s=4 * self.bench.patience_s)
        except HungError as error:
            raise self.breach(f"the event loop was held up: {error}") from None

    @asynccontextmanager
    async def session(
        self, response: Response | Callable[[int, Received], Response], *, at: str | None = None, close: bool = True
    ) -> AsyncIterator[Session]:
        """Gives a new client with a host that does as `response` says.

        Args:
            response: what the host does.
            at: the address of the model, instead of the host's.
            close: whether the client is closed in the end.
        """
        model, make = self.bench.model, self.bench.make
        if isinstance(model, Model):
            async with self._made(make, model, None, close=close) as session:
                yield session
        else:
            async with (
                LoopbackHost(response) as host,
                self._made(make, model(at or host.url), host, close=close) as session,
            ):
                yield session

    @asynccontextmanager
    async def _made(
        self, make: Make, model: Model, host: LoopbackHost | None, *, close: bool
    ) -> AsyncIterator[Session]:
        before = asyncio.all_tasks()
        try:
            client = make()
        except Exception as error:
            raise self.breach(f"make() raised {error!r}") from error
        try:
            yield Session(client, model, host, before)
        except BaseException:
            with suppress(Exception):  # what was found first is told
                async with asyncio.timeout(self.bench.patience_s):
                    await client.aclose()
            raise
        if close:
            await self.close(client)

    async def close(self, client: Client, when: str = "") -> None:
        """Closes a client."""
        await self.awaited(f"aclose(){when}", client.aclose)

    async def awaited(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        """Returns what a call of the client returns."""
        limit = asyncio.timeout(self.bench.patience_s)
        try:
            async with limit:
                return await work()
        except TimeoutError as error:
            if limit.expired():
                raise self.breach(f"{name} hung: no return within {self.bench.patience_s:g} s") from None
            raise self.breach(f"{name} raised {error!r}") from error
        except Exception as error:
            raise self.breach(f"{name} raised {error!r}") from error

    async def sent(self, session: Session, request: Request, *, total_s: float = 60.0) -> Answer | Failure:
        """Returns what `send` returns, which must be a result."""
        call = session.call(request, total_s=total_s)
        result: Any = await self.awaited("send()", lambda: session.client.send(call))
        if not isinstance(result, Answer | Failure):
            raise self.breach(f"send() returned {_kind(result)}, which is no Answer and no Failure")
        return result

    async def streamed(
        self, session: Session, request: Request, *, total_s: float = 60.0
    ) -> tuple[Sequence[Chunk], Answer | Failure]:
        """Returns the chunks of `stream` and its result, of which there must be one, at the end."""
        call = session.call(request, total_s=total_s)
        items: list[Any] = []

        async def read() -> None:
            async for event in session.client.stream(call):
                items.append(event)  # noqa: PERF401 - what came before an exception counts, too

        await self.awaited("stream()", read)
        *chunks, result = items or [None]
        if not isinstance(result, Answer | Failure):
            raise self.breach(f"stream() ended in {_kind(result)}, not in an Answer or a Failure")
        for chunk in chunks:
            if not isinstance(chunk, Chunk):
                raise self.breach(
                    f"stream() yielded {_kind(chunk)} before its end; there is one result, and it is last"
                )
        return chunks, result

    async def asked(self, session: Session, asked: Asked, *, stream: bool, total_s: float = 60.0) -> Answer | Failure:
        """Returns the result of a request, whichever way it is sent."""
        request = asked.request(stream=stream)
        if not stream:
            return await self.sent(session, request, total_s=total_s)
        return (await self.streamed(session, request, total_s=total_s))[1]


def _kind(value: object) -> str:
    """Returns what something is, without what it says."""
    return "nothing" if value is None else f"a {type(value).__name__}"
