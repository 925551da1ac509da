"""The machine: every way through it ends, keeps its bounds, and is taken again when the inputs are the same."""

from __future__ import annotations

import copy
import pickle  # noqa: TID251 - what process pools do to errors is what is tested
from dataclasses import replace
from decimal import Decimal
from typing import Any, get_args

import pytest
from hypothesis import given as over
from hypothesis import strategies as st

from router.core.bounds import Bounds
from router.core.catalog import Model
from router.core.course import Given
from router.core.decision import Decision
from router.core.ending import error_of
from router.core.failure import FOLLOW, FailureClass
from router.core.hedging import Hedging
from router.core.machine import HOLDS_MOST, Done, Exhausted, NeedCall, NeedSleep, State, plan
from router.core.policy import Context
from router.core.record import decision_dict
from router.core.replay import Unobserved, replay
from router.core.request import Hints
from router.core.slate import Slate
from router.core.tokens import tokens_at
from router.errors import BoundsExceeded, NoCandidate, PolicyError, ProviderError
from tests.core.builders import attempt, features, given, keep_all, model, price

CLASSES: tuple[FailureClass, ...] = get_args(FailureClass)
NAMES = ("a", "b", "c", "d")


def models(*names: str, **fields: Any) -> tuple[Model, ...]:
    """Returns a model for each name, alike but for it."""
    return tuple(model(name, **fields) for name in names)


def call(state: State) -> NeedCall:
    """Returns the state, which must ask for a call."""
    assert isinstance(state, NeedCall)
    return state


def drive(state: State, outcomes: list[dict[str, Any]]) -> tuple[State, float]:
    """Returns the end of a request whose attempts end as listed (the last one repeats), and when it came."""
    now_s, index = 0.0, 0
    while not isinstance(state, Done | Exhausted):
        if isinstance(state, NeedSleep):
            now_s = round(now_s + state.seconds, 6)
            state = state.next(now_s)
            continue
        assert isinstance(state, NeedCall)
        fields = dict(outcomes[min(index, len(outcomes) - 1)])
        if (share := fields.pop("share", None)) is not None:
            worst = state.candidate.worst_usd
            fields["cost_usd"] = None if worst is None else worst * share
        fields["latency_s"] = round(min(fields.get("latency_s", 0.01), state.timeout_s), 6)
        made = attempt(state.candidate.model.name, **fields, started_s=now_s, span_id=state.span_id)
        now_s, index = round(now_s + made.latency_s, 6), index + 1
        state = state.next(made)
    return state, now_s


SECONDS = st.floats(0, 30).map(lambda s: round(s, 6))
OUTCOMES = st.lists(
    st.fixed_dictionaries(
        {
            "outcome": st.sampled_from([*CLASSES, "answer"]),
            "latency_s": SECONDS,
            "retry_after_s": st.none() | SECONDS,
            "should_retry": st.none() | st.booleans(),
            "share": st.sampled_from([Decimal(0), Decimal("0.1"), Decimal(1)]),
        }
    ),
    min_size=1,
    max_size=8,
)
BOUNDS = st.builds(
    Bounds,
    attempts=st.integers(1, 6),
    deadline_s=st.floats(0.1, 60),
    waste_usd=st.none() | st.decimals(0, 1, places=3),
    max_cost_usd=st.none() | st.decimals(0, 1, places=3),
)
CATALOGS = st.lists(
    st.builds(
        model,
        st.sampled_from(NAMES),
        price=st.sampled_from([None, price(), price("10", "30")]),
        context_window_tokens=st.sampled_from([None, 1_000, 100_000]),
        max_output_tokens=st.sampled_from([None, 1_000]),
        key_env=st.sampled_from([None, "ONE_KEY", "OTHER_KEY"]),
    ),
    unique_by=lambda m: m.name,
    max_size=4,
)


HINTS = st.builds(Hints, model=st.sampled_from([None, None, "a"]), baseline=st.sampled_from([None, "b"]))


