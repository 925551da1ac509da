"""Rules on what is counted: exactly where a threshold is reached, never below a minimum, anew in each window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.alert import Alert, event_of, message_of
from router.core.alert_counts import Looked, count_alerts, looked_at
from router.core.alert_rules import CacheHitsRule, CountRule, ErrorsRule, SpendRateRule, UnpricedRule, WasteRule
from router.core.counting import QUARTER_S, Sums, quarter_of
from router.core.window import Window, parse_window, span, unix_s

NOW = datetime(2026, 11, 28, 12, 30, tzinfo=UTC)
HOUR, DAY = parse_window("hour"), parse_window("day")
HOUR_S = 3_600
START_S = int(NOW.timestamp()) // HOUR_S * HOUR_S
THIS_HOUR = (START_S, START_S + HOUR_S)
DOLLAR = 10**9

COMMON: dict[str, Any] = {"name": "rule", "to": ("ops",), "window": HOUR}
SPEND = SpendRateRule(**COMMON, factors=(Decimal(3), Decimal("1.5")), days=7, min_days=3, min_nano=DOLLAR)
WASTE = WasteRule(**COMMON, shares=(Decimal("0.5"), Decimal("0.2")), min_requests=20, min_nano=DOLLAR)
ERRORS = ErrorsRule(**COMMON, shares=(Decimal("0.3"), Decimal("0.6")), model=None, min_attempts=20)
HITS = CacheHitsRule(
    **COMMON, falls_to=(Decimal("0.25"), Decimal("0.5")), days=7, min_requests=100, min_share=Decimal("0.05")
)
UNPRICED = UnpricedRule(**COMMON, of="requests", shares=(Decimal("0.1"), Decimal("0.5")), min_unpriced=5)
RULES: tuple[CountRule, ...] = (SPEND, WASTE, ERRORS, HITS, UNPRICED, replace(UNPRICED, of="attempts"))

SHARES = st.lists(st.integers(1, 100).map(lambda percent: Decimal(percent) / 100), min_size=1, max_size=4, unique=True)
PARTS = st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda two: (min(two), max(two)))
NANO = st.integers(0, 10 * DOLLAR)
TIMES = st.datetimes(datetime(2020, 1, 1), datetime(2037, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001 - of the strategy's own
ZONES = st.sampled_from(["UTC", "Asia/Kolkata", "Asia/Kathmandu", "Europe/Berlin", "Australia/Lord_Howe"])


def told(rule: CountRule, sums: Sums, before: Sequence[Sums] = ()) -> list[Alert]:
    """Returns the alerts of this hour."""
    return list(count_alerts(rule, THIS_HOUR, sums, before, at=NOW))


def thresholds(alerts: Sequence[Alert]) -> list[Decimal]:
    """Returns which thresholds alerts tell of, in their order."""
    return [Decimal(alert.data["threshold"]) for alert in alerts]


@given(PARTS, SHARES)
def test_waste_is_told_by_its_share(parts: tuple[int, int], shares: list[Decimal]) -> None:
    """At each share of what was spent that was wasted; only where requests and money are enough."""
    wasted, spent = (part * DOLLAR // 10 for part in parts)
    sums = {("requests", ""): 20, ("spent_nano", ""): spent, ("wasted_nano", ""): wasted}
    reached = sorted(share for share in shares if spent >= DOLLAR and wasted and wasted >= Fraction(share) * spent)
    rule = replace(WASTE, shares=tuple(shares))
    assert thresholds(told(rule, sums)) == reached
    assert told(rule, {**sums, ("requests", ""): 19}) == []


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), PARTS), SHARES)
def test_errors_are_told_of_each_model(models: dict[str, tuple[int, int]], shares: list[Decimal]) -> None:
    """At each share of failures among the attempts that say something about it, where these are enough."""
    sums = {("judged", model): judged for model, (_, judged) in models.items()}
    sums |= {("failures", model): failures for model, (failures, _) in models.items()}
    rule = replace(ERRORS, shares=tuple(shares))
    found = {
        (model, share)
        for model, (failures, judged) in models.items()
        for share in shares
        if judged >= 20 and failures and failures >= Fraction(share) * judged
    }
    alerts = told(rule, sums)
    assert {(alert.data["model"], Decimal(alert.data["threshold"])) for alert in alerts} == found
    assert len({alert.name for alert in alerts}) == len(alerts) == len(found)
    only = told(replace(rule, model="a"), sums)
    assert [alert.name for alert in only] == [alert.name for alert in alerts if alert.data["model"] == "a"]


@given(NANO, st.lists(st.tuples(st.integers(0, 3), NANO), max_size=7))
def test_spending_is_told_against_the_same_hour(spent: int, days: list[tuple[int, int]]) -> None:
    """At each multiple of the mean of those days that had requests, if these are enough, and the money is."""
    before = [{("requests", ""): requests, ("spent_nano", ""): nano} if requests else {} for requests, nano in days]
    counting = [nano for requests, nano in days if requests]
    reached: list[Decimal] = []
    if len(counting) >= 3 and spent >= DOLLAR:
        mean = Fraction(sum(counting), len(counting))
        reached = [factor for factor in sorted(SPEND.factors) if spent >= Fraction(factor) * mean]
    assert thresholds(told(SPEND, {("spent_nano", ""): spent}, before)) == reached


@given(PARTS, PARTS)
def test_a_collapse_is_told_against_the_last_days(now: tuple[int, int], usual: tuple[int, int]) -> None:
    """At each part to which the share of hits has fallen; only where both had requests enough, and hits before."""
    hits, lookups = now[0] * 5, now[1] * 5
    sums = {("hits", ""): hits, ("lookups", ""): lookups}
    before = {("hits", ""): usual[0] * 5, ("lookups", ""): usual[1] * 5}
    reached: list[Decimal] = []
    if lookups >= 100 and usual[1] * 5 >= 100 and Fraction(*usual) >= Fraction(5, 100):
        fallen = Fraction(hits, lookups) / Fraction(*usual)
        reached = [part for part in (Decimal("0.5"), Decimal("0.25")) if fallen <= Fraction(part)]
    assert thresholds(told(HITS, sums, [before])) == reached


@given(PARTS, SHARES, st.sampled_from(["requests", "attempts"]))
def test_unknown_costs_are_told_by_their_share(parts: tuple[int, int], shares: list[Decimal], of: Any) -> None:
    """Of requests as of attempts, of all models together, where they are enough."""
    unknown, every = parts
    counter, model = ("unpriced", "") if of == "requests" else ("unpriced_attempts", "m")
    sums = {(counter, model): unknown, (of, "m" if model else ""): every}
    reached = sorted(share for share in shares if unknown >= 5 and unknown >= Fraction(share) * every)
    assert thresholds(told(replace(UNPRICED, of=of, shares=tuple(shares)), sums)) == reached


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_a_lone_request_alarms_nobody(rule: CountRule) -> None:
    """Whatever is wrong with it."""
    one = {
        ("requests", ""): 1, ("unpriced", ""): 1, ("lookups", ""): 1, ("attempts", "m"): 1, ("judged", "m"): 1,
        ("failures", "m"): 1, ("unpriced_attempts", "m"): 1, ("spent_nano", ""): 10, ("wasted_nano", ""): 10,
    }  # fmt: skip
    before = [{("requests", ""): 9, ("lookups", ""): 900, ("hits", ""): 900, ("spent_nano", ""): 1}] * 7
    assert told(rule, one, before) == []
    assert told(rule, {}, before) == []


@given(TIMES, ZONES, st.sampled_from(RULES), st.sampled_from(["hour", "day"]))
def test_a_rule_looks_at_the_window_of_each_quarter(at: datetime, zone: str, rule: CountRule, period: Any) -> None:
    """All of a window's quarters lead to it, those before and after to others, and none is in what came before."""
    if isinstance(rule, SpendRateRule):
        period = "hour"
    rule = replace(rule, window=parse_window(period, time_zone=zone))
    [looked] = looked_at(rule, [quarter_of(at)])
    within = span(rule.window, at)
    assert looked.window == (unix_s(within.start), unix_s(within.end))
    quarters = range(*looked.window, QUARTER_S)
    assert looked_at(rule, quarters) == (looked,)
    assert len(looked_at(rule, [quarters[0] - QUARTER_S, *quarters, quarters[-1] + QUARTER_S])) == 3
    assert all(end_s <= looked.window[0] for _, end_s in looked.before)


