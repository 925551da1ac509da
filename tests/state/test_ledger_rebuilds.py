"""Rebuilds while processes owe the ledger what they spent, requests run on, and others settle at the same moment."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import replace
from pathlib import Path

import pytest

from router.core.budget import LATE_S, Account, Claim, Entry, Reserved, Standing
from router.errors import StoreError
from router.state.ledger import Ledger
from router.state.ledger_guard import GuardedLedger
from router.state.ledger_memory import MemoryLedger
from router.state.ledger_redis import RedisLedger
from router.testing.clock import VirtualClock
from tests.redis_server import RedisServer

NOW_S = 1_700_000_000.0
HOUR_S = 3_600.0
TOTAL = Account(budget="team", value="")
ENTRY = Entry(account=TOTAL, limit_nano=10**9, open_nano=10**9)
OTHER = replace(ENTRY, account=Account(budget="day", value="", start_s=1_699_920_000, end_s=1_700_006_400))
ROLLING = replace(ENTRY, account=Account(budget="rolling", value="", rolling_s=86_400))


def claim(name: str, amount: int = 10, *entries: Entry, after_s: float = 0.0) -> Claim:
    """Returns a claim of an attempt that arrives so late."""
    at_s = NOW_S + after_s
    return Claim(id=name, entries=entries or (ENTRY,), amount_nano=amount, now_s=at_s, lapses_s=at_s + 65)


async def stands(ledger: Ledger, now_s: float, entry: Entry = ENTRY) -> Standing:
    """Returns how an account stands, without its limit."""
    [standing] = await ledger.standings((entry,), now_s=now_s)
    return replace(standing, limit_nano=0)


@pytest.mark.parametrize("after_s", [0.0, 100.0, HOUR_S, 30 * HOUR_S])
async def test_what_is_told_after_a_rebuild_counts_once(ledger: Ledger, after_s: float) -> None:
    """An attempt that was settled while nobody could be told, and that the log has, however late it is told of."""
    one, two = claim("one"), claim("two", after_s=after_s)
    await ledger.rebuild((one,), now_s=NOW_S + after_s)
    for late_s in (after_s, 30 * HOUR_S, 7 * 24 * HOUR_S):
        await ledger.settle(one, 10, now_s=NOW_S + 1)
        assert await stands(ledger, NOW_S + late_s) == Standing(limit_nano=0, spent_nano=10)
    await ledger.settle(two, 5, now_s=NOW_S + after_s + 1)
    assert (await stands(ledger, NOW_S + after_s)).spent_nano == 15


async def test_a_request_that_runs_on_past_its_lapse_stays(ledger: Ledger) -> None:
    """For ten minutes after it a rebuild keeps the reservation, which may be of a stream that is read slowly."""
    one = claim("one")
    await ledger.reserve(one)
    late_s = one.lapses_s + LATE_S - 1
    await ledger.rebuild((), now_s=late_s)
    assert await stands(ledger, late_s) == Standing(limit_nano=0, spent_nano=10, lapsed_nano=10)
    await ledger.settle(one, 4, now_s=late_s)
    await ledger.rebuild((), now_s=late_s + 1)
    assert await stands(ledger, late_s) == Standing(limit_nano=0, spent_nano=4)
    await ledger.reserve(replace(one, id="died"))
    await ledger.rebuild((), now_s=late_s + 121)
    assert await stands(ledger, late_s) == Standing(limit_nano=0)


async def test_a_request_that_runs_on_for_longer_counts_at_its_end(ledger: Ledger) -> None:
    """Nothing is held for it after a rebuild, since nobody can tell it from one that died; what it cost is not lost."""
    one = claim("one")
    await ledger.reserve(one)
    late_s = one.lapses_s + LATE_S + 1
    await ledger.rebuild((), now_s=late_s)
    assert await stands(ledger, late_s) == Standing(limit_nano=0)
    await ledger.settle(one, 4, now_s=late_s + 1)
    assert await stands(ledger, late_s + 1) == Standing(limit_nano=0, spent_nano=4)


async def test_what_was_settled_late_and_is_in_the_log_counts_once(ledger: Ledger) -> None:
    """An hour after its lapse, a minute before the rebuild."""
    one = claim("one")
    await ledger.reserve(one)
    await ledger.settle(one, 4, now_s=NOW_S + HOUR_S)
    await ledger.rebuild((replace(one, amount_nano=4),), now_s=NOW_S + HOUR_S + 60)
    assert await stands(ledger, NOW_S + HOUR_S) == Standing(limit_nano=0, spent_nano=4)


async def test_of_a_sum_the_larger_counts(ledger: Ledger) -> None:
    """Whether the log or its process knows more of it; when all of its requests are over, the log decides."""
    sums = [replace(claim("sum", nano, ENTRY), share="s") for nano in (10, 15, 7)]
    await ledger.settle(sums[0], None, now_s=NOW_S)
    await ledger.settle(sums[1], None, now_s=NOW_S)
    await ledger.settle(sums[2], None, now_s=NOW_S)
    assert (await stands(ledger, NOW_S)).spent_nano == 15
    await ledger.rebuild(sums[2:], now_s=NOW_S)
    assert (await stands(ledger, NOW_S)).spent_nano == 15
    await ledger.rebuild(sums[2:], now_s=NOW_S + HOUR_S)
    assert (await stands(ledger, NOW_S)).spent_nano == 7
    await ledger.settle(replace(sums[1], amount_nano=20), None, now_s=NOW_S + HOUR_S)
    assert (await stands(ledger, NOW_S)).spent_nano == 20


class Gone(MemoryLedger):
    """A ledger that cannot be reached, and counts who tried."""

    gone = True

    async def reserve(self, claim: Claim, /) -> Reserved:
        """Cannot be reached."""
        raise StoreError("gone")

    async def settle(self, claim: Claim, cost_nano: int | None, /, *, now_s: float) -> None:
        """Cannot be reached until it is back."""
        if self.gone:
            raise StoreError("gone")
        await super().settle(claim, cost_nano, now_s=now_s)


@pytest.mark.filterwarnings("ignore:Gone does not help")
async def test_what_is_owed_takes_no_more_room_than_accounts() -> None:
    """Of thousands of attempts in an outage, in three accounts, three sums are owed; all come to the store, once."""
    ledger, clock = Gone(), VirtualClock()
    guard = GuardedLedger(ledger, clock=clock.monotonic, wait_s=30.0)
    entries = (ENTRY, OTHER, ROLLING)
    for number in range(3_000):
        if number % 100 == 0:
            clock.advance(60.0)  # it is tried again, in vain
        answer = await guard.reserve(claim(f"{number}", 10, *entries))
        assert isinstance(answer, Reserved)
        await guard.settle(answer.claim, 7, now_s=NOW_S)
        await guard.settle(answer.claim, 7, now_s=NOW_S)
    assert guard.owed <= len(entries) + 1  # and the one reservation that may have arrived
    ledger.gone = False
    clock.advance(60.0)
    await guard.tell()
    assert guard.owed == 0
    assert [(await stands(ledger, NOW_S, entry)).spent_nano for entry in entries] == 3 * [21_000]


@pytest.mark.filterwarnings("ignore:Gone does not help")
async def test_what_was_spent_in_an_outage_is_forgotten_one_by_one() -> None:
    """Of attempts that are long over nothing is kept but their sums, however long the outage lasts."""
    guard = GuardedLedger(Gone(), clock=VirtualClock().monotonic, wait_s=30.0)
    for number in range(500):
        answer = await guard.reserve(claim(f"forgotten {number}", after_s=10.0 * number))
        await guard.settle(answer.claim, 7, now_s=NOW_S + 10.0 * number)
    gc.collect()
    kept = [one.id for one in gc.get_objects() if isinstance(one, Claim) and one.id.startswith("forgotten")]
    assert len(kept) < 60  # those that were not over three minutes before the last one, twice, and what is owed


@pytest.mark.filterwarnings("ignore:Gone does not help")
async def test_each_outage_has_a_share_of_its_own() -> None:
    """What was told is not told again; an attempt under way keeps the name under which it began."""
    ledger, clock = Gone(), VirtualClock()
    guard = GuardedLedger(ledger, clock=clock.monotonic, wait_s=30.0)
    shares = []
    for number, spent in enumerate((7, 14, 21)):
        answer = await guard.reserve(claim(f"{number}"))
        assert isinstance(answer, Reserved)
        shares.append(answer.claim.share)
        await guard.settle(answer.claim, 7, now_s=NOW_S)
        ledger.gone = False
        clock.advance(60.0)
        await guard.tell()
        assert (await stands(ledger, NOW_S)).spent_nano == spent
        ledger.gone = True
    assert len(set(shares)) == 3
    slow, quick = [await guard.reserve(claim(name)) for name in ("slow", "quick")]
    assert slow.claim.share == quick.claim.share
    for spent, one in ((28, quick), (35, slow)):
        await guard.settle(one.claim, 7, now_s=NOW_S)
        ledger.gone = False
        clock.advance(60.0)
        await guard.tell()
        assert (await stands(ledger, NOW_S)).spent_nano == spent
        ledger.gone = True


async def test_what_is_settled_while_redis_is_rebuilt_counts_once(server: RedisServer, tmp_path: Path) -> None:
    """The log has it, the ledger was emptied, and it is told of between the commands of a rebuild."""
    here, there = (RedisLedger(server.url, prefix=tmp_path.name, answer_s=60.0) for _ in range(2))
    await asyncio.gather(here.standings((), now_s=NOW_S), there.standings((), now_s=NOW_S))  # both are connected
    spent = [claim(f"{number}") for number in range(200)]
    settled = [there.settle(one, 10, now_s=NOW_S) for one in spent]
    await asyncio.gather(here.rebuild(spent, now_s=NOW_S), *settled)
    assert await stands(here, NOW_S) == Standing(limit_nano=0, spent_nano=2_000)
    await here.aclose()
    await there.aclose()
