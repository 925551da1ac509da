"""One attempt carried out: through the gate, to the provider, and back as a settled record.

What flows to the caller of a stream goes through a `Tap`, which holds everything back until there is something to see,
so that another model can be asked up to that moment and never after it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

import orjson

from router.clients.client import Call
from router.clients.real import RealCallRefused
from router.clients.shared import Clients
from router.clock import Clock
from router.core.answer import Answer, Chunk
from router.core.bounds import least_useful_s
from router.core.budget import Claim, Reserved
from router.core.caching import Source
from router.core.catalog import Model
from router.core.course import Course, Given
from router.core.decision import Attempt, Ids
from router.core.failure import Failure
from router.core.machine import NeedCall
from router.core.place import Held, Place
from router.core.request import Request
from router.core.schema_check import SchemaCheck, schema_check
from router.core.settle import Seen, settle
from router.core.tokens import tokens_at
from router.core.turn import Hedge
from router.core.usable import schema_of, unusable
from router.errors import ConfigError, warn
from router.prices.providers import provider_named
from router.race import raced
from router.sinks.tracing import Tracing
from router.state.gate import Gate

if TYPE_CHECKING:
    from router.setup import Setup
    from router.state.treasury import Treasury

GUARD_S = 0.25
"""How long past its time-out a client may still be at work before the router ends the attempt itself."""

_FAIR_S = 5.0
"""Time enough for any healthy model to answer, or at least to begin."""

_SCHEMAS_MOST = 64
"""JSON schemas whose compiled check is kept; making one takes some milliseconds."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Tells how long ago a request arrived.

    Attributes:
        arrived: the clock's reading then.
    """

    clock: Clock
    arrived: float

    def now_s(self) -> float:
        """Returns the seconds since the request's arrival, to the microsecond."""
        return round(self.clock.monotonic() - self.arrived, 6)


@dataclass(slots=True)
class Flow:
    """The attempts of one state of a request, as they come about.

    Attributes:
        began_s: when the first of them began, in seconds from the request's arrival.
        taps: one for each attempt that began, in order.
        claims: what was reserved for them.
        settling: what tells the budgets what the attempts of all states cost, as far as that takes time.
    """

    watch: Watch
    began_s: float = 0.0
    taps: list[Tap] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    settling: list[asyncio.Task[None]] = field(default_factory=list)

    def begin(self, claim: Claim | None = None) -> None:
        """Forgets the attempts of the state before; `claim` is what was reserved for the first of this one."""
        self.began_s, self.taps = self.watch.now_s(), []
        self.claims = [] if claim is None else [claim]

    def elapsed_s(self) -> float:
        """Returns the seconds since the state's first attempt began."""
        return round(self.watch.now_s() - self.began_s, 6)

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Those that ended."""
        return tuple(tap.attempt for tap in self.taps if tap.attempt is not None)

    def settlements(self) -> Iterator[tuple[Claim, Decimal | None]]:
        """Yields each reservation with what its attempt cost: nothing where it was not made, None where unknown."""
        costs = {attempt.span_id: attempt.cost_usd for attempt in self.attempts}
        for claim in self.claims:
            yield claim, costs.get(claim.id, Decimal(0))

    @property
    def answered(self) -> bool:
        """Whether one of them is an answer."""
        return any(attempt.outcome == "answer" for attempt in self.attempts)

    @property
    def source(self) -> Source:
        """Name and id of the model whose answer is being shown."""
        place = next(tap.place for tap in self.taps if tap.showing and tap.place is not None)
        return place.model.name, place.model.id

    def lose(self, number: int) -> None:
        """Notes that nothing of an attempt reached the caller, as another one's was kept."""
        if number < len(self.taps):
            self.taps[number].lost = True

    def open(self, turn_s: float | None = None) -> Tap:
        """Returns the tap of an attempt that begins now, or began when its turn came."""
        tap = Tap(self.watch, turn_s)
        self.taps.append(tap)
        return tap


class Tap:
    """What flows from one attempt to the caller, and what is seen of it on the way.

    Attributes:
        result: what the client returned; None while it works, and when the caller gave up.
        withheld: chunks that showed nothing yet.
        place: where the attempt was sent; None before the gate let it through.
        attempt: the record, once it is settled.
        lost: whether it lost a race, so that nothing of it reached the caller.
    """

    def __init__(self, watch: Watch, turn_s: float | None = None) -> None:
        self._watch = watch
        self._started_s = watch.now_s() if turn_s is None else turn_s
        self._first_token_s: float | None = None
        self._text: list[str] = []
        self._held: str | None = None
        self.result: Answer | Failure | None = None
        self.withheld: list[Chunk] = []
        self.place: Place | None = None
        self.attempt: Attempt | None = None
        self.lost = False

    @property
    def showing(self) -> bool:
        """Whether what it says goes to the caller."""
        return self._first_token_s is not None and not self.lost

    def elapsed_s(self) -> float:
        """Returns the seconds since the attempt began."""
        return round(self._watch.now_s() - self._started_s, 6)

    def held_back(self, held: Held) -> None:
        """Notes that the gate sent nothing."""
        self._held = held.reason
        self.result = Failure(kind="not_sent", message=held.message, retry_after_s=held.retry_after_s, sent=False)

    def take(self, chunk: Chunk) -> list[Chunk]:
        """Returns what may go to the caller now: nothing before the first chunk that shows something."""
        text = [choice.delta.written for choice in chunk.choices]
        self._text += text
        if self._first_token_s is not None:
            return [chunk]
        self.withheld.append(chunk)
        if not any(text):
            return []
        self._first_token_s = self.elapsed_s()
        released, self.withheld = self.withheld, []
        return released

    def seen(self) -> Seen:
        """Returns what was seen until now."""
        place = self.place
        return Seen(
            started_s=self._started_s,
            ended_s=self._watch.now_s(),
            first_token_s=self._first_token_s,
            streamed="".join(self._text),
            committed=self.showing,
            deployment=place.deployment if place is not None and place.deployment != place.model.name else None,
            key_env=place.model.key_env if place is not None else None,
            held=self._held,
            sent=place is not None,
        )


