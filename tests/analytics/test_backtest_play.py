from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from router import Router
from router.analytics.backtest_play import Aside, Machine, readable
from router.analytics.backtest_tally import Result, Tally
from router.analytics.backtest_work import Job, played
from router.core.bounds import Bounds
from router.core.catalog import Model
from router.core.request import Hints
from router.setup import Setup
from tests.analytics.simulated_logs import MODELS, answered, record_of, rows, settings_with, setup_with, stored
from tests.core.builders import attempt, features, model, price

SMALL, LARGE = model("small"), model("large", price=price("10", "40"))
BOTH: Mapping[str, Model] = {"small": SMALL, "large": LARGE}
TO_LARGE: Mapping[str, Any] = {"kind": "fallback", "models": ["large"]}
TO_SMALL: Mapping[str, Any] = {"kind": "fallback", "models": ["small", "large"]}


def play(setup: Setup, *records: Any, policy: str | None = None) -> Result:
    """Returns what records come to."""
    return played(Job(setups=(setup,), policy=policy), rows(*records))


def tally(setup: Setup, *records: Any, policy: str | None = None) -> Tally:
    """Returns what records come to that can all be replayed."""
    result = play(setup, *records, policy=policy)
    assert not result.aside
    return result.tallies[0]


def aside(setup: Setup, record: Any) -> str:
    """Returns why a record is set aside."""
    (reason,) = play(setup, record).aside
    return reason


def test_what_the_log_has_is_observed() -> None:
    """A request that goes to the same model keeps its logged cost and time, whatever the price is now."""
    log = record_of(BOTH, answered("small", usd="0.007"))
    total = tally(setup_with(TO_SMALL), log).total
    assert (total.observed, total.changed) == (1, 0)
    assert total.was_usd == total.now_usd == total.observed_usd == Decimal("0.007")


def test_what_the_log_does_not_have_is_estimated() -> None:
    """Another model is priced exactly at the tokens that were reported; nothing of it is observed."""
    log = record_of(BOTH, answered("small", usd="0.007"))
    found = tally(setup_with(TO_LARGE), log)
    total = found.total
    assert (total.observed, total.changed, total.by_features) == (0, 1, 0)
    assert (total.was_usd, total.now_usd, total.observed_usd) == (Decimal("0.007"), Decimal("0.0006"), Decimal(0))
    assert found.endings_now == {"unobserved": 1}
    assert not found.latency_now
    assert found.latency_was == {1000: 1}


def test_a_failure_before_what_is_not_known() -> None:
    """The part that the log has is observed, and what would follow it is estimated beside it."""
    failed = attempt("small", "server_error", model_id="simulated/small", cost_usd=Decimal("0.002"))
    log = record_of(BOTH, failed, answered("large", usd="0.5"))
    setup = setup_with({"kind": "fallback", "models": ["small", "medium"]})
    total = tally(setup, log).total
    assert total.observed_usd == Decimal("0.002")
    assert total.now_usd == Decimal("0.002") + Decimal("0.00012")


def test_tokens_that_nobody_reported() -> None:
    """Where no answer was counted, an estimate takes the tokens that were counted ahead, and says so."""
    log = record_of({"small": SMALL}, attempt("small", "invalid", model_id="simulated/small"))
    total = tally(setup_with(TO_LARGE), log).total
    assert total.by_features == 1
    # 100 tokens in, and 5 that a host may add; 500 out are expected where the request says nothing.
    assert total.now_usd == Decimal("0.00421")


def test_a_model_goes_by_its_id() -> None:
    """A logged model under another name is the same one; another one under its name is not."""
    log = record_of(BOTH, answered("small"))
    tables = {"models": {"tiny": MODELS["small"], "small": MODELS["large"]}}
    renamed = tally(setup_with({"kind": "fallback", "models": ["tiny"]}, **tables), log)
    assert renamed.total.observed == 1
    assert set(renamed.moves) == {("tiny", "tiny")}
    swapped = tally(setup_with({"kind": "fallback", "models": ["small"]}, **tables), log)
    assert swapped.total.observed == 0
    assert set(swapped.moves) == {("tiny", "small")}
    alone = setup_with({"kind": "fallback", "models": ["small"]}, models={"small": MODELS["large"]})
    assert set(tally(alone, log).moves) == {("simulated/small", "small")}
    old = {**log, "attempts": [{k: v for k, v in log["attempts"][0].items() if k != "model_id"}]}
    assert tally(setup_with(TO_SMALL), old).total.observed == 1


