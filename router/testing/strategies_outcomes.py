"""Hypothesis strategies for what one attempt comes to: answers, failures of each class, unusable answers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final, get_args

from hypothesis import strategies as st

from router import Answer, Choice, Failure, FailureClass, Function, Message, ToolCall, Usage
from router.testing.strategies_texts import prompts, texts

_STATUSES: Final[dict[FailureClass, tuple[int | None, ...]]] = {
    "not_sent": (None,),
    "refused": (429, 503, 529),
    "out_of_quota": (429, 402),
    "too_long": (400, 413, 429),
    "no_such_model": (404, 400, 403),
    "unsupported": (400, 404, 422),
    "invalid": (400, 422),
    "denied": (401, 403, 400),
    "filtered": (400, 200),
    "server_error": (500, 502, 504, 200),
    "timed_out": (None, 408),
    "cut": (200, None),
    "unusable": (200,),
}
"""What providers answer with, the most usual first."""
_COUNTS: Final = st.sampled_from([10, 0, 1, 100_000])
_PARTS: Final = st.sampled_from([0, 1, 5])
_BILLED: Final = st.sampled_from([None, Decimal("0.001"), Decimal(0)])
_HEADERS: Final = st.sampled_from(
    [{}, {"retry-after": "1"}, {"x-ratelimit-remaining-requests": "0", "x-ratelimit-limit-requests": "60"}]
)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Draws the tokens of an answer; the parts are never more than their totals."""
    total_in, total_out = draw(_COUNTS), draw(_COUNTS)
    cached, reasoning = min(total_in, draw(_PARTS)), min(total_out, draw(_PARTS))
    written = min(total_in - cached, draw(_PARTS))
    return Usage(
        input_tokens=total_in,
        output_tokens=total_out,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=reasoning,
        search_requests=draw(st.sampled_from([0, 0, 1])),
        service_tier=draw(st.sampled_from([None, None, "flex"])),
        billed_usd=draw(_BILLED),
    )


_USAGES: Final = st.one_of(usages(), st.none())
_ARGUMENTS: Final = st.sampled_from(['{"x": 1}', "{}", '{"größe": [1, null]}'])


@st.composite
def _said(draw: st.DrawFn) -> tuple[Message, str]:
    """Draws what a model said that is of use, and why it ended."""
    match draw(st.sampled_from(["text", "text", "json", "calls", "thought"])):
        case "json":
            return Message(content='{"name": "x", "age": 1}'), "stop"
        case "calls":
            names = draw(st.lists(st.sampled_from(["look_up", "sum"]), min_size=1, max_size=2))
            calls = tuple(
                ToolCall(id=f"call_{place}", function=Function(name=name, arguments=draw(_ARGUMENTS)))
                for place, name in enumerate(names)
            )
            return Message(tool_calls=calls), "tool_calls"
        case "thought":
            return Message(content=draw(_VISIBLE), reasoning_content=draw(texts())), "stop"
        case _:
            return Message(content=draw(_VISIBLE)), draw(st.sampled_from(["stop", "length"]))


_VISIBLE: Final = prompts().filter(lambda text: bool(text.strip()))
_SAID: Final = _said()


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    """Draws an answer of use to who offered the tools `look_up` and `sum`: one choice or two, with usage or without."""
    choices = [
        Choice(index=index, message=message, finish_reason=ended)
        for index, (message, ended) in enumerate(draw(st.lists(_SAID, min_size=1, max_size=2)))
    ]
    return Answer(choices=tuple(choices), **draw(_AROUND))


_AROUND: Final[st.SearchStrategy[dict[str, Any]]] = st.fixed_dictionaries(
    {"usage": _USAGES},
    optional={"id": st.just("chatcmpl-1"), "model": st.just("small-2026-01-01"), "headers": _HEADERS},
)
_USELESS: Final = st.sampled_from(
    [
        (Message(content=""), "stop"),
        (Message(content=None), "stop"),
        (Message(content=" \n\t"), "stop"),
        (Message(content="", reasoning_content="hm"), "length"),
        (Message(content="I"), "content_filter"),
        (Message(content="half of an ans"), "error"),
        (Message(tool_calls=(ToolCall(id="a", function=Function(name="f", arguments='{"x": ')),)), "tool_calls"),
    ]
)


@st.composite
def unusable_answers(draw: st.DrawFn) -> Answer:
    """Draws an answer that is of use to nobody: empty, cut off before any text, blocked, broken."""
    choices = [
        Choice(index=index, message=message, finish_reason=ended)
        for index, (message, ended) in enumerate(draw(st.lists(_USELESS, max_size=1)))
    ]
    return Answer(choices=tuple(choices), **draw(_AROUND))


@st.composite
def failures(draw: st.DrawFn, kinds: tuple[FailureClass, ...] = get_args(FailureClass)) -> Failure:
    """Draws a failure, with a status that goes with its class.

    Args:
        kinds: the classes to draw from.
    """
    kind = draw(st.sampled_from(kinds))
    return Failure(
        kind=kind,
        message=draw(st.sampled_from(["it failed", "", "überlastet"])),
        status=draw(st.sampled_from(_STATUSES[kind])),
        code=draw(st.sampled_from([None, "overloaded_error"])),
        retry_after_s=draw(st.sampled_from([None, 0.5, 30.0])) if kind == "refused" else None,
        should_retry=draw(st.sampled_from([None, True, False])),
        sent=kind != "not_sent",
    )


_OUTCOMES: Final = st.one_of(answers(), failures(), unusable_answers())


def outcomes() -> st.SearchStrategy[Answer | Failure]:
    """Returns a strategy of what a client returns for one attempt: an answer, a failure, or an unusable answer."""
    return _OUTCOMES
