from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core import instruments as i
from router.core.answer import Usage
from router.core.decision import Attempt, Decision
from router.core.instruments import Instrument
from router.core.measure import Measurement, breakers, budgets, logged, measurements, request_model
from router.core.place import DeploymentState, ModelState
from router.testing.records import decision_of
from tests.core.builders import attempt
from tests.decisions import decisions


def values(found: list[Measurement], instrument: Instrument) -> list[float]:
    """Returns the values of one metric."""
    return [m.value for m in found if m.instrument is instrument]


def calls(decision: Decision) -> list[Attempt]:
    """Returns the attempts that were sent."""
    return [a for a in decision.attempts if a.held is None]


@given(decisions())
def test_the_log_measures_the_same(decision: Decision) -> None:
    """What is measured of a decision is measured of its line in the log."""
    record = orjson.loads(orjson.dumps(decision.to_dict()))
    assert list(measurements(logged(record))) == list(measurements(decision))


@given(decisions())
def test_counts_are_those_of_the_decision(decision: Decision) -> None:
    """One request, each attempt once, one look into the cache where there was one; tokens and times of each call."""
    found = list(measurements(decision))
    made = calls(decision)
    assert values(found, i.DECISIONS) == [1.0]
    assert len(values(found, i.ATTEMPTS)) == len(decision.attempts)
    assert len(values(found, i.CACHE)) == (decision.lookup is not None)
    assert values(found, i.DURATION) == [a.latency_s for a in made if decision.ending != "recorded"]
    assert values(found, i.FIRST_CHUNK) == [a.first_token_s for a in made if a.first_token_s is not None]
    used = [a.usage for a in made if a.usage is not None]
    assert sum(values(found, i.TOKEN_USAGE)) == sum(u.total_tokens for u in used)


@given(decisions())
def test_money_is_that_of_the_decision(decision: Decision) -> None:
    """Cost and waste add up to the decision's where those are known; an unknown one is no measurement, never 0."""
    found = list(measurements(decision))
    assert len(values(found, i.COST)) == sum(a.cost_usd is not None for a in calls(decision))
    if decision.cost_usd is not None:
        assert sum(values(found, i.COST)) == pytest.approx(float(decision.cost_usd))
    if decision.waste_usd is not None:
        assert sum(values(found, i.WASTE)) == pytest.approx(float(decision.waste_usd))
    unknown = Counter(a.billing for a in calls(decision) if a.cost_usd is None)
    assert set(unknown) <= {m.attributes[i.BILLING] for m in found if m.instrument is i.ATTEMPTS}


@given(decisions())
def test_measurements_are_of_their_instrument(decision: Decision) -> None:
    """Each has only the attributes that its metric lists, and those that the conventions require."""
    for instrument, value, attributes in measurements(decision):
        assert instrument in i.COUNTED
        assert value >= 0
        assert set(attributes) <= set(instrument.attributes)
        if instrument.kind == "histogram":
            assert {i.OPERATION, i.PROVIDER, i.REQUEST_MODEL} <= set(attributes)


def test_what_an_attempt_is_called() -> None:
    """Provider by the conventions' name, the model as it went over the wire, and what went wrong."""
    asked = attempt("m", "refused", model_id="gemini/gemini-9", provider="gemini", served="gemini-9-001")
    old = attempt("m", model_id=None, provider=None)
    decision = decision_of()
    found = [m for a in (asked, old) for m in measurements(with_attempts(decision, a)) if m.instrument is i.DURATION]
    assert [m.attributes for m in found] == [
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "gcp.gemini",
            "gen_ai.request.model": "gemini-9",
            "gen_ai.response.model": "gemini-9-001",
            "error.type": "refused",
        },
        {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "unknown", "gen_ai.request.model": "m"},
    ]
    assert request_model(attempt("m", model_id="bare", provider="openai_compatible")) == "bare"


def with_attempts(decision: Decision, *attempts: Attempt) -> Any:
    """Returns a decision with these attempts, by way of its record."""
    return logged(decision.to_dict() | {"attempts": [json_of(a) for a in attempts]})


def json_of(made: Attempt) -> dict[str, Any]:
    """Returns an attempt as JSON values."""
    from router.core.record import attempt_dict

    return attempt_dict(made)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("NaN"),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    st.sampled_from(sorted(decision_of(cached=True).to_dict())),
    st.sampled_from([None, *sorted(json_of(attempt()))]),
)
def test_any_line_is_measured_or_refused(odd: Any, name: str, of_attempt: str | None) -> None:
    """A record with any JSON in any place gives numbers and texts, or a ValueError."""
    record = decision_of().to_dict()
    if of_attempt is None:
        record[name] = odd
    else:
        record["attempts"][0][of_attempt] = odd
    try:
        read = logged(record)
    except ValueError:
        return
    for _, value, attributes in measurements(read):
        assert value >= 0
        assert all(isinstance(text, str) for text in attributes.values())


def test_nobody_knows_how_long_a_call_took_that_was_made_elsewhere() -> None:
    """It counts, with its tokens and its cost, but has no duration: least of all one of 0 s."""
    told = with_attempts(decision_of(), attempt("m", usage=Usage(input_tokens=3, output_tokens=2)))
    usual, recorded = (
        [found.instrument for found in measurements(replace(told, ending=ending))] for ending in ("answer", "recorded")
    )
    assert [instrument for instrument in usual if instrument is not i.DURATION] == recorded
    assert i.DURATION in usual


def test_what_the_cache_came_to() -> None:
    """Where an answer was found, a miss, or one that did not count."""
    hit = decision_of(cached=True).to_dict()
    refused = json.loads(json.dumps(hit))
    refused["lookup"]["refused"] = "too old"
    missed = json.loads(json.dumps(hit))
    missed["lookup"]["hit"] = None
    found = [
        m.attributes[i.CACHE_RESULT]
        for r in (hit, refused, missed)
        for m in measurements(logged(r))
        if m.instrument is i.CACHE
    ]
    assert found == [hit["lookup"]["hit"]["kind"], "refused", "miss"]


def test_how_things_stand() -> None:
    """A value for each deployment's breaker, and what is left of each budget."""
    state = ModelState(
        deployments={"east": DeploymentState(breaker="open"), "west": DeploymentState(breaker="closed")},
        in_flight=0,
        queued=0,
        limit=None,
        retries_left=1.0,
    )
    assert list(breakers({"m": state})) == [
        (i.BREAKER_STATE, 3.0, {"lowfare.model": "m", "lowfare.deployment": "east"}),
        (i.BREAKER_STATE, 0.0, {"lowfare.model": "m", "lowfare.deployment": "west"}),
    ]
    assert list(budgets({("daily", "acme"): Decimal("1.5")})) == [
        (i.BUDGET_LEFT, 1.5, {"lowfare.budget.name": "daily", "lowfare.budget.scope": "acme"})
    ]
