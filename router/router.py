"""`Router`: complete, acomplete, stream, astream. The only code that waits.

One loop drives every request: it takes the state that the core returns, brings about the one effect which that state
asks for, and hands the result back, until the state is an end. All that is decided is decided in `router.core`.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import warnings
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, TypeVar, assert_never, cast
from weakref import WeakKeyDictionary

from router.clients.client import Call, Client
from router.clock import Clock, SystemClock
from router.core.answer import Answer, Chunk
from router.core.decision import Decision, Ids
from router.core.ending import error_of
from router.core.failure import Failure
from router.core.features import features_of
from router.core.key import content_key
from router.core.machine import NO_POLICY, Done, Exhausted, Given, NeedCall, NeedSleep, State, plan
from router.core.parse import parse_request
from router.core.request import Request
from router.core.settle import Seen, settle
from router.errors import PolicyError, RequestError, RouterWarning
from router.loop import LoopThread
from router.reply import AsyncStream, Reply, Stream
from router.sinks.sink import Sink
from router.state.statistics import Statistics
from router.tokenizer import Tokenizer

if TYPE_CHECKING:
    from router.config import Settings

T = TypeVar("T")

GUARD_S = 0.25
"""How long past its time-out a client may still be at work before the router ends the attempt itself."""


class Router:
    """Answers chat requests from the cheapest adequate model.

    A router may be shared by threads and event loops. Close it when the program is done with it (`with Router(...)`,
    `async with`, `close()`), so that its connections end in good order.

    Args:
        settings: as `router.config` loads them.
        clients: by kind ("openai", "simulated", ...); those not named come from the entry points.
        sinks: where decisions go; None takes those of the settings.
        clock: what time it is, and how to wait.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clients: Mapping[str, Client] | None = None,
        sinks: Iterable[Sink] | None = None,
        clock: Clock | None = None,
    ) -> None:
        from router.setup import setup_of, sinks_of

        self._setup = setup_of(settings)
        self._given_clients = dict(clients or {})
        self._seed = self._setup.seed or os.urandom(8).hex()
        self._tokenizer = Tokenizer()
        self._sinks = tuple(sinks_of(self._setup) if sinks is None else sinks)
        self._clock = SystemClock() if clock is None else clock
        self._statistics = Statistics()
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Client]] = WeakKeyDictionary()
        self._thread = LoopThread()
        self._pid = os.getpid()

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str], **options: Any) -> Self:
        """Returns a router with the settings of a TOML file.

        Args:
            path: of the file.
            **options: the keyword arguments of `Router`.

        Raises:
            ConfigError: the file is missing or wrong; says where, what was found, and what is allowed.
        """
        from router.config import load

        return cls(load(path), **options)

    async def acomplete(self, prompt: Any = None, /, **request: Any) -> Reply:
        """Returns the answer of the cheapest adequate model.

        Args:
            prompt: a string, or OpenAI chat messages, oldest first; or pass `messages=`.
            **request: parameters of OpenAI's chat completions, unknown ones passed through, and the routing hints of
                `Hints` (`policy`, `model`, `tags`, `tenant`, `max_cost_usd`, `deadline_s`, ...).

        Raises:
            RequestError: the request is malformed; nothing was sent.
            NoCandidate: no model is adequate.
            ProviderError: the only attempt failed, or failed in a way that nothing may follow.
            BoundsExceeded: attempts, deadline or waste were used up.
        """
        events = self._drive(parse_request(prompt, **request), request.get("response_format"))
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Reply):
                    return event
        raise AssertionError("a drive ends in a reply or an error")

    def complete(self, prompt: Any = None, /, **request: Any) -> Reply:
        """`acomplete` for code without an event loop; works from any thread, also from inside a running loop."""
        return self._thread.run(self.acomplete(prompt, **request))

    def astream(self, prompt: Any = None, /, **request: Any) -> AsyncStream:
        """Returns the answer piece by piece, with the arguments and errors of `acomplete`.

        Another model is asked only as long as nothing has reached the caller; a stream that breaks later raises, with
        what was streamed priced as an estimate.
        """
        return AsyncStream(self._drive(parse_request(prompt, stream=True, **request), request.get("response_format")))

    def stream(self, prompt: Any = None, /, **request: Any) -> Stream:
        """`astream` for code without an event loop."""
        events = self._drive(parse_request(prompt, stream=True, **request), request.get("response_format"))
        return Stream(events, self._thread.run)

    def plan(self, prompt: Any = None, /, **request: Any) -> Decision:
        """Returns what would be decided, without calling anyone: the slate, the worst case, no attempts."""
        state = plan(self._given(parse_request(prompt, **request)))
        if isinstance(state, Exhausted):
            return state.decision
        return state.planned

    async def aclose(self) -> None:
        """Closes the connections of the running loop and the log; `close` does it for synchronous calls."""
        await self._close_clients()
        self._close_sinks()

    def close(self) -> None:
        """Closes the connections of synchronous calls and the log."""
        if self._thread.started:
            self._thread.run(self._close_clients())
            self._thread.stop()
        self._close_sinks()

    async def _close_clients(self) -> None:
        for client in self._clients.pop(asyncio.get_running_loop(), {}).values():
            await client.aclose()

    def _close_sinks(self) -> None:
        for sink in self._sinks:
            sink.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def _drive(self, request: Request, response_format: object = None) -> AsyncGenerator[Chunk | Reply]:
        """Yields the chunks of a streamed request, then its reply."""
        started = self._clock.monotonic()
        state: State = self._start(request)
        tap = _Tap(self._clock, started)
        while True:
            match state:
                case NeedCall():
                    tap = _Tap(self._clock, started)
                    try:
                        if request.stream:
                            async with aclosing(self._pieces(state, request, tap)) as chunks:
                                async for chunk in chunks:
                                    yield chunk
                        else:
                            tap.result = await self._answer(state, request)
                    except BaseException:
                        self._finish(state.abandon(settle(state, request, None, tap.seen())), request, None)
                        raise
                    state = state.next(settle(state, request, tap.result, tap.seen()))
                case NeedSleep():
                    try:
                        await self._clock.sleep(state.seconds)
                    except BaseException:
                        self._finish(state.abandon(tap.now_s()), request, None)
                        raise
                    state = state.next(tap.now_s())
                case Done(candidate=candidate):
                    answer = cast("Answer", tap.result)
                    decision = self._finish(state, request, answer)
                    for chunk in tap.held:
                        yield chunk
                    yield Reply(
                        answer=answer,
                        decision=decision,
                        model=candidate.name,
                        response_format=response_format if isinstance(response_format, type) else None,
                    )
                    return
                case Exhausted():
                    self._finish(state, request, None)
                    raise error_of(state)
                case _:
                    assert_never(state)

    async def _answer(self, state: NeedCall, request: Request) -> Answer | Failure:
        try:
            async with asyncio.timeout(state.timeout_s + GUARD_S):
                return await self._client(state.candidate.model.client).send(self._call(state, request))
        except TimeoutError:
            return _overtime()
        except Exception as error:  # noqa: BLE001 - a bug in one client must not cost the answer of another
            return _client_bug(state, error)

    async def _pieces(self, state: NeedCall, request: Request, tap: _Tap) -> AsyncGenerator[Chunk]:
        """Yields chunks from the first that shows something; its end is `tap.result`."""
        loop = asyncio.get_running_loop()
        until = loop.time() + state.timeout_s + GUARD_S
        try:
            async with aclosing(
                self._client(state.candidate.model.client).stream(self._call(state, request))
            ) as events:
                while True:
                    async with asyncio.timeout_at(until):
                        event = await anext(events)
                    if not isinstance(event, Chunk):
                        tap.result = event
                        return
                    for chunk in tap.take(event):
                        yield chunk
        except TimeoutError:
            tap.result = _overtime()
        except Exception as error:  # noqa: BLE001 - as in `_answer`
            tap.result = _client_bug(state, error)

    def _start(self, request: Request) -> NeedCall | Exhausted:
        try:
            return plan(self._given(request))
        except PolicyError as error:
            if error.decision is not None:
                self._emit(error.decision)
            raise

    def _given(self, request: Request) -> Given:
        setup, hints = self._setup, request.hints
        policy_name = hints.policy or setup.default_policy
        policy = _known("policy", policy_name, setup.policies)
        if hints.model is not None and hints.policy is None:
            policy_name = NO_POLICY
        for name in (hints.model, hints.baseline):
            if name is not None:
                _known("model", name, setup.catalog)
        drawn = os.urandom(40).hex()
        request_id = drawn[:32]
        return Given(
            ids=Ids(request_id=request_id, trace_id=hints.trace_id or drawn[32:64], span_id=drawn[64:]),
            key=content_key(request, policy_name),
            features=features_of(
                request,
                limits=setup.token_limits,
                total_limits=setup.total_token_limits,
                patterns=setup.patterns,
                count=self._tokenizer.count,
            ),
            hints=hints,
            catalog=setup.catalog,
            policy_name=policy_name,
            policy=policy,
            bounds=setup.bounds.lowered(hints),
            now=self._clock.now(),
            draw=_draw(self._seed, request_id),
            stats=self._statistics.snapshot() if policy_name in setup.reads_stats else {},
            expected_output_tokens=setup.expected_output_tokens,
            unpriced=setup.unpriced,
        )

    def _call(self, state: NeedCall, request: Request) -> Call:
        model, ids = state.candidate.model, state.course.given.ids
        return Call(
            model=model,
            request=request,
            timeouts=model.timeouts.within(state.timeout_s),
            key=os.environ.get(model.key_env) if model.key_env is not None else None,
            headers=_trace_headers(ids.trace_id, state.span_id) if self._setup.trace_headers else {},
        )

    def _client(self, kind: str) -> Client:
        if self._pid != os.getpid():  # connections do not survive a fork
            self._pid = os.getpid()
            self._clients = WeakKeyDictionary()
        clients = self._clients.setdefault(asyncio.get_running_loop(), {})
        if kind not in clients:
            given = self._given_clients.get(kind)
            clients[kind] = self._setup.client(kind) if given is None else given
        return clients[kind]

    def _finish(self, end: Done | Exhausted, request: Request, answer: Answer | None) -> Decision:
        """Records the end of a request; returns its decision."""
        decision = end.decision
        if self._setup.content is not None:
            decision = replace(decision, content=self._setup.content(request, answer))
        self._emit(decision)
        return decision

    def _emit(self, decision: Decision) -> None:
        self._statistics.fold(decision)
        for sink in self._sinks:
            try:
                sink.emit(decision)
            except Exception as error:  # noqa: BLE001 - a log that fails must not cost the caller an answer
                _warn(f"{type(sink).__name__} lost the decision of trace {decision.trace_id}: {error}")


