"""Payloads that litellm 1.106.2 made: an answer, a rate limit, a time-out, the same question twice, a stream."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from router.analytics.import_litellm import REDACTED, read_litellm
from router.analytics.importing import Done, import_log
from router.analytics.log import opened
from router.analytics.report_prices import Prices
from router.core.features import features_of
from router.core.key import content_key
from router.core.parse import parse_request
from router.prices.litellm_map import load_price_map

FILE = Path(__file__).parent / "imports" / "litellm.jsonl"
PRICES = Prices(price_map=load_price_map())
PAYLOADS = [json.loads(line) for line in FILE.read_text().splitlines()]


def imported(folder: Path, *payloads: object) -> tuple[Done, list[dict[str, Any]]]:
    """Returns what became of payloads, and their records."""
    (file := folder / "payloads.jsonl").write_text("".join(f"{json.dumps(payload)}\n" for payload in payloads))
    done = import_log(file, folder / "log", source="litellm", importer=read_litellm, prices=PRICES)
    return done, [json.loads(line) for line in done.path.read_text().splitlines()]


def test_calls(tmp_path: Path) -> None:
    """Outcomes, tokens and costs are litellm's own, and a hit costs nothing and says what it saved."""
    imported(tmp_path, *PAYLOADS)
    with opened(tmp_path / "log") as connection:
        rows = connection.sql(
            "SELECT model, model_id, ending, coalesce(attempts[1].outcome, cache), input_tokens, output_tokens, "
            "cost_usd, saved_usd, source FROM decisions ORDER BY time"
        ).fetchall()
    mini, cost = "openai/gpt-4o-mini", Decimal("0.0000135")
    assert rows == [
        ("gpt-4o-mini", mini, "answer", "answer", 10, 20, cost, 0, "litellm"),
        (None, None, "final", "refused", None, None, 0, 0, "litellm"),
        (None, None, "final", "timed_out", None, None, None, 0, "litellm"),
        ("gpt-4o-mini", mini, "answer", "answer", 10, 20, cost, 0, "litellm"),
        ("gpt-4o-mini", mini, "answer", "shared", 10, 20, 0, cost, "litellm"),
        ("gpt-4o-mini", mini, "answer", "answer", 9, 4, Decimal("0.00000375"), 0, "litellm"),
    ]


def test_what_a_call_says(tmp_path: Path) -> None:
    """Tags, times, the window and the finish reason come along; the key is the router's own, and equal asks equal."""
    _, records = imported(tmp_path, *PAYLOADS)
    first, failed, _, one, other, stream = records
    assert first["tags"] == {"team": "search", "beta": "beta"}
    assert first["time"] == "2026-11-28T17:31:52.325956+00:00"
    assert first["latency_s"] == pytest.approx(2.076816)
    attempt = first["attempts"][0]
    assert (attempt["window_tokens"], attempt["finish_reason"], attempt["provider"]) == (128000, "stop", "openai")
    assert attempt["response_id"] == PAYLOADS[0]["response"]["id"]
    request = parse_request(PAYLOADS[0]["messages"], **PAYLOADS[0]["model_parameters"])
    assert first["key"] == content_key(request, "default")
    assert first["features"]["prefix"] == [list(mark) for mark in features_of(request).prefix]
    assert first["features"]["output_tokens_most"] == 50
    assert one["key"] == other["key"] != first["key"]
    assert failed["attempts"][0]["status"] == 429
    assert failed["attempts"][0]["code"] == "RateLimitError"
    assert stream["features"]["stream"]
    assert stream["attempts"][0]["first_token_s"] == pytest.approx(1.68918)
    assert stream["latency_s"] == pytest.approx(4.599871)


def test_no_text_gets_into_the_log(tmp_path: Path) -> None:
    """Neither a prompt nor an answer is in a record, not even where an error repeats it."""
    secret = "the moon is made of green cheese and nobody shall know"
    payload = PAYLOADS[1] | {"messages": [{"role": "user", "content": secret}]}
    payload["error_information"] = payload["error_information"] | {"error_message": f"cannot answer {secret!r}"}
    done, _ = imported(tmp_path, *PAYLOADS, payload)
    text = done.path.read_text()
    for part in ("green cheese", "Porto", "In Portugal", "Be brief"):
        assert part not in text


