from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from router import Router
from router.cli.savings import parsed_tiers
from router.config import load
from router.errors import RequestError
from router.setup import setup_of
from router.sinks.jsonl import JsonlSink
from tests.cli.command import environment, lowfare, parsed, words, write_config

LARGE_FIRST = '[policies.default]\nkind = "fallback"\nmodels = ["large"]\n'
SIMULATED = '[models.gpt]\nid = "openai/gpt-4.1"\nclient = "simulated"\n'


def logged(folder: Path, rest: str = LARGE_FIRST) -> tuple[Path, Path]:
    """Returns a configuration and a log of five requests, one of which small answered; one trace is labelled."""
    config, log = write_config(folder, rest), folder / "log.jsonl"
    with Router(load(config), sinks=[JsonlSink(log)]) as router:
        for _ in range(3):
            router.complete("Hi", max_tokens=20)
        router.complete("word " * 800, max_tokens=20)
        cheap = router.complete("Hi", max_tokens=20, policy="cheap")
        router.feedback(cheap.trace_id, adequate=True)
    return config, log


CHEAP = LARGE_FIRST + '[policies.cheap]\nkind = "cheapest"\n'


def table(result: Any, name: str) -> list[dict[str, Any]]:
    """Returns the rows of a table of the JSON."""
    rows: list[dict[str, Any]] = result["sections"]["savings"]["tables"][name]
    return rows


def test_the_estimate_in_words(tmp_path: Path) -> None:
    """It says what would be saved, how much of that is observed and how much assumed, and prints the TOML for it."""
    config, log = logged(tmp_path, CHEAP)
    result = lowfare("savings", log, "--config", config, env={"COLUMNS": "140"})
    assert result.exit_code == 0
    text = words(result.stdout)
    assert "up to 500 tokens: 3 of 4 requests could go to small" in text
    assert "is observed and" in text
    assert "nobody has said that the cheaper model's answers would do" in text
    assert "up to 500 4 3 small" in text
    assert '{ when = { up_to_tokens = 500 }, use = { kind = "fallback", models = ["small", "large"] } }' in text


def test_the_estimate_as_json(tmp_path: Path) -> None:
    """Rows come by column, money as strings that add up, and the recommendation as it would be pasted."""
    config, log = logged(tmp_path, CHEAP)
    result = parsed(lowfare("savings", log, "--config", config, "--json"))
    *tiers, whole = table(result, "tiers")
    assert sum(Decimal(tier["saving_usd"]) for tier in tiers) == Decimal(whole["saving_usd"])
    assert Decimal(whole["current_usd"]) - Decimal(whole["saving_usd"]) == Decimal(whole["optimised_usd"])
    short, middle = table(result, "evidence")
    assert (short["labelled"], short["adequate_share"], middle["labelled"]) == (1, 1.0, 0)
    parts = [Decimal(short[name]) for name in ("observed_usd", "assumed_usd", "refuted_usd")]
    assert sum(parts) == Decimal(tiers[0]["saving_usd"])
    assert parts[0] > 0
    assert Decimal(middle["observed_usd"]) == 0


@pytest.mark.parametrize(
    "rest", [CHEAP, '[policies.cheap]\nkind = "cheapest"\n[policies.odd]\nkind = "fallback"\nmodels = ["large"]\n']
)
@pytest.mark.parametrize("to", [[], ["--to", "small"], ["--to", "simulated/small"], ["--to", "deepseek/deepseek-v3.2"]])
def test_the_recommendation_loads(tmp_path: Path, rest: str, to: list[str]) -> None:
    """Pasted below the configuration it loads, and sends short requests where the estimate said, if they fit there."""
    config = write_config(tmp_path, rest)
    log = tmp_path / "log.jsonl"
    with Router(load(config), sinks=[JsonlSink(log)]) as router:
        router.complete("Hi", model="large")
        router.complete("Hi", policy="odd" if "odd" in rest else "default")
    toml = parsed(lowfare("savings", log, "--config", config, "--json", *to))["toml"]
    target = to[-1] if to and "deepseek" in to[-1] else "small"
    config.write_text(f"{config.read_text()}\n{toml}")
    setup_of(load(config))
    with Router.from_toml(config) as router:
        slate = router.plan("Hi", policy="savings").slate
        assert [candidate.name for candidate in slate.live] == [target, "large"]
        longer = router.plan("word " * 3000, policy="savings").slate
        assert longer.live[0].name == ("large" if "odd" not in rest else "small")


