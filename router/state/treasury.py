"""What a router has to do with the ledger: how the budgets of a request stand, and its reservations.

What a decision reads is of this very moment where the ledger is this process's own memory. Of a ledger that several
processes share it is a reading up to `READING_S` old, which every reservation of this process renews: it says who is
not worth asking. Whether the money is there is said by the reservation alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from heapq import nsmallest
from typing import Any, Final, TypeVar

from router.core.budget import Account, Budget, Claim, Entry, Refused, Reserved, Standing, account_of, nano_of, usd_of
from router.core.budgeting import Purse, ahead_of, entries_of, held_ahead, value_of
from router.core.catalog import Model
from router.core.request import Hints
from router.errors import StoreError, warn
from router.state.ledger import Ledger
from router.state.ledger_guard import GuardedLedger
from router.state.ledger_memory import MemoryLedger

T = TypeVar("T")

READING_S: Final = 1.0
"""How old a reading of a shared ledger may be, in seconds."""

LEFT_MOST: Final = 100
"""Values of one budget's scope that `Treasury.left` tells of: tenants may be many, and each is a series of a metric."""

_ACCOUNTS_MOST: Final = 10_000
"""Accounts of which something is kept; tenants may be many. Readings are made again; of what is held, those go whose
account has not been met for the longest time."""

Act = Callable[[], Coroutine[Any, Any, None]]
"""Tells the ledger something of a claim."""

Observer = Callable[[tuple[Purse, ...]], None]
"""Is told how the accounts of an attempt stand after it was settled."""


@dataclass(slots=True)
class _Reading:
    """What was read of an account last, and when."""

    standing: Standing
    read_s: float


