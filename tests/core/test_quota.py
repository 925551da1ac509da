"""Retry quota: how many retries a share of the traffic allows."""

from __future__ import annotations

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
