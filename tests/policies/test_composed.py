from __future__ import annotations

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.chain import Chain
from policies.cheapest import Cheapest
from policies.fallback import Fallback
from policies.first_of import FirstOf
from policies.max_latency import MaxLatency
from policies.min_quality import MinQuality
from policies.prefer import Prefer, Selector
from policies.rules import Rule, Rules, When
from policies.token_tiers import Tier, TokenTiers
from policies.weighted import Share, Weighted
from router import Context, Policy, Slate, statics
from tests.policies.strategies import context, features, live, model, reasons, slate

CATALOG = {m.name: m for m in (model("a", quality=0.9), model("b", quality=0.5), model("c", usd_per_mtok="0.5"))}
ALL = slate(*CATALOG.values())
TIERS = TokenTiers(tiers=(Tier(up_to_tokens=7, models=("a",)), Tier(models=("b",))))
TOTAL = TokenTiers(tiers=(Tier(up_to_tokens=8, models=("a",)), Tier(models=("b",))), measure="total")
MATCHING = Rules(rules=(Rule(when=When(last_user_message="hi", up_to_tokens=5), use=Cheapest()),))
NOBODY = Fallback(models=("zz",))
ONLY_A, ONLY_B = Fallback(models=("a",)), Fallback(models=("b",))


def counted(policy: Policy, draws: int, among: Slate = ALL) -> Counter[str]:
    """Returns how often each model is the first one over an even grid of draws."""
    return Counter(live(policy(among, context(draw=(n + 0.5) / draws)))[0] for n in range(draws))


def test_a_chain_applies_its_policies_in_order() -> None:
    """Each policy gets what the one before left, and each drop names its own policy."""
    after = Chain(policies=(MinQuality(quality=0.1), Prefer(first=(Selector(model="b"),))))(ALL, context())
    assert live(after) == ["b", "a"]
    assert [(fallen.name, fallen.by) for fallen in after.dropped] == [("c", "min_quality")]


def test_a_chain_that_leads_nowhere_is_a_problem() -> None:
    """The step after which nothing can be left is named, with what was left before it; once."""
    chain = Chain(policies=(ONLY_A, ONLY_B, Cheapest()))
    (problem,) = statics.problems(chain, CATALOG)
    assert problem == (
        "policies[1]: the chain leads nowhere from here: of the models that the steps before it can leave (a) it can "
        "leave none"
    )
    assert statics.problems(Chain(policies=(Fallback(models=("a", "b")), ONLY_B)), CATALOG) == ()
    (problem,) = statics.problems(Chain(policies=(Fallback(models=("a", "b")), Fallback(models=("c",)))), CATALOG)
    assert "the steps before it can leave (a, b) it" in problem
    # A step that can leave none at all says so itself.
    assert not any("leads nowhere" in found for found in statics.problems(Chain(policies=(ONLY_A, NOBODY)), CATALOG))
    assert statics.may_leave(chain, CATALOG) == {}


def test_first_of_takes_the_first_that_leaves_a_candidate() -> None:
    """Later policies are not asked; where none leaves one, the last one's reasons stand."""
    strict, lenient = MinQuality(quality=0.95), MinQuality(quality=0.6)
    assert live(FirstOf(policies=(strict, lenient, Cheapest()))(ALL, context())) == ["a"]
    after = FirstOf(policies=(NOBODY, strict))(ALL, context())
    assert live(after) == []
    assert {fallen.by for fallen in after.dropped} == {"min_quality"}


def test_what_follows_a_policy_that_never_empties_is_a_problem() -> None:
    """Members behind one that always leaves a candidate are unreachable, at any depth of it."""
    always = Chain(policies=(FirstOf(policies=(ONLY_A, Cheapest())), Cheapest()))
    why = "no request can reach it, since policies[1] always leaves a candidate; put it earlier, or leave it out"
    found = statics.problems(FirstOf(policies=(ONLY_A, always, ONLY_B, Cheapest())), CATALOG)
    assert found == (f"policies[2]: {why}", f"policies[3]: {why}")
    assert statics.problems(FirstOf(policies=(ONLY_A, Cheapest())), CATALOG) == ()
    (problem,) = statics.problems(FirstOf(policies=(ONLY_A, Cheapest(), ONLY_B)), CATALOG)
    assert problem == f"policies[2]: {why}"


