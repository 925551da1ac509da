"""`check_sink`: what holds of every sink, tried with decisions of every kind; needs `hypothesis`.

    def test_my_sink(tmp_path):
        log = tmp_path / "log"
        check_sink(lambda: MySink(log), read=lambda: log.read_text().splitlines())

The rules are plain functions that need no Hypothesis: `rule(SinkBench(make), told)` raises a `Breach`, or does nothing.
Those of `WHATEVER_IS_TOLD` are tried with many decisions, those of `HOWEVER_IT_IS_CALLED` with two.
"""

from __future__ import annotations

import asyncio
import copy
import functools
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_args

from router.core.decision import Decision, Outcome
from router.core.failure import FailureClass
from router.sinks.sink import Sink
from router.testing.records import decision_of
from router.testing.trial import PATIENCE_S, Breach, HungError, all_at_once, in_time, shown_call, smallest

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__tracebackhide__ = True  # pytest shows the test's own line, and what it was told

T = TypeVar("T")

Make = Callable[[], Sink]
"""Makes one more sink with the same target, as another router in this process would."""

Read = Callable[[], Iterable[object]]
"""Returns what the target holds: for each decision one thing whose text has its trace id in it."""

_THREADS: Final = 8
_EACH: Final = 10
"""Threads that emit at once, and how often each does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One decision that a sink is to take, in the words of `router.testing.records.decision_of`."""

    outcomes: tuple[Outcome, ...] = ("answer",)
    tags: tuple[tuple[str, str], ...] = ()
    tenant: str | None = None
    prompt: str | None = None
    says: str = "ok"
    priced: bool = True
    cached: bool = False

    def decision(self) -> Decision:
        """Returns a new decision, with a trace id of its own."""
        return decision_of(
            outcomes=self.outcomes,
            tags=dict(self.tags),
            tenant=self.tenant,
            prompt=self.prompt,
            says=self.says,
            priced=self.priced,
            cached=self.cached,
        )


@dataclass(frozen=True, slots=True)
class SinkBench:
    """What a rule tries.

    Attributes:
        make: makes one more sink with the same target.
        read: returns what the target holds; None leaves unchecked what was kept.
        patience_s: how long a call may take before it counts as hung.
    """

    make: Make
    read: Read | None = None
    patience_s: float = PATIENCE_S


Rule = Callable[[SinkBench, Told], None]

_RICH: Final = Told(outcomes=("server_error", "answer"), tags=(("team", "é"),), tenant="acme", prompt="hi")


def check_sink(
    make: Make,
    /,
    *,
    read: Read | None = None,
    examples: int = 100,
    derandomize: bool = True,
    patience_s: float = PATIENCE_S,
) -> None:
    """Tries every rule on a sink.

    Args:
        make: makes one more sink with the same target; the target may hold something already.
        read: returns what the target holds, one thing for each decision; None leaves unchecked what was kept.
        examples: how many decisions are tried with each rule.
        derandomize: whether the decisions are the same each time.
        patience_s: how long a call may take before it counts as hung.

    Raises:
        Breach: a rule is broken; an AssertionError that shows the smallest decision found as code.
    """
    bench = SinkBench(make, read, patience_s)
    for rule in HOWEVER_IT_IS_CALLED:
        rule(bench, Told())
    for rule in WHATEVER_IS_TOLD:
        breach = smallest(_tellings(), functools.partial(rule, bench), examples=examples, derandomize=derandomize)
        if breach is not None:
            raise breach
    for rule in HOWEVER_IT_IS_CALLED:
        rule(bench, _RICH)


def returns_nothing(bench: SinkBench, told: Told, /) -> None:
    """Both methods are plain functions: nobody awaits what they return."""
    trial = _Trial(returns_nothing, bench, told)
    sink = trial.made()
    for name, call in (("emit", functools.partial(sink.emit, told.decision())), ("close", sink.close)):
        returned: Any = trial.called(name, call)
        if returned is not None:
            getattr(returned, "close", lambda: None)()  # a coroutine that nobody awaits would warn
            raise trial.breach(f"{name}() returned a {type(returned).__name__}, not None")


