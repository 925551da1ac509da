from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from policies.cheapest import Cheapest
from policies.fallback import Fallback
from policies.max_cost import MaxCost
from policies.max_latency import MaxLatency
from policies.min_quality import MinQuality
from policies.prefer import Prefer, Selector
from policies.requires import Requires
from policies.token_tiers import Tier, TokenTiers
from policies.weighted import Share, Weighted
from router import ModelStats, Policy, statics
from tests.policies.strategies import context, features, live, model, reasons, slate

CATALOG = {m.name: m for m in (model("a"), model("b", quality=0.7, region="eu-1"), model("c", provider="groq"))}


def test_cheapest_goes_by_this_request() -> None:
    """The expected cost decides, ties break by name, and an unknown price comes last."""
    models = (model("x", usd_per_mtok=None), model("b", usd_per_mtok="2"), model("d"), model("c"))
    assert live(Cheapest()(slate(*models), context())) == ["c", "d", "b", "x"]


def test_fallback_keeps_its_list_in_order() -> None:
    """Listed models stay, in the list's order; the others say that they are not in the chain."""
    after = Fallback(models=("c", "missing", "a"))(slate(*CATALOG.values()), context())
    assert live(after) == ["c", "a"]
    assert reasons(after) == {"b": "is not in the chain of models"}


def test_fallback_states_unknown_and_double_names() -> None:
    """A name that no model has, and a name that stands there twice, are problems."""
    assert statics.problems(Fallback(models=("a", "bb", "a")), CATALOG) == (
        "models[1]: no model is named 'bb'; allowed: a, b, c (did you mean 'b'?)",
        "models[2]: 'a' stands in models[0] already; name it once",
    )


def test_requires_names_what_a_model_lacks() -> None:
    """The reason lists the missing capabilities, sorted."""
    able = model("able", capabilities=frozenset({"tools", "vision", "reasoning"}))
    after = Requires(capabilities=frozenset({"vision", "tools"}))(slate(able, model("none")), context())
    assert live(after) == ["able"]
    assert reasons(after) == {"none": "lacks tools, vision"}


def test_max_cost_is_inclusive_and_exact() -> None:
    """A model at the limit stays; one above it goes, and the reason has both amounts."""
    models = slate(model("at"), model("above", usd_per_mtok="1.1"))
    costs = {candidate.name: candidate.expected_usd for candidate in models}
    limit = costs["at"]
    assert limit is not None
    after = MaxCost(limit_usd=limit)(models, context())
    assert live(after) == ["at"]
    assert reasons(after) == {"above": f"its expected cost of ${costs['above']:f} is above ${limit:f}"}


def test_max_cost_may_look_at_the_worst_case() -> None:
    """With of = "worst" a model whose worst case is above the limit goes though its expected cost is not."""
    asked = features(1000, most=5000)
    cheap = slate(model("a"), of=asked)
    assert live(MaxCost(limit_usd=Decimal("0.002"))(cheap, context(features=asked))) == ["a"]
    after = MaxCost(limit_usd=Decimal("0.002"), of="worst")(cheap, context(features=asked))
    assert reasons(after)["a"].startswith("its worst cost of $0.006")


def test_an_unknown_cost_is_dropped_unless_told_otherwise() -> None:
    """Unknown is never below a limit, but a policy can be told to keep it."""
    unknown = slate(model("a", usd_per_mtok=None))
    policy = MaxCost(limit_usd=Decimal(1))
    assert reasons(policy(unknown, context())) == {"a": "its expected cost is unknown"}
    assert live(replace(policy, unknown="keep")(unknown, context())) == ["a"]


def test_min_quality_is_inclusive() -> None:
    """A prior at the floor stays, one below goes, an unknown one goes unless told otherwise."""
    models = slate(model("at", quality=0.7), model("below", quality=0.69), model("unknown"))
    after = MinQuality(quality=0.7)(models, context())
    assert live(after) == ["at"]
    assert reasons(after) == {"below": "its quality of 0.69 is below 0.7", "unknown": "its quality is unknown"}
    assert live(MinQuality(quality=0.7, unknown="keep")(models, context())) == ["at", "unknown"]


