from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from router.analytics.import_openai import OpenAIImporter
from router.analytics.importing import Done, import_log
from router.analytics.report_prices import Prices
from router.core.key import content_key
from router.core.parse import parse_request
from router.errors import ConfigError
from router.prices.litellm_map import load_price_map

PRICES = Prices(price_map=load_price_map())
REQUEST = {"model": "gpt-4.1", "messages": [{"role": "user", "content": "Where is Porto?"}], "max_tokens": 50}
RESPONSE = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1793491200,
    "model": "gpt-4.1-2025-04-14",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "In Portugal."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "prompt_tokens_details": {"cached_tokens": 500}},
}


def imported(folder: Path, *lines: object, requests: Path | None = None) -> tuple[Done, list[dict[str, Any]]]:
    """Returns what became of lines, and their records."""
    (file := folder / "calls.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    importer = OpenAIImporter(prices=PRICES, requests=requests)
    done = import_log(file, folder / "log", source="openai", importer=importer, prices=PRICES)
    return done, [json.loads(line) for line in done.path.read_text().splitlines()]


def test_pairs(tmp_path: Path) -> None:
    """A pair has its tokens, the price of the map, the router's key, and the times that stand beside it."""
    more = {"time": "2026-11-01T12:00:00Z", "latency_ms": 1500}
    _, (record, plain) = imported(
        tmp_path, {"request": REQUEST, "response": RESPONSE} | more, {"request": REQUEST, "response": RESPONSE}
    )
    assert record["cost_usd"] == "0.00205"  # 500 at $2, 500 cached at $0.50 and 100 at $8 a million
    assert (record["model"], record["attempts"][0]["model_id"]) == ("gpt-4.1", "openai/gpt-4.1")
    assert record["attempts"][0]["response_id"] == "chatcmpl-1"
    assert (record["time"], record["latency_s"]) == ("2026-11-01T12:00:00.000000+00:00", 1.5)
    assert (plain["time"], plain["latency_s"]) == ("2026-11-01T00:00:00.000000+00:00", None)
    assert record["key"] == content_key(parse_request("Where is Porto?", max_tokens=50), "default")
    assert "Port" not in json.dumps(record)


@pytest.mark.parametrize("created", [0, -1, 1e300, True, "soon", None])
def test_an_answer_that_does_not_say_when(tmp_path: Path, created: object) -> None:
    """Where a provider's own time is none, the time beside the pair counts, or there is none."""
    pair = {"request": REQUEST, "response": RESPONSE | {"created": created}}
    _, records = imported(tmp_path, pair, pair | {"time": "2026-11-01T12:00:00Z"})
    assert [record["time"] for record in records] == [None, "2026-11-01T12:00:00.000000+00:00"]


def test_failures(tmp_path: Path) -> None:
    """An error is a failure of its class, and its words never repeat the request."""
    error = {"error": {"message": "Where is Porto? is too long", "code": "context_length_exceeded"}}
    _, (record,) = imported(tmp_path, {"request": REQUEST, "response": error, "status": 400})
    assert (record["ending"], record["model"], record["cost_usd"]) == ("final", None, "0")
    assert (record["attempts"][0]["outcome"], record["attempts"][0]["status"]) == ("too_long", 400)
    assert "Porto" not in json.dumps(record)


def test_an_unknown_model_has_no_price(tmp_path: Path) -> None:
    """A model that the map lacks costs an unknown amount, not nothing."""
    done, (record,) = imported(tmp_path, {"request": REQUEST | {"model": "mine"}, "response": RESPONSE})
    assert (record["model"], record["cost_usd"], done.unpriced) == ("mine", None, 1)
    assert record["attempts"][0]["billing"] == "unknown"


def test_batches(tmp_path: Path) -> None:
    """A batch costs what batches cost; with its input beside it, each line has its request's key."""
    (requests := tmp_path / "input.jsonl").write_text(
        "".join(json.dumps({"custom_id": name, "method": "POST", "body": REQUEST}) + "\n" for name in "ab")
    )
    output = [
        {"id": "1", "custom_id": "b", "response": {"status_code": 200, "body": RESPONSE}, "error": None},
        {"id": "2", "custom_id": "c", "response": {"status_code": 200, "body": RESPONSE}, "error": None},
        {"id": "3", "custom_id": "a", "response": None, "error": {"code": "batch_expired", "message": "expired"}},
    ]
    done, (known, alone, expired) = imported(tmp_path, *output, {"custom_id": "d", "body": REQUEST}, requests=requests)
    assert known["key"] is not None
    assert alone["key"] is None
    assert known["request_id"] == "b"
    assert known["attempts"][0]["usage"]["service_tier"] == "batch"
    assert known["cost_usd"] == alone["cost_usd"] != "0.00205"
    assert expired["ending"] == "final"
    assert done.faults == [
        (4, "has neither a response nor an error: a batch's output has; its input goes to --requests")
    ]


def test_what_is_no_pair(tmp_path: Path) -> None:
    """Lines without a request or a response are told; a batch's input without names is refused."""
    done, records = imported(tmp_path, {"request": REQUEST}, {"request": REQUEST, "response": {}})
    assert (len(records), done.refused) == (1, 1)
    assert records[0]["cost_usd"] is None
    (requests := tmp_path / "input.jsonl").write_text("{}\n")
    with pytest.raises(ConfigError, match=r"input\.jsonl:1: is no line of a batch's input"):
        imported(tmp_path, {"custom_id": "a"}, requests=requests)


def test_requests_that_no_router_takes(tmp_path: Path) -> None:
    """What the router would refuse is imported all the same, without a key."""
    _, (record,) = imported(tmp_path, {"request": REQUEST | {"messages": [{"role": "nobody"}]}, "response": RESPONSE})
    assert record["key"] is None
    assert record["features"]["input_tokens"]["likely"] == 1000