def closes_more_than_once(bench: SinkBench, told: Told, /) -> None:
    """It can be closed twice, also when nothing was ever emitted."""
    trial = _Trial(closes_more_than_once, bench, told)
    for emits in (0, 1):
        sink = trial.made()
        for _ in range(emits):
            trial.called("emit", lambda: sink.emit(told.decision()))  # noqa: B023 - called at once
        trial.called("close", sink.close)
        trial.called("close", sink.close, "the second time")


def works_with_and_without_a_loop(bench: SinkBench, told: Told, /) -> None:
    """It works where an event loop runs, as under `acomplete`, and in threads that have none."""
    trial = _Trial(works_with_and_without_a_loop, bench, told)
    with trial.opened() as sink:

        async def emit() -> None:
            sink.emit(told.decision())

        trial.called("emit", lambda: sink.emit(told.decision()))
        trial.called("emit", lambda: asyncio.run(emit()), "in a running event loop")


def does_not_wait(bench: SinkBench, told: Told, /) -> None:
    """It is quick: whoever emits does not sleep, and waits for no other machine."""
    trial = _Trial(does_not_wait, bench, told)
    waits: list[str] = []

    def emit(sink: Sink, decision: Decision) -> None:
        before = sys.getprofile()
        sys.setprofile(functools.partial(note_wait, waits))
        try:
            sink.emit(decision)
        finally:
            sys.setprofile(before)

    with trial.opened() as sink:
        trial.called("emit", lambda: emit(sink, told.decision()))
    if waits:
        raise trial.breach(f"emit() called {waits[0]} in the thread of whoever asked; a thread of its own may wait")


def works_from_every_thread(bench: SinkBench, told: Told, /) -> None:
    """It takes decisions from many threads at once, and loses none."""
    trial = _Trial(works_from_every_thread, bench, told)
    decisions = [told.decision() for _ in range(_THREADS * _EACH)]

    def emit(sink: Sink, mine: Sequence[Decision]) -> None:
        for decision in mine:
            sink.emit(decision)

    with trial.opened() as sink:
        works = [functools.partial(emit, sink, decisions[n::_THREADS]) for n in range(_THREADS)]
        trial.called("emit", lambda: all_at_once(works, patience_s=bench.patience_s), f"in {_THREADS} threads at once")
    trial.find(decisions)


def stands_by_itself(bench: SinkBench, told: Told, /) -> None:
    """Closing one sink leaves another one with the same target as it was."""
    trial = _Trial(stands_by_itself, bench, told)
    decisions = [told.decision(), told.decision()]
    one, other = trial.made(), trial.made()
    trial.called("emit", lambda: one.emit(decisions[0]))
    trial.called("close", one.close)
    trial.called("emit", lambda: other.emit(decisions[1]), "after another sink was closed")
    trial.called("close", other.close)
    trial.find(decisions)


def takes_every_decision(bench: SinkBench, told: Told, /) -> None:
    """It takes any decision there can be, in whatever thread, without an exception."""
    trial = _Trial(takes_every_decision, bench, told)
    with trial.opened() as sink:
        trial.called("emit", lambda: sink.emit(told.decision()))


def leaves_decisions_alone(bench: SinkBench, told: Told, /) -> None:
    """It changes nothing in a decision: the caller, the statistics and other sinks get the same one."""
    trial = _Trial(leaves_decisions_alone, bench, told)
    decision = told.decision()
    before = copy.deepcopy(decision.to_dict())
    with trial.opened() as sink:
        trial.called("emit", lambda: sink.emit(decision))
    if decision.to_dict() != before:
        raise trial.breach("emit() changed the decision")


def keeps_what_it_took(bench: SinkBench, told: Told, /) -> None:
    """Once it is closed, each decision that it took can be read back, and none twice."""
    trial = _Trial(keeps_what_it_took, bench, told)
    decisions = [told.decision() for _ in range(3)]
    with trial.opened() as sink:
        for decision in decisions:
            trial.called("emit", functools.partial(sink.emit, decision))
    trial.find(decisions)


