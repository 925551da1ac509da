"""What stands between the router and a ledger that may be down: each budget's own setting decides what holds meanwhile.

    well ──reserve──> the ledger says
    down ──reserve──> an account without `open_nano`: refused, with why
                      all others: counted here, each against its own share, and handed over when the ledger is back

Whether the ledger is asked: `router/state/health.py`. How long it is waited for: `router/state/patience.py`.

What the ledger could not be told, it is told later: what was spent here, as sums by account (`router.state.shares`);
and by its own name what an attempt cost that the ledger had reserved, or that none was made whose reservation may have
arrived, also where its caller gave up. Of the latter there are no more than requests at the moment when it went down:
while it rests, and until it has heard of them, nobody else gets so far as to be told of by name. To settle is right in
all these cases, known or not, and counts once, also after a rebuild. Until then it is this process's to remember: if
that dies, `lowfare budget rebuild` brings it back.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from router.core.budget import Account, Claim, Entry, Refused, Reserved, Standing
from router.errors import StoreError, warn
from router.state.health import GuardState, Health, forked
from router.state.ledger import Ledger
from router.state.ledger_memory import MemoryLedger
from router.state.moves import checked
from router.state.patience import Patience, limited
from router.state.process import PerProcess
from router.state.shares import added

T = TypeVar("T")

WAIT_S: Final = 0.25
"""How long a call waits for the ledger; a refusal costs more than a quarter of a second."""

_TOLD_AT_ONCE: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class _Owed:
    """What the ledger is yet to be told: what a claim cost."""

    claim: Claim
    cost_nano: int | None
    now_s: float


@dataclass(slots=True)
class _Meanwhile:
    """What this process counts by itself.

    Attributes:
        accounts: those with the shares as their limits.
        share: name of what is spent of them; another one when the ledger knows all of the last.
        local: ids of attempts that only this process knows of, and that are under way.
        sums: what was spent of the share, by account.
        owed: by the ids of claims.
    """

    accounts: MemoryLedger = field(default_factory=MemoryLedger)
    share: str = ""
    local: set[str] = field(default_factory=set)
    sums: dict[str, Claim] = field(default_factory=dict)
    owed: dict[str, _Owed] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, claim: Claim) -> Claim:
        """Returns a claim as one that only this process knows of."""
        with self.lock:
            if not self.local and self.sums.keys().isdisjoint(self.owed):
                self.share, self.sums = secrets.token_hex(8), {}
            self.local.add(claim.id)
            return replace(claim, share=self.share)

    def end(self, claim: Claim, cost_nano: int, now_s: float) -> None:
        """Adds what it cost to what the ledger is yet to be told, once."""
        with self.lock:
            if claim.id in self.local:
                self.local.remove(claim.id)
                for name in added(self.sums, replace(claim, share=self.share), cost_nano):
                    self.owed[name] = _Owed(claim=self.sums[name], cost_nano=None, now_s=now_s)

    def owe(self, claim: Claim, cost_nano: int | None, now_s: float) -> None:
        """Takes note that the ledger is yet to be told what a claim cost that it may know."""
        with self.lock:
            self.owed[claim.id] = _Owed(claim=claim, cost_nano=cost_nano, now_s=now_s)


class GuardedLedger:
    """A `router.state.ledger.Ledger` that answers for another one where that fails, is late, or rests.

    `reserve` and `settle` never raise for it; the others raise `StoreError`. What `reserve` grants is settled by the
    claim that it returns. Safe to use from several threads and event loops.

    Args:
        ledger: what to guard.
        clock: seconds since some moment; tells when a rest is over.
        wait_s: how long one call may take.
    """

    def __init__(self, ledger: Ledger, *, clock: Callable[[], float] = time.monotonic, wait_s: float = WAIT_S) -> None:
        self._ledger = ledger
        self._clock = clock
        self._wait_s = wait_s
        self._health = PerProcess(Health(), forked)
        # What a parent owes is the parent's to tell.
        self._meanwhile = PerProcess(_Meanwhile(), lambda _: _Meanwhile())

    @property
    def state(self) -> GuardState:
        """Whether the ledger is asked, rests, or is asked once to see how it is."""
        return self._health.get().state(self._clock)

    @property
    def owed(self) -> int:
        """How many claims the ledger is yet to be told of."""
        return len(self._meanwhile.get().owed)

    async def reserve(self, claim: Claim, /) -> Reserved | Refused:
        """Reserves a claim; where the ledger does not help, in this process's shares, if all budgets allow that."""
        try:
            return await self._asked(lambda: self._ledger.reserve(claim))
        except StoreError as error:
            return await self._apart(claim, asked=not isinstance(error, _NotAskedError))
        except asyncio.CancelledError:
            self._meanwhile.get().owe(claim, 0, claim.now_s)
            raise

    def apart(self, claim: Claim, /) -> Claim:
        """Returns a claim that was spent without a reservation as what its record must say of it.

        While the ledger is not asked it is of this process's share, whatever is left of that.
        """
        return claim if self.state == "closed" else self._meanwhile.get().begin(claim)

    async def settle(self, claim: Claim, cost_nano: int | None, /, *, now_s: float) -> None:
        """Puts what an attempt cost in the place of its reservation, now or when the ledger is back."""
        meanwhile = self._meanwhile.get()
        if claim.share is not None:
            cost = checked(claim, cost_nano)
            await meanwhile.accounts.settle(_in_shares(claim), cost, now_s=now_s)
            meanwhile.end(claim, cost, now_s)
            await self.tell()
            return
        try:
            await self._asked(lambda: self._ledger.settle(claim, cost_nano, now_s=now_s))
        except StoreError:
            meanwhile.owe(claim, cost_nano, now_s)
        except asyncio.CancelledError:
            meanwhile.owe(claim, cost_nano, now_s)
            raise

    async def tell(self) -> None:
        """Tells the ledger what it is yet to be told, as far as it helps now."""
        with suppress(StoreError):
            await self._asked(_nothing)

    async def standings(self, entries: Sequence[Entry], /, *, now_s: float) -> tuple[Standing, ...]:
        """Returns how accounts stand, as the ledger knows it."""
        return await self._asked(lambda: self._ledger.standings(entries, now_s=now_s))

    async def accounts(self, *, now_s: float) -> AsyncIterator[tuple[Account, Standing]]:
        """Yields all accounts that the ledger keeps; it is waited for as long as it takes."""
        async for each in self._ledger.accounts(now_s=now_s):
            yield each

    async def rebuild(self, spent: Sequence[Claim], /, *, now_s: float) -> None:
        """Puts what the log says in the place of all that was counted; it is waited for as long as it takes."""
        await self._ledger.rebuild(spent, now_s=now_s)

    async def aclose(self) -> None:
        """Tells the ledger what it is yet to be told, as far as it helps, and closes it."""
        owed = self._meanwhile.get().owed
        try:
            while owed:
                await self._asked(_nothing)
        except StoreError:
            warn(
                f"{type(self._ledger).__name__} does not help, and could not be told of {len(owed)} costs and sums of "
                "costs; they are missing there until `lowfare budget rebuild`"
            )
        await self._ledger.aclose()

    async def _apart(self, claim: Claim, *, asked: bool) -> Reserved | Refused:
        """Reserves a claim in this process's shares.

        Args:
            claim: which.
            asked: whether the ledger was asked, and may have reserved it.
        """
        meanwhile = self._meanwhile.get()
        if asked:
            meanwhile.owe(claim, 0, claim.now_s)
        closed = next((e.account for e in claim.entries if e.strict and e.open_nano is None), None)
        if closed is not None:
            why = f'the store of budgets is not reachable, and the budget {closed.budget!r} has fail = "closed"'
            return Refused(claim=claim, account=None, standing=None, why=why)
        answer = await meanwhile.accounts.reserve(_in_shares(claim))
        if isinstance(answer, Reserved):
            return replace(answer, claim=meanwhile.begin(claim))
        why = f"the store of budgets is not reachable, and of this process's share {answer.why}"
        return replace(answer, claim=claim, why=why)

    async def _asked(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Returns what the ledger says, after it was told what it was not told before.

        Raises:
            StoreError: it rests, fails, or is late.
        """
        health = self._health.get()
        epoch = health.entered(self._clock)
        if epoch is None:
            raise _NotAskedError("the store of budgets is not asked for the moment, since it did not help")
        failed: type[StoreError] = _NotAskedError
        try:
            if self._meanwhile.get().owed:
                await limited(self._tell(), Patience(self._wait_s))
            failed = StoreError
            answer = await limited(ask(), Patience(self._wait_s))
        except ValueError:
            health.helped(epoch)
            raise
        except Exception as error:
            self._note(health, epoch, error)
            raise failed(f"the store of budgets does not help ({type(error).__name__})") from error
        except BaseException:
            health.left(epoch)
            raise
        health.helped(epoch)
        return answer

    async def _tell(self) -> None:
        """Tells the ledger some of what it is yet to be told."""
        meanwhile = self._meanwhile.get()
        for _ in range(_TOLD_AT_ONCE):
            with meanwhile.lock:
                if not meanwhile.owed:
                    return
                name = next(iter(meanwhile.owed))
                owed = meanwhile.owed.pop(name)
            try:
                await self._ledger.settle(owed.claim, owed.cost_nano, now_s=owed.now_s)
            except ValueError as error:  # it will never be taken
                warn(f"a claim is lost to budgets: {error}")
            except BaseException:
                with meanwhile.lock:
                    meanwhile.owed.setdefault(name, owed)  # the sum may have grown meanwhile
                raise

    def _note(self, health: Health, epoch: int, error: Exception) -> None:
        if health.failed(epoch, self._clock):
            warn(
                f'{type(self._ledger).__name__} does not help ({type(error).__name__}): budgets with fail = "closed" '
                "refuse, others spend their share; it is tried again from time to time"
            )


class _NotAskedError(StoreError):
    """The ledger was not asked."""


async def _nothing() -> None:
    """Asks for nothing."""


def _in_shares(claim: Claim) -> Claim:
    """Returns a claim on this process's shares of its accounts: there it is one by itself, not a sum."""
    shares = (replace(e, limit_nano=e.limit_nano if e.open_nano is None else e.open_nano) for e in claim.entries)
    return replace(claim, entries=tuple(shares), share=None)
