from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from router.cli.story import preview, story, summary, usage
from tests.cli.command import lowfare, parsed, words, write_config


@pytest.fixture
def record(tmp_path: Path) -> dict[str, Any]:
    """The record of a request that was answered."""
    out: dict[str, Any] = parsed(lowfare("complete", "Hi", "--json", "--config", write_config(tmp_path)))["decision"]
    return out


def told(what: Any) -> str:
    """Returns what a person reads, on one line."""
    console = Console(width=100)
    with console.capture() as captured:
        console.print(what)
    return words(captured.get())


def test_unknown_money_is_a_word(record: dict[str, Any]) -> None:
    """What nobody knows is told as unknown, never as zero."""
    record |= {"cost_usd": None, "waste_usd": None, "worst_case_usd": None}
    record["attempts"][0] |= {"cost_usd": None, "billing": "unknown", "usage": None}
    text = told(story(record))
    for line in ("in all unknown", "of it wasted unknown", "at most unknown"):
        assert line in text
    assert "tokens unknown" in told(summary(record))
    assert "unknown of it on attempts" in told(summary(record)).replace("(", "").replace(")", "")


def test_without_a_bound_on_waste(record: dict[str, Any]) -> None:
    """A bound that is not set is not told."""
    record["bounds"]["waste_usd"] = None
    assert "within 3 attempts, 60 s baseline" in told(story(record))


def test_the_baseline_itself(record: dict[str, Any]) -> None:
    """When the baseline model answered, it is not compared with itself."""
    record |= {"baseline": record["model"]}
    assert told(story(record)).endswith(f"the same tokens on {record['model']}")
    record |= {"baseline": None, "baseline_usd": None}
    assert "baseline" not in told(story(record))


def test_exact_counts(record: dict[str, Any]) -> None:
    """Where tokens were counted, the count is told with its tokenizer."""
    record["features"]["exact_tokens"] = {"o200k_base": 1234}
    assert "input 1,234 tokens (o200k_base)" in told(preview(record))


def test_every_token_class_is_told() -> None:
    """Cached, written, reasoning and other tokens stand beside the totals they are part of."""
    counted = {"input_tokens": 1204, "output_tokens": 87, "cached_input_tokens": 1024, "reasoning_tokens": 40}
    assert usage(counted) == "1,204 tokens in, 87 out (1,024 cached, 40 reasoning)"


def test_how_an_attempt_came_about_is_told(record: dict[str, Any]) -> None:
    """A turn that was held back has no number; of a call, its deployment and what it was asked beside are told."""
    made = record["attempts"][0]
    held = made | {"held": "rate_limited", "retry_after_s": 2.5, "outcome": "not_sent"}
    shut = held | {"held": "breaker_open", "retry_after_s": None}
    record["attempts"] = [held, shut, made | {"deployment": "east", "hedge": True}]
    text = told(story(record))
    assert "held back: rate_limited, 2.50 s more, nothing was sent" in text
    assert "held back: breaker_open, nothing was sent" in text
    assert "1 " + made["model"] in text
    assert "at the deployment east" in text
    assert "asked beside the one before, which took long" in text
