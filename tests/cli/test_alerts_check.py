"""`lowfare alerts check`."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from router.core.record import decision_dict
from router.testing.records import decision_of
from tests.cli.command import lowfare, parsed, words, write_config

AT = datetime(2026, 11, 28, 8, tzinfo=UTC)
RULES = """
[budgets.team]
limit_usd = "100"
window = "day"

[[alerts]]
name = "errors"
kind = "errors"
shares = [0.5]
min_attempts = 3
to = ["nobody yet"]

[[alerts]]
name = "team"
kind = "budget"
budget = "team"
shares = [0.8]
to = ["nobody yet"]
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Writes a log of requests whose first attempt failed, and a line that is none."""
    path = tmp_path / "log.jsonl"
    decisions = [
        replace(decision_of(outcomes=["server_error", "answer"]), time=AT + timedelta(hours=hours, seconds=number))
        for hours in (0, 2)
        for number in range(3)
    ]
    lines = [orjson.dumps(decision_dict(decision)) for decision in decisions]
    path.write_bytes(b"\n".join([*lines, b"nothing", b""]))
    return path


def test_it_tells_what_rules_would_have_told(tmp_path: Path, log: Path) -> None:
    """When, by which rule, in its words; and which rule never would have. No destination is needed for it."""
    result = lowfare("alerts", "check", log, "--config", write_config(tmp_path, RULES))
    told = words(result.stdout)
    assert result.exit_code == 0, result.output
    assert "6 requests, from 2026-11-28T08:00:00Z to 2026-11-28T10:00:02Z" in told
    assert "lines that are no decisions: 1" in told
    assert "errors: 2 times team: never" in told
    assert "errors.share" in told


def test_programs_get_it_as_json(tmp_path: Path, log: Path) -> None:
    """Each alert with the data that its destinations would have had."""
    config = write_config(tmp_path, RULES)
    found = parsed(lowfare("alerts", "check", log, "--config", config, "--json"))
    assert (found["requests"], found["lines_aside"], found["rules"]) == (6, 1, {"errors": 2, "team": 0})
    [first, second] = found["alerts"]
    assert (first["rule"], first["to"], first["type"]) == ("errors", ["nobody yet"], "errors.share")
    assert first["data"]["model"] == "m1"
    assert first["data"]["window"]["start"] == "2026-11-28T08:00:00Z"
    late = parsed(lowfare("alerts", "check", log, "--config", config, "--json", "--since", "2026-11-28T10:00+01:00"))
    assert late["alerts"] == [second]
    early = parsed(lowfare("alerts", "check", log, "--config", config, "--json", "--until", "2026-11-28T09:00"))
    assert (early["alerts"], early["requests"]) == ([first], 3)
    none = parsed(lowfare("alerts", "check", log, "--config", config, "--json", "--until", "2026-01-01"))
    assert (none["requests"], none["first"], none["alerts"]) == (0, None, [])


def test_once_and_never_are_said(tmp_path: Path, log: Path) -> None:
    """As words, not as numbers; and a log of nothing has no span."""
    config = write_config(tmp_path, RULES)
    once = lowfare("alerts", "check", log, "--config", config, "--until", "2026-11-28T09")
    assert "errors: once" in words(once.stdout)
    nothing = words(lowfare("alerts", "check", log, "--config", config, "--until", "2026-01-01").stdout)
    assert nothing.startswith("0 requests lines that")


@pytest.mark.parametrize(
    ("rest", "options", "told"),
    [
        ("", [], "has no rule"),
        (RULES.replace('budget = "team"', 'budget = "teem"'), [], "no budget is named 'teem'; allowed: team"),
        (RULES, ["--since", "yesterday"], "--since: 'yesterday' is no time"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, log: Path, rest: str, options: list[str], told: str) -> None:
    """Which is no reason to look into the log."""
    result = lowfare("alerts", "check", log, "--config", write_config(tmp_path, rest), *options)
    assert result.exit_code == 2
    assert told in words(result.stderr)
