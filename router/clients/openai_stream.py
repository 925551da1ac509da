"""Streams of OpenAI-compatible hosts: events in, chunks out, and the whole answer joined at the end. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from router.clients.counts import text_or_none
from router.clients.openai_usage import usage_from, usage_in
from router.clients.openai_wire import (
    arguments_of,
    beside_of,
    call_extra_of,
    extra_of,
    finish_from,
    listed,
    reasoning_of,
    texts_of,
)
from router.core.answer import Answer, Choice, Chunk, ChunkChoice, Function, Message, ToolCall


@dataclass(slots=True)
class _Call:
    """A tool call under construction."""

    id: str = ""
    type: str = "function"
    name: str = ""
    arguments: list[str] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)

    def whole(self) -> ToolCall:
        function = Function(name=self.name, arguments="".join(self.arguments))
        return ToolCall(id=self.id, type=self.type, function=function, extra=self.extra)


@dataclass(slots=True)
class _Part:
    """One choice under construction."""

    content: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    refusal: list[str] = field(default_factory=list)
    calls: list[_Call] = field(default_factory=list)
    places: dict[int, int] = field(default_factory=dict)
    """Where the call of each index that the host uses stands in `calls`."""
    extra: dict[str, Any] = field(default_factory=dict)
    logprobs: dict[str, Any] | None = None
    finish_reason: str | None = None
    spoke: bool = False
    """Whether any delta had a content, be it empty: the difference between "" and None."""

    def whole(self, index: int) -> Choice:
        return Choice(
            index=index,
            message=Message(
                content="".join(self.content) if self.spoke else None,
                tool_calls=tuple(call.whole() for call in self.calls) or None,
                refusal="".join(self.refusal) or None,
                reasoning_content="".join(self.reasoning) or None,
                extra=self.extra,
            ),
            finish_reason=self.finish_reason,
            logprobs=self.logprobs,
        )


class Joiner:
    """Reads the events of one stream and joins them.

    Attributes:
        finished: the host has said why the answer ended.
        begun: at least one event has been read.
    """

    __slots__ = ("_beside", "_headers", "_id", "_model", "_parts", "_provider", "_tier", "_usage", "begun", "finished")

    def __init__(self, provider: str, headers: Mapping[str, str]) -> None:
        self._provider = provider
        self._headers = headers
        self._parts: dict[int, _Part] = {}
        self._beside: dict[str, Any] = {}
        self._usage: Mapping[str, Any] | None = None
        self._tier: object = None
        self._id: str | None = None
        self._model: str | None = None
        self.begun = False
        self.finished = False

    def add(self, payload: Mapping[str, Any]) -> Chunk | None:
        """Returns the chunk that an event is for the caller; None where it adds nothing to the answer.

        Events that only open the message or report usage add nothing, so that the first chunk a caller sees is the
        first with something in it.
        """
        self.begun = True
        self._id = self._id or text_or_none(payload.get("id"))
        self._model = self._model or text_or_none(payload.get("model"))
        self._tier = payload.get("service_tier") or self._tier
        self._beside |= beside_of(payload)
        # Hosts that repeat usage repeat it cumulated, so the last stands for all.
        self._usage = usage_in(payload) or self._usage
        choices = [
            added
            for position, choice in enumerate(listed(payload.get("choices")))
            if isinstance(choice, Mapping) and (added := self._choice(choice, position)) is not None
        ]
        return Chunk(choices=tuple(choices), id=self._id, model=self._model) if choices else None

    def answer(self) -> Answer:
        """Returns the whole answer, as far as it came."""
        usage = None
        if self._usage is not None:
            usage = usage_from({"usage": self._usage, "model": self._model, "service_tier": self._tier}, self._provider)
        parts = sorted(self._parts.items())
        if parts:
            parts[0][1].extra.update(self._beside)
        choices = [part.whole(index) for index, part in parts]
        return Answer(choices=tuple(choices), usage=usage, id=self._id, model=self._model, headers=self._headers)

    def _choice(self, choice: Mapping[str, Any], position: int) -> ChunkChoice | None:
        index = choice.get("index")
        index = index if isinstance(index, int) else position
        part = self._parts.setdefault(index, _Part())
        delta = choice.get("delta")
        if not isinstance(delta, Mapping):
            # A server that sends the message whole, or one of plain completions.
            message = choice.get("message")
            delta = message if isinstance(message, Mapping) else {"content": choice.get("text")}
        message = _add(part, delta)
        logprobs = _add_logprobs(part, choice.get("logprobs"))
        finish_reason = finish_from(choice.get("finish_reason"))
        # Some hosts repeat the last event with the usage in it (OpenRouter): the caller sees the end once.
        news = finish_reason is not None and part.finish_reason is None
        if finish_reason is not None:
            part.finish_reason, self.finished = finish_reason, True
        if message is None and logprobs is None and not news:
            return None
        return ChunkChoice(
            index=index,
            delta=message or Message(),
            finish_reason=finish_reason if news else None,
            logprobs=logprobs,
        )


def _add(part: _Part, delta: Mapping[str, Any]) -> Message | None:
    """Adds a delta to its choice; returns it as a message, or None where it says nothing."""
    content, thinking = texts_of(delta.get("content"))
    reasoning = reasoning_of(delta) or thinking
    refusal = text_or_none(delta.get("refusal"))
    calls = [_add_call(part, call) for call in listed(delta.get("tool_calls")) if isinstance(call, Mapping)]
    extra = extra_of(delta)
    if content is not None:
        part.spoke = True
        part.content.append(content)
    if reasoning:
        part.reasoning.append(reasoning)
    if refusal:
        part.refusal.append(refusal)
    for name, value in extra.items():
        part.extra[name] = joined(part.extra.get(name), value)
    if not (content or reasoning or refusal or calls or extra):
        return None
    return Message(
        content=content,
        tool_calls=tuple(calls) or None,
        refusal=refusal,
        reasoning_content=reasoning,
        extra=extra,
    )


def _add_call(part: _Part, delta: Mapping[str, Any]) -> ToolCall:
    """Adds a piece of a tool call; returns the piece, with its id and name only where it is the first."""
    said = delta.get("custom") if delta.get("type") == "custom" else delta.get("function")
    said = said if isinstance(said, Mapping) else {}
    call_id, name = text_or_none(delta.get("id")) or "", text_or_none(said.get("name")) or ""
    position = _place(part, delta.get("index"), call_id, name)
    if position == len(part.calls):
        part.calls.append(_Call(type="custom" if delta.get("type") == "custom" else "function"))
    call = part.calls[position]
    first_id = call_id if not call.id else ""
    first_name = name if not call.name else ""
    call.id = call.id or call_id
    call.name = call.name or name
    call.extra |= call_extra_of(delta)
    arguments = arguments_of(said.get("arguments", said.get("input")))
    call.arguments.append(arguments)
    return ToolCall(
        id=first_id, type=call.type, function=Function(name=first_name, arguments=arguments), index=position
    )


def _place(part: _Part, index: object, call_id: str, name: str) -> int:
    """Returns the position of the call that a piece belongs to; one past the last for a new call.

    Hosts leave the index out, or give every call the index 0; then a new id with a name begins a new call. Some draw a
    new id for each piece; those pieces have no name.
    """
    begins = bool(call_id and name)
    if not isinstance(index, int):
        return len(part.calls) if begins or not part.calls else len(part.calls) - 1
    position = part.places.get(index)
    if position is None or (begins and part.calls[position].id not in ("", call_id)):
        position = part.places[index] = len(part.calls)
    return position


def _add_logprobs(part: _Part, logprobs: object) -> Mapping[str, Any] | None:
    """Adds a chunk's log probabilities; returns them, or None where it has none."""
    if not isinstance(logprobs, Mapping) or not any(logprobs.values()):
        return None
    part.logprobs = joined(part.logprobs, dict(logprobs))
    return logprobs


def joined(old: Any, new: Any) -> Any:
    """Returns two successive values of one field of a stream as one.

    Texts and lists are continued, objects field by field; list items that carry the same `index` and `type` are pieces
    of one (`reasoning_details`); of anything else the newer stands.
    """
    match old, new:
        case (None, _):
            return new
        case (_, None):
            return old
        case (str(), str()):
            return old + new
        case (dict(), dict()):
            return {**old, **{name: _joined_field(name, old.get(name), value) for name, value in new.items()}}
        case (list(), list()):
            return _joined_lists(old, new)
        case _:
            return new


def _joined_field(name: str, old: Any, new: Any) -> Any:
    # What names a thing is repeated in each piece, not continued.
    return new if name in ("id", "type", "format", "signature", "data_format", "index") and new else joined(old, new)


def _joined_lists(old: list[Any], new: list[Any]) -> list[Any]:
    out = list(old)
    for item in new:
        last = out[-1] if out else None
        if (
            isinstance(item, dict)
            and isinstance(last, dict)
            and isinstance(item.get("index"), int)
            and (item["index"], item.get("type")) == (last.get("index"), last.get("type"))
        ):
            out[-1] = joined(last, item)
        else:
            out.append(item)
    return out
