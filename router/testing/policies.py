"""`check_policy`: every invariant, tried on a policy with whatever Hypothesis can think of; needs `hypothesis`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky

from router import Context, Policy, Slate
from router.testing.invariants import invariants_of, known_promises, promises_of
from router.testing.invariants_shown import Counterexample, Invariant, Outcome, difference, outcome_of
from router.testing.invariants_smaller import smaller_situations
from router.testing.strategies_policies import instances_of
from router.testing.strategies_slates import situations
from router.testing.strategies_vocabulary import PLAIN, Vocabulary, vocabulary_of

__tracebackhide__ = True  # pytest shows the test's own line, and what it was told

Case = tuple[Policy, tuple[Slate, Context]]

_PATIENCE = 25
"""Cases that are tried after the first counterexample: an invariant that explains it may need a larger one."""
_REMEMBERED = 100
"""Cases that are asked again at the end, when everything else has been asked in between."""


def check_policy(
    policy: Policy | type[Policy] | st.SearchStrategy[Policy],
    /,
    *,
    examples: int = 200,
    promises: Iterable[str] = (),
    names: Iterable[str] = (),
    derandomize: bool = True,
    **options: Any,
) -> None:
    """Tries every invariant of `router.testing.invariants` on a policy, over random catalogs, slates and contexts.

    Example:
        ```python
        def test_my_policy():
            check_policy(MyPolicy, quality=st.floats(0, 1))
        ```

    Args:
        policy: an instance, a function, a class (its options are drawn as their annotations say), or a strategy.
        examples: how many cases are tried, each with all invariants.
        promises: what it promises besides what its attribute `promises` says; see `invariants_promises`.
        names: of the models there are; none takes those that its options and code seem to mean, and others.
        derandomize: whether the cases are the same each time; else each run tries others.
        **options: of the class: by name, a value or a strategy of values.

    Raises:
        Counterexample: an invariant is broken; an AssertionError that shows the smallest case found as code.
        ValueError: a promise is unknown.
    """
    more = known_promises(promises)
    cases = _cases(policy, tuple(names), options)
    found = _Search(more)
    _explore(cases, found.anything, examples=examples, derandomize=derandomize)
    if found.first is None:
        found.ask_again()
    if found.first is None:
        return
    smallest = found.made_small(found.first)
    drawn = _policies(policy, tuple(names), options)
    if drawn is not None:  # its options are made small by drawing others for the case that was found
        case = st.tuples(drawn, st.just((smallest.slate, smallest.context)))
        _explore(case, found.the_same, examples=examples, derandomize=derandomize, shrink=True)
        smallest = found.made_small(min(smallest, found.smallest or smallest, key=_size))
    shown = Counterexample(smallest.rule, smallest.says, smallest.policy, smallest.slate, smallest.context)
    raise shown from smallest.__cause__


def _cases(policy: Any, names: tuple[str, ...], options: Mapping[str, Any]) -> st.SearchStrategy[Case]:
    if options and not isinstance(policy, type):
        raise TypeError(f"options ({', '.join(options)}) are of a class, and {policy!r} is no class")
    drawn = _policies(policy, names, options)
    return st.tuples(st.just(policy) if drawn is None else drawn, situations(vocabulary=_vocabulary(policy, names)))


def _policies(policy: Any, names: tuple[str, ...], options: Mapping[str, Any]) -> st.SearchStrategy[Policy] | None:
    """Returns the strategy that policies are drawn from; None where there is only one."""
    if isinstance(policy, type):
        return instances_of(policy, vocabulary=_vocabulary(policy, names), options=options)
    return policy if isinstance(policy, st.SearchStrategy) else None


def _vocabulary(policy: Any, names: tuple[str, ...]) -> Vocabulary:
    if isinstance(policy, st.SearchStrategy):
        return Vocabulary(names=names) if names else PLAIN
    return vocabulary_of(policy, names=names)


@lru_cache(maxsize=256)
def _rules(promises: frozenset[str]) -> tuple[Invariant, ...]:
    return invariants_of(promises)


@dataclass(slots=True)
class _Search:
    """What was found so far.

    Attributes:
        promises: what the policy promises besides what it says itself.
        first: the counterexample whose invariant the search goes on with: of several, the one that causes the others.
        culprit: the invariant that raised it, perhaps on behalf of another.
        rank: its place among the invariants.
        patience: how many more cases are tried after a counterexample was found.
        smallest: of those of the same invariant.
    """

    promises: frozenset[str]
    first: Counterexample | None = None
    culprit: Invariant | None = None
    rank: int = 0
    patience: int = _PATIENCE
    smallest: Counterexample | None = None
    answered: list[tuple[Case, Outcome]] = field(default_factory=list)

    def anything(self, case: Case) -> None:
        """Tries all invariants, or those that would explain what is broken; raises when that was long enough."""
        policy, (slate, context) = case
        rules = _rules(promises_of(policy) | self.promises)
        for rank, rule in enumerate(rules if self.first is None else rules[: self.rank]):
            try:
                rule(policy, slate, context)
            except Counterexample as error:
                self.first, self.culprit, self.rank = error, rule, rank
                break
        if self.first is not None:
            self.patience -= 1
            if self.patience < 0 or self.rank == 0:
                raise self.first
        elif len(self.answered) < _REMEMBERED:
            self.answered.append((case, outcome_of(policy(slate, context))))

    def the_same(self, case: Case) -> None:
        """Tries the invariant that was broken; notes the smallest case, and raises it."""
        policy, (slate, context) = case
        if self.culprit in _rules(promises_of(policy) | self.promises):
            error = self._broken(policy, slate, context)
            if error is not None:
                if self.smallest is None or _size(error) < _size(self.smallest):
                    self.smallest = error
                raise error

    def made_small(self, smallest: Counterexample) -> Counterexample:
        """Returns a counterexample without whatever in its slate and context it does not need."""
        steps = smaller_situations(smallest.slate, smallest.context)
        while (step := next(steps, None)) is not None:
            error = self._broken(smallest.policy, *step)
            if error is not None and _size(error) < _size(smallest):
                smallest, steps = error, smaller_situations(error.slate, error.context)
        return smallest

    def _broken(self, policy: Policy, slate: Slate, context: Context) -> Counterexample | None:
        if self.culprit is None or self.first is None:
            return None
        try:
            self.culprit(policy, slate, context)
        except Counterexample as error:
            return error if error.rule == self.first.rule else None
        return None

    def ask_again(self) -> None:
        """Asks what was asked first once more, and notes where the answer is another one now."""
        for (policy, (slate, context)), before in reversed(self.answered):
            again = outcome_of(policy(slate, context))
            if again != before:
                others = len(self.answered)
                says = f"asked again after {others} others, it answered differently: {difference(before, again)}"
                self.first = Counterexample("keeps_no_state", says, policy, slate, context)
                return


def _size(error: Counterexample) -> tuple[int, int]:
    return len(error.slate.live) + len(error.slate.dropped), len(error.code)


def _explore(
    cases: st.SearchStrategy[Case],
    attempt: Callable[[Case], None],
    *,
    examples: int,
    derandomize: bool,
    shrink: bool = False,
) -> None:
    """Tries cases until one fails, and smaller ones then if wanted; leaves no files."""

    @settings(
        max_examples=examples,
        derandomize=derandomize,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
        suppress_health_check=list(HealthCheck),  # pyright: ignore[reportArgumentType] - it takes the metaclass for the members
        report_multiple_bugs=False,
        verbosity=Verbosity.quiet,
    )
    @given(cases)
    def case(drawn: Case) -> None:
        attempt(drawn)

    try:
        case()
    except (Counterexample, Flaky):
        # What draws at random or remembers does not fail each time: Hypothesis finds that odd, and it is the fault.
        return
