"""`Router`: complete, acomplete, stream, astream. The only code that waits.

One loop drives every request: it takes the state that the core returns, brings about the one effect which that state
asks for, and hands the result back, until the state is an end. All that is decided is decided in `router.core`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self, assert_never, cast

from router.attempt import Attempts, Flow, Watch
from router.cache.store import Store
from router.cache.visit import Visit
from router.clients.client import Client
from router.clients.shared import Clients
from router.clock import Clock, SystemClock
from router.core.answer import Answer, Chunk
from router.core.caching import Entry, own_copy
from router.core.decision import Decision
from router.core.ending import error_of
from router.core.keeping import answer_kept, refusal_kept
from router.core.machine import (
    Done,
    Exhausted,
    NeedCall,
    NeedLookup,
    NeedReserve,
    NeedSleep,
    Served,
    State,
    plan,
)
from router.core.parse import parse_request
from router.core.place import ModelState
from router.core.request import Request
from router.core.usable import NamedCheck
from router.errors import PolicyError, RouterError
from router.intake import Intake
from router.loop import LoopThread
from router.pump import pumped
from router.recorded import Told
from router.reply import AsyncStream, Reply, Stream
from router.sinks.sink import Sink, close_all, give_to
from router.sinks.states import AsgiApp, States, app_of, show
from router.sinks.tracing import TraceStats
from router.state.gate import Gate
from router.state.ledger import Ledger
from router.state.statistics import Statistics
from router.upkeep import Upkeep

if TYPE_CHECKING:
    from router.config import Settings
    from router.state.treasury import Treasury


@dataclass(slots=True, kw_only=True)
class _Drive:
    """One request on its way: where it stands, and what it takes along.

    Attributes:
        response_format: the pydantic model class that was asked for, if one was.
    """

    request: Request
    response_format: type[Any] | None
    flow: Flow
    visit: Visit
    state: State


class Router(Upkeep):
    """Answers chat requests from the cheapest adequate model.

    A router may be shared by threads and event loops. Close it when the program is done with it (`with Router(...)`,
    `async with`, `close()`), so that its connections end in good order.

    Args:
        settings: as `router.config` loads them.
        clients: by kind ("openai", "simulated", ...); those not named come from the entry points.
        sinks: where decisions go; None takes those of the settings.
        checks: that an answer must pass besides those that ship; see `check`.
        store: what keeps answers on the terms of `[cache]`; None takes the backend that the table names.
        ledger: what keeps the accounts of `[budgets]`; None takes what `[state]` names.
        clock: what time it is, and how to wait.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clients: Mapping[str, Client] | None = None,
        sinks: Iterable[Sink] | None = None,
        checks: Iterable[NamedCheck] = (),
        store: Store | None = None,
        ledger: Ledger | None = None,
        clock: Clock | None = None,
    ) -> None:
        from router.config import Settings
        from router.setup import alerts_of, setup_of, sinks_of, watches_of
        from router.setup_budgets import made_treasury
        from router.setup_cache import made_cache
        from router.setup_metrics import metered
        from router.setup_traces import traced

        if not isinstance(settings, Settings):
            raise TypeError(f"no settings but a value of type {type(settings).__name__}; Router.from_toml reads a file")
        self._setup = setup = setup_of(settings, checks=checks)
        self._clock = SystemClock() if clock is None else clock
        self._clients = Clients(setup.client_classes(clients or {}), dict(clients or {}))
        breaker, quota, concurrency = setup.breaker, setup.retry_quota, setup.concurrency
        self._gate = Gate(breaker=breaker, quota=quota, concurrency=concurrency, monotonic=self._clock.monotonic)
        self._treasury = made_treasury(setup, self._clock, ledger=ledger)
        own = metered(sinks_of(setup), setup.late_metrics) if sinks is None else tuple(sinks)
        own, self._tracing = traced(own, setup.late_traces if sinks is None else None)
        left = dict if self._treasury is None else self._treasury.left
        show(States(health=self.health, budgets_left=left), own)
        self._attempts = Attempts(setup, self._gate, self._clients, self._tracing, self._treasury)
        self._cache = made_cache(setup.cache, self._now_s, store=store)
        self._statistics = Statistics()
        self._intake = Intake(setup, self._clock, self._gate, self._statistics, self._tracing, self._treasury)
        self._thread = LoopThread()
        self.alerts = alerts_of(setup, self._clock)
        """Takes alerts and delivers them to the destinations of the settings."""
        self._sinks = (*own, *watches_of(setup, self.alerts, self._treasury, self._clock.now))
        self._told = Told()

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
            NotCached: only a stored answer was wanted, and there is none that counts.
            NoCandidate: no model is adequate.
            ProviderError: the only attempt failed, or failed in a way that nothing may follow.
            BoundsExceeded: attempts, deadline or waste were used up.
            BudgetExceeded: a budget has no room for it.
        """
        parsed = self._parsed(prompt, request, stream=False)
        await self._intake.read_budgets(parsed[0].hints)
        drive = self._begin(*parsed)
        return self._recalled(drive) or await self._replied(drive)

    def complete(self, prompt: Any = None, /, **request: Any) -> Reply:
        """`acomplete` for code without an event loop; works from any thread, also from inside a running loop."""
        parsed = self._parsed(prompt, request, stream=False)
        if self._intake.stale(parsed[0].hints):
            self._thread.run(self._intake.read_budgets(parsed[0].hints))
        drive = self._begin(*parsed)
        return self._recalled(drive) or self._thread.run(self._replied(drive))

    def astream(self, prompt: Any = None, /, **request: Any) -> AsyncStream:
        """Returns the answer piece by piece, with the arguments and errors of `acomplete`.

        Another model is asked only as long as nothing has reached the caller; a stream that breaks later raises, with
        what was streamed priced as an estimate.
        """
        return AsyncStream(self._streamed(*self._parsed(prompt, request, stream=True)))

    def stream(self, prompt: Any = None, /, **request: Any) -> Stream:
        """`astream` for code without an event loop."""
        return Stream(self._streamed(*self._parsed(prompt, request, stream=True)), self._thread.run)

    def plan(self, prompt: Any = None, /, **request: Any) -> Decision:
        """Returns what would be decided, without calling anyone: the slate, the worst case, no attempts."""
        parsed = parse_request(prompt, **request)
        if self._intake.stale(parsed.hints):
            self._thread.run(self._intake.read_budgets(parsed.hints))
        state = plan(self._intake.given(parsed, 0.0, begins=False))
        return state.decision if isinstance(state, Exhausted) else state.planned

    def health(self) -> Mapping[str, ModelState]:
        """Returns how each model stands that was asked so far: breakers, places, queues, retries left."""
        return self._gate.snapshot()

    def metrics_app(self) -> AsgiApp:
        """Returns an ASGI application that serves what the sink `prometheus` counts; `ConfigError` without one."""
        return app_of(self._sinks)

    def trace_stats(self) -> TraceStats:
        """Returns how many spans this process exported itself, and how many it lost."""
        return self._tracing.stats()

    async def aclose(self) -> None:
        """Closes the connections of the running loop and the log; `close` does it for synchronous calls."""
        await self._close_connections()
        await self.alerts.aclose()
        close_all(self._sinks)

    def close(self) -> None:
        """Ends synchronous calls that are under way, and closes their connections and the log."""
        # A store has something open also where no call was made.
        if self._setup.cache is not None or self._treasury is not None:
            self._thread.run(asyncio.sleep(0))
        self._thread.stop(self._close_connections)
        self.alerts.close()
        close_all(self._sinks)

    async def _close_connections(self) -> None:
        await self._clients.close()
        await self._cache.aclose()
        if self._treasury is not None:
            await self._treasury.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    def _parsed(self, prompt: Any, given: dict[str, Any], *, stream: bool) -> tuple[Request, Flow, type[Any] | None]:
        flow = Flow(Watch(self._clock, self._clock.monotonic()))
        wanted = given.get("response_format")
        return parse_request(prompt, stream, **given), flow, wanted if isinstance(wanted, type) else None

    def _begin(self, request: Request, flow: Flow, response_format: type[Any] | None) -> _Drive:
        state = self._start(request, flow)
        unusable = self._attempts.checker(state.course.given, request)
        return _Drive(
            request=request,
            response_format=response_format,
            flow=flow,
            visit=Visit(self._cache, streamed=request.stream, unusable=unusable),
            state=state,
        )

    def _recalled(self, drive: _Drive) -> Reply | None:
        """Returns the reply where this process's memory has it: without a wait, so that no event loop is needed."""
        state = drive.state
        if not isinstance(state, NeedLookup) or not drive.visit.recall(state):
            return None
        drive.state = state.next(drive.visit.hit, drive.flow.watch.now_s())
        return self._served(drive, drive.state) if isinstance(drive.state, Served) else None

    async def _replied(self, drive: _Drive) -> Reply:
        state = drive.state
        if isinstance(state, NeedLookup):
            try:
                found = await drive.visit.arrive(state)
            except BaseException:
                self._finish(state.abandon(drive.flow.watch.now_s()), drive.request, None)
                await drive.visit.leave(state.course.given.key)
                raise
            if found:
                drive.state = state.next(drive.visit.hit, drive.flow.watch.now_s())
            if isinstance(drive.state, Served):  # without the machinery of streams, which costs as much as the look
                return self._served(drive, drive.state)
        async with aclosing(self._drive(drive)) as events:
            async for event in events:
                if isinstance(event, Reply):
                    return event
        raise AssertionError("a drive ends in a reply or an error")

    async def _streamed(
        self, request: Request, flow: Flow, response_format: type[Any] | None
    ) -> AsyncGenerator[Chunk | Reply]:
        # Decided when the first piece is asked for: what is sent then must be what the key was made of.
        await self._intake.read_budgets(request.hints)
        drive = self._begin(request, flow, response_format)
        events = self._drive(drive)
        # Equal requests may follow this one, and must not wait until its caller has read what there is.
        async with aclosing(pumped(events) if isinstance(drive.state, NeedLookup) else events) as pieces:
            async for piece in pieces:
                yield piece

    async def _drive(self, drive: _Drive) -> AsyncGenerator[Chunk | Reply]:
        """Yields the chunks of a streamed request, then its reply."""
        try:
            while True:
                match drive.state:
                    case NeedLookup() as state:
                        effect = self._look(drive, state)
                    case NeedCall() as state:
                        effect = self._call(drive, state)
                    case NeedReserve() as state:
                        await self._reserve(drive, state)
                        continue
                    case NeedSleep() as state:
                        await self._sleep(drive, state)
                        continue
                    case Done() as state:
                        rest, reply = await self._done(drive, state)
                        break
                    case Served() as state:
                        reply = self._served(drive, state)
                        rest = drive.visit.rest
                        break
                    case Exhausted() as state:
                        raise await self._failed(drive, state)
                    case _:
                        assert_never(drive.state)
                async with aclosing(effect) as chunks:
                    async for chunk in chunks:
                        yield chunk
        finally:
            await drive.visit.leave(drive.state.course.given.key)
            await self._settled(drive)  # also where the caller gave up: the event loop may end with this task
        for chunk in rest:
            yield chunk
        yield reply

    async def _look(self, drive: _Drive, state: NeedLookup) -> AsyncGenerator[Chunk]:
        visit, watch = drive.visit, drive.flow.watch
        try:
            async with aclosing(visit.look(state)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except BaseException:
            self._finish(state.abandon(watch.now_s()), drive.request, None)
            raise
        drive.state = state.part(watch.now_s()) if visit.parted else state.next(visit.hit, watch.now_s())

    async def _call(self, drive: _Drive, state: NeedCall) -> AsyncGenerator[Chunk]:
        flow, visit = drive.flow, drive.visit
        flow.begin(state.claim)
        try:
            async with aclosing(self._attempts.run(state, drive.request, flow)) as chunks:
                async for chunk in chunks:
                    for piece in visit.show(chunk, flow.source):
                        yield piece
                    if visit.parted:
                        break
            for piece in visit.finish() if flow.answered else ():
                yield piece
        except BaseException:
            self._finish(state.abandon(flow.watch.now_s(), *flow.attempts), drive.request, None)
            raise
        finally:
            if self._treasury is not None:
                flow.settling += self._treasury.settle(flow.settlements())
        if visit.parted:
            drive.state = state.part(flow.watch.now_s(), *flow.attempts)
        else:
            drive.state = state.next(*flow.attempts)

    async def _reserve(self, drive: _Drive, state: NeedReserve) -> None:
        treasury, watch = cast("Treasury", self._treasury), drive.flow.watch
        try:
            # What the attempt before left over may be all there is.
            await treasury.settled(drive.flow.settling, wait_s=state.call.left_s(watch.now_s()))
            told = await treasury.reserve(state.claim, wait_s=state.call.left_s(watch.now_s()))
        except BaseException:
            self._finish(state.abandon(watch.now_s()), drive.request, None)
            raise
        drive.state = state.next(told, watch.now_s())

    async def _settled(self, drive: _Drive) -> None:
        """Waits until the budgets know what the request cost, if its deadline leaves time for that."""
        if drive.flow.settling and self._treasury is not None:
            left_s = drive.state.course.given.bounds.deadline_s - drive.flow.watch.now_s()
            await self._treasury.settled(drive.flow.settling, wait_s=max(0.0, left_s))

    async def _sleep(self, drive: _Drive, state: NeedSleep) -> None:
        watch = drive.flow.watch
        try:
            await self._clock.sleep(state.seconds)
        except BaseException:
            self._finish(state.abandon(watch.now_s()), drive.request, None)
            raise
        drive.state = state.next(watch.now_s())

    async def _done(self, drive: _Drive, state: Done) -> tuple[tuple[Chunk, ...], Reply]:
        """Records the end of a request that a provider answered, and keeps the answer; returns the last chunks too."""
        tap = next(tap for tap in drive.flow.taps if tap.attempt is state.answered)
        answer = cast("Answer", tap.result)
        decision = self._finish(state, drive.request, answer)
        source = state.answered.model, state.course.given.catalog[state.answered.model].id
        rest = tuple(piece for chunk in tap.withheld for piece in drive.visit.show(chunk, source))
        caching = state.course.given.caching
        if caching.mode != "off":
            await drive.visit.land(answer_kept(state, own_copy(answer), self._now_s()), keep=caching.stores)
        return rest, self._reply(drive, answer, decision)

    def _served(self, drive: _Drive, state: Served) -> Reply:
        """Records the end of a request that the cache answered."""
        answer = own_copy(cast("Answer", cast("Entry", drive.visit.entry).answer))
        return self._reply(drive, answer, self._finish(state, drive.request, answer))

    async def _failed(self, drive: _Drive, state: Exhausted) -> RouterError:
        """Records the end of a request without an answer; returns what its caller is told."""
        self._finish(state, drive.request, None)
        refusal = refusal_kept(state, self._now_s())
        if refusal is not None:
            await drive.visit.land(refusal, keep=True)
        return error_of(state)

    def _reply(self, drive: _Drive, answer: Answer, decision: Decision) -> Reply:
        model = cast("str", decision.model)
        return Reply(answer=answer, decision=decision, model=model, response_format=drive.response_format)

    def _now_s(self) -> float:
        return self._clock.now().timestamp()

    def _start(self, request: Request, flow: Flow) -> NeedLookup | NeedReserve | NeedCall | Exhausted:
        try:
            return plan(self._intake.given(request, flow.watch.now_s()))
        except PolicyError as error:
            if error.decision is not None:
                self._emit(error.decision, error.decision)
            raise

    def _finish(self, end: Done | Served | Exhausted, request: Request, answer: Answer | None) -> Decision:
        """Records the end of a request; returns its decision."""
        decision, logs = end.decision, self._setup.content is not None
        if not logs and not self._tracing.captures:
            self._emit(decision, decision)
            return decision
        told = replace(decision, content=self._setup.redacted(request, answer))
        decision = told if logs else decision
        self._emit(decision, told)
        return decision

    def _emit(self, decision: Decision, traced: Decision) -> None:
        """Hands the record on; to traces, which have a switch of their own for content, with what that asks for."""
        self._statistics.fold(decision)
        for sink in self._sinks:
            give_to(sink, traced if sink is self._tracing else decision)
