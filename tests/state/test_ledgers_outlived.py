"""Claims that outlive the cells and accounts they are in, in every ledger: a request may outlast its window."""

from __future__ import annotations

import pytest

from router.core.budget import KEPT_S, MOST_NANO, Account, Claim, Entry, Refused, Reserved, Standing
from router.state.ledger import Ledger

NOW_S = 1_700_000_000.0
LIMIT = 10**9
MINUTE = Entry(account=Account(budget="minute", value="", rolling_s=60), limit_nano=LIMIT)


def claim(name: str, amount: int = 10, *, after_s: float = 0.0, entry: Entry = MINUTE) -> Claim:
    """Returns a claim of an attempt whose request arrived so late, and may take ten minutes."""
    at_s = NOW_S + after_s
    return Claim(id=name, entries=(entry,), amount_nano=amount, now_s=at_s, lapses_s=at_s + 605)


async def stands(ledger: Ledger, after_s: float) -> Standing:
    """Returns how the account stands."""
    [standing] = await ledger.standings((MINUTE,), now_s=NOW_S + after_s)
    return standing


@pytest.mark.parametrize("amounts", [(10, 5), (5, 10)])
@pytest.mark.parametrize("end", ["settled", "lapsed"])
async def test_a_cell_that_is_begun_again_is_not_overdrawn(ledger: Ledger, amounts: tuple[int, int], end: str) -> None:
    """A hedge is reserved where its request arrived, long after that minute: nothing is overdrawn for ever."""
    first, hedge = claim("first", amounts[0]), claim("hedge", amounts[1])
    await ledger.reserve(first)
    await ledger.reserve(claim("other", 1, after_s=200.0))
    await ledger.reserve(hedge)
    for one in (first, hedge) if end == "settled" else ():
        await ledger.settle(one, 3, now_s=NOW_S + 210)
    assert await stands(ledger, 210.0) == Standing(limit_nano=LIMIT, reserved_nano=1)
    for after_s in (700.0, 2_000.0):  # all of them have lapsed: nothing is in the way of that
        assert await stands(ledger, after_s) == Standing(limit_nano=LIMIT)


async def test_a_claim_that_lapsed_is_settled_after_its_cell_was_begun_again(ledger: Ledger) -> None:
    """The clock was set back far: the old cell is gone, and the new one has nothing of that claim."""
    first = claim("first", 10)
    await ledger.reserve(first)
    await stands(ledger, 800.0)
    await ledger.reserve(claim("later", 1, after_s=1_000.0))
    await ledger.reserve(claim("again", 5))
    await ledger.settle(first, 3, now_s=NOW_S + 1_000)
    assert await stands(ledger, 1_000.0) == Standing(limit_nano=LIMIT, reserved_nano=1)
    await ledger.settle(claim("again", 5), 5, now_s=NOW_S + 1_000)
    assert await stands(ledger, 1_000.0) == Standing(limit_nano=LIMIT, reserved_nano=1)


async def test_a_rebuild_begins_no_account_that_is_over(ledger: Ledger) -> None:
    """Its reservation stays for ten minutes, but there is nothing left that it could count in, nor is for ever."""
    await ledger.reserve(claim("first"))
    await stands(ledger, 700.0)
    await ledger.rebuild((), now_s=NOW_S + 700)
    assert [account async for account, _ in ledger.accounts(now_s=NOW_S + 3 * KEPT_S)] == []


async def test_what_does_not_fit_is_refused_however_much_there_is(ledger: Ledger) -> None:
    """A sum beyond what can be counted is no error where the limit refuses it anyway."""
    largest = Entry(account=Account(budget="all", value=""), limit_nano=MOST_NANO)
    assert isinstance(await ledger.reserve(claim("one", MOST_NANO, entry=largest)), Reserved)
    assert isinstance(await ledger.reserve(claim("two", MOST_NANO, entry=largest)), Refused)


async def test_a_rebuild_counts_what_the_log_says_of_what_was_settled_late(ledger: Ledger) -> None:
    """Also at the next rebuild, whose log does not have it yet."""
    one = claim("one", entry=Entry(account=Account(budget="all", value=""), limit_nano=LIMIT))
    await ledger.settle(one, 4, now_s=NOW_S)
    for spent in ((one,), ()):
        await ledger.rebuild(spent, now_s=NOW_S + 1)
        [standing] = await ledger.standings(one.entries, now_s=NOW_S + 1)
        assert standing == Standing(limit_nano=LIMIT, spent_nano=10)
