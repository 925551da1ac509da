from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import lowfare, parsed, words, write_config

SMALL = 'options = { text = "From the small one." }'
LARGE = 'options = { text = "From the large one." }'


@pytest.mark.parametrize("columns", ["60", "160"])
def test_answers_side_by_side(tmp_path: Path, columns: str) -> None:
    """Every model's answer, tokens, time and cost are shown, in columns where the terminal is wide enough."""
    config = write_config(tmp_path, small=SMALL, large=LARGE)
    result = lowfare("compare", "Hi", "--config", config, env={"COLUMNS": columns})
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert any("From the small one." in line and "From the large one." in line for line in lines) == (columns == "160")
    for told in ("From the small one.", "From the large one.", "tokens in", "time", "$0.0000"):
        assert told in result.stdout
    assert max(map(len, lines)) <= int(columns)


def test_models_are_chosen(tmp_path: Path) -> None:
    """`--model` names whom to ask; a policy that would drop them plays no part."""
    policy = '[policies.default]\nkind = "fallback"\nmodels = ["small"]\n'
    out = parsed(lowfare("compare", "Hi", "--json", "--model", "large", "--config", write_config(tmp_path, policy)))
    assert [entry["model"] for entry in out] == ["large"]
    assert out[0]["text"]
    assert out[0]["cost_usd"] == out[0]["decision"]["cost_usd"]


def test_a_failure_is_shown_beside_answers(tmp_path: Path) -> None:
    """A model that fails is asked once, its failure is shown with its cost, and the exit code is 1."""
    config = write_config(tmp_path, small='options = { script = ["server_error"] }', large=LARGE)
    result = lowfare("compare", "Hi", "--config", config, env={"COLUMNS": "70"})
    assert result.exit_code == 1
    assert "server_error (500): simulated: server_error" in words(result.stdout)
    assert "(estimated)" in result.stdout
    assert "From the large one." in result.stdout
    failed = next(e for e in parsed(lowfare("compare", "Hi", "--json", "--config", config)) if e["model"] == "small")
    assert failed["text"] is None
    assert len(failed["decision"]["attempts"]) == 1


def test_a_model_that_cannot_serve_is_not_asked(tmp_path: Path) -> None:
    """A model that lacks what the request needs is told, not asked."""
    schema = '{"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}'
    config = write_config(tmp_path)
    result = lowfare("compare", "Hi", "--config", config, "--param", f"response_format={schema}")
    assert result.exit_code == 1
    assert "lacks json_schema" in words(result.stdout)
    assert "not asked" in result.stdout


def test_tool_calls_are_answers(tmp_path: Path) -> None:
    """An answer that calls a tool is shown as the call."""
    tools = '[{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]'
    arguments = ["--param", f"tools={tools}", "--param", "tool_choice=required"]
    assert "weather({" in lowfare("compare", "Hi", "--config", write_config(tmp_path), *arguments).stdout


@pytest.mark.parametrize("arguments", [["--model", "unknown"], ["--param", "temperature=hot", "--param", "n=0"]])
def test_wrong_usage(tmp_path: Path, arguments: list[str]) -> None:
    """A model that does not exist, or a request that no model would take, exits with 2."""
    result = lowfare("compare", "Hi", "--config", write_config(tmp_path), *arguments)
    assert (result.exit_code, result.stdout) == (2, "")


def test_the_cache_plays_no_part(tmp_path: Path) -> None:
    """Every model is asked each time, since its time and cost are what is compared; nothing is stored."""
    config = write_config(tmp_path, f'[cache]\nbackend = "sqlite"\npath = "{tmp_path / "cache.sqlite"}"\n')
    for _ in range(2):
        outcomes = parsed(lowfare("compare", "Hi", "--json", "--config", config))
        assert [len(outcome["decision"]["attempts"]) for outcome in outcomes] == [1, 1]
    assert parsed(lowfare("cache", "stats", "--json", "--config", config))["entries"] == 0
