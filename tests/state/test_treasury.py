"""What a router reads of a ledger, and tells it."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

import pytest

from router.core.budget import MOST_NANO, Budget, Claim, Entry, Refused, Reserved, Scope, Standing, account_of
from router.core.budgeting import PLAY, entries_of
from router.core.request import Hints
from router.core.window import Window
from router.errors import RouterWarning, StoreError
from router.state import treasury as module
from router.state.ledger_guard import GuardedLedger
from router.state.ledger_memory import MemoryLedger
from router.state.treasury import Treasury
from tests.core.builders import model

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = Budget(name="hour", limit_nano=100, window=Window(period="hour"))
EACH = Budget(name="each", limit_nano=100, window=Window(period="total"), scope=Scope(kind="model"))
MODELS = (model("a"), model("b"))


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.at = NOON

    def now_s(self) -> float:
        """Returns the seconds since 1970."""
        return self.at.timestamp()


def claim_on(treasury: Treasury, clock: Clock, nano: int, name: str = "c") -> Claim:
    """Returns a claim in the accounts of a request of now."""
    purses = treasury.purses(Hints(), "default", MODELS[:1], clock.at)
    at_s = clock.now_s()
    return Claim(id=name, entries=entries_of(purses), amount_nano=nano, now_s=at_s, lapses_s=at_s + 60)


def made(*budgets: Budget) -> tuple[Treasury, Clock]:
    """Returns a treasury over memory, and its clock."""
    clock = Clock()
    return Treasury(budgets, MemoryLedger(), now_s=clock.now_s, monotonic=clock.now_s), clock


def test_a_budget_of_models_has_a_purse_for_each() -> None:
    """One for everything has one; in the order of the configuration."""
    treasury, clock = made(EACH, HOUR)
    purses = treasury.purses(Hints(), "default", MODELS, clock.at)
    assert [(p.budget.name, p.account.value) for p in purses] == [("each", "a"), ("each", "b"), ("hour", "")]


async def test_play_keeps_what_was_ahead_for_a_while() -> None:
    """Spending that falls back a little is held where it was; a new window begins anew."""
    treasury, clock = made(HOUR)
    clock.at = NOON + timedelta(minutes=30)
    await treasury.spend(claim_on(treasury, clock, 60))
    (purse,) = treasury.purses(Hints(), "default", MODELS, clock.at)
    assert (purse.ahead, purse.ahead_held) == (0.1, 0.1)
    clock.at += timedelta(minutes=2)
    (purse,) = treasury.purses(Hints(), "default", MODELS, clock.at)
    assert purse.ahead == pytest.approx(0.1 - 2 / 60, abs=1e-6)
    assert purse.ahead_held == 0.1
    clock.at += timedelta(minutes=10)
    (purse,) = treasury.purses(Hints(), "default", MODELS, clock.at)
    assert purse.ahead_held == pytest.approx(purse.ahead + PLAY)
    clock.at = NOON + timedelta(hours=1)
    (purse,) = treasury.purses(Hints(), "default", MODELS, clock.at)
    assert (purse.ahead, purse.ahead_held, purse.standing.spent_nano) == (0.0, 0.0, 0)


async def test_play_is_kept_however_many_accounts_are_read() -> None:
    """An account that is met again and again keeps what it was held at, though thousands of others come by."""
    tenants = Budget(name="t", limit_nano=100, window=Window(period="hour"), scope=Scope(kind="tenant"))
    treasury, clock = made(HOUR, tenants)
    clock.at = NOON + timedelta(minutes=30)
    await treasury.spend(claim_on(treasury, clock, 60))
    assert treasury.purses(Hints(), "default", MODELS, clock.at)[0].ahead_held == 0.1
    clock.at += timedelta(minutes=2)
    for number in range(2 * module._ACCOUNTS_MOST):  # noqa: SLF001 - the bound is not public
        purse, _ = treasury.purses(Hints(tenant=str(number)), "default", MODELS, clock.at)
        assert (purse.ahead_held, round(purse.ahead, 3)) == (0.1, 0.067)


async def test_who_only_plans_moves_nothing() -> None:
    """What is held stays, and an account that nobody asked for is not told of."""
    treasury, clock = made(HOUR, EACH)
    clock.at = NOON + timedelta(minutes=30)
    await treasury.spend(claim_on(treasury, clock, 60))
    assert treasury.purses(Hints(), "default", MODELS[:1], clock.at)[0].ahead_held == 0.1
    clock.at += timedelta(minutes=10)
    (planned, *_) = treasury.purses(Hints(), "default", MODELS, clock.at, moves=False)
    assert planned.ahead_held == pytest.approx(planned.ahead + PLAY)
    assert treasury.left().keys() == {("hour", ""), ("each", "a")}
    clock.at -= timedelta(minutes=9)
    assert treasury.purses(Hints(), "default", MODELS, clock.at)[0].ahead_held == 0.1


async def test_what_was_never_read_moves_nothing() -> None:
    """While a shared ledger cannot be read an account looks full, and what it was held at stays."""
    treasury, clock = shared(Stuck())
    clock.at = NOON + timedelta(minutes=30)
    (purse,) = treasury.purses(Hints(), "default", MODELS, clock.at)
    assert (purse.ahead, purse.ahead_held) == (-0.5, -0.5)
    clock.at += timedelta(minutes=6)
    (purse,) = treasury.purses(Hints(), "default", MODELS, clock.at)
    assert (purse.ahead, purse.ahead_held) == (-0.6, -0.6)


async def test_what_cannot_be_counted_is_refused() -> None:
    """A claim above what ledgers count is no error of the request's; one that is settled so is lost, with a warning."""
    treasury, clock = made(HOUR)
    claim = claim_on(treasury, clock, MOST_NANO + 1)
    told = await treasury.reserve(claim)
    assert isinstance(told, Refused)
    assert told.account is None
    with pytest.warns(RouterWarning, match="is lost to budgets"):
        await treasury.spend(claim)


