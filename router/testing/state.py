"""`check_state`: what holds of every store of retry quotas, tried with traffic of every kind; needs `hypothesis`.

    def test_my_quotas():
        check_state(MyQuotas)

The rules are plain functions that need no Hypothesis: `rule(StateBench(make), asks)` raises a `Breach`. What is
granted is held against `router.core.quota.RetryQuota`, which counts every ask at its own time.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from router.core.quota import QuotaSettings, RetryQuota
from router.state.quotas import RetryQuotas
from router.testing.trial import PATIENCE_S, Breach, HungError, all_at_once, run_alone, shown_call, smallest

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__tracebackhide__ = True  # pytest shows the test's own line, and what it was told

Make = Callable[[QuotaSettings], RetryQuotas]
"""Makes an empty store with these settings."""

Step = tuple[float, Literal["ask", "retry"], str]
"""What comes after so many seconds: a first ask of a model, or a wish to ask it again."""

SLACK_S: Final = 1.0
"""By how much an ask may be counted as older than it is, so that it is granted less, never more."""

_THREADS: Final = 8
_NEARLY: Final = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Asks:
    """The traffic that a store sees.

    Attributes:
        share, least_per_s, ttl_s: as in `QuotaSettings`.
        steps: in the order in which they come.
    """

    share: float = 0.5
    least_per_s: float = 0.3
    ttl_s: float = 10.0
    steps: tuple[Step, ...] = ()

    @property
    def settings(self) -> QuotaSettings:
        """The settings of the store."""
        return QuotaSettings(share=self.share, least_per_s=self.least_per_s, ttl_s=self.ttl_s)


@dataclass(frozen=True, slots=True)
class StateBench:
    """What a rule tries.

    Attributes:
        make: makes an empty store.
        patience_s: how long a rule may take before it counts as hung.
    """

    make: Make
    patience_s: float = PATIENCE_S


Rule = Callable[[StateBench, Asks], None]


def check_state(
    make: Make, /, *, examples: int = 100, derandomize: bool = True, patience_s: float = PATIENCE_S
) -> None:
    """Tries every rule on a store of retry quotas.

    Args:
        make: makes an empty store with the settings that it is given; a class will do.
        examples: how many histories are tried with each rule.
        derandomize: whether they are the same each time.
        patience_s: how long one history may take before it counts as hung.

    Raises:
        Breach: a rule is broken; an AssertionError that shows the shortest history found as code.
    """
    bench = StateBench(make, patience_s)
    for rule in STATE_RULES:
        breach = smallest(_histories(), functools.partial(rule, bench), examples=examples, derandomize=derandomize)
        if breach is not None:
            raise breach
    grants_as_many_at_once(bench, Asks())


def has_its_shape(bench: StateBench, asks: Asks, /) -> None:
    """`deposit` returns at once and nothing, `withdraw` is awaited for a bool, `left` returns a number; none raises."""
    trial = _Trial(has_its_shape, bench, asks)

    async def work(quotas: RetryQuotas) -> None:
        deposit: Any = quotas.deposit
        returned = deposit("a", 0.0)
        if returned is not None:
            getattr(returned, "close", lambda: None)()  # a coroutine that nobody awaits would warn
            raise trial.breach(f"deposit() returned a {type(returned).__name__}, not None")
        left: Any = quotas.left("a", 0.0)
        if not isinstance(left, float | int):
            raise trial.breach(f"left() returned a {type(left).__name__}, not a number")
        granted: Any = quotas.withdraw("a", 0.0)
        if not inspect.isawaitable(granted):
            raise trial.breach(f"withdraw() returned a {type(granted).__name__}, which nobody can await")
        if not isinstance(answer := await granted, bool):
            raise trial.breach(f"withdraw() came to a {type(answer).__name__}, not a bool")
        for now_s, kind, model in trial.moments():
            await _done(quotas, kind, model, now_s)

    trial.run(work)


def grants_no_more_than_allowed(bench: StateBench, asks: Asks, /) -> None:
    """A retry is granted only while those of its model, and those of all, are within what the settings allow."""
    trial = _Trial(grants_no_more_than_allowed, bench, asks)

    async def work(quotas: RetryQuotas) -> None:
        exact = _Counted(asks.settings)
        for number, (now_s, kind, model) in enumerate(trial.moments()):
            allowed = exact.left(model, now_s)
            granted = await _done(quotas, kind, model, now_s)
            if granted and allowed < 1.0 - _NEARLY:
                raise trial.breach(f"step {number} was granted where {allowed:.3f} retries were left")
            exact.note(model, now_s, asked=kind == "ask", granted=granted)

    trial.run(work)


def grants_what_is_allowed(bench: StateBench, asks: Asks, /) -> None:
    """A retry is refused only where its model, or all together, have less than one left; asks may be a second old."""
    trial = _Trial(grants_what_is_allowed, bench, asks)

    async def work(quotas: RetryQuotas) -> None:
        older = _Counted(asks.settings, weight=math.exp(-SLACK_S / asks.ttl_s))
        for number, (now_s, kind, model) in enumerate(trial.moments()):
            allowed = older.left(model, now_s)
            granted = await _done(quotas, kind, model, now_s)
            if kind == "retry" and not granted and allowed >= 1.0 + _NEARLY:
                raise trial.breach(f"step {number} was refused where {allowed:.3f} retries were left")
            older.note(model, now_s, asked=kind == "ask", granted=granted)

    trial.run(work)


def tells_what_is_left(bench: StateBench, asks: Asks, /) -> None:
    """`left` is what would be granted now: never negative, and at least one where a retry is granted."""
    trial = _Trial(tells_what_is_left, bench, asks)

    async def work(quotas: RetryQuotas) -> None:
        for number, (now_s, kind, model) in enumerate(trial.moments()):
            left = quotas.left(model, now_s)
            if left < 0 or quotas.left(model, now_s) != left:
                raise trial.breach(f"before step {number} left() said {left:.3f}, then {quotas.left(model, now_s):.3f}")
            granted = await _done(quotas, kind, model, now_s)
            if kind == "retry" and granted != (left >= 1.0) and abs(left - 1.0) > _NEARLY:
                raise trial.breach(f"left() said {left:.3f}, and step {number} was {'' if granted else 'not '}granted")

    trial.run(work)


def takes_nothing_when_it_refuses(bench: StateBench, asks: Asks, /) -> None:
    """A refused retry takes from neither quota: as many are left as before, of this model and of others."""
    trial = _Trial(takes_nothing_when_it_refuses, bench, asks)

    async def work(quotas: RetryQuotas) -> None:
        for number, (now_s, kind, model) in enumerate(trial.moments()):
            before = [quotas.left(name, now_s) for name in ("a", "b")]
            if kind == "retry" and not await quotas.withdraw(model, now_s):
                after = [quotas.left(name, now_s) for name in ("a", "b")]
                if any(abs(one - other) > _NEARLY for one, other in zip(before, after, strict=True)):
                    raise trial.breach(
                        f"step {number} was refused, and what is left of a and b went {before} -> {after}"
                    )
            elif kind == "ask":
                quotas.deposit(model, now_s)

    trial.run(work)


def grants_as_many_at_once(bench: StateBench, asks: Asks, /) -> None:
    """Retries that many threads ask for at once are granted as often as there are some left, and no more often."""
    trial = _Trial(grants_as_many_at_once, bench, asks)
    settings = QuotaSettings(share=0.0, least_per_s=5.0, ttl_s=10.0)
    quotas = bench.make(settings)
    allowed = int(settings.least_per_s * settings.ttl_s)
    granted: list[bool] = []

    def withdraw() -> None:
        granted.extend(asyncio.run(_withdrawn(quotas, allowed)))

    try:
        all_at_once([withdraw] * _THREADS, patience_s=6 * bench.patience_s)
    except HungError as error:
        raise trial.breach(f"withdraw() hung in {_THREADS} threads: {error}") from None
    except Exception as error:
        raise trial.breach(f"withdraw() raised {error!r} in {_THREADS} threads") from error
    if (count := sum(granted)) != allowed:
        raise trial.breach(f"{_THREADS} threads got {count} retries where {allowed} were left")


STATE_RULES: Final[tuple[Rule, ...]] = (
    has_its_shape,
    grants_no_more_than_allowed,
    takes_nothing_when_it_refuses,
    grants_what_is_allowed,
    tells_what_is_left,
)
"""Those that are tried with many histories."""


class _Counted:
    """What the settings allow, with every ask counted at its own time.

    Args:
        settings: of the store.
        weight: of one ask.
    """

    def __init__(self, settings: QuotaSettings, *, weight: float = 1.0) -> None:
        self._settings = settings
        self._weight = weight
        self._of: dict[str, RetryQuota] = {}

    def left(self, model: str, now_s: float) -> float:
        """Returns how many retries the model may make."""
        return min(self._of.get(name, RetryQuota()).left(now_s, self._settings) for name in (model, ""))

    def note(self, model: str, now_s: float, *, asked: bool, granted: bool) -> None:
        """Takes note of what was asked, and of what was granted, whether it was allowed or not."""
        for name in (model, ""):
            quota = self._of.get(name, RetryQuota()).deposit(now_s, self._settings, asks=0)
            self._of[name] = RetryQuota(
                asked=quota.asked + (self._weight if asked else 0.0), retried=quota.retried + granted, at_s=quota.at_s
            )


@dataclass(frozen=True, slots=True)
class _Trial:
    """One rule at work on one store."""

    rule: Rule
    bench: StateBench
    asks: Asks

    def breach(self, says: str) -> Breach:
        name = self.rule.__name__
        return Breach(
            name,
            says,
            promise=f"{self.rule.__doc__} (RetryQuotas, router/state/quotas.py)",
            code=shown_call(name, __name__, thing="StateBench(make)", given="make", asks=self.asks),
        )

    def moments(self) -> Iterator[Step]:
        """Yields the steps, each with its time instead of what passed before it."""
        now_s = 0.0
        for after_s, kind, model in self.asks.steps:
            now_s += after_s
            yield now_s, kind, model

    def run(self, work: Callable[[RetryQuotas], Any]) -> None:
        """Runs a coroutine function on a new store, in an event loop of its own."""

        async def whole() -> None:
            await work(self.bench.make(self.asks.settings))

        try:
            run_alone(whole, patience_s=self.bench.patience_s)
        except Breach:
            raise
        except HungError as error:
            raise self.breach(f"a method hung: {error}") from None
        except Exception as error:
            raise self.breach(f"a method raised {error!r}") from error


async def _done(quotas: RetryQuotas, kind: str, model: str, now_s: float) -> bool:
    """Returns whether a retry was granted."""
    if kind == "ask":
        quotas.deposit(model, now_s)
        return False
    return await quotas.withdraw(model, now_s)


async def _withdrawn(quotas: RetryQuotas, times: int) -> list[bool]:
    return [await quotas.withdraw("a", 0.0) for _ in range(times)]


@functools.lru_cache(maxsize=1)
def _histories() -> SearchStrategy[Asks]:
    from hypothesis import strategies as st

    step = st.tuples(
        st.sampled_from([0.0, 0.1, 0.6, 2.0, 20.0]), st.sampled_from(["retry", "ask"]), st.sampled_from(["a", "b"])
    )
    bursts = st.tuples(step, st.sampled_from([1, 1, 3, 20])).map(lambda drawn: [drawn[0]] * drawn[1])
    return st.builds(
        Asks,
        share=st.sampled_from([0.5, 0.0, 0.1, 1.0]),
        least_per_s=st.sampled_from([0.0, 0.1, 0.3]),
        ttl_s=st.sampled_from([10.0, 2.0]),
        steps=st.lists(bursts, max_size=8).map(lambda groups: tuple(step for group in groups for step in group)),
    )
