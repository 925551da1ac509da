"""Prompts and answers in the form of the GenAI conventions: messages made of parts, as JSON text.

Only where `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` asks for it, and after the redactors of the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

import orjson

Capture = Literal["NO_CONTENT", "SPAN_ONLY", "EVENT_ONLY", "SPAN_AND_EVENT"]

SWITCH: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
EVENT: Final = "gen_ai.client.inference.operation.details"
_KNOWN: Final[Mapping[str, Capture]] = {
    "": "NO_CONTENT",
    "FALSE": "NO_CONTENT",
    "NO_CONTENT": "NO_CONTENT",
    "TRUE": "SPAN_ONLY",  # as it was written before there were four values
    "SPAN_ONLY": "SPAN_ONLY",
    "EVENT_ONLY": "EVENT_ONLY",
    "SPAN_AND_EVENT": "SPAN_AND_EVENT",
}


def capture_of(environ: Mapping[str, str], /) -> Capture:
    """Returns what of prompts and answers goes out.

    Raises:
        ValueError: the switch has a value that nobody knows.
    """
    found = environ.get(SWITCH, "").strip()
    known = _KNOWN.get(found.upper())
    if known is None:
        raise ValueError(f"{SWITCH} is {found!r}; allowed: NO_CONTENT, SPAN_ONLY, EVENT_ONLY, SPAN_AND_EVENT")
    return known


def content_attributes(content: Mapping[str, Any], finish_reason: str | None, /) -> dict[str, str]:
    """Returns the content of a request as attributes.

    Args:
        content: as `router.logged` makes it.
        finish_reason: of the first choice.
    """
    out = {"gen_ai.input.messages": _json(_message(m) for m in content["messages"])}
    tools = content["params"].get("tools")
    if tools:
        out["gen_ai.tool.definitions"] = _json(tools)
    if content["answer"] is not None:
        reason = {} if finish_reason is None else {"finish_reason": finish_reason}
        out["gen_ai.output.messages"] = _json(_message(m) | reason for m in content["answer"])
    return out


def _json(values: Iterable[Any]) -> str:
    return orjson.dumps(list(values), default=str).decode()


def _message(message: Any) -> dict[str, Any]:
    """Returns one of OpenAI's messages as a role and parts."""
    if not isinstance(message, Mapping):
        return {"role": "user", "parts": [_text(message)]}
    said, role = message.get("content"), message.get("role", "assistant")
    if role == "tool":
        call = {"type": "tool_call_response", "id": message.get("tool_call_id"), "response": said}
        return {"role": role, "parts": [call]}
    parts = [_text(said)] if isinstance(said, str) else [_part(part) for part in said or ()]
    if thought := message.get("reasoning_content"):
        parts.insert(0, {"type": "reasoning", "content": thought})
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        parts.append(
            {
                "type": "tool_call",
                "id": call.get("id"),
                "name": function.get("name"),
                "arguments": function.get("arguments"),
            }
        )
    return {"role": role, "parts": parts}


def _text(said: Any) -> dict[str, Any]:
    return {"type": "text", "content": said}


def _part(part: Any) -> dict[str, Any]:
    if isinstance(part, Mapping) and part.get("type") == "text":
        return _text(part.get("text"))
    return dict(part) if isinstance(part, Mapping) else _text(part)
