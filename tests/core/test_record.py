"""A decision's JSON form: complete, exact, and read back as what it was."""

from __future__ import annotations

import dataclasses
from decimal import Decimal

import orjson
from hypothesis import given as over
from hypothesis import strategies as st

from router.core.answer import Usage
from router.core.bounds import Bounds
from router.core.caching import Caching, Hit, Lookup
from router.core.decision import Attempt, Decision, total
from router.core.failure import Failure
from router.core.machine import Done, NeedCall, plan
from router.core.money import usd
from router.core.record import (
    attempt_dict,
    attempt_from,
    bounds_from,
    caching_from,
    decision_dict,
    features_from,
    hints_from,
    hit_from,
    stats_from,
    usage_dict,
    usage_from,
)
from router.core.request import Features, Hints, TokenCount
from router.core.stats import ModelStats
from tests.core.builders import attempt, given, model

COUNTS = st.integers(0, 10_000_000)
MONEY = st.decimals(min_value=0, max_value=1_000, places=12)
USAGES = st.builds(
    Usage,
    input_tokens=COUNTS,
    output_tokens=COUNTS,
    cached_input_tokens=COUNTS,
    reasoning_tokens=COUNTS,
    search_requests=COUNTS,
    service_tier=st.sampled_from([None, "flex"]),
    billed_usd=st.none() | MONEY,
)
ATTEMPTS = st.builds(
    Attempt,
    model=st.text(),
    provider=st.none() | st.text(),
    window_tokens=st.none() | COUNTS,
    span_id=st.just("d" * 16),
    started_s=st.floats(0, 100).map(lambda s: round(s, 6)),
    latency_s=st.floats(0, 100).map(lambda s: round(s, 6)),
    outcome=st.sampled_from(["answer", "cut", "cancelled"]),
    usage=st.none() | USAGES,
    cost_usd=st.none() | MONEY,
    billing=st.sampled_from(["billed", "estimated", "unknown"]),
    price_rule=st.text(),
    worst_usd=st.none() | MONEY,
    committed=st.booleans(),
    should_retry=st.none() | st.booleans(),
)
FEATURES = st.builds(
    Features,
    input_tokens=st.builds(TokenCount, low=COUNTS, likely=COUNTS, high=COUNTS),
    exact_tokens=st.dictionaries(st.sampled_from(["o200k_base", "cl100k_base"]), COUNTS),
    output_tokens_most=st.none() | COUNTS,
    needs=st.frozensets(st.sampled_from(["tools", "vision"])),
    matches=st.frozensets(st.text()),
    prefix=st.lists(st.tuples(st.text(), COUNTS), max_size=3).map(tuple),
    stream=st.booleans(),
)
STATS = st.dictionaries(st.text(), st.builds(ModelStats, attempts=COUNTS, latency_p95_s=st.none() | st.floats(0, 9)))


def decision(**fields: object) -> Decision:
    """Returns the decision of an answered request."""
    state = plan(given(model("a"), model("b", price=None), **fields))
    assert isinstance(state, NeedCall)
    end = state.next(attempt("a", usage=Usage(input_tokens=10, output_tokens=5)))
    assert isinstance(end, Done)
    return end.decision


@over(one=ATTEMPTS)
def test_an_attempt_is_read_back_as_it_was(one: Attempt) -> None:
    """Through JSON text and back, no figure changes, money to the last digit."""
    assert attempt_from(orjson.loads(orjson.dumps(attempt_dict(one)))) == one


@over(features=FEATURES, stats=STATS, hints=st.builds(Hints, model=st.none() | st.just("a"), tenant=st.text()))
def test_what_decided_is_read_back_as_it_was(features: Features, stats: dict[str, ModelStats], hints: Hints) -> None:
    """Features, statistics, bounds and the hints that routing depends on survive the log."""
    bounds = Bounds(waste_usd=Decimal("0.020"), max_cost_usd=Decimal(1_000))
    record = orjson.loads(
        orjson.dumps(
            decision_dict(dataclasses.replace(decision(), features=features, stats=stats, hints=hints, bounds=bounds))
        )
    )
    assert features_from(record["features"]) == features
    assert stats_from(record) == stats
    assert hints_from(record) == hints
    assert bounds_from(record["bounds"]) == bounds


