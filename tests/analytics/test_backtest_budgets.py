"""Budgets that a backtest plays over a log, in the order of time."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from router import Router, Settings
from router.analytics.backtest import backtest
from router.analytics.backtest_tally import Result
from router.analytics.backtest_work import Job, played
from router.core.request import Hints
from router.setup import Setup
from router.testing.clock import VirtualClock
from router.testing.decisions import Decisions
from tests.analytics.simulated_logs import answered, record_of, rows, setup_with
from tests.core.builders import attempt, model, price

LARGE: Mapping[str, Any] = {"kind": "fallback", "models": ["large"]}
PRICED = {
    "input_usd_per_mtok": "2",
    "output_usd_per_mtok": "8",
    "context_window_tokens": 128_000,
    "max_output_tokens": 4_096,
}


def logged(requests: int, **hints: Any) -> list[dict[str, Any]]:
    """Returns the records of requests that come every 20 minutes, and cost all the same."""
    clock, decisions = VirtualClock(), Decisions()
    models = {"large": {"id": "simulated/large", "client": "simulated", **PRICED}}
    tables: dict[str, Any] = {"models": models, "policies": {"default": LARGE}}
    with Router(Settings(**tables), sinks=[decisions], clock=clock) as router:
        for _ in range(requests):
            router.complete("hi", max_tokens=10, **hints)
            clock.advance(1_200.0)
    return [json.loads(json.dumps(decision.to_dict())) for decision in decisions]


def money(record: Mapping[str, Any]) -> tuple[Decimal, Decimal]:
    """Returns what an attempt of a record cost, and what it could have cost."""
    (made,) = record["attempts"]
    return Decimal(made["cost_usd"]), Decimal(made["worst_usd"])


def budgeted(limit_usd: Decimal | str, **more: Any) -> Setup:
    """Returns a configuration with one budget."""
    return setup_with(LARGE, budgets={"b": {"limit_usd": f"{limit_usd}", "window": "day", **more}})


def endings(result: Result) -> dict[str, int]:
    """Returns how requests end under the new configuration."""
    assert not result.aside
    return dict(result.tallies[0].endings_now)


def test_what_requests_before_spent_is_gone(tmp_path: Path) -> None:
    """Of seven requests three fit, whatever the order of the lines; in a window of its own each hour has as many."""
    records = logged(7)
    cost, worst = money(records[0])
    random.Random(7).shuffle(records)
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps(record) + "\n" for record in records))
    job = Job(setups=(budgeted(2 * cost + worst),), budgets="played")
    assert endings(backtest(log, job).result) == {"answer": 3, "budget": 4}
    hourly = Job(setups=(budgeted(worst, window="hour"),), budgets="played")
    assert endings(backtest(log, hourly).result) == {"answer": 3, "budget": 4}
    then = Job(setups=(budgeted(2 * cost + worst),))
    assert endings(backtest(log, then, processes=1).result) == {"answer": 7}


def test_parts_go_on_where_those_before_stopped() -> None:
    """The accounts are the same for all parts, and each configuration has its own."""
    first, second = logged(2)
    cost, worst = money(first)
    job = Job(setups=(budgeted(worst), budgeted(cost + worst)), budgets="played")
    accounts = job.accounts()
    came = [played(job, rows(record), accounts) for record in (first, second)]
    assert [dict(result.tallies[0].endings_now) for result in came] == [{"answer": 1}, {"budget": 1}]
    assert [dict(result.tallies[1].endings_now) for result in came] == [{"answer": 1}, {"answer": 1}]


def test_what_another_model_would_cost_is_spent() -> None:
    """Estimated at the tokens of the log, in the account of the model that would be asked."""
    models = {"small": model("small"), "large": model("large", price=price("10", "40"))}
    record = record_of(models, answered("small", usd="0.000001", tokens=(100, 50)))
    job = Job(setups=(budgeted("1", scope="model"),), budgets="played")
    accounts = job.accounts()
    large, at = job.setups[0].catalog["large"], datetime.fromisoformat(record["time"])
    for left in ("1", "0.9994", "0.9988"):
        (purse,) = accounts[0].purses(Hints(), "default", (large,), at)
        assert purse.left_usd == Decimal(left)
        assert endings(played(job, rows(record), accounts)) == {"unobserved": 1}


def test_an_attempt_is_held_against_what_those_before_left() -> None:
    """A failure that was paid for leaves too little for the next attempt of the same request."""
    models = {"small": model("small"), "large": model("large")}
    failed = attempt("small", "no_such_model", model_id="simulated/small", cost_usd=Decimal("0.05"))
    record = record_of(models, failed, answered("large"))
    both = {"kind": "fallback", "models": ["small", "large"]}
    for limit, ending in (("0.001", "budget"), ("0.07", "final"), ("1", "answer")):
        budgets = {"b": {"limit_usd": limit, "window": "day"}}
        job = Job(setups=(setup_with(both, budgets=budgets),), budgets="played")
        assert endings(played(job, rows(record), job.accounts())) == {ending: 1}


def test_turns_that_were_held_back_then_are_decided_anew() -> None:
    """That a budget was spent in the log says nothing of the new one."""
    (record,) = logged(1)
    held = {**record["attempts"][0], "held": "budget_spent", "outcome": "refused", "cost_usd": "0"}
    again = {**record, "attempts": [held, *record["attempts"]]}
    job = Job(setups=(budgeted("1"),), budgets="played")
    assert endings(played(job, rows(again), job.accounts())) == {"answer": 1}


def test_recorded_usage_is_spent_as_it_was_logged() -> None:
    """It is set aside, as it was decided elsewhere, and what it cost is gone; told twice under one name, once."""
    (record,) = logged(1)
    cost, worst = money(record)
    recorded = {**record, "ending": "recorded", "span_id": "9" * 16}
    for limit, ending in ((cost + worst, "answer"), (worst, "budget")):
        job = Job(setups=(budgeted(limit),), budgets="played")
        result = played(job, rows(recorded, recorded, record), job.accounts())
        assert result.aside == {"it was made outside the router": 2}
        assert dict(result.tallies[0].endings_now) == {ending: 1}


@pytest.mark.parametrize("name", ["acme", "zeta"])
def test_a_tenant_has_an_account_of_its_own(name: str) -> None:
    """Budgets that the log did not have are played as well."""
    first, second = [*logged(1, tenant="acme"), *logged(1, tenant=name)]
    _, worst = money(first)
    job = Job(setups=(budgeted(worst, scope="tenant"),), budgets="played")
    found = endings(played(job, rows(first, second), job.accounts()))
    assert found == ({"answer": 1, "budget": 1} if name == "acme" else {"answer": 2})
