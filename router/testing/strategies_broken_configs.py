"""Hypothesis strategies for configurations with one thing wrong, and for what must be said about it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from hypothesis import strategies as st

from router.testing.drawn_toml import as_toml
from router.testing.strategies_configs import config_tables

Path = tuple[str, ...]

_GONE: Final = object()
"""In place of a value: the key is taken out."""
_ANY_MODEL: Final = "*"
"""Stands for the first model's name."""


@dataclass(frozen=True, slots=True)
class BrokenConfig:
    """A configuration, and what is wrong with it.

    Attributes:
        text: of the file.
        key: where the error must say it is, as `models.small.quality`; empty where it is the file itself.
        says: what must stand in the same line of the error.
    """

    text: str
    key: str
    says: str


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to break a configuration that stood.

    Attributes:
        path: of the key that is set.
        value: what it is set to.
        says: what must stand in the line of the error.
        below: what the error's key has behind the path.
    """

    path: Path
    value: Any
    says: str
    below: str = ""


def _model(option: str, value: Any, says: str, below: str = "") -> Fault:
    return Fault(("models", _ANY_MODEL, option), value, says, below)


def _policy(value: Any, says: str, below: str = "") -> Fault:
    return Fault(("policies",), {"default": value}, says, f".default{below}")


def _budget(stated: dict[str, Any], says: str, below: str = "") -> Fault:
    return Fault(("budgets",), {"b": {"limit_usd": "5", "window": "day", **stated}}, says, f".b{below}")


_STEPS: Final = [{"ahead": 0.1, "without": [_ANY_MODEL]}]
_KEY: Final = "sk-proj-" + "a1b2" * 8
_CHEAPEST: Final = {"kind": "cheapest"}
FAULTS: Final = (
    Fault(("seeed",), 1, "did you mean 'seed'?"),
    Fault(("models",), _GONE, "is missing"),
    Fault(("models",), {}, "at least one entry"),
    Fault(("models",), 5, "a table"),
    Fault(("unpriced",), "ignore", "allow, drop, refuse"),
    Fault(("expected_output_tokens",), 0, "1 or more"),
    _model("id", _GONE, "is missing"),
    _model("id", "", "not empty"),
    _model("id", 5, "a string"),
    _model("qualty", 1, "did you mean 'quality'?"),
    _model("quality", 90, "at most 1"),
    _model("quality", float("nan"), "a finite number"),
    _model("quality", "good", "a number"),
    _model("input_usd_per_mtok", 0.25, 'write it as a string: "0.25"'),
    _model("input_usd_per_mtok", "-1", "0 or more"),
    _model("output_usd_per_mtok", "$1", "an amount of US dollars"),
    _model("output_usd_per_mtok", "inf", "finite"),
    _model("context_window_tokens", 0, "1 or more"),
    _model("max_output_tokens", 1.5, "a whole number"),
    _model("capabilities", ["visoin"], "did you mean 'vision'?", "[0]"),
    _model("client", "opnai", "did you mean 'openai'?"),
    _model("base_url", "localhost:80", "http://"),
    _model("base_url", "https://a/v1?b=c", "without ? and #"),
    _model("key_env", "my key", "OPENAI_API_KEY"),
    _model("key_env", _KEY, "what looks like the key itself"),
    _model("api_key", _KEY, "name that variable in key_env"),
    _model("headers", {"Authorization": f"Bearer {_KEY}"}, "looks like it carries a key"),
    _model("timeout_s", 0, "more than 0", ".total"),
    _model("timeout_s", {"conect": 1}, "did you mean 'connect'?", ".conect"),
    _model("price_tiers", [{"above_tokens": 9}, {"above_tokens": 8}], "ascend"),
    _model("price_service", {"flx": {}}, "did you mean 'flex'?", ".flx"),
    _model("deployments", [{"name": "a"}, {"name": "a"}], "each once"),
    _model("deployments", [{"name": "a", "weight": 0}], "more than 0", "[0].weight"),
    Fault(("bounds",), {"attempts": 0}, "1 or more", ".attempts"),
    Fault(("bounds",), {"attempts": "3"}, "a whole number", ".attempts"),
    Fault(("bounds",), {"deadline_s": float("inf")}, "a finite number", ".deadline_s"),
    Fault(("bounds",), {"waste_usd": 0.02}, 'write it as a string: "0.02"', ".waste_usd"),
    Fault(("breaker",), {"failure_share": 0}, "more than 0", ".failure_share"),
    Fault(("checks",), {"emtpy": False}, "'empty'", ".emtpy"),
    Fault(("per_policy",), {"nobody": {"hedge": True}}, "no policy is named 'nobody'", ".nobody"),
    Fault(("log",), {"content": "all"}, "full, none", ".content"),
    Fault(("log",), {"redact": [{}]}, "one of them", ".redact[0]"),
    Fault(
        ("log",), {"redact": [{"pattern": "(a+)+b"}]}, "repeats what can match in several ways", ".redact[0].pattern"
    ),
    _budget({"limit_usd": 5.0}, 'write it as a string: "5.0"', ".limit_usd"),
    _budget({"window": "dya"}, "is no window", ".window"),
    _budget({"scope": "tennant"}, "did you mean 'tenant'?", ".scope"),
    _budget({"on_exceed": "policy"}, 'policy = "NAME"'),
    _budget({"policy": "nobody"}, "no policy is named 'nobody'", ".policy"),
    _budget({"fail": "open"}, "an open_share above 0"),
    Fault(("sinks",), {"audit": {"kind": "jsnl"}}, "did you mean 'jsonl'?", ".audit.kind"),
    Fault(("outbox",), {"backend": "sqlit"}, "did you mean 'sqlite'?", ".backend"),
    Fault(("trace",), {"headers": "maybe"}, "true or false", ".headers"),
    _policy({}, "is missing", ".kind"),
    _policy({"kind": "cheapst"}, "did you mean 'cheapest'?", ".kind"),
    _policy({"kind": "cheapest", "by": "x"}, "is no key that lowfare knows", ".by"),
    _policy({"kind": "fallback"}, "is missing", ".models"),
    _policy({"kind": "fallback", "models": []}, "at least one entry", ".models"),
    _policy({"kind": "fallback", "models": ["nobody"]}, "no model is named 'nobody'", ".models[0]"),
    _policy({"kind": "max_cost", "limit_usd": 0.5}, 'write it as a string: "0.5"', ".limit_usd"),
    _policy({"kind": "chain", "policies": ["nobody"]}, "no policy is named 'nobody'", ".policies[0]"),
    _policy({"kind": "chain", "policies": ["default"]}, "default -> default", ".policies[0]"),
    _policy({"kind": "first_of", "policies": [_CHEAPEST, _CHEAPEST]}, "no request can reach it", ".policies[1]"),
    _policy({"kind": "prefer", "deny": [{"provider": "opnai"}]}, "no model matches provider opnai", ".deny[0]"),
    _policy({"kind": "rules", "rules": [{"use": _CHEAPEST}] * 2}, "no request can reach it", ".rules[1]"),
    _policy(
        {"kind": "token_tiers", "tiers": [{"models": [_ANY_MODEL]}, {"models": [_ANY_MODEL]}]},
        "no request can reach it",
        ".tiers[1]",
    ),
    _policy(
        {"kind": "token_tiers", "tiers": [{"up_to_tokens": n, "models": [_ANY_MODEL]} for n in (9, 8)]},
        "limits must ascend",
        ".tiers[1].up_to_tokens",
    ),
    _policy({"kind": "pace", "budget": "nobody", "steps": _STEPS}, "no budget is named 'nobody'", ".budget"),
    _policy({"kind": "weighted", "split": [{"weight": 1}]}, "either a model or a policy", ".split[0]"),
    _policy({"kind": "weighted", "split": [{"weight": 0, "model": _ANY_MODEL}]}, "more than 0", ".split[0].weight"),
    Fault(("policies",), {"defualt": _CHEAPEST}, "none is named 'default'", ".defualt"),
    Fault(("policies",), {"default": _CHEAPEST, "none": _CHEAPEST}, "any other", ".none"),
)
"""Each is wrong in any configuration, whatever else stands in it."""

_NO_TOML: Final = st.sampled_from(["[bounds\n", "x = \n", "= 1\n", 'x = "\n', "[models]\n[models]\n", "x = 1\nx = 2\n"])


@st.composite
def broken_configs(draw: st.DrawFn) -> BrokenConfig:
    """Draws a configuration in which one thing is wrong, with what `load` or `setup_of` must say of it."""
    tables = draw(_TABLES)
    if draw(_SELDOM):
        return BrokenConfig(as_toml(tables) + draw(_NO_TOML), "", "is not TOML")
    return broken(tables, draw(_FAULTS))


_TABLES: Final = config_tables()
_FAULTS: Final = st.sampled_from(FAULTS)
_SELDOM: Final = st.sampled_from([False] * 19 + [True])


def broken(tables: Mapping[str, Any], fault: Fault, /) -> BrokenConfig:
    """Returns a configuration that stood, with one fault in it."""
    changed = copy.deepcopy(dict(tables))
    name = next(iter(tables["models"]))
    path = tuple(name if part == _ANY_MODEL else part for part in fault.path)
    if path[0] in {"policies", "per_policy", "budgets"}:  # which name each other
        changed.pop("policies", None)
        changed.pop("per_policy", None)
        changed.pop("budgets", None)
    if path[0] == "bounds":  # which those of a policy may not exceed
        changed.pop("per_policy", None)
    table = changed
    for part in path[:-1]:
        table = table[part]
    if fault.value is _GONE:
        del table[path[-1]]
    else:
        table[path[-1]] = _naming(fault.value, name)
    return BrokenConfig(as_toml(changed), ".".join(map(_quoted, path)) + fault.below, fault.says)


def _naming(value: Any, name: str) -> Any:
    """Returns a value with the model's name where one is meant."""
    match value:
        case str() if value == _ANY_MODEL:
            return name
        case list():
            return [_naming(item, name) for item in value]
        case dict():
            return {key: _naming(item, name) for key, item in value.items()}
        case _:
            return value


def _quoted(key: str) -> str:
    """Returns a key as errors write it."""
    plain = key.isascii() and key.replace("_", "").replace("-", "").isalnum()
    return key if plain else f'"{key}"'
