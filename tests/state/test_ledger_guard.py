"""A ledger that is down: budgets that are closed refuse, those that are open spend their share, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from router.core.budget import MOST_NANO, Account, Claim, Entry, Refused, Reserved, Standing
from router.errors import RouterWarning, StoreError
from router.state.ledger_guard import GuardedLedger
from router.state.ledger_memory import MemoryLedger
from router.testing.clock import VirtualClock

NOW_S = 1_700_000_000.0
TOTAL = Account(budget="team", value="")
CLOSED = Entry(account=TOTAL, limit_nano=1_000)
OPEN = replace(CLOSED, open_nano=100)
ALERT = replace(CLOSED, strict=False)


class Moody(MemoryLedger):
    """A ledger that raises, hangs or loses its answers as it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.mood = "well"
        self.asked = 0

    async def _answer(self, answer: Any) -> Any:
        self.asked += 1
        if self.mood == "down":
            answer.close()
            raise OSError("no connection")
        result = await answer
        if self.mood == "loses answers":
            raise OSError("the connection was cut")
        if self.mood == "hangs":
            await asyncio.sleep(3600)
        return result

    async def reserve(self, claim: Claim, /) -> Reserved | Refused:
        answer: Reserved | Refused = await self._answer(super().reserve(claim))
        return answer

    async def settle(self, claim: Claim, cost_nano: int | None, /, *, now_s: float) -> None:
        await self._answer(super().settle(claim, cost_nano, now_s=now_s))

    async def standings(self, entries: Sequence[Entry], /, *, now_s: float) -> tuple[Standing, ...]:
        found: tuple[Standing, ...] = await self._answer(super().standings(entries, now_s=now_s))
        return found


def claim(name: str, amount: int = 40, *entries: Entry) -> Claim:
    """Returns a claim of an attempt that arrives now."""
    return Claim(id=name, entries=entries or (OPEN,), amount_nano=amount, now_s=NOW_S, lapses_s=NOW_S + 60)


async def stands(ledger: MemoryLedger) -> Standing:
    """Returns how the account stands in the ledger itself."""
    [standing] = await MemoryLedger.standings(ledger, (CLOSED,), now_s=NOW_S)
    return standing


@pytest.fixture
def ledger() -> Moody:
    """A ledger that is well."""
    return Moody()


@pytest.fixture
def clock() -> VirtualClock:
    """A clock that stands still."""
    return VirtualClock()


@pytest.fixture
def guard(ledger: Moody, clock: VirtualClock) -> GuardedLedger:
    """Its guard."""
    return GuardedLedger(ledger, clock=clock.monotonic, wait_s=30.0)


@pytest.fixture(autouse=True)
def told(recwarn: pytest.WarningsRecorder) -> pytest.WarningsRecorder:
    """What was warned of."""
    return recwarn


async def test_a_ledger_that_is_well_is_asked(guard: GuardedLedger, ledger: Moody) -> None:
    """What it says is the answer, and nothing is counted here."""
    one = claim("one")
    answer = await guard.reserve(one)
    assert isinstance(answer, Reserved)
    assert answer.claim == one
    await guard.settle(one, 30, now_s=NOW_S)
    await guard.settle(claim("two", 7), None, now_s=NOW_S)
    [standing] = await guard.standings((CLOSED,), now_s=NOW_S)
    assert standing == Standing(limit_nano=1_000, spent_nano=37) == await stands(ledger)
    assert [each async for each in guard.accounts(now_s=NOW_S)] == [(TOTAL, standing)]
    await guard.rebuild((), now_s=NOW_S + 3_600)
    assert (await stands(ledger)).spent_nano == 0
    assert (guard.state, guard.owed) == ("closed", 0)
    await guard.aclose()


async def test_closed_budgets_refuse(guard: GuardedLedger, ledger: Moody, told: pytest.WarningsRecorder) -> None:
    """Where a budget has fail = "closed" nothing is spent while the store is down; why is said, and warned of once."""
    ledger.mood = "down"
    for name in ("one", "two"):
        answer = await guard.reserve(claim(name, 40, OPEN, CLOSED))
        assert isinstance(answer, Refused)
        assert answer.account is None
        assert answer.why == "the store of budgets is not reachable, and the budget 'team' has fail = \"closed\""
    assert ledger.asked == 1
    assert [str(warning.message).partition(":")[0] for warning in told] == ["Moody does not help (OSError)"]


async def test_open_budgets_spend_their_share(guard: GuardedLedger, ledger: Moody, clock: VirtualClock) -> None:
    """Of two that cost 40 nano-dollars each both fit a share of 100, and a third does not; all is told later, once."""
    ledger.mood = "down"
    third = claim("3")
    granted = []
    for one in (claim("1"), claim("2")):
        answer = await guard.reserve(one)
        assert isinstance(answer, Reserved)
        assert answer.claim == replace(one, share=answer.claim.share)
        granted.append(answer.claim)
    first, second = granted
    assert first.share == second.share is not None
    refused = await guard.reserve(third)
    assert isinstance(refused, Refused)
    assert refused.claim == third
    assert refused.why.startswith("the store of budgets is not reachable, and of this process's share the budget")
    await guard.settle(first, 25, now_s=NOW_S)
    await guard.settle(second, None, now_s=NOW_S)
    await guard.settle(second, None, now_s=NOW_S)
    ledger.mood = "well"
    states = [guard.state]
    clock.advance(2.0)
    assert [*states, guard.state] == ["open", "half_open"]
    [standing] = await guard.standings((CLOSED,), now_s=NOW_S)
    assert standing.spent_nano == 65
    assert guard.owed == 0