def test_max_latency_reads_the_statistics() -> None:
    """Each limit is held against its own figure, inclusively; the first one crossed is the reason."""
    policy = MaxLatency(p50_s=1, p95_s=2, first_token_p50_s=0.5)
    stats = {
        "at": ModelStats(latency_p50_s=1, latency_p95_s=2, first_token_p50_s=0.5),
        "slow": ModelStats(latency_p50_s=1.25, latency_p95_s=9),
        "late": ModelStats(latency_p50_s=0.5, latency_p95_s=3),
        "mute": ModelStats(latency_p50_s=0.5, latency_p95_s=1, first_token_p50_s=0.75),
    }
    after = policy(slate(*map(model, [*stats, "untried"])), context(stats=stats))
    assert live(after) == ["at", "untried"]
    assert reasons(after) == {
        "slow": "its median latency of 1.25 s is above 1 s",
        "late": "its p95 latency of 3 s is above 2 s",
        "mute": "its median time to the first token of 0.75 s is above 0.5 s",
    }


def test_max_latency_may_drop_the_untried() -> None:
    """With unknown = "drop" a model without figures goes."""
    after = MaxLatency(p95_s=2, unknown="drop")(slate(model("a")), context())
    assert reasons(after) == {"a": "its p95 latency is unknown"}


def test_max_latency_needs_a_limit() -> None:
    """Without any limit it would drop nothing, which is a problem."""
    assert statics.problems(MaxLatency(p50_s=1), {}) == ()
    assert statics.problems(MaxLatency(p95_s=1), {}) == ()
    (problem,) = statics.problems(MaxLatency(), {})
    assert problem == "has no limit and so drops nothing; set at least one of p50_s, p95_s, first_token_p50_s"


def test_prefer_drops_by_deny_and_allow() -> None:
    """A denied model goes even if it is allowed; the reasons quote the selectors."""
    policy = Prefer(
        allow=(Selector(provider="open*"), Selector(region="eu-*")), deny=(Selector(model="b", region="*"),)
    )
    after = policy(slate(*CATALOG.values()), context())
    assert live(after) == ["a"]
    assert reasons(after) == {
        "b": "is denied (model b and region *)",
        "c": "is not allowed (provider open* or region eu-*)",
    }


def test_prefer_ranks_by_the_first_selector_that_matches() -> None:
    """Preferred models come first, in the order of the selectors; the rest keeps its order."""
    policy = Prefer(first=(Selector(provider="groq"), Selector(region="eu-1")))
    assert live(policy(slate(*CATALOG.values()), context())) == ["c", "b", "a"]


def test_prefer_states_selectors_that_mean_nothing() -> None:
    """No list, an empty selector, and one that no model matches are problems."""
    assert statics.problems(Prefer(), CATALOG) == (
        "has no list and so changes nothing; set at least one of allow, deny, first",
    )
    problems = statics.problems(
        Prefer(allow=(Selector(),), deny=(Selector(provider="opnai"), Selector(model="a"))), CATALOG
    )
    assert problems == (
        "allow[0]: means every model; set at least one of model, provider, region",
        "deny[0]: no model matches provider opnai; models: a, b, c; providers: groq, openai; regions: eu-1",
    )
    (problem,) = statics.problems(Prefer(first=(Selector(region="eu-*"),)), {"a": CATALOG["a"]})
    assert problem == "first[0]: no model matches region eu-*; models: a; providers: openai; regions: none known"


