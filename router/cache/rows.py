"""Answers and failures as rows of JSON values, and back: every field in its fixed place, each checked for its type.

Whoever reads a row gets what was written or an exception of `MALFORMED`, never half of it: what a store holds may have
been written by anybody. `router.cache.codec` puts rows into values, and its `FORMAT` counts their changes.
"""

from __future__ import annotations

from decimal import Decimal
from math import isnan
from types import NoneType
from typing import Any, Final

from router.core.answer import Answer, Choice, ChunkChoice, Function, Message, ToolCall, Usage
from router.core.failure import FOLLOW, Failure

MALFORMED: Final = (ValueError, TypeError, ArithmeticError, RecursionError)
"""What reading raises where something is not as it was written; some of it is raised by the unpacking of rows, by
readers of JSON (`RecursionError`) and by `Decimal` (`ArithmeticError`)."""

TEXT: Final = frozenset({str, NoneType})
"""What an optional text may be."""
_INTEGER: Final = frozenset({int, NoneType})
_NUMBER: Final = frozenset({int, float})
_TEXTS: Final = frozenset({str})
_INTEGERS: Final = frozenset({int})

_COUNTS: Final = 12
"""How many fields of a usage are counts; they come first."""


def seconds_from(seconds: Any) -> float:
    """Returns seconds, which may be infinite."""
    if type(seconds) not in _NUMBER or isnan(seconds):
        raise TypeError("not seconds")
    found: float = seconds
    return found


def usd_from(amount: Any) -> Decimal:
    """Returns dollars. They must be finite: a NaN would make every sum that it enters one."""
    if type(amount) is not str:
        raise TypeError("not an amount")
    usd = Decimal(amount)
    if not usd.is_finite():
        raise ValueError("not an amount")
    return usd


def row_of_failure(failure: Failure) -> list[Any]:
    """Returns a failure as a row."""
    return [
        failure.kind,
        failure.message,
        failure.status,
        failure.code,
        failure.retry_after_s,
        failure.should_retry,
        failure.sent,
    ]


def failure_from(row: Any) -> Failure:
    """Returns the failure that a row holds."""
    kind, message, status, code, retry_after_s, should_retry, sent = row
    if kind not in FOLLOW:
        raise ValueError("not a failure")
    if (
        type(message) is not str
        or type(status) not in _INTEGER
        or type(code) not in TEXT
        or type(sent) is not bool
        or (should_retry is not None and type(should_retry) is not bool)
    ):
        raise TypeError("not a failure")
    return Failure(
        kind=kind,
        message=message,
        status=status,
        code=code,
        retry_after_s=None if retry_after_s is None else seconds_from(retry_after_s),
        should_retry=should_retry,
        sent=sent,
    )


def row_of_answer(answer: Answer) -> list[Any]:
    """Returns an answer as a row, without its headers."""
    return [
        answer.id,
        answer.model,
        None if answer.usage is None else _row_of_usage(answer.usage),
        [[c.index, c.finish_reason, c.logprobs, row_of_message(c.message)] for c in answer.choices],
    ]


def answer_from(row: Any) -> Answer:
    """Returns the answer that a row holds."""
    answer_id, model, usage, choices = row
    if type(answer_id) not in TEXT or type(model) not in TEXT or type(choices) is not list:
        raise TypeError("not an answer")
    return Answer(
        choices=tuple([_choice_from(choice) for choice in choices]),
        usage=None if usage is None else _usage_from(usage),
        id=answer_id,
        model=model,
    )


def _choice_from(row: Any) -> Choice:
    index, finish_reason, logprobs, message = row
    if type(index) is not int or type(finish_reason) not in TEXT:
        raise TypeError("not a choice")
    return Choice(index=index, message=_message_from(message), finish_reason=finish_reason, logprobs=logprobs)


def delta_from(row: Any) -> ChunkChoice:
    """Returns one choice of a chunk."""
    index, finish_reason, logprobs, delta = row
    if type(index) is not int or type(finish_reason) not in TEXT:
        raise TypeError("not a choice")
    return ChunkChoice(index=index, delta=_message_from(delta), finish_reason=finish_reason, logprobs=logprobs)


def row_of_message(message: Message) -> list[Any]:
    """Returns a message, or a delta of one, as a row."""
    calls = message.tool_calls
    return [
        message.role,
        message.content,
        None if calls is None else [_row_of_call(call) for call in calls],
        message.refusal,
        message.reasoning_content,
        dict(message.extra),
    ]


def _message_from(row: Any) -> Message:
    role, content, calls, refusal, reasoning, extra = row
    if (
        type(role) is not str
        or type(content) not in TEXT
        or type(refusal) not in TEXT
        or type(reasoning) not in TEXT
        or type(extra) is not dict
        or (calls is not None and type(calls) is not list)
    ):
        raise TypeError("not a message")
    return Message(
        role=role,
        content=content,
        tool_calls=None if calls is None else tuple([_call_from(call) for call in calls]),
        refusal=refusal,
        reasoning_content=reasoning,
        extra=extra,
    )


def _row_of_call(call: ToolCall) -> list[Any]:
    return [call.id, call.function.name, call.function.arguments, call.type, call.index, dict(call.extra)]


def _call_from(row: Any) -> ToolCall:
    call_id, name, arguments, kind, index, extra = row
    if (
        not _TEXTS.issuperset((type(call_id), type(name), type(arguments), type(kind)))
        or type(index) not in _INTEGER
        or type(extra) is not dict
    ):
        raise TypeError("not a tool call")
    return ToolCall(id=call_id, function=Function(name=name, arguments=arguments), type=kind, index=index, extra=extra)


def _row_of_usage(usage: Usage) -> list[Any]:
    return [
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_input_tokens,
        usage.cache_write_tokens,
        usage.cache_write_1h_tokens,
        usage.reasoning_tokens,
        usage.input_audio_tokens,
        usage.cached_input_audio_tokens,
        usage.output_audio_tokens,
        usage.input_image_tokens,
        usage.output_image_tokens,
        usage.search_requests,
        usage.service_tier,
        None if usage.billed_usd is None else str(usage.billed_usd),
    ]


def _usage_from(row: Any) -> Usage:
    if type(row) is not list or not _INTEGERS.issuperset(map(type, row[:_COUNTS])):
        raise TypeError("not a usage")
    read, wrote, cached, write, write_1h, thought, heard, heard_cached, spoken, seen, drawn, found, tier, billed = row
    if type(tier) not in TEXT:
        raise TypeError("not a usage")
    return Usage(
        input_tokens=read,
        output_tokens=wrote,
        cached_input_tokens=cached,
        cache_write_tokens=write,
        cache_write_1h_tokens=write_1h,
        reasoning_tokens=thought,
        input_audio_tokens=heard,
        cached_input_audio_tokens=heard_cached,
        output_audio_tokens=spoken,
        input_image_tokens=seen,
        output_image_tokens=drawn,
        search_requests=found,
        service_tier=tier,
        billed_usd=None if billed is None else usd_from(billed),
    )
