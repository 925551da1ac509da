"""What takes true or false takes nothing else, wherever it stands in a configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from router.config import Settings, load
from router.config_alerts import KINDS
from router.config_expect import ExpectFile
from router.config_policies import GROUP, policy_class, schema_of
from router.errors import ConfigError
from router.registry import installed

MODELS = {"m": {"id": "simulated/m", "client": "simulated"}}


def rules(**when: Any) -> dict[str, Any]:
    """Returns a policy with a condition."""
    rule = {"when": when, "then": {"kind": "fallback", "models": ["m"]}}
    return {"policies": {"default": {"kind": "rules", "rules": [rule], "default": {"kind": "cheapest"}}}}


PLACES: dict[str, Callable[[Any], dict[str, Any]]] = {
    "hedge.enabled": lambda value: {"hedge": {"enabled": value}},
    "checks.empty": lambda value: {"checks": {"empty": value}},
    "breaker.keep_last": lambda value: {"breaker": {"keep_last": value}},
    "per_policy.default.hedge": lambda value: {"per_policy": {"default": {"hedge": value}}},
    "per_policy.default.cache.sampled": lambda value: {"per_policy": {"default": {"cache": {"sampled": value}}}},
    "cache.sampled": lambda value: {"cache": {"sampled": value}},
    "otel.traces": lambda value: {"otel": {"traces": value}},
    "alerts[0].forecast": lambda value: {
        "alerts": [{"kind": "budget", "budget": "d", "at": [0.5], "forecast": value, "to": ["log"]}]
    },
    "expect[0].when.stream": lambda value: {"expect": [{"when": {"stream": value}, "then": {"model": "m"}}]},
    "policies.default.rules[0].when.stream": lambda value: rules(stream=value),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("value", ["yes", "true", 1, 0.0, "off"])
def test_only_true_and_false_are_taken(place: str, value: Any) -> None:
    """A string or a number is refused, with the place and what is allowed."""
    with pytest.raises(ConfigError) as caught:
        Settings(**{"models": MODELS, **PLACES[place](value)})
    assert f"{place}: found {value!r}; allowed: true or false" in str(caught.value)


@pytest.mark.parametrize("value", ["true", "False", "1", "off"])
def test_a_variable_of_the_environment_may_say_it_in_words(tmp_path: Path, value: str) -> None:
    """It has no other form; what is no such word is refused there too."""
    file = tmp_path / "config.toml"
    file.write_text('[models.m]\nid = "simulated/m"\nclient = "simulated"\n')
    settings = load(file, environ={"LOWFARE_HEDGE__ENABLED": value})
    assert settings.hedge.enabled == (value in {"true", "1"})
    with pytest.raises(ConfigError, match="allowed: true or false"):
        load(file, environ={"LOWFARE_HEDGE__ENABLED": "perhaps"})


def flags(schema: Any, *, guarded: bool = False) -> Iterator[bool]:
    """Yields of each boolean of a schema whether something stands in front of it that refuses what is none."""
    if isinstance(schema, Mapping):
        if schema.get("type") == "bool":
            yield guarded
        before = schema.get("type") == "function-before"
        for value in schema.values():
            yield from flags(value, guarded=before)
    elif isinstance(schema, list | tuple):
        for value in schema:
            yield from flags(value)


def tables(cls: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Yields all classes of a kind that ships, itself included."""
    yield cls
    for other in cls.__subclasses__():
        yield from tables(other)


def test_every_table_and_every_policy_is_guarded() -> None:
    """Whatever is added later: there is no table with a boolean that is read out of words."""
    ours = {cls for cls in tables(BaseModel) if cls.__module__.startswith("router.")}
    assert {Settings, ExpectFile, *KINDS.values()} <= ours
    found = {cls.__name__: list(flags(cls.__pydantic_core_schema__)) for cls in ours}
    assert found["HedgeTable"] == [True]
    assert {name: told for name, told in found.items() if not all(told)} == {}
    registry = installed(GROUP)
    for kind in registry.kinds:
        assert all(flags(schema_of(policy_class(registry, kind)))), kind
