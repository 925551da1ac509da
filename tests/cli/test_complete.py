from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from tests.cli.command import lowfare, parsed, words, write_config

TEXT = 'options = { text = "Lisbon." }'


def test_the_answer_alone_is_on_stdout(tmp_path: Path) -> None:
    """The answer goes to stdout; model, tokens, cost and trace go to stderr."""
    result = lowfare("complete", "Capital of Portugal?", "--config", write_config(tmp_path, small=TEXT))
    assert result.exit_code == 0
    assert result.stdout == "Lisbon.\n"
    for told in ("small", "tokens in", "$0.0000", "trace "):
        assert told in result.stderr


def test_a_stream_prints_the_same(tmp_path: Path) -> None:
    """`--stream` prints the answer piece by piece, the same answer in the end."""
    config = write_config(tmp_path)
    whole = lowfare("complete", "Tell me something.", "--config", config)
    streamed = lowfare("complete", "Tell me something.", "--config", config, "--stream")
    assert streamed.stdout == whole.stdout
    assert "trace " in streamed.stderr


def test_json(tmp_path: Path) -> None:
    """`--json` prints one value with text, model, cost, trace, the completion and the decision."""
    config = write_config(tmp_path, small=TEXT)
    out = parsed(lowfare("complete", "Hi", "--json", "--config", config, "--tag", "team=a", "--tenant", "acme"))
    assert (out["text"], out["model"]) == ("Lisbon.", "small")
    assert out["completion"]["choices"][0]["message"]["content"] == "Lisbon."
    assert Decimal(out["cost_usd"]) > 0
    assert out["decision"]["trace_id"] == out["trace_id"]
    assert (out["decision"]["tags"], out["decision"]["tenant"]) == ({"team": "a"}, "acme")


def test_json_stream(tmp_path: Path) -> None:
    """`--stream --json` prints a line per chunk and the reply in the last."""
    result = lowfare("complete", "Hi", "--json", "--stream", "--config", write_config(tmp_path))
    *chunks, reply = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(chunks) > 1
    assert "".join(chunk["chunk"] for chunk in chunks) == reply["text"]


def test_options_reach_the_request(tmp_path: Path) -> None:
    """Model, policy, bounds and parameters of the command line are those of the request."""
    config = write_config(tmp_path, '[policies.careful]\nkind = "min_quality"\nquality = 0.8\n')
    by_model = parsed(lowfare("complete", "Hi", "--json", "--config", config, "--model", "large"))
    assert by_model["model"] == "large"
    by_policy = parsed(lowfare("complete", "Hi", "--json", "--config", config, "--policy", "careful"))
    assert (by_policy["model"], by_policy["decision"]["policy"]) == ("large", "careful")
    arguments = ["--max-tokens", "7", "--max-cost-usd", "0.5", "--deadline-s", "9", "--param", "n=2"]
    decision = parsed(lowfare("complete", "Hi", "--json", "--config", config, *arguments))["decision"]
    assert decision["features"]["output_tokens_most"] == 7
    assert decision["features"]["choices"] == 2
    assert (decision["bounds"]["max_cost_usd"], decision["bounds"]["deadline_s"]) == ("0.5", 9)


def test_prompts_from_elsewhere(tmp_path: Path) -> None:
    """A prompt comes from standard input, a text file, a file of messages, or a whole request body."""
    config = write_config(tmp_path)
    expected = lowfare("complete", "Tell me something.", "--config", config).stdout
    messages = [{"role": "user", "content": "Tell me something."}]
    (tmp_path / "prompt.txt").write_text("Tell me something.")
    (tmp_path / "messages.json").write_text(json.dumps(messages))
    (tmp_path / "body.json").write_text(json.dumps({"messages": messages, "stream": True}))
    assert lowfare("complete", "-", "--config", config, text="Tell me something.").stdout == expected
    for name in ("prompt.txt", "messages.json", "body.json"):
        assert lowfare("complete", "--file", tmp_path / name, "--config", config).stdout == expected


def test_tool_calls_are_printed(tmp_path: Path) -> None:
    """An answer that calls a tool prints the call."""
    body = {
        "messages": [{"role": "user", "content": "Weather?"}],
        "tools": [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}],
        "tool_choice": "required",
    }
    (tmp_path / "body.json").write_text(json.dumps(body))
    result = lowfare("complete", "--file", tmp_path / "body.json", "--config", write_config(tmp_path))
    assert "weather({" in result.stdout


