"""All that goes into a request stands in its record, under its name, and comes out of it again."""

from __future__ import annotations

from dataclasses import fields, replace
from decimal import Decimal
from typing import Any

import orjson
import pytest

from router.core.answer import Usage
from router.core.bounds import Bounds
from router.core.caching import Caching, Hit, Lookup
from router.core.course import Given
from router.core.decision import Decision, Ids
from router.core.failure import Failure
from router.core.hedging import Hedging
from router.core.machine import Done, NeedCall, NeedLookup, plan
from router.core.record import decision_dict
from router.core.replay import given_from, replay
from router.core.request import Hints, TokenCount
from router.core.stats import ModelStats
from tests.core.builders import attempt, features, given, keep_all, model, price

START = given(
    model("a"),
    model("b", price=price("2", "8")),
    model("c", context_window_tokens=10),
    ids=Ids(request_id="1" * 32, trace_id="2" * 32, span_id="3" * 16, parent_span_id="9" * 16),
    key="4" * 64,
    key_without=("text[0]",),
    features=features(
        900,
        exact_tokens={"o200k_base": 1_000},
        output_tokens_most=600,
        choices=2,
        service_tier="flex",
        messages=3,
        matches=frozenset({"y", "x"}),
        prefix=(("7" * 16, 30), ("8" * 16, 70)),
        stream=True,
    ),
    hints=Hints(tags={"team": "x"}, tenant="acme", baseline="b", policy="mine"),
    policy_name="mine",
    bounds=Bounds(attempts=2, deadline_s=50.0, waste_usd=Decimal("0.020"), max_cost_usd=Decimal(1)),
    started_s=0.125,
    draw=0.25,
    stats={"a": ModelStats(attempts=3, failures=1, latency_p95_s=2.0)},
    expected_output_tokens=70,
    unpriced=True,
    prefer_wait_s=3.0,
    hedging=Hedging(after_s=20.0),
    caching=Caching(mode="use", ttl_s=9.0, max_age_s=4.0, sampled=False, invalid_ttl_s=2.0),
)
OLD_HIT = Hit(
    kind="shared",
    model="a",
    model_id="simulated/a",
    trace_id="5" * 32,
    span_id="6" * 16,
    age_s=5.0,
    saved_usd=Decimal("0.010"),
    usage=Usage(input_tokens=3, output_tokens=1, reasoning_tokens=2),
    failure=Failure(kind="invalid", message="bad", status=400, code="no_field"),
    unusable="no JSON",
)
FAILED = attempt(
    "a",
    "server_error",
    model_id="simulated/a",
    provider="simulated",
    window_tokens=100_000,
    served="a-2026",
    response_id="r-1",
    started_s=0.5,
    latency_s=1.5,
    status=500,
    code="oops",
    error="it broke",
    retry_after_s=0.0,
    should_retry=False,
    deployment="east",
    key_env="KEY",
    cost_usd=Decimal("0.0010"),
    billing="estimated",
    price_rule="worst case",
    worst_usd=Decimal("0.002"),
    reserved_usd=Decimal("0.002"),
    share="7" * 16,
)
ANSWERED = attempt(
    "b",
    started_s=2.0,
    first_token_s=0.25,
    committed=True,
    finish_reason="stop",
    usage=Usage(input_tokens=1_000, output_tokens=100, billed_usd=Decimal("0.003")),
    cost_usd=Decimal("0.0030"),
)


def whole() -> Decision:
    """Returns the decision of a request that found an old answer, failed once, and was answered."""
    look = plan(START)
    assert isinstance(look, NeedLookup)
    call = look.next(OLD_HIT, 0.375)
    assert isinstance(call, NeedCall)
    again = call.next(FAILED)
    assert isinstance(again, NeedCall)
    end = again.next(ANSWERED)
    assert isinstance(end, Done)
    return end.decision


