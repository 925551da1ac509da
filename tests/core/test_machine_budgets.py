"""The states of a request that budgets apply to."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given as over
from hypothesis import strategies as st

from router.core.answer import Usage
from router.core.bounds import Bounds
from router.core.budget import Claim, Refused, Reserved, Standing, usd_of
from router.core.budgeting import SPENT
from router.core.caching import Caching, Hit
from router.core.decision import Attempt, Decision
from router.core.ending import error_of
from router.core.failure import Failure
from router.core.hedging import Hedging
from router.core.machine import Done, Exhausted, NeedCall, NeedLookup, NeedReserve, NeedSleep, Served, State, plan
from router.core.replay import replay
from router.core.request import Request
from router.core.settle import Seen, settle
from router.core.slate import Slate
from router.errors import BudgetExceeded, NotCached, PolicyError, ProviderError
from router.testing.scripted import answer
from tests.core.builders import given, keep_all
from tests.core.test_budgeting import CATALOG, WORST, purse

REQUEST = Request(messages=({"role": "user", "content": "hi"},))
RICH = purse(10**10)


def only_c(slate: Slate, _: Any, /) -> Slate:
    """A policy that leaves the cheapest model."""
    return slate.pick(["c"], by="only_c", reason="is not c")


def asked(*purses: Any, **more: Any) -> Any:
    """Returns what goes into a decision over three models, the dearest first, with these budgets."""
    return given(*CATALOG, budgets=purses, policies={"other": only_c}, **more)


def reserving(state: State) -> NeedReserve:
    """Returns a state that asks for a reservation."""
    assert isinstance(state, NeedReserve), state
    return state


def refused(state: NeedReserve, name: str = "day") -> Refused:
    """Returns what the ledger says where another request was quicker."""
    account = next((e.account for e in state.claim.entries if e.account.budget == name), None)
    return Refused(claim=state.claim, account=account, standing=None, why=f"{name} has nothing left")


def granted(state: NeedReserve) -> Reserved:
    """Returns what the ledger says where there is room."""
    return Reserved(claim=state.claim, standings=tuple(Standing(limit_nano=1) for _ in state.claim.entries))


def made(call: NeedCall, kind: str = "answer", *, at_s: float = 0.0) -> Attempt:
    """Returns what a call comes to, after one second."""
    result = answer("ok") if kind == "answer" else Failure(kind=kind, message="no")  # type: ignore[arg-type]  # a class of failures
    return settle(call, REQUEST, result, Seen(started_s=at_s, ended_s=at_s + 1.0))


def replays(decision: Decision) -> bool:
    """Returns whether the record is decided again as it was."""
    record = json.loads(json.dumps(decision.to_dict()))
    catalog = {m.name: m for m in CATALOG}
    again = replay(record, catalog=catalog, policy=keep_all, policies={"other": only_c})
    return isinstance(again, Decision) and again.to_dict() == record


def test_nothing_is_reserved_without_budgets() -> None:
    """A request that no budget applies to is asked for at once."""
    assert isinstance(plan(given(*CATALOG)), NeedCall)


def test_the_worst_case_is_reserved_before_each_call() -> None:
    """The call knows its claim, the attempt what was reserved; the next attempt has a claim of its own."""
    state = reserving(plan(asked(RICH)))
    assert state.claim.amount_nano == WORST["a"]
    call = state.next(granted(state), 0.5)
    assert isinstance(call, NeedCall)
    assert (call.claim, call.timeout_s) == (state.claim, 59.5)
    attempt = made(call, "server_error", at_s=0.5)
    assert attempt.reserved_usd == usd_of(WORST["a"])
    again = reserving(call.next(attempt))
    assert (again.claim.amount_nano, again.claim.id) == (WORST["b"], again.call.span_id)
    assert again.claim.id != state.claim.id
    assert again.planned.attempts == (attempt,)


def test_a_block_ends_where_another_was_quicker() -> None:
    """The request is refused with the budget's name, though others would fit; nothing was sent."""
    state = reserving(plan(asked(RICH)))
    end = state.next(refused(state), 0.25)
    assert isinstance(end, Exhausted)
    assert (end.ending, end.budget, end.why) == ("budget", "day", "day has nothing left")
    (turn,) = end.decision.attempts
    assert (turn.model, turn.held, turn.cost_usd, turn.reserved_usd) == ("a", SPENT, Decimal(0), None)
    error = error_of(end)
    assert isinstance(error, BudgetExceeded)
    assert (error.budget, error.decision) == ("day", end.decision)
    assert replays(end.decision)


