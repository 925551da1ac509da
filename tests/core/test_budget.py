"""Budgets as values: their accounts, nano-dollars, and why a claim does not fit."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.budget import Account, Budget, Claim, Entry, Standing, account_of, nano_of, refused, usd_of
from router.core.window import parse_window

NOON = datetime(2026, 3, 29, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("window", "account"),
    [
        ("total", Account(budget="team", value="a")),
        ("24h", Account(budget="team", value="a", rolling_s=86_400)),
        ("day", Account(budget="team", value="a", start_s=1_774_738_800, end_s=1_774_738_800 + 23 * 3_600)),
    ],
)
def test_accounts_have_the_edges_of_their_window(window: str, account: Account) -> None:
    """A request counts in the account of the window in which it arrived."""
    budget = Budget(name="team", limit_nano=1, window=parse_window(window, time_zone="Europe/Berlin"))
    assert account_of(budget, "a", NOON) == account


@given(st.decimals(0, 10**9, allow_nan=False, allow_infinity=False))
def test_nano_dollars_are_rounded_up(amount: Decimal) -> None:
    """They are the least whole number that is not less."""
    nano = nano_of(amount)
    assert usd_of(nano) >= amount > usd_of(nano - 1)


@given(st.integers(0, 9 * 10**18))
def test_nano_dollars_come_back(nano: int) -> None:
    """Whole nano-dollars are exact both ways."""
    assert nano_of(usd_of(nano)) == nano


def test_a_million_small_costs_are_exact() -> None:
    """A million times 1.5e-6 dollars is 1.5 dollars."""
    assert usd_of(sum(nano_of(Decimal("1.5e-6")) for _ in range(1_000_000))) == Decimal("1.5")


amounts = st.integers(0, 100)
standings = st.builds(Standing, limit_nano=amounts, spent_nano=amounts, reserved_nano=amounts)


@given(st.lists(st.tuples(standings, st.booleans()), min_size=1, max_size=4), amounts)
def test_a_claim_fits_what_is_left(accounts: list[tuple[Standing, bool]], amount: int) -> None:
    """It is refused where a strict account has less left, by the one that has least; what costs nothing always fits."""
    entries = tuple(
        Entry(account=Account(budget=f"{n}", value=""), limit_nano=standing.limit_nano, strict=strict)
        for n, (standing, strict) in enumerate(accounts)
    )
    claim = Claim(id="1", entries=entries, amount_nano=amount, now_s=0.0, lapses_s=1.0)
    refusal = refused(claim, [standing for standing, _ in accounts])
    left = [standing.left_nano for standing, strict in accounts if strict]
    assert (refusal is None) == all(amount <= least for least in left)
    if refusal is not None:
        assert refusal.standing is not None
        assert refusal.account is not None
        assert refusal.standing.left_nano == min(left) < amount
        assert refusal.standing == accounts[int(refusal.account.budget)][0]


@pytest.mark.parametrize(("value", "whose"), [("", "'team'"), ("acme", "'team' of 'acme'")])
def test_a_refusal_says_why(value: str, whose: str) -> None:
    """The message names the budget, what is left of it, and what the attempt may cost."""
    entry = Entry(account=Account(budget="team", value=value), limit_nano=5 * 10**9)
    claim = Claim(id="1", entries=(entry,), amount_nano=30_000_000, now_s=0.0, lapses_s=1.0)
    refusal = refused(claim, [Standing(limit_nano=5 * 10**9, spent_nano=4_980_000_001)])
    assert refusal is not None
    assert refusal.why == f"the budget {whose} has $0.019999999 of $5 left, and the attempt may cost $0.03"
