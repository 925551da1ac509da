from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import lowfare, parsed, words, write_config

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def logged(folder: Path, **tables: str) -> tuple[Path, Path]:
    """Returns a configuration with a log, and the log."""
    log = folder / "log.jsonl"
    return write_config(folder, f'[log]\npath = "{log}"\n', **tables), log


def ask(config: Path, *arguments: str, trace: str = TRACE) -> None:
    """Makes one request under a trace id."""
    lowfare("complete", "Hi", "--config", config, "--param", f"trace_id={trace}", *arguments)


def test_a_prompt_is_not_sent(tmp_path: Path) -> None:
    """A prompt is planned only: the slate, who would be asked, and the worst case; nothing is logged."""
    config, log = logged(tmp_path)
    result = lowfare("explain", "Hi", "--config", config, "--min-quality", "0.8")
    text = words(result.stdout)
    assert result.exit_code == 0
    assert "large would be asked first" in text
    assert "small quality 0.7, the request asks for 0.8" in text
    assert "at most $" in text
    assert not log.exists()


def test_a_prompt_as_json(tmp_path: Path) -> None:
    """With `--json` the plan is the decision's record, without attempts."""
    out = parsed(lowfare("explain", "Hi", "--json", "--config", write_config(tmp_path)))
    assert (out["ending"], out["attempts"]) == ("planned", [])
    assert [entry["model"] for entry in out["slate"]["live"]] == ["small", "large"]
    assert out["worst_case_usd"] is not None


def test_what_a_request_allows_is_told(tmp_path: Path) -> None:
    """Several answers, the limit of each and a cap on the cost are part of the preview."""
    limits = ["--max-tokens", "50", "--max-cost-usd", "0.5"]
    arguments = [*limits, "--param", "n=2", "--param", "attempts=1", "--param", "waste_usd=0.02"]
    text = words(lowfare("explain", "Hi", "--config", write_config(tmp_path), *arguments).stdout)
    assert "2 answers, each up to 50 tokens" in text
    assert "within 1 attempt, 60 s, $0.02 of waste, $0.50 in all" in text


def test_a_file_is_read(tmp_path: Path) -> None:
    """A name of a file stands for the request in it, needs included."""
    content = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    body = {"messages": [{"role": "user", "content": content}]}
    (tmp_path / "body.json").write_text(json.dumps(body))
    out = lowfare("explain", tmp_path / "body.json", "--config", write_config(tmp_path))
    assert "small lacks vision" in words(out.stdout)
    assert "needs vision" in words(out.stdout)


def test_a_prompt_longer_than_a_file_name(tmp_path: Path) -> None:
    """A prompt is a prompt however long, and whatever characters no file name may have."""
    config = write_config(tmp_path)
    assert lowfare("explain", "word " * 3000, "--config", config).exit_code == 0
    assert lowfare("explain", "a/b" * 300, "--config", config).exit_code == 0


def test_nobody_is_adequate(tmp_path: Path) -> None:
    """When no model is adequate, every reason is shown and the exit code is 1."""
    config = write_config(tmp_path)
    result = lowfare("explain", "Hi", "--config", config, "--min-quality", "1")
    assert result.exit_code == 1
    assert "No model is adequate" in result.stdout
    assert result.stdout.count("the request asks for 1") == 2
    assert "at most" not in result.stdout
    out = lowfare("explain", "Hi", "--config", config, "--min-quality", "1", "--json")
    assert (out.exit_code, parsed(out)["ending"]) == (1, "no_candidate")


def test_a_trace_tells_the_whole_story(tmp_path: Path) -> None:
    """A logged request is told with every attempt, its outcome, cost and rule, the totals and the baseline."""
    config, _ = logged(tmp_path, small='options = { script = ["server_error"] }')
    ask(config, "--tag", "team=a", "--tenant", "acme")
    result = lowfare("explain", TRACE, "--config", config)
    text = words(result.stdout)
    assert result.exit_code == 0
    for told in (
        "large answered",
        f"trace {TRACE}",
        "tenant acme",
        "tags team=a",
        "server_error (500) after",
        '"simulated: server_error"',
        "estimated: worst case: input in full, output the most it could be",
        "billed: reported usage times price",
        "of it wasted $",
        "at most $",
        "within 3 attempts, 60 s",
        "baseline $",
    ):
        assert told in text