class Attempts:
    """Carries out what the machine asks for.

    Args:
        setup: what the router runs with.
        gate: what every attempt passes.
        clients: who speaks to providers.
        tracing: what names requests, and knows what goes on with them.
        treasury: where a hedge's worst case is reserved; None where there are no budgets.
    """

    def __init__(
        self, setup: Setup, gate: Gate, clients: Clients, tracing: Tracing, treasury: Treasury | None = None
    ) -> None:
        self._tracing = tracing
        self._setup = setup
        self._gate = gate
        self._clients = clients
        self._treasury = treasury
        self._schemas: dict[bytes, SchemaCheck | None] = {}

    def run(self, state: NeedCall, request: Request, flow: Flow) -> AsyncGenerator[Chunk]:
        """Returns what the attempt, and its hedge where it comes to that, show to the caller; `flow` has the rest."""
        first = self._one(state, state, request, flow)
        if state.hedge is None:
            return first
        second = self._one(state, state.hedge, request, flow)
        return raced(first, second, after_s=state.hedge.after_s, won=lambda: flow.answered, lost=flow.lose)

    def checker(self, given: Given, request: Request) -> Callable[[Answer], str | None]:
        """Returns what tells why an answer that another request got is of no use for this one."""

        def unusable_for(answer: Answer) -> str | None:
            checks = self._setup.terms[given.policy_name].checks
            try:
                schema = self._schema(request)
                found = unusable(answer, request, switches=checks.on, checks=checks.named, schema=schema)
            except Exception as error:  # noqa: BLE001 - a bug in a check must not cost the caller an answer
                return f"a check raised {type(error).__name__}"
            return found.message if found is not None else None

        return unusable_for

    async def _one(
        self, state: NeedCall, asked: NeedCall | Hedge, request: Request, flow: Flow
    ) -> AsyncGenerator[Chunk]:
        if asked is not state and asked.claim is not None:
            told = await self._reserved(asked.claim, flow, state.timeout_s)
            if told is None:
                return
            asked = replace(asked, claim=told)
        tap, course = flow.open(state.turn_s if asked is state else None), state.course
        try:
            leave = await self._gate.enter(
                asked.candidate.model,
                retry=asked is state and state.again,
                last=asked is state and state.last,
                tokens=_tokens(asked),
                wait_s=_patience_s(state, flow),
                draw=course.draw,
                avoid=course.avoid(asked.candidate),
            )
            if isinstance(leave, Held):
                tap.held_back(leave)
                return
            tap.place = leave
            left_s = state.timeout_s - flow.elapsed_s()
            if left_s <= 0.0 or (tap.elapsed_s() and left_s < least_useful_s(course.given.bounds.deadline_s)):
                tap.result = Failure(kind="not_sent", message="the deadline passed in the queue", sent=False)
                return
            call = self._call(leave, asked, request, course, left_s)
            if request.stream:
                async with aclosing(self._pieces(call, tap)) as chunks:
                    async for chunk in chunks:
                        yield chunk
            else:
                tap.result = await self._answer(call)
        finally:
            # Whatever happened, the attempt is priced and its place is free. No result: the caller gave up.
            self._settle(asked, request, course, tap)

    async def _reserved(self, claim: Claim, flow: Flow, timeout_s: float) -> Claim | None:
        """Returns the reservation of a hedge; None where there is no money for it, and nobody needs one."""
        treasury = cast("Treasury", self._treasury)  # whose budgets made the claim
        told = await treasury.reserve(claim, wait_s=max(0.0, timeout_s - flow.elapsed_s()))
        if not isinstance(told, Reserved):
            return None
        flow.claims.append(told.claim)
        return told.claim

    def _settle(self, asked: NeedCall | Hedge, request: Request, course: Course, tap: Tap) -> None:
        answer = tap.result if isinstance(tap.result, Answer) else None
        checks = self._setup.terms[course.given.policy_name].checks
        schema = self._schema(request) if answer is not None else None
        try:
            attempt = settle(asked, request, tap.result, tap.seen(), checks=checks, schema=schema)
        except Exception as error:  # noqa: BLE001 - a bug in a check must not cost the caller an answer
            warn(f"a check raised {type(error).__name__}; the answer passes those that ship with lowfare only")
            attempt = settle(asked, request, tap.result, tap.seen(), schema=schema)
        tap.attempt = attempt
        if tap.place is not None:
            # A time-out of a caller in a hurry says nothing of the model.
            unfair = attempt.outcome == "timed_out" and attempt.latency_s < _fair_s(self._setup, course)
            self._gate.leave(
                tap.place,
                "cancelled" if unfair else attempt.outcome,
                retry_after_s=attempt.retry_after_s,
                headers=answer.headers if answer is not None else None,
                tokens=attempt.usage.total_tokens if attempt.usage is not None else None,
            )

    async def _answer(self, call: Call) -> Answer | Failure:
        try:
            client = self._clients.of(call.model.client)
            if getattr(client, "keeps_time", False):
                return await client.send(call)
            async with asyncio.timeout(_most_s(call)):
                return await client.send(call)
        except RealCallRefused:
            raise
        except TimeoutError:
            return _overtime()
        except Exception as error:  # noqa: BLE001 - a bug in one client must not cost the answer of another
            return _client_fault(call, error)

    async def _pieces(self, call: Call, tap: Tap) -> AsyncGenerator[Chunk]:
        """Yields chunks from the first that shows something; its end is `tap.result`."""
        until = asyncio.get_running_loop().time() + _most_s(call)
        try:
            async with aclosing(self._clients.of(call.model.client).stream(call)) as events:
                while True:
                    async with asyncio.timeout_at(until):
                        event = await anext(events)
                    if not isinstance(event, Chunk):
                        tap.result = event
                        return
                    for chunk in tap.take(event):
                        yield chunk
        except RealCallRefused:
            raise
        except TimeoutError:
            tap.result = _overtime()
        except Exception as error:  # noqa: BLE001 - as in `_answer`
            tap.result = _client_fault(call, error)

    def _call(self, place: Place, asked: NeedCall | Hedge, request: Request, course: Course, timeout_s: float) -> Call:
        model = place.model
        return Call(
            model=model,
            request=request,
            timeouts=model.timeouts.within(timeout_s),
            key=os.environ.get(model.key_env) if model.key_env is not None else None,
            headers=self._trace_headers(model, course.given.ids, asked.span_id),
        )

    def _trace_headers(self, model: Model, ids: Ids, span_id: str) -> dict[str, str]:
        """Returns the ids for a provider; where hosts are listed, for those alone, with what the caller passes on."""
        hosts = self._setup.trace_hosts
        if not self._setup.trace_headers or (hosts is not None and not _among(_host(model), hosts)):
            return {}
        return {
            "traceparent": f"00-{ids.trace_id}-{span_id}-{ids.trace_flags:02x}",
            "X-Trace-ID": ids.trace_id,
            "X-Span-ID": span_id,
            **(self._tracing.carried(ids) if hosts is not None else {}),
        }

    def _schema(self, request: Request) -> SchemaCheck | None:
        schema = schema_of(request)
        if schema is None:
            return None
        name = orjson.dumps(schema, option=orjson.OPT_SORT_KEYS)
        # Another thread may clear them at any moment: what was looked at, or just put, need not be there any more.
        with suppress(KeyError):
            return self._schemas[name]
        check = schema_check(schema)
        if len(self._schemas) >= _SCHEMAS_MOST:
            self._schemas.clear()
        self._schemas[name] = check
        return check


