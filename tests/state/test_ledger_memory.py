"""The ledger of one process: what it forgets, and what a child begins with. `check_ledger` tries the rest."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from router.core.budget import KEPT_S, MOST_NANO, REMEMBERED_S, Account, Claim, Entry, Reserved, Standing
from router.state.ledger_memory import Book, MemoryLedger

NOW_S = 1_700_000_000.0
HOUR = Entry(account=Account(budget="hour", value="", start_s=1_699_999_200, end_s=1_700_002_800), limit_nano=100)
ROLLING = Entry(account=Account(budget="rolling", value="", rolling_s=3_600), limit_nano=10**6)


def claim(name: str, now_s: float = NOW_S, amount: int = 10, entry: Entry = HOUR) -> Claim:
    """Returns a claim on one account."""
    return Claim(id=name, entries=(entry,), amount_nano=amount, now_s=now_s, lapses_s=now_s + 60)


def test_nothing_piles_up() -> None:
    """Claims that are settled or died are forgotten, and so are accounts, buckets included, when their time is over."""
    book = Book(KEPT_S)
    for number in range(2_000):
        now_s = NOW_S + number * 600.0
        start = int(now_s // 3_600) * 3_600
        hour = replace(HOUR, account=replace(HOUR.account, start_s=start, end_s=start + 3_600))
        one = replace(claim(f"{number}", now_s), entries=(hour, ROLLING))
        assert isinstance(book.reserve(one), Reserved)
        if number % 2:
            book.settle(one, 1, now_s)
    assert len(book.accounts) <= (KEPT_S + 3_600) / 3_600 + 2
    assert len(book.accounts[ROLLING.account].cells) <= 3 * 3_600 / 600 + 1
    # Those that died are kept as long as accounts.
    assert len(book.claims) <= (KEPT_S + 60) / 1_200 + 2
    book.clean(NOW_S + 2_000 * 600.0 + 2 * KEPT_S)
    assert (book.accounts, book.claims) == ({}, {})


async def test_late_settles_find_their_account() -> None:
    """A claim that lapsed days ago is corrected in its own window, as long as that is kept."""
    ledger = MemoryLedger()
    await ledger.reserve(claim("late"))
    later_s = NOW_S + KEPT_S - 3_600
    assert await ledger.standings((HOUR,), now_s=later_s) == (Standing(limit_nano=100, spent_nano=10, lapsed_nano=10),)
    await ledger.settle(claim("late"), 3, now_s=later_s)
    assert await ledger.standings((HOUR,), now_s=later_s) == (Standing(limit_nano=100, spent_nano=3),)


async def test_buckets_that_are_gone_are_not_made_again() -> None:
    """A settle whose bucket left the window long ago changes nothing that counts now."""
    ledger = MemoryLedger()
    old = claim("old", entry=ROLLING)
    await ledger.reserve(old)
    later_s = NOW_S + 4 * 3_600
    await ledger.reserve(claim("new", later_s, 7, ROLLING))
    await ledger.settle(old, 5, now_s=later_s)
    assert await ledger.standings((ROLLING,), now_s=later_s) == (Standing(limit_nano=10**6, reserved_nano=7),)


@pytest.mark.parametrize("limit_nano", [-1, MOST_NANO + 1])
async def test_a_limit_nobody_can_count_is_refused(limit_nano: int) -> None:
    """The message names the budget, and what is allowed."""
    with pytest.raises(ValueError, match=r"the limit of the budget 'hour' is .* allowed: whole numbers from 0 to 9000"):
        await MemoryLedger().reserve(claim("one", entry=replace(HOUR, limit_nano=limit_nano)))


async def test_a_log_that_has_a_record_twice_counts_it_once() -> None:
    """The first of several records of one attempt counts."""
    ledger = MemoryLedger()
    await ledger.rebuild((claim("one"), claim("one", amount=90)), now_s=NOW_S)
    assert await ledger.standings((HOUR,), now_s=NOW_S) == (Standing(limit_nano=100, spent_nano=10),)


async def test_what_is_settled_again_in_time_counts_once() -> None:
    """The id is remembered for a time after it was settled, however late that was."""
    ledger = MemoryLedger()
    one = claim("one")
    await ledger.reserve(one)
    for after_s in (1_000.0, 1_000.0 + REMEMBERED_S - 1):
        await ledger.settle(one, 4, now_s=NOW_S + after_s)
        [standing] = await ledger.standings((HOUR,), now_s=NOW_S + after_s)
        assert standing.spent_nano == 4


async def test_a_child_begins_with_what_its_parent_had_counted() -> None:
    """After a fork both know what was spent; what the parent holds is spent to the child, which counts on alone."""
    ledger = MemoryLedger()
    await ledger.reserve(claim("one", amount=60))
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            call = ledger.standings((HOUR,), now_s=NOW_S)
            try:
                call.send(None)  # it never suspends, and so needs no event loop
            except StopIteration as end:
                os.write(writer, repr(end.value).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 1_000).decode() == repr((Standing(limit_nano=100, spent_nano=60),))
    os.close(reader)
    os.close(writer)
    assert await ledger.standings((HOUR,), now_s=NOW_S) == (Standing(limit_nano=100, reserved_nano=60),)