def test_a_live_decision_and_a_logged_one_are_the_same(tmp_path: Path) -> None:
    """What `complete --json` gives as decision is what `explain --json` finds in the log."""
    config, _ = logged(tmp_path)
    live = parsed(lowfare("complete", "Hi", "--json", "--config", config))["decision"]
    assert parsed(lowfare("explain", live["trace_id"], "--json", "--config", config)) == live


def test_the_beginning_of_a_trace_is_enough(tmp_path: Path) -> None:
    """Eight digits find a request while they are unique, in upper case too; else the candidates are named."""
    config, log = logged(tmp_path)
    ask(config)
    assert TRACE in lowfare("explain", TRACE[:8].upper(), "--log", log).stdout
    other = TRACE[:31] + "7"
    ask(config, trace=other)
    result = lowfare("explain", TRACE[:8], "--log", log)
    assert result.exit_code == 1
    assert TRACE in result.stderr
    assert other in result.stderr


def test_several_requests_of_one_trace(tmp_path: Path) -> None:
    """All requests of a trace are told, oldest first; as JSON they are a list."""
    config, log = logged(tmp_path)
    ask(config, "--model", "small")
    ask(config, "--model", "large")
    text = lowfare("explain", TRACE, "--log", log).stdout
    assert text.index("small answered") < text.index("large answered")
    out = parsed(lowfare("explain", TRACE, "--log", log, "--json"))
    assert [record["model"] for record in out] == ["small", "large"]


def test_a_stream_that_broke(tmp_path: Path) -> None:
    """An answer that broke off in mid-stream says why nobody else was asked."""
    config, log = logged(tmp_path, small='options = { script = ["cut"] }')
    ask(config, "--stream")
    text = words(lowfare("explain", TRACE, "--log", log).stdout)
    assert "No answer: small failed (cut)" in text
    assert "first token after" in text
    assert "so nobody else was asked" in text


def test_torn_lines_are_told(tmp_path: Path) -> None:
    """A line torn off in the middle is skipped and counted."""
    config, log = logged(tmp_path)
    ask(config)
    log.write_bytes(log.read_bytes()[:300] + b"\n" + log.read_bytes())
    result = lowfare("explain", TRACE, "--log", log)
    assert result.exit_code == 0
    assert "no records, skipped: 1" in result.stderr


def test_a_hostile_log_cannot_drive_the_terminal(tmp_path: Path) -> None:
    """Control characters in a record are not printed."""
    config, log = logged(tmp_path, small='options = { script = ["invalid"] }')
    ask(config)
    record: dict[str, Any] = json.loads(log.read_bytes())
    record["attempts"][0]["error"] = record["why"] = "\x1b]0;owned\x07 [bold]x"
    log.write_text(json.dumps(record) + "\n")
    text = lowfare("explain", TRACE, "--log", log).stdout
    assert "\x1b" not in text
    assert "[bold]x" in text


@pytest.mark.parametrize("name", ["missing.jsonl", "empty"])
def test_no_such_trace(tmp_path: Path, name: str) -> None:
    """A trace that is in no log, and a log that is not there, are told."""
    (tmp_path / "empty").mkdir()
    result = lowfare("explain", TRACE, "--log", tmp_path / name)
    assert result.exit_code == (2 if name == "missing.jsonl" else 1)
    assert name in words(result.stderr)


def test_no_log_is_configured(tmp_path: Path) -> None:
    """A trace id with a configuration that writes no log says how to name one."""
    result = lowfare("explain", TRACE, "--config", write_config(tmp_path))
    assert result.exit_code == 2
    assert "name one" in result.stderr


def test_a_record_of_another_schema(tmp_path: Path) -> None:
    """A record that a newer lowfare wrote is refused by its number."""
    (tmp_path / "log.jsonl").write_text(json.dumps({"trace_id": TRACE, "schema": 99}) + "\n")
    result = lowfare("explain", TRACE, "--log", tmp_path / "log.jsonl")
    assert result.exit_code == 1
    assert "schema 99" in result.stderr
