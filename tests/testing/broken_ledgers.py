"""Ledgers that break one promise each, under the name of the rule that must notice it."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

from router.core.budget import LATE_S, Account, Claim, Entry, Refused, Reserved, Standing
from router.state.ledger_memory import MemoryLedger

BROKEN: list[tuple[str, type[MemoryLedger]]] = []


def noticed_by(rule: str) -> Any:
    """Lists a broken ledger for `tests/testing/test_check_ledger.py`."""

    def listed(ledger: type[MemoryLedger]) -> type[MemoryLedger]:
        BROKEN.append((rule, ledger))
        return ledger

    return listed


COUNTS = "counts_as_the_claims_say"


@noticed_by("grants_what_fits_at_once")
class OverspendsByRace(MemoryLedger):
    """Looks first, and reserves later."""

    async def reserve(self, claim: Claim, /) -> Reserved | Refused:
        standings = await self.standings(claim.entries, now_s=claim.now_s)
        for entry, standing in zip(claim.entries, standings, strict=True):
            if entry.strict and standing.left_nano < claim.amount_nano:
                return await super().reserve(claim)
        await asyncio.sleep(0)
        loose = tuple(replace(entry, strict=False) for entry in claim.entries)
        answer = await super().reserve(replace(claim, entries=loose))
        return replace(answer, claim=claim)


@noticed_by(COUNTS)
class LosesSettles(MemoryLedger):
    async def settle(self, claim: Claim, cost_nano: int | None, /, *, now_s: float) -> None:
        """Forgets what it was told."""


@noticed_by(COUNTS)
class ReleasesTooMuch(MemoryLedger):
    """Lets nothing stand where nobody knows what an attempt cost."""

    async def settle(self, claim: Claim, cost_nano: int | None, /, *, now_s: float) -> None:
        await super().settle(claim, cost_nano or 0, now_s=now_s)


@noticed_by("counts_once")
class CountsTwice(MemoryLedger):
    count = 0

    async def settle(self, claim: Claim, cost_nano: int | None, /, *, now_s: float) -> None:
        await super().settle(claim, cost_nano, now_s=now_s)
        if claim.id == getattr(self, "last", None):
            self.count += 1
            await super().settle(replace(claim, id=f"{self.count}"), cost_nano, now_s=now_s)
        self.last = claim.id


@noticed_by(COUNTS)
class ForgetsLapses(MemoryLedger):
    """Whoever died has spent nothing."""

    async def standings(self, entries: Sequence[Entry], /, *, now_s: float) -> tuple[Standing, ...]:
        found = await super().standings(entries, now_s=now_s)
        return tuple(replace(s, spent_nano=s.spent_nano - s.lapsed_nano, lapsed_nano=0) for s in found)


@noticed_by(COUNTS)
class NeverLapses(MemoryLedger):
    async def reserve(self, claim: Claim, /) -> Reserved | Refused:
        return await super().reserve(replace(claim, lapses_s=1e12))


@noticed_by(COUNTS)
class RoundsDown(MemoryLedger):
    async def settle(self, claim: Claim, cost_nano: int | None, /, *, now_s: float) -> None:
        cost_nano = claim.amount_nano if cost_nano is None else cost_nano
        await super().settle(claim, cost_nano // 10 * 10, now_s=now_s)


@noticed_by(COUNTS)
class ReservesOneByOne(MemoryLedger):
    """Leaves what it reserved before the account that refuses."""

    async def reserve(self, claim: Claim, /) -> Reserved | Refused:
        refusal = None
        for number, entry in enumerate(claim.entries):
            part = await super().reserve(replace(claim, id=f"{claim.id} {number}", entries=(entry,)))
            refusal = refusal or (part if isinstance(part, Refused) else None)
        if refusal is not None:
            return replace(refusal, claim=claim)
        return Reserved(claim=claim, standings=await self.standings(claim.entries, now_s=claim.now_s))


class RenamesAccounts(MemoryLedger):
    """Counts in another account than it was asked to."""

    def renamed(self, account: Account) -> Account:
        return account

    def entries(self, entries: Sequence[Entry]) -> tuple[Entry, ...]:
        return tuple(replace(entry, account=self.renamed(entry.account)) for entry in entries)

    async def reserve(self, claim: Claim, /) -> Reserved | Refused:
        answer = await super().reserve(replace(claim, entries=self.entries(claim.entries)))
        return replace(answer, claim=claim)

    async def settle(self, claim: Claim, cost_nano: int | None, /, *, now_s: float) -> None:
        await super().settle(replace(claim, entries=self.entries(claim.entries)), cost_nano, now_s=now_s)

    async def standings(self, entries: Sequence[Entry], /, *, now_s: float) -> tuple[Standing, ...]:
        return await super().standings(self.entries(entries), now_s=now_s)


@noticed_by(COUNTS)
class HasOneWindow(RenamesAccounts):
    def renamed(self, account: Account) -> Account:
        return replace(account, start_s=None, end_s=None)


@noticed_by(COUNTS)
class MixesValuesUp(RenamesAccounts):
    def renamed(self, account: Account) -> Account:
        return replace(account, value="")


@noticed_by(COUNTS)
class NeverRolls(RenamesAccounts):
    def renamed(self, account: Account) -> Account:
        return replace(account, rolling_s=None)


@noticed_by(COUNTS)
class RollsTooSoon(RenamesAccounts):
    def renamed(self, account: Account) -> Account:
        return replace(account, rolling_s=account.rolling_s and account.rolling_s // 2)


@noticed_by(COUNTS)
class HoldsBackWhereItIsToCount(MemoryLedger):
    async def reserve(self, claim: Claim, /) -> Reserved | Refused:
        strict = tuple(replace(entry, strict=True) for entry in claim.entries)
        return replace(await super().reserve(replace(claim, entries=strict)), claim=claim)


@noticed_by(COUNTS)
class RefusesTheLastNano(MemoryLedger):
    async def reserve(self, claim: Claim, /) -> Reserved | Refused:
        less = tuple(replace(entry, limit_nano=max(0, entry.limit_nano - 1)) for entry in claim.entries)
        return replace(await super().reserve(replace(claim, entries=less)), claim=claim)


@noticed_by(COUNTS)
class DoesNotKnowWhatItDidNotReserve(MemoryLedger):
    async def reserve(self, claim: Claim, /) -> Reserved | Refused:
        answer = await super().reserve(claim)
        if isinstance(answer, Reserved):
            self.known = {*getattr(self, "known", ()), claim.id}
        return answer

    async def settle(self, claim: Claim, cost_nano: int | None, /, *, now_s: float) -> None:
        if claim.id in getattr(self, "known", ()):
            await super().settle(claim, cost_nano, now_s=now_s)


@noticed_by("shows_reservations_as_they_stand")
class ShowsWhatWasBefore(MemoryLedger):
    async def reserve(self, claim: Claim, /) -> Reserved | Refused:
        before = await self.standings(claim.entries, now_s=claim.now_s)
        answer = await super().reserve(claim)
        return replace(answer, standings=before) if isinstance(answer, Reserved) else answer


@noticed_by("shows_reservations_as_they_stand")
class NamesNobody(MemoryLedger):
    async def reserve(self, claim: Claim, /) -> Reserved | Refused:
        answer = await super().reserve(claim)
        return replace(answer, account=None) if isinstance(answer, Refused) else answer


@noticed_by("rebuilds")
class KeepsWhatItHad(MemoryLedger):
    async def rebuild(self, spent: Sequence[Claim], /, *, now_s: float) -> None:
        for claim in spent:
            await self.settle(claim, None, now_s=claim.now_s)


@noticed_by("rebuilds")
class ForgetsWhatIsUnderWay(MemoryLedger):
    async def rebuild(self, spent: Sequence[Claim], /, *, now_s: float) -> None:
        await super().rebuild(spent, now_s=1e12)


@noticed_by("rebuilds")
class ForgetsWhatRunsOn(MemoryLedger):
    """Takes whoever is late for dead."""

    async def rebuild(self, spent: Sequence[Claim], /, *, now_s: float) -> None:
        await super().rebuild(spent, now_s=now_s + LATE_S)


@noticed_by("rebuilds")
class CountsWhatTheLogHad(MemoryLedger):
    """Knows of a rebuild only what it had itself."""

    async def rebuild(self, spent: Sequence[Claim], /, *, now_s: float) -> None:
        await super().rebuild(spent, now_s=now_s)
        self._own.get().rebuilt_s = -math.inf


@noticed_by(COUNTS)
class AddsSums(MemoryLedger):
    """Takes what a sum comes to for what was added to it."""

    def __init__(self) -> None:
        super().__init__()
        self.sums: Counter[str] = Counter()

    async def settle(self, claim: Claim, cost_nano: int | None, /, *, now_s: float) -> None:
        if claim.share is not None:
            self.sums[claim.id] += claim.amount_nano if cost_nano is None else cost_nano
            cost_nano = self.sums[claim.id]
        await super().settle(claim, cost_nano, now_s=now_s)


@noticed_by("lists_its_accounts")
class ListsNothing(MemoryLedger):
    async def accounts(self, *, now_s: float) -> AsyncIterator[tuple[Account, Standing]]:
        nothing: tuple[tuple[Account, Standing], ...] = ()
        for each in nothing:
            yield each


@noticed_by("lists_its_accounts")
class ListsTwice(MemoryLedger):
    async def accounts(self, *, now_s: float) -> AsyncIterator[tuple[Account, Standing]]:
        for _ in range(2):
            async for each in super().accounts(now_s=now_s):
                yield each


@noticed_by("is_exact")
class CountsInFloats(MemoryLedger):
    async def standings(self, entries: Sequence[Entry], /, *, now_s: float) -> tuple[Standing, ...]:
        found = await super().standings(entries, now_s=now_s)
        return tuple(replace(s, spent_nano=int(float(s.spent_nano))) for s in found)


@noticed_by("sums_up")
class LosesEveryHundredth(MemoryLedger):
    count = 0

    async def settle(self, claim: Claim, cost_nano: int | None, /, *, now_s: float) -> None:
        self.count += 1
        if self.count % 100:
            await super().settle(claim, cost_nano, now_s=now_s)