def test_others_are_tried_where_the_budget_lets_them() -> None:
    """With cheapest the next candidate's turn comes at once; with all refused the request ends at the budget."""
    state = reserving(plan(asked(purse(10**10, "cheapest"))))
    turns = []
    while isinstance(state, NeedReserve):
        turns.append(state.call.candidate.name)
        following = state.next(refused(state), 0.25)
        assert isinstance(following, NeedReserve | Exhausted)
        if isinstance(following, Exhausted):
            break
        state = following
    assert turns == ["a", "b", "c"]
    assert (following.ending, following.budget) == ("budget", "day")
    assert replays(following.decision)


def test_a_refusal_after_a_failure_is_the_providers_fault() -> None:
    """Once somebody was asked, a spent budget only ends the tries: the caller gets the failure."""
    state = reserving(plan(given(CATALOG[0], budgets=(RICH,))))
    waiting = state.granted(0.0).next(made(state.granted(0.0), "server_error"))
    assert isinstance(waiting, NeedSleep)
    again = reserving(waiting.next(2.0))
    end = again.next(refused(again), 2.0)
    assert isinstance(end, Exhausted)
    assert end.ending == "final"
    assert isinstance(error_of(end), ProviderError)


def test_the_other_policy_decides_also_when_another_was_quicker() -> None:
    """A budget that is spent between plan and call switches as one that was spent before."""
    state = reserving(plan(asked(purse(10**10, "policy"))))
    following = reserving(state.next(refused(state), 0.25))
    assert following.call.candidate.name == "c"
    done = following.granted(0.25).next(made(following.granted(0.25), at_s=0.25))
    assert isinstance(done, Done)
    assert done.decision.budget_policy == "other"
    assert {d.name: d.by for d in done.decision.slate.dropped} == {"a": "only_c", "b": "only_c"}
    assert replays(done.decision)


def test_the_other_policy_may_fail_or_leave_nobody() -> None:
    """Both end the request with a record."""
    for policy, ending in ((_broken, "policy_error"), (_nobody, "budget")):
        start = given(*CATALOG, budgets=(purse(10**10, "policy"),), policies={"other": policy})
        state = reserving(plan(start))
        end = state.next(refused(state), 0.25)
        assert isinstance(end, Exhausted)
        assert end.ending == ending
        assert isinstance(error_of(end), PolicyError if ending == "policy_error" else BudgetExceeded)
    with pytest.raises(PolicyError) as caught:
        plan(given(*CATALOG, budgets=(purse(0, "policy"),), policies={"other": _broken}))
    assert caught.value.decision is not None


def _broken(slate: Slate, _: Any, /) -> Slate:
    raise RuntimeError("oops")


def _nobody(slate: Slate, _: Any, /) -> Slate:
    return slate.drop(lambda _: "is not wanted", by="nobody")


def test_a_spent_budget_refuses_at_the_plan() -> None:
    """The slate says of each candidate why; the error says which budget."""
    end = plan(asked(purse(0)))
    assert isinstance(end, Exhausted)
    assert (end.ending, end.budget) == ("budget", "day")
    assert {d.by for d in end.decision.slate.dropped} == {"budget day"}
    assert str(error_of(end)).startswith("the budget 'day' has no room: a can cost $")
    assert replays(end.decision)
    switched = plan(given(*CATALOG, budgets=(purse(0, "policy"),), policies={"other": _nobody}))
    assert isinstance(switched, Exhausted)
    assert switched.why == "the budget 'day' has no room: the policy 'other' leaves nobody"


def hit(name: str) -> Hit:
    """Returns what the cache has of a model."""
    return Hit(
        kind="shared", model=name, model_id=f"simulated/{name}", trace_id="f" * 32, age_s=1.0,
        saved_usd=Decimal("0.01"), usage=Usage(input_tokens=1, output_tokens=1),
    )  # fmt: skip


@pytest.mark.parametrize("on_exceed", ["block", "cheapest", "policy"])
def test_a_spent_budget_still_serves_what_is_stored(on_exceed: Any) -> None:
    """A stored answer costs nothing: it counts of every model that the request's policy leaves, fitting or not."""
    look = plan(asked(purse(0, on_exceed), caching=Caching(mode="use")))
    assert isinstance(look, NeedLookup)
    assert look.planned.ending == "planned"
    served = look.next(hit("a"), 0.1)
    assert isinstance(served, Served)
    assert replays(served.decision)
    missed = look.next(None, 0.1)
    assert isinstance(missed, Exhausted)
    assert missed.ending == "budget"
    assert replays(missed.decision)
    only = plan(asked(purse(0, on_exceed), caching=Caching(mode="only")))
    assert isinstance(only, NeedLookup)
    end = only.next(None, 0.1)
    assert isinstance(end, Exhausted)
    assert isinstance(error_of(end), NotCached)


