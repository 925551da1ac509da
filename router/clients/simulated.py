"""A provider that is made up: no network, no key, and the same answer to the same request every time.

What it does is drawn from the seed and the request's content, so a demonstration, a test and a benchmark run alike
everywhere. Each answer says that it is simulated. A model's options say how it behaves:

| option | meaning | default |
| --- | --- | --- |
| `seed` | changes every draw | 0 |
| `script` | outcomes of its attempts in order; the last one is repeated | `["ok"]` |
| `failure_shares` | outcome -> share of attempts, drawn by the seed; what is left is "ok" | none |
| `latency_s` | until the first token | 0 |
| `tokens_per_s` | how fast tokens follow | at once |
| `output_tokens` | how many an answer has | 20 to 120, drawn |
| `text` | the answer | made up |

An outcome is "ok", a failure class ("server_error", "refused", ...), "empty" (an answer without text), "length" (an
answer cut off at half its length), or "broken_json" (half of what a schema asks). A "cut" stream breaks after half its
chunks.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, get_args

import orjson

from router.clients.client import Call
from router.clients.instance import instance_of
from router.core.answer import Answer, Choice, Chunk, ChunkChoice, Function, Message, ToolCall, Usage
from router.core.catalog import Model
from router.core.failure import Failure, FailureClass
from router.core.features import features_of
from router.core.key import canonical
from router.core.request import Features, Request
from router.core.tokens import estimate_tokens
from router.errors import ConfigError

Sleep = Callable[[float], Awaitable[None]]

STATUS: Final[Mapping[str, int | None]] = {
    "not_sent": None,
    "refused": 429,
    "out_of_quota": 402,
    "too_long": 400,
    "no_such_model": 404,
    "unsupported": 400,
    "invalid": 400,
    "denied": 401,
    "filtered": 400,
    "server_error": 500,
    "timed_out": None,
    "cut": 200,
}
"""The HTTP status that a failure usually comes with; "unusable" is an answer."""
_SHAPES: Final = frozenset({"ok", "empty", "length", "broken_json", "unusable"})
OUTCOMES: Final = _SHAPES | frozenset(get_args(FailureClass))
_OPTIONS: Final = frozenset({"seed", "script", "failure_shares", "latency_s", "tokens_per_s", "output_tokens", "text"})
_WORDS: Final = (
    "the model would weigh each point here and then say which one it takes to be the best for this case with a short "
    "reason a caveat and an example that makes it plain to whoever asked"
).split()
_CHUNK_WORDS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What one attempt will come to; `cut_s` is how long it takes until it breaks off."""

    result: Answer | Failure
    latency_s: float
    tokens_per_s: float | None


