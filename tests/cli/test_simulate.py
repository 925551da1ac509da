from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]  # it ships no types
import pytest
import typer
from pyarrow import parquet

from router.cli.simulate import replay_command, tell
from router.testing.report import Report, Violation
from tests.cli.command import lowfare, parsed, words

SCENARIO = """
title = "half an outage"

[config.models.small]
id = "simulated/small"
input_usd_per_mtok = "1"
output_usd_per_mtok = "2"

[config.models.large]
id = "simulated/large"
input_usd_per_mtok = "5"
output_usd_per_mtok = "10"

[traffic]
rate_per_s = 2
duration_s = 30
options = { max_tokens = 200 }

[[troubles]]
kind = "error"
model = "small"
start_s = 10
duration_s = 10
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    """A scenario of half a minute."""
    path = tmp_path / "scenario.toml"
    path.write_text(SCENARIO)
    return path


def test_what_it_shows(scenario: Path) -> None:
    """Success, calls, cost and waste by the record and in truth, latency, and the load in the trouble."""
    result = lowfare("simulate", "--scenario", scenario, "--seed", "3")
    text = words(result.stdout)
    assert result.exit_code == 0
    for told in ("half an outage, seed 3", "success 100.00 %", "by the record", "in truth", "p99", "longest request"):
        assert told in text
    assert "trouble 0: error small" in text
    assert "requests simulated in" in result.stderr


def test_its_json_repeats(scenario: Path) -> None:
    """The same seed prints the same, with the command that prints it again."""
    first = lowfare("simulate", "--scenario", scenario, "--seed", "3", "--json")
    out = parsed(first)
    assert out["replay"] == f"lowfare simulate --scenario {scenario} --seed 3"
    assert out["violations"] == []
    assert Decimal(out["cost_usd"]) > Decimal(out["true_cost_usd"]) > 0
    assert lowfare("simulate", "--scenario", scenario, "--seed", "3", "--json").stdout == first.stdout
    assert lowfare("simulate", "--scenario", scenario, "--seed", "4", "--json").stdout != first.stdout


def test_a_scenario_drawn_from_the_seed() -> None:
    """`random` needs no file."""
    out = parsed(lowfare("simulate", "--scenario", "random", "--seed", "7", "--json"))
    assert out["replay"] == "lowfare simulate --scenario random --seed 7"
    assert out["requests"] > 0


def test_a_trace_replaces_the_traffic(scenario: Path, tmp_path: Path) -> None:
    """As many requests as it has rows."""
    trace = tmp_path / "trace.parquet"
    parquet.write_table(pa.table({"t_s": [0.0, 1.0], "input_tokens": [50, 60], "output_tokens": [5, 6]}), trace)
    out = parsed(lowfare("simulate", "--scenario", scenario, "--trace", trace, "--json"))
    assert out["requests"] == 2
    assert out["replay"].endswith(f"--trace {trace}")


def test_a_scenario_that_is_not_there() -> None:
    """Wrong usage, with what else is possible."""
    result = lowfare("simulate", "--scenario", "absent.toml")
    assert result.exit_code == 2
    assert "'random' draws a scenario from the seed" in words(result.stderr)


def test_a_scenario_that_is_wrong(tmp_path: Path) -> None:
    """A ConfigError, as JSON too."""
    path = tmp_path / "wrong.toml"
    path.write_text(SCENARIO + "sahre = 0.5\n")
    result = lowfare("simulate", "--scenario", path, "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["type"] == "ConfigError"
    assert "did you mean 'share'" in result.stderr or "share" in result.stderr


def report(*violations: Violation) -> Report:
    """Returns the report of a run in which nobody was answered."""
    return Report(
        title="",
        seed=9,
        requests=1,
        outcomes={"BoundsExceeded": 1},
        success_share=0.0,
        calls={},
        calls_most=0,
        fates={},
        cost_usd=None,
        waste_usd=None,
        true_cost_usd=Decimal(0),
        true_waste_usd=Decimal(0),
        unrecorded_usd=None,
        latency_s={},
        longest_s=1.0,
        loads=(),
        violations=violations,
    )


def test_broken_promises_come_with_the_command_that_repeats_them(capsys: pytest.CaptureFixture[str]) -> None:
    """Each by its rule, on stderr, a few of many; the command quotes what a shell would read otherwise."""
    broken = [Violation(rule="attempts", trace_id=f"{n:032x}", detail="9 calls, 3 are allowed") for n in range(30)]
    broken[0] = Violation(rule="leak", trace_id="", detail="the task 'x' was left over")
    with pytest.raises(typer.Exit) as caught:
        tell(report(*broken), replay_command("my scenario.toml", 9), as_json=False)
    assert caught.value.exit_code == 1
    shown = capsys.readouterr()
    assert "simulation, seed 9" in shown.out
    assert "30 broken promises" in shown.err
    assert shown.err.count("attempts: 9 calls") == 19
    assert "10 more" in shown.err
    assert "lowfare simulate --scenario 'my scenario.toml' --seed 9" in words(shown.err)