class _Tap:
    """What flows from one attempt to the caller, and what is seen of it on the way."""

    def __init__(self, clock: Clock, arrived: float) -> None:
        self._clock = clock
        self._arrived = arrived
        self._started_s = self.now_s()
        self._first_token_s: float | None = None
        self._text: list[str] = []
        self.held: list[Chunk] = []
        self.result: Answer | Failure | None = None

    def now_s(self) -> float:
        """Returns the seconds since the request's arrival, to the microsecond."""
        return round(self._clock.monotonic() - self._arrived, 6)

    def take(self, chunk: Chunk) -> list[Chunk]:
        """Returns what may go to the caller now: nothing before the first chunk that shows something."""
        text = [choice.delta.written for choice in chunk.choices]
        self._text += text
        if self._first_token_s is None:
            self.held.append(chunk)
            if not any(text):
                return []
            self._first_token_s = round(self.now_s() - self._started_s, 6)
            released, self.held = self.held, []
            return released
        return [chunk]

    def seen(self) -> Seen:
        """Returns what was seen until now."""
        return Seen(
            started_s=self._started_s,
            ended_s=self.now_s(),
            first_token_s=self._first_token_s,
            streamed="".join(self._text),
            committed=self._first_token_s is not None,
        )


def _overtime() -> Failure:
    return Failure(kind="timed_out", message="no end of the answer within the request's deadline")


def _client_bug(state: NeedCall, error: Exception) -> Failure:
    model = state.candidate.model
    _warn(f"client {model.client!r} raised {type(error).__name__} for model {model.name!r}; it should return a Failure")
    return Failure(kind="cut", message=f"the client raised {type(error).__name__}")


def _draw(seed: str, request_id: str) -> float:
    digest = hashlib.blake2b(f"{seed}:{request_id}".encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big") / 2**56


def _trace_headers(trace_id: str, span_id: str) -> dict[str, str]:
    return {"traceparent": f"00-{trace_id}-{span_id}-01", "X-Trace-ID": trace_id, "X-Span-ID": span_id}


def _known(what: str, name: str, known: Mapping[str, T]) -> T:
    if name in known:
        return known[name]
    raise RequestError(f"{what} {name!r} is not configured; there are {', '.join(sorted(known)) or 'none'}")


def _warn(message: str) -> None:
    with suppress(RouterWarning):  # also where the application turns warnings into errors
        warnings.warn(message, RouterWarning, stacklevel=3)
