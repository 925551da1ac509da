from __future__ import annotations

import json
import tomllib
from decimal import Decimal
from pathlib import Path

import pytest

from tests.cli.command import lowfare, parsed, words


def test_what_it_shows() -> None:
    """The demo says what is simulated and what is real, and shows slates, reasons, costs, traces and both sums."""
    result = lowfare("demo")
    text = words(result.stdout)
    assert result.exit_code == 0
    assert "answers are simulated, the prices are real" in text
    for told in ("lacks json_schema", "lacks vision", "token_tiers: is not in tier", "may cost up to"):
        assert told in text
    assert "failed: server_error (500)" in text
    assert "wasted" in text
    assert text.count("trace ") == 7
    assert "all on claude-sonnet-4-5" in text
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_its_figures() -> None:
    """The sums are those of the requests, the failed attempt is charged, and the dearest model costs more in all."""
    out = parsed(lowfare("demo", "--json"))
    requests = out["requests"]
    assert out["simulated"] is True
    for name in ("cost_usd", "waste_usd", "saved_usd", "baseline_usd"):
        assert Decimal(out[name]) == sum(Decimal(r[name]) for r in requests)
    assert Decimal(out["waste_usd"]) > 0
    assert Decimal(out["cost_usd"]) < Decimal(out["baseline_usd"])
    assert {r["baseline"] for r in requests} == {"claude-sonnet-4-5"}
    assert all(Decimal(r["cost_usd"]) <= Decimal(r["worst_case_usd"]) for r in requests)


def test_size_and_need_choose_the_model() -> None:
    """A short question goes to the cheapest model, a long text to the large tier, a need to a model that meets it."""
    by_title = {r["title"]: r for r in parsed(lowfare("demo", "--json"))["requests"]}
    assert by_title["A short question"]["model"] == "deepseek-v3.2"
    assert by_title["A long text"]["features"]["input_tokens"]["likely"] > 2000
    assert by_title["A long text"]["model"] == "gpt-4.1"
    assert "json_schema" in by_title["An answer in a JSON schema"]["features"]["needs"]
    assert [a["outcome"] for a in by_title["An answer in a JSON schema"]["attempts"]] == ["server_error", "answer"]


def test_the_last_request_is_not_paid_for_again() -> None:
    """The same question again is answered out of the cache: it costs nothing, and what it saved is told."""
    requests = parsed(lowfare("demo", "--json"))["requests"]
    first, again = requests[0], requests[-1]
    assert (again["key"], again["model"], again["cache"]) == (first["key"], first["model"], "memory")
    assert (again["cost_usd"], again["saved_usd"], again["attempts"]) == ("0", first["cost_usd"], [])
    text = words(lowfare("demo").stdout)
    assert "deepseek-v3.2 answered, from memory: " in text
    assert ", $0 ($0.00003" in text
    assert "by the cache" in text


def test_real_prices() -> None:
    """An answer costs what its tokens cost at the provider's list price."""
    first = parsed(lowfare("demo", "--json"))["requests"][0]
    usage = first["attempts"][0]["usage"]
    cost = (usage["input_tokens"] * Decimal("0.28") + usage["output_tokens"] * Decimal("0.42")) / 1_000_000
    assert Decimal(first["cost_usd"]) == cost


def test_its_configuration_can_be_copied(tmp_path: Path) -> None:
    """`--print-config` prints a TOML file that lowfare loads."""
    result = lowfare("demo", "--print-config")
    assert set(tomllib.loads(result.stdout)["models"]) == {
        "deepseek-v3.2",
        "gemini-2.5-flash",
        "gpt-4.1",
        "claude-sonnet-4-5",
    }
    (tmp_path / "copy.toml").write_text(result.stdout)
    assert lowfare("check", "--config", tmp_path / "copy.toml").exit_code == 0


def test_a_log_can_be_explained(tmp_path: Path) -> None:
    """With `--log` the decisions are kept, and the command that it names finds one of them."""
    log = tmp_path / "demo.jsonl"
    text = words(lowfare("demo", "--log", log).stdout)
    traces = [json.loads(line)["trace_id"] for line in log.read_text().splitlines()]
    assert len(traces) == 7
    assert f"lowfare explain {traces[0][:8]} --log" in text
    assert "deepseek-v3.2 answered" in lowfare("explain", traces[0], "--log", log).stdout


def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    """The demo does not end as if the decisions were kept."""
    (tmp_path / "file").touch()
    result = lowfare("demo", "--log", tmp_path / "file" / "x" / "demo.jsonl")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "demo.jsonl: cannot be written: Not a directory" in words(result.stderr)


@pytest.mark.parametrize("columns", ["40", "120"])
def test_it_fits_the_terminal(columns: str) -> None:
    """Lines are no longer than the terminal is wide."""
    result = lowfare("demo", env={"COLUMNS": columns})
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= int(columns)


def test_the_environment_does_not_change_it() -> None:
    """Settings of the environment are for the user's own requests."""
    assert len(parsed(lowfare("demo", "--json", env={"LOWFARE_BOUNDS__ATTEMPTS": "1"}))["requests"]) == 7