@given(TIMES, ZONES, st.integers(1, 28))
def test_the_same_hour_is_what_the_clock_shows(at: datetime, zone: str, days: int) -> None:
    """Not that of so many times 24 hours ago, where the clock was set in between."""
    [looked] = looked_at(replace(SPEND, window=parse_window("hour", time_zone=zone), days=days), [quarter_of(at)])
    shown = [datetime.fromtimestamp(start_s, ZoneInfo(zone)) for start_s, _ in (looked.window, *looked.before)]
    assert len(looked.before) == days
    for number, then in enumerate(shown):
        day = shown[0].date() - timedelta(days=number)
        # An hour that the clock passed over that day is the next one.
        gap = then.date() == day and then.hour in {shown[0].hour, (shown[0].hour + 1) % 24}
        assert gap or then.hour == 0


def test_a_collapse_is_seen_against_all_of_the_days() -> None:
    """Against the days that end where the window begins."""
    assert looked_at(HITS, [START_S]) == (Looked(window=THIS_HOUR, before=((START_S - 7 * 86_400, START_S),)),)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_each_window_tells_anew(rule: CountRule) -> None:
    """The same sums have the same names all through a window, and others in the next."""
    bad = {
        ("requests", ""): 200, ("unpriced", ""): 150, ("lookups", ""): 200, ("attempts", "m"): 200,
        ("judged", "m"): 200, ("failures", "m"): 150, ("unpriced_attempts", "m"): 150, ("spent_nano", ""): 9 * DOLLAR,
        ("wasted_nano", ""): 8 * DOLLAR,
    }  # fmt: skip
    before = [{("requests", ""): 9, ("lookups", ""): 900, ("hits", ""): 800, ("spent_nano", ""): DOLLAR}] * 7
    first = {one.name for one in count_alerts(rule, THIS_HOUR, bad, before, at=NOW)}
    again = {one.name for one in count_alerts(rule, THIS_HOUR, bad, before, at=NOW - timedelta(hours=5))}
    next_hour = tuple(edge_s + HOUR_S for edge_s in THIS_HOUR)
    later = {one.name for one in count_alerts(rule, (next_hour[0], next_hour[1]), bad, before, at=NOW)}
    assert first == again
    assert len(first) == len(later) == 2
    assert not first & later