@over(
    catalog=CATALOGS,
    bounds=BOUNDS,
    outcomes=OUTCOMES,
    draw=st.floats(0, 1, exclude_max=True),
    hints=HINTS,
    unpriced=st.booleans(),
    prefer_wait_s=st.sampled_from([0.0, 5.0]),
)
def test_every_request_ends_within_its_bounds_and_replays(
    catalog: list[Model],
    bounds: Bounds,
    outcomes: list[dict[str, Any]],
    draw: float,
    hints: Hints,
    unpriced: bool,
    prefer_wait_s: float,
) -> None:
    """Whatever fails however: attempts, deadline, cost and worst case hold, and the record is decided again alike."""
    start = given(*catalog, bounds=bounds, draw=draw, unpriced=unpriced, hints=hints, prefer_wait_s=prefer_wait_s)
    end, now_s = drive(plan(start), outcomes)
    assert isinstance(end, Done | Exhausted)
    decision = end.decision
    assert sum(a.held is None for a in decision.attempts) <= bounds.attempts
    if decision.worst_case_usd is not None:
        assert decision.cost_usd is not None
        assert decision.cost_usd <= decision.worst_case_usd
    if bounds.max_cost_usd is not None:
        assert decision.cost_usd is not None
        assert decision.cost_usd <= bounds.max_cost_usd
    assert now_s <= bounds.deadline_s + 1e-5
    assert (decision.model is not None) == (decision.ending == "answer")
    again = replay(decision_dict(decision), catalog=start.catalog, policy=keep_all)
    assert isinstance(again, Decision)
    assert decision_dict(again) == decision_dict(decision)


@over(outcomes=OUTCOMES, bounds=BOUNDS)
def test_no_class_that_must_not_is_retried_on_the_same_model(outcomes: list[dict[str, Any]], bounds: Bounds) -> None:
    """A model is asked again only after failures that allow it, and never when the provider says not to retry."""
    end, _ = drive(plan(given(*models("a", "b"), bounds=bounds)), outcomes)
    assert isinstance(end, Done | Exhausted)
    barred = set[str]()
    for made in end.decision.attempts:
        assert made.model not in barred
        follow = {str(kind): follow for kind, follow in FOLLOW.items()}.get(made.outcome)
        if follow is not None and (not follow.same_model or made.should_retry is False):
            barred.add(made.model)


def test_three_attempts_at_four_failing_models_are_three_calls_without_a_last_sleep() -> None:
    """With attempts = 3 the first three of four models are asked once each, and then it ends at once."""
    end, now_s = drive(plan(given(*models(*NAMES))), [{"outcome": "server_error", "latency_s": 1.0}])
    assert isinstance(end, Exhausted)
    assert [a.model for a in end.decision.attempts] == ["a", "b", "c"]
    assert now_s == 3.0
    error = error_of(end)
    assert isinstance(error, BoundsExceeded)
    assert error.bound == "attempts"
    assert error.decision == end.decision


def test_a_lone_model_is_asked_again_after_the_wait_that_it_wants() -> None:
    """With nobody else live, a refusal is waited out when the deadline allows."""
    state = call(plan(given(model("a"))))
    waiting = state.next(attempt("a", "refused", retry_after_s=7.0))
    assert isinstance(waiting, NeedSleep)
    assert waiting.seconds == 7.0
    again = call(waiting.next(8.0))
    assert again.candidate.model.name == "a"
    assert again.timeout_s == 52.0
    assert again.span_id != state.span_id


def test_a_wait_that_would_pass_the_deadline_is_not_started() -> None:
    """A provider that asks for more patience than the deadline has ends the request at once, with its own error."""
    end = call(plan(given(model("a")))).next(attempt("a", "refused", retry_after_s=90.0, error="slow down"))
    assert isinstance(end, Exhausted)
    assert end.bound == "deadline_s"
    error = error_of(end)
    assert isinstance(error, ProviderError)
    assert error.failure.kind == "refused"
    assert "slow down" in str(error)