@pytest.mark.parametrize(
    ("when", "asked", "holds"),
    [
        (When(), context(), True),
        (When(tags={"team": "legal"}), context(tags={"team": "legal", "x": "y"}), True),
        (When(tags={"team": "le*"}), context(tags={"team": "legal"}), True),
        (When(tags={"team": "legal"}), context(tags={"team": "Legal"}), False),
        (When(tags={"team": "*"}), context(), False),
        (When(tenant="acme"), context(tenant="acme"), True),
        (When(tenant="acme"), context(tenant="acme2"), False),
        (When(tenant="*"), context(), False),
        (When(needs=frozenset({"vision"})), context(features=features(needs=frozenset({"vision", "tools"}))), True),
        (When(needs=frozenset({"vision"})), context(), False),
        (When(above_tokens=100), context(100), False),
        (When(above_tokens=100), context(101), True),
        (When(up_to_tokens=100), context(100), True),
        (When(up_to_tokens=100), context(101), False),
        (When(stream=True), context(features=features(stream=True)), True),
        (When(stream=False), context(features=features(stream=True)), False),
        (When(images=True), context(features=features(images=2)), True),
        (When(images=True), context(features=features(images=1)), True),
        (When(images=False), context(features=features(images=1)), False),
        (When(images=False), context(), True),
        (When(images=True), context(), False),
        (When(tools=True), context(features=features(tools=1)), True),
        (When(tools=False), context(), True),
        (When(stream=False), context(), True),
        (When(tools=False), context(features=features(tools=1)), False),
        (When(service_tier="flex"), context(features=features(service_tier="flex")), True),
        (When(service_tier="flex"), context(), False),
        (When(last_user_message="hi"), context(features=features(matches=frozenset({"hi"}))), True),
        (When(last_user_message="hi"), context(), False),
    ],
)
def test_a_condition_holds_where_all_it_sets_does(when: When, asked: Context, holds: bool) -> None:
    """Every field that is set must hold for the request."""
    assert when.holds(asked) is holds


def test_the_first_rule_that_holds_is_used() -> None:
    """Then `otherwise`; and without it the slate stays as it is."""
    rules = Rules(rules=(Rule(when=When(tenant="x"), use=ONLY_A), Rule(when=When(up_to_tokens=200), use=ONLY_B)))
    assert live(rules(ALL, context(tenant="x"))) == ["a"]
    assert live(rules(ALL, context())) == ["b"]
    assert rules(ALL, context(300)) is ALL
    assert live(Rules(rules=rules.rules, otherwise=Cheapest())(ALL, context(300))) == ["c", "a", "b"]
    inner = Rules(rules=(Rule(use=TIERS),))
    assert [live(inner(ALL, context(tokens))) for tokens in (7, 8)] == [["a"], ["b"]]
    outer = Rules(rules=(), otherwise=TIERS)
    assert [live(outer(ALL, context(tokens))) for tokens in (7, 8)] == [["a"], ["b"]]