class Treasury:
    """Reads, reserves and settles for one router.

    Args:
        budgets: in the order of the configuration.
        ledger: what keeps their accounts.
        now_s: tells the time, in seconds since 1970.
        monotonic: tells the seconds since some moment.
    """

    def __init__(
        self,
        budgets: Iterable[Budget],
        ledger: Ledger,
        *,
        now_s: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._budgets = {budget.name: budget for budget in budgets}
        self._ledger = ledger
        self._own = isinstance(ledger, MemoryLedger)
        self._guard = ledger if isinstance(ledger, GuardedLedger) else None
        self._now_s = now_s
        self._monotonic = monotonic
        self._readings: dict[Account, _Reading] = {}
        self._held: dict[Account, float] = {}
        self._accounts: dict[tuple[str, str], Account] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._observers: list[Observer] = []

    @property
    def ledger(self) -> Ledger:
        """What keeps the accounts."""
        return self._ledger

    def observe(self, observer: Observer, /) -> None:
        """Adds one who is told of every settlement; it must not take long, and what it raises is a warning."""
        self._observers.append(observer)

    def purses(
        self, hints: Hints, policy: str, models: Collection[Model], at: datetime, /, *, moves: bool = True
    ) -> tuple[Purse, ...]:
        """Returns the budgets that apply to a request, and how they stand as far as this process knows.

        Args:
            hints: of the request.
            policy: that it uses.
            models: that it may ask.
            at: when it arrived.
            moves: whether `ahead_held` follows; not where a request is only planned.
        """
        purses = self._applying(hints, policy, models, at)
        known: Sequence[Standing | None]
        if self._own and purses:
            known = standings = _at_once(self._ledger.standings(entries_of(purses), now_s=self._now_s()))
            if moves:
                self._took(purses, standings)
        else:
            readings = [self._readings.get(purse.account) for purse in purses]
            known = [None if reading is None else reading.standing for reading in readings]
        return tuple([self._read(purse, each, moves=moves) for purse, each in zip(purses, known, strict=True)])

    def stale(self, hints: Hints, policy: str, models: Collection[Model], at: datetime, /) -> tuple[Purse, ...]:
        """Returns the purses whose reading is too old, for `refresh`; none where the ledger is this process's own."""
        if self._own:
            return ()
        now_s = self._monotonic()
        return tuple(
            purse
            for purse in self._applying(hints, policy, models, at)
            if (known := self._readings.get(purse.account)) is None or now_s - known.read_s >= READING_S
        )

    async def refresh(self, purses: tuple[Purse, ...], /) -> None:
        """Reads how accounts stand; where the store cannot be reached, what was read before holds on."""
        now_s = self._monotonic()
        for purse in purses:  # so that others who come meanwhile do not read the same
            known = self._readings.get(purse.account)
            if known is not None:
                known.read_s = now_s
        with suppress(StoreError):
            self._took(purses, await self._ledger.standings(entries_of(purses), now_s=self._now_s()))

    def left(self) -> dict[tuple[str, str], Decimal]:
        """Returns what this process knows to be left in US dollars, by the budget's name and the value of its scope.

        It waits for nothing, and may be called from any thread. Of one budget it tells of `LEFT_MOST` values, those
        with the least left. What a shared ledger has is told as it was read last, and not before it was.
        """
        now_s = self._now_s()
        at = datetime.fromtimestamp(now_s, UTC)
        values: dict[str, set[str]] = {name: set() for name in self._budgets}
        for account in list(self._readings):  # at once: the router's thread goes on reading
            values[account.budget].add(account.value)
        out: dict[tuple[str, str], Decimal] = {}
        for name, budget in self._budgets.items():
            if budget.scope.kind == "all":
                values[name].add("")
            found = self._known(budget, values[name], at, now_s)
            if len(found) > LEFT_MOST:
                found = nsmallest(LEFT_MOST, found)
            out.update({(name, value): usd_of(nano) for nano, value in found})
        return out

    def _known(self, budget: Budget, values: Collection[str], at: datetime, now_s: float) -> list[tuple[int, str]]:
        """Returns what is left in the accounts of this moment, and whose they are."""
        now = account_of(budget, "", at)
        accounts = [replace(now, value=value) for value in values]
        if self._own:
            entries = [Entry(account=account, limit_nano=budget.limit_nano) for account in accounts]
            standings = _at_once(self._ledger.standings(entries, now_s=now_s))
            return [(standing.left_nano, a.value) for a, standing in zip(accounts, standings, strict=True)]
        read = [(account.value, self._readings.get(account)) for account in accounts]
        limit = budget.limit_nano
        return [(replace(r.standing, limit_nano=limit).left_nano, value) for value, r in read if r is not None]

    async def reserve(self, claim: Claim, /, *, wait_s: float | None = None) -> Reserved | Refused:
        """Reserves a claim; a store that cannot be reached in time, or cannot count as much, refuses it.

        Args:
            claim: what is to be reserved.
            wait_s: how long to wait for a ledger that others share; None is as long as it takes.
        """
        if self._own:
            return await self._reserved(claim)
        try:
            async with asyncio.timeout(wait_s):
                told = await self._reserved(claim)
        except BaseException as error:
            self._begin(claim, self._given_back)
            if not isinstance(error, TimeoutError):
                raise
            return Refused(claim=claim, account=None, standing=None, why="the store of budgets is too slow")
        if isinstance(told, Refused):
            if told.account is not None and told.standing is not None:
                self._note(told.account, told.standing)
        elif told.claim.share is None:
            for entry, standing in zip(claim.entries, told.standings, strict=True):
                self._note(entry.account, standing)
        return told

    def settle(self, ended: Iterable[tuple[Claim, Decimal | None]], /) -> list[asyncio.Task[None]]:
        """Puts what attempts cost in the place of their reservations; None, where nobody knows, spends all of one.

        Returns what carries it out where the ledger is shared, for `settled`; it goes on whether somebody waits or not.
        """
        now_s = self._now_s()
        costs = [(claim, None if cost_usd is None else nano_of(cost_usd)) for claim, cost_usd in ended]
        return self._begun([(claim, partial(self._ledger.settle, claim, nano, now_s=now_s)) for claim, nano in costs])

    async def settled(self, tasks: Collection[asyncio.Task[None]], /, *, wait_s: float | None = None) -> None:
        """Waits for settlements, but not longer than so many seconds."""
        if tasks:
            await asyncio.wait(tasks, timeout=wait_s)  # does not stop them where it is cancelled itself

    def apart(self, claim: Claim, /) -> Claim:
        """Returns a claim that is to be spent without a reservation as what its record must say of it."""
        return claim if self._guard is None else self._guard.apart(claim)

    async def spend(self, claim: Claim, /) -> None:
        """Counts what was spent without a reservation."""
        await self.settled(self._begun([(claim, partial(self._ledger.settle, claim, None, now_s=self._now_s()))]))

    async def aclose(self) -> None:
        """Waits for the settlements of the running loop, and lets go of the ledger."""
        loop = asyncio.get_running_loop()
        mine = [task for task in list(self._tasks) if task.get_loop() is loop]  # at once: others go on settling
        if mine:
            await asyncio.wait(mine)
        await self._ledger.aclose()

    def _applying(self, hints: Hints, policy: str, models: Collection[Model], at: datetime) -> tuple[Purse, ...]:
        """Returns the purses of a request, full: nothing is known yet of what is spent."""
        purses: list[Purse] = []
        for budget in self._budgets.values():
            if budget.scope.kind in {"model", "provider"}:
                values = [value_of(budget, hints, policy, model=m.name, provider=m.provider) for m in models]
            else:
                values = [value_of(budget, hints, policy)]
            purses += [
                Purse(
                    budget=budget,
                    account=self._account(budget, value, at),
                    standing=Standing(limit_nano=budget.limit_nano),
                )
                for value in dict.fromkeys(values)
                if value is not None
            ]
        return tuple(purses)

    def _read(self, purse: Purse, known: Standing | None, *, moves: bool = True) -> Purse:
        """Returns a purse as its account is known to stand; full where it is not, which moves nothing."""
        account, standing = purse.account, known or purse.standing
        ahead = ahead_of(account, standing, self._now_s())
        held = held_ahead(self._held.get(account), ahead)
        if moves and known is not None:
            self._held.pop(account, None)  # the one that was met last stands at the end
            self._held[account] = held
            if len(self._held) > _ACCOUNTS_MOST:
                for longest in list(self._held)[: _ACCOUNTS_MOST // 2]:  # in one step: other threads hold some as well
                    self._held.pop(longest, None)
        return Purse(budget=purse.budget, account=account, standing=standing, ahead=ahead, ahead_held=held)

    def _account(self, budget: Budget, value: str, at: datetime) -> Account:
        """Returns the account of a moment; the last one as long as it is of the same window."""
        account, at_s = self._accounts.get((budget.name, value)), at.timestamp()
        if account is None or (
            account.start_s is not None and account.end_s is not None and not account.start_s <= at_s < account.end_s
        ):
            if len(self._accounts) >= _ACCOUNTS_MOST:
                self._accounts.clear()
            account = self._accounts[budget.name, value] = account_of(budget, value, at)
        return account

    def _took(self, purses: tuple[Purse, ...], standings: tuple[Standing, ...]) -> None:
        for purse, standing in zip(purses, standings, strict=True):
            self._note(purse.account, standing)

    def _note(self, account: Account, standing: Standing) -> None:
        known = self._readings.get(account)
        if known is not None:
            known.standing, known.read_s = standing, self._monotonic()
            return
        if len(self._readings) >= _ACCOUNTS_MOST:
            self._readings.clear()
        self._readings[account] = _Reading(standing, self._monotonic())

    def _begun(self, acts: Iterable[tuple[Claim, Act]]) -> list[asyncio.Task[None]]:
        """Carries out what concerns claims, whatever becomes of the request; returns what is still at it."""
        if not self._own:
            return [self._begin(claim, act) for claim, act in acts]
        for claim, act in acts:
            try:
                _at_once(act())
            except ValueError as error:
                warn(f"what attempt {claim.id} cost is lost to budgets: {error}")
                continue
            if self._observers:
                self._tell(claim, _at_once(self._ledger.standings(claim.entries, now_s=self._now_s())))
        return []

    async def _reserved(self, claim: Claim) -> Reserved | Refused:
        try:
            return await self._ledger.reserve(claim)
        except (StoreError, ValueError) as error:
            return Refused(claim=claim, account=None, standing=None, why=f"the store of budgets: {error}")

    async def _given_back(self) -> None:
        """Has the ledger told at once that there is no attempt for a reservation that may stand there."""
        if self._guard is not None:
            await self._guard.tell()

    def _begin(self, claim: Claim, act: Act) -> asyncio.Task[None]:
        task = asyncio.create_task(self._act(claim, act))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _act(self, claim: Claim, act: Act) -> None:
        try:
            await act()
        except (StoreError, ValueError) as error:
            warn(f"what attempt {claim.id} cost did not reach the store of budgets: {error}")
            return
        if self._observers:
            with suppress(StoreError):  # what it cost is counted, or will be; the next settlement tells how that stands
                self._tell(claim, await self._ledger.standings(claim.entries, now_s=self._now_s()))

    def _tell(self, claim: Claim, standings: tuple[Standing, ...]) -> None:
        for entry, standing in zip(claim.entries, standings, strict=True):
            self._note(entry.account, standing)
        if not self._observers:
            return
        purses = tuple(
            self._read(
                Purse(budget=self._budgets[entry.account.budget], account=entry.account, standing=standing), standing
            )
            for entry, standing in zip(claim.entries, standings, strict=True)
        )
        for observer in self._observers:
            try:
                observer(purses)
            except Exception as error:  # noqa: BLE001 - an observer that fails must not cost the caller an answer
                warn(f"an observer of budgets raised {type(error).__name__}: {error}")


def _at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """Returns what a coroutine returns that never waits, as those of the memory ledger, without an event loop."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    coroutine.close()
    raise AssertionError("the memory ledger waits for nothing")