@pytest.mark.parametrize("option", ["allow", "deny", "first"])
def test_one_list_is_enough_to_prefer(option: str) -> None:
    """Each of the three does something by itself; only the one that ranks leaves all candidates live."""
    policy = Prefer(**{option: (Selector(model="a"),)})  # type: ignore[arg-type]  # an option comes by its name
    assert statics.problems(policy, CATALOG) == ()
    assert statics.never_empties(policy) == (option == "first")


@pytest.mark.parametrize(
    ("policy", "left"),
    [
        (Fallback(models=("c", "a", "zz")), ["a", "c"]),
        (Requires(capabilities=frozenset({"tools"})), []),
        (MinQuality(quality=0.5), ["b"]),
        (MinQuality(quality=0.9, unknown="keep"), ["a", "c"]),
        (Prefer(deny=(Selector(provider="groq"),)), ["a", "b"]),
        (MaxLatency(p50_s=1), ["a", "b", "c"]),
    ],
)
def test_filters_say_what_they_may_leave(policy: Policy, left: list[str]) -> None:
    """What depends on the catalog alone is known before any request."""
    assert list(statics.may_leave(policy, CATALOG)) == left


def test_only_max_latency_reads_statistics() -> None:
    """A policy that says nothing about statistics gets them; the others say that they need none."""
    assert statics.reads_stats(MaxLatency(p50_s=1))
    others: tuple[Policy, ...] = (
        Cheapest(),
        Fallback(models=("a",)),
        MaxCost(limit_usd=Decimal(1)),
        MinQuality(quality=0.1),
        Prefer(),
        Requires(capabilities=frozenset({"tools"})),
    )
    assert not any(statics.reads_stats(policy) for policy in others)


KINDS: dict[str, type[Any]] = {
    "requires": Requires,
    "max_cost": MaxCost,
    "min_quality": MinQuality,
    "max_latency": MaxLatency,
    "prefer": Prefer,
    "fallback": Fallback,
    "token_tiers": TokenTiers,
    "weighted": Weighted,
}
TIERS = TokenTiers(tiers=(Tier(up_to_tokens=100, models=("a",)),), fallback=("b",))


@pytest.mark.parametrize(
    ("policy", "tokens", "fallen"),
    [
        (Requires(capabilities=frozenset({"tools"})), 100, ["a", "b", "c"]),
        (MaxCost(limit_usd=Decimal(0)), 100, ["a", "b", "c"]),
        (MinQuality(quality=0.9), 100, ["a", "b", "c"]),
        (MaxLatency(p50_s=1, unknown="drop"), 100, ["a", "b", "c"]),
        (Prefer(deny=(Selector(model="a"),)), 100, ["a"]),
        (Prefer(allow=(Selector(model="a"),)), 100, ["b", "c"]),
        (Fallback(models=("c",)), 100, ["a", "b"]),
        (TIERS, 100, ["c"]),
        (TIERS, 101, ["a", "c"]),
        (Weighted(split=(Share(weight=1, model="b"),), others="drop"), 100, ["a", "c"]),
        (Weighted(split=(Share(weight=1, model="zz"),), others="drop"), 100, ["a", "b", "c"]),
    ],
)
def test_a_drop_names_the_policy_that_dropped(policy: Policy, tokens: int, fallen: list[str]) -> None:
    """By its own kind, whoever else is in the configuration."""
    kind = next(name for name in KINDS if isinstance(policy, KINDS[name]))
    after = policy(slate(*CATALOG.values()), context(tokens))
    assert [(dropped.name, dropped.by) for dropped in after.dropped] == [(name, kind) for name in fallen]


def test_who_has_just_what_is_required_stays() -> None:
    """The capabilities themselves are enough; more do not harm."""
    policy = Requires(capabilities=frozenset({"vision"}))
    just = model("just", capabilities=frozenset({"vision"}))
    more = model("more", capabilities=frozenset({"vision", "tools"}))
    assert live(policy(slate(just, more, model("none")), context())) == ["just", "more"]
    assert list(statics.may_leave(policy, {m.name: m for m in (just, more, model("none"))})) == ["just", "more"]
