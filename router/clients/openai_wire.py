"""Answers of OpenAI-compatible hosts -> `Answer`. Pure.

Lenient on purpose: a field of an unexpected type is passed over, never an exception, since each host has its own idea
of the protocol and an answer that was paid for must not be lost to a stray null.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import orjson

from router.clients.counts import text_or_none
from router.clients.nesting import too_deep
from router.clients.openai_usage import usage_from
from router.core.answer import Answer, Choice, Function, Message, ToolCall

_FINISH: Final[Mapping[str, str]] = MappingProxyType(
    {
        # Together, Anthropic and Gemini behind gateways, Mistral, DeepSeek, Z.ai.
        "eos": "stop",
        "eos_token": "stop",
        "end_turn": "stop",
        "stop_sequence": "stop",
        "max_tokens": "length",
        "model_length": "length",
        "model_context_window_exceeded": "length",
        "tool_use": "tool_calls",
        "tool_call": "tool_calls",
        "safety": "content_filter",
        "sensitive": "content_filter",
        "recitation": "content_filter",
        "insufficient_system_resource": "error",
        "network_error": "error",
        "abort": "error",
    }
)
"""Words for the end of an answer that differ from OpenAI's."""

_PLACED: Final = frozenset(
    {"role", "content", "tool_calls", "refusal", "reasoning_content", "reasoning", "provider_metadata", "token_id"}
)
"""Fields of a message that have a place of their own in `Message`, or that tell of the host rather than the answer."""

_BESIDE: Final = ("citations", "search_results", "images", "related_questions")
"""What Perplexity puts beside the choices; it goes with the first message."""

_LONE_SURROGATE: Final = re.compile(
    r"(?<!\\)((?:\\\\)*)(?:\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|"
    r"(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2})"
)


def json_of(data: bytes | str) -> Any:
    """Returns parsed JSON, also with what orjson rightly refuses and hosts send: halves of an emoji, NaN, Infinity.

    Raises:
        ValueError: it is not JSON even so, or nested too deeply.
    """
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
        try:
            value = json.loads(_LONE_SURROGATE.sub(r"\1\\ufffd", text))
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
    if too_deep(value, data):
        raise ValueError("nested too deeply")
    return value


def answer_from(body: Mapping[str, Any], provider: str, headers: Mapping[str, str] = MappingProxyType({})) -> Answer:
    """Returns the answer that a whole response body holds.

    Args:
        body: parsed, without an error in it.
        provider: as in a model's id.
        headers: of the response, names in lower case.
    """
    beside = beside_of(body)
    choices = [
        _choice(choice, position, {} if position else beside)
        for position, choice in enumerate(listed(body.get("choices")))
        if isinstance(choice, Mapping)
    ]
    return Answer(
        choices=tuple(choices),
        usage=usage_from(body, provider),
        id=text_or_none(body.get("id")),
        model=text_or_none(body.get("model")),
        headers=headers,
    )


def _choice(choice: Mapping[str, Any], position: int, beside: Mapping[str, Any]) -> Choice:
    index = choice.get("index")
    message = choice.get("message")
    if not isinstance(message, Mapping):
        message = {"content": choice.get("text")}  # a server of plain completions
    return Choice(
        index=index if isinstance(index, int) else position,
        message=message_from({**beside, **message}),
        finish_reason=finish_from(choice.get("finish_reason")),
        logprobs=choice.get("logprobs"),
    )


def finish_from(word: object) -> str | None:
    """Returns why an answer ended, in OpenAI's words where there is one."""
    if not isinstance(word, str) or not word:
        return None
    return _FINISH.get(word.lower(), word)


def message_from(message: Mapping[str, Any]) -> Message:
    """Returns a whole message."""
    content, thinking = texts_of(message.get("content"))
    calls = [tool_call_from(call) for call in listed(message.get("tool_calls")) if isinstance(call, Mapping)]
    return Message(
        content=content,
        tool_calls=tuple(calls) or None,
        refusal=text_or_none(message.get("refusal")),
        reasoning_content=reasoning_of(message) or thinking,
        extra=extra_of(message),
    )


def texts_of(content: object) -> tuple[str | None, str | None]:
    """Returns the text and the thinking of a content, which Mistral sends as a list of parts."""
    if isinstance(content, str):
        return content, None
    if not isinstance(content, list):
        return None, None
    texts: list[str] = []
    thoughts: list[str] = []
    for part in content:
        match part:
            case str():
                texts.append(part)
            case {"type": "thinking", "thinking": str(text)}:
                thoughts.append(text)
            case {"type": "thinking", "thinking": list(pieces)}:
                thoughts.extend(text for piece in pieces if (text := _part_text(piece)))
            case _:
                texts.append(_part_text(part))
    return "".join(texts), "".join(thoughts) or None


def _part_text(part: object) -> str:
    return text if isinstance(part, Mapping) and isinstance(text := part.get("text"), str) else ""


def reasoning_of(message: Mapping[str, Any]) -> str | None:
    """Returns the reasoning a host shows, under whichever of the names in use."""
    for name in ("reasoning_content", "reasoning"):
        if isinstance(text := message.get(name), str) and text:
            return text
    details = [d for d in listed(message.get("reasoning_details")) if isinstance(d, Mapping)]
    texts = (d.get("text") or d.get("summary") for d in details)
    return "".join(text for text in texts if isinstance(text, str)) or None


def tool_call_from(call: Mapping[str, Any]) -> ToolCall:
    """Returns one whole tool call; of a custom tool, its free text stands as the arguments."""
    custom = call.get("custom")
    if call.get("type") == "custom" and isinstance(custom, Mapping):
        function, kind = (
            Function(name=str(custom.get("name") or ""), arguments=str(custom.get("input") or "")),
            "custom",
        )
    else:
        said = call.get("function")
        said = said if isinstance(said, Mapping) else {}
        function = Function(name=str(said.get("name") or ""), arguments=arguments_of(said.get("arguments")))
        kind = "function"
    return ToolCall(id=str(call.get("id") or ""), function=function, type=kind, extra=call_extra_of(call))


def call_extra_of(call: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what must go back with a tool call: Google's thought signature, by its OpenAI-compatible endpoint."""
    return {name: value for name in ("extra_content",) if (value := call.get(name))}


def arguments_of(arguments: object) -> str:
    """Returns a call's arguments as JSON text, also where a host sends them parsed."""
    if isinstance(arguments, str):
        return arguments
    return "" if arguments is None else orjson.dumps(arguments).decode()


def extra_of(message: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a message's other fields, without the empty ones."""
    return {name: value for name, value in message.items() if name not in _PLACED and value not in (None, [], {}, "")}


def beside_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a host says about the answer beside its choices: citations, search results."""
    return {name: value for name in _BESIDE if (value := body.get(name))}


def listed(value: object) -> list[Any]:
    """Returns a list as it is, and anything else as an empty one."""
    return value if isinstance(value, list) else []