def test_what_an_alert_says() -> None:
    """What happened in which window, in words and in figures; its name may be forgotten when the window is over."""
    sums = {("judged", "small"): 40, ("failures", "small"): 13}
    [alert] = told(ERRORS, sums)
    assert alert.name == '["rule","small","2026-11-28T12:00:00Z","0.3"]'
    assert alert.until == datetime.fromtimestamp(THIS_HOUR[1], UTC)
    event = event_of("msg_1", message_of(alert, message_id="msg_1").body)
    assert (event.type, event.time) == ("errors.share", NOW)
    assert event.data == {
        "text": "in the hour from 2026-11-28T12:00:00Z, 32.5 % of 40 attempts at small failed",
        "rule": "rule",
        "window": {"start": "2026-11-28T12:00:00Z", "end": "2026-11-28T13:00:00Z"},
        "threshold": "0.3",
        "model": "small",
        "attempts": 40,
        "failures": 13,
        "share": 0.325,
    }


@pytest.mark.parametrize(("spent", "says"), [(1_234_567_890_000, "$1,234.57"), (12_345, "$0.000012")])
def test_money_is_said_in_few_digits(spent: int, says: str) -> None:
    """To the cent, or with two digits that say something; exactly beside it."""
    rule = replace(SPEND, min_nano=0, window=Window(period="hour"))
    before = [{("requests", ""): 1, ("spent_nano", ""): 1}] * 3
    alert = told(rule, {("spent_nano", ""): spent}, before)[0]
    assert f"{says} was spent" in alert.data["text"]
    assert alert.data["spent_usd"] * 10**9 == spent


USUAL = {("requests", ""): 900, ("lookups", ""): 900, ("hits", ""): 800, ("spent_nano", ""): DOLLAR}


@pytest.mark.parametrize(
    ("rule", "sums", "before", "expected"),
    [
        (SPEND, {("spent_nano", ""): 2 * DOLLAR}, [USUAL] * 3, ["1.5"]),
        (SPEND, {("spent_nano", ""): 3 * DOLLAR}, [USUAL] * 3, ["1.5", "3"]),
        (SPEND, {("spent_nano", ""): 3 * DOLLAR}, [USUAL, {}, USUAL], []),
        (SPEND, {("spent_nano", ""): DOLLAR - 1}, [USUAL] * 3, []),
        (WASTE, {("requests", ""): 20, ("spent_nano", ""): DOLLAR, ("wasted_nano", ""): DOLLAR // 5}, [], ["0.2"]),
        (WASTE, {("requests", ""): 20, ("spent_nano", ""): DOLLAR - 1, ("wasted_nano", ""): DOLLAR // 5}, [], []),
        (WASTE, {("requests", ""): 20, ("spent_nano", ""): DOLLAR}, [], []),
        (ERRORS, {("judged", "m"): 20, ("failures", "m"): 20}, [], ["0.3", "0.6"]),
        (ERRORS, {("judged", "m"): 20}, [], []),
        (ERRORS, {("judged", "m"): 19, ("failures", "m"): 19}, [], []),
        (HITS, {("lookups", ""): 100, ("hits", ""): 44}, [USUAL], ["0.5"]),
        (HITS, {("lookups", ""): 100}, [USUAL], ["0.5", "0.25"]),
        (HITS, {("lookups", ""): 100, ("hits", ""): 88}, [USUAL], []),
        (HITS, {("lookups", ""): 100}, [{**USUAL, ("hits", ""): 44}], []),
        (HITS, {("lookups", ""): 99}, [USUAL], []),
        (UNPRICED, {("requests", ""): 50, ("unpriced", ""): 5}, [], ["0.1"]),
        (UNPRICED, {("requests", ""): 4, ("unpriced", ""): 4}, [], []),
    ],
)
def test_where_rules_begin_to_tell(
    rule: CountRule, sums: Sums, before: Sequence[Sums], expected: Sequence[str]
) -> None:
    """At the threshold itself, several at once where several are reached, and not one short of a minimum."""
    assert [str(threshold) for threshold in thresholds(told(rule, sums, before))] == expected
