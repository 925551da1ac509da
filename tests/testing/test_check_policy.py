"""`check_policy`: every broken policy is caught by the invariant that names its fault; no shipped one is."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from hypothesis import strategies as st

from policies.chain import Chain
from policies.cheapest import Cheapest
from policies.min_quality import MinQuality
from router import Context, Policy, Slate
from router.registry import installed
from router.testing import invariants
from router.testing.policies import check_policy
from router.testing.strategies_policies import policies
from tests.testing.broken import BROKEN, Broken
from tests.testing.broken.candidates import LosesOneOnMondays
from tests.testing.broken.prices import CountsUnknownAsFree

SHIPPED = installed("lowfare.policies")


PASSING = frozenset({"keeps_no_state", "is_deterministic"})
"""Rules whose messages hold what was passing: what was remembered, in which place in memory something lay."""


@pytest.mark.untraced
@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name)
def test_every_broken_policy_is_caught(broken: Broken) -> None:
    """The message names the invariant that is broken, and shows a case with few models, as code that repeats it."""
    with pytest.raises(AssertionError) as caught:
        check_policy(broken.policy)
    error = caught.value
    assert isinstance(error, invariants.Counterexample)
    assert error.rule == broken.rule
    assert len(error.slate.live) + len(error.slate.dropped) <= broken.models
    assert str(error).startswith(f"{broken.rule}: {error.says}\n\n    from ")
    # What sorts by place in memory may happen to sort as before.
    repeated = f"for _ in range(20):\n{textwrap.indent(error.code, '    ')}"
    with pytest.raises(invariants.Counterexample) as again:
        exec(repeated, {})  # noqa: S102 - whether this runs is the question
    assert again.value.rule == broken.rule
    if broken.rule not in PASSING:
        assert again.value.says == error.says


def test_enough_policies_are_broken() -> None:
    """There are many, each with a name of its own, and each invariant is broken by one of them."""
    assert len({broken.name for broken in BROKEN}) == len(BROKEN) >= 25
    rules = {rule.__name__ for rules in invariants.PROMISED.values() for rule in rules}
    assert {broken.rule for broken in BROKEN} == rules | {rule.__name__ for rule in invariants.ALWAYS}


@pytest.mark.untraced
@pytest.mark.parametrize("kind", SHIPPED.kinds)
def test_no_shipped_policy_raises_an_alarm(kind: str) -> None:
    """Each passes, with options of all kinds."""
    check_policy(SHIPPED.load(kind), examples=60)


@pytest.mark.untraced
def test_no_composed_policy_raises_an_alarm() -> None:
    """Nor do they inside each other; and whatever they are, more quality asked gives no less."""
    check_policy(policies(), examples=150, promises={"quality"})


@pytest.mark.untraced
def test_a_check_is_the_same_each_time() -> None:
    """Unless told otherwise, it tries the same cases and finds the same counterexample."""
    messages = []
    for _ in range(2):
        with pytest.raises(AssertionError) as caught:
            check_policy(CountsUnknownAsFree)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_a_check_may_be_another_one_each_time() -> None:
    """Where it is told so, it finds the fault all the same."""
    with pytest.raises(AssertionError, match=r"^keeps_all_candidates"):
        check_policy(LosesOneOnMondays, derandomize=False)


def test_a_check_leaves_no_file(tmp_path: Path) -> None:
    """Neither a database of examples nor a cache, whether it finds something or not."""
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        check_policy(Cheapest, examples=20)
        with pytest.raises(AssertionError):
            check_policy(CountsUnknownAsFree, examples=20)
    finally:
        os.chdir(before)
    assert not list(tmp_path.iterdir())


def test_an_instance_is_checked_as_it_is() -> None:
    """Its own options hold, those of policies inside it too."""
    check_policy(Chain(policies=(MinQuality(quality=0.5), Cheapest())), examples=50, promises={"cheapest"})


def test_a_function_is_a_policy() -> None:
    """It needs no class and no kind; what it drops may have any name."""

    def cheap(slate: Slate, context: Context, /) -> Slate:
        return slate.drop(lambda c: "has no price" if c.expected_usd is None else None, by="anybody")

    check_policy(cheap, examples=50, promises=["filter", "priced"])
    with pytest.raises(AssertionError, match=r"^drops_nobody"):
        check_policy(cheap, examples=50, promises=["ranker"])


def test_options_are_values_or_strategies() -> None:
    """What is passed by name takes the place of what would be drawn."""
    seen: set[float] = set()

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Floor:
        quality: float
        unknown: str

        def __call__(self, slate: Slate, context: Context, /) -> Slate:
            seen.add(self.quality)
            assert self.unknown == "drop"
            return slate

    check_policy(Floor, examples=40, quality=st.sampled_from([0.25, 0.75]), unknown="drop")
    assert seen == {0.25, 0.75}


def test_options_of_an_instance_are_refused() -> None:
    """It has its own; who passes others wanted its class checked."""
    with pytest.raises(TypeError, match=r"options \(quality\) are of a class"):
        check_policy(MinQuality(quality=0.5), quality=0.7)


def test_a_promise_nobody_knows_is_refused() -> None:
    """The error names those there are, and the likeliest."""
    with pytest.raises(ValueError, match=r"'filtr' is no promise.*did you mean 'filter'"):
        check_policy(Cheapest, promises=["filtr"])


def test_a_strategy_of_policies_is_drawn_from() -> None:
    """Whatever it yields is checked; names of models may be given."""
    met: set[str] = set()

    def keep(slate: Slate, context: Context, /) -> Slate:
        met.update(candidate.name for candidate in slate.live)
        return slate

    check_policy(st.just(keep), examples=50, names=["north", "south"])
    assert met == {"north", "south"}
    check_policy(st.just(keep), examples=50)
    assert "a" in met


def test_models_have_the_names_that_a_policy_means() -> None:
    """Those in its options and in its code are drawn, or it would have nothing to decide."""
    met: set[str] = set()

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Favourite:
        model: str

        def __call__(self, slate: Slate, context: Context, /) -> Slate:
            met.update(candidate.name for candidate in slate.live)
            return slate.rank(lambda c: c.name not in {"in-code", self.model})

    check_policy(Favourite(model="in-option"), examples=50)
    assert {"in-code", "in-option", "a"} <= met


def test_what_remembers_for_long_is_found_in_the_end() -> None:
    """A call that differs only after many others is asked again when all are done."""
    asked: dict[str, int] = {}

    def tires(slate: Slate, context: Context, /) -> Slate:
        asked["times"] = asked.get("times", 0) + 1
        return Slate(tuple(reversed(slate.live)), slate.dropped) if asked["times"] > 1000 else slate

    with pytest.raises(AssertionError, match=r"^(keeps_no_state|is_deterministic)"):
        check_policy(tires, examples=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorts:
    """A policy whose promises depend on its options."""

    backwards: bool = False
    kind: Literal["sorts"] = "sorts"
    names: ClassVar[Mapping[str, Any]] = {}

    @property
    def promises(self) -> frozenset[str]:
        """It breaks ties by name unless it sorts backwards."""
        return frozenset() if self.backwards else frozenset({"ranker"})

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        return Slate(tuple(sorted(slate.live, key=lambda c: c.name, reverse=self.backwards)), slate.dropped)


def test_a_policy_is_held_to_the_promises_of_its_options() -> None:
    """What one instance promises is not asked of another."""
    check_policy(Sorts, examples=60)
    with pytest.raises(AssertionError, match=r"^breaks_ties_by_name"):
        check_policy(Sorts, examples=60, promises=["ranker"])


def test_the_cause_of_an_exception_is_kept() -> None:
    """Who debugs the policy sees where in it the exception arose."""

    def careless(slate: Slate, context: Context, /) -> Slate:
        return slate.rank(lambda c: context.stats[c.name].failures)

    with pytest.raises(AssertionError, match=r"^never_raises: it raised KeyError") as caught:
        check_policy(careless)
    assert isinstance(caught.value.__cause__, KeyError)


def test_no_policy_is_too_small() -> None:
    """A policy that does nothing keeps all promises but that of choosing."""

    def keep(slate: Slate, context: Context, /) -> Slate:
        return slate

    every: list[Policy] = [keep, Chain(policies=(keep,))]
    for policy in every:
        check_policy(policy, examples=30, promises=["filter", "priced", "quality"])