def test_answers_out_of_the_cache() -> None:
    """A hit stays one where its model is live, also under another name; else it is a call, and counted as lost."""
    log = record_of(BOTH, hit=stored("small"))
    kept = tally(setup_with(TO_SMALL), log)
    assert (kept.endings_was, kept.endings_now) == ({"cache": 1}, {"cache": 1})
    assert kept.total.now_usd == 0
    assert kept.hits_lost == 0
    renamed = setup_with({"kind": "cheapest"}, models={"tiny": MODELS["small"]})
    assert tally(renamed, log).endings_now == {"cache": 1}
    lost = tally(setup_with(TO_LARGE), log)
    assert lost.endings_now == {"unobserved": 1}
    assert lost.hits_lost == 1
    assert lost.total.now_usd == Decimal("0.0006")


def test_bounds_of_the_configuration() -> None:
    """A bound that is lower now stops requests that went on then; one that is higher changes nothing."""
    failed = attempt("small", "server_error", model_id="simulated/small", cost_usd=Decimal("0.002"))
    log = record_of(BOTH, failed, answered("large", usd="0.5"))
    fewer = tally(setup_with(TO_SMALL, bounds={"attempts": 1}), log)
    assert fewer.endings_now == {"bounds": 1}
    assert fewer.total.now_usd == Decimal("0.002")
    assert set(fewer.moves) == {("large", "nobody")}
    more = tally(setup_with(TO_SMALL, bounds={"attempts": 9}), log)
    assert more.endings_now == {"answer": 1}


def test_requests_refused_for_their_price() -> None:
    """Requests whose limit of dollars nobody can keep are counted, then and now."""
    least = Bounds(max_cost_usd=Decimal("0.000001"))
    then = record_of({"small": SMALL, "large": LARGE}, bounds=least)
    now = tally(setup_with(TO_SMALL), then)
    assert (now.refused_was, now.refused_now) == (1, 1)
    log = record_of(BOTH, answered("small"), bounds=Bounds(max_cost_usd=Decimal("0.005")))
    found = tally(setup_with(TO_LARGE), log)
    assert (found.refused_was, found.refused_now) == (0, 1)
    assert found.endings_now == {"no_candidate": 1}
    assert any(reason.startswith("may cost up to $#") for _, _, reason in found.dropped)


def test_prices_that_nobody_knows() -> None:
    """An unknown cost is in no sum, and is counted."""
    unpriced = {"models": {"small": {"id": "own/small", "base_url": "http://localhost:1"}}, "unpriced": "allow"}
    log = record_of(BOTH, answered("large"))
    total = tally(setup_with({"kind": "cheapest"}, **unpriced), log).total
    assert (total.unknown, total.was_usd, total.now_usd) == (1, Decimal(0), Decimal(0))
    nothing = record_of(BOTH, attempt("small", model_id="own/model", cost_usd=None))
    assert tally(setup_with(TO_SMALL), nothing).total.unknown == 1


def test_costs_that_the_log_does_not_have() -> None:
    """Logged tokens without a cost are priced as the configuration has it; nothing of that is observed."""
    log = record_of(BOTH, answered("small", usd=None))
    total = tally(setup_with(TO_SMALL), log).total
    assert total.was_usd == total.now_usd == total.was_estimated_usd == Decimal("0.000045")
    assert total.observed_usd == 0


def test_policies() -> None:
    """Each request goes by the policy of its own name, or all by one; a request that names its model chose itself."""
    setup = setup_with(TO_SMALL, policies={"default": TO_SMALL, "other": TO_LARGE})
    own = record_of(BOTH, answered("small"), policy_name="other")
    named = record_of(BOTH, answered("small"), policy_name="none", hints=Hints(model="small"))
    assert set(tally(setup, own).moves) == {("small", "large")}
    assert set(tally(setup, own, policy="default").moves) == {("small", "small")}
    assert set(tally(setup, named, policy="other").moves) == {("small", "small")}
    assert "policy 'gone'" in aside(setup, {**own, "policy": "gone"})
    asks = {**named, "hints": {**named["hints"], "model": "gone"}}
    assert "model 'gone'" in aside(setup, asks)


def test_a_policy_that_breaks_its_contract() -> None:
    """The request would have failed, at no cost."""

    def broken(slate: Any, context: Any) -> Any:
        raise ZeroDivisionError

    setup = replace(setup_with(TO_SMALL), policies={"default": broken})
    found = tally(setup, record_of(BOTH, answered("small")))
    assert found.endings_now == {"policy_error": 1}
    assert found.total.now_usd == 0


