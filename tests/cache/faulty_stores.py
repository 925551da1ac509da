"""Stores that break one promise each, under the name of the check that must notice it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

from router.cache.store import Joined, Row, Watched
from tests.cache.table_store import Lease, Table, TableStore

FAULTS: list[tuple[str, type[TableStore]]] = []


def noticed_by(check: str) -> Any:
    """Lists a faulty store for `tests/cache/test_stores.py`."""

    def listed(store: type[TableStore]) -> type[TableStore]:
        FAULTS.append((check, store))
        return store

    return listed


@noticed_by("keeps_values")
class KeepsNothing(TableStore):
    async def put(self, key: str, value: bytes, /, *, ttl_s: float, **others: Any) -> None:
        await super().put(key, value, ttl_s=-ttl_s, **others)


@noticed_by("keeps_values")
class HasValuesOfItsOwn(TableStore):
    def value(self, key: str) -> bytes | None:
        return super().value(key) or b"mine"


@noticed_by("keeps_values")
class MixesKeysUp(TableStore):
    def value(self, key: str) -> bytes | None:
        return next((value for value, _, _ in self.table.values.values()), None)


@noticed_by("keeps_any_bytes")
class CutsAtNul(TableStore):
    async def put(self, key: str, value: bytes, /, **others: Any) -> None:
        await super().put(key, value.split(b"\0")[0], **others)


@noticed_by("keeps_any_bytes")
class LosesEmptyValues(TableStore):
    def value(self, key: str) -> bytes | None:
        return super().value(key) or None


@noticed_by("keeps_any_bytes")
class ForgetsLabels(TableStore):
    async def put(self, key: str, value: bytes, /, *, label: bytes, **others: Any) -> None:
        await super().put(key, value, label=b"", **others)


class LivesForEver(TableStore):
    def value(self, key: str) -> bytes | None:
        return self.table.values[key][0] if key in self.table.values else None


@noticed_by("lets_values_lapse")
class FindsLapsedValues(LivesForEver):
    """Also when asked for them."""


@noticed_by("lets_values_lapse")
class ShowsLapsedValues(LivesForEver):
    async def get(self, key: str, /) -> bytes | None:
        return TableStore.value(self, key)


@noticed_by("lets_values_lapse")
class JoinsToLapsedValues(ShowsLapsedValues):
    async def watch(self, key: str, /, *, since: int = 0) -> Watched:
        return replace(await super().watch(key, since=since), value=await self.get(key))


@noticed_by("lets_values_lapse")
class ListsLapsedValues(TableStore):
    async def scan(self) -> AsyncIterator[Row]:
        for key, (value, label, _) in list(self.table.values.items()):
            yield Row(key=key, label=label, size_bytes=len(value))


@noticed_by("lets_values_lapse")
class BuriesKeys(TableStore):
    async def put(self, key: str, value: bytes, /, **others: Any) -> None:
        if key not in self.table.values or self.value(key) is not None:
            await super().put(key, value, **others)


class KeepsOneEnd(TableStore):
    choose = staticmethod(min)

    async def put(self, key: str, value: bytes, /, **others: Any) -> None:
        before = self.table.values.get(key)
        await super().put(key, value, **others)
        if before is not None:
            _, label, end = self.table.values[key]
            self.table.values[key] = (value, label, self.choose(before[2], end))


@noticed_by("sets_the_time_anew")
class KeepsTheEarlierEnd(KeepsOneEnd):
    """Lapses with the first."""


@noticed_by("sets_the_time_anew")
class KeepsTheLaterEnd(KeepsOneEnd):
    choose = staticmethod(max)


@noticed_by("deletes")
class DeletesNothing(TableStore):
    async def delete(self, keys: Sequence[str], /) -> None:
        """Does nothing."""


@noticed_by("deletes")
class DeletesAll(TableStore):
    async def delete(self, keys: Sequence[str], /) -> None:
        self.table.values.clear()


@noticed_by("deletes")
class DeletesLeases(TableStore):
    async def delete(self, keys: Sequence[str], /) -> None:
        await super().delete(keys)
        self.table.leases.clear()


@noticed_by("scans")
class LeavesOneOut(TableStore):
    async def scan(self) -> AsyncIterator[Row]:
        rows = [row async for row in super().scan()]
        for row in rows[:-30]:
            yield row


@noticed_by("scans")
class ListsWrongSizes(TableStore):
    async def scan(self) -> AsyncIterator[Row]:
        async for row in super().scan():
            yield replace(row, size_bytes=row.size_bytes + 1)


@noticed_by("scans")
class ListsDeletedValues(TableStore):
    gone: set[str] = set()  # noqa: RUF012 - shared by all of them, as data are

    async def delete(self, keys: Sequence[str], /) -> None:
        await super().delete(keys)
        self.gone.update(keys)

    async def scan(self) -> AsyncIterator[Row]:
        async for row in super().scan():
            yield row
        for key in self.gone:
            yield Row(key=key, label=b"", size_bytes=0)


@noticed_by("gives_a_lease_to_one")
class GivesLeasesToAll(TableStore):
    async def join(self, key: str, holder: str, /, *, lease_s: float) -> Joined:
        return replace(await super().join(key, holder, lease_s=lease_s), held=True)


@noticed_by("gives_a_lease_to_one")
class NamesAnotherHolder(TableStore):
    async def watch(self, key: str, /, *, since: int = 0) -> Watched:
        return replace(await super().watch(key, since=since), holder="another")


class NeverLapses(TableStore):
    def lease(self, key: str) -> Lease | None:
        return self.table.leases.get(key)


@noticed_by("frees_lapsed_leases")
class ShowsLapsedLeases(NeverLapses):
    """Also to those that watch."""


@noticed_by("frees_lapsed_leases")
class RenewsLapsedLeases(NeverLapses):
    async def watch(self, key: str, /, *, since: int = 0) -> Watched:
        return await TableStore(self.table, now=self.now).watch(key, since=since)


@noticed_by("frees_lapsed_leases")
class KeepsLapsedLeases(RenewsLapsedLeases):
    async def renew(self, key: str, holder: str, /, *, lease_s: float, pieces: Sequence[bytes] = ()) -> bool:
        return await TableStore(self.table, now=self.now).renew(key, holder, lease_s=lease_s, pieces=pieces)


@noticed_by("frees_lapsed_leases")
class HandsPiecesDown(TableStore):
    async def join(self, key: str, holder: str, /, *, lease_s: float) -> Joined:
        before = self.table.leases.get(key)
        joined = await super().join(key, holder, lease_s=lease_s)
        if before is not None:
            self.table.leases[key].pieces = before.pieces
        return joined


@noticed_by("hands_leases_over")
class GivesNothingTwice(TableStore):
    async def join(self, key: str, holder: str, /, *, lease_s: float) -> Joined:
        lease = self.table.leases.get(key)
        if lease is not None and lease.holder != holder:
            return Joined(held=False)
        return await super().join(key, holder, lease_s=lease_s)


@noticed_by("hands_leases_over")
class RefusesNextHolders(TableStore):
    async def renew(self, key: str, holder: str, /, *, lease_s: float, pieces: Sequence[bytes] = ()) -> bool:
        return holder != "second" and await super().renew(key, holder, lease_s=lease_s, pieces=pieces)


@noticed_by("refuses_strangers")
class TrustsStrangers(TableStore):
    async def renew(self, key: str, holder: str, /, *, lease_s: float, pieces: Sequence[bytes] = ()) -> bool:
        return await super().renew(key, holder, lease_s=lease_s, pieces=pieces) or holder == "stranger"


@noticed_by("refuses_strangers")
class PublishesForStrangers(TableStore):
    async def renew(self, key: str, holder: str, /, *, lease_s: float, pieces: Sequence[bytes] = ()) -> bool:
        if holder == "stranger" and (lease := self.lease(key)):
            lease.pieces.extend(pieces)
        return await super().renew(key, holder, lease_s=lease_s, pieces=pieces)


@noticed_by("refuses_strangers")
class LetsStrangersLeave(TableStore):
    async def leave(self, key: str, holder: str, /) -> None:
        self.table.leases.pop(key, None)


@noticed_by("refuses_strangers")
class RefusesAllWhoComeBack(TableStore):
    async def renew(self, key: str, holder: str, /, *, lease_s: float, pieces: Sequence[bytes] = ()) -> bool:
        return bool(pieces) and await super().renew(key, holder, lease_s=lease_s, pieces=pieces)


@noticed_by("lengthens_leases")
class RenewsForNothing(TableStore):
    async def renew(self, key: str, holder: str, /, *, lease_s: float, pieces: Sequence[bytes] = ()) -> bool:
        return self.own(key, holder) is not None


@noticed_by("keeps_pieces_in_order")
class TurnsPiecesRound(TableStore):
    async def renew(self, key: str, holder: str, /, *, lease_s: float, pieces: Sequence[bytes] = ()) -> bool:
        return await super().renew(key, holder, lease_s=lease_s, pieces=pieces[::-1])


@noticed_by("keeps_pieces_in_order")
class ShowsAllPieces(TableStore):
    async def watch(self, key: str, /, *, since: int = 0) -> Watched:
        return await super().watch(key)


@noticed_by("keeps_pieces_in_order")
class RefusesHolders(TableStore):
    async def renew(self, key: str, holder: str, /, *, lease_s: float, pieces: Sequence[bytes] = ()) -> bool:
        return False


@noticed_by("shows_values_when_joining")
class JoinsNobody(TableStore):
    async def join(self, key: str, holder: str, /, *, lease_s: float) -> Joined:
        return Joined(held=False, value=self.value(key))


@noticed_by("shows_values_when_joining")
class JoinsWithoutValues(TableStore):
    async def join(self, key: str, holder: str, /, *, lease_s: float) -> Joined:
        return Joined(held=(await super().join(key, holder, lease_s=lease_s)).held)


@noticed_by("shows_values_when_joining")
class WatchesWithoutValues(TableStore):
    async def watch(self, key: str, /, *, since: int = 0) -> Watched:
        return replace(await super().watch(key, since=since), value=None)


@noticed_by("puts_and_leaves_at_once")
class LeavesBeforeItPuts(TableStore):
    async def put(self, key: str, value: bytes, /, *, holder: str | None = None, **others: Any) -> None:
        await self.leave(key, str(holder))
        await asyncio.sleep(0.001)
        await super().put(key, value, **others)


@noticed_by("puts_for_its_holder")
class PutsAndFrees(TableStore):
    async def put(self, key: str, value: bytes, /, **others: Any) -> None:
        await super().put(key, value, **others)
        self.table.leases.pop(key, None)


@noticed_by("puts_for_its_holder")
class PutsAndStays(TableStore):
    async def put(self, key: str, value: bytes, /, *, holder: str | None = None, **others: Any) -> None:
        await super().put(key, value, **others)


@noticed_by("puts_for_its_holder")
class PutsForHoldersOnly(TableStore):
    async def put(self, key: str, value: bytes, /, *, holder: str | None = None, **others: Any) -> None:
        if holder != "holder" or self.own(key, holder):
            await super().put(key, value, holder=holder, **others)


@noticed_by("lets_holders_leave")
class NeverLeaves(TableStore):
    async def leave(self, key: str, holder: str, /) -> None:
        """Does nothing."""


@noticed_by("lets_holders_leave")
class TakesItsValueAlong(TableStore):
    async def leave(self, key: str, holder: str, /) -> None:
        await super().leave(key, holder)
        self.table.values.pop(key, None)


@noticed_by("lets_holders_leave")
class RemembersLeases(TableStore):
    """Hides a lease that was given up, but still renews it."""

    async def leave(self, key: str, holder: str, /) -> None:
        if lease := self.own(key, holder):
            lease.holder, lease.pieces = f"({holder})", []

    async def watch(self, key: str, /, *, since: int = 0) -> Watched:
        watched = await super().watch(key, since=since)
        return replace(watched, holder=None) if (watched.holder or "").startswith("(") else watched

    async def renew(self, key: str, holder: str, /, *, lease_s: float, pieces: Sequence[bytes] = ()) -> bool:
        return self.own(key, f"({holder})") is not None or await super().renew(
            key, holder, lease_s=lease_s, pieces=pieces
        )

    async def join(self, key: str, holder: str, /, *, lease_s: float) -> Joined:
        if self.own(key, f"({holder})"):
            del self.table.leases[key]
        return await super().join(key, holder, lease_s=lease_s)


@noticed_by("lets_holders_leave")
class BarsLeftLeases(TableStore):
    """Gives a lease that was given up to its old holder alone."""

    left: dict[str, str] = {}  # noqa: RUF012 - shared by all of them, as data are

    async def leave(self, key: str, holder: str, /) -> None:
        await super().leave(key, holder)
        self.left[key] = holder

    async def join(self, key: str, holder: str, /, *, lease_s: float) -> Joined:
        if self.left.get(key, holder) != holder:
            return Joined(held=False, value=self.value(key))
        return await super().join(key, holder, lease_s=lease_s)


@noticed_by("closes")
class TakesItsValuesAlong(TableStore):
    async def aclose(self) -> None:
        self.table.values.clear()


@noticed_by("closes")
class TakesItsLeasesAlong(TableStore):
    async def aclose(self) -> None:
        self.table.leases.clear()


class OneForEachThread(TableStore):
    """Keeps what it is told in the thread that tells it."""

    tables = threading.local()

    @property
    def mine(self) -> Table:
        if not hasattr(self.tables, "table"):
            self.tables.table = Table()
        table: Table = self.tables.table
        return table


@noticed_by("works_from_many_loops")
class HasLeasesForEachThread(OneForEachThread):
    async def join(self, key: str, holder: str, /, *, lease_s: float) -> Joined:
        return await TableStore(self.mine, now=self.now).join(key, holder, lease_s=lease_s)


@noticed_by("works_from_many_loops")
class ForgetsInThreads(TableStore):
    async def get(self, key: str, /) -> bytes | None:
        return await super().get(key) if threading.current_thread() is threading.main_thread() else None


@noticed_by("withstands_stress")
class GarblesSomeValues(TableStore):
    def value(self, key: str) -> bytes | None:
        value = super().value(key)
        return value[:-1] if value is not None and len(value) > 10_000 else value


@noticed_by("withstands_stress")
class LosesSomeValues(TableStore):
    def value(self, key: str) -> bytes | None:
        value = super().value(key)
        return None if value is not None and len(value) > 10_000 else value


@noticed_by("withstands_stress")
class RaisesSometimes(TableStore):
    async def put(self, key: str, value: bytes, /, **others: Any) -> None:
        if len(value) > 10_000 and key in self.table.values:
            raise OSError("the disk is full")
        await super().put(key, value, **others)