class SimulatedClient:
    """A `Client` whose provider is made up.

    Args:
        sleep: how to wait; a virtual clock's `sleep` makes latencies take no time.
    """

    asks_nobody: ClassVar[bool] = True

    def __init__(self, *, sleep: Sleep = asyncio.sleep) -> None:
        self._sleep = sleep
        self._attempts: Counter[str] = Counter()

    async def send(self, call: Call, /) -> Answer | Failure:
        """Returns the whole answer, or the failure that the model's options ask for.

        Raises:
            ConfigError: an option of the model is wrong.
        """
        plan = self._plan(call)
        duration_s = plan.latency_s
        if isinstance(plan.result, Answer) and plan.result.usage is not None and plan.tokens_per_s:
            duration_s += plan.result.usage.output_tokens / plan.tokens_per_s
        return await self._wait(duration_s, call.timeouts.total_s) or plan.result

    async def stream(self, call: Call, /) -> AsyncGenerator[Chunk | Answer | Failure]:
        """Yields a few words at a time, then the answer or the failure.

        Raises:
            ConfigError: an option of the model is wrong.
        """
        plan = self._plan(call)
        limits = [limit for limit in (call.timeouts.first_token_s, call.timeouts.total_s) if limit is not None]
        late = await self._wait(plan.latency_s, min(limits, default=None))
        if late is not None:
            yield late
            return
        whole = plan.result
        cut = isinstance(whole, Failure) and whole.kind == "cut"
        if cut:
            whole = _answered(call, _draw(call, 0), "ok")
        if isinstance(whole, Answer):
            chunks = list(_chunks(whole))
            pause_s = _CHUNK_WORDS / plan.tokens_per_s if plan.tokens_per_s else 0.0
            for chunk in chunks[: len(chunks) // 2] if cut else chunks:
                yield chunk
                if pause_s:
                    await self._sleep(pause_s)
        yield plan.result

    async def aclose(self) -> None:
        """Has nothing to close."""

    async def _wait(self, seconds: float, limit_s: float | None) -> Failure | None:
        """Waits; returns a failure where that takes longer than is allowed."""
        if limit_s is not None and seconds > limit_s:
            await self._sleep(limit_s)
            return _failure("timed_out")
        if seconds:
            await self._sleep(seconds)
        return None

    def _plan(self, call: Call) -> _Plan:
        options = call.model.options
        if unknown := sorted(set(options) - _OPTIONS):
            raise ConfigError(_wrong(call.model, unknown[0], "unknown", f"{', '.join(sorted(_OPTIONS))} are allowed"))
        attempt = self._attempts[call.model.name]
        self._attempts[call.model.name] += 1
        draw = _draw(call, attempt)
        outcome = _outcome(call.model, attempt, draw)
        latency_s, tokens_per_s = _positive(call.model, "latency_s"), _positive(call.model, "tokens_per_s")
        result = _answered(call, _draw(call, 0), outcome) if outcome in _SHAPES else _failure(outcome)
        return _Plan(result=result, latency_s=latency_s or 0.0, tokens_per_s=tokens_per_s)


def _draw(call: Call, attempt: int) -> random.Random:
    """Returns what all chance of an attempt comes from: the seed, the model, the request, and the attempt's number."""
    seed = f"{call.model.options.get('seed', 0)}\n{call.model.name}\n{attempt}\n".encode()
    return random.Random(hashlib.sha256(seed + canonical(call.request, "")).digest())  # noqa: S311 - no secret


def _outcome(model: Model, attempt: int, draw: random.Random) -> str:
    script, shares = model.options.get("script"), model.options.get("failure_shares")
    outcome = "ok"
    if script is not None:
        if not isinstance(script, (list, tuple)) or not script:
            raise ConfigError(_wrong(model, "script", repr(script), "a list of outcomes is allowed"))
        outcome = script[min(attempt, len(script) - 1)]
    elif shares is not None:
        if not isinstance(shares, Mapping) or not all(isinstance(share, (int, float)) for share in shares.values()):
            raise ConfigError(_wrong(model, "failure_shares", repr(shares), "outcome -> share is allowed"))
        at = draw.random()
        for name, share in shares.items():
            at -= share
            if at < 0:
                outcome = name
                break
    if outcome not in OUTCOMES:
        raise ConfigError(_wrong(model, "outcome", repr(outcome), f"{', '.join(sorted(OUTCOMES))} are allowed"))
    return outcome


def _positive(model: Model, name: str) -> float | None:
    value = model.options.get(name)
    if value is None:
        return None
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not value >= 0:
        raise ConfigError(_wrong(model, name, repr(value), "a number of at least 0 is allowed"))
    return float(value)


def _wrong(model: Model, option: str, found: str, allowed: str) -> str:
    return f"simulated model {model.name!r}: option {option!r}: {found}; {allowed}"


def _failure(kind: Any) -> Failure:
    return Failure(
        kind=kind,
        message=f"simulated: {kind}",
        status=STATUS[kind],
        code="simulated",
        sent=kind != "not_sent",
    )


def _answered(call: Call, draw: random.Random, outcome: str) -> Answer | Failure:
    request, model = call.request, call.model
    features = features_of(request)
    window = model.context_window_tokens
    if window is not None and features.input_tokens.likely > window:
        return _failure("too_long")
    most = _output_most(model, features)
    made = [_choice(request, model, draw, outcome, i, most) for i in range(features.choices)]
    written = sum(tokens for _, tokens in made)
    thought = draw.randint(50, 400) if "reasoning" in features.needs else 0
    return Answer(
        choices=tuple(choice for choice, _ in made),
        usage=Usage(
            input_tokens=features.input_tokens.likely, output_tokens=written + thought, reasoning_tokens=thought
        ),
        id=f"simulated-{draw.getrandbits(64):016x}",
        model=model.provider_model,
    )


def _output_most(model: Model, features: Features) -> int | None:
    limits = (features.output_tokens_most, model.max_output_tokens)
    return min((limit for limit in limits if limit is not None), default=None)


def _choice(
    request: Request, model: Model, draw: random.Random, outcome: str, index: int, most: int | None
) -> tuple[Choice, int]:
    """Returns one choice and its tokens."""
    message, finish = _message(request, model, draw, index)
    if outcome in ("empty", "unusable"):
        message, finish = Message(content=""), "stop"
    elif outcome == "broken_json":
        message = replace(message, content=(message.content or "")[: len(message.content or "") // 2])
    elif message.content is not None:
        text = message.content
        tokens = estimate_tokens(text).likely
        if outcome == "length":
            message, finish = replace(message, content=text[: len(text) // 2]), "length"
        elif most is not None and tokens > most:
            message, finish = replace(message, content=text[: len(text) * most // tokens]), "length"
    return Choice(index=index, message=message, finish_reason=finish), _tokens(message)


def _tokens(message: Message) -> int:
    text = message.content or ""
    calls = "".join(call.function.name + call.function.arguments for call in message.tool_calls or ())
    return estimate_tokens(text + calls).likely


def _message(request: Request, model: Model, draw: random.Random, index: int) -> tuple[Message, str]:
    if (function := _demanded(request)) is not None:
        arguments = orjson.dumps(instance_of(function.get("parameters") or {"type": "object"})).decode()
        call = ToolCall(
            id=f"call_{draw.getrandbits(64):016x}", function=Function(name=function["name"], arguments=arguments)
        )
        return Message(tool_calls=(call,)), "tool_calls"
    match request.params.get("response_format"):
        case {"type": "json_schema", "json_schema": {"schema": schema}}:
            return Message(content=orjson.dumps(instance_of(schema)).decode()), "stop"
        case {"type": "json_object"}:
            return Message(content=orjson.dumps({"simulated": True, "model": model.name}).decode()), "stop"
        case _:
            return Message(content=_text(model, draw, index)), "stop"


def _demanded(request: Request) -> Mapping[str, Any] | None:
    """Returns the function that `tool_choice` leaves no choice but to call."""
    tools = request.params.get("tools") or ()
    functions: list[Mapping[str, Any]] = [tool["function"] for tool in tools if tool.get("type") == "function"]
    match request.params.get("tool_choice"):
        case "required" | "any" if functions:
            return functions[0]
        case {"function": {"name": name}}:
            return next((function for function in functions if function["name"] == name), None)
        case _:
            return None


def _text(model: Model, draw: random.Random, index: int) -> str:
    if isinstance(text := model.options.get("text"), str):
        return text
    number = model.options.get("output_tokens")
    words = (number if isinstance(number, int) else draw.randint(20, 120)) * 4 // 5
    start = f"[simulated answer{f' {index + 1}' if index else ''} of {model.name}]"
    return " ".join([start, *draw.choices(_WORDS, k=max(1, words - 8))]) + "."


def _chunks(whole: Answer) -> Iterator[Chunk]:
    for choice in whole.choices:
        message = choice.message
        words = message.content.split(" ") if message.content else []
        for i in range(0, len(words), _CHUNK_WORDS):
            last = i + _CHUNK_WORDS >= len(words)
            text = " ".join(words[i : i + _CHUNK_WORDS]) + ("" if last else " ")
            yield _chunk(whole, choice.index, Message(content=text))
        calls = tuple(replace(call, index=i) for i, call in enumerate(message.tool_calls or ()))
        yield _chunk(whole, choice.index, Message(tool_calls=calls or None), choice.finish_reason)


def _chunk(whole: Answer, index: int, delta: Message, finish: str | None = None) -> Chunk:
    choice = ChunkChoice(index=index, delta=delta, finish_reason=finish)
    return Chunk(choices=(choice,), id=whole.id, model=whole.model)
