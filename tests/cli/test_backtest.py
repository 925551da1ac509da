from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import lowfare, parsed, words, write_config

TIERS = """
[policies.default]
kind = "token_tiers"
tiers = [{ up_to_tokens = 40, models = ["small"] }, { models = ["large"] }]
"""
ALL_LARGE = """
[policies.default]
kind = "fallback"
models = ["large"]

[policies.cheap]
kind = "cheapest"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Returns a folder with a log of two requests, the configuration that wrote it, and two others."""
    logging = write_config(tmp_path, f'{TIERS}\n[log]\npath = "{tmp_path}/log.jsonl"\n')
    for prompt in ("short", "long " * 100):
        assert lowfare("complete", prompt, "--config", logging, "--max-tokens", "50").exit_code == 0
    logging.rename(tmp_path / "old.toml")
    write_config(tmp_path, ALL_LARGE).rename(tmp_path / "large.toml")
    write_config(tmp_path, TIERS)
    return tmp_path


def test_a_dearer_policy(folder: Path) -> None:
    """The terminal says what it would have cost, how much of that is known, and from which model to which."""
    result = lowfare("backtest", folder / "log.jsonl", "--config", folder / "large.toml", "--processes", "1")
    assert result.exit_code == 0
    said = words(result.stdout)
    assert "50.0 % of 2 requests would get another model" in said
    assert "the cost is estimated, and the adequacy unobserved" in said
    assert "From model to model" in said
    assert "small large 1 50.0 %" in said, said


def test_figures_in_json(folder: Path) -> None:
    """JSON has each figure by name, and every table; the log is that of the configuration where none is named."""
    got = parsed(lowfare("backtest", "--config", folder / "old.toml", "--json", "--processes", "1"))
    assert got["failed"] is None
    figures = got["figures"]
    assert figures["requests"] == "2"
    assert figures["cost_usd"] == figures["baseline"] == figures["observed_usd"]
    assert figures["savings_usd"] == "0"
    assert figures["adequacy"] is None
    tables = got["report"]["sections"]["moves"]["tables"]["moves"]
    assert {(row["was"], row["now"]) for row in tables} == {("small", "small"), ("large", "large")}


def test_conditions_for_ci(folder: Path) -> None:
    """A condition that holds is exit code 1, with the figures that it asked for; one that does not is 0."""
    options = ("backtest", folder / "log.jsonl", "--config", folder / "large.toml", "--processes", "1")
    failed = lowfare(*options, "--fail-if", "cost_usd > baseline * 1.02")
    assert failed.exit_code == 1
    assert "failed: cost_usd > baseline * 1.02 (baseline = 0.0" in failed.stderr
    assert parsed(lowfare(*options, "--json", "--fail-if", "requests > 1"))["failed"] is True
    assert lowfare(*options, "--policy", "cheap", "--fail-if", "cost_usd > baseline").exit_code == 0
    wrong = lowfare(*options, "--fail-if", "cost > 1")
    assert wrong.exit_code == 2
    assert "no figure 'cost'" in words(wrong.stderr)
    unknown = lowfare(*options, "--fail-if", "adequacy < 0.9")
    assert unknown.exit_code == 1
    assert "adequacy is unknown" in words(unknown.stderr)


def test_budgets_in_the_order_of_time(folder: Path) -> None:
    """The report says how budgets were taken; played, they take one process."""
    budget = '\n[budgets.day]\nlimit_usd = "0"\nwindow = "day"\n'
    config = folder / "large.toml"
    config.write_text(config.read_text() + budget)
    options = ("backtest", folder / "log.jsonl", "--config", config)
    said = words(lowfare(*options, "--processes", "1").stdout)
    assert "held against what was spent then" in said
    got = parsed(lowfare(*options, "--budgets", "played", "--json"))
    assert got["figures"]["no_answer"] == "2"
    assert words(lowfare(*options, "--budgets", "played").stdout).count("played in the order of time") == 1
    for more in (("--engine", "ray"), ("--processes", "2")):
        wrong = lowfare(*options, "--budgets", "played", *more)
        assert wrong.exit_code == 2
        assert "--budgets played takes the requests one after the other" in wrong.stderr


def test_two_configurations(folder: Path) -> None:
    """The second is compared with the first, on the same requests, with an interval."""
    both = ("--against", folder / "config.toml", folder / "large.toml")
    got = parsed(lowfare("backtest", folder / "log.jsonl", *both, "--json", "--processes", "1"))
    figures = got["figures"]
    assert float(figures["difference_usd_low"]) <= float(figures["difference_usd"])
    assert float(figures["cost_usd"]) > float(figures["baseline"])
    assert "comparison" in got["report"]["sections"]
    assert "cost_2" in got["report"]["sections"]


def test_a_page(folder: Path) -> None:
    """The page goes to a file, or alone to standard output; where it cannot be written, the error says so."""
    options = ("backtest", folder / "log.jsonl", "--config", folder / "large.toml", "--processes", "1")
    assert lowfare(*options, "--html", folder / "page.html").exit_code == 0
    page = (folder / "page.html").read_text()
    assert "From model to model" in page
    assert lowfare(*options, "--html", "-").stdout.startswith(page[:100])
    nowhere = lowfare(*options, "--html", folder / "gone" / "page.html")
    assert nowhere.exit_code == 2
    assert "cannot be written" in words(nowhere.stderr)


def test_off_policy(folder: Path) -> None:
    """With the configuration that wrote the log, what cannot be estimated is told in words."""
    options = ("backtest", folder / "log.jsonl", "--config", folder / "large.toml", "--processes", "1")
    result = lowfare(*options, "--logged-by", folder / "old.toml", "--reward", "answer")
    assert result.exit_code == 0
    assert "Off-policy estimates" in result.stdout
    assert "no overlap: 50.0 % of the requests may go to models that the log never tries" in words(result.stdout)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--policy", "gone"), "there are cheap, default"),
        (("--against", "large.toml", "large.toml"), "name either the one configuration to play, or the two"),
    ],
)
def test_wrong_usage(folder: Path, options: tuple[str, ...], said: str) -> None:
    """What is wrong is told, and nothing is printed."""
    given = [str(folder / "log.jsonl"), "--config", str(folder / "large.toml")]
    paths = [str(folder / o) if o.endswith(".toml") else o for o in options]
    result = lowfare("backtest", *given, *paths)
    assert result.exit_code == 2
    assert said in words(result.stderr)


def test_no_log(folder: Path) -> None:
    """Without a log that is named or configured, and with one that is not there, the error says so."""
    unnamed = lowfare("backtest", "--config", folder / "large.toml")
    assert unnamed.exit_code == 2
    assert "so there is no log; name one" in words(unnamed.stderr)
    missing = lowfare("backtest", folder / "gone.jsonl", "--config", folder / "large.toml", "--json")
    assert missing.exit_code == 2
    assert "there is no such log" in json.loads(missing.stdout)["error"]["message"]