async def test_what_only_counts_goes_on(guard: GuardedLedger, ledger: Moody) -> None:
    """A budget that only alerts holds nothing back, whether the store is reachable or not."""
    ledger.mood = "down"
    assert isinstance(await guard.reserve(claim("one", 5_000, ALERT)), Reserved)


@pytest.mark.parametrize("mood", ["loses answers", "hangs"])
@pytest.mark.parametrize("entry", [OPEN, CLOSED])
async def test_lost_answers_count_once(ledger: Moody, clock: VirtualClock, mood: str, entry: Entry) -> None:
    """A reservation that arrived and was not heard of is corrected: to what it cost, or to nothing where refused."""
    guard = GuardedLedger(ledger, clock=clock.monotonic, wait_s=0.05 if mood == "hangs" else 30.0)
    ledger.mood = mood
    one = claim("one", 40, entry)
    answer = await guard.reserve(one)
    assert isinstance(answer, Reserved) == (entry is OPEN)
    assert (await stands(ledger)).reserved_nano == 40
    ledger.mood = "well"
    clock.advance(2.0)
    if isinstance(answer, Reserved):
        await guard.settle(answer.claim, 30, now_s=NOW_S)
    await guard.standings((), now_s=NOW_S)
    assert await stands(ledger) == Standing(limit_nano=1_000, spent_nano=30 if entry is OPEN else 0)


async def test_settles_wait_for_the_store(guard: GuardedLedger, ledger: Moody, clock: VirtualClock) -> None:
    """What an attempt cost that was reserved before the outage is told after it."""
    one = claim("one")
    await guard.reserve(one)
    ledger.mood = "down"
    await guard.settle(one, 12, now_s=NOW_S)
    await guard.settle(claim("two", 5), None, now_s=NOW_S)
    assert guard.owed == 2
    clock.advance(2.0)
    with pytest.raises(StoreError, match="does not help"):
        await guard.standings((), now_s=NOW_S)
    assert guard.owed == 2
    with pytest.raises(StoreError, match="is not asked for the moment"):
        await guard.standings((), now_s=NOW_S)
    ledger.mood = "well"
    clock.advance(60.0)
    await guard.aclose()
    assert (await stands(ledger)).spent_nano == 17
    assert guard.owed == 0


async def test_closing_tells_what_is_lost(
    guard: GuardedLedger, ledger: Moody, clock: VirtualClock, told: pytest.WarningsRecorder
) -> None:
    """Where the store stays down to the end, it is said how many claims it never heard of, and what helps."""
    ledger.mood = "down"
    await guard.settle(claim("one"), None, now_s=NOW_S)
    await guard.aclose()
    assert "could not be told of 1 costs and sums of costs" in str(told[-1].message)
    assert "lowfare budget rebuild" in str(told[-1].message)
    assert told[-1].category is RouterWarning


@pytest.mark.parametrize("does", ["reserve", "settle"])
async def test_who_gives_up_leaves_nothing_behind(guard: GuardedLedger, ledger: Moody, does: str) -> None:
    """A caller that is cancelled while the store is asked: no reservation stays, and a cost is not lost."""
    one = claim("one")
    await guard.reserve(one)
    two = claim("two")
    ledger.mood = "hangs"
    call = guard.reserve(two) if does == "reserve" else guard.settle(two, 9, now_s=NOW_S)
    task = asyncio.ensure_future(call)
    while ledger.asked < 2:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    ledger.mood = "well"
    await guard.standings((), now_s=NOW_S)
    assert await stands(ledger) == Standing(limit_nano=1_000, reserved_nano=40, spent_nano=9 * (does == "settle"))


async def test_amounts_nobody_counts_are_the_callers_fault(guard: GuardedLedger, ledger: Moody) -> None:
    """A ValueError is passed on, and is no outage."""
    with pytest.raises(ValueError, match="allowed: whole numbers"):
        await guard.reserve(claim("one", MOST_NANO + 1))
    assert guard.state == "closed"


async def test_what_is_never_taken_stops_nobody(
    guard: GuardedLedger, ledger: Moody, clock: VirtualClock, told: pytest.WarningsRecorder
) -> None:
    """A claim that was put off and cannot be counted is warned of, and those after it are told."""
    ledger.mood = "down"
    await guard.settle(claim("most", MOST_NANO), None, now_s=NOW_S)
    await guard.settle(claim("one more", 1), None, now_s=NOW_S)
    await guard.settle(claim("nothing", 0), None, now_s=NOW_S)
    ledger.mood = "well"
    clock.advance(2.0)
    await guard.standings((), now_s=NOW_S)
    assert (await stands(ledger)).spent_nano == MOST_NANO
    assert "a claim is lost to budgets" in str(told[-1].message)
    assert guard.owed == 0


async def test_many_are_told_in_turns(guard: GuardedLedger, ledger: Moody, clock: VirtualClock) -> None:
    """After a long outage one call tells the store some of what it missed, and closing the rest."""
    ledger.mood = "down"
    for number in range(200):
        await guard.settle(claim(f"{number}", 1), None, now_s=NOW_S)
    ledger.mood = "well"
    clock.advance(2.0)
    await guard.standings((), now_s=NOW_S)
    assert 0 < guard.owed < 200
    await guard.aclose()
    assert (await stands(ledger)).spent_nano == 200


class Listing(MemoryLedger):
    async def accounts(self, *, now_s: float) -> AsyncIterator[tuple[Account, Standing]]:
        """Fails after the last account."""
        async for each in super().accounts(now_s=now_s):
            yield each
        raise StoreError("no")


async def test_lists_are_the_ledgers_own() -> None:
    """What `accounts` raises is raised."""
    with pytest.raises(StoreError, match="no"):
        [each async for each in GuardedLedger(Listing()).accounts(now_s=NOW_S)]