def test_a_sleep_that_took_too_long_ends_the_request() -> None:
    """When the clock has passed the deadline after a wait, nobody is asked any more, nor in its replay."""
    start = given(model("a"))
    waiting = call(plan(start)).next(attempt("a", "refused", retry_after_s=7.0))
    assert isinstance(waiting, NeedSleep)
    end = waiting.next(61.0)
    assert isinstance(end, Exhausted)
    assert end.bound == "deadline_s"
    again = replay(decision_dict(end.decision), catalog=start.catalog, policy=keep_all)
    assert isinstance(again, Decision)
    assert decision_dict(again) == decision_dict(end.decision)


def test_a_caller_who_gives_up_gets_a_record_all_the_same() -> None:
    """Cancelled in a call or in a wait: the request ends as cancelled, and its replay too."""
    start = given(model("a"))
    state = call(plan(start))
    end = state.next(attempt("a", "cancelled"))
    assert isinstance(end, Exhausted)
    assert end.decision.ending == "cancelled"
    assert str(error_of(end)).startswith("a: cut: the caller gave up")
    early = state.abandon(0.5).decision
    assert (early.ending, early.attempts, early.cost_usd, early.latency_s) == ("cancelled", (), Decimal(0), 0.5)
    again = replay(decision_dict(early), catalog=start.catalog, policy=keep_all)
    assert isinstance(again, Decision)
    assert decision_dict(again) == decision_dict(early)
    waiting = state.next(attempt("a", "refused", retry_after_s=7.0))
    assert isinstance(waiting, NeedSleep)
    decision = waiting.abandon(3.0).decision
    assert decision.ending == "cancelled"
    again = replay(decision_dict(decision), catalog=start.catalog, policy=keep_all)
    assert isinstance(again, Decision)
    assert decision_dict(again) == decision_dict(decision)


@pytest.mark.parametrize("failed", ["timed_out", "not_sent", "no_such_model"])
def test_a_caller_who_gives_up_on_a_hedge_is_replayed(failed: str) -> None:
    """Also where one of the two had failed by itself before the caller gave up on the other."""
    start = given(*models("a", "b"), hedging=Hedging(after_s=1.0))
    state = call(plan(start))
    assert state.hedge is not None
    decision = state.abandon(
        3.0, attempt("a", "cancelled", latency_s=3.0), attempt("b", failed, started_s=1.0, latency_s=1.0, hedge=True)
    ).decision
    assert decision.ending == "cancelled"
    again = replay(decision_dict(decision), catalog=start.catalog, policy=keep_all)
    assert isinstance(again, Decision)
    assert decision_dict(again) == decision_dict(decision)


def test_an_invalid_request_goes_to_nobody_else() -> None:
    """What is malformed everywhere is sent once."""
    end = call(plan(given(*models("a", "b")))).next(attempt("a", "invalid", status=400))
    assert isinstance(end, Exhausted)
    assert end.decision.ending == "final"
    assert isinstance(error_of(end), ProviderError)


def test_a_prompt_that_is_too_long_goes_to_larger_windows_only() -> None:
    """After `too_long`, models whose window is no larger are passed over."""
    start = given(
        model("a", context_window_tokens=50_000),
        model("b", context_window_tokens=40_000),
        model("c", context_window_tokens=60_000),
        model("d", context_window_tokens=None),
    )
    state = call(call(plan(start)).next(attempt("a", "too_long")))
    assert state.candidate.model.name == "c"
    state = call(state.next(attempt("c", "server_error")))
    assert state.candidate.model.name == "d"


def test_models_behind_a_bad_key_come_last() -> None:
    """After a denied key, models behind other keys are asked first."""
    start = given(model("a", key_env="ONE"), model("b", key_env="ONE"), model("c", key_env="OTHER"))
    state = call(call(plan(start)).next(attempt("a", "denied", key_env="ONE")))
    assert state.candidate.model.name == "c"
    assert call(state.next(attempt("c", "server_error"))).candidate.model.name == "b"


