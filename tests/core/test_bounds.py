"""Bounds: what one more attempt would cross, and what a request can cost at most."""

from __future__ import annotations

from dataclasses import replace
from decimal import Context, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.bounds import BACKOFF_MOST_S, Bounds, Spent, backoff_s, crossed, least_useful_s, worst_case_usd
from router.core.request import Hints

MONEY = st.decimals(min_value=0, max_value=100, places=6)
MAYBE_MONEY = st.none() | MONEY
SECONDS = st.floats(min_value=0.001, max_value=1_000)
BOUNDS = st.builds(
    Bounds,
    attempts=st.integers(1, 9),
    deadline_s=SECONDS,
    waste_usd=MAYBE_MONEY,
    max_cost_usd=MAYBE_MONEY,
)


def test_an_untouched_request_may_start() -> None:
    """With the defaults and nothing spent, no bound stands in the way."""
    assert crossed(Bounds(), Spent()) is None


@given(bounds=BOUNDS, more=st.integers(0, 3))
def test_no_attempt_starts_above_attempts(bounds: Bounds, more: int) -> None:
    """Once `attempts` are made, whatever else holds, one more crosses that bound."""
    assert crossed(bounds, Spent(attempts=bounds.attempts + more)) == "attempts"


@given(bounds=BOUNDS, elapsed=SECONDS, wait=SECONDS)
def test_no_wait_passes_the_deadline(bounds: Bounds, elapsed: float, wait: float) -> None:
    """A wait that would end at or after the deadline is never begun."""
    if elapsed + wait >= bounds.deadline_s:
        assert crossed(bounds, Spent(elapsed_s=elapsed), wait_s=wait) == "deadline_s"


def test_waste_holds_back_retries_only() -> None:
    """A first attempt wastes nothing yet, so `waste_usd` does not stop it; a later one it does."""
    bounds = Bounds(waste_usd=Decimal("0.01"))
    assert crossed(bounds, Spent(), expected_usd=Decimal(1)) is None
    assert crossed(bounds, Spent(attempts=1), expected_usd=Decimal("0.20")) is None
    assert crossed(bounds, Spent(attempts=1), expected_usd=Decimal("0.21")) == "waste_usd"
    assert crossed(bounds, Spent(attempts=1, waste_usd=Decimal("0.02")), expected_usd=Decimal(0)) == "waste_usd"


def test_unknown_money_crosses_every_money_bound_that_is_set() -> None:
    """What cannot be proved is not promised: an unknown waste or cost stops a request that limits it."""
    waste = Bounds(waste_usd=Decimal(9))
    assert crossed(waste, Spent(attempts=1, waste_usd=None)) == "waste_usd"
    assert crossed(waste, Spent(attempts=1), expected_usd=None) == "waste_usd"
    cost = Bounds(max_cost_usd=Decimal(9))
    assert crossed(cost, Spent(cost_usd=None)) == "max_cost_usd"
    assert crossed(cost, Spent(), worst_usd=None) == "max_cost_usd"
    assert crossed(Bounds(), Spent(attempts=1, cost_usd=None, waste_usd=None), worst_usd=None) is None


@given(spent=MONEY, worst=MONEY, limit=MONEY)
def test_cost_never_passes_its_limit(spent: Decimal, worst: Decimal, limit: Decimal) -> None:
    """An attempt starts exactly when its worst case still fits under `max_cost_usd`."""
    verdict = crossed(Bounds(max_cost_usd=limit), Spent(cost_usd=spent), worst_usd=worst)
    assert verdict == (None if spent + worst <= limit else "max_cost_usd")


@given(bounds=BOUNDS, asked=BOUNDS)
def test_a_request_only_lowers_bounds(bounds: Bounds, asked: Bounds) -> None:
    """Whatever a request asks for, no bound of it is above the configured one, nor above what it asked."""
    hints = Hints(
        attempts=asked.attempts,
        deadline_s=asked.deadline_s,
        waste_usd=asked.waste_usd,
        max_cost_usd=asked.max_cost_usd,
    )
    lowered = bounds.lowered(hints)
    assert lowered.attempts == min(bounds.attempts, asked.attempts)
    assert lowered.deadline_s == min(bounds.deadline_s, asked.deadline_s)
    for name in ("waste_usd", "max_cost_usd"):
        known = [v for v in (getattr(bounds, name), getattr(asked, name)) if v is not None]
        assert getattr(lowered, name) == min(known, default=None)
    assert bounds.lowered(Hints()) is bounds
    for name, value in (
        ("attempts", 1),
        ("deadline_s", 0.0005),
        ("waste_usd", Decimal(0)),
        ("max_cost_usd", Decimal(0)),
    ):
        assert bounds.lowered(Hints(**{name: value})) == replace(bounds, **{name: value})  # type: ignore[arg-type]  # a bound comes by its name


