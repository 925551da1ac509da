"""Providers that do what a scenario says, and keep their own truthful books.

The client under a router sees what a real provider would show; the books hold what it would really bill. So a report
can hold the record that lowfare keeps against the truth, instead of against itself.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Final, Literal

from router.clients.client import Call
from router.clock import Clock
from router.core.answer import Answer, Choice, Chunk, ChunkChoice, Message, Usage
from router.core.classify import classify
from router.core.cost import cost_usd
from router.core.failure import Failure
from router.testing.traffic import Arrival
from router.testing.troubles import Behaviour, Kind, RetryAfter, Trouble

Fate = Literal["answer", "limit"] | Kind
"""What a call comes to: a trouble, 429 of a true limit ("limit"), or an answer."""

TRACE_HEADER: Final = "X-Trace-ID"
_PIECES: Final = 6
"""Pieces of a streamed answer: enough to break it anywhere, few enough to be quick."""
_QUICK_S: Final = 0.05
"""How long a provider takes to refuse, or to fail before it has done anything."""
_EMPTY_TOKENS: Final = 8
"""Billed for an answer without text: the model wrote something that nobody may see."""
_FAULT: Final = ("server_error", "An error occurred while processing your request")
_SAID: Final = {
    401: ("invalid_api_key", "Incorrect API key provided"),
    402: ("insufficient_quota", "You exceeded your current quota, please check your plan and billing details"),
    403: ("permission_denied", "Your key has no permission to use this"),
}
"""Type and words of the errors whose status is no server's fault."""
_GARBAGE: Final = ("soon", "-5", "NaN", "", "1e400", "Thu, 99 Foo 2026")
_WORD: Final = "word "
"""One token in the tokenizers in use, so that texts have as many tokens as the books say."""
_TEXT: Final = _WORD * 4096


@dataclass(slots=True, kw_only=True)
class Entry:
    """One call in a provider's books.

    Attributes:
        region: of the deployment that was called, where it has one.
        fate: what it came to.
        state: "open" while it is under way, "gone" when the client left before its end.
        billed_usd: what the provider really bills for it.
        useful: whether the client was given a whole answer, or was reading one when its caller left.
    """

    trace_id: str
    model: str
    region: str | None = None
    started_s: float
    fate: Fate
    state: Literal["open", "done", "gone"] = "open"
    output_tokens: int = 0
    billed_usd: Decimal = Decimal(0)
    useful: bool = False


@dataclass(slots=True)
class _Bucket:
    """A token bucket: `per_s` flow in, up to `room`."""

    per_s: float
    room: float
    level: float
    at_s: float = 0.0

    @classmethod
    def of(cls, per_minute: float, burst_s: float) -> _Bucket:
        room = max(1.0, per_minute / 60 * burst_s)
        return cls(per_minute / 60, room, room)

    def wait_s(self, amount: float, now_s: float) -> float:
        """Returns how long until there is room for `amount`; 0 when there is now."""
        self.level = min(self.room, self.level + (now_s - self.at_s) * self.per_s)
        self.at_s = now_s
        return max(0.0, (min(amount, self.room) - self.level) / self.per_s)

    def take(self, amount: float) -> None:
        self.level -= min(amount, self.room)


@dataclass(slots=True)
class _Model:
    """A model's behaviour, its troubles and its limits."""

    name: str
    behaviour: Behaviour
    troubles: tuple[Trouble, ...]
    requests: _Bucket | None
    tokens: _Bucket | None

    def wait_s(self, input_tokens: int, now_s: float) -> float:
        """Returns how long until the limits let a request pass; 0 when they do now, and then counts it."""
        limits = [(b, n) for b, n in ((self.requests, 1.0), (self.tokens, float(input_tokens))) if b is not None]
        wait_s = max((bucket.wait_s(amount, now_s) for bucket, amount in limits), default=0.0)
        if not wait_s:
            for bucket, amount in limits:
                bucket.take(amount)
        return wait_s


@dataclass(frozen=True, slots=True)
class _Plan:
    """What one call will come to."""

    entry: Entry
    fate: Fate
    trouble: Trouble | None
    wait_s: float
    latency_s: float
    tokens_per_s: float
    usage: Usage

    @property
    def writing_s(self) -> float:
        return self.usage.output_tokens / self.tokens_per_s


