"""Which budgets apply to a request, what of its slate they leave, and what is reserved."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given as over
from hypothesis import strategies as st

from router.core.applied import able_of
from router.core.budget import Account, Budget, OnExceed, Scope, Standing, account_of, nano_of
from router.core.budget_record import purse_dict, purses_from
from router.core.budgeting import (
    LAPSE_S,
    PLAY,
    Afforded,
    Purse,
    afforded,
    ahead_of,
    claim_of,
    entries_of,
    held_ahead,
    value_of,
)
from router.core.request import Hints
from router.core.slate import Candidate, Slate
from router.core.window import Window
from router.testing.strategies import purses
from tests.core.builders import NOON, given, model, price

NAMES = ("a", "b", "c")
PRICES = {"a": "8", "b": "2", "c": "1"}
CATALOG = tuple(model(name, price=price(usd, usd), max_output_tokens=1_000) for name, usd in PRICES.items())
SLATE = able_of(given(*CATALOG))
WORST = {c.name: nano_of(c.worst_usd or Decimal(0)) for c in SLATE}
ON_EXCEED: tuple[OnExceed, ...] = ("block", "cheapest", "policy", "alert")
DAY = Window(period="day")


def purse(left: int, on_exceed: OnExceed = "block", *, name: str = "day", **more: Any) -> Purse:
    """Returns a purse of a budget of ten dollars with so much left."""
    limit = 10**10
    budget = Budget(name=name, limit_nano=limit, window=DAY, on_exceed=on_exceed, policy="other", **more)
    return Purse(
        budget=budget,
        account=account_of(budget, more.get("scope", Scope()).value or "", NOON),
        standing=Standing(limit_nano=limit, spent_nano=limit - left),
    )


def backwards(_: str) -> Slate:
    """The policy that decides in place of the request's own: the cheapest first."""
    return Slate(tuple(reversed(SLATE.live)))


def nobody(_: str) -> Slate:
    """A policy that leaves nobody."""
    return SLATE.drop(lambda _: "is not wanted", by="nobody")


def names(left: Afforded) -> list[str]:
    """Returns who is live."""
    return [candidate.name for candidate in left.slate]


lefts = st.sampled_from([0, 1, *WORST.values(), *(w - 1 for w in WORST.values()), 10**10])
some_purses = st.lists(
    st.builds(purse, lefts, st.sampled_from(ON_EXCEED), name=st.sampled_from(["day", "month"])), max_size=3
).map(tuple)


@over(some_purses)
def test_whoever_is_left_fits_every_budget(applying: tuple[Purse, ...]) -> None:
    """No live candidate can cross a limit; every other one says which budget it does not fit, and all are there."""
    left = afforded(SLATE, applying, backwards)
    assert all(purse.fits(candidate) for purse in applying for candidate in left.slate)
    assert sorted(c.name for c in (*left.slate.live, *(d.candidate for d in left.slate.dropped))) == sorted(NAMES)
    assert all(d.by in {"budget day", "budget month"} for d in left.slate.dropped)
    assert (left.budget is None) == bool(left.slate.live)
    assert set(SLATE.live) <= set(left.free)


@over(some_purses)
def test_a_slate_that_fits_stays_as_it_is(applying: tuple[Purse, ...]) -> None:
    """Budgets with room change nothing, in any number."""
    rich = tuple(replace(p, standing=Standing(limit_nano=10**10)) for p in applying)
    assert afforded(SLATE, rich, backwards) == Afforded(slate=SLATE, free=SLATE.live)


def test_a_block_refuses_when_the_first_choice_does_not_fit() -> None:
    """Nobody is asked, although others would fit; each says what is left and until when."""
    left = afforded(SLATE, (purse(WORST["b"]),), backwards)
    assert (names(left), left.budget) == ([], "day")
    told = {d.name: d.reason for d in left.slate.dropped}
    assert told["a"].startswith("can cost $0.00")
    assert told["a"].endswith("of $10 left until 2026-11-24")
    assert told["b"].startswith("a, which comes first, can cost $")


def test_a_block_lets_dearer_fallbacks_fall() -> None:
    """Where the first choice fits, others that do not are dropped, and it is asked."""
    left = afforded(Slate(tuple(reversed(SLATE.live))), (purse(WORST["b"]),), backwards)
    assert names(left) == ["c", "b"]


def test_cheapest_asks_the_cheapest_that_fits() -> None:
    """What fits is asked cheapest first where the first choice does not fit; else the order stays."""
    spread = Slate(tuple(c for name in ("b", "a", "c") for c in SLATE if c.name == name))
    assert names(afforded(spread, (purse(WORST["c"], "cheapest"),), backwards)) == ["c"]
    assert names(afforded(SLATE, (purse(WORST["b"], "cheapest"),), backwards)) == ["c", "b"]
    assert names(afforded(spread, (purse(WORST["b"], "cheapest"),), backwards)) == ["b", "c"]
    assert afforded(SLATE, (purse(0, "cheapest"),), backwards).budget == "day"