RECORD: dict[str, Any] = {
    "schema": 1,
    "trace_id": "2" * 32,
    "span_id": "3" * 16,
    "request_id": "1" * 32,
    "time": "2026-11-23T12:00:00.000000+00:00",
    "tenant": "acme",
    "tags": {"team": "x"},
    "policy": "mine",
    "key": "4" * 64,
    "model": "b",
    "ending": "answer",
    "why": "b answered",
    "cost_usd": "0.004",
    "worst_case_usd": "0.023056",
    "waste_usd": "0.001",
    "baseline": "b",
    "baseline_usd": "0.0028",
    "key_without": ["text[0]"],
    "cache": "none",
    "saved_usd": "0",
    "caching": {"mode": "use", "takes": True, "ttl_s": 9.0, "max_age_s": 4.0, "sampled": False, "invalid_ttl_s": 2.0},
    "lookup": {
        "ended_s": 0.375,
        "refused": "it is 5 s old, and max_age_s is 4",
        "hit": {
            "kind": "shared",
            "model": "a",
            "model_id": "simulated/a",
            "trace_id": "5" * 32,
            "span_id": "6" * 16,
            "age_s": 5.0,
            "saved_usd": "0.01",
            "usage": {"input_tokens": 3, "output_tokens": 1, "reasoning_tokens": 2},
            "unusable": "no JSON",
            "failure": {"kind": "invalid", "message": "bad", "status": 400, "code": "no_field"},
        },
    },
    "latency_s": 3.0,
    "started_s": 0.125,
    "unpriced": True,
    "draw": 0.25,
    "hints": {"model": None, "min_quality": None, "baseline": "b"},
    "bounds": {"attempts": 2, "deadline_s": 50.0, "waste_usd": "0.02", "max_cost_usd": "1"},
    "features": {
        "input_tokens": {"low": 900, "likely": 900, "high": 900},
        "exact_tokens": {"o200k_base": 1000},
        "output_tokens_most": 600,
        "choices": 2,
        "needs": [],
        "cache_write": None,
        "service_tier": "flex",
        "messages": 3,
        "images": 0,
        "tools": 0,
        "stream": True,
        "matches": ["x", "y"],
        "prefix": [["7" * 16, 30], ["8" * 16, 70]],
    },
    "expected_output_tokens": 70,
    "prefer_wait_s": 3.0,
    "hedge_after_s": 20.0,
    "budgets": [],
    "budget_policy": None,
    "slate": {
        "live": [
            {"model": "a", "expected_usd": "0.001465", "worst_usd": "0.005764"},
            {"model": "b", "expected_usd": "0.00293", "worst_usd": "0.011528"},
        ],
        "dropped": [
            {"model": "c", "by": "request", "reason": "window of 10 tokens is too small for up to 964 in and 600 out"}
        ],
    },
    "attempts": [
        {
            "model": "a",
            "model_id": "simulated/a",
            "provider": "simulated",
            "window_tokens": 100_000,
            "served": "a-2026",
            "response_id": "r-1",
            "span_id": "d" * 16,
            "started_s": 0.5,
            "latency_s": 1.5,
            "first_token_s": None,
            "outcome": "server_error",
            "status": 500,
            "code": "oops",
            "error": "it broke",
            "retry_after_s": 0.0,
            "should_retry": False,
            "committed": False,
            "deployment": "east",
            "key_env": "KEY",
            "held": None,
            "hedge": False,
            "finish_reason": None,
            "usage": None,
            "cost_usd": "0.001",
            "billing": "estimated",
            "price_rule": "worst case",
            "worst_usd": "0.002",
            "reserved_usd": "0.002",
            "share": "7" * 16,
        },
        {
            "model": "b",
            "model_id": None,
            "provider": None,
            "window_tokens": None,
            "served": None,
            "response_id": None,
            "span_id": "d" * 16,
            "started_s": 2.0,
            "latency_s": 1.0,
            "first_token_s": 0.25,
            "outcome": "answer",
            "status": None,
            "code": None,
            "error": None,
            "retry_after_s": None,
            "should_retry": None,
            "committed": True,
            "deployment": None,
            "key_env": None,
            "held": None,
            "hedge": False,
            "finish_reason": "stop",
            "usage": {"input_tokens": 1000, "output_tokens": 100, "billed_usd": "0.003"},
            "cost_usd": "0.003",
            "billing": "billed",
            "price_rule": "none",
            "worst_usd": None,
            "reserved_usd": None,
            "share": None,
        },
    ],
    "stats": {
        "a": {
            "attempts": 3,
            "failures": 1,
            "latency_p50_s": None,
            "latency_p95_s": 2.0,
            "first_token_p50_s": None,
            "output_tokens_mean": None,
            "breaker": "closed",
        }
    },
    "parent_span_id": "9" * 16,
}


