"""Anthropic's Messages API: requests by litellm's transform, answers and streams read here.

Read from the provider's documentation (https://platform.claude.com/docs/en/api/messages, "Streaming messages",
"Prompt caching"). A stream is put together into the body that the same answer would have had unstreamed, and then read
as that, so both ways end in the same `Answer`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from router.clients import exchange, litellm_adapter
from router.clients.client import Call
from router.clients.counts import believable, count_at, table_at, text_or_none
from router.clients.litellm_adapter import WireRequest
from router.clients.media import Remote
from router.core.answer import Answer, Choice, Chunk, ChunkChoice, Function, Message, ToolCall, Usage
from router.core.failure import Failure

_FINISH: Final = MappingProxyType(
    {
        "end_turn": "stop",
        "stop_sequence": "stop",
        "tool_use": "tool_calls",
        "max_tokens": "length",
        "model_context_window_exceeded": "length",
        "refusal": "content_filter",
    }
)
"""Stop reasons in OpenAI's words. `pause_turn` and `compaction` have none: the turn is to be continued."""

_THINKING: Final = ("thinking", "redacted_thinking")

_NOT_THIS_MODEL: Final = "advisor_message"
"""A round that another model answered, at its own prices; Anthropic leaves it out of its totals, and so do we."""


class AnthropicClient(exchange.FormatClient):
    """Speaks to `api.anthropic.com`, or to whatever serves the Messages API at the model's `base_url`."""

    def __init__(self) -> None:
        super().__init__(_Messages())


class _Messages:
    """The wire format, for `exchange`."""

    provider = "anthropic"

    async def ready(self) -> None:
        await litellm_adapter.ready()

    def wanted(self, remote: Remote, /) -> bool:
        return litellm_adapter.anthropic_inlines(remote)

    def request(self, call: Call, /) -> WireRequest | Failure:
        return litellm_adapter.anthropic(call)

    def whole(self, body: Mapping[str, Any], wire: WireRequest, headers: Mapping[str, str], /) -> Answer | None:
        if not isinstance(body.get("content"), list):
            return None
        return answer_from(body, headers, tool_names=wire.tool_names, json_tool=wire.json_tool)

    def reading(self, wire: WireRequest, /) -> Reading:
        return Reading(tool_names=wire.tool_names, json_tool=wire.json_tool)


def usage_from(body: Mapping[str, Any]) -> Usage | None:
    """Returns the tokens of an answer's body; None where it reports none.

    Anthropic's `input_tokens` are those neither read from the cache nor written to it; ours are all. Rounds that it
    made to compact the conversation stand only in `iterations`, and are billed: they are added.
    """
    usage = body.get("usage")
    if not isinstance(usage, Mapping) or not usage.keys() & {"input_tokens", "output_tokens"}:
        return None
    if not believable(usage.get("input_tokens"), usage.get("output_tokens")):
        return None
    rounds = usage.get("iterations")
    extra = [r for r in rounds if isinstance(r, Mapping)] if isinstance(rounds, list) else []
    parts = [usage, *(r for r in extra if r.get("type") not in ("message", _NOT_THIS_MODEL))]
    cached = sum(count_at(part, "cache_read_input_tokens") for part in parts)
    written = sum(count_at(part, "cache_creation_input_tokens") for part in parts)
    written_1h = sum(count_at(table_at(part, "cache_creation"), "ephemeral_1h_input_tokens") for part in parts)
    # Where only the split is reported, it is also the total.
    written = max(
        written, written_1h + sum(count_at(table_at(p, "cache_creation"), "ephemeral_5m_input_tokens") for p in parts)
    )
    tier = usage.get("service_tier")
    return Usage(
        input_tokens=sum(count_at(part, "input_tokens") for part in parts) + cached + written,
        output_tokens=sum(count_at(part, "output_tokens") for part in parts),
        cached_input_tokens=cached,
        cache_write_tokens=written - written_1h,
        cache_write_1h_tokens=written_1h,
        reasoning_tokens=count_at(table_at(usage, "output_tokens_details"), "thinking_tokens"),
        search_requests=count_at(table_at(usage, "server_tool_use"), "web_search_requests"),
        service_tier=tier if tier in ("priority", "batch") else None,
    )


