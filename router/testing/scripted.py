"""A client that says what a test tells it to."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, get_args

from router.clients.client import Call
from router.clients.simulated import STATUS
from router.clock import Clock, SystemClock
from router.core.answer import Answer, Choice, Chunk, ChunkChoice, Message, Usage
from router.core.failure import Failure, FailureClass
from router.core.naming import allowed

Step = Answer | Failure | Sequence[Chunk | Answer | Failure] | Callable[[Call], Answer | Failure]
"""What one attempt comes to: a result; the events of a stream, ending in a result; or a function of the call."""


def answer(text: str, *, input_tokens: int = 10, output_tokens: int = 5) -> Answer:
    """Returns a whole answer with one choice."""
    return Answer(
        choices=(Choice(message=Message(content=text), finish_reason="stop"),),
        usage=Usage(input_tokens=input_tokens, output_tokens=output_tokens),
    )


_OK: Final = answer("ok")


def failure(kind: FailureClass, /, *, message: str | None = None, **details: Any) -> Failure:
    """Returns a failure as a provider might cause it, with the HTTP status that usually comes with its kind.

    Args:
        kind: its class: "refused", "server_error", "timed_out", ...
        message: what the provider says; None says which kind it is.
        **details: other fields of `Failure`, such as `retry_after_s` and `status`.

    Raises:
        ValueError: there is no such kind.
    """
    if kind not in get_args(FailureClass):
        raise ValueError(f"{kind!r} is no class of failures; {allowed(kind, get_args(FailureClass))}")
    given = {"status": STATUS.get(kind), "sent": kind != "not_sent", "message": message or f"scripted: {kind}"}
    return Failure(kind=kind, **{**given, **details})


@dataclass(frozen=True, slots=True)
class _Late:
    """A step that comes to its result only after so many seconds."""

    step: Step
    after_s: float


class ScriptedClient:
    """A `router.clients.client.Client` that says what it was told to, and keeps the calls it got.

    Example:
        ```python
        provider = ScriptedClient()
        provider.fails("small", "refused", retry_after_s=2)
        provider.answers("small", "Hello")  # at its second attempt, and from then on
        provider.answers("large", "Good day", after_s=3)
        ```

    Args:
        steps: by the model's name in the catalog: the outcome of its first attempt, of its second, and so on; the
            last one is repeated. A model without steps answers "ok".
        clock: how to wait for what comes after some seconds; a virtual one takes no time.
    """

    asks_nobody: ClassVar[bool] = True

    def __init__(self, steps: Mapping[str, Step | Iterable[Any]] | None = None, *, clock: Clock | None = None) -> None:
        self._steps: dict[str, deque[Step | _Late]] = {
            name: deque(_listed(step)) for name, step in (steps or {}).items()
        }
        self._last: dict[str, Step | _Late] = {}
        self._clock = SystemClock() if clock is None else clock
        self.models: Collection[str] | None = None
        """The names that may be scripted, where they are known: a misspelt one is refused."""
        self.calls: list[Call] = []
        """Every call, in the order of their start."""
        self.closed = False
        self.streams_closed_early = 0
        """Streams that were dropped before their last event."""

    def answers(self, model: str, /, *texts: str, after_s: float = 0.0, **usage: int) -> None:
        """Lets the model's next attempts come to these answers, one after the other.

        Args:
            model: its name in the catalog.
            *texts: of the answers.
            after_s: how long each takes; past the attempt's time-out it is "timed_out" instead.
            **usage: `input_tokens` and `output_tokens` of each.

        Raises:
            ValueError: there is no such model.
        """
        self.script(model, *(answer(text, **usage) for text in texts), after_s=after_s)

    def fails(self, model: str, kind: FailureClass, /, *, times: int = 1, after_s: float = 0.0, **details: Any) -> None:
        """Lets the model's next attempts fail.

        Args:
            model: its name in the catalog.
            kind: class of the failure: "refused", "server_error", "timed_out", ...
            times: how many attempts.
            after_s: how long each takes.
            **details: other fields of `Failure`, such as `retry_after_s` and `status`.

        Raises:
            ValueError: there is no such model, or no such class.
        """
        self.script(model, *[failure(kind, **details)] * times, after_s=after_s)

    def script(self, model: str, /, *steps: Step, after_s: float = 0.0) -> None:
        """Lets the model's next attempts come to anything: answers, failures, streams, functions of the call.

        Raises:
            ValueError: there is no such model.
        """
        if self.models is not None and model not in self.models:
            raise ValueError(f"no model is named {model!r}; {allowed(model, self.models)}")
        queue = self._steps.setdefault(model, deque())
        queue.extend(_Late(step, after_s) if after_s else step for step in steps)

    @property
    def asked(self) -> list[str]:
        """The names of the models that were called, in order."""
        return [call.model.name for call in self.calls]

    async def send(self, call: Call, /) -> Answer | Failure:
        """Returns the result of the next step; of a stream its last event."""
        match await self._next(call):
            case Answer() | Failure() as result:
                return result
            case [*_, Answer() | Failure() as result]:
                return result
            case other:
                raise TypeError(f"a step for {call.model.name!r} ends without an Answer or a Failure: {other!r}")

    async def stream(self, call: Call, /) -> AsyncGenerator[Chunk | Answer | Failure]:
        """Yields the events of the next step; an answer that was not given as a stream comes in one chunk."""
        step = await self._next(call)
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

    async def _next(self, call: Call) -> Answer | Failure | Sequence[Chunk | Answer | Failure]:
        self.calls.append(call)
        name = call.model.name
        if steps := self._steps.get(name):
            self._last[name] = steps.popleft()
        step = self._last.get(name, _OK)
        if isinstance(step, _Late):
            most_s = call.timeouts.total_s
            if most_s is not None and step.after_s > most_s:
                await self._clock.sleep(most_s)
                return failure("timed_out")
            await self._clock.sleep(step.after_s)
            step = step.step
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
