"""Configurations that are drawn stand; those that are broken are refused, in the words that come with them."""

from __future__ import annotations

import math
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.max_cost import MaxCost
from policies.rules import Rule, Rules, When
from policies.token_tiers import Tier, TokenTiers
from router.config import load
from router.errors import ConfigError
from router.prices.litellm_map import PriceMap, load_price_map
from router.setup import setup_of
from router.testing.drawn_toml import as_toml
from router.testing.strategies import BrokenConfig, broken_configs, config_tables, configs
from router.testing.strategies_broken_configs import FAULTS, Fault, broken
from router.testing.strategies_configs import table_of

LEAST: dict[str, Any] = {
    "models": {"a": {"id": "simulated/a", "input_usd_per_mtok": "1", "output_usd_per_mtok": "1"}},
}


@pytest.fixture(scope="module")
def prices() -> PriceMap:
    """Returns the installed price map."""
    return load_price_map()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the path that configurations are written to, one after the other."""
    return tmp_path_factory.mktemp("configs") / "config.toml"


@pytest.mark.untraced
@given(tables=config_tables())
@settings(max_examples=60)
def test_configurations_stand(file: Path, prices: PriceMap, tables: dict[str, Any]) -> None:
    """Each is loaded and set up, with every model and policy that it states."""
    file.write_text(as_toml(tables))
    setup = setup_of(load(file, environ={}), prices=prices)
    assert set(setup.catalog) == set(tables["models"])
    assert set(setup.policies) == {*tables.get("policies", {}), "default"}
    for name, table in tables.get("policies", {}).items():
        assert table_of(setup.policies[name]) == table


@given(text=configs())
@settings(max_examples=20)
def test_configurations_are_toml(text: str) -> None:
    """The text has at least one model."""
    assert tomllib.loads(text)["models"]


def refused(file: Path, prices: PriceMap, case: BrokenConfig) -> list[str]:
    """Returns the lines of the error with which a broken configuration is refused."""
    file.write_text(case.text)
    with pytest.raises(ConfigError) as caught:
        setup_of(load(file, environ={}), prices=prices)
    return str(caught.value).splitlines()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: ".".join(fault.path) + fault.below)
def test_each_fault_is_said(file: Path, prices: PriceMap, fault: Fault) -> None:
    """In the smallest configuration there is one line, about this fault."""
    case = broken(LEAST, fault)
    (line,) = refused(file, prices, case)
    assert line.startswith(f"{file}: {case.key}: ")
    assert case.says in line


@pytest.mark.untraced
@given(case=broken_configs())
@settings(max_examples=80)
def test_a_fault_is_said_whatever_else_stands_there(file: Path, prices: PriceMap, case: BrokenConfig) -> None:
    """One line names its key and says what comes with it."""
    start = f"{file}: {case.key}" if case.key else f"{file}: is not TOML"
    assert any(line.startswith(start) and case.says in line for line in refused(file, prices, case)), case


def test_no_key_is_shown() -> None:
    """What a fault says never holds the key that it puts into the file."""
    assert all("a1b2a1b2" not in fault.says for fault in FAULTS)
    assert len({(fault.path, str(fault.value)) for fault in FAULTS}) == len(FAULTS) >= 40


values = st.recursive(
    st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), values, max_size=4))
def test_tables_are_read_as_they_were_written(tables: dict[str, Any]) -> None:
    """Whatever the names and texts in them, and however deep."""
    assert tomllib.loads(as_toml(tables)) == tables


def test_what_toml_cannot_hold_is_refused_or_left_out() -> None:
    """None is no value, amounts are strings, sets are lists in order, NaN has its own name."""
    inner: dict[str, Any] = {"f": None, "g": {}}
    tables: dict[str, Any] = {"a": None, "b": Decimal("0.10"), "c": frozenset({"y", "x"}), "d": (1,), "e": inner}
    assert tomllib.loads(as_toml(tables)) == {"b": "0.10", "c": ["x", "y"], "d": [1], "e": {"g": {}}}
    assert math.isnan(tomllib.loads(as_toml({"a": math.nan}))["a"])
    assert tomllib.loads(as_toml({"a": -math.inf})) == {"a": -math.inf}
    with pytest.raises(TypeError, match="object has no form in TOML"):
        as_toml({"a": object()})


def test_policies_are_written_as_people_write_them() -> None:
    """The kind first, then what is not at its default."""
    policy = Rules(
        rules=(Rule(when=When(tags={"team": "x"}, needs=frozenset({"tools"})), use=MaxCost(limit_usd=Decimal("0.1"))),),
        otherwise=TokenTiers(tiers=(Tier(models=("a",), up_to_tokens=5), Tier(models=("b",)))),
    )
    assert list(table_of(policy)) == ["kind", "rules", "otherwise"]
    assert table_of(policy) == {
        "kind": "rules",
        "rules": [
            {
                "use": {"kind": "max_cost", "limit_usd": Decimal("0.1")},
                "when": {"tags": {"team": "x"}, "needs": ["tools"]},
            }
        ],
        "otherwise": {"kind": "token_tiers", "tiers": [{"models": ["a"], "up_to_tokens": 5}, {"models": ["b"]}]},
    }