UNBALANCED = "missing ), unterminated subpattern at position 0"
UNREACHABLE = "no request can reach it, since"
RULES_PROBLEMS: list[tuple[Rules, list[str]]] = [
    (
        Rules(rules=(Rule(use=ONLY_A), Rule(when=When(tenant="x"), use=ONLY_B)), otherwise=Cheapest()),
        [
            "rules[1]: no request can reach it, since rules[0] takes all of its requests before it",
            "otherwise: no request can reach it, since rules[0] takes all of its requests before it",
        ],
    ),
    (
        Rules(
            rules=(
                Rule(when=When(up_to_tokens=100), use=ONLY_A),
                Rule(when=When(above_tokens=50, up_to_tokens=900), use=ONLY_B),
                Rule(when=When(above_tokens=20, up_to_tokens=500), use=ONLY_B),
                Rule(when=When(above_tokens=899), use=ONLY_A),
            ),
            otherwise=Cheapest(),
        ),
        [
            f"rules[2]: {UNREACHABLE} rules[0] and rules[1] take all of its requests before it",
            f"otherwise: {UNREACHABLE} rules[0], rules[1] and rules[3] take all of its requests before it",
        ],
    ),
    (
        # Between rules that leave out 101 tokens alone, there is a request for the one that takes them.
        Rules(
            rules=(
                Rule(when=When(up_to_tokens=100), use=ONLY_A),
                Rule(when=When(above_tokens=101), use=ONLY_B),
                Rule(when=When(above_tokens=100, up_to_tokens=101), use=ONLY_A),
                Rule(when=When(above_tokens=100, up_to_tokens=101), use=ONLY_B),
            )
        ),
        ["rules[3]: no request can reach it, since rules[2] takes all of its requests before it"],
    ),
    (
        Rules(rules=(Rule(when=When(above_tokens=9, up_to_tokens=9), use=ONLY_A),)),
        ["rules[0].when: no request has more than 9 tokens and at most 9; above_tokens must be below up_to_tokens"],
    ),
    (
        Rules(
            rules=(
                Rule(when=When(tags={"team": "l*"}), use=ONLY_A),
                Rule(when=When(tags={"team": "legal"}, stream=True), use=ONLY_B),
                Rule(when=When(tags={"team": "*"}), use=ONLY_B),
                Rule(when=When(tags={"team": "x?"}), use=ONLY_B),
            )
        ),
        [
            "rules[1]: no request can reach it, since rules[0] takes all of its requests before it",
            "rules[3]: no request can reach it, since rules[2] takes all of its requests before it",
        ],
    ),
    (
        Rules(
            rules=(
                Rule(when=When(tenant="acme"), use=ONLY_A),
                Rule(when=When(), use=ONLY_B),
            )
        ),
        [],
    ),
    (
        Rules(rules=(Rule(when=When(last_user_message="("), use=ONLY_A),)),
        [f"rules[0].when.last_user_message: '(' is not a regular expression: {UNBALANCED}"],
    ),
]


@pytest.mark.parametrize(("rules", "problems"), RULES_PROBLEMS)
def test_rules_that_no_request_can_reach_are_problems(rules: Rules, problems: list[str]) -> None:
    """A rule whose every request an earlier rule, or several together, take is a problem; so is a bad expression."""
    assert list(statics.problems(rules, CATALOG)) == problems


def test_rules_may_leave_what_their_policies_may() -> None:
    """And everything, where a request may find no rule."""
    assert set(statics.may_leave(Rules(rules=(Rule(use=ONLY_A),)), CATALOG)) == {"a"}
    assert set(statics.may_leave(Rules(rules=(Rule(when=When(stream=True), use=ONLY_A),)), CATALOG)) == {"a", "b", "c"}
    either = Rules(rules=(Rule(when=When(stream=True), use=ONLY_A),), otherwise=ONLY_B)
    assert set(statics.may_leave(either, CATALOG)) == {"a", "b"}


def test_the_shares_not_drawn_follow() -> None:
    """The drawn share is first, the others stand by in the order of the list, and the rest says who was drawn."""
    split = Weighted(split=(Share(weight=1, model="a"), Share(weight=3, use=ONLY_B)))
    after = split(ALL, context(draw=0.3))
    assert live(after) == ["b", "a"]
    assert reasons(after) == {"c": "is not in the chain of models"}
    after = split(ALL, context(draw=0.2))
    assert live(after) == ["a", "b"]
    assert reasons(after) == {"c": "this request drew share 1 of 2, the model a"}


def test_the_shares_not_drawn_may_drop() -> None:
    """With others = "drop" only the drawn share is left."""
    split = Weighted(split=(Share(weight=1, model="a"), Share(weight=1, model="b")), others="drop")
    assert live(split(ALL, context(draw=0.5))) == ["b"]


def test_a_share_without_a_live_candidate_is_not_drawn() -> None:
    """Its weight goes to the others by theirs, which keep their requests; where no share has one, nothing is left."""
    split = Weighted(split=(Share(weight=6, use=NOBODY), Share(weight=1, model="a"), Share(weight=3, model="b")))
    assert counted(split, 400) == {"a": 100, "b": 300}
    assert live(split(ALL, context(draw=0.6)))[0] == "a"
    assert live(split(ALL, context(draw=0.7)))[0] == "b"
    assert live(Weighted(split=(Share(weight=1, use=NOBODY),))(ALL, context())) == []