def test_a_provider_whose_gate_opens_and_shuts_does_not_keep_a_request_going_round() -> None:
    """Holds are no attempts, yet after so many of them the request ends, long before its deadline."""
    held = {"outcome": "not_sent", "held": "rate_limited", "latency_s": 0.0, "retry_after_s": 0.0}
    start = given(*models("a", "b"), draw=0.0, bounds=Bounds(deadline_s=1e6))
    end, _ = drive(plan(start), [held])
    assert isinstance(end, Exhausted)
    assert len(end.decision.attempts) == HOLDS_MOST
    assert (end.ending, end.bound) == ("final", None)
    again = replay(decision_dict(end.decision), catalog=start.catalog, policy=keep_all)
    assert isinstance(again, Decision)
    assert decision_dict(again) == decision_dict(end.decision)


def test_no_one_is_left() -> None:
    """When every model is out for good before a bound is reached, the last provider's error is raised."""
    end, _ = drive(plan(given(*models("a", "b"))), [{"outcome": "no_such_model"}])
    assert isinstance(end, Exhausted)
    assert end.bound is None
    assert "no candidate is left" in end.why
    assert isinstance(error_of(end), ProviderError)


def test_a_stream_that_breaks_after_its_first_token_is_not_replaced() -> None:
    """Once a part of the answer has reached the caller, no other model is asked."""
    end = call(plan(given(*models("a", "b")))).next(attempt("a", "cut", committed=True))
    assert isinstance(end, Exhausted)
    assert end.decision.ending == "committed"


def test_nobody_adequate_names_every_drop() -> None:
    """A request that no model can serve says of each model who dropped it and why."""
    end = plan(given(model("a", context_window_tokens=10), model("b", price=None)))
    assert isinstance(end, Exhausted)
    error = error_of(end)
    assert isinstance(error, NoCandidate)
    assert "a: window of 10 tokens" in str(error)
    assert "b: unpriced" in str(error)
    assert str(error_of(_exhausted(plan(given())))).startswith("the catalog has no models")


def test_a_request_that_arrives_past_its_deadline_asks_nobody() -> None:
    """When deciding alone took the deadline, nothing is sent."""
    end = _exhausted(plan(given(model("a"), started_s=60.0)))
    assert end.bound == "deadline_s"
    assert isinstance(error_of(end), BoundsExceeded)
    assert end.decision.latency_s == 60.0


def test_waste_stops_a_chain_of_dear_failures() -> None:
    """When what was wasted leaves no room for the next attempt's expected waste, it ends there."""
    bounds = Bounds(waste_usd=Decimal("0.001"))
    outcomes = [{"outcome": "server_error", "cost_usd": Decimal("0.002"), "billing": "estimated"}]
    end, _ = drive(plan(given(*models("a", "b", "c"), bounds=bounds)), outcomes)
    assert isinstance(end, Exhausted)
    assert end.bound == "waste_usd"
    assert len(end.decision.attempts) == 1
    assert end.decision.waste_usd == Decimal("0.002")


def test_a_cheaper_candidate_is_asked_when_the_next_one_no_longer_fits() -> None:
    """Under `max_cost_usd`, a candidate whose worst case no longer fits is passed over for one whose does."""
    start = given(
        model("a"), model("b", price=price("10", "40")), model("c"), bounds=Bounds(max_cost_usd=Decimal("0.01"))
    )
    state = call(call(plan(start)).next(attempt("a", "server_error", cost_usd=Decimal("0.0041"))))
    assert state.candidate.model.name == "c"


