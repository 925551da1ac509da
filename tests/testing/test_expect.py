from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router import Context, Slate
from router.config_expect import ExpectTable
from router.errors import ConfigError
from router.testing.expect import Verdict, meant, verdict
from router.testing.expect_search import Case
from router.testing.expect_then import broken
from router.testing.space import Point, simplicity
from router.testing.space_world import World
from tests.testing.tiny_configs import every_request, has, random_config, random_expect, world_of

MODELS: dict[str, dict[str, Any]] = {
    "small": {
        "id": "small",
        "base_url": "http://localhost:1",
        "input_usd_per_mtok": "0.1",
        "output_usd_per_mtok": "0.4",
        "context_window_tokens": 8000,
        "max_output_tokens": 1000,
        "capabilities": ["tools"],
        "quality": 0.7,
    },
    "large": {
        "id": "large",
        "base_url": "http://localhost:1",
        "input_usd_per_mtok": "2",
        "output_usd_per_mtok": "8",
        "context_window_tokens": 100000,
        "max_output_tokens": 4000,
        "capabilities": ["tools", "vision", "json_schema"],
        "quality": 0.9,
    },
}
TIERS = {"kind": "token_tiers", "tiers": [{"up_to_tokens": 500, "models": ["small"]}, {"models": ["large"]}]}


def proved(policy: dict[str, Any] | Any, when: dict[str, Any], then: dict[str, Any], **more: Any) -> Verdict:
    """Returns what becomes of an expectation of two models and a policy."""
    world = world_of({"models": MODELS, "policies": {"default": policy}, **more})
    return verdict(ExpectTable.model_validate({"when": when, "then": then}), world)


def smallest_broken(table: ExpectTable, world: World) -> Point | None:
    """Returns the smallest request of the small space for which an expectation does not hold, found by trying all."""
    found: Point | None = None
    for point in every_request(table, world):
        if found is None or simplicity(point) < simplicity(found):
            decision = Case(point=point, draw=0.5).decided(world, "default")
            found = point if broken(table.then, decision) else found
    return found


@pytest.mark.untraced
@settings(max_examples=200)
@given(st.integers(0, 2**32))
def test_proofs_against_brute_force(seed: int) -> None:
    """Proved: no request breaks it. Refuted: the counterexample does, and no smaller one was overlooked."""
    chance = random.Random(seed)
    try:
        world = world_of(random_config(chance))
    except ConfigError:
        return
    table = random_expect(chance)
    found = verdict(table, world)
    assert found.outcome != "searched"
    brute = smallest_broken(table, world)
    if found.counterexample is None:
        assert brute is None
    else:
        assert broken(table.then, found.counterexample.decision) == found.counterexample.broken
        assert brute is None or simplicity(found.counterexample.case.point) <= simplicity(brute)


@pytest.mark.parametrize(
    ("when", "then"),
    [
        ({"tokens": "<= 500", "needs_only": [], "max_tokens": "none"}, {"model": "small", "answered": True}),
        ({"tokens": "> 500"}, {"model_in": ["large"]}),
        ({"above_tokens": 500, "up_to_tokens": 9000, "needs": ["json_schema"]}, {"model_not_in": ["small"]}),
        ({"tokens": "<= 500"}, {"dropped": ["large"], "cost_usd": "< 0.0003", "fallbacks": "= 0"}),
        ({"tokens": "501..5000", "needs_only": ["tools"], "max_tokens": "<= 4000"}, {"live": ["large"]}),
        ({"tokens": "< 500", "images": True}, {"answered": False}),
        ({"max_tokens": "<= 1000", "tokens_most": "< 2000"}, {"worst_case_usd": "<= 0.039"}),
        ({"tokens": ">= 1000"}, {"cost_usd": "> 0.002", "worst_usd": ">= 0.002"}),
        ({"service_tier": "flex"}, {"provider_in": ["openai_compatible"], "provider": "openai_compatible"}),
    ],
)
def test_what_holds(when: dict[str, Any], then: dict[str, Any]) -> None:
    """What holds of every request is proved."""
    assert proved(TIERS, when, then).outcome == "proved"