def answer_from(
    body: Mapping[str, Any],
    headers: Mapping[str, str],
    *,
    tool_names: Mapping[str, str] = MappingProxyType({}),
    json_tool: str | None = None,
) -> Answer:
    """Returns a Messages API body in OpenAI's shape.

    Args:
        body: the parsed response.
        headers: of the response, names in lower case.
        tool_names: the caller's names of tools that were renamed for the wire.
        json_tool: the tool whose arguments are the answer's text, where one stood for `response_format`.
    """
    blocks = [block for block in body.get("content") or [] if isinstance(block, Mapping)]
    texts = [block.get("text") or "" for block in blocks if block.get("type") == "text"]
    uses = [block for block in blocks if block.get("type") == "tool_use"]
    answers = [block for block in uses if json_tool is not None and block.get("name") == json_tool]
    texts += [_arguments(block) for block in answers[:1]]
    calls = tuple(
        ToolCall(
            id=str(block.get("id") or ""),
            function=Function(
                name=tool_names.get(name := str(block.get("name") or ""), name), arguments=_arguments(block)
            ),
        )
        for block in uses
        if block not in answers
    )
    thinking = [block.get("thinking") or "" for block in blocks if block.get("type") == "thinking"]
    reason = body.get("stop_reason")
    if answers and not calls and reason == "tool_use":
        reason = "end_turn"
    message = Message(
        content="".join(texts) if texts else None,
        tool_calls=calls or None,
        reasoning_content="".join(thinking) if thinking else None,
        extra=_extra(body, blocks),
    )
    return Answer(
        choices=(Choice(message=message, finish_reason=_FINISH.get(reason, reason) if reason else None),),
        usage=usage_from(body),
        id=text_or_none(body.get("id")),
        model=text_or_none(body.get("model")),
        headers=headers,
    )


