"""Cohere's v2 chat: near OpenAI's form, so written and read here; the `litellm` client hands Cohere's models to it.

litellm's own reading of it breaks on every stream and ignores cached tokens; its writing drops `tool_choice`.
From the provider's documentation (https://docs.cohere.com/reference/chat, "Chat with streaming").
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from router.clients.asked import asked, unsupported
from router.clients.client import Call, key_of
from router.clients.counts import believable, count_at, text_or_none
from router.clients.litellm_adapter import WireRequest
from router.clients.media import Remote
from router.core.answer import Answer, Choice, Chunk, ChunkChoice, Function, Message, ToolCall, Usage
from router.core.failure import Failure

BASE: Final = "https://api.cohere.com"

_FINISH: Final = MappingProxyType(
    {
        "COMPLETE": "stop",
        "STOP_SEQUENCE": "stop",
        "MAX_TOKENS": "length",
        "TOOL_CALL": "tool_calls",
        "ERROR": "error",
        "ERROR_TOXIC": "content_filter",
        "ERROR_LIMIT": "length",
    }
)

_RENAMED: Final = MappingProxyType(
    {"top_p": "p", "top_k": "k", "stop": "stop_sequences", "max_completion_tokens": "max_tokens"}
)
_SAME: Final = frozenset(
    "temperature max_tokens seed frequency_penalty presence_penalty logprobs tools response_format tool_choice".split()
)
_MESSAGE: Final = ("role", "content", "tool_calls", "tool_call_id", "tool_plan")
_TOOL_CHOICE: Final = MappingProxyType({"required": "REQUIRED", "none": "NONE"})


class Chat:
    """The wire format, for `exchange`."""

    provider = "cohere"

    async def ready(self) -> None:
        """Returns at once: nothing has to be loaded."""

    def wanted(self, remote: Remote, /) -> bool:
        """Cohere fetches images itself."""
        return False

    def request(self, call: Call, /) -> WireRequest | Failure:
        """Returns the request, or why Cohere cannot be asked."""
        request = asked(call, supported=_SAME | _RENAMED.keys())
        if isinstance(request, Failure):
            return request
        params = {_RENAMED.get(name, name): value for name, value in request.params.items()}
        choice = params.pop("tool_choice", "auto")
        if choice not in ("auto", *_TOOL_CHOICE):
            return unsupported(call, ["tool_choice by name"])
        if choice != "auto":
            params["tool_choice"] = _TOOL_CHOICE[choice]
        if "response_format" in params:
            params["response_format"] = _response_format(params["response_format"])
        if isinstance(params.get("stop_sequences"), str):
            params["stop_sequences"] = [params["stop_sequences"]]
        body = {
            "model": call.model.provider_model,
            "messages": [_message(message) for message in request.messages],
            "stream": call.request.stream,
            **params,
        }
        secret = key_of(call)
        key = {} if secret is None else {"authorization": f"Bearer {secret}"}
        return WireRequest(
            url=_url(call.model.base_url or BASE),
            headers={"content-type": "application/json"} | key | request.headers,
            body=json.dumps(body).encode(),
        )

    def whole(self, body: Mapping[str, Any], wire: WireRequest, headers: Mapping[str, str], /) -> Answer | None:
        """Returns the answer, or None where the body is none."""
        return answer_from(body, headers) if isinstance(body.get("message"), Mapping) else None

    def reading(self, wire: WireRequest, /) -> Reading:
        """Returns what reads a stream."""
        return Reading()


def _url(base: str) -> str:
    base = base.rstrip("/")
    if base.endswith("/chat"):
        return base
    return f"{base}/chat" if base.endswith("/v2") else f"{base}/v2/chat"


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: message[name] for name in _MESSAGE if name in message}
    if kept.get("role") == "developer":
        kept["role"] = "system"
    return kept


def _response_format(wanted: Mapping[str, Any]) -> dict[str, Any]:
    if wanted.get("type") != "json_schema":
        return dict(wanted)
    return {"type": "json_object", "json_schema": (wanted.get("json_schema") or {}).get("schema")}


def usage_from(body: Mapping[str, Any]) -> Usage | None:
    """Returns the tokens that the model read and wrote; None where the answer reports none.

    What Cohere bills (`billed_units`) leaves out the tokens of its own prompt template, so a cost from these counts is
    an upper bound.
    """
    usage = body.get("usage")
    tokens = usage.get("tokens") if isinstance(usage, Mapping) else None
    if not isinstance(usage, Mapping) or not isinstance(tokens, Mapping):
        return None
    if not believable(tokens.get("input_tokens"), tokens.get("output_tokens")):
        return None
    return Usage(
        input_tokens=count_at(tokens, "input_tokens"),
        output_tokens=count_at(tokens, "output_tokens"),
        cached_input_tokens=count_at(usage, "cached_tokens"),
    )


def answer_from(body: Mapping[str, Any], headers: Mapping[str, str]) -> Answer:
    """Returns a v2 chat body in OpenAI's shape.

    Args:
        body: the parsed response.
        headers: of the response, names in lower case.
    """
    message = body["message"]
    blocks = [block for block in message.get("content") or [] if isinstance(block, Mapping)]
    texts = [block["text"] for block in blocks if isinstance(block.get("text"), str)]
    # The plan for the tools is what other models write as thinking before a call.
    thoughts = [block["thinking"] for block in blocks if isinstance(block.get("thinking"), str)]
    thoughts += [message["tool_plan"]] if message.get("tool_plan") else []
    calls = tuple(_call(call) for call in message.get("tool_calls") or [])
    reason = body.get("finish_reason")
    return Answer(
        choices=(
            Choice(
                message=Message(
                    content="".join(texts) if texts else None,
                    tool_calls=calls or None,
                    reasoning_content="".join(thoughts) if thoughts else None,
                    extra={name: message[name] for name in ("tool_plan", "citations") if message.get(name)},
                ),
                finish_reason=_FINISH.get(reason, reason) if reason else None,
            ),
        ),
        usage=usage_from(body),
        id=text_or_none(body.get("id")),
        headers=headers,
    )


def _call(call: Mapping[str, Any], index: int | None = None) -> ToolCall:
    function = call.get("function") or {}
    name, arguments = str(function.get("name") or ""), str(function.get("arguments") or "")
    return ToolCall(id=str(call.get("id") or ""), function=Function(name=name, arguments=arguments), index=index)


class Reading:
    """Puts a stream together into the body of the same answer unstreamed."""

    __slots__ = ("_blocks", "_calls", "_citations", "_end", "_id", "_plan")

    def __init__(self) -> None:
        self._id: str | None = None
        self._blocks: dict[int, dict[str, str]] = {}
        self._calls: dict[int, dict[str, Any]] = {}
        self._citations: list[Any] = []
        self._plan = ""
        self._end: dict[str, Any] = {}

    def feed(self, event: Mapping[str, Any], /) -> list[Chunk]:
        """Takes the next event and returns what it adds."""
        delta = event.get("delta") or {}
        message = delta.get("message") or {}
        index = count_at(event, "index")
        match event.get("type"):
            case "message-start":
                self._id = event.get("id")
            case "content-start" | "content-delta":
                return self._content(index, message.get("content") or {})
            case "tool-plan-delta":
                self._plan += message.get("tool_plan") or ""
                return self._chunk(Message(reasoning_content=message.get("tool_plan")))
            case "tool-call-start" | "tool-call-delta":
                return self._call(index, message.get("tool_calls") or {})
            case "citation-start":
                self._citations.append(message.get("citations"))
            case "message-end":
                self._end = dict(delta)
            case _:
                pass  # the ends of parts, and kinds of event that are yet to come
        return []

    def end(self, headers: Mapping[str, str], /) -> Answer | None:
        """Returns the whole answer; None where the stream was cut."""
        if not self._end.get("finish_reason"):
            return None
        message = {
            "content": [self._blocks[index] for index in sorted(self._blocks)],
            "tool_calls": [self._calls[index] for index in sorted(self._calls)],
            "tool_plan": self._plan,
            "citations": self._citations,
        }
        return answer_from({**self._end, "id": self._id, "message": message}, headers)

    def _content(self, index: int, content: Mapping[str, Any]) -> list[Chunk]:
        block = self._blocks.setdefault(index, {})
        for name in ("text", "thinking"):
            if isinstance(content.get(name), str):
                block[name] = block.get(name, "") + content[name]
        text, thought = content.get("text"), content.get("thinking")
        return self._chunk(Message(content=text or None, reasoning_content=thought or None))

    def _call(self, index: int, call: Mapping[str, Any]) -> list[Chunk]:
        function = call.get("function") or {}
        whole = self._calls.setdefault(index, {"function": {"name": "", "arguments": ""}})
        whole["id"] = whole.get("id") or call.get("id")
        for name in ("name", "arguments"):
            whole["function"][name] += function.get(name) or ""
        return self._chunk(Message(tool_calls=(_call(call, index),)))

    def _chunk(self, delta: Message) -> list[Chunk]:
        return [] if delta == Message() else [Chunk(choices=(ChunkChoice(delta=delta),), id=self._id)]
