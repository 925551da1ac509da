"""Budgets as a program meets them: real machine, real ledger; only client and clock are scripted."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from router import (
    BudgetExceeded,
    Decision,
    NotCached,
    Purse,
    RouterWarning,
)
from router.core.budget import nano_of
from router.testing.decisions import Decisions
from router.testing.scripted import ScriptedClient, failure
from tests.budget_routers import LARGE_FIRST, Away, accounts, day, routed, standing, whole, worst_usd


@pytest.mark.parametrize("streamed", [False, True])
async def test_what_an_attempt_cost_is_settled(streamed: bool) -> None:
    """The worst case is released, and the true cost stays, of an answer as of a stream."""
    decisions = Decisions()
    router = routed(day("1"), sinks=[decisions])
    reply = await whole(router, streamed=streamed, max_tokens=100)
    [(account, found)] = await accounts(router)
    assert reply.cost_usd is not None
    assert (account.budget, found.spent_nano, found.reserved_nano) == ("day", nano_of(reply.cost_usd), 0)
    (attempt,) = reply.decision.attempts
    assert attempt.reserved_usd == attempt.worst_usd
    (purse,) = reply.decision.budgets
    assert (purse.standing.spent_nano, purse.standing.limit_nano) == (0, 10**9)
    assert decisions[0].budgets == reply.decision.budgets


def test_what_happens_beyond_a_limit_is_said_by_the_budget() -> None:
    """Block refuses, cheapest asks who fits, another policy decides, alert asks as ever."""
    limit = str(worst_usd("small", max_tokens=100))
    with routed(day(limit)) as router:
        with pytest.raises(BudgetExceeded, match=r"the budget 'day' has no room: large can cost \$0\.0") as caught:
            router.complete("hi", max_tokens=100)
        assert caught.value.budget == "day"
        assert caught.value.decision is not None
        assert caught.value.decision.attempts == ()
    with routed(day(limit, on_exceed="cheapest")) as router:
        assert router.complete("hi", max_tokens=100).model == "small"
    policies = {**LARGE_FIRST, "frugal": {"kind": "fallback", "models": ["small"]}}
    with routed(day(limit, policy="frugal"), policies=policies) as router:
        reply = router.complete("hi", max_tokens=100)
        assert (reply.model, reply.decision.policy, reply.decision.budget_policy) == ("small", "default", "frugal")
        assert isinstance(router.replay(reply.decision.to_dict()), Decision)
    with routed(day(limit, on_exceed="alert")) as router:
        assert router.complete("hi", max_tokens=100).model == "large"
        assert standing(router).spent_nano > 0


def test_an_instead_policy_gets_the_statistics_that_it_reads() -> None:
    """Whatever policy a budget may put in the place of another has its snapshot in every request."""
    policies = {**LARGE_FIRST, "quick": {"kind": "max_latency", "p95_s": 1.0, "unknown": "keep"}}
    with routed(day("1", policy="quick"), policies=policies) as router:
        router.complete("hi")
        assert router.complete("hi").decision.stats.keys() == {"large"}


def test_a_spent_budget_still_serves_what_is_stored() -> None:
    """A hit costs nothing; the same request anew is refused."""
    limit = str(worst_usd("large", max_tokens=100))
    with routed(day(limit), cache={"ttl_s": 60}) as router:
        first = router.complete("hi", max_tokens=100)
        with pytest.raises(BudgetExceeded):
            router.complete("other", max_tokens=100)
        again = router.complete("hi", max_tokens=100)
        assert (again.text, again.cost_usd, again.decision.cache) == (first.text, Decimal(0), "memory")
        with pytest.raises(NotCached):
            router.complete("third", max_tokens=100, cache="only")


def test_each_tenant_has_an_account() -> None:
    """One that spent all does not keep another from asking; whoever names none has one together."""
    limit = str(worst_usd("large", max_tokens=100))
    with routed({"each": {"limit_usd": limit, "window": "day", "scope": "tenant"}}) as router:
        router.complete("hi", max_tokens=100, tenant="acme")
        with pytest.raises(BudgetExceeded, match="left for 'acme' until 2026-01-02"):
            router.complete("hi", max_tokens=100, tenant="acme")
        router.complete("hi", max_tokens=100, tenant="zeta")
        router.complete("hi", max_tokens=100)
        found = {account.value for account, _ in asyncio.run(accounts(router))}
        assert found == {"acme", "zeta", ""}


def test_a_budget_of_a_model_holds_that_one_back() -> None:
    """The next one in the chain is asked, as the budget says nothing of it."""
    budgets = {"l": {"limit_usd": "0", "window": "total", "scope": "model", "only": "large", "on_exceed": "cheapest"}}
    with routed(budgets) as router:
        reply = router.complete("hi", max_tokens=100)
        assert reply.model == "small"
        assert {d.name: d.by for d in reply.decision.slate.dropped} == {"large": "budget l"}


async def test_a_failed_attempt_is_settled_before_the_next_is_reserved() -> None:
    """A budget with room for one attempt pays for a second one after the first turned out to cost nothing."""
    limit = str(worst_usd("large", max_tokens=100))
    client = ScriptedClient({"large": failure("no_such_model")})
    reply = await routed(day(limit), client).acomplete("hi", max_tokens=100)
    assert [attempt.model for attempt in reply.decision.attempts] == ["large", "medium"]


async def test_observers_are_told_of_every_settlement() -> None:
    """With how the accounts stand after it; one that fails is a warning, and the others are told all the same."""
    for ledger in (None, Away()):
        if ledger is not None:
            ledger.away = False
        router = routed(day("1"), ledger=ledger)
        treasury = router._treasury  # noqa: SLF001 - there is no public way yet
        assert treasury is not None
        told: list[Purse] = []
        treasury.observe(_broken)
        treasury.observe(told.extend)
        with pytest.warns(RouterWarning, match="an observer of budgets raised ValueError: oops"):
            reply = await router.acomplete("hi", max_tokens=100)
        assert reply.cost_usd is not None
        assert [purse.standing.spent_nano for purse in told] == [nano_of(reply.cost_usd)]
        await router.aclose()


def _broken(_: tuple[Purse, ...]) -> None:
    raise ValueError("oops")
