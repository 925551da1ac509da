from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from importlib.metadata import entry_points

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.rules import Rule, Rules, When
from policies.weighted import Share, Weighted
from router import Context, Policy, Slate, statics
from tests.policies.strategies import (
    conditions,
    context,
    contexts,
    feature_sets,
    filters,
    live,
    model,
    policies,
    rankers,
    reasons,
    situations,
    slate,
    some_names,
    tokens,
)

Situation = tuple[Slate, Context]


@given(policies, situations())
def test_every_policy_keeps_all_candidates(policy: Policy, situation: Situation) -> None:
    """What goes in comes out, live or dropped, once each, and as the very same candidates."""
    before, context = situation
    after = policy(before, context)
    everyone = [*before.live, *(fallen.candidate for fallen in before.dropped)]
    assert Counter(map(id, everyone)) == Counter(map(id, [*after.live, *(f.candidate for f in after.dropped)]))


@given(policies, situations())
def test_every_policy_leaves_the_dropped_dropped(policy: Policy, situation: Situation) -> None:
    """Nothing that fell before comes back, and its record stands as it was, first."""
    before, context = situation
    assert policy(before, context).dropped[: len(before.dropped)] == before.dropped


@pytest.mark.untraced
@given(policies, situations())
def test_every_drop_says_who_and_why(policy: Policy, situation: Situation) -> None:
    """Each new drop names an installed kind and a reason in words."""
    before, context = situation
    kinds = entry_points(group="lowfare.policies").names
    for fallen in policy(before, context).dropped[len(before.dropped) :]:
        assert fallen.by in kinds
        assert fallen.reason.strip()


@given(policies, situations())
def test_every_policy_is_deterministic(policy: Policy, situation: Situation) -> None:
    """The same slate and context give the same slate."""
    assert policy(*situation) == policy(*situation)


@given(filters, situations())
def test_filters_keep_the_order_and_are_idempotent(policy: Policy, situation: Situation) -> None:
    """A filter only takes away, and a second time takes nothing more."""
    before, context = situation
    after = policy(before, context)
    assert live(after) == [name for name in live(before) if name in live(after)]
    assert policy(after, context) == after


@given(rankers, situations())
def test_rankers_drop_nothing_and_are_idempotent(policy: Policy, situation: Situation) -> None:
    """A ranker only reorders, and a second time changes nothing."""
    before, context = situation
    after = policy(before, context)
    assert sorted(live(after)) == sorted(live(before))
    assert after.dropped == before.dropped
    assert policy(after, context) == after


@given(policies, situations())
def test_may_leave_is_an_upper_bound(policy: Policy, situation: Situation) -> None:
    """No request leaves a model live that `may_leave` rules out."""
    before, context = situation
    catalog = {candidate.name: candidate.model for candidate in before.live}
    assert set(live(policy(before, context))) <= set(statics.may_leave(policy, catalog))


@given(policies, situations())
def test_never_empties_is_true(policy: Policy, situation: Situation) -> None:
    """A policy that is said never to empty a slate does not empty one."""
    before, context = situation
    if statics.never_empties(policy) and before.live:
        assert policy(before, context).live


@given(policies, situations())
def test_a_policy_that_reads_no_statistics_needs_none(policy: Policy, situation: Situation) -> None:
    """Without statistics it decides the same."""
    before, context = situation
    if not statics.reads_stats(policy):
        assert policy(before, context) == policy(before, replace(context, stats={}))


@given(policies, situations())
def test_only_declared_patterns_matter(policy: Policy, situation: Situation) -> None:
    """Matches of expressions that the policy did not ask for change nothing."""
    before, context = situation
    wanted = context.features.matches & statics.patterns(policy)
    assert policy(before, context) == policy(
        before, replace(context, features=replace(context.features, matches=wanted))
    )


@given(policies, situations(), tokens)
def test_the_choice_changes_only_at_the_declared_limits(policy: Policy, situation: Situation, length: int) -> None:
    """Two lengths with no limit between them leave the same models live, in the same order, at the same costs."""
    before, context = situation
    features = context.features
    output = features.choices * (
        features.output_tokens_most or max((c.expected_output_tokens for c in before), default=0)
    )
    low, high = sorted((length, features.measured_tokens))
    if before.dropped or any(low <= limit < high for limit in statics.token_limits(policy)):
        return
    if any(low <= limit - output < high for limit in statics.total_token_limits(policy)):
        return
    other = replace(context, features=replace(features, exact_tokens={"o200k_base": length}))
    assert live(policy(before, other)) == live(policy(before, context))


@dataclass(frozen=True)
class Marker:
    """A policy that says that it was used."""

    name: int

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        return slate.drop(lambda _: str(self.name), by="marker")


@given(st.lists(conditions, min_size=1, max_size=4), feature_sets().flatmap(contexts))
def test_a_rule_said_to_be_unreachable_is_never_used(whens: list[When], context: Context) -> None:
    """The rule that is used is never one that `problems` calls unreachable."""
    rules = Rules(
        rules=tuple(Rule(when=when, use=Marker(index)) for index, when in enumerate(whens)), otherwise=Marker(-1)
    )
    unreachable = {re.split("[:.]", problem)[0] for problem in statics.problems(rules, {})}
    (used,) = reasons(rules(slate(model("a")), context)).values()
    assert ("otherwise" if used == "-1" else f"rules[{used}]") not in unreachable


@given(
    some_names.map(set), st.integers(min_value=1, max_value=5), st.floats(min_value=0, max_value=1, exclude_max=True)
)
def test_a_split_gives_each_share_its_weight(chosen: set[str], weight: int, draw: float) -> None:
    """The draw falls to the share in whose part of the weights it lies."""
    order = sorted(chosen)
    split = Weighted(split=tuple(Share(weight=weight, model=name) for name in order), others="drop")
    (drawn,) = live(split(slate(*map(model, order)), context(draw=draw)))
    start = order.index(drawn) / len(order)
    assert start - 1e-9 <= draw <= start + 1 / len(order) + 1e-9
