"""What the caller gets: a `Reply`, or a stream of chunks that ends in one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

from router.core.answer import Answer, Choice, Chunk, Usage
from router.core.decision import Decision
from router.core.quick import quick
from router.errors import RouterError


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer with the decision that chose who gives it.

    Code written for the `ChatCompletion` of OpenAI's client reads it unchanged (`choices[0].message.content`, `usage`,
    `id`, `model_dump()`).

    Attributes:
        answer: what the provider said.
        decision: why it was asked, what else was tried, what it cost.
        response_format: the pydantic model class that was asked for, if one was.
    """

    answer: Answer = field(repr=False)
    decision: Decision = field(repr=False)
    model: str
    """Name of the model that answered, as the catalog calls it; `served_model` is the provider's word."""
    response_format: Any = field(default=None, repr=False)
    object: str = "chat.completion"

    @property
    def text(self) -> str:
        """The first choice's content; empty where it has none, as beside tool calls."""
        return self.answer.text

    @property
    def choices(self) -> tuple[Choice, ...]:
        """All choices."""
        return self.answer.choices

    @property
    def usage(self) -> Usage | None:
        """Tokens of the answer; None where the provider reported none."""
        return self.answer.usage

    @property
    def finish_reason(self) -> str | None:
        """Why the first choice ended."""
        return self.answer.finish_reason

    @property
    def id(self) -> str:
        """The provider's id of the answer, else the request's."""
        return self.answer.id or self.decision.request_id

    @property
    def served_model(self) -> str | None:
        """The model as its provider names it, often dated."""
        return self.answer.model

    @property
    def created(self) -> int:
        """When the request arrived, in Unix seconds."""
        return int(self.decision.time.timestamp())

    @property
    def cost_usd(self) -> Decimal | None:
        """What all attempts of the request cost together; None when one of them is unknown."""
        return self.decision.cost_usd

    @property
    def trace_id(self) -> str:
        """32 hex digits; finds the decision in the log (`lowfare explain TRACE_ID`)."""
        return self.decision.trace_id

    @property
    def parsed(self) -> Any:
        """The text as an instance of the pydantic model that was asked for as `response_format`; None without one.

        Also None where the model refused, or called a tool instead.

        Raises:
            pydantic.ValidationError: the text matches the model's schema but not its validators.
        """
        if self.response_format is None or not self.text:
            return None
        return self.response_format.model_validate_json(self.text)

    def model_dump(self) -> dict[str, Any]:
        """Returns the reply as the JSON of OpenAI's `chat.completion`."""
        usage = self.usage
        return {
            "id": self.id,
            "object": self.object,
            "created": self.created,
            "model": self.model,
            "choices": [
                {
                    "index": c.index,
                    "message": c.message.to_dict(),
                    "finish_reason": c.finish_reason,
                    "logprobs": c.logprobs,
                }
                for c in self.choices
            ],
            "usage": None
            if usage is None
            else {
                "prompt_tokens": usage.input_tokens,
                "completion_tokens": usage.output_tokens,
                "total_tokens": usage.total_tokens,
                "prompt_tokens_details": {"cached_tokens": usage.cached_input_tokens},
                "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
            },
        }


class AsyncStream:
    """A streamed answer: `async for chunk in stream`; after its end, `stream.reply` has the whole.

    Leaving early (`break` inside `async with`, or `aclose()`) closes the provider's connection; what was streamed until
    then is priced and logged.
    """

    def __init__(self, events: AsyncGenerator[Chunk | Reply]) -> None:
        self._events = events
        self._reply: Reply | None = None

    @property
    def reply(self) -> Reply:
        """The whole reply.

        Raises:
            RouterError: the stream has not ended.
        """
        return _ended(self._reply)

    def __aiter__(self) -> AsyncIterator[Chunk]:
        return self

    async def __anext__(self) -> Chunk:
        async for event in self._events:
            if isinstance(event, Chunk):
                return event
            self._reply = event
        if self._reply is None:
            raise RouterError("the stream was closed before its end; what was read until then is not the whole answer")
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Gives up the rest."""
        await self._events.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class Stream:
    """`AsyncStream` for code without an event loop: `for chunk in stream`."""

    def __init__(self, events: AsyncGenerator[Chunk | Reply], run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._events = events
        self._run = run
        self._reply: Reply | None = None

    @property
    def reply(self) -> Reply:
        """The whole reply.

        Raises:
            RouterError: the stream has not ended.
        """
        return _ended(self._reply)

    def __iter__(self) -> Iterator[Chunk]:
        return self

    def __next__(self) -> Chunk:
        while (event := self._run(_next(self._events))) is not None:
            if isinstance(event, Chunk):
                return event
            self._reply = event
        if self._reply is None:
            raise RouterError("the stream was closed before its end; what was read until then is not the whole answer")
        raise StopIteration

    def close(self) -> None:
        """Gives up the rest."""
        self._run(_close(self._events))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def _next(events: AsyncGenerator[Chunk | Reply]) -> Chunk | Reply | None:
    return await anext(events, None)


async def _close(events: AsyncGenerator[Chunk | Reply]) -> None:
    await events.aclose()


def _ended(reply: Reply | None) -> Reply:
    if reply is None:
        raise RouterError("the stream has not ended: read it to its end before asking for the reply")
    return reply