def test_the_record_of_a_request_to_the_letter() -> None:
    """Every name and every value, in the order of the record."""
    record = decision_dict(whole())
    assert record == RECORD
    assert list(record) == list(RECORD)


def test_what_was_given_comes_out_of_the_record() -> None:
    """Through JSON and back: all that the decision needs, and of the hints those that routing depends on."""
    record = orjson.loads(orjson.dumps(decision_dict(whole())))
    again = given_from(record, catalog=START.catalog, policy=keep_all)
    assert again == replace(START, hints=replace(START.hints, policy=None))
    decided = replay(record, catalog=START.catalog, policy=keep_all)
    assert isinstance(decided, Decision)
    assert decision_dict(decided) == record


def test_a_decision_has_what_was_given() -> None:
    """Each field that goes into a decision and stands in it is the one that went in."""
    decision = whole()
    shared = {f.name for f in fields(Given)} & {f.name for f in fields(Decision)} - {"policy"}
    assert len(shared) == 15
    for name in shared:
        assert getattr(decision, name) == getattr(START, name), name
    assert (decision.time, decision.policy, decision.attempts) == (START.now, "mine", (FAILED, ANSWERED))
    assert decision.lookup == Lookup(ended_s=0.375, hit=OLD_HIT, refused="it is 5 s old, and max_age_s is 4")
    assert [candidate.name for candidate in decision.slate] == ["a", "b"]


LATER = ("started_s", "unpriced", "prefer_wait_s", "hedge_after_s", "caching", "lookup", "key_without", "stats")


@pytest.mark.parametrize("missing", [*((name,) for name in LATER), LATER])
def test_a_record_from_before_a_field_was_added_is_read(missing: tuple[str, ...]) -> None:
    """The field then has the value that means what was done before."""
    record = {name: value for name, value in RECORD.items() if name not in missing}
    plain = given(*START.catalog.values())
    fields_of = {"hedge_after_s": "hedging"}
    names = [fields_of.get(name, name) for name in missing if name != "lookup"]
    before: dict[str, Any] = {name: getattr(plain, name) for name in names}
    again = given_from(record, catalog=START.catalog, policy=keep_all)
    assert again == replace(START, hints=replace(START.hints, policy=None), **before)


@pytest.mark.parametrize(("hedging", "after"), [(None, None), (Hedging(), "p95"), (Hedging(after_s=0.5), 0.5)])
def test_when_a_second_model_was_to_be_asked_is_read_back(hedging: Hedging | None, after: object) -> None:
    """Never, after a model's own p95, or after so many seconds."""
    record = decision_dict(replace(whole(), hedging=hedging))
    assert record["hedge_after_s"] == after
    assert given_from(record, catalog=START.catalog, policy=keep_all).hedging == hedging


def test_input_that_is_measured_in_bounds_is_read_back() -> None:
    """Each of the three counts under its name."""
    tokens = TokenCount(low=1, likely=2, high=3)
    record = decision_dict(replace(whole(), features=features(input_tokens=tokens)))
    assert record["features"]["input_tokens"] == {"low": 1, "likely": 2, "high": 3}
    assert given_from(record, catalog=START.catalog, policy=keep_all).features.input_tokens == tokens