def _extra(body: Mapping[str, Any], blocks: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns what has no place in OpenAI's message: signed thinking, citations, the provider's own tools at work."""
    extra: dict[str, Any] = {}
    citations: list[Any] = []
    for block in blocks:
        kind = str(block.get("type"))
        citations += block.get("citations") or []
        if kind in _THINKING:
            extra.setdefault("thinking_blocks", []).append(dict(block))
        elif kind not in ("text", "tool_use"):
            extra.setdefault(kind, []).append(dict(block))
    if citations:
        extra["citations"] = citations
    for name in ("container", "context_management"):
        if body.get(name):
            extra[name] = body[name]
    if "compaction" in extra:
        # Where litellm's transform looks for what must go back in the next turn.
        extra["provider_specific_fields"] = {"compaction_blocks": extra["compaction"]}
    return extra


class Reading:
    """Puts a stream together into the body of the same answer unstreamed."""

    __slots__ = ("_blocks", "_body", "_json_tool", "_names", "_parts", "_shown", "_tools")

    def __init__(self, *, tool_names: Mapping[str, str], json_tool: str | None) -> None:
        self._names = tool_names
        self._json_tool = json_tool
        self._shown = False
        self._body: dict[str, Any] = {}
        self._blocks: dict[int, dict[str, Any]] = {}
        self._parts: dict[int, list[str]] = {}
        self._tools: dict[int, int] = {}  # a block's index -> the tool call's

    def feed(self, event: Mapping[str, Any], /) -> list[Chunk]:
        """Takes the next event and returns what it adds; the head adds nothing yet that a caller could see."""
        match event.get("type"):
            case "message_start":
                self._body = dict(event.get("message") or {})
            case "content_block_start":
                return self._start(count_at(event, "index"), dict(event.get("content_block") or {}))
            case "content_block_delta":
                return self._delta(count_at(event, "index"), event.get("delta") or {})
            case "content_block_stop":
                return self._stop(count_at(event, "index"))
            case "message_delta":
                self._body |= event.get("delta") or {}
                # Counts are running totals; fields that only the head reports stay.
                usage = {k: v for k, v in (event.get("usage") or {}).items() if v is not None}
                self._body["usage"] = {**(self._body.get("usage") or {}), **usage}
                return self._finish()
            case _:
                pass  # `ping`, `message_stop`, and kinds of event that are yet to come
        return []

    def end(self, headers: Mapping[str, str], /) -> Answer | None:
        """Returns the whole answer; None where no stop reason came, so that the stream was cut."""
        if not self._body.get("stop_reason"):
            return None
        for index in self._blocks:
            self._join(index)
        body = {**self._body, "content": [self._blocks[index] for index in sorted(self._blocks)]}
        return answer_from(body, headers, tool_names=self._names, json_tool=self._json_tool)

    def _finish(self) -> list[Chunk]:
        """Returns the chunk that says why the answer ended; an end without anything before it is no first token."""
        reason = self._body.get("stop_reason")
        if not reason or not self._shown:
            return []
        if reason == "tool_use" and not self._tools:
            reason = "end_turn"  # the only tool used is the one that stands for `response_format`
        return self._chunk(Message(), finish_reason=_FINISH.get(reason, reason))

    def _start(self, index: int, block: dict[str, Any]) -> list[Chunk]:
        self._blocks[index] = block
        match block.get("type"):
            case "tool_use" if block.get("name") != self._json_tool:
                self._tools[index] = len(self._tools)
                name = str(block.get("name") or "")
                return self._call(index, call_id=str(block.get("id") or ""), name=self._names.get(name, name))
            case "text" if block.get("text"):
                return self._chunk(Message(content=block["text"]))
            case _:
                return []

    def _delta(self, index: int, delta: Mapping[str, Any]) -> list[Chunk]:
        block = self._blocks.setdefault(index, {"type": "text", "text": ""})
        match delta.get("type"):
            case "text_delta":
                text = delta.get("text") or ""
                block["text"] = (block.get("text") or "") + text
                return self._chunk(Message(content=text)) if text else []
            case "thinking_delta":
                text = delta.get("thinking") or ""
                block["thinking"] = (block.get("thinking") or "") + text
                return self._chunk(Message(reasoning_content=text)) if text else []
            case "input_json_delta":
                text = delta.get("partial_json") or ""
                self._parts.setdefault(index, []).append(text)
                return self._written(index, text) if text else []
            case "citations_delta":
                block["citations"] = [*(block.get("citations") or []), delta.get("citation")]
            case _:
                # `signature_delta`, `compaction_delta`: whole values under the block's own names.
                block |= {k: v for k, v in delta.items() if k != "type"}
        return []

    def _written(self, index: int, text: str) -> list[Chunk]:
        block = self._blocks[index]
        if index in self._tools:
            return self._call(index, arguments=text)
        if block.get("type") == "tool_use":
            return self._chunk(Message(content=text))
        return []

    def _stop(self, index: int) -> list[Chunk]:
        self._join(index)
        block = self._blocks.get(index, {})
        if block.get("type") in _THINKING:
            return self._chunk(Message(extra={"thinking_blocks": [dict(block)]}))
        if index in self._tools and index not in self._parts:
            # A call whose arguments came with its head, or that has none.
            return self._call(index, arguments=_arguments(block))
        return []

    def _join(self, index: int) -> None:
        parts = self._parts.get(index)
        if not parts:
            return
        block, written = self._blocks[index], "".join(parts)
        block["input"] = _Verbatim(written) if block.get("type") == "tool_use" else _parsed(written)

    def _call(self, index: int, *, call_id: str = "", name: str = "", arguments: str = "") -> list[Chunk]:
        function = Function(name=name, arguments=arguments)
        return self._chunk(Message(tool_calls=(ToolCall(id=call_id, function=function, index=self._tools[index]),)))

    def _chunk(self, delta: Message, finish_reason: str | None = None) -> list[Chunk]:
        self._shown = True
        choice = ChunkChoice(delta=delta, finish_reason=finish_reason)
        return [Chunk(choices=(choice,), id=self._body.get("id"), model=self._body.get("model"))]


class _Verbatim(str):
    """Arguments as the model wrote them, piece by piece; they may be broken JSON, which is for others to judge."""

    __slots__ = ()


def _parsed(text: str) -> Any:
    """Returns the input of one of the provider's own tools, which goes back as an object; as text if it broke off."""
    try:
        return json.loads(text or "{}")
    except ValueError:
        return text


def _arguments(block: Mapping[str, Any]) -> str:
    value = block.get("input")
    if isinstance(value, _Verbatim):
        return str(value) or "{}"
    return json.dumps({} if value is None else value, ensure_ascii=False, separators=(",", ":"))