def test_the_baseline_is_the_dearest_able_model_or_the_named_one() -> None:
    """An answer's tokens are priced at the dearest model that could have served, unless the request names another."""
    start = given(model("a"), model("b", price=price("10", "40")), model("c", price=None), unpriced=True)

    def baseline(start: Given) -> tuple[str | None, Decimal | None]:
        usage = attempt(usage=_usage()).usage
        end = call(plan(start)).next(attempt("a", usage=usage))
        assert isinstance(end, Done)
        return end.decision.baseline, end.decision.baseline_usd

    assert baseline(start) == ("b", Decimal("0.014"))
    assert baseline(replace(start, hints=Hints(baseline="a"))) == ("a", Decimal("0.0014"))
    assert baseline(replace(start, hints=Hints(baseline="c"))) == ("c", None)
    assert baseline(given(model("a", price=None), unpriced=True)) == (None, None)


def test_the_preview_has_the_slate_and_no_attempts() -> None:
    """`planned` tells who would be asked and what it could cost, before anything is sent."""
    planned = call(plan(given(*models("a", "b")))).planned
    assert planned.ending == "planned"
    assert planned.attempts == ()
    worst = planned.slate.live[0].worst_usd
    assert worst is not None
    assert planned.worst_case_usd == 3 * worst


def test_a_policy_that_raises_is_named_and_leaves_a_record() -> None:
    """What a policy raises becomes a PolicyError that names the policy and carries the decision."""

    def broken(slate: Slate, context: Context, /) -> Slate:
        raise ZeroDivisionError

    with pytest.raises(PolicyError, match=r"policy 'default' raised ZeroDivisionError") as caught:
        plan(given(model("a"), policy=broken))
    assert caught.value.decision is not None
    assert caught.value.decision.ending == "policy_error"


@pytest.mark.parametrize(
    "broken",
    [
        lambda slate, _: Slate(slate.live[1:]),
        lambda slate, _: Slate((*slate.live, slate.live[0])),
        lambda slate, _: Slate((slate.live[0], slate.live[0])),
        lambda *_: None,
    ],
    ids=["loses one", "doubles one", "swaps one", "returns nothing"],
)
def test_a_policy_that_loses_or_invents_candidates_is_refused(broken: Any) -> None:
    """A slate that is not made of the one that went in is a PolicyError."""
    with pytest.raises(PolicyError, match="made of the candidates it was given"):
        plan(given(*models("a", "b"), policy=broken))


def test_a_replay_says_unobserved_where_the_log_has_no_outcome() -> None:
    """Replayed with another catalog order, a request that would ask an unlogged model says so."""
    start = given(*models("a", "b"))
    end, _ = drive(plan(start), [{"outcome": "answer"}])
    assert isinstance(end, Done)
    record = decision_dict(end.decision)
    catalog = dict(reversed(list(start.catalog.items())))
    result = replay(record, catalog=catalog, policy=keep_all)
    assert isinstance(result, Unobserved)
    assert result.model == "b"
    with pytest.raises(ValueError, match="has schema 0"):
        replay(record | {"schema": 0}, catalog=catalog, policy=keep_all)


def test_a_larger_request_is_never_fitted_into_a_smaller_window() -> None:
    """The upper bound of the input and the largest output together decide whether a window is large enough."""
    small = model("a", context_window_tokens=1_000)
    room = 1_000 - tokens_at(features(500), small).high
    start = given(small, model("b"), features=features(500, output_tokens_most=room))
    assert call(plan(start)).candidate.model.name == "a"
    start = replace(start, features=features(500, output_tokens_most=room + 1))
    assert call(plan(start)).candidate.model.name == "b"


def test_nobody_is_expected_to_write_more_than_it_can() -> None:
    """A model's own largest output caps what it is expected to write, and what must fit into its window."""
    state = call(plan(given(model("a", max_output_tokens=50, context_window_tokens=400))))
    candidate = state.candidate
    assert candidate.expected_output_tokens == 50
    assert candidate.expected_usd is not None
    assert candidate.worst_usd is not None
    assert candidate.expected_usd <= candidate.worst_usd


def test_of_a_named_model_only_its_own_reason_is_told() -> None:
    """The error of a request that names its model does not list all others."""
    start = given(model("a", price=None), *models("b", "c"), hints=Hints(model="a"))
    error = error_of(_exhausted(plan(start)))
    assert "a: unpriced" in str(error)
    assert "b:" not in str(error)


