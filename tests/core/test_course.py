"""What one request remembers of its attempts: which deployments and keys failed it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import given as over
from hypothesis import strategies as st

from router.core.bounds import Spent
from router.core.caching import Lookup
from router.core.course import Course
from router.core.decision import Attempt
from router.core.deployment import Deployment
from router.core.machine import NeedCall, plan
from tests.core.builders import attempt, given, model

PLACES = {"east": "EAST", "west": "WEST", "far": None}
PAIR = model("a", key_env="OWN", deployments=tuple(Deployment(name=n, key_env=key) for n, key in PLACES.items()))
ATTEMPTS = st.lists(
    st.builds(
        lambda place, outcome, held: attempt(
            "a",
            outcome if held is None else "not_sent",
            deployment=place if held is None else None,
            key_env=(PLACES[place] or "OWN") if held is None else None,
            held=held,
        ),
        st.sampled_from(sorted(PLACES)),
        st.sampled_from(["server_error", "timed_out", "denied", "out_of_quota"]),
        st.sampled_from([None, None, None, "breaker_open"]),
    ),
    max_size=5,
)


def course(*attempts: Attempt, **fields: Any) -> Course:
    """Returns the course of a request after these attempts."""
    state = plan(given(PAIR, **fields))
    assert isinstance(state, NeedCall)
    return state.course.after(*attempts)


@over(attempts=ATTEMPTS)
def test_a_deployment_that_failed_is_asked_again_only_for_want_of_another(attempts: list[Attempt]) -> None:
    """And one whose key was denied is not asked again at all."""
    state = course(*attempts)
    (candidate,) = state.slate.live
    avoid = state.avoid(candidate)
    denied = {a.deployment for a in attempts if a.outcome in {"denied", "out_of_quota"} and a.held is None}
    tried = {a.deployment for a in attempts if a.held is None}
    assert denied <= avoid <= tried
    if len(tried) < len(PLACES):
        assert avoid == tried
    else:
        assert avoid == denied


@over(attempts=ATTEMPTS)
def test_a_model_is_fresh_while_a_deployment_was_not_asked(attempts: list[Attempt]) -> None:
    """Unless it was held back: the gate looks at all of its deployments."""
    state = course(*attempts)
    (candidate,) = state.slate.live
    held = any(a.held is not None for a in attempts)
    assert state.spare(candidate) == (not held and len({a.deployment for a in attempts}) < len(PLACES))


def test_a_key_that_several_share_is_bad_for_all_of_them() -> None:
    """A deployment behind a denied key is avoided without being tried."""
    shared = model("a", key_env="OWN", deployments=(Deployment(name="east"), Deployment(name="west")))
    state = plan(given(shared))
    assert isinstance(state, NeedCall)
    after = state.course.after(attempt("a", "denied", deployment="east", key_env="OWN"))
    assert after.avoid(state.candidate) == {"east", "west"}
    assert not after.spare(state.candidate)


def test_a_model_without_deployments_has_none_to_avoid_or_to_spare() -> None:
    """It is its own only place."""
    state = plan(given(model("a")))
    assert isinstance(state, NeedCall)
    after = state.course.after(attempt("a", "server_error"))
    assert after.avoid(state.candidate) == frozenset()
    assert not after.spare(state.candidate)


@over(draw=st.floats(0, 1, exclude_max=True), count=st.integers(0, 6))
def test_each_attempt_draws_another_number(draw: float, count: int) -> None:
    """In [0, 1), all different, and the same whenever the request is decided again."""
    draws = [course(*[attempt("a", "server_error")] * n, draw=draw).draw for n in range(count)]
    assert all(0 <= each < 1 for each in draws)
    assert len(set(draws)) == count
    assert len({course(*[attempt("a")] * n).span_id() for n in range(count)}) == count


def test_a_course_loses_nothing_on_its_way() -> None:
    """A further attempt changes the attempts alone; the look into the cache comes before all of them."""
    one = replace(
        course(attempt("a", "server_error")),
        ready_s={"a": 3.0},
        barred=frozenset({"b"}),
        window_above=7,
        lookup=Lookup(ended_s=0.5),
        broken=True,
    )
    more = (attempt("a", "timed_out"), attempt("a", "cut"))
    assert one.after(*more) == replace(one, attempts=(*one.attempts, *more))
    fresh = course()
    assert fresh.looked(Lookup(ended_s=1.5)) == replace(fresh, lookup=Lookup(ended_s=1.5))


def test_what_was_spent_is_summed() -> None:
    """Attempts that were held back do not count, costs and waste do; before the first there is only time."""
    answered = attempt("a", cost_usd=Decimal("0.1"))
    failed = attempt("a", "server_error", cost_usd=Decimal("0.2"))
    held = attempt("a", "not_sent", held="queue_full")
    spent = Spent(attempts=2, elapsed_s=4.0, cost_usd=Decimal("0.3"), waste_usd=Decimal("0.2"))
    assert course(answered, failed, held).spent(4.0) == spent
    assert course().spent(4.0) == Spent(elapsed_s=4.0)
    unknown = course(attempt("a", "server_error", cost_usd=None)).spent(4.0)
    assert (unknown.cost_usd, unknown.waste_usd) == (None, None)


def test_span_ids_follow_from_those_of_the_request() -> None:
    """16 hex digits, another one for each attempt, and for its hedge one that no attempt has."""
    one = course()
    assert one.span_id() == hashlib.blake2b(f"{'b' * 32}{'c' * 16}1".encode(), digest_size=8).hexdigest()
    two = one.after(attempt("a", "cut"))
    assert len({one.span_id(), one.span_id(hedge=True), two.span_id(), two.span_id(hedge=True)}) == 4


def test_of_two_models_that_cost_the_same_the_later_name_is_the_baseline() -> None:
    """The choice is always the same one, whatever else the candidates are."""
    for names in (("a", "b"), ("b", "a")):
        state = plan(given(*map(model, names)))
        assert isinstance(state, NeedCall)
        assert state.planned.baseline == "b"


def test_the_turns_of_a_model_are_counted() -> None:
    """Held back or not, and of no other model."""
    one = course(attempt("a"), attempt("b"), attempt("a", "not_sent", held="x"))
    assert [one.asked(name) for name in ("a", "b", "c")] == [2, 1, 0]


def test_a_model_is_spent_when_all_of_its_deployments_were_asked() -> None:
    """Those of another model with the same names are none of its own."""
    asked = [attempt("a", "server_error", deployment=name) for name in PLACES]
    for count, fresh in ((0, True), (1, True), (2, True), (3, False)):
        others = [attempt("b", "server_error", deployment=name) for name in PLACES]
        state = course(*others, *asked[:count])
        assert state.spare(state.slate.live[0]) == fresh
