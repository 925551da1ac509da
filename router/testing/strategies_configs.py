"""Hypothesis strategies for configurations as TOML: whole ones that stand, and such with one thing wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from hypothesis import strategies as st

from router import Model, Policy, statics
from router.testing.drawn_toml import as_toml
from router.testing.strategies_policies import policies
from router.testing.strategies_vocabulary import CAPABILITIES, NAMES, Vocabulary

_HOSTILE_NAMES: Final = ("a", "b", "gpt-4.1", "großes Modell", 'say "hi"', "none?", "\U0001f600")
_AMOUNTS: Final = st.sampled_from(["1", "0", "0.15", "2.50", "75", "1e-3"])
_SOME_ABILITIES: Final = st.lists(st.sampled_from(CAPABILITIES), unique=True, max_size=4)
_MODEL_OPTIONS: Final[st.SearchStrategy[dict[str, Any]]] = st.fixed_dictionaries(
    {},
    optional={
        "quality": st.sampled_from([0.5, 0, 1, 0.95]),
        "capabilities": _SOME_ABILITIES,
        "context_window_tokens": st.sampled_from([1, 8192, 1_000_000]),
        "max_output_tokens": st.sampled_from([1, 4096]),
        "region": st.sampled_from(["eu-1", "us-1"]),
        "cached_input_usd_per_mtok": _AMOUNTS,
        "request_usd": _AMOUNTS,
        "price_tiers": st.sampled_from([[{"above_tokens": 200_000, "input_usd_per_mtok": "3"}], []]),
        "price_service": st.sampled_from([{"batch": {"input_usd_per_mtok": "0.5"}}, {}]),
        "base_url": st.sampled_from(["http://localhost:8000/v1", "https://example.com"]),
        "key_env": st.just("PROVIDER_API_KEY"),
        "headers": st.just({"X-Team": "söme"}),
        "timeout_s": st.one_of(st.sampled_from([1, 0.5]), st.just({"connect": 5, "total": 60})),
        "deployments": st.sampled_from([[{"name": "here", "region": "eu-1"}, {"name": "there", "weight": 2.5}], []]),
        "concurrency": st.just(5),
        "queue": st.just(0),
        "options": st.just({"seed": 1}),
    },
)
_PER_POLICY: Final = st.fixed_dictionaries(
    {},
    optional={
        "bounds": st.sampled_from([{"attempts": 1}, {"deadline_s": 0.5}, {}]),
        "checks": st.just({"refusal": True}),
        "prefer_wait_s": st.sampled_from([0, 2.5]),
        "hedge": st.booleans(),
    },
)
_REST: Final[st.SearchStrategy[dict[str, Any]]] = st.fixed_dictionaries(
    {},
    optional={
        "seed": st.sampled_from(["", "7", "tomorrow"]),
        "expected_output_tokens": st.sampled_from([1, 500]),
        "unpriced": st.sampled_from(["refuse", "drop", "allow"]),
        "bounds": st.sampled_from([{"attempts": 100, "deadline_s": 86_400}, {"waste_usd": "0.02"}, {}]),
        "checks": st.sampled_from([{"refusal": True, "empty": False}, {}]),
        "breaker": st.sampled_from([{"consecutive_failures": 1, "failure_share": 1, "keep_last": False}, {}]),
        "retry_quota": st.sampled_from([{"share": 0, "least_per_s": 0.5}, {}]),
        "concurrency": st.sampled_from([{"limit": 1, "queue": 0}, {}]),
        "hedge": st.sampled_from([{"enabled": True, "after_s": "p95"}, {"after_s": 0.5}]),
        "log": st.sampled_from([{"content": "none"}, {"content": "full", "redact": [{"pattern": "[0-9]+"}]}, {}]),
        "trace": st.sampled_from([{"headers": False}, {}]),
    },
)
_BUDGET: Final[st.SearchStrategy[dict[str, Any]]] = st.fixed_dictionaries(
    {"limit_usd": _AMOUNTS, "window": st.sampled_from(["hour", "day", "week", "month", "24h", "total"])},
    optional={
        "time_zone": st.sampled_from(["Europe/Berlin", "America/St_Johns"]),
        "scope": st.sampled_from(["all", "tenant", "tag:team", "policy", "model", "provider"]),
        "on_exceed": st.sampled_from(["block", "cheapest", "alert"]),
    },
)
_PLAIN: Final[st.SearchStrategy[dict[str, Any]]] = st.just({})


@st.composite
def _models(draw: st.DrawFn) -> dict[str, dict[str, Any]]:
    names = draw(st.lists(st.sampled_from(_HOSTILE_NAMES), unique=True, min_size=1, max_size=3))
    return {
        name: {
            "id": f"simulated/{NAMES[place]}",
            "input_usd_per_mtok": draw(_AMOUNTS),
            "output_usd_per_mtok": draw(_AMOUNTS),
            **draw(st.one_of(_PLAIN, _MODEL_OPTIONS)),
        }
        for place, name in enumerate(names)
    }


_MODELS: Final = _models()


@st.composite
def config_tables(draw: st.DrawFn) -> dict[str, Any]:
    """Draws a configuration as tables: one that `router.config.load` and `router.setup.setup_of` take."""
    tables: dict[str, Any] = {**draw(st.one_of(_PLAIN, _REST)), "models": draw(_MODELS)}
    catalog = {name: _model(name, table) for name, table in tables["models"].items()}
    named = {name: _sound(draw, catalog) for name in draw(_POLICY_NAMES)}
    if named:
        tables["policies"] = {name: table_of(policy) for name, policy in named.items()}
        needed = {
            name for policy in named.values() for _, p in statics.parts(policy) for name in statics.reads_budgets(p)
        }
        if needed:
            tables["budgets"] = {name: draw(_BUDGET) for name in sorted(needed)}
        if draw(st.booleans()):
            tables["per_policy"] = {next(iter(named)): draw(_PER_POLICY)}
    return tables


_POLICY_NAMES: Final = st.sampled_from([[], ["default"], ["default", "for legal"]])
_ATTEMPTS: Final = 3
"""Policies that are drawn before one that surely makes sense is taken."""


def _sound(draw: st.DrawFn, catalog: Mapping[str, Model]) -> Policy:
    """Draws a policy with which nothing is wrong over these models."""
    words = Vocabulary(names=tuple(catalog), providers=("simulated",), regions=("eu-*", "us-1"))
    for _ in range(_ATTEMPTS):
        policy = draw(policies(vocabulary=words, max_leaves=4))
        parts = [part for _, part in statics.parts(policy)]
        if all(not statics.problems(part, catalog) and statics.may_leave(part, catalog) for part in parts):
            return policy
    return draw(policies(kinds=["cheapest"]))


def _model(name: str, table: Mapping[str, Any]) -> Model:
    """Returns what policies look at of a model, as its table states it."""
    return Model(
        name=name,
        id=table["id"],
        provider="simulated",
        client="simulated",
        quality=table.get("quality"),
        region=table.get("region"),
        capabilities=frozenset(table.get("capabilities", ())),
    )


def table_of(value: Any, /) -> Any:
    """Returns a policy, or a value in its options, as TOML has it; options at their default are left out."""
    match value:
        case frozenset():
            return sorted(value)
        case list() | tuple():
            return [table_of(item) for item in value]
        case Mapping():
            return {name: table_of(item) for name, item in value.items()}
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            stated = {
                field.name: getattr(value, field.name) for field in dataclasses.fields(value) if _says(field, value)
            }
            kind = getattr(value, "kind", None)
            return ({"kind": kind} if kind is not None else {}) | {n: table_of(item) for n, item in stated.items()}
        case _:
            return value


def _says(field: dataclasses.Field[Any], value: Any) -> bool:
    """Returns whether an option is not at its default."""
    now = getattr(value, field.name)
    if field.name == "kind" or now is None:
        return False
    default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    return default is dataclasses.MISSING or now != default


def configs() -> st.SearchStrategy[str]:
    """Returns a strategy of configurations as TOML that `router.config.load` and `router.setup.setup_of` take."""
    return config_tables().map(as_toml)
