"""Usage from elsewhere in budgets and in the log."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from router import (
    RequestError,
    Usage,
)
from router.testing.decisions import Decisions
from tests.budget_routers import MODELS, Away, day, routed, standing

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_usage_from_elsewhere_counts() -> None:
    """It has a record of its own, priced by the same rows, and counts in budgets whatever they have left."""
    decisions = Decisions()
    with routed(day("0"), sinks=[decisions]) as router:
        usage = {"prompt_tokens": 1_000, "completion_tokens": 500}
        decision = router.record_usage(model="large", usage=usage, tags={"team": "x"}, tenant="acme", time=AT)
        assert standing(router).spent_nano == 12_000_000
    assert decisions == [decision]
    record = decision.to_dict()
    assert (record["ending"], record["model"], record["cost_usd"]) == ("recorded", "large", "0.012")
    assert (record["tenant"], record["tags"], record["policy"]) == ("acme", {"team": "x"}, "none")
    assert record["time"] == "2026-01-01T12:00:00.000000+00:00"
    assert record["attempts"][0]["usage"] == {"input_tokens": 1_000, "output_tokens": 500}
    assert record["attempts"][0]["price_rule"] == "stated usage times price"
    with routed({}) as router:
        assert router.record_usage(model="simulated/small", usage=Usage(input_tokens=1)).model == "small"


def test_what_is_recorded_under_one_name_counts_once() -> None:
    """In budgets and in the log; without a name each time."""
    decisions = Decisions()
    with routed(day("1"), sinks=[decisions]) as router:
        for _ in range(3):
            router.record_usage(model="small", usage=Usage(input_tokens=1_000), request_id="job-7")
        assert standing(router).spent_nano == 1_000_000
        assert len(decisions) == 1
        for _ in range(2):
            router.record_usage(model="small", usage=Usage(input_tokens=1_000))
        assert standing(router).spent_nano == 3_000_000
    assert len(decisions) == 3


async def test_it_is_recorded_from_an_event_loop_too() -> None:
    """In a shared ledger, in the window of the time that is given."""
    ledger = Away()
    ledger.away = False
    async with routed({"hour": {"limit_usd": "1", "window": "hour"}}, ledger=ledger) as router:
        await router.arecord_usage(model="small", usage=Usage(input_tokens=7), policy="default", time=AT)
    [(account, found)] = [each async for each in ledger.accounts(now_s=AT.timestamp())]
    assert (account.start_s, found.spent_nano) == (int(AT.timestamp()), 7_000)


async def test_what_is_recorded_stands_in_the_log_also_where_the_caller_gives_up() -> None:
    """Whatever budgets have, a rebuild finds."""
    decisions, ledger = Decisions(), Away()
    ledger.away = False
    router = routed(day("1"), ledger=ledger, sinks=[decisions])
    task = asyncio.create_task(router.arecord_usage(model="small", usage=Usage(input_tokens=7)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await router.aclose()
    [(_, found)] = [each async for each in ledger.accounts(now_s=AT.timestamp())]
    assert (found.spent_nano, len(decisions)) == (7_000, 1)


def test_a_cost_that_nobody_knows_counts_nothing() -> None:
    """A model without a price has a record whose cost is unknown."""
    models = {**MODELS, "own": {"id": "own/model", "base_url": "http://127.0.0.1:9", "context_window_tokens": 10}}
    with routed(day("1"), models=models, unpriced="allow") as router:
        decision = router.record_usage(model="own", usage=Usage(input_tokens=1_000))
        assert decision.cost_usd is None
        assert decision.attempts[0].billing == "unknown"
        assert standing(router).spent_nano == 0


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"model": "nobody"}, "model 'nobody' is not configured"),
        ({"policy": "nobody"}, "policy 'nobody' is not configured"),
        ({"usage": {}}, "no whole number from 0 to 1,000,000,000; allowed: a router.Usage"),
        ({"usage": Usage(input_tokens=-1)}, "states no tokens"),
        ({"time": datetime(2026, 1, 1)}, "time: a datetime without a time zone"),  # noqa: DTZ001 - what is refused
        ({"time": "2026-01-01"}, "time: a value of type str is not allowed; a datetime, or None, is"),
        ({"tenant": 5}, "tenant"),
    ],
)
def test_usage_that_makes_no_sense_is_refused(given: dict[str, Any], says: str) -> None:
    """Nothing is counted or logged."""
    decisions = Decisions()
    with routed(day("1"), sinks=[decisions]) as router, pytest.raises(RequestError, match=says):
        router.record_usage(**{"model": "small", "usage": Usage(input_tokens=1), **given})
    assert not decisions


def test_what_the_provider_billed_is_taken_at_its_word() -> None:
    """As of an answer that came by the router."""
    with routed({}) as router:
        told = {"usage": {"prompt_tokens": 10, "completion_tokens": 1, "cost": 0.5}}
        decision = router.record_usage(model="small", usage=told)
    assert decision.cost_usd == Decimal("0.5")
    assert decision.attempts[0].price_rule == "as the provider says it billed"