def test_a_record_names_every_field_of_the_values_it_holds() -> None:
    """No field of features or attempts is left out: what is added to the one must be added to the other."""
    record = decision_dict(decision())
    hidden = {f.name for f in dataclasses.fields(Features) if not f.compare}
    assert record["features"].keys() == {f.name for f in dataclasses.fields(Features)} - hidden
    assert record["attempts"][0].keys() == {f.name for f in dataclasses.fields(Attempt)}


HIT = Hit(
    kind="shared",
    model="a",
    model_id="simulated/a",
    trace_id="e" * 32,
    age_s=5.0,
    saved_usd=Decimal("0.01"),
    usage=Usage(input_tokens=3, reasoning_tokens=2),
    failure=Failure(kind="invalid", message="bad", status=400),
)


def test_the_look_into_the_cache_is_read_back_as_it_was() -> None:
    """Terms and hit survive the log, with every field that they have."""
    terms = Caching(mode="only", ttl_s=9.0, max_age_s=1.0, sampled=False, invalid_ttl_s=2.0, takes=False)
    lookup = Lookup(ended_s=0.5, hit=HIT)
    record = orjson.loads(orjson.dumps(decision_dict(dataclasses.replace(decision(), caching=terms, lookup=lookup))))
    assert (caching_from(record), hit_from(record)) == (terms, HIT)
    assert record["caching"].keys() == {f.name for f in dataclasses.fields(Caching)}
    assert record["lookup"]["hit"].keys() == {f.name for f in dataclasses.fields(Hit)}


def test_fields_of_later_versions_are_passed_over() -> None:
    """A new field raises no `schema`, so what this version does not know must not keep it from reading the rest."""
    terms, stats = Caching(mode="use"), {"a": ModelStats(attempts=3)}
    one = dataclasses.replace(decision(), caching=terms, lookup=Lookup(ended_s=0.5, hit=HIT), stats=stats)
    record = orjson.loads(orjson.dumps(decision_dict(one)))
    hit = record["lookup"]["hit"]
    usage, tokens = record["attempts"][0]["usage"], record["features"]["input_tokens"]
    for place in (record["caching"], hit, hit["failure"], hit["usage"], usage, tokens, *record["stats"].values()):
        place["later"] = 1
    for place in (record["hints"], record["features"], record["attempts"][0], record["bounds"]):
        place["later"] = 1
    assert (caching_from(record), hit_from(record), stats_from(record)) == (terms, HIT, stats)
    assert usage_from(usage) == Usage(input_tokens=10, output_tokens=5)
    assert features_from(record["features"]) == one.features
    assert hints_from(record) == one.hints
    assert attempt_from(record["attempts"][0]) == one.attempts[0]
    assert bounds_from(record["bounds"]) == one.bounds


def test_a_record_has_the_documented_fields() -> None:
    """The names that users and tools rely on are there, and money is text."""
    record = decision_dict(decision())
    assert record["model"] == "a"
    assert record["cost_usd"] == "0"
    live = record["slate"]["live"]
    assert [entry["model"] for entry in live] == ["a"]
    assert 0 < Decimal(live[0]["expected_usd"]) < Decimal(live[0]["worst_usd"])
    assert record["slate"]["dropped"] == [{"model": "b", "by": "request", "reason": "unpriced"}]
    assert record["attempts"][0]["usage"] == {"input_tokens": 10, "output_tokens": 5}
    assert record["cache"] == "none"
    assert record["time"].endswith("+00:00")
    assert "content" not in record
    assert decision().to_dict() == record
    one = decision()
    assert (one.request_id, one.trace_id) == (record["request_id"], record["trace_id"])


def test_content_stands_in_the_record_only_where_it_was_added() -> None:
    """Prompts and answers are in a record exactly when the decision was given them."""
    record = decision_dict(dataclasses.replace(decision(), content={"text": "hi"}))
    assert record["content"] == {"text": "hi"}


@over(amount=MONEY)
def test_money_is_written_exactly(amount: Decimal) -> None:
    """A plain decimal number, without exponent or trailing zeros."""
    text = usd(amount)
    assert text is not None
    assert Decimal(text) == amount
    assert "E" not in text
    assert text == "0" or "." not in text or not text.endswith(("0", "."))


def test_unknown_stays_unknown() -> None:
    """None is None in money, usage and sums."""
    assert usd(None) is None
    assert usage_dict(None) is None
    assert total([Decimal(1), None]) is None
    assert total([Decimal("1.5e-6")] * 1_000_000) == Decimal("1.5")