def test_policies_that_read_what_the_log_lacks() -> None:
    """Requests whose record has no statistics, and those near a limit that were not counted, are told."""
    fast = setup_with({"kind": "max_latency", "p95_s": 1.0})
    log = record_of(BOTH, answered("small"))
    assert tally(fast, log).without_stats == 1
    assert tally(setup_with(TO_SMALL), log).without_stats == 0
    tiers = setup_with({"kind": "token_tiers", "tiers": [{"up_to_tokens": 110, "models": ["small"]}]})
    near = {**log, "features": {**log["features"], "input_tokens": {"low": 5, "likely": 100, "high": 400}}}
    assert (tally(tiers, near).near_limit, tally(tiers, log).near_limit) == (1, 0)


def test_days_are_those_of_utc() -> None:
    """A time elsewhere counts towards the day that it is in UTC."""
    log = record_of(BOTH, answered("small"))
    times = ("2026-03-01T23:30:00-02:00", "2026-03-02T00:00:00Z", "2026-03-01T00:00:00+00:00")
    found = tally(setup_with(TO_SMALL), *({**log, "time": time} for time in times))
    assert {day: sums.requests for day, sums in found.days.items()} == {"2026-03-02": 2, "2026-03-01": 1}


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (3, "it is no decision"),
        ({}, "it is no decision"),
        ({"trace_id": "a", "schema": 0}, "its schema is 0"),
        ({"trace_id": "a", "source": "csv"}, "it has no time"),
        ({"trace_id": "a", "bounds": {}}, "it lacks what a decision has (KeyError)"),
        ({"trace_id": "a", "time": "yesterday"}, "it lacks what a decision has (ValueError)"),
    ],
)
def test_what_is_set_aside(record: Any, reason: str) -> None:
    """What cannot be replayed is counted by its reason."""
    assert aside(setup_with(TO_SMALL), record).startswith(reason)


LOGGED = record_of(BOTH, answered("small", usd="0.007"))


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        ({"cost_usd": "n/a"}, "it lacks what a decision has (InvalidOperation)"),
        ({"cost_usd": "Infinity"}, "a cost of it is no finite amount"),
        ({"cost_usd": "1e400"}, "a cost of it is no finite amount"),
        ({"attempts": [{**LOGGED["attempts"][0], "cost_usd": "-Infinity"}]}, "a cost of it is no finite amount"),
        ({"latency_s": "1 s"}, "its latency_s is no finite number"),
        ({"latency_s": 1e308}, "its latency_s is no finite number"),
        ({"propensity": "0.5"}, "its propensity is no finite number"),
        ({"propensity": True}, "its propensity is no finite number"),
        ({"ending": ["answer"]}, "its ending is no text"),
        ({"ending": None}, "its ending is no text"),
        ({"model": 3}, "its model is no text"),
        ({"policy": {}}, "its policy is no text"),
    ],
)
def test_an_odd_record_ends_nothing(odd: dict[str, Any], reason: str) -> None:
    """A record with a value that cannot be counted is set aside whole, and those before and after it count."""
    result = play(setup_with(TO_SMALL), LOGGED, LOGGED | odd, LOGGED)
    assert [text.startswith(reason) for text in result.aside] == [True], result.aside
    assert result.tallies[0] == tally(setup_with(TO_SMALL), LOGGED, LOGGED)


def test_scores_that_cannot_be_summed() -> None:
    """They set their record aside where scores are asked for, and nowhere else."""
    found = rows(LOGGED) + [(line, None, math.inf) for line, *_ in rows(LOGGED)]
    job = Job(setups=(setup_with(TO_SMALL),), reward="score")
    (reason,) = played(job, found).aside
    assert "its score is no finite number" in reason
    assert not played(replace(job, reward="answer"), found).aside


def imported(**more: Any) -> dict[str, Any]:
    """Returns a record as an importer writes it of a log that has times, models and tokens only."""
    usage = {"input_tokens": 1_000, "output_tokens": 100}
    called = {"model": "gpt-4.1", "model_id": "openai/gpt-4.1", "outcome": "answer", "usage": usage}
    return {
        "schema": 1,
        "source": "csv",
        "trace_id": "f" * 32,
        "time": "2026-03-01T00:00:00+00:00",
        "model": "gpt-4.1",
        "attempts": [called],
        **more,
    }