def test_a_caller_who_gives_up_while_it_is_reserved() -> None:
    """The request ends without an attempt, and its record replays."""
    state = reserving(plan(asked(RICH)))
    end = state.abandon(0.5)
    assert (end.ending, end.decision.attempts) == ("cancelled", ())
    assert replays(end.decision)


def test_a_hedge_has_a_claim_of_its_own() -> None:
    """It is that of the second candidate, and its span's."""
    state = reserving(plan(asked(RICH, hedging=Hedging(after_s=1.0))))
    call = state.granted(0.0)
    assert call.hedge is not None
    assert call.hedge.claim is not None
    assert (call.hedge.claim.amount_nano, call.hedge.claim.id) == (WORST["b"], call.hedge.span_id)
    hedged = settle(call.hedge, REQUEST, answer("ok"), Seen(started_s=1.0, ended_s=2.0))
    assert hedged.reserved_usd == usd_of(WORST["b"])


def test_a_record_from_before_there_were_budgets_replays() -> None:
    """What it lacks is as if there were none."""
    call = plan(given(*CATALOG))
    assert isinstance(call, NeedCall)
    done = call.next(made(call))
    assert isinstance(done, Done)
    record = done.decision.to_dict()
    for name in ("budgets", "budget_policy"):
        del record[name]
    del record["attempts"][0]["reserved_usd"]
    again = replay(record, catalog={m.name: m for m in CATALOG}, policy=keep_all)
    assert isinstance(again, Decision)
    assert again.budgets == ()
    assert again.attempts == done.decision.attempts


def test_a_replay_needs_the_policies_of_budgets() -> None:
    """A budget's policy that is not given cannot decide."""
    end = plan(asked(purse(0, "policy")))
    assert isinstance(end, Exhausted)
    record = end.decision.to_dict()
    with pytest.raises(ValueError, match="has a budget whose policy 'other' is not given"):
        replay(record, catalog={}, policy=keep_all)
    with pytest.raises(ValueError, match="nothing was decided"):
        replay(record | {"ending": "recorded"}, catalog={}, policy=keep_all)


purse_sets = st.lists(
    st.builds(
        purse,
        st.sampled_from([0, *WORST.values(), 10**10]),
        st.sampled_from(["block", "cheapest", "policy", "alert"]),
        name=st.sampled_from(["day", "month"]),
    ),
    min_size=1, max_size=2, unique_by=lambda p: p.budget.name,
).map(tuple)  # fmt: skip


@over(
    purse_sets,
    st.lists(st.sampled_from(["room", "no room"]), max_size=8),
    st.lists(st.sampled_from(["answer", "server_error", "refused", "not_sent", "unusable"]), max_size=8),
)
def test_every_way_ends_reserves_first_and_replays(purses: Any, rooms: list[str], outcomes: list[str]) -> None:
    """No call without a claim that the ledger granted; at most one for each attempt; the record decides the same."""
    state: Any = plan(asked(*purses, bounds=Bounds(attempts=4)))
    now_s, claims = 0.0, list[Claim]()
    while not isinstance(state, Done | Exhausted):
        if isinstance(state, NeedReserve):
            room = not rooms or rooms.pop() == "room"
            claims += [state.claim] if room else []
            name = purses[0].budget.name
            state = state.next(granted(state) if room else refused(state, name), now_s)
        elif isinstance(state, NeedCall):
            assert state.claim is claims[-1]
            attempt = made(state, outcomes.pop() if outcomes else "answer", at_s=now_s)
            now_s += 1.0
            state = state.next(attempt)
        else:
            now_s += state.seconds
            state = state.next(now_s)
    decision = state.decision
    sent = [a for a in decision.attempts if a.held is None]
    assert [c.id for c in claims] == [a.span_id for a in sent]
    assert len({c.id for c in claims}) == len(claims)
    assert [usd_of(c.amount_nano) for c in claims] == [a.reserved_usd for a in sent]
    assert replays(decision)
    if isinstance(state, Exhausted):
        error_of(replace(state))
