"""`Router`: complete, acomplete, stream, astream. The only code that waits.

One loop drives every request: it takes the state that the core returns, brings about the one effect which that state
asks for, and hands the result back, until the state is an end. All that is decided is decided in `router.core`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, TypeVar, assert_never, cast

from router.attempt import Attempts, Clients, Flow, Watch
from router.clients.client import Client
from router.clock import Clock, SystemClock
from router.core.answer import Answer, Chunk
from router.core.course import Given
from router.core.decision import Decision, Ids
from router.core.ending import error_of
from router.core.features import features_of
from router.core.key import content_key
from router.core.machine import NO_POLICY, Done, Exhausted, NeedCall, NeedSleep, State, plan
from router.core.parse import parse_request
from router.core.place import ModelState
from router.core.replay import Unobserved, replay
from router.core.request import Request
from router.core.usable import NamedCheck
from router.errors import PolicyError, RequestError, warn
from router.loop import LoopThread
from router.reply import AsyncStream, Reply, Stream
from router.sinks.sink import Sink
from router.state.gate import Gate
from router.state.statistics import Statistics
from router.tokenizer import Tokenizer

if TYPE_CHECKING:
    from router.config import Settings

T = TypeVar("T")


class Router:
    """Answers chat requests from the cheapest adequate model.

    A router may be shared by threads and event loops. Close it when the program is done with it (`with Router(...)`,
    `async with`, `close()`), so that its connections end in good order.

    Args:
        settings: as `router.config` loads them.
        clients: by kind ("openai", "simulated", ...); those not named come from the entry points.
        sinks: where decisions go; None takes those of the settings.
        checks: that an answer must pass besides those that ship; see `check`.
        clock: what time it is, and how to wait.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clients: Mapping[str, Client] | None = None,
        sinks: Iterable[Sink] | None = None,
        checks: Iterable[NamedCheck] = (),
        clock: Clock | None = None,
    ) -> None:
        from router.setup import setup_of, sinks_of

        self._setup = setup = setup_of(settings, checks=checks)
        self._clock = SystemClock() if clock is None else clock
        given = dict(clients or {})
        self._clients = Clients(self._setup.client_classes(given), given)
        self._gate = Gate(
            breaker=setup.breaker,
            quota=setup.retry_quota,
            concurrency=setup.concurrency,
            monotonic=self._clock.monotonic,
        )
        self._attempts = Attempts(self._setup, self._gate, self._clients)
        self._seed = self._setup.seed or os.urandom(8).hex()
        self._tokenizer = Tokenizer()
        self._sinks = tuple(sinks_of(self._setup) if sinks is None else sinks)
        self._statistics = Statistics()
        self._thread = LoopThread()

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
        events = self._ask(prompt, request, stream=False)
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
        return AsyncStream(self._ask(prompt, request, stream=True))

    def stream(self, prompt: Any = None, /, **request: Any) -> Stream:
        """`astream` for code without an event loop."""
        return Stream(self._ask(prompt, request, stream=True), self._thread.run)

    def plan(self, prompt: Any = None, /, **request: Any) -> Decision:
        """Returns what would be decided, without calling anyone: the slate, the worst case, no attempts."""
        state = plan(self._given(parse_request(prompt, **request), 0.0))
        if isinstance(state, Exhausted):
            return state.decision
        return state.planned

    def replay(self, record: Mapping[str, Any], /) -> Decision | Unobserved:
        """Returns what this configuration decides for a logged request; calls nobody.

        Args:
            record: a decision's JSON, as the log has it.

        Raises:
            RequestError: the record's policy is not configured.
            ValueError: the record is of a schema that this version does not read.
        """
        name = record["policy"]
        policy = self._setup.policies[self._setup.default_policy]
        if name != NO_POLICY:
            policy = _known("policy", name, self._setup.policies)
        return replay(record, catalog=self._setup.catalog, policy=policy)

    def health(self) -> Mapping[str, ModelState]:
        """Returns how each model stands that was asked so far: breakers, places, queues, retries left."""
        return self._gate.snapshot()

    async def aclose(self) -> None:
        """Closes the connections of the running loop and the log; `close` does it for synchronous calls."""
        await self._clients.close()
        self._close_sinks()

    def close(self) -> None:
        """Ends synchronous calls that are under way, and closes their connections and the log."""
        self._thread.stop(self._clients.close)
        self._close_sinks()

    def _close_sinks(self) -> None:
        for sink in self._sinks:
            try:
                sink.close()
            except Exception as error:  # noqa: BLE001 - the others must close all the same
                warn(f"{type(sink).__name__} did not close: {error}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    def _ask(self, prompt: Any, request: dict[str, Any], *, stream: bool) -> AsyncGenerator[Chunk | Reply]:
        arrived = self._clock.monotonic()
        wanted = request.get("response_format")
        return self._drive(
            parse_request(prompt, stream, **request),
            arrived=arrived,
            response_format=wanted if isinstance(wanted, type) else None,
        )

    async def _drive(
        self, request: Request, *, arrived: float, response_format: type[Any] | None
    ) -> AsyncGenerator[Chunk | Reply]:
        """Yields the chunks of a streamed request, then its reply."""
        flow = Flow(Watch(self._clock, arrived))
        state: State = self._start(request, flow)
        while True:
            match state:
                case NeedCall():
                    flow.begin()
                    try:
                        async with aclosing(self._attempts.run(state, request, flow)) as chunks:
                            async for chunk in chunks:
                                yield chunk
                    except BaseException:
                        self._finish(state.abandon(flow.watch.now_s(), *flow.attempts), request, None)
                        raise
                    state = state.next(*flow.attempts)
                case NeedSleep():
                    try:
                        await self._clock.sleep(state.seconds)
                    except BaseException:
                        self._finish(state.abandon(flow.watch.now_s()), request, None)
                        raise
                    state = state.next(flow.watch.now_s())
                case Done(answered=answered):
                    tap = next(tap for tap in flow.taps if tap.attempt is answered)
                    answer = cast("Answer", tap.result)
                    decision = self._finish(state, request, answer)
                    for chunk in tap.withheld:
                        yield chunk
                    yield Reply(
                        answer=answer,
                        decision=decision,
                        model=answered.model,
                        response_format=response_format,
                    )
                    return
                case Exhausted():
                    self._finish(state, request, None)
                    raise error_of(state)
                case _:
                    assert_never(state)

    def _start(self, request: Request, flow: Flow) -> NeedCall | Exhausted:
        try:
            return plan(self._given(request, flow.watch.now_s()))
        except PolicyError as error:
            if error.decision is not None:
                self._emit(error.decision)
            raise

    def _given(self, request: Request, started_s: float) -> Given:
        setup, hints = self._setup, request.hints
        policy_name = hints.policy or setup.default_policy
        policy = _known("policy", policy_name, setup.policies)
        if hints.model is not None and hints.policy is None:
            policy_name = NO_POLICY
        for name in (hints.model, hints.baseline):
            if name is not None:
                _known("model", name, setup.catalog)
        terms = setup.terms[policy_name]
        drawn = os.urandom(40).hex()
        request_id = hints.request_id or drawn[:32]
        return Given(
            ids=Ids(request_id=request_id, trace_id=hints.trace_id or drawn[32:64], span_id=drawn[64:]),
            key=content_key(request, policy_name),
            features=features_of(
                request,
                limits=setup.token_limits,
                total_limits=setup.total_token_limits,
                patterns=setup.patterns,
                count=self._tokenizer.count,
                expected_output_tokens=setup.expected_output_tokens,
            ),
            hints=hints,
            catalog=setup.catalog,
            policy_name=policy_name,
            policy=policy,
            bounds=terms.bounds.lowered(hints),
            prefer_wait_s=terms.prefer_wait_s,
            hedging=terms.hedging,
            now=self._clock.now(),
            started_s=started_s,
            draw=_draw(self._seed, request_id),
            stats=self._statistics.snapshot(self.health()) if policy_name in setup.reads_stats or terms.hedging else {},
            expected_output_tokens=setup.expected_output_tokens,
            unpriced=setup.unpriced,
        )

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
                warn(f"{type(sink).__name__} lost the decision of trace {decision.trace_id}: {error}")


def _draw(seed: str, request_id: str) -> float:
    digest = hashlib.blake2b(f"{seed}:{request_id}".encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big") / 2**56


def _known(what: str, name: str, known: Mapping[str, T]) -> T:
    if name in known:
        return known[name]
    raise RequestError(f"{what} {name!r} is not configured; there are {', '.join(sorted(known)) or 'none'}")
