"""Retry quota: how many retries a share of the traffic allows."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.quota import QuotaSettings, RetryQuota

SETTINGS = QuotaSettings()
STEPS = st.lists(st.tuples(st.floats(0, 3), st.sampled_from(["ask", "retry"]), st.integers(1, 60)), max_size=60)


@given(steps=STEPS)
def test_retries_stay_within_what_traffic_allows(steps: list[tuple[float, str, int]]) -> None:
    """Over any time T, at most M (1 + T / ttl) retries are granted, M being the most that was allowed at once."""
    quota, now_s, granted = RetryQuota(), 0.0, 0
    most = SETTINGS.least_per_s * SETTINGS.ttl_s
    for seconds, kind, times in steps:
        now_s += seconds
        for _ in range(times):
            if kind == "ask":
                quota = quota.deposit(now_s, SETTINGS)
            elif (after := quota.withdraw(now_s, SETTINGS)) is not None:
                quota, granted = after, granted + 1
        most = max(most, SETTINGS.share * quota.asked)
        assert granted <= most * (1 + now_s / SETTINGS.ttl_s) + 1e-6
        assert quota.left(now_s, SETTINGS) >= 0.0


@pytest.mark.parametrize(("asks_per_s", "retries_per_s"), [(1, 3.0), (20, 3.0), (100, 10.0), (500, 50.0)])
def test_at_a_steady_pace_the_share_is_kept(asks_per_s: int, retries_per_s: float) -> None:
    """When everything fails and everyone wants to retry, retries are 10 % of the asks, or 3 a second."""
    quota, granted = RetryQuota(), 0
    for tick in range(asks_per_s * 120):
        now_s = tick / asks_per_s
        quota = quota.deposit(now_s, SETTINGS)
        for _ in range(4):
            after = quota.withdraw(now_s, SETTINGS)
            quota, granted = (quota, granted) if after is None else (after, granted + (now_s >= 60.0))
    wanted = min(retries_per_s, 4.0 * asks_per_s)
    assert granted / 60 == pytest.approx(wanted, rel=0.08)


def test_a_spent_quota_comes_back() -> None:
    """Thirty retries may come at once; then none, until time has passed."""
    quota = RetryQuota()
    for _ in range(30):
        after = quota.withdraw(0.0, SETTINGS)
        assert after is not None
        quota = after
    assert quota.withdraw(0.0, SETTINGS) is None
    assert quota.withdraw(0.4, SETTINGS) is not None


@given(back_s=st.floats(0, 100))
def test_a_clock_that_steps_back_gives_nothing_away(back_s: float) -> None:
    """Readings from before the last one change no count."""
    quota = RetryQuota(asked=50.0, retried=20.0, at_s=100.0)
    assert quota.left(100.0 - back_s, SETTINGS) == quota.left(100.0, SETTINGS)
    assert quota.deposit(100.0 - back_s, SETTINGS).at_s == 100.0


def test_asks_and_retries_fade_alike() -> None:
    """After one time to live a third is left of both; a clock that runs backwards changes nothing."""
    settings = QuotaSettings(share=0.1, least_per_s=0.0, ttl_s=10.0)
    start = RetryQuota(asked=1_000.0, retried=20.0, at_s=5.0)
    assert start.left(5.0, settings) == pytest.approx(80.0)
    assert start.left(15.0, settings) == pytest.approx(80.0 / math.e)
    assert start.left(0.0, settings) == pytest.approx(80.0)
    later = start.withdraw(15.0, settings)
    assert later is not None
    assert (later.asked, later.retried) == pytest.approx((1_000 / math.e, 20 / math.e + 1))
    more = start.deposit(15.0, settings, asks=3)
    assert (more.asked, more.retried) == pytest.approx((1_000 / math.e + 3, 20 / math.e))
    assert (later.at_s, more.at_s) == (15.0, 15.0)
    assert start.deposit(0.0, settings).at_s == 5.0
    back = start.withdraw(0.0, settings)
    assert back is not None
    assert (back.asked, back.retried, back.at_s) == (1_000.0, 21.0, 5.0)


@pytest.mark.parametrize(("retried", "granted"), [(29.0, True), (29.001, False), (30.0, False), (40.0, False)])
def test_a_whole_retry_must_be_left(retried: float, granted: bool) -> None:
    """A part of one is none; and what is left is never less than nothing."""
    quota = RetryQuota(retried=retried)
    assert quota.left(0.0, QuotaSettings()) == pytest.approx(max(0.0, 30.0 - retried))
    assert (quota.withdraw(0.0, QuotaSettings()) is not None) == granted