@given(bounds=BOUNDS, worst=st.lists(MONEY, min_size=1, max_size=6), data=st.data())
def test_no_sequence_of_attempts_costs_more_than_the_worst_case(
    bounds: Bounds, worst: list[Decimal], data: st.DataObject
) -> None:
    """Whoever is asked however often, within the bounds, it costs no more than was stated beforehand."""
    stated = worst_case_usd(bounds, tuple(worst))
    spent = Spent()
    while True:
        one = data.draw(st.sampled_from(worst))
        if crossed(bounds, spent, expected_usd=Decimal(0), worst_usd=one) is not None:
            break
        total = (spent.cost_usd or Decimal(0)) + one * data.draw(st.sampled_from([Decimal(0), Decimal(1)]))
        spent = Spent(attempts=spent.attempts + 1, cost_usd=total, waste_usd=total)
    assert stated is not None
    assert (spent.cost_usd or 0) <= stated


@given(bounds=BOUNDS, worst=st.lists(MAYBE_MONEY, max_size=4))
def test_an_unknown_worst_case_is_not_a_number(bounds: Bounds, worst: list[Decimal | None]) -> None:
    """One candidate of unknown worst case makes the request's unknown, unless the request itself sets a limit."""
    stated = worst_case_usd(bounds, tuple(worst))
    if None in worst:
        assert stated == bounds.max_cost_usd
    elif not worst:
        assert stated == 0


@given(retries=st.integers(0, 50), draw=st.floats(0, 1, exclude_max=True))
def test_backoff_is_between_nothing_and_its_cap(retries: int, draw: float) -> None:
    """Full jitter: the wait lies in [0, cap), and the cap doubles up to eight seconds."""
    assert 0 <= backoff_s(retries, draw) < min(BACKOFF_MOST_S, 0.5 * 2.0**retries) or draw == 0


def test_money_does_not_follow_the_threads_arithmetic() -> None:
    """A context of three digits rounds neither the worst case nor what is compared with it."""
    bounds = Bounds(max_cost_usd=Decimal("0.008052"))
    with localcontext(Context(prec=3)):
        assert worst_case_usd(Bounds(attempts=2), (Decimal("0.004026"),)) == Decimal("0.008052")
        over = crossed(bounds, Spent(cost_usd=Decimal("0.004026")), worst_usd=Decimal("0.0040261"))
    assert over == "max_cost_usd"


@pytest.mark.parametrize(("retries", "most"), [(0, 0.5), (1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (5, 8.0), (60, 8.0)])
def test_backoff_doubles_up_to_its_cap(retries: int, most: float) -> None:
    """Half of the cap at half of the draw."""
    assert backoff_s(retries, 0.5) == most / 2


@pytest.mark.parametrize(("deadline_s", "least_s"), [(60.0, 0.5), (5.0, 0.5), (4.0, 0.4), (0.5, 0.05)])
def test_what_is_left_of_a_deadline_may_be_of_no_use(deadline_s: float, least_s: float) -> None:
    """Half a second, or a tenth of a deadline that is short itself."""
    assert least_useful_s(deadline_s) == pytest.approx(least_s)
    bounds = Bounds(deadline_s=deadline_s)
    late = Spent(attempts=1, elapsed_s=deadline_s - least_s)
    assert crossed(bounds, late) == "deadline_s"
    assert crossed(bounds, Spent(attempts=1, elapsed_s=deadline_s - 1.01 * least_s)) is None
    # The first attempt is made whenever there is any time, unless it would have to wait.
    assert crossed(bounds, Spent(elapsed_s=deadline_s - least_s)) is None
    assert crossed(bounds, Spent(elapsed_s=deadline_s - least_s), wait_s=least_s / 2) == "deadline_s"
    assert crossed(bounds, Spent(elapsed_s=deadline_s)) == "deadline_s"


@pytest.mark.parametrize(
    ("expected", "crosses"), [(Decimal("0.2"), None), (Decimal("0.200001"), "waste_usd"), (None, "waste_usd")]
)
def test_waste_reckons_with_one_failure_in_twenty(expected: Decimal | None, crosses: str | None) -> None:
    """A cent may be wasted: of an attempt at 20 cents one is expected to be."""
    bounds = Bounds(waste_usd=Decimal("0.01"))
    assert crossed(bounds, Spent(attempts=1), expected_usd=expected) == crosses


@pytest.mark.parametrize(("worst", "crosses"), [(Decimal("0.4"), None), (Decimal("0.41"), "max_cost_usd")])
def test_the_limit_of_a_request_may_be_reached(worst: Decimal, crosses: str | None) -> None:
    """What was spent and the worst case together may be as much, and no more."""
    bounds = Bounds(max_cost_usd=Decimal(1))
    assert crossed(bounds, Spent(attempts=1, cost_usd=Decimal("0.6")), worst_usd=worst) == crosses


@pytest.mark.parametrize(
    ("waste", "limit", "worst"),
    [(None, None, "6"), ("1", None, "3"), ("9", None, "6"), (None, "5", "5"), (None, "7", "6"), ("1", "2", "2")],
)
def test_the_worst_case_is_the_least_that_any_bound_allows(waste: str | None, limit: str | None, worst: str) -> None:
    """Three attempts at the dearer of two, or one more than may be wasted, or what the request may cost."""
    bounds = Bounds(
        attempts=3,
        waste_usd=None if waste is None else Decimal(waste),
        max_cost_usd=None if limit is None else Decimal(limit),
    )
    assert worst_case_usd(bounds, (Decimal(1), Decimal(2))) == Decimal(worst)
