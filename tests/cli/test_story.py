from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from router import Router
from router.cli.lookup import age
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
    record["attempts"] = [held, shut, made | {"deployment": "east", "hedge": True, "response_id": "chatcmpl-7"}]
    text = told(story(record))
    assert "held back: rate_limited, 2.50 s more, nothing was sent" in text
    assert "held back: breaker_open, nothing was sent" in text
    assert "1 " + made["model"] in text
    assert "at the deployment east" in text
    assert "its provider's name for it is chatcmpl-7" in text
    assert "asked beside the one before, which took long" in text


CACHED = """
[cache]
backend = "memory"

[per_policy.default.cache]
drop_params = ["user"]
drop_text = ['Now: \\S+']
"""


def test_what_callers_wrote_is_one_line(tmp_path: Path) -> None:
    """A break in a tag or a tenant does not begin what looks like a line of the story."""
    config = write_config(tmp_path)
    with Router.from_toml(config) as router:
        record = router.complete("hi", tags={"team": "a\nin all  $0"}, tenant="x\ty").decision.to_dict()
    text = told(story(record | {"labels": [{"source": "me\n", "adequate": True, "time": "now"}]}))
    assert "tags team=a\\nin all $0" in text
    assert "tenant x\\ty" in text
    assert "me\\n adequate" in text


def cached(folder: Path, *requests: dict[str, Any], more: str = "") -> list[dict[str, Any]]:
    """Returns the records of requests that one router with a cache answered, one after the other."""
    config = write_config(folder, CACHED + more, small='options = { text = "Lisbon." }')
    with Router.from_toml(config) as router:
        return [router.complete("Capital of Portugal?", **request).decision.to_dict() for request in requests]


def test_an_answer_out_of_the_cache(tmp_path: Path) -> None:
    """Where it was, whose it is, how old, what it saved, on what terms, and what the key leaves out."""
    paid, free = cached(tmp_path, {"user": "a"}, {"user": "b", "cache": {"max_age_s": 5400}})
    text = told(story(free))
    for line in (
        "small answered, from memory",
        "Cache found in this process's memory",
        f"whose answer of small to trace {paid['trace_id']}, ",
        "mode use: a stored answer up to 1.5 hours old is taken, a new one is kept for 1 day",
        f"key {paid['key']} rules of policy default left out of it: params.user",
        "in all $0",
        f"saved ${paid['cost_usd']} what the stored answer had cost, ",
    ):
        assert line in text
    assert "Attempts" not in text
    line = told(summary(free))
    assert line.startswith("small from memory, ")
    assert "tokens in, 2 out, $0 (saved $0.0000" in line
    text = told(story(paid))
    assert "Cache found nothing, after " in text
    assert "saved" not in text + told(summary(paid))


@pytest.mark.parametrize(
    ("kind", "title", "place"),
    [
        ("shared", "from the shared store", "in the store that processes share"),
        ("flight", "from an equal request in flight", "an equal request in flight, which was waited for"),
        ("later", "from the cache", "in the cache"),
    ],
)
def test_where_an_answer_was(tmp_path: Path, kind: str, title: str, place: str) -> None:
    """Every place has its words, also one that only a later version knows."""
    _, record = cached(tmp_path, {}, {})
    record["cache"] = record["lookup"]["hit"]["kind"] = kind
    text = told(story(record))
    assert f"small answered, {title}" in text
    assert f"found {place} whose" in text


def test_what_was_found_and_did_not_count(tmp_path: Path) -> None:
    """A hit that was refused is told with the reason; the answer is a provider's, and nothing was saved."""
    record, free = cached(tmp_path, {}, {})
    record["lookup"] = free["lookup"] | {"refused": "large is not live"}
    record["lookup"]["hit"]["age_s"] = 7.0
    text = told(story(record))
    assert text.startswith("small answered trace")
    assert "found in this process's memory whose answer of small" in text
    assert ", 7 s old but it did not count: large is not live" in text
    assert "answer after " in text
    assert "saved" not in text + told(summary(record))


def test_a_request_that_did_not_look(tmp_path: Path) -> None:
    """A refresh tells its terms, and of nothing that was found."""
    [record] = cached(tmp_path, {"cache": "refresh"})
    text = told(story(record))
    assert "Cache mode refresh: no stored answer is taken, a new one is kept for 1 day key " in text
    assert "found" not in text


def test_savings_that_nobody_knows(tmp_path: Path) -> None:
    """What a stored answer had cost may be unknown, and its tokens too."""
    _, record = cached(tmp_path, {}, {})
    record["lookup"]["hit"] |= {"saved_usd": None, "usage": None}
    assert "saved unknown what the stored answer had cost at most" in told(story(record))
    assert "small from memory, tokens unknown, $0 (saved unknown)" in told(summary(record))


def test_a_refusal_that_was_remembered(tmp_path: Path) -> None:
    """A request that fails because an equal one was invalid says whose refusal that was; it saved nobody an answer."""
    _, record = cached(tmp_path, {}, {})
    failure = {"kind": "invalid", "message": "no such field", "status": 400, "code": None}
    record["lookup"]["hit"] |= {"failure": failure, "saved_usd": None}
    record |= {"model": None, "ending": "final", "why": "small had called an equal request invalid"}
    text = told(story(record))
    assert "No answer: small had called an equal request invalid" in text
    assert "whose refusal by small (invalid) to trace" in text
    assert "saved" not in text + told(summary(record))


@pytest.mark.parametrize(
    ("mode", "would", "terms"),
    [
        (
            "use",
            "The cache would be asked, and then small",
            "mode use: a stored answer is taken, a new one is kept for 1",
        ),
        (
            "refresh",
            "small would be asked first",
            "mode refresh: no stored answer is taken, a new one is kept for 1 day",
        ),
        ("only", "The cache would be asked, and nobody else", "mode only: a stored answer, or an error"),
        ("off", "small would be asked first", "mode off for this request: neither asked nor written"),
    ],
)
def test_a_preview_with_a_cache(tmp_path: Path, mode: str, would: str, terms: str) -> None:
    """Who would be asked first depends on the mode, and the key is told."""
    config = write_config(tmp_path, CACHED)
    text = words(lowfare("explain", "Hi", "--config", config, "--param", f"cache={mode}").stdout)
    assert text.startswith(would)
    assert f"Cache {terms}" in text
    assert "key " in text


def test_a_mode_of_a_later_version(tmp_path: Path) -> None:
    """A mode that is not known is told by its name."""
    _, record = cached(tmp_path, {}, {})
    record["caching"]["mode"] = "later"
    assert "mode later key" in told(story(record))


def test_records_without_a_cache(record: dict[str, Any]) -> None:
    """Requests that used none, and records from before there was one, say nothing of it."""
    assert "Cache" not in told(story(record))
    for name in ("caching", "lookup", "key_without", "cache", "saved_usd"):
        del record[name]
    assert "Cache" not in told(story(record))
    assert "small, " in told(summary(record))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.25, "250 ms"),
        (1, "1 s"),
        (45.25, "45.2 s"),
        (90, "1.5 minutes"),
        (3_600, "1 hour"),
        (86_400, "1 day"),
        (31_536_000, "365 days"),
    ],
)
def test_ages(seconds: float, text: str) -> None:
    """A time is told in the unit that a person would choose."""
    assert age(seconds) == text