def test_logs_of_others() -> None:
    """A record of time, model and tokens is played under the default policy, its cost then by the installed prices."""
    found = tally(setup_with(TO_LARGE), imported())
    total = found.total
    assert set(found.moves) == {("gpt-4.1", "large")}
    assert total.was_usd == total.was_estimated_usd == Decimal("0.0028")
    assert total.now_usd == Decimal("0.0028")
    assert not found.latency_was
    same = setup_with({"kind": "cheapest"}, models={"four": {**MODELS["large"], "id": "openai/gpt-4.1"}})
    kept = tally(same, imported())
    assert kept.total.observed == 1
    assert set(kept.moves) == {("four", "four")}
    assert not kept.latency_now


def test_logs_of_others_with_less() -> None:
    """Without attempts a model is still known to have answered; without a model nobody did; draws follow the id."""
    setup = setup_with({"kind": "weighted", "split": [{"weight": 1, "model": n} for n in ("small", "large")]})
    bare = imported(attempts=[], features={"input_tokens": {"likely": 70}})
    assert tally(setup, bare).endings_was == {"answer": 1}
    assert tally(setup, imported(attempts=None, model=None)).endings_was == {"final": 1}
    many = [imported(trace_id=f"{i:032x}") for i in range(60)]
    models = {now for _, now in tally(setup, *many).moves}
    assert models == {"small", "large"}
    assert tally(setup, *many).moves == tally(setup, *reversed(many)).moves


def test_tokens_that_a_log_says_nothing_of() -> None:
    """A count that is null is one that is not there: the reported tokens stand for it."""
    null = imported(features={"input_tokens": {"low": None, "likely": None, "high": None}})
    assert tally(setup_with(TO_LARGE), null) == tally(setup_with(TO_LARGE), imported())


def test_a_cost_in_part() -> None:
    """A failed attempt whose cost stands there, and an answer without one, come to both."""
    failed = {"model": "gpt-4.1", "model_id": "openai/gpt-4.1", "outcome": "server_error", "cost_usd": "0.1"}
    record = imported(attempts=[failed, *imported()["attempts"]])
    assert tally(setup_with(TO_LARGE), record).total.was_usd == Decimal("0.1028")
    unknown = imported(attempts=[{**imported()["attempts"][0], "model_id": "nobody/knows"}])
    assert tally(setup_with(TO_LARGE), unknown).total.unknown == 1


def test_features_of_the_request_count() -> None:
    """What a request needs is as it was logged: a model that cannot serve it is not asked."""
    tools = frozenset({"tools"})
    needy = record_of({"small": model("small", capabilities=tools)}, answered("small"), features=features(needs=tools))
    found = tally(setup_with(TO_SMALL), needy)
    assert found.endings_now == {"no_candidate": 1}
    assert any(reason == "lacks tools" for _, _, reason in found.dropped)


@pytest.mark.parametrize("lacking", ["input_tokens", "output_tokens"])
def test_counts_that_an_imported_log_lacks(lacking: str) -> None:
    """A count that a log does not say is filled in like one that is not there, and its usage prices nothing."""
    usage = {"input_tokens": 70, "output_tokens": 9, lacking: None}
    unknown = {"low": None, "likely": None, "high": None}
    (call,) = imported()["attempts"]
    record = imported(attempts=[{**call, "usage": usage}], features={"input_tokens": unknown})
    assert readable(record)["features"]["input_tokens"] == {"low": 0, "likely": 0, "high": 0}
    assert tally(setup_with(TO_LARGE), record).total.requests == 1


def test_budgets_are_held_against_what_was_spent_then() -> None:
    """A lower limit refuses what was answered; a budget that is not there any more holds nothing back."""
    budgets = {"day": {"limit_usd": "1", "window": "day"}}
    then = setup_with({"kind": "cheapest"}, budgets=budgets)
    with Router(settings_with({"kind": "cheapest"}, budgets=budgets), sinks=()) as router:
        record = json.loads(json.dumps(router.complete("hi", max_tokens=10).decision.to_dict()))
    for limit, ending in (("1", "answer"), ("0", "budget")):
        now = {"day": {"limit_usd": limit, "window": "day"}}
        machine = Machine(setup_with({"kind": "cheapest"}, budgets=now), None, lambda _: None)
        assert machine.now(record, machine.given(record)).ending == ending
    gone = Machine(setup_with({"kind": "cheapest"}), None, lambda _: None)
    assert gone.given(record).budgets == ()
    assert Machine(then, None, lambda _: None).given(record).budgets[0].budget.name == "day"
    with pytest.raises(Aside, match="it was made outside the router"):
        readable(record | {"ending": "recorded"})