def test_waste_is_told(tmp_path: Path) -> None:
    """After a failure and a fallback, stderr says what was lost."""
    config = write_config(tmp_path, small='options = { script = ["server_error"] }')
    result = lowfare("complete", "Hi", "--config", config)
    assert result.exit_code == 0
    assert "large" in result.stderr
    assert "on attempts that gave nothing" in result.stderr


def test_failure(tmp_path: Path) -> None:
    """A request that nobody answers exits with 1, says why without a traceback, and in JSON has its decision."""
    denied = 'options = { script = ["invalid"] }'
    config = write_config(tmp_path, small=denied, large=denied)
    result = lowfare("complete", "Hi", "--config", config)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("ProviderError: small: invalid 400")
    assert "Traceback" not in result.stderr
    out = lowfare("complete", "Hi", "--config", config, "--json")
    assert out.exit_code == 1
    assert parsed(out)["error"]["type"] == "ProviderError"
    assert parsed(out)["decision"]["attempts"][0]["outcome"] == "invalid"


def test_refused_for_its_cost(tmp_path: Path) -> None:
    """A cap that no model can keep is a failed request, with nothing sent."""
    result = lowfare("complete", "Hi", "--json", "--config", write_config(tmp_path), "--max-cost-usd", "0.0000001")
    assert result.exit_code == 1
    assert parsed(result)["error"]["type"] == "NoCandidate"
    assert parsed(result)["decision"]["attempts"] == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "pass a prompt, or a file"),
        (["Hi", "--file", "also"], "pass a prompt, or a file"),
        (["--file", "missing.txt"], "missing.txt: the prompt cannot be read"),
        (["Hi", "--tag", "nothing"], "--tag 'nothing': write it as NAME=VALUE"),
        (["Hi", "--param", "=1"], "--param '=1'"),
        (["Hi", "--param", "stream=true"], "use --stream"),
        (["Hi", "--policy", "unknown"], "unknown"),
        (["Hi", "--model", "unknown"], "unknown"),
        (["Hi", "--max-cost-usd", "much"], "max_cost_usd"),
        (["Hi", "--max-tokens", "0"], "--max-tokens"),
        (["Hi", "--nonsense"], "--nonsense"),
    ],
)
def test_wrong_usage(tmp_path: Path, arguments: list[str], told: str) -> None:
    """What the caller got wrong exits with 2, is told on stderr, and sends nothing."""
    result = lowfare("complete", *arguments, "--config", write_config(tmp_path))
    assert (result.exit_code, result.stdout) == (2, "")
    assert told in words(result.stderr)


@pytest.mark.parametrize(
    ("name", "content"), [("a.json", b"{"), ("b.json", b'{"model": "x"}'), ("c.txt", b"\xff\xfe\x00"), ("d.json", b"3")]
)
def test_wrong_files(tmp_path: Path, name: str, content: bytes) -> None:
    """A file that is no prompt is told by its name."""
    (tmp_path / name).write_bytes(content)
    result = lowfare("complete", "--file", tmp_path / name, "--config", write_config(tmp_path))
    assert result.exit_code == 2
    assert name in result.stderr


def test_wrong_configuration(tmp_path: Path) -> None:
    """A configuration error exits with 2 and says where and what is allowed."""
    config = write_config(tmp_path, "[bounds]\nattempt = 3\n")
    result = lowfare("complete", "Hi", "--config", config)
    assert result.exit_code == 2
    assert result.stderr.startswith("ConfigError: ")
    assert "attempt" in result.stderr
    assert parsed(lowfare("complete", "Hi", "--json", "--config", config))["error"]["type"] == "ConfigError"


def test_a_log_that_cannot_be_written_costs_no_answer(tmp_path: Path) -> None:
    """The answer is printed all the same, and one line says what was lost."""
    (tmp_path / "file").write_text("")
    config = write_config(tmp_path, f'[log]\npath = "{tmp_path / "file" / "log.jsonl"}"\n', small=TEXT)
    result = lowfare("complete", "Hi", "--config", config)
    assert (result.exit_code, result.stdout) == (0, "Lisbon.\n")
