"""A client that says what a test tells it to."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from typing import Any

from router.clients.client import Call
from router.core.answer import Answer, Choice, Chunk, ChunkChoice, Message, Usage
from router.core.failure import Failure

Step = Answer | Failure | Sequence[Chunk | Answer | Failure] | Callable[[Call], Answer | Failure]
"""What one attempt comes to: a result; the events of a stream, ending in a result; or a function of the call."""


def answer(text: str, *, input_tokens: int = 10, output_tokens: int = 5) -> Answer:
    """Returns a whole answer with one choice."""
    return Answer(
        choices=(Choice(message=Message(content=text), finish_reason="stop"),),
        usage=Usage(input_tokens=input_tokens, output_tokens=output_tokens),
    )


class ScriptedClient:
    """A `router.clients.client.Client` that replays steps and keeps the calls it got.

    Args:
        steps: by the model's name in the catalog: the outcome of its first attempt, of its second, and so on; the
            last one is repeated. A model without steps answers "ok".
    """

    def __init__(self, steps: Mapping[str, Step | Iterable[Any]] | None = None) -> None:
        self._steps = {name: deque(_listed(step)) for name, step in (steps or {}).items()}
        self.calls: list[Call] = []
        """Every call, in the order of their start."""
        self.closed = False
        self.streams_closed_early = 0
        """Streams that were dropped before their last event."""

    @property
    def asked(self) -> list[str]:
        """The names of the models that were called, in order."""
        return [call.model.name for call in self.calls]

    async def send(self, call: Call, /) -> Answer | Failure:
        """Returns the result of the next step; of a stream its last event."""
        match self._next(call):
            case Answer() | Failure() as result:
                return result
            case [*_, Answer() | Failure() as result]:
                return result
            case other:
                raise TypeError(f"a step for {call.model.name!r} ends without an Answer or a Failure: {other!r}")

    async def stream(self, call: Call, /) -> AsyncGenerator[Chunk | Answer | Failure]:
        """Yields the events of the next step; an answer that was not given as a stream comes in one chunk."""
        step = self._next(call)
        match step:
            case Answer():
                events: Sequence[Chunk | Answer | Failure] = (*_chunks(step), step)
            case Failure():
                events = (step,)
            case _:
                events = step
        done = 0
        try:
            for event in events:
                done += 1
                yield event
        finally:
            self.streams_closed_early += done < len(events)

    async def aclose(self) -> None:
        """Notes that it was closed."""
        self.closed = True

    def _next(self, call: Call) -> Answer | Failure | Sequence[Chunk | Answer | Failure]:
        self.calls.append(call)
        steps = self._steps.get(call.model.name)
        if not steps:
            return answer("ok")
        step = steps.popleft() if len(steps) > 1 else steps[0]
        match step:
            case Answer() | Failure() | Sequence():
                return step
            case _:
                return step(call)


def _listed(step: Step | Iterable[Any]) -> Iterable[Step]:
    """Returns a model's steps; one step alone, a stream's events too, is a list of one."""
    if isinstance(step, (Answer, Failure)) or callable(step):
        return [step]
    steps: list[Any] = list(step)
    return [steps] if steps and isinstance(steps[0], Chunk) else steps


def _chunks(whole: Answer) -> Iterable[Chunk]:
    for choice in whole.choices:
        yield Chunk(
            choices=(ChunkChoice(index=choice.index, delta=choice.message, finish_reason=choice.finish_reason),),
            id=whole.id,
            model=whole.model,
        )