@dataclass(slots=True)
class ScriptedProvider:
    """A `router.clients.client.Client` for every model of a scenario.

    Args:
        clock: of the world.
        arrivals: the requests by trace id, which tell what they truly ask for.
        behaviours: by model name; one without an entry has the defaults.
        troubles: what befalls the models.
        seed: of every draw.
    """

    clock: Clock
    arrivals: Mapping[str, Arrival]
    behaviours: Mapping[str, Behaviour] = field(default_factory=dict)
    troubles: tuple[Trouble, ...] = ()
    seed: int = 0
    entries: list[Entry] = field(default_factory=list)
    """Every call, in the order of their start."""
    _models: dict[str, _Model] = field(default_factory=dict)
    _chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._chance = random.Random(f"providers {self.seed}")  # noqa: S311 - a seeded draw, no secret

    async def send(self, call: Call, /) -> Answer | Failure:
        """Returns what the scenario has for this call."""
        plan = self._plan(call)
        try:
            return await self._whole(call, plan)
        finally:
            _leave(call, plan)

    async def stream(self, call: Call, /) -> AsyncGenerator[Chunk | Answer | Failure]:
        """Yields what the scenario has for this call."""
        plan = self._plan(call)
        try:
            if plan.fate not in ("answer", "slow", "cut"):
                yield await self._whole(call, plan)
                return
            async with aclosing(self._pieces(call, plan)) as pieces:
                async for event in pieces:
                    yield event
        finally:
            _leave(call, plan)

    def befall(self, troubles: tuple[Trouble, ...], /) -> None:
        """Replaces the troubles from now on; limits keep their level."""
        self.troubles = troubles
        for name, model in self._models.items():
            model.troubles = _befalling(troubles, name)

    async def aclose(self) -> None:
        """Has nothing to close."""

    async def _whole(self, call: Call, plan: _Plan) -> Answer | Failure:
        takes_s = plan.latency_s + plan.writing_s
        trouble, fate = plan.trouble, plan.fate
        match fate:
            case "unreachable" | "refuse" | "limit":
                takes_s = _QUICK_S
            case "error" if trouble is not None and not trouble.billed:
                takes_s = _QUICK_S
            case "cut":
                takes_s *= self._chance.random()
            case "hang":
                takes_s = math.inf
        billed = _billed(plan)
        limit_s = call.timeouts.total_s
        if limit_s is not None and takes_s > limit_s:
            await asyncio.sleep(limit_s)
            # Who hung up does not stop a model that is at work on a whole answer.
            return _close(call, plan, billed, Failure(kind="timed_out", message="no answer within the time-out"))
        await asyncio.sleep(takes_s)
        return _close(call, plan, billed, self._said(call, plan))

    async def _pieces(self, call: Call, plan: _Plan) -> AsyncGenerator[Chunk | Answer | Failure]:
        """Yields an answer piece by piece, to its end or to where it breaks."""
        usage, entry, timeouts = plan.usage, plan.entry, call.timeouts
        left_s = math.inf if timeouts.total_s is None else timeouts.total_s
        first_s = math.inf if timeouts.first_token_s is None else timeouts.first_token_s
        between_s = math.inf if timeouts.between_tokens_s is None else timeouts.between_tokens_s
        pieces = min(_PIECES, usage.output_tokens)
        breaks = self._chance.randrange(pieces) if plan.fate == "cut" else pieces
        pause_s, allowed_s = plan.latency_s, min(first_s, left_s)
        for number in range(pieces):
            tokens = usage.output_tokens * (number + 1) // pieces - usage.output_tokens * number // pieces
            pause_s += tokens / plan.tokens_per_s
            if number == breaks:
                yield _close(call, plan, entry.output_tokens, Failure(kind="cut", message="broken", status=200))
                return
            if pause_s > allowed_s:
                await asyncio.sleep(allowed_s)
                late = Failure(kind="timed_out", message="no piece within the time-out")
                yield _close(call, plan, entry.output_tokens + tokens, late)
                return
            await asyncio.sleep(pause_s)
            left_s -= pause_s
            entry.output_tokens += tokens
            pause_s, allowed_s = 0.0, min(between_s, left_s)
            yield Chunk(choices=(ChunkChoice(delta=Message(content=_words(tokens))),))
        yield _close(call, plan, usage.output_tokens, _answer(call, usage, _words(usage.output_tokens)))

    def _said(self, call: Call, plan: _Plan) -> Answer | Failure:
        """Returns what the provider says in the end."""
        match plan.fate:
            case "unreachable":
                return Failure(kind="not_sent", message="connection refused", sent=False)
            case "refuse" | "limit":
                return self._failed(call, 429, "rate_limit_error", "Too many requests", self._retry_after(plan))
            case "error" if plan.trouble is not None:
                return self._failed(call, plan.trouble.status, *_SAID.get(plan.trouble.status, _FAULT), {})
            case "error_in_answer":
                return self._failed(call, 200, *_FAULT, {})
            case "cut":
                return Failure(kind="cut", message="the connection broke", status=200)
            case "empty":
                return _answer(call, plan.usage, "")
            case _:
                return _answer(call, plan.usage, _words(plan.usage.output_tokens))

    def _failed(self, call: Call, status: int, kind: str, message: str, headers: Mapping[str, str]) -> Failure:
        body = f'{{"error": {{"type": "{kind}", "code": "{kind}", "message": "{message}"}}}}'
        return classify(provider=call.model.provider, status=status, headers=headers, body=body, now=self.clock.now())

    def _retry_after(self, plan: _Plan) -> Mapping[str, str]:
        style: RetryAfter = plan.trouble.retry_after if plan.trouble is not None else "honest"
        if plan.fate == "limit":
            style = self._models[plan.entry.model].behaviour.retry_after
        wait_s = min(plan.wait_s, 86_400.0)
        match style:
            case "honest":
                return {"retry-after": str(math.ceil(wait_s))}
            case "too_short":
                return {"retry-after-ms": str(round(wait_s * 100))}
            case "too_long":
                return {"retry-after": str(math.ceil(wait_s * 20 + 30))}
            case "garbage":
                return {"retry-after": self._chance.choice(_GARBAGE)}
            case _:
                return {}

    def _plan(self, call: Call) -> _Plan:
        now_s, chance, name = self.clock.monotonic(), self._chance, call.model.name
        model = self._models.get(name)
        if model is None:
            model = self._models[name] = self._model(name)
        arrival = self.arrivals[call.headers[TRACE_HEADER]]
        region = call.model.region
        fate, trouble, wait_s = _fate(model, region, now_s, arrival, chance)
        factor = trouble.factor if trouble is not None and fate == "slow" else 1.0
        entry = Entry(trace_id=arrival.trace_id, model=name, region=region, started_s=now_s, fate=fate)
        self.entries.append(entry)
        return _Plan(
            entry=entry,
            fate=fate,
            trouble=trouble,
            wait_s=wait_s,
            latency_s=model.behaviour.latency_s.draw(chance) * factor,
            tokens_per_s=max(0.1, model.behaviour.tokens_per_s.draw(chance)) / factor,
            usage=Usage(input_tokens=arrival.input_tokens, output_tokens=_written(call, arrival, fate)),
        )

    def _model(self, name: str) -> _Model:
        behaviour = self.behaviours.get(name, Behaviour())
        limits = (behaviour.requests_per_minute, behaviour.tokens_per_minute)
        return _Model(
            name,
            behaviour,
            _befalling(self.troubles, name),
            *(None if limit is None else _Bucket.of(limit, behaviour.burst_s) for limit in limits),
        )


