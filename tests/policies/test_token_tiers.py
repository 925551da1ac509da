from __future__ import annotations

from dataclasses import replace

import pytest

from policies.token_tiers import Tier, TokenTiers
from router import statics
from router.core.request import TokenCount
from tests.policies.strategies import context, features, live, model, reasons, slate

MODELS = (model("small"), model("medium"), model("large"), model("other", usd_per_mtok="0.5"))
TIERS = TokenTiers(
    tiers=(
        Tier(up_to_tokens=500, models=("small",)),
        Tier(up_to_tokens=2000, models=("medium", "other")),
        Tier(models=("large",)),
    ),
    fallback=("medium", "large"),
)
ASCEND = "so no request can reach it; limits must ascend"
ALLOWED = "allowed: large, medium, other, small"
CATALOG = {m.name: m for m in MODELS}


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (0, ["small", "medium", "large"]),
        (500, ["small", "medium", "large"]),
        (501, ["other", "medium", "large"]),
        (2000, ["other", "medium", "large"]),
        (2001, ["large", "medium"]),
    ],
)
def test_a_limit_is_inclusive_and_the_fallback_follows(tokens: int, expected: list[str]) -> None:
    """The first tier whose limit is not below the input takes it; within it the cheapest is first."""
    assert live(TIERS(slate(*MODELS), context(tokens))) == expected


def test_a_tier_may_keep_its_order() -> None:
    """With order = "listed" the tier's models come as they are listed, whatever they cost."""
    listed = replace(TIERS, order="listed")
    assert live(listed(slate(*MODELS), context(600))) == ["medium", "other", "large"]


def test_unknown_cost_comes_last_in_a_tier() -> None:
    """A model without a price is not the cheapest of its tier."""
    tiers = TokenTiers(tiers=(Tier(models=("free", "dear")),))
    assert live(tiers(slate(model("free", usd_per_mtok=None), model("dear", usd_per_mtok="90")), context())) == [
        "dear",
        "free",
    ]


def test_the_reason_names_the_tier() -> None:
    """A dropped model's reason says which tier took the request, and why."""
    after = TIERS(slate(*MODELS), context(400))
    assert reasons(after) == {"other": "is not in tier 1 of 3 (up to 500 input tokens), which takes 400"}
    after = replace(TIERS, fallback=())(slate(*MODELS), context(4000))
    assert reasons(after)["small"] == "is not in tier 3 of 3 (any number of input tokens), which takes 4000"


def test_above_the_last_limit_only_the_fallback_is_left() -> None:
    """A request that no tier takes has the fallback list, and reasons that say so."""
    bounded = TokenTiers(tiers=(Tier(up_to_tokens=10, models=("small",)),), fallback=("large",))
    after = bounded(slate(*MODELS), context(11))
    assert live(after) == ["large"]
    assert reasons(after)["small"] == "11 tokens are above the last tier's 10, and it is no fallback"


def test_an_exact_count_decides_over_the_estimate() -> None:
    """Where the input was counted, the count is compared with the limits, not the estimate."""
    estimate = replace(features(), input_tokens=TokenCount(low=300, likely=600, high=900))
    assert live(TIERS(slate(*MODELS), context(features=estimate)))[0] == "other"
    counted = replace(estimate, exact_tokens={"o200k_base": 480})
    assert live(TIERS(slate(*MODELS), context(features=counted)))[0] == "small"


@pytest.mark.parametrize(("most", "choices", "first"), [(100, 1, "small"), (101, 1, "other"), (100, 2, "other")])
def test_total_counts_all_the_output_a_request_allows(most: int, choices: int, first: str) -> None:
    """With measure = "total" the largest output of every choice is added to the input."""
    total = replace(TIERS, measure="total")
    asked = features(400, most=most, choices=choices)
    assert live(total(slate(*MODELS), context(features=asked)))[0] == first


def test_total_takes_the_expected_output_where_the_request_allows_any() -> None:
    """Without a stated limit the largest output that is expected of any model is added, dropped models included."""
    total = replace(TIERS, measure="total")
    asked = features(451, most=None)
    after = total(slate(*MODELS), context(features=asked))
    assert live(after)[0] == "other"
    assert total(after, context(features=asked)) == after
    assert live(total(slate(), context(features=asked))) == []


def test_limits_are_declared_by_measure() -> None:
    """Limits of the input are token limits, limits of the total are total token limits."""
    total = replace(TIERS, measure="total")
    limits = frozenset({500, 2000})
    assert (statics.token_limits(TIERS), statics.total_token_limits(TIERS)) == (limits, frozenset())
    assert (statics.token_limits(total), statics.total_token_limits(total)) == (frozenset(), limits)


@pytest.mark.parametrize(
    ("tiers", "problem"),
    [
        (
            (Tier(up_to_tokens=500, models=("small",)), Tier(up_to_tokens=500, models=("large",))),
            f"tiers[1].up_to_tokens: 500 is not above the 500 of tiers[0], {ASCEND}",
        ),
        (
            (
                Tier(up_to_tokens=9, models=("small",)),
                Tier(up_to_tokens=5, models=("small",)),
                Tier(up_to_tokens=8, models=("large",)),
            ),
            f"tiers[2].up_to_tokens: 8 is not above the 9 of tiers[0], {ASCEND}",
        ),
        (
            (Tier(models=("small",)), Tier(models=("large",)), Tier(up_to_tokens=8, models=("large",))),
            "tiers[2]: no request can reach it, since tiers[0] has no limit and takes all",
        ),
        (
            (Tier(models=("smal",)),),
            f"tiers[0].models[0]: no model is named 'smal'; {ALLOWED} (did you mean 'small'?)",
        ),
        (
            (Tier(models=("small", "small")),),
            "tiers[0].models[1]: 'small' stands in tiers[0].models[0] already; name it once",
        ),
    ],
)
def test_what_no_request_can_reach_is_a_problem(tiers: tuple[Tier, ...], problem: str) -> None:
    """Limits that do not ascend, tiers behind a catch-all and unknown models are problems."""
    assert problem in statics.problems(TokenTiers(tiers=tiers), CATALOG)


def test_a_good_table_has_no_problem() -> None:
    """Ascending limits, a catch-all at the end and known models are fine; an unknown fallback is not."""
    assert statics.problems(TIERS, CATALOG) == ()
    (problem,) = statics.problems(replace(TIERS, fallback=("lage",)), CATALOG)
    assert problem.startswith("fallback[0]: no model is named 'lage'")
