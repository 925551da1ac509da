"""Every provider that has no client of its own, by `litellm.acompletion`: Bedrock, Vertex AI and a hundred more.

litellm sends, signs and reads; this module keeps it to one attempt, gives it time-outs, and says what its answers and
exceptions mean. Its retries, fallbacks, caches and callbacks stay out (see `litellm_adapter.completion_arguments`).
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final, assert_never

from router.clients import cohere, exchange, litellm_adapter, litellm_results
from router.clients.client import Call, failure_of
from router.clients.counts import believable, count_at, table_at, text_or_none
from router.clients.http import Http
from router.clients.real import refuse_if_forbidden
from router.core.answer import Answer, Choice, Chunk, ChunkChoice, Function, Message, ToolCall, Usage
from router.core.failure import Failure

_COHERE: Final = ("cohere", "cohere_chat")

_REASONING_GUESSED: Final = frozenset({"bedrock"})
"""Providers that report no reasoning tokens: what litellm says they are is its own count of the thinking shown."""

_DETAILS: Final = ("role", "content", "tool_calls", "function_call", "refusal", "reasoning_content")


class LitellmClient:
    """Speaks to whatever litellm does; `api_base`, key, headers and options come from the model."""

    def __init__(self) -> None:
        self._http = Http()
        self._cohere = cohere.Chat()

    async def send(self, call: Call, /) -> Answer | Failure:
        """Returns the whole answer, or what went wrong."""
        if call.model.provider in _COHERE:
            return await exchange.send(self._http, self._cohere, call)
        refuse_if_forbidden(f"{call.model.provider!r} by litellm")
        await litellm_adapter.ready()
        arguments = litellm_adapter.completion_arguments(call)
        if isinstance(arguments, Failure):
            return arguments
        try:
            async with asyncio.timeout(call.timeouts.total_s):
                response = await litellm_adapter.load().acompletion(**arguments)
            body = response.model_dump()
        except Exception as error:  # noqa: BLE001 - litellm and a hundred providers' SDKs raise anything
            return failure_from(call, error)
        answer = answer_from(body, litellm_results.response_headers(response))
        return _without_guesses(call, answer)

    def stream(self, call: Call, /) -> AsyncGenerator[Chunk | Answer | Failure, None]:
        """Yields chunks as they come, then the `Answer` or a `Failure`."""
        if call.model.provider in _COHERE:
            return exchange.stream(self._http, self._cohere, call)
        return _stream(call)

    async def aclose(self) -> None:
        """Closes its connections, and those that litellm holds for this event loop."""
        await self._http.aclose()
        await litellm_results.aclose()


async def _stream(call: Call) -> AsyncGenerator[Chunk | Answer | Failure, None]:
    refuse_if_forbidden(f"{call.model.provider!r} by litellm")
    await litellm_adapter.ready()
    arguments = litellm_adapter.completion_arguments(call)
    if isinstance(arguments, Failure):
        yield arguments
        return
    loop = asyncio.get_running_loop()
    ends = None if call.timeouts.total_s is None else loop.time() + call.timeouts.total_s
    joined = Joined()
    response = None
    patience_s = call.timeouts.first_token_s
    try:
        try:
            async with asyncio.timeout_at(_sooner(loop.time(), patience_s, ends)):
                response = await litellm_adapter.load().acompletion(**arguments)
            while True:
                async with asyncio.timeout_at(_sooner(loop.time(), patience_s, ends)):
                    piece = await anext(response, None)
                if piece is None:
                    break
                chunk = joined.add(piece.model_dump())
                if chunk is not None:
                    patience_s = call.timeouts.between_tokens_s
                    yield chunk
        except Exception as error:  # noqa: BLE001 - litellm and a hundred providers' SDKs raise anything
            yield failure_from(call, error)
            return
        usage = litellm_results.reported_usage(response)
        answer = joined.answer(usage, litellm_results.response_headers(response))
        cut = Failure(kind="cut", message="the stream ended before the answer did", status=200)
        yield cut if answer is None else _without_guesses(call, answer)
    finally:
        if response is not None:
            # Whatever closing a stream raises, what came before it stands.
            with contextlib.suppress(Exception):
                await response.aclose()


def _without_guesses(call: Call, answer: Answer) -> Answer:
    if answer.usage is None or call.model.provider not in _REASONING_GUESSED:
        return answer
    return dataclasses.replace(answer, usage=dataclasses.replace(answer.usage, reasoning_tokens=0))


def _sooner(now: float, patience_s: float | None, ends: float | None) -> float | None:
    """Returns when to give up: the patience from now, or the end of the whole, whichever comes first."""
    limits = [] if patience_s is None else [now + patience_s]
    return min(limits if ends is None else [*limits, ends], default=None)


def usage_from(body: Mapping[str, Any]) -> Usage | None:
    """Returns the tokens of a `ModelResponse` as litellm read them; None where it found none.

    litellm counts cached and written tokens inside `prompt_tokens` and reasoning inside `completion_tokens`, as we do.
    """
    usage = body.get("usage")
    if not isinstance(usage, Mapping) or not (usage.get("prompt_tokens") or usage.get("completion_tokens")):
        return None
    if not believable(usage.get("prompt_tokens"), usage.get("completion_tokens")):
        return None
    prompt, completion = table_at(usage, "prompt_tokens_details"), table_at(usage, "completion_tokens_details")
    split = table_at(prompt, "cache_creation_token_details")
    written = count_at(usage, "cache_creation_input_tokens") or count_at(prompt, "cache_creation_tokens")
    written_1h = min(written, count_at(split, "ephemeral_1h_input_tokens"))
    tier = usage.get("service_tier") or body.get("service_tier")
    return Usage(
        input_tokens=count_at(usage, "prompt_tokens"),
        output_tokens=count_at(usage, "completion_tokens"),
        cached_input_tokens=count_at(prompt, "cached_tokens") or count_at(usage, "cache_read_input_tokens"),
        cache_write_tokens=written - written_1h,
        cache_write_1h_tokens=written_1h,
        reasoning_tokens=count_at(completion, "reasoning_tokens"),
        input_audio_tokens=count_at(prompt, "audio_tokens"),
        output_audio_tokens=count_at(completion, "audio_tokens"),
        input_image_tokens=count_at(prompt, "image_tokens"),
        output_image_tokens=count_at(completion, "image_tokens"),
        search_requests=count_at(table_at(usage, "server_tool_use"), "web_search_requests")
        or count_at(prompt, "web_search_requests"),
        service_tier=tier if tier in ("flex", "priority", "batch") else None,
    )


def answer_from(body: Mapping[str, Any], headers: Mapping[str, str]) -> Answer:
    """Returns a `ModelResponse` as an `Answer`.

    Args:
        body: `ModelResponse.model_dump()`.
        headers: of the provider's response, names in lower case.
    """
    return Answer(
        choices=tuple(
            Choice(
                index=count_at(choice, "index"),
                message=_message(choice.get("message") or {}),
                finish_reason=choice.get("finish_reason"),
                logprobs=choice.get("logprobs"),
            )
            for choice in body.get("choices") or []
        ),
        usage=usage_from(body),
        id=text_or_none(body.get("id")),
        model=text_or_none(body.get("model")),
        headers=headers,
    )


def _message(message: Mapping[str, Any]) -> Message:
    calls = tuple(_call(call) for call in message.get("tool_calls") or [])
    return Message(
        content=message.get("content"),
        tool_calls=calls or None,
        refusal=message.get("refusal"),
        reasoning_content=message.get("reasoning_content") or None,
        extra={k: v for k, v in message.items() if k not in _DETAILS and v},
    )


def _call(call: Mapping[str, Any]) -> ToolCall:
    function = call.get("function") or {}
    fields = call.get("provider_specific_fields")
    return ToolCall(
        id=str(call.get("id") or ""),
        function=Function(name=str(function.get("name") or ""), arguments=str(function.get("arguments") or "")),
        index=call.get("index"),
        extra={"provider_specific_fields": fields} if fields else {},
    )


class Joined:
    """Joins a stream's chunks, in OpenAI's shape, into one answer."""

    __slots__ = ("_body", "_choices", "_shown")

    def __init__(self) -> None:
        self._body: dict[str, Any] = {}
        self._choices: dict[int, dict[str, Any]] = {}
        self._shown = False

    def add(self, body: Mapping[str, Any]) -> Chunk | None:
        """Takes a chunk and returns it as ours; None for one that adds nothing a caller could see."""
        self._body |= {k: body[k] for k in ("id", "model", "service_tier") if body.get(k)}
        choices = []
        for choice in body.get("choices") or []:
            index, delta = count_at(choice, "index"), choice.get("delta") or {}
            message, finish = _message(delta), choice.get("finish_reason")
            self._keep(index, message, finish, choice.get("logprobs"))
            self._shown |= message != Message()
            # An end without anything before it is no first token: the router may still turn to another model.
            if self._shown and (finish or message != Message()):
                choices.append(
                    ChunkChoice(index=index, delta=message, finish_reason=finish, logprobs=choice.get("logprobs"))
                )
        if not choices:
            return None
        return Chunk(choices=tuple(choices), id=self._body.get("id"), model=self._body.get("model"))

    def _keep(self, index: int, message: Message, finish: str | None, logprobs: Any) -> None:
        whole = self._choices.setdefault(index, {"extra": {}, "calls": {}})
        for name in ("content", "reasoning_content", "refusal"):
            text = getattr(message, name)
            if text is not None:
                whole[name] = (whole.get(name) or "") + text
        for call in message.tool_calls or ():
            number = call.index if call.index is not None else len(whole["calls"])
            old: ToolCall | None = whole["calls"].get(number)
            whole["calls"][number] = call if old is None else _longer(old, call)
        for name, value in message.extra.items():
            kept = whole["extra"].get(name)
            whole["extra"][name] = kept + value if isinstance(kept, list) and isinstance(value, list) else value
        if finish:
            whole["finish_reason"] = finish
        if logprobs:
            whole["logprobs"] = logprobs

    def answer(self, usage: Mapping[str, Any] | None, headers: Mapping[str, str]) -> Answer | None:
        """Returns the joined answer; None where a choice never ended, so that the stream was cut."""
        wholes = sorted(self._choices.items())
        if not wholes or not all("finish_reason" in whole for _, whole in wholes):
            return None
        return Answer(
            choices=tuple(
                Choice(
                    index=index,
                    message=Message(
                        content=whole.get("content"),
                        tool_calls=tuple(call for _, call in sorted(whole["calls"].items())) or None,
                        refusal=whole.get("refusal"),
                        reasoning_content=whole.get("reasoning_content"),
                        extra=whole["extra"],
                    ),
                    finish_reason=whole["finish_reason"],
                    logprobs=whole.get("logprobs"),
                )
                for index, whole in wholes
            ),
            usage=usage_from({**self._body, "usage": usage}),
            id=text_or_none(self._body.get("id")),
            model=text_or_none(self._body.get("model")),
            headers=headers,
        )


def _longer(old: ToolCall, new: ToolCall) -> ToolCall:
    function = Function(
        name=old.function.name or new.function.name, arguments=old.function.arguments + new.function.arguments
    )
    return ToolCall(id=old.id or new.id, function=function, index=old.index, extra={**old.extra, **new.extra})


def _failed(call: Call, status: int, headers: Mapping[str, str], body: str) -> Failure:
    return failure_of(call, provider=call.model.provider, status=status, headers=headers, body=body)


def failure_from(call: Call, error: Exception) -> Failure:
    """Returns what an exception of litellm's means: by the provider's status, headers and body where there are any."""
    raised = litellm_results.raised(error)
    where = f"{type(error).__name__} for {call.model.id}"
    match raised.fate:
        case "answered":
            return _failed(call, raised.status or 500, raised.headers, raised.body)
        case "unsupported":
            return Failure(kind="unsupported", message=f"the request cannot be expressed: {where}", sent=False)
        case "not_sent":
            return Failure(kind="not_sent", message=f"no connection: {where}", sent=False)
        case "timed_out":
            return Failure(kind="timed_out", message=f"no answer in time: {where}")
        case "cut":
            return Failure(kind="cut", message=f"connection lost: {where}")
        case "other" if raised.status is not None:
            failure = _failed(call, raised.status, {}, "")
            return dataclasses.replace(failure, message=f"litellm raised {where}")
        case "other":
            return Failure(kind="server_error", message=f"litellm raised {where}")
        case _:
            assert_never(raised.fate)
