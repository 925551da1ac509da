"""Scenarios: their TOML form, what is wrong with one, and those that are drawn."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.errors import ConfigError
from router.testing.drawn import random_scenario
from router.testing.scenario import Scenario, load_scenario, with_trace
from router.testing.strategies import scenarios

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "scenarios"
CONFIG: dict[str, Any] = {
    "models": {"small": {"id": "simulated/small", "input_usd_per_mtok": "1", "output_usd_per_mtok": "2"}}
}
TOML = """
[config.models.small]
id = "simulated/small"
input_usd_per_mtok = "1"
output_usd_per_mtok = "2"
"""


def written(folder: Path, text: str, *, name: str = "scenario.toml") -> Path:
    """Writes a file; returns its path."""
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_the_examples_load(path: Path) -> None:
    """Each has a title, and a configuration that stands."""
    scenario = load_scenario(path)
    assert scenario.title
    assert scenario.settings().models


def test_a_scenario_may_name_a_configuration(tmp_path: Path) -> None:
    """By a path relative to its own folder; so a program's own file can be put to the test, trace ids switched on."""
    written(tmp_path, TOML.replace("config.", "") + "[trace]\nheaders = false\nhosts = []\n", name="config.toml")
    settings = load_scenario(written(tmp_path, 'config = "config.toml"')).settings()
    assert list(settings.models) == ["small"]
    assert settings.trace.headers
    assert settings.trace.hosts is None


def test_a_trace_is_found_beside_the_scenario(tmp_path: Path) -> None:
    """Its path is relative too."""
    path = written(tmp_path, TOML + '[traffic]\nkind = "trace"\npath = "day.parquet"\n')
    assert load_scenario(path).traffic.path == str(tmp_path / "day.parquet")


def test_a_trace_replaces_the_traffic() -> None:
    """Times and lengths are the trace's; options and shares stay."""
    scenario = Scenario(config=CONFIG, traffic={"stream_share": 0.5, "options": {"max_tokens": 5}})  # type: ignore[arg-type]  # pydantic reads tables
    traffic = with_trace(scenario, Path("day.parquet")).traffic
    assert (traffic.kind, traffic.path, traffic.stream_share) == ("trace", "day.parquet", 0.5)
    assert traffic.options == {"max_tokens": 5}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("= 1", "is not TOML"),
        ("", "config: is missing; it must be set"),
        ("[config.models.small]", "config: models.small.id: is missing"),
        (TOML + "[traffic]\nrate = 1", "traffic.rate: is no key that lowfare knows"),
        (TOML + "[traffic]\nrate_per_s = 0", "traffic.rate_per_s: found 0; allowed: more than 0"),
        (TOML + "[traffic]\nkind = 'trace'", "traffic: found a trace without path"),
        (TOML + "[[troubles]]\nkind = 'earthquake'", "troubles[0].kind: found 'earthquake'; allowed: "),
        (TOML + "[[troubles]]\nkind = 'hang'\nmodel = 'smal'", "troubles[0].model: found 'smal', which fits no model"),
        (TOML + "[[troubles]]\nkind = 'hang'\nbilled = true", "allowed: only with kind 'error'"),
        (TOML + "[providers.large]\ntokens_per_s = 5", "providers.large: is no model of the configuration"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, text: str, told: str) -> None:
    """With the file, the key, what was found and what is allowed."""
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_scenario(path)
    assert told in str(caught.value)
    assert str(caught.value).startswith(str(path))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """It says which."""
    with pytest.raises(ConfigError, match="cannot be read"):
        load_scenario(tmp_path / "absent.toml")


@given(st.integers(min_value=0))
def test_the_same_seed_draws_the_same_scenario(seed: int) -> None:
    """So a failing seed says all that is needed to repeat it."""
    assert random_scenario(random.Random(seed)) == random_scenario(random.Random(seed))


@settings(max_examples=40)
@given(scenarios())
def test_drawn_scenarios_are_sound(scenario: Scenario) -> None:
    """Their settings stand, and somebody asks something."""
    assert scenario.settings().models
    assert scenario.traffic.arrivals(0)
