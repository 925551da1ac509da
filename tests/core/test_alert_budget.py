"""Rules on budgets: each threshold once for each account and window, exactly where it is reached."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.alert import event_of, message_of
from router.core.alert_budget import (
    FORECAST_FROM,
    budget_alerts,
    forecast_nano,
    next_nano,
    thresholds_of,
    window_of,
)
from router.core.alert_rules import BudgetRule
from router.core.budget import Account, Standing

DAY_S = 86_400
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
START_S = int(NOW.timestamp()) // DAY_S * DAY_S
TODAY = Account(budget="team", value="acme", start_s=START_S, end_s=START_S + DAY_S)
DOLLAR = 10**9

SHARES = st.lists(st.integers(1, 300).map(lambda percent: Decimal(percent) / 100), max_size=4, unique=True).map(tuple)
AMOUNTS = st.lists(st.integers(1, 10**12), max_size=3, unique=True).map(tuple)
RULES = st.builds(
    BudgetRule,
    name=st.just("rule"),
    to=st.just(("ops",)),
    budget=st.just("team"),
    shares=SHARES,
    amounts_nano=AMOUNTS,
    forecast=st.booleans(),
)
MONEY = st.integers(0, 10**12)
STANDINGS = st.builds(Standing, limit_nano=MONEY, spent_nano=MONEY, reserved_nano=MONEY)
TIMES = st.integers(-3 * DAY_S, 3 * DAY_S).map(lambda seconds: NOW + timedelta(seconds=seconds))


def rule(**fields: object) -> BudgetRule:
    """Returns a rule of some thresholds."""
    given: dict[str, object] = {"name": "half", "to": ("ops",), "budget": "team", "shares": (Decimal("0.5"),)}
    return BudgetRule(**given | fields)  # type: ignore[arg-type]  # as the caller says


@given(RULES, STANDINGS, TIMES)
def test_a_threshold_is_told_when_it_is_reached(rule: BudgetRule, standing: Standing, at: datetime) -> None:
    """All that are reached are told, the lowest first, and none that is not; reserved money is not spent."""
    told = [one for one in budget_alerts(rule, TODAY, standing, at=at) if one.type == "budget.threshold"]
    shares = [share for share in rule.shares if standing.spent_nano >= Fraction(share) * standing.limit_nano]
    amounts = [amount for amount in rule.amounts_nano if standing.spent_nano >= amount]
    assert len(told) == len(shares) + len(amounts)
    reached = [Decimal(one.data["threshold_usd"]) for one in told]
    assert reached == sorted(reached)
    assert len({one.name for one in told}) == len(told)


@given(RULES, STANDINGS, MONEY, TIMES, TIMES)
def test_an_alert_has_one_name_in_its_window(
    rule: BudgetRule, standing: Standing, more: int, at: datetime, later: datetime
) -> None:
    """The more is spent, the more is told, under the same names, whenever it is, also when the clock was set back."""
    rule = replace(rule, forecast=False)
    before = {one.name for one in budget_alerts(rule, TODAY, standing, at=at)}
    richer = replace(standing, spent_nano=standing.spent_nano + more)
    after = {one.name for one in budget_alerts(rule, TODAY, richer, at=later)}
    assert before <= after
    nano = next_nano(rule, standing)
    assert (before == after) == (nano is None or richer.spent_nano < nano)


@given(RULES, STANDINGS, TIMES)
def test_another_account_or_window_is_another_alert(rule: BudgetRule, standing: Standing, at: datetime) -> None:
    """What was told of one account, or in one window, is told anew of the others."""
    tomorrow = replace(TODAY, start_s=START_S + DAY_S, end_s=START_S + 2 * DAY_S)
    names = [
        {one.name for one in budget_alerts(rule, account, standing, at=at)}
        for account in (TODAY, replace(TODAY, value="other"), tomorrow)
    ]
    assert len(set.union(*names)) == sum(map(len, names))


@given(STANDINGS, TIMES)
def test_a_forecast_goes_on_as_it_went(standing: Standing, at: datetime) -> None:
    """What was spent so far over the part of the window that is over; nothing of one that has hardly begun."""
    foreseen = forecast_nano(TODAY, standing, at=at)
    part = min(Fraction(1), Fraction(at.timestamp() - START_S) / DAY_S)
    if part < FORECAST_FROM:
        assert foreseen is None
    else:
        assert foreseen == int(standing.spent_nano / part)


def test_a_forecast_is_an_alert_of_its_own() -> None:
    """It is told before the threshold is, which is told all the same when it is reached."""
    foresees = rule(forecast=True, shares=(Decimal("0.8"), Decimal(1)))
    [early, late] = budget_alerts(foresees, TODAY, Standing(limit_nano=DOLLAR, spent_nano=DOLLAR // 2), at=NOW)
    assert (early.type, late.type) == ("budget.forecast", "budget.forecast")
    assert early.data["forecast_usd"] == Decimal(1)
    assert "at this rate it will be $1.00 by the end of the window, past $0.8" in early.data["text"]
    [reached, foreseen] = budget_alerts(foresees, TODAY, Standing(limit_nano=DOLLAR, spent_nano=8 * 10**8), at=NOW)
    assert (reached.type, foreseen.type) == ("budget.threshold", "budget.forecast")
    assert reached.name != early.name
    assert foreseen.name == late.name


def test_the_forecast_of_a_small_budget_is_told_in_digits_that_say_something() -> None:
    """In cents it would be nothing, and past more than that."""
    foresees = rule(forecast=True, shares=(Decimal("0.8"),))
    standing = Standing(limit_nano=4 * 10**6, spent_nano=1_700_000)
    [alert] = budget_alerts(foresees, TODAY, standing, at=NOW)
    assert "at this rate it will be $0.00340 by the end of the window, past $0.0032" in alert.data["text"]


@pytest.mark.parametrize("account", [Account(budget="team", value=""), Account(budget="team", value="", rolling_s=60)])
def test_nobody_foresees_a_window_without_edges(account: Account) -> None:
    """Neither of all time, nor of a rolling window."""
    assert forecast_nano(account, Standing(limit_nano=DOLLAR, spent_nano=DOLLAR), at=NOW) is None


def test_a_rolling_window_tells_once_in_its_length() -> None:
    """Its thresholds count anew at each multiple of its length since 1970."""
    account, standing = Account(budget="team", value="", rolling_s=3_600), Standing(limit_nano=1, spent_nano=1)
    times = [NOW, NOW + timedelta(minutes=59), NOW + timedelta(minutes=60)]
    names = [budget_alerts(rule(), account, standing, at=at)[0].name for at in times]
    assert names[0] == names[1] != names[2]
    assert window_of(account, at=NOW) == (NOW, NOW + timedelta(hours=1))


def test_all_time_tells_once_for_ever() -> None:
    """The name of its alert is never forgotten."""
    [alert] = budget_alerts(rule(), Account(budget="team", value=""), Standing(limit_nano=1, spent_nano=1), at=NOW)
    assert alert.until is None


def test_what_an_alert_says() -> None:
    """Who it is about, which threshold, and how things stand, in words and as exact amounts."""
    standing = Standing(limit_nano=5 * DOLLAR, spent_nano=4 * DOLLAR, reserved_nano=DOLLAR // 2)
    [alert] = budget_alerts(rule(shares=(Decimal("0.80"),)), TODAY, standing, at=NOW)
    assert alert.name == '["half","acme","2026-11-28T00:00:00Z","share 0.8"]'
    assert alert.until == NOW.replace(hour=0) + timedelta(days=1)
    event = event_of("msg_1", message_of(alert, message_id="msg_1").body)
    assert event.type == "budget.threshold"
    assert event.data == {
        "text": "budget team of acme: $4 of $5 is spent (80 %)",
        "rule": "half",
        "budget": "team",
        "value": "acme",
        "window": {"start": "2026-11-28T00:00:00Z", "end": "2026-11-29T00:00:00Z", "rolling_s": None},
        "share": "0.8",
        "threshold_usd": "4",
        "spent_usd": "4",
        "reserved_usd": "0.5",
        "limit_usd": "5",
        "left_usd": "0.5",
    }


def test_a_budget_of_nothing_is_spent() -> None:
    """Any share of a limit of 0 is reached at once, and no percentage is made of it."""
    [alert] = budget_alerts(rule(), replace(TODAY, value=""), Standing(limit_nano=0), at=NOW)
    assert alert.data["text"] == "budget team: $0 of $0 is spent"


@given(RULES, MONEY)
def test_thresholds_are_whole_and_rounded_up(rule: BudgetRule, limit_nano: int) -> None:
    """A share of a limit is reached at the first nano-dollar that is not below it."""
    for one in thresholds_of(rule, limit_nano):
        if one.share is not None:
            assert one.nano - 1 < Fraction(one.share) * limit_nano <= one.nano