def _fair_s(setup: Setup, course: Course) -> float:
    """Returns the seconds that an attempt must have had before its time-out is held against the model."""
    return min(_FAIR_S, setup.terms[course.given.policy_name].bounds.deadline_s / 2.0)


def _patience_s(state: NeedCall, flow: Flow) -> float:
    """Returns how long to queue: as long as there is time or, while others are live, as the policy prefers."""
    left_s = state.timeout_s - flow.elapsed_s()
    return left_s if state.last else min(left_s, state.course.given.prefer_wait_s)


def _tokens(asked: NeedCall | Hedge) -> int:
    candidate = asked.candidate
    return tokens_at(candidate.features, candidate.model).likely + candidate.expected_output_tokens


def _most_s(call: Call) -> float:
    return (call.timeouts.total_s or 0.0) + GUARD_S


def _overtime() -> Failure:
    return Failure(kind="timed_out", message="no end of the answer within the request's deadline")


def _client_fault(call: Call, error: Exception) -> Failure:
    if isinstance(error, ConfigError):  # raised before anything is sent: a missing extra, a wrong option
        return Failure(kind="not_sent", message=str(error), sent=False)
    kind, model = call.model.client, call.model.name
    warn(f"client {kind!r} raised {type(error).__name__} for model {model!r}; it should return a Failure")
    return Failure(kind="cut", message=f"the client raised {type(error).__name__}")


def _host(model: Model) -> str:
    """Returns the host that a model's calls go to; empty where litellm knows it alone."""
    if model.base_url is not None:
        return urlsplit(model.base_url).hostname or ""
    return next(iter(provider_named(model.provider).hosts), "")


def _among(host: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(host, pattern.lower()) for pattern in patterns)
