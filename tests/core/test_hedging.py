"""Hedges: when a second model is asked before the first has answered, and what becomes of the two."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given as over
from hypothesis import strategies as st

from router.core.bounds import Bounds
from router.core.decision import Decision
from router.core.ending import error_of
from router.core.hedging import Hedging
from router.core.machine import Done, Exhausted, NeedCall, plan
from router.core.record import decision_dict
from router.core.replay import Unobserved, replay
from router.core.stats import ModelStats
from router.errors import ProviderError
from tests.core.builders import attempt, given, keep_all, model

AFTER_1_S = Hedging(after_s=1.0)
BOTH = (model("a"), model("b"))


def first_call(*models: Any, **fields: Any) -> NeedCall:
    """Returns the first call of a request that is hedged after a second."""
    state = plan(given(*(models or BOTH), **{"hedging": AFTER_1_S} | fields))
    assert isinstance(state, NeedCall)
    return state


@over(
    after_s=st.none() | st.floats(0.1, 100),
    p95_s=st.none() | st.floats(0.1, 100),
    deadline_s=st.floats(1, 100),
    attempts=st.integers(1, 3),
    limits=st.tuples(*[st.none() | st.decimals(0, "0.02", places=4)] * 2),
)
def test_a_hedge_is_planned_exactly_where_there_is_room_for_both(
    after_s: float | None,
    p95_s: float | None,
    deadline_s: float,
    attempts: int,
    limits: tuple[Decimal | None, Decimal | None],
) -> None:
    """A delay is known and within the deadline, two attempts are allowed, and no money bound could be crossed."""
    waste, most = limits
    bounds = Bounds(attempts=attempts, deadline_s=deadline_s, waste_usd=waste, max_cost_usd=most)
    stats = {} if p95_s is None else {"a": ModelStats(latency_p95_s=p95_s)}
    state = plan(given(*BOTH, hedging=Hedging(after_s=after_s), bounds=bounds, stats=stats))
    if isinstance(state, Exhausted):
        assert most is not None
        return
    assert isinstance(state, NeedCall)
    hedge, delay_s = state.hedge, p95_s if after_s is None else after_s
    both_usd = sum((c.worst_usd or Decimal(0) for c in state.course.slate.live), Decimal(0))
    room = attempts > 1 and all(limit is None or both_usd <= limit for limit in limits)
    assert (hedge is not None) == (delay_s is not None and delay_s < deadline_s and room)
    if hedge is not None:
        assert (hedge.candidate.name, hedge.after_s) == ("b", delay_s)
        assert hedge.span_id != state.span_id


def test_nobody_is_hedged_without_a_second_candidate_or_a_known_price_under_a_limit() -> None:
    """One model alone has nobody beside it, and what both could cost must be known where money is bounded."""
    assert first_call(model("a")).hedge is None
    unpriced = (model("a"), model("b", price=None))
    assert first_call(*unpriced, unpriced=True).hedge is not None
    assert first_call(*unpriced, unpriced=True, bounds=Bounds(waste_usd=Decimal(1))).hedge is None
    assert first_call(hedging=None).hedge is None


def test_only_the_first_call_of_a_request_is_hedged() -> None:
    """After a failure the request is late already, and its bounds go to one attempt at a time."""
    second = first_call().next(attempt("a", "server_error"))
    assert isinstance(second, NeedCall)
    assert second.hedge is None


@pytest.mark.parametrize("winner", ["a", "b"])
def test_whoever_answers_is_the_reply(winner: str) -> None:
    """The other one, cancelled, stands in the record with what it cost, which is waste."""
    outcomes = {name: "answer" if name == winner else "cancelled" for name in ("a", "b")}
    end = first_call().next(
        attempt("a", outcomes["a"], latency_s=3.0, cost_usd=Decimal("0.01")),
        attempt("b", outcomes["b"], started_s=1.0, latency_s=2.5, cost_usd=Decimal("0.01"), hedge=True),
    )
    assert isinstance(end, Done)
    decision = end.decision
    assert (decision.model, decision.latency_s) == (winner, 3.5)
    assert (decision.cost_usd, decision.waste_usd) == (Decimal("0.02"), Decimal("0.01"))


def test_the_loser_of_a_hedge_says_nothing_of_its_model() -> None:
    """The stream that won breaks after the caller saw some of it: that is what the error tells, and it replays."""
    start = given(*BOTH, hedging=AFTER_1_S)
    state = plan(start)
    assert isinstance(state, NeedCall)
    end = state.next(
        attempt("a", "cancelled", latency_s=2.0),
        attempt("b", "cut", started_s=1.0, latency_s=2.0, hedge=True, committed=True, error="gone"),
    )
    assert isinstance(end, Exhausted)
    assert end.ending == "committed"
    error = error_of(end)
    assert isinstance(error, ProviderError)
    assert str(error).startswith("b: cut: gone")
    again = replay(decision_dict(end.decision), catalog=start.catalog, policy=keep_all)
    assert isinstance(again, Decision)
    assert decision_dict(again) == decision_dict(end.decision)


def test_both_failed_and_a_third_is_asked() -> None:
    """Two attempts are spent and each model is noted, so that what follows is somebody else."""
    state = first_call(*BOTH, model("c")).next(
        attempt("a", "server_error", latency_s=3.0), attempt("b", "timed_out", started_s=1.0, hedge=True)
    )
    assert isinstance(state, NeedCall)
    assert state.candidate.name == "c"
    assert (state.last, state.again) == (False, False)


def test_a_hedge_that_the_log_does_not_have() -> None:
    """Where another model would be asked beside the first one, or none, what was logged of the two says nothing."""
    start = given(*BOTH, hedging=AFTER_1_S)
    state = plan(start)
    assert isinstance(state, NeedCall)
    done = state.next(attempt("a", "cancelled", latency_s=2.0), attempt("b", started_s=1.0, hedge=True))
    assert isinstance(done, Done)
    record = decision_dict(done.decision)
    others = {m.name: m for m in (BOTH[0], model("c"), BOTH[1])}
    for catalog in (others, {"a": BOTH[0]}):
        assert isinstance(replay(record, catalog=catalog, policy=keep_all), Unobserved)