def test_another_policy_decides_once() -> None:
    """Its choice must fit as well; the answers of both are welcome for nothing."""
    left = afforded(SLATE, (purse(WORST["b"], "policy"),), backwards)
    assert (names(left), left.policy, left.budget) == (["c", "b"], "other", None)
    spent = afforded(SLATE, (purse(0, "policy"),), backwards)
    assert (names(spent), spent.policy, spent.budget) == ([], "other", "day")
    barren = afforded(SLATE, (purse(0, "policy"),), nobody)
    assert (names(barren), barren.policy, barren.budget) == ([], "other", "day")
    assert barren.free == SLATE.live


def test_the_policy_that_decides_instead_is_held_to_the_others() -> None:
    """A tighter budget that blocks refuses what the other policy chose."""
    both = (purse(WORST["b"], "policy"), purse(WORST["c"] - 1, "block", name="month"))
    assert afforded(SLATE, (both[0],), backwards).slate.live
    assert names(afforded(SLATE, both, backwards)) == []


def test_the_tightest_decides() -> None:
    """Of two budgets that the first choice does not fit, what the one with less left says is done."""
    tight, wide = purse(WORST["b"], "cheapest"), purse(WORST["b"] + 1, "block", name="month")
    assert names(afforded(SLATE, (tight, wide), backwards)) == ["c", "b"]
    assert names(afforded(SLATE, (wide, tight), backwards)) == ["c", "b"]
    tight, wide = replace(tight, standing=wide.standing), replace(wide, standing=tight.standing)
    assert names(afforded(SLATE, (tight, wide), backwards)) == []


def test_an_alert_holds_nothing_back() -> None:
    """Its budget may be spent, and worst cases unknown."""
    unknown = able_of(given(model("x", price=None), unpriced=True))
    assert afforded(unknown, (purse(0, "alert"),), backwards).slate == unknown


def test_what_can_cost_anything_fits_no_budget() -> None:
    """A model without a known worst case is dropped, whatever is left; one that costs nothing always fits."""
    mixed = able_of(given(model("x", price=None), model("free", price=price("0", "0")), unpriced=True))
    left = afforded(mixed, (purse(10**10, "cheapest"),), backwards)
    assert names(left) == ["free"]
    assert "can cost anything: its price or its largest output is unknown" in left.slate.dropped[0].reason
    assert names(afforded(mixed, (purse(0, "cheapest"),), backwards)) == ["free"]


@pytest.mark.parametrize(
    ("window", "until"),
    [
        (Window(period="total"), "$0 of $10 left"),
        (Window(period="rolling", rolling_s=86_400), "$0 of $10 left of the last 24 h"),
        (Window(period="hour"), "$0 of $10 left until 2026-11-23 13:00+00:00"),
        (Window(period="month", time_zone="Europe/Berlin"), "$0 of $10 left until 2026-12-01"),
    ],
)
def test_a_reason_says_until_when(window: Window, until: str) -> None:
    """By the clock of the budget's time zone."""
    empty = purse(0)
    budget = replace(empty.budget, window=window)
    told = replace(empty, budget=budget, account=account_of(budget, "", NOON)).lacks(SLATE.live[0])
    assert told.endswith(until)


def test_a_reason_says_for_whom() -> None:
    """The value of the scope stands in it."""
    mine = purse(0)
    assert "left for 'acme' until" in replace(mine, account=replace(mine.account, value="acme")).lacks(SLATE.live[0])


@pytest.mark.parametrize(
    ("scope", "value"),
    [
        (Scope(), ""),
        (Scope(kind="tenant"), "acme"),
        (Scope(kind="tenant", value="acme"), "acme"),
        (Scope(kind="tenant", value="other"), None),
        (Scope(kind="tag", tag="team"), "search"),
        (Scope(kind="tag", tag="city"), ""),
        (Scope(kind="policy"), "mine"),
        (Scope(kind="model"), "small"),
        (Scope(kind="model", value="large"), None),
        (Scope(kind="provider"), "openai"),
    ],
)
def test_a_request_counts_for_a_value_of_the_scope(scope: Scope, value: str | None) -> None:
    """Without a tenant or the tag it counts for the value "", so that nobody leaves a budget by leaving it out."""
    budget = Budget(name="b", limit_nano=1, window=DAY, scope=scope)
    hints = Hints(tenant="acme", tags={"team": "search"})
    assert value_of(budget, hints, "mine", model="small", provider="openai") == value
    assert value_of(budget, Hints(), None) in {"", None}


def test_a_budget_of_one_model_holds_only_that_back() -> None:
    """Others fit, and claim nothing there."""
    own = purse(0, "cheapest", scope=Scope(kind="model", value="a"))
    providers = replace(own, budget=replace(own.budget, scope=Scope(kind="provider")))
    providers = replace(providers, account=replace(own.account, value="elsewhere"))
    assert names(afforded(SLATE, (own,), backwards)) == ["c", "b"]
    assert names(afforded(SLATE, (providers,), backwards)) == ["a", "b", "c"]
    asked = given(*CATALOG, budgets=(own,))
    assert claim_of(asked, SLATE.live[1], "s" * 16) is None
    assert claim_of(asked, SLATE.live[0], "s" * 16) is not None