def test_errors_cross_processes() -> None:
    """Pickled and copied, an error keeps its message, its decision and what else it has."""
    end, _ = drive(plan(given(*models("a", "b"), bounds=Bounds(attempts=2))), [{"outcome": "server_error"}])
    assert isinstance(end, Exhausted)
    error = error_of(end)
    assert isinstance(error, BoundsExceeded)
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301 - our own bytes
        assert type(again) is BoundsExceeded
        assert (str(again), again.bound) == (str(error), error.bound)
        assert again.decision is not None
        assert again.decision.trace_id == end.decision.trace_id


def _usage() -> Any:
    from router.core.answer import Usage

    return Usage(input_tokens=1_000, output_tokens=100)


def _exhausted(state: State) -> Exhausted:
    assert isinstance(state, Exhausted)
    return state


def test_a_money_bound_is_told_in_plain_dollars() -> None:
    """Without trailing zeros, with what was tried before."""
    bounds = Bounds(waste_usd=Decimal("0.0010"))
    failed = {"outcome": "server_error", "cost_usd": Decimal("0.002"), "billing": "estimated"}
    end, _ = drive(plan(given(*models("a", "b"), bounds=bounds)), [failed])
    assert isinstance(end, Exhausted)
    assert end.why == "after a server_error, one more attempt would cross the bound waste_usd = 0.001"
    early = _exhausted(plan(given(model("a"), started_s=60.0)))
    assert early.why == "before the first attempt, one more attempt would cross the bound deadline_s = 60.0"


def test_a_call_knows_whether_it_is_the_last_chance() -> None:
    """Nobody else is live, or those who are may not be asked again."""
    assert call(plan(given(model("a")))).last
    first = call(plan(given(*models("a", "b"))))
    assert not first.last
    assert not call(first.next(attempt("a", "server_error"))).last
    assert call(first.next(attempt("a", "no_such_model"))).last
    assert call(first.next(attempt("a", "not_sent", held="breaker_open"))).last


def test_who_is_asked_again_is_known_as_such() -> None:
    """One that was only held back was not asked."""
    first = call(plan(given(model("a"))))
    assert not first.again
    waiting = first.next(attempt("a", "refused", retry_after_s=7.0))
    assert isinstance(waiting, NeedSleep)
    assert call(waiting.next(8.0)).again
    held = first.next(attempt("a", "not_sent", held="rate_limited", retry_after_s=7.0))
    assert isinstance(held, NeedSleep)
    assert not call(held.next(8.0)).again


def test_each_wait_for_the_same_model_is_longer() -> None:
    """Its cap doubles with every turn that the model had; the draw is another one each time."""
    state, now_s = call(plan(given(model("a"), draw=0.5, bounds=Bounds(attempts=9)))), 1.0
    for cap_s in (0.5, 1.0, 2.0, 4.0, 8.0, 8.0):
        waiting = state.next(attempt("a", "server_error", started_s=now_s - 1.0))
        assert isinstance(waiting, NeedSleep)
        assert waiting.seconds == pytest.approx(waiting.course.draw * cap_s)
        now_s += waiting.seconds + 1.0
        state = call(waiting.next(now_s - 1.0))


def test_a_logged_model_goes_by_its_id() -> None:
    """An attempt is that of the model with its id, under whatever name; of one with another id it says nothing."""
    logged = model("small", id="host/one")
    start = given(logged)
    state = plan(start)
    assert isinstance(state, NeedCall)
    done = state.next(attempt("small", model_id="host/one"))
    assert isinstance(done, Done)
    record = decision_dict(done.decision)
    renamed = replay(record, catalog={"tiny": model("tiny", id="host/one")}, policy=keep_all)
    assert not isinstance(renamed, Unobserved)
    assert renamed.model == "tiny"
    other = replay(record, catalog={"small": model("small", id="host/two")}, policy=keep_all)
    assert isinstance(other, Unobserved)
