"""When a trouble is under way, and which tables make no sense."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from router.testing.troubles import Spread, Trouble

times = st.floats(min_value=0, max_value=10_000)


@given(start_s=times, duration_s=st.floats(min_value=0.1, max_value=1000), now_s=times)
def test_a_trouble_lasts_from_its_start_to_its_end(start_s: float, duration_s: float, now_s: float) -> None:
    """What is left of it counts down to its end, and is None before and after."""
    left_s = Trouble(kind="hang", start_s=start_s, duration_s=duration_s).left_s(now_s)
    if start_s <= now_s and now_s - start_s < duration_s:
        assert left_s == pytest.approx(start_s + duration_s - now_s, abs=1e-6)
    else:
        assert left_s is None


@pytest.mark.parametrize(
    ("now_s", "left_s"), [(99, None), (100, 5), (104, 1), (105, None), (160, 5), (220, 5), (280, None)]
)
def test_a_trouble_comes_back_until_it_ends(now_s: float, left_s: float | None) -> None:
    """Five seconds of every minute, and none after the last."""
    assert Trouble(kind="refuse", start_s=100, duration_s=5, every_s=60, until_s=280).left_s(now_s) == left_s


def test_a_trouble_without_duration_never_ends() -> None:
    """Nor does one that comes back without an `until_s`."""
    assert Trouble(kind="hang", start_s=5).left_s(1e6) == math.inf
    assert Trouble(kind="hang", duration_s=1, every_s=10).left_s(1e6) == 1


@pytest.mark.parametrize(("pattern", "befallen"), [("small", {"small"}), ("*", {"small", "large"}), ("l*", {"large"})])
def test_a_pattern_names_models(pattern: str, befallen: set[str]) -> None:
    """As file names are matched."""
    assert {name for name in ("small", "large") if Trouble(kind="cut", model=pattern).befalls(name)} == befallen


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"kind": "hang", "status": 500}, "only with kind 'error'"),
        ({"kind": "error", "retry_after": "none"}, "only with kind 'refuse'"),
        ({"kind": "error", "every_s": 10}, "without a shorter duration_s"),
        ({"kind": "error", "every_s": 10, "duration_s": 11}, "without a shorter duration_s"),
        ({"kind": "error", "until_s": 10}, "until_s without every_s"),
        ({"kind": "clock_jump", "jump_s": 5, "share": 0.5}, "more than start_s and jump_s"),
    ],
)
def test_options_that_make_no_sense_are_refused(table: dict[str, Any], told: str) -> None:
    """Each with what is allowed."""
    with pytest.raises(ValidationError, match=told):
        Trouble(**table)


@given(median=st.floats(min_value=0, max_value=1e4), spread=st.floats(min_value=0, max_value=2), seed=st.integers())
def test_a_spread_is_positive_and_cut(median: float, spread: float, seed: int) -> None:
    """A draw is never below zero nor above `most`; without a spread it is the median."""
    chance = random.Random(seed)
    assert 0 <= Spread(median=median, spread=spread, most=100).draw(chance) <= 100
    assert Spread(median=median).draw(chance) == median


def test_half_of_the_draws_are_below_the_median() -> None:
    """So the word is used rightly."""
    chance = random.Random(1)
    spread = Spread(median=2.0, spread=0.5)
    below = sum(spread.draw(chance) < 2.0 for _ in range(2000))
    assert 900 < below < 1100


def test_a_bare_number_never_varies() -> None:
    """In TOML `latency_s = 0.5` is enough."""
    assert Spread.model_validate(0.5) == Spread(median=0.5)