def _befalling(troubles: Iterable[Trouble], model: str) -> tuple[Trouble, ...]:
    return tuple(t for t in troubles if t.kind != "clock_jump" and fnmatchcase(model, t.model))


def _fate(
    model: _Model, region: str | None, now_s: float, arrival: Arrival, chance: random.Random
) -> tuple[Fate, Trouble | None, float]:
    """Returns what a call comes to, by which trouble, and how long that truly goes on."""
    draw = chance.random()
    for trouble in model.troubles:
        left_s = trouble.left_s(now_s)
        if left_s is None or not trouble.befalls(model.name, region):
            continue
        if draw < trouble.share:
            return trouble.kind, trouble, left_s
        draw -= trouble.share
    wait_s = model.wait_s(arrival.input_tokens, now_s)
    return ("limit", None, wait_s) if wait_s else ("answer", None, 0.0)


def _written(call: Call, arrival: Arrival, fate: Fate) -> int:
    wanted = _EMPTY_TOKENS if fate == "empty" else arrival.output_tokens
    params = call.request.params
    limits: Iterable[int | None] = (
        params.get("max_tokens"),
        params.get("max_completion_tokens"),
        call.model.max_output_tokens,
    )
    return min([wanted, *(n for n in limits if n is not None)])


def _billed(plan: _Plan) -> int | None:
    """Returns the output tokens that are billed for a call that comes to its end; None where nothing is billed."""
    match plan.fate:
        case "unreachable" | "refuse" | "limit":
            return None
        case "error":
            return plan.usage.output_tokens if plan.trouble is not None and plan.trouble.billed else None
        case "error_in_answer":
            return 0
        case _:
            return plan.usage.output_tokens


def _close(call: Call, plan: _Plan, output_tokens: int | None, result: Answer | Failure) -> Answer | Failure:
    """Books the end of a call; returns its result."""
    entry = plan.entry
    entry.state = "done"
    entry.useful = isinstance(result, Answer) and plan.fate != "empty"
    _bill(call, plan, output_tokens)
    return result


def _leave(call: Call, plan: _Plan) -> None:
    """Books a call that its client left before the end: a stream as far as it was written, an answer in full."""
    entry = plan.entry
    if entry.state == "open":
        entry.state = "gone"
        entry.useful = entry.output_tokens > 0
        billed = _billed(plan)
        _bill(call, plan, entry.output_tokens if call.request.stream and billed is not None else billed)


def _bill(call: Call, plan: _Plan, output_tokens: int | None) -> None:
    price = call.model.price
    if output_tokens is None or price is None:
        return
    plan.entry.output_tokens = output_tokens
    usage = Usage(input_tokens=plan.usage.input_tokens, output_tokens=output_tokens)
    plan.entry.billed_usd = cost_usd(usage, price) or Decimal(0)


def _answer(call: Call, usage: Usage, text: str) -> Answer:
    choice = Choice(message=Message(content=text), finish_reason="stop")
    return Answer(choices=(choice,), usage=usage, model=call.model.provider_model)


def _words(tokens: int) -> str:
    return _TEXT[: len(_WORD) * tokens] if tokens <= len(_TEXT) // len(_WORD) else _WORD * tokens