@given(st.lists(st.integers(1, 20), min_size=1, max_size=3), st.lists(st.integers(1, 20), min_size=1, max_size=3))
def test_each_share_of_a_split_inside_a_split_gets_its_part(outer: list[int], inner: list[int]) -> None:
    """Over an even grid of draws each model is drawn as often as the product of its weights says, give or take one."""
    models = {
        f"{i}.{j}": (Fraction(w, sum(outer)), Fraction(v, sum(inner)))
        for i, w in enumerate(outer)
        for j, v in enumerate(inner)
    }
    split = Weighted(
        split=tuple(
            Share(weight=w, use=Weighted(split=tuple(Share(weight=v, model=f"{i}.{j}") for j, v in enumerate(inner))))
            for i, w in enumerate(outer)
        )
    )
    drawn = counted(split, 200, slate(*map(model, models)))
    for name, (share, part) in models.items():
        assert abs(drawn[name] - 200 * share * part) <= 2


def test_a_split_inside_a_share_that_follows_is_drawn_evenly() -> None:
    """What stands by is drawn as what is drawn first."""
    inner = Weighted(split=(Share(weight=1, model="b"), Share(weight=1, model="c")))
    split = Weighted(split=(Share(weight=1, model="a"), Share(weight=1, use=inner)))
    behind = Counter(live(split(ALL, context(draw=n / 400)))[1] for n in range(200))
    assert behind == {"b": 100, "c": 100}


def test_a_share_names_one_thing() -> None:
    """Neither or both of model and policy, unknown models and models named twice are problems."""
    split = Weighted(
        split=(
            Share(weight=1),
            Share(weight=1, model="a", use=Cheapest()),
            Share(weight=1, model="aa"),
            Share(weight=1, model="a"),
        )
    )
    assert statics.problems(split, CATALOG) == (
        "split[0]: must have either a model or a policy to use, and not both",
        "split[1]: must have either a model or a policy to use, and not both",
        "split[2].model: no model is named 'aa'; allowed: a, b, c (did you mean 'a'?)",
        "split[3].model: 'a' stands in split[1].model already; name it once",
    )


def composed(*inner: Policy) -> list[Policy]:
    """Returns one policy of each kind that holds others, with these inside."""
    return [
        Chain(policies=inner),
        FirstOf(policies=inner),
        Rules(rules=tuple(Rule(when=When(stream=True), use=policy) for policy in inner[1:]), otherwise=inner[0]),
        Weighted(split=(Share(weight=1, model="c"), *(Share(weight=1, use=policy) for policy in inner))),
    ]


@pytest.mark.parametrize("policy", composed(TIERS, TOTAL, MATCHING), ids=lambda policy: policy.kind)
def test_questions_are_passed_on(policy: Policy) -> None:
    """What a policy inside needs to have counted or matched, the policy around it asks for."""
    assert statics.token_limits(policy) == {7, 5}
    assert statics.total_token_limits(policy) == {8}
    assert statics.patterns(policy) == {"hi"}
    assert not statics.reads_stats(policy)


@pytest.mark.parametrize("policy", composed(Cheapest(), MaxLatency(p50_s=1)), ids=lambda policy: policy.kind)
def test_statistics_are_asked_for_at_any_depth(policy: Policy) -> None:
    """One policy inside that reads statistics is enough."""
    assert statics.reads_stats(policy)


@pytest.mark.parametrize(
    ("policy", "never"), [*zip(composed(Cheapest(), ONLY_A), [False, True, False, True], strict=True)]
)
def test_whether_a_policy_empties_follows_from_those_inside(policy: Policy, never: bool) -> None:
    """Chains and rules are as good as their worst member, `first_of` and splits as their best."""
    assert statics.never_empties(policy) is never


def test_shares_may_leave_what_they_name() -> None:
    """A share's model, or what its policy may leave; a share that names nothing leaves nothing."""
    split = Weighted(split=(Share(weight=1, model="c"), Share(weight=1, use=ONLY_A), Share(weight=1)))
    assert set(statics.may_leave(split, CATALOG)) == {"a", "c"}
    assert set(statics.may_leave(FirstOf(policies=(ONLY_A, ONLY_B)), CATALOG)) == {"a", "b"}
