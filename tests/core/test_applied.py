"""The policy of a request: what it is told, and what it may return."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from router.core.applied import able_of, applied
from router.core.bounds import Bounds
from router.core.policy import Context, Policy
from router.core.request import Hints
from router.core.slate import Slate
from router.core.stats import ModelStats
from router.errors import PolicyError
from tests.core.builders import NOON, features, given, keep_all, model


def test_a_policy_is_told_all_there_is() -> None:
    """Features, time, draw, tags, tenant and statistics are those of the request."""
    told: list[tuple[Slate, Context]] = []

    def listens(slate: Slate, context: Context, /) -> Slate:
        told.append((slate, context))
        return slate

    stats = {"a": ModelStats(attempts=3)}
    one = given(
        model("a"),
        policy=listens,
        features=features(7),
        draw=0.25,
        hints=Hints(tags={"team": "x"}, tenant="acme"),
        stats=stats,
    )
    able = able_of(one)
    assert applied(one, able) is able
    expected = Context(
        features=features(7),
        now=NOON,
        draw=0.25,
        tags={"team": "x"},
        tenant="acme",
        stats={"a": ModelStats(attempts=3)},
    )
    assert told == [(able, expected)]


def forgets(slate: Slate, _: Context, /) -> Slate:
    """Loses the last candidate."""
    return Slate(slate.live[:-1], slate.dropped)


def doubles(slate: Slate, _: Context, /) -> Slate:
    """Has the first candidate in place of the last."""
    return Slate((*slate.live[:-1], slate.live[0]), slate.dropped)


def invents(slate: Slate, _: Context, /) -> Slate:
    """Has a candidate that was not there."""
    other = replace(slate.live[0], model=model("z"))
    return Slate((*slate.live[:-1], other), slate.dropped)


def hides(slate: Slate, _: Context, /) -> Slate:
    """Loses what was dropped before."""
    return Slate(slate.live)


def answers_nothing(slate: Slate, _: Context, /) -> Slate:
    """Returns what is no slate."""
    return None  # type: ignore[return-value]  # what is tested


@pytest.mark.parametrize("policy", [forgets, doubles, invents, hides, answers_nothing])
def test_a_policy_returns_what_it_was_given(policy: Policy) -> None:
    """Each candidate exactly once, live or dropped; else it is an error that names the policy."""
    one = given(model("a"), model("b"), model("c", price=None), policy=policy, policy_name="mine")
    with pytest.raises(PolicyError) as caught:
        applied(one, able_of(one))
    assert str(caught.value) == (
        "policy 'mine' must return a slate made of the candidates it was given, each one exactly once, live or dropped"
    )


def test_what_a_policy_raises_names_it() -> None:
    """The cause is kept, and shown."""

    def fails(_slate: Slate, _context: Context, /) -> Slate:
        raise KeyError("missing")

    one = given(model("a"), policy=fails, policy_name="mine")
    with pytest.raises(PolicyError, match=r"^policy 'mine' raised KeyError: 'missing'$") as caught:
        applied(one, able_of(one))
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize(("unpriced", "live"), [(True, 1), (False, 0)])
def test_who_can_serve_is_a_matter_of_the_terms(unpriced: bool, live: int) -> None:
    """A model without a price is asked only where the configuration says so."""
    assert len(able_of(given(model("a", price=None), unpriced=unpriced, policy=keep_all)).live) == live


def test_who_may_cost_too_much_is_not_able() -> None:
    """The request's bound holds for every model before any policy."""
    one = given(model("a"), bounds=Bounds(max_cost_usd=Decimal("1e-9")))
    assert not able_of(one).live