def test_readings_of_many_accounts_are_forgotten() -> None:
    """They begin anew when there are too many: the ledger has them all."""
    tenants = Budget(name="t", limit_nano=100, window=Window(period="total"), scope=Scope(kind="tenant"))
    treasury, clock = made(tenants)
    for number in range(module._ACCOUNTS_MOST + 2):  # noqa: SLF001 - the bound is not public
        treasury.purses(Hints(tenant=str(number)), "default", MODELS, clock.at)
    (purse,) = treasury.purses(Hints(tenant="0"), "default", MODELS, clock.at)
    assert purse.standing == Standing(limit_nano=100)
    assert purse.account == account_of(tenants, "0", clock.at)


async def test_what_is_left_is_what_accounts_of_now_have() -> None:
    """A budget for everything is told of from the start, others once they are met; a new window is full again."""
    treasury, clock = made(HOUR, EACH)
    nano = Decimal("1e-9")
    assert treasury.left() == {("hour", ""): 100 * nano}
    await treasury.spend(claim_on(treasury, clock, 60))
    assert treasury.left() == {("hour", ""): 40 * nano, ("each", "a"): 40 * nano}
    clock.at += timedelta(hours=1)
    assert treasury.left() == {("hour", ""): 100 * nano, ("each", "a"): 40 * nano}


async def test_of_many_accounts_those_with_the_least_left_are_told_of() -> None:
    """Each is a series of a metric, and tenants may be many."""
    tenants = Budget(name="t", limit_nano=100, window=Window(period="total"), scope=Scope(kind="tenant"))
    treasury, clock = made(tenants)
    for number in range(module.LEFT_MOST + 20):
        purses = treasury.purses(Hints(tenant=str(number)), "default", MODELS, clock.at)
        if number >= 20:
            at_s = clock.now_s()
            name, entries = str(number), entries_of(purses)
            await treasury.spend(Claim(id=name, entries=entries, amount_nano=1, now_s=at_s, lapses_s=at_s + 60))
    assert set(treasury.left()) == {("t", str(number)) for number in range(20, module.LEFT_MOST + 20)}


async def test_of_a_shared_ledger_what_was_read_is_told() -> None:
    """Without asking it: nothing before it was read, and nothing of a window that began since."""
    treasury, clock = shared(MemoryLedger())
    assert treasury.left() == {}
    await treasury.reserve(claim_on(treasury, clock, 30))
    assert treasury.left() == {("hour", ""): Decimal("7e-8")}
    clock.at += timedelta(hours=1)
    assert treasury.left() == {}