def test_a_claim_is_the_worst_case_in_all_budgets() -> None:
    """It lapses some seconds after the request's deadline, and counts from the request's arrival."""
    strict = purse(10**9, fail="open", open_share=0.25)
    counted = purse(0, "alert", name="month", fail="open", open_share=0.25)
    asked = given(*CATALOG, budgets=(strict, counted))
    claim = claim_of(asked, SLATE.live[0], "s" * 16)
    assert claim is not None
    assert (claim.id, claim.amount_nano) == ("s" * 16, WORST["a"])
    assert claim.now_s == NOON.timestamp()
    assert claim.lapses_s == NOON.timestamp() + asked.bounds.deadline_s + LAPSE_S
    assert [(e.strict, e.open_nano) for e in claim.entries] == [(True, 25 * 10**8), (False, None)]
    assert claim.entries == entries_of((strict, counted))
    assert claim_of(given(*CATALOG), SLATE.live[0], "s" * 16) is None


def test_what_nobody_can_price_claims_nothing() -> None:
    """Only budgets that hold nothing back let it through; they count what it cost in the end."""
    unknown = given(model("x", price=None), unpriced=True, budgets=(purse(0, "alert"),))
    claim = claim_of(
        unknown, Candidate(model=model("x", price=None), features=unknown.features, expected_output_tokens=1), "s"
    )
    assert claim is not None
    assert claim.amount_nano == 0


amounts = st.integers(min_value=0, max_value=2 * 10**9)


@over(amounts, st.floats(min_value=-10, max_value=4_000))
def test_spending_is_ahead_by_shares(spent: int, now_s: float) -> None:
    """Between -1 and what is spent; at the end of the window it is what is spent beyond the limit."""
    standing = Standing(limit_nano=10**9, spent_nano=spent)
    hour = Account(budget="b", value="", start_s=0, end_s=3_600)
    ahead = ahead_of(hour, standing, now_s)
    assert -1.0 <= ahead <= spent / 10**9 + 1e-6
    assert ahead_of(hour, standing, 3_600.0) == round(spent / 10**9 - 1.0, 6)
    assert ahead_of(Account(budget="b", value=""), standing, now_s) == round(spent / 10**9, 6)
    assert ahead_of(hour, Standing(limit_nano=0), 0.0) == 1.0


@over(st.lists(st.floats(min_value=-1, max_value=2).map(lambda x: round(x, 3)), min_size=1))
def test_what_is_held_follows_with_play(course: list[float]) -> None:
    """Up at once; down only when it is more than the play above; so it changes direction no oftener than its course."""
    held: float | None = None
    for ahead in course:
        before, held = held, held_ahead(held, ahead)
        assert ahead <= held <= ahead + PLAY + 1e-9
        if before is not None and ahead <= before <= ahead + PLAY:
            assert held == pytest.approx(before)
    small = [0.1, 0.1 - PLAY / 2, 0.1, 0.1 - PLAY / 2]
    held = None
    for ahead in small:
        held = held_ahead(held, ahead)
        assert held == 0.1


@over(purses())
def test_a_purse_survives_the_record(one: Purse) -> None:
    """All that decisions read of it comes back from JSON."""
    (back,) = purses_from({"budgets": [purse_dict(one)]})
    assert back == one
    assert purses_from({}) == purses_from({"budgets": None}) == ()


def test_a_purse_to_the_letter() -> None:
    """Every name and value of an entry of the record."""
    budget = Budget(
        name="team", limit_nano=5 * 10**9, window=Window(period="day", time_zone="Europe/Berlin"),
        scope=Scope(kind="tag", tag="team", value="search"), on_exceed="policy", policy="cheap",
    )  # fmt: skip
    one = Purse(
        budget=budget,
        account=account_of(budget, "search", datetime(2026, 11, 23, 12, tzinfo=UTC)),
        standing=Standing(limit_nano=5 * 10**9, spent_nano=2 * 10**9 + 1, reserved_nano=10**8, lapsed_nano=10**6),
        ahead=-0.1,
        ahead_held=-0.05,
    )
    assert purse_dict(one) == {
        "name": "team",
        "scope": "tag:team",
        "only": "search",
        "value": "search",
        "window": "day",
        "time_zone": "Europe/Berlin",
        "rolling_s": None,
        "start": "2026-11-22T23:00:00+00:00",
        "end": "2026-11-23T23:00:00+00:00",
        "on_exceed": "policy",
        "policy": "cheap",
        "limit_usd": "5",
        "spent_usd": "2.000000001",
        "reserved_usd": "0.1",
        "lapsed_usd": "0.001",
        "left_usd": "2.899999999",
        "ahead": -0.1,
        "ahead_held": -0.05,
    }