HOWEVER_IT_IS_CALLED: Final[tuple[Rule, ...]] = (
    returns_nothing,
    closes_more_than_once,
    works_with_and_without_a_loop,
    does_not_wait,
    works_from_every_thread,
    stands_by_itself,
)
WHATEVER_IS_TOLD: Final[tuple[Rule, ...]] = (takes_every_decision, leaves_decisions_alone, keeps_what_it_took)
SINK_RULES: Final[tuple[Rule, ...]] = (*HOWEVER_IT_IS_CALLED, *WHATEVER_IS_TOLD)


@dataclass(frozen=True, slots=True)
class _Trial:
    """One rule at work on one sink."""

    rule: Rule
    bench: SinkBench
    told: Told

    def breach(self, says: str) -> Breach:
        patience = f", {self.bench.patience_s:g}" if self.bench.patience_s != PATIENCE_S else ""
        thing, given = (f"SinkBench(make, read{patience})", "make, read")
        if self.bench.read is None:
            thing, given = (f"SinkBench(make, None{patience})" if patience else "SinkBench(make)"), "make"
        return Breach(
            self.rule.__name__,
            says,
            promise=f"{self.rule.__doc__} (router/sinks/sink.py)",
            code=shown_call(self.rule.__name__, __name__, thing=thing, given=given, told=self.told),
        )

    def called(self, name: str, call: Callable[[], T], when: str = "") -> T:
        """Returns what the call of a method returns."""
        # What fails at the first plain emit is not a fault of the kind that a rule is there for.
        blamed = replace(self, rule=takes_every_decision) if name == "emit" and not when else self
        what = f"{name}() {when}".rstrip()
        try:
            return in_time(call, patience_s=self.bench.patience_s)
        except HungError as error:
            raise blamed.breach(f"{what} hung: {error}") from None
        except Exception as error:
            raise blamed.breach(f"{what} raised {error!r}") from error

    def made(self) -> Sink:
        try:
            return self.bench.make()
        except Exception as error:
            raise self.breach(f"make() raised {error!r}") from error

    @contextmanager
    def opened(self) -> Iterator[Sink]:
        """Gives a new sink, and closes it."""
        sink = self.made()
        try:
            yield sink
        except BaseException:
            in_time(sink.close, patience_s=self.bench.patience_s)
            raise
        self.called("close", sink.close)

    def find(self, decisions: Sequence[Decision]) -> None:
        """Looks for decisions in what the target holds, where that can be read."""
        if self.bench.read is None:
            return
        texts = [str(thing) for thing in self.bench.read()]
        for decision in decisions:
            count = sum(decision.trace_id in text for text in texts)
            if count != 1:
                times = "is not there" if count == 0 else f"is there {count} times"
                raise self.breach(f"of {len(decisions)} decisions that it took, one {times}")


def note_wait(waits: list[str], _: FrameType, event: str, function: Any, /) -> None:
    """Notes calls that wait; what `sys.setprofile` is given, with the list in front."""
    if event == "c_call" and (call := wait_of(function)) is not None:
        waits.append(call)


def wait_of(function: Any, /) -> str | None:
    """Returns what a function of C is called, if it waits for time or for another machine."""
    owner, name = getattr(function, "__self__", None), getattr(function, "__name__", "")
    if function is time.sleep:
        return "time.sleep()"
    connects = isinstance(owner, socket.SocketType) and owner.type == socket.SOCK_STREAM and name.startswith("connect")
    return f"socket.{name}()" if connects or name in {"getaddrinfo", "gethostbyname"} else None


@functools.lru_cache(maxsize=1)
def _tellings() -> SearchStrategy[Told]:
    from hypothesis import strategies as st

    texts = st.one_of(st.text(max_size=20), st.sampled_from(["é", "😀", "\n", '"', "\x00", "x" * 5_000]))
    outcomes = st.sampled_from(["answer", "cancelled", *get_args(FailureClass)])
    return st.builds(
        Told,
        outcomes=st.one_of(st.just(("answer",)), st.lists(outcomes, max_size=3).map(tuple)),
        tags=st.dictionaries(texts, texts, max_size=2).map(lambda tags: tuple(tags.items())),
        tenant=st.none() | texts,
        prompt=st.none() | texts,
        says=st.just("ok") | texts,
        priced=st.sampled_from([True, False]),
        cached=st.sampled_from([False, True]),
    )
