"""What a provider answered, in OpenAI's shape whatever the provider's own.

Attribute names are those of OpenAI's client (`choices[0].message.content`), so that code written for it reads an
`Answer` or a `Reply` unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from router.core.quick import quick

FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "error"]
"""Why an answer ended, in OpenAI's words; clients map their provider's own words to these."""


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one answer as its provider counted them.

    `input_tokens` and `output_tokens` are totals; every other token field is a part of one of them. So cached and
    written tokens are inside `input_tokens`, and reasoning tokens inside `output_tokens`, also for providers that
    report them apart.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    """Written to the provider's prompt cache for its short time to live (Anthropic: 5 minutes)."""
    cache_write_1h_tokens: int = 0
    """Written for an hour; not inside `cache_write_tokens`."""
    reasoning_tokens: int = 0
    input_audio_tokens: int = 0
    cached_input_audio_tokens: int = 0
    """Inside both `cached_input_tokens` and `input_audio_tokens`."""
    output_audio_tokens: int = 0
    input_image_tokens: int = 0
    output_image_tokens: int = 0
    search_requests: int = 0
    """Web searches that the provider bills by the piece."""
    service_tier: str | None = None
    """"flex", "priority", "batch"; None is the standard tier."""
    billed_usd: Decimal | None = None
    """What the provider itself says this answer cost (OpenRouter, Perplexity, xAI, ...); None where it says nothing."""

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens

    @property
    def prompt_tokens(self) -> int:
        """OpenAI's name for `input_tokens`."""
        return self.input_tokens

    @property
    def completion_tokens(self) -> int:
        """OpenAI's name for `output_tokens`."""
        return self.output_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """The function a tool call names, with its arguments as the JSON text that the model wrote."""

    name: str
    arguments: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """One call the model asks for."""

    id: str
    function: Function
    type: str = "function"
    """"custom" is OpenAI's tool that takes free text: the text stands as the arguments, and need not be JSON."""
    index: int | None = None
    """Position in the message; set in streamed deltas."""
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Provider fields that must go back with this call in the next turn (Gemini's thought signature)."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the call as OpenAI's JSON."""
        name, said = self.function.name, self.function.arguments
        if self.type == "custom":
            return {"id": self.id, "type": "custom", "custom": {"name": name, "input": said}} | dict(self.extra)
        return {"id": self.id, "type": self.type, "function": {"name": name, "arguments": said}} | dict(self.extra)


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What the model said; in a stream, one delta of it."""

    role: str = "assistant"
    content: str | None = field(default=None, repr=False)
    tool_calls: tuple[ToolCall, ...] | None = None
    refusal: str | None = field(default=None, repr=False)
    reasoning_content: str | None = field(default=None, repr=False)
    """Thinking text, where the provider shows it."""
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Provider fields with no place above that must go back in the next turn (signed thinking blocks, audio,
    annotations, reasoning_details), under the provider's own names."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the message as OpenAI's JSON, ready to be appended to `messages` of the next request."""
        out: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.tool_calls:
            out["tool_calls"] = [call.to_dict() for call in self.tool_calls]
        if self.refusal is not None:
            out["refusal"] = self.refusal
        if self.reasoning_content is not None:
            out["reasoning_content"] = self.reasoning_content
        return out | dict(self.extra)

    def model_dump(self, *, exclude_none: bool = False) -> dict[str, Any]:
        """Returns the same as `to_dict`, by the name that OpenAI's client has for it.

        Args:
            exclude_none: leaves out a content of None.
        """
        return {name: value for name, value in self.to_dict().items() if not (exclude_none and value is None)}

    @property
    def written(self) -> str:
        """All text that the model wrote in it: reasoning, content, refusal, tool calls."""
        calls = [part for call in self.tool_calls or () for part in (call.function.name, call.function.arguments)]
        return "".join(filter(None, (self.reasoning_content, self.content, self.refusal, *calls)))


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of the `n` answers asked for."""

    index: int = 0
    message: Message
    finish_reason: str | None = None
    """A `FinishReason`, or the provider's word where it has no counterpart."""
    logprobs: Any = field(default=None, repr=False)


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One attempt's whole answer."""

    choices: tuple[Choice, ...]
    usage: Usage | None = None
    """None where the provider reported none (a stream that was cut, a server that never does)."""
    id: str | None = None
    model: str | None = None
    """The model as the provider names it, often dated."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Response headers, names in lower case."""

    @property
    def text(self) -> str:
        """The first choice's content; empty where it has none."""
        return (self.choices[0].message.content or "") if self.choices else ""

    @property
    def finish_reason(self) -> str | None:
        """The first choice's."""
        return self.choices[0].finish_reason if self.choices else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkChoice:
    """One choice's delta inside a chunk."""

    index: int = 0
    delta: Message
    finish_reason: str | None = None
    logprobs: Any = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """One piece of a streamed answer, in the shape of OpenAI's `chat.completion.chunk`."""

    choices: tuple[ChunkChoice, ...]
    id: str | None = None
    model: str | None = None

    @property
    def text(self) -> str:
        """The text that this chunk adds to the first choice, the one of index 0."""
        return "".join(choice.delta.content or "" for choice in self.choices if choice.index == 0)