@pytest.mark.parametrize(
    ("name", "status", "kind"),
    [
        ("ContextWindowExceededError", 400, "too_long"),
        ("AuthenticationError", 401, "denied"),
        ("ContentPolicyViolationError", 400, "filtered"),
        ("APIConnectionError", None, "not_sent"),
        ("InternalServerError", 500, "server_error"),
        ("NotFoundError", 404, "no_such_model"),
        ("SomethingNew", 503, "refused"),
    ],
)
def test_failures(tmp_path: Path, name: str, status: int | None, kind: str) -> None:
    """An exception of litellm's is the class that its status and name mean; who is not billed pays nothing."""
    told = {"error_class": name, "error_code": str(status or ""), "error_message": "", "llm_provider": "openai"}
    _, (record,) = imported(tmp_path, PAYLOADS[1] | {"error_information": told, "error_str": None})
    assert record["attempts"][0]["outcome"] == kind
    assert record["cost_usd"] == (None if kind in {"server_error", "filtered"} else "0")


@pytest.mark.parametrize(
    ("changed", "cost", "rule"),
    [
        ({"model": "none-such", "model_group": "mine"}, None, "no price is known"),
        ({"model": "none-such", "model_group": "mine", "response_cost": "0.25"}, "0.25", "as the log states it"),
        ({}, "0.0000135", "logged tokens times the price of "),
        ({"metadata": {}, "prompt_tokens": 0, "completion_tokens": 0}, "0", "as the log states it"),
        (
            {"metadata": {}, "prompt_tokens": 0, "completion_tokens": 0, "response_cost_failure_debug_info": {"e": 1}},
            None,
            "not all tokens are known",
        ),
    ],
)
def test_a_cost_of_0_may_be_an_unknown_one(
    tmp_path: Path, changed: dict[str, object], cost: str | None, rule: str
) -> None:
    """What litellm had no price for is not free: it costs what the map says, or nobody knows what."""
    _, (record,) = imported(tmp_path, PAYLOADS[0] | {"response_cost": 0.0} | changed)
    attempt = record["attempts"][0]
    assert (attempt["cost_usd"], attempt["price_rule"].startswith(rule)) == (cost, True)


@pytest.mark.parametrize("messages", [[{"role": "user", "content": REDACTED}], REDACTED, None, [], {"messages": None}])
def test_messages_that_are_not_there(tmp_path: Path, messages: object) -> None:
    """Without its text a request has no key, or all would be equal; its tokens are those that were counted."""
    _, (record,) = imported(tmp_path, PAYLOADS[0] | {"messages": messages})
    assert record["key"] is None
    assert record["features"]["input_tokens"] == {"low": 10, "likely": 10, "high": 10}
    assert record["features"]["output_tokens_most"] == 50


def test_classes_of_tokens(tmp_path: Path) -> None:
    """Where the payload has the whole usage, cached tokens are told apart; teams and users have their places."""
    usage = {"prompt_tokens": 100, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 80}}
    metadata = {"usage_object": usage, "user_api_key_team_alias": "search", "user_api_key_alias": "ci"}
    _, (record,) = imported(tmp_path, PAYLOADS[0] | {"metadata": metadata, "session_id": "s"})
    assert record["attempts"][0]["usage"] == {"input_tokens": 100, "output_tokens": 5, "cached_input_tokens": 80}
    assert record["tenant"] == "search"
    assert (record["tags"]["client"], record["tags"]["session"]) == ("ci", "s")


def test_what_is_no_payload(tmp_path: Path) -> None:
    """Lines that are none are told by number, and the others are imported."""
    file = tmp_path / "payloads.jsonl"
    good = json.dumps(PAYLOADS[0])
    broken = json.dumps(PAYLOADS[0] | {"metadata": {}, "prompt_tokens": -1})
    file.write_text(f'{good}\n\n[1]\n{{"a": 1}}\n{good[:50]}\n{broken}\n')
    done = import_log(file, tmp_path / "log", source="litellm", importer=read_litellm, prices=PRICES)
    assert (done.records, done.refused) == (1, 4)
    assert [number for number, _ in done.faults] == [3, 4, 5, 6]
    assert "prompt_tokens" in done.faults[3][1]