def test_without_a_configuration(tmp_path: Path) -> None:
    """With `--to` no configuration is needed: today's models come from the price map, with tables of their own."""
    config = write_config(tmp_path, '[policies.default]\nkind = "fallback"\nmodels = ["gpt"]\n' + SIMULATED)
    log = tmp_path / "log.jsonl"
    with Router(load(config), sinks=[JsonlSink(log)]) as router:
        router.complete("Hi")
    code = "from router.cli import main; main()"
    asked = ["savings", str(log), "--to", "deepseek/deepseek-v3.2", "--json"]
    (tmp_path / "empty").mkdir()
    ran = subprocess.run(
        [sys.executable, "-c", code, *asked], cwd=tmp_path / "empty", env=environment(), capture_output=True, check=True
    )
    toml = tmp_path / "new.toml"
    toml.write_text(json.loads(ran.stdout)["toml"])
    settings = load(toml)
    assert {name: table.id for name, table in settings.models.items()} == {
        "deepseek/deepseek-v3.2": "deepseek/deepseek-v3.2",
        "gpt": "openai/gpt-4.1",
    }
    setup_of(settings)


def test_the_log_of_the_configuration(tmp_path: Path) -> None:
    """Without LOG it is that of `[log] path`; where there is none, the error says what to do."""
    config = write_config(tmp_path, LARGE_FIRST + f'[log]\npath = "{tmp_path / "log"}"\n')
    with Router.from_toml(config) as router:
        router.complete("Hi")
    assert parsed(lowfare("savings", "--config", config, "--json"))["about"]["requests"] == "1"
    result = lowfare("savings", "--config", write_config(tmp_path))
    assert (result.exit_code, "[log] path is not set" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--tiers", "2000,500"], "write token counts that ascend"),
        (["--to", "openai/gpt-4.11"], "did you mean"),
        (["--to", "free"], "the price of free is unknown"),
    ],
)
def test_wrong_usage(tmp_path: Path, options: list[str], told: str) -> None:
    """Tiers that make no sense and models without a price are refused before anything is counted."""
    config = write_config(tmp_path, '[models.free]\nid = "simulated/free"\n')
    config.write_text('unpriced = "drop"\n' + config.read_text())
    (tmp_path / "log.jsonl").touch()
    result = lowfare("savings", tmp_path / "log.jsonl", "--config", config, *options)
    assert result.exit_code == 2
    assert told in words(result.stderr)


@pytest.mark.parametrize("text", ["", "0", "-1", "a", "1,1", "2,1", "1,", "1.5", "٣", "9" * 13])
def test_what_is_no_list_of_tiers(text: str) -> None:
    """Limits are whole numbers from 1 up that ascend."""
    with pytest.raises(RequestError, match="--tiers"):
        parsed_tiers(text)


def test_tiers() -> None:
    """Spaces between limits do not matter."""
    assert parsed_tiers("500, 2000") == [500, 2000]


@pytest.mark.parametrize(
    "command", [["savings", "log.jsonl", "--to", "openai/gpt-4.1"], ["label", "x.csv", "--log", "log.jsonl"]]
)
def test_without_duckdb(tmp_path: Path, command: list[str]) -> None:
    """Where the extra is missing, the error says how to install it."""
    (tmp_path / "log.jsonl").touch()
    code = "import sys; sys.modules['duckdb'] = None\nfrom router.cli import main\nmain()"
    ran = subprocess.run(
        [sys.executable, "-c", code, *command],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2
    assert "pip install 'lowfare[analytics]'" in words(ran.stderr)
