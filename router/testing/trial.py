"""What the checks of sinks, clients, caches and state share: how a rule is tried, and what is said when it is broken.

A rule is a plain function that takes what makes the thing under test, and a case; it raises a `Breach` or does nothing.
Rules are synchronous: one that needs an event loop runs one of its own in a thread of its own, so that it can be called
from any test, also from a coroutine.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from router.testing.pasteable import as_script

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__tracebackhide__ = True  # pytest shows the test's own line, and what it was told

T = TypeVar("T")
C = TypeVar("C")

PATIENCE_S = 10.0
"""How long a rule waits for what must come at once; a machine that is so busy is not the fault of what it tries."""

_TURN_S = 1e-6
"""How long a thread runs before the next one may, where they are to take turns as often as they can."""


class Breach(AssertionError):
    """Something broke its promise. The message says which, what happened, and shows the case as code.

    Attributes:
        rule: the name of the rule.
        promise: what was promised, and where.
        says: what happened, in one sentence.
        code: statements that repeat the case.
    """

    def __init__(self, rule: str, says: str, /, *, promise: str, code: str) -> None:
        super().__init__(rule, says)
        self.rule = rule
        self.says = says
        self.promise = promise
        self.code = code

    def __str__(self) -> str:
        indented = "\n".join(f"    {line}" if line else "" for line in self.code.splitlines())
        return f"{self.rule}: {self.says}\npromised: {self.promise}\n\n{indented}"


class HungError(Exception):
    """What was called did not come back."""


def in_time(work: Callable[[], T], /, *, patience_s: float = PATIENCE_S) -> T:
    """Returns what a function returns that runs in a thread of its own; what it raises is raised here.

    Raises:
        HungError: it did not come back; its thread goes on by itself.
    """
    results: list[T] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - it is raised again, in the thread that waits
            raised.append(error)

    thread = threading.Thread(target=run, name="lowfare check", daemon=True)
    thread.start()
    thread.join(patience_s)
    if thread.is_alive():
        raise HungError(f"no return within {patience_s:g} s")
    if raised:
        raise raised[0]
    return results[0]


def all_at_once(works: Iterable[Callable[[], object]], /, *, patience_s: float = PATIENCE_S) -> None:
    """Runs functions in threads that begin together and take turns as often as threads can.

    Raises:
        HungError: one did not come back.
        Exception: what the first of them raised that raised anything.
    """
    waiting = list(works)
    # Only once all threads run: starting them in such short turns trips what traces threads, such as coverage.
    start = threading.Barrier(len(waiting), action=lambda: sys.setswitchinterval(_TURN_S))
    raised: list[BaseException] = []

    def run(work: Callable[[], object]) -> None:
        try:
            start.wait()
            work()
        except BaseException as error:  # noqa: BLE001 - it is raised again, in the thread that waits
            raised.append(error)

    def everything() -> None:
        threads = [threading.Thread(target=run, args=(work,), daemon=True) for work in waiting]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    turns_s = sys.getswitchinterval()
    try:
        in_time(everything, patience_s=patience_s)
    finally:
        sys.setswitchinterval(turns_s)
    if raised:
        raise raised[0]


def run_alone(work: Callable[[], Coroutine[Any, Any, T]], /, *, patience_s: float = 6 * PATIENCE_S) -> T:
    """Returns the result of a coroutine that runs in an event loop of its own, in a thread of its own.

    Raises:
        HungError: it did not come back.
    """
    return in_time(lambda: asyncio.run(work()), patience_s=patience_s)


def smallest(
    cases: SearchStrategy[C], attempt: Callable[[C], object], /, *, examples: int, derandomize: bool
) -> Breach | None:
    """Returns the breach of the smallest case that Hypothesis finds; None where every case holds. Leaves no files."""
    from hypothesis import HealthCheck, Phase, Verbosity, given, settings
    from hypothesis.errors import Flaky

    found: list[Breach] = []

    @settings(
        max_examples=examples,
        derandomize=derandomize,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.filter_too_much,
            HealthCheck.data_too_large,
            HealthCheck.large_base_example,
            HealthCheck.nested_given,
        ],
        report_multiple_bugs=False,
        verbosity=Verbosity.quiet,
    )
    @given(cases)
    def case(drawn: C) -> None:
        try:
            attempt(drawn)
        except Breach as breach:
            found.append(breach)
            raise

    try:
        case()
    except (Breach, Flaky):
        # What breaks a promise only now and then is Flaky to Hypothesis, and a breach all the same.
        return min(reversed(found), key=lambda breach: len(breach.code))
    return None


def shown_call(rule: str, module: str, /, *, thing: str, given: str, **values: Any) -> str:
    """Returns statements that call a rule again.

    Args:
        rule: its name.
        module: where it is imported from.
        thing: the expression for what is tried, as "SinkBench(make)"; its class is in the same module.
        given: the names in it that stand for arguments of the check.
        **values: the case, by the names that it gets.
    """
    ours = f"from {module} import "
    lines = as_script(**values).splitlines()
    needed = {rule, thing.partition("(")[0]}
    needed |= {name for line in lines if line.startswith(ours) for name in line.removeprefix(ours).split(", ")}
    others = [line for line in lines if line.startswith("from ") and not line.startswith(ours)]
    case = [line for line in lines if line and not line.startswith("from ")]
    call = f"{rule}({', '.join([thing, *values])})  # {given}: as the check got {'them' if ',' in given else 'it'}"
    return "\n".join([*others, ours + ", ".join(sorted(needed)), "", *case, call])