@pytest.mark.parametrize(
    ("when", "then", "says", "sizes"),
    [
        ({"tokens": "<= 501"}, {"model": "small"}, "large is asked first, not small", (501, 501, 0)),
        ({"tokens": ">= 500", "max_tokens": "none"}, {"model": "large"}, "small is asked first", (500, 500, 0)),
        ({"tokens": "<= 500"}, {"model_not_in": ["small"]}, "small is asked first", (1, 1, 0)),
        ({}, {"cost_usd": "< 0.01"}, "the expected cost is $0.01, not < 0.01", (2995, 2995, 0)),
        ({"max_tokens": ">= 1"}, {"worst_usd": "<= 0.01"}, "$0.010002", (609, 4933, 1)),
        ({"tokens": "> 500"}, {"worst_case_usd": "< 0.1"}, "the worst cost of the request is $0.", (501, 603, 0)),
        ({"needs_only": [], "max_tokens": "none"}, {"answered": True}, "nobody is live", (12422, 99437, 0)),
        ({"needs": ["audio_input"]}, {"answered": True}, "nobody is live", (1, 1, 0)),
        ({"max_tokens": "> 1000"}, {"answered": True, "model": "large"}, "nobody is live", (1, 1, 1001)),
        ({}, {"answered": False}, "small would be asked", (1, 1, 0)),
        ({}, {"live": ["large"]}, "large is not live", (1, 1, 0)),
        ({}, {"dropped": ["small"]}, "small is live", (1, 1, 0)),
        ({}, {"fallbacks": ">= 1"}, "0 models stand by, not >= 1", (1, 1, 0)),
        ({}, {"provider": "anthropic"}, "small of openai_compatible is asked first, not one of anthropic", (1, 1, 0)),
    ],
)
def test_what_does_not_hold(when: dict[str, Any], then: dict[str, Any], says: str, sizes: tuple[int, int, int]) -> None:
    """What does not hold is refuted by the smallest request, with what it gets."""
    found = proved(TIERS, when, then)
    assert found.outcome == "refuted"
    assert found.counterexample is not None
    assert says in " ".join(found.counterexample.broken)
    assert found.counterexample.case.point.sizes == sizes


def test_a_cost_nobody_knows() -> None:
    """An unknown cost is no cost that is low enough."""
    unlimited = {"small": {key: value for key, value in MODELS["small"].items() if key != "max_output_tokens"}}
    found = proved({"kind": "cheapest"}, {"max_tokens": "none"}, {"worst_usd": "< 1"}, models=unlimited)
    assert found.counterexample is not None
    assert found.counterexample.broken == ("the worst cost of one attempt is unknown, not < 1",)
    case = {"kind": "cheapest"}, {"max_tokens": "<= 9"}, {"worst_usd": "< 1"}
    assert proved(*case, models=unlimited).outcome == "proved"


def test_rules_by_tags_tenants_and_expressions() -> None:
    """Patterns are told apart exactly: a value that a rule before it takes is no counterexample."""
    rules = {
        "kind": "rules",
        "rules": [
            {"when": {"tags": {"team": "legal-*"}, "tenant": "acme"}, "use": {"kind": "fallback", "models": ["large"]}},
            {"when": {"last_user_message": "hello"}, "use": {"kind": "fallback", "models": ["small"]}},
        ],
        "otherwise": {"kind": "fallback", "models": ["large"]},
    }
    legal = {"tags": {"team": "legal-eu"}, "tenant": "acme"}
    assert proved(rules, legal, {"model_in": ["large"]}).outcome == "proved"
    assert proved(rules, {"last_user_message": "hello"}, {"dropped": ["large"]}, seed="x").outcome == "refuted"
    small = {"last_user_message": "hello", "tags": {"team": "legal"}}
    assert proved(rules, small, {"dropped": ["large"]}).outcome == "proved"
    found = proved(rules, {"tags": {"team": "legal*"}, "tenant": "acme"}, {"model": "large"})
    assert found.counterexample is not None
    answers = found.counterexample.case.point.answers
    assert answers["match", "hello"]
    assert answers["tag", "team"] == "legal"