class Stuck(MemoryLedger):
    """A ledger of others' that reserves without ever saying so, and then is gone."""

    async def reserve(self, claim: Claim, /) -> Reserved | Refused:
        """Reserves, and waits for ever."""
        await super().reserve(claim)
        await asyncio.Event().wait()
        raise AssertionError

    async def standings(self, entries: Sequence[Entry], /, *, now_s: float) -> tuple[Standing, ...]:
        """Cannot be asked."""
        raise StoreError("gone")


def shared(ledger: MemoryLedger) -> tuple[Treasury, Clock]:
    """Returns a treasury to which a ledger is not its own."""
    clock = Clock()
    return Treasury((HOUR,), Foreign(ledger), now_s=clock.now_s, monotonic=clock.now_s), clock


class Foreign:
    """A ledger that is not seen to be memory."""

    def __init__(self, inner: MemoryLedger) -> None:
        self.reserve = inner.reserve
        self.settle = inner.settle
        self.standings = inner.standings
        self.accounts = inner.accounts
        self.rebuild = inner.rebuild
        self.aclose = inner.aclose


async def test_a_reservation_that_takes_too_long_is_given_back() -> None:
    """It is refused when the time is over; what the ledger may have reserved is settled at nothing."""
    ledger, clock = Stuck(), Clock()
    guard = GuardedLedger(ledger, wait_s=30.0)
    treasury = Treasury((HOUR,), guard, now_s=clock.now_s, monotonic=clock.now_s)
    told = await treasury.reserve(claim_on(treasury, clock, 10), wait_s=0.0)
    assert isinstance(told, Refused)
    assert told.why == "the store of budgets is too slow"
    task = asyncio.create_task(treasury.reserve(claim_on(treasury, clock, 20, "d")))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await treasury.aclose()
    [(_, standing)] = [each async for each in ledger.accounts(now_s=clock.now_s())]
    assert (standing.reserved_nano, standing.spent_nano) == (0, 0)


async def test_a_store_that_is_gone_is_a_warning() -> None:
    """The cost is told of, and the request goes on; what was read before holds on."""

    class GoneLedger(Stuck):
        async def settle(self, claim: Claim, cost_nano: int | None, /, *, now_s: float) -> None:
            raise StoreError("gone")

    treasury, clock = shared(GoneLedger())
    treasury.observe(print)
    await treasury.refresh(treasury.stale(Hints(), "default", MODELS, clock.at))
    with pytest.warns(RouterWarning, match="did not reach the store of budgets: gone"):
        await treasury.settled(treasury.settle([(claim_on(treasury, clock, 10), None)]))
    await treasury.settled([])
    (purse,) = treasury.purses(Hints(), "default", MODELS, clock.at)
    assert purse.standing.spent_nano == 0


async def test_a_standing_that_cannot_be_read_is_no_loss() -> None:
    """What was settled counts; observers hear of it another time, and no warning says that it is missing."""
    ledger, told = Stuck(), list[object]()
    treasury, clock = shared(ledger)
    treasury.observe(told.append)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        await treasury.settled(treasury.settle([(claim_on(treasury, clock, 10), None)]))
    [(_, standing)] = [each async for each in ledger.accounts(now_s=clock.now_s())]
    assert (standing.spent_nano, told, warned) == (10, [], [])


class Meddling(asyncio.Task[None]):
    """A task that does something else when it is asked for its loop, as another thread might at that moment."""

    meant: ClassVar[list[Callable[[], object]]] = []

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Returns its loop."""
        while self.meant:
            self.meant.pop()()
        return super().get_loop()


async def test_it_closes_while_others_settle() -> None:
    """A router may be closed in one event loop while another thread's requests end."""
    clock = Clock()
    ledger = MemoryLedger()
    treasury = Treasury([HOUR], GuardedLedger(ledger), now_s=clock.now_s, monotonic=clock.now_s)
    claims = [claim_on(treasury, clock, 1, name) for name in "abc"]
    made: Any = lambda loop, work: Meddling(work, loop=loop)  # noqa: E731 - its type is not to be had
    asyncio.get_running_loop().set_task_factory(made)
    tasks = treasury.settle([(claims[0], None), (claims[1], None)])
    Meddling.meant.append(lambda: tasks.extend(treasury.settle([(claims[2], None)])))
    await treasury.aclose()
    await treasury.settled(tasks)
    [standing] = await ledger.standings(claims[0].entries, now_s=clock.now_s())
    assert standing.spent_nano == 3
