"""From a request to the alert at its receiver: a router, a budget, rules, and a webhook on loopback."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from router import BudgetExceeded
from router.config import Settings
from router.core.alert import Event
from router.router import Router
from router.testing import VirtualClock
from router.webhooks import verify
from tests.alerts.receiver import SECRET, Receiver

PATIENCE_S = 30.0
MODEL: Mapping[str, Any] = {
    "id": "simulated/m",
    "client": "simulated",
    "input_usd_per_mtok": "0",
    "output_usd_per_mtok": "1000",
    "max_output_tokens": 10,
    "options": {"text": "yes, that is it"},
}
"""Whose answers cost 0.3 cents each, and may cost a whole one."""


def settings(url: str, *alerts: Mapping[str, Any], **more: Any) -> Settings:
    """Returns settings with one destination."""
    ops = {
        "kind": "webhook",
        "url": url,
        "secret_env": "LOWFARE_TEST_OPS",
        "allow_hosts": ["127.0.0.1"],
    }
    tables = {
        "models": {"m": MODEL},
        "bounds": {"attempts": 1},
        "destinations": {"ops": ops},
        "outbox": {"backend": "memory"},
        "alerts": [{"to": ["ops"], **alert} for alert in alerts],
    }
    return Settings.model_validate(tables | more)


async def arrived(receiver: Receiver, count: int) -> list[Event]:
    """Returns the events of so many messages, each verified, in the order of their arrival."""
    async with asyncio.timeout(PATIENCE_S):
        while len(receiver.received) < count:
            await asyncio.sleep(0.01)
    return [verify(one.headers, one.body, SECRET) for one in receiver.received]


@pytest.fixture(autouse=True)
def secret() -> Iterator[None]:
    """Sets the variable that holds the destination's secret."""
    os.environ["LOWFARE_TEST_OPS"] = SECRET
    yield
    del os.environ["LOWFARE_TEST_OPS"]


async def test_a_budget_that_is_spent_is_told() -> None:
    """Each threshold arrives once, signed, while the requests go on; the last request finds no money left."""
    team = {"limit_usd": "0.02", "window": "total", "scope": "tenant"}
    rule = {"name": "team", "kind": "budget", "budget": "team", "shares": [0.4], "amounts_usd": ["0.012"]}
    async with Receiver() as receiver:
        async with Router(settings(receiver.url, rule, budgets={"team": team}), clock=VirtualClock()) as router:
            for number in range(4):
                await router.acomplete(f"question {number}", tenant="acme", max_tokens=10)
            with pytest.raises(BudgetExceeded):
                await router.acomplete("one too many", tenant="acme", max_tokens=10)
            await router.acomplete("another one's", tenant="other", max_tokens=10)
            events = await arrived(receiver, 2)
        assert len(receiver.received) == 2
    assert [event.type for event in events] == ["budget.threshold"] * 2
    assert sorted((e.data["threshold_usd"], e.data["value"], e.data["spent_usd"]) for e in events) == [
        ("0.008", "acme", "0.009"),
        ("0.012", "acme", "0.012"),
    ]
    assert len({event.id for event in events}) == 2


async def test_what_is_counted_is_told() -> None:
    """A model that fails, with what that costs: of a synchronous program, when the router is closed at the latest."""
    failing = {**MODEL, "options": {"script": ["server_error"]}}
    rules: list[dict[str, Any]] = [
        {"name": "errors", "kind": "errors", "shares": [0.5], "min_attempts": 2, "window": "day"},
        {"name": "waste", "kind": "waste", "shares": [0.5], "min_requests": 2, "window": "day"},
    ]

    def ask(url: str) -> None:
        with Router(settings(url, *rules, models={"m": failing}), clock=VirtualClock()) as router:
            for number in range(3):
                with pytest.raises(Exception, match="server_error"):
                    router.complete(f"question {number}", max_tokens=10)

    async with Receiver() as receiver:
        await asyncio.to_thread(ask, receiver.url)
        events = await arrived(receiver, 2)
    assert {event.type for event in events} == {"errors.share", "waste.share"}
    assert {event.data["rule"] for event in events} == {"errors", "waste"}