def test_every_share_of_a_split() -> None:
    """An expectation of a split must hold whatever is drawn, the smallest share included."""
    split = [{"weight": 999, "model": "small"}, {"weight": 1, "model": "large"}]
    policy = {"kind": "weighted", "split": split, "others": "drop"}
    assert proved(policy, {}, {"fallbacks": "= 0"}).outcome == "proved"
    found = proved(policy, {"needs_only": []}, {"model": "small"})
    assert found.counterexample is not None
    assert found.counterexample.case.draw > 0.999


def test_no_request_is_meant() -> None:
    """Conditions that contradict each other prove nothing."""
    assert proved(TIERS, {"images": True, "needs_only": []}, {"answered": True}).outcome == "empty"
    assert proved(TIERS, {"tokens": "> 5", "up_to_tokens": 4}, {"answered": True}).outcome == "empty"


def test_another_policy() -> None:
    """`when.policy` says which policy the requests name."""
    policies = {"default": TIERS, "good": {"kind": "min_quality", "quality": 0.8}}
    found = proved(TIERS, {"policy": "good"}, {"model": "large"}, policies=policies)
    assert found.outcome == "proved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Whim:
    """Puts the model in front that somebody likes, at some hours."""

    fails: bool = False
    kind: Literal["whim"] = "whim"

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        if self.fails and context.features.stream:
            raise RuntimeError("no streams")
        live = slate.live if context.now.hour < 20 else slate.live[::-1]
        return Slate(live, slate.dropped)


@pytest.mark.untraced
def test_what_cannot_be_proved_is_searched() -> None:
    """Of a policy that nobody knows, an expectation is searched: its counterexample is found, or it says how much."""
    held = proved(Whim(), {"tokens": "< 500"}, {"fallbacks": "<= 1", "cost_usd": "< 1"})
    assert (held.outcome, held.why) == ("searched", "nothing can be proved of the kind whim")
    assert held.looked > 500
    found = proved(Whim(), {"needs_only": [], "max_tokens": "none", "tokens": "< 500"}, {"model": "small"})
    assert found.counterexample is not None
    assert found.counterexample.broken == ("large is asked first, not small",)
    assert found.counterexample.case.now.hour >= 20


def test_a_policy_that_raises() -> None:
    """A policy that raises for some request breaks every expectation of it."""
    found = proved(Whim(fails=True), {"tokens": "< 500"}, {"fallbacks": "<= 1"})
    assert found.counterexample is not None
    assert "RuntimeError: no streams" in found.counterexample.broken[0]


def test_statistics_are_searched() -> None:
    """What goes by statistics is searched, with models that were slow among others."""
    policy = {"kind": "chain", "policies": [{"kind": "max_latency", "p95_s": 8}, {"kind": "cheapest"}]}
    found = proved(policy, {"tokens": "< 500", "needs_only": [], "max_tokens": "none"}, {"model": "small"})
    assert found.counterexample is not None
    assert (found.counterexample.case.stats["small"].latency_p95_s or 0) > 8
    assert proved(policy, {"images": True, "needs_only": []}, {"answered": True}).outcome == "empty"


@pytest.mark.untraced
def test_more_cases_than_can_be_told_apart() -> None:
    """Where there are too many cases for a proof, it is searched, and says so."""
    tags = "abcdefgh"
    split = [{"weight": 1, "use": {"kind": "fallback", "models": ["small"]}} for _ in tags]
    found = proved({"kind": "weighted", "split": split}, {"tokens": "< 500"}, {"fallbacks": "< 1"})
    assert found.outcome == "searched"
    assert "more than 300 ways" in (found.why or "")


def test_the_smallest_stands_in_the_cell_it_is_told_of() -> None:
    """A counterexample is one of the requests that are meant."""
    table = ExpectTable.model_validate(
        {"when": {"tokens": "100..600", "needs": ["tools"], "stream": True}, "then": {"model": "small"}}
    )
    world = world_of({"models": MODELS, "policies": {"default": TIERS}})
    found = verdict(table, world).counterexample
    assert found is not None
    cell = meant(table.when, world, world.setup.policies["default"])
    assert cell is not None
    assert has(cell, found.case.point)
