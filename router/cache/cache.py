"""The cache as a router has it: memory in front, a store behind it that others share, and flights between requests.

Whatever the store does, the cache costs no request its answer: a store that is down is a miss.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from router.cache.codec import Codec, Label, label_of
from router.cache.flights import Flights
from router.cache.guard import Guard
from router.cache.near import Near
from router.cache.store import Store
from router.core.caching import Entry
from router.errors import RequestError, RouterError, warn
from router.state.patience import BUDGET_S, Patience

T = TypeVar("T")

LEASE_S: Final = 5.0
MEMORY_TTL_S: Final = 5.0
MAX_ENTRY_BYTES: Final = 1_000_000

_DELETE_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Which stored answers are meant: those for which all that is stated holds.

    Attributes:
        key: content key, 64 hex digits.
        tags: of the request that paid; its others do not matter.
        tenant: of that request.
        model: name of the model that answered.
        older_than_s: stored before so many seconds.
        everything: stated where all of them are meant: a selector that states nothing takes nothing out.
    """

    key: str | None = None
    tags: Mapping[str, str] | None = None
    tenant: str | None = None
    model: str | None = None
    older_than_s: float | None = None
    everything: bool = False

    def takes(self, key: str, label: Label, now_s: float, /) -> bool:
        """Returns whether an answer is meant."""
        return (
            (self.key is None or key == self.key)
            and all(label.tags.get(name) == value for name, value in (self.tags or {}).items())
            and (self.tenant is None or label.tenant == self.tenant)
            and (self.model is None or label.model == self.model)
            and (self.older_than_s is None or now_s - label.stored_s > self.older_than_s)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Purged:
    """What a purge took out, or would take out.

    Attributes:
        entries: how many answers.
        size_bytes: their size.
        dry_run: whether they still stand.
    """

    entries: int
    size_bytes: int
    dry_run: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStats:
    """How full a cache is.

    Attributes:
        backend: kind of the store; "memory" where there is none but this process's own.
        entries, size_bytes: of the store; of this process's memory where there is none.
        by_model, by_tenant: entries by the model that answered, and by tenant; requests without one under "".
        oldest_s: age of the oldest entry; None where there is none.
        memory_entries, memory_bytes: of this process's memory.
        evicted: entries that this process's memory had no room for any more.
        unreadable: values that this version cannot read; another one wrote them, or they are not ours.
        store: "closed" while the store is asked, else "open" or "half_open", as breakers say it.
    """

    backend: str
    entries: int
    size_bytes: int
    by_model: Mapping[str, int]
    by_tenant: Mapping[str, int]
    oldest_s: float | None
    memory_entries: int
    memory_bytes: int
    evicted: int
    unreadable: int
    store: str


class Cache:
    """Keeps answers by content key.

    Args:
        near: this process's memory.
        now: tells the time, in Unix seconds.
        store: what other processes share; None where there is no such thing.
        backend: kind of the store.
        codec: writes values for the store, and reads them.
        memory_ttl_s: for how long memory answers without asking the store, so that what was purged or refreshed
            elsewhere is noticed. Without a store it does not matter.
        max_entry_bytes: larger answers are not kept.
        lease_s: how long a process that died is taken to be still asking.
        store_wait_s: how long the calls of one request may wait for the store, all together.
    """

    def __init__(  # noqa: PLR0913 - one for each option of `[cache]`
        self,
        *,
        near: Near,
        now: Callable[[], float],
        store: Store | None = None,
        backend: str = "memory",
        codec: Codec | None = None,
        memory_ttl_s: float = MEMORY_TTL_S,
        max_entry_bytes: int = MAX_ENTRY_BYTES,
        lease_s: float = LEASE_S,
        store_wait_s: float = BUDGET_S,
    ) -> None:
        self.near = near
        self.now = now
        self.backend = backend
        self.codec = Codec() if codec is None else codec
        self.lease_s = lease_s
        self.flights = Flights()
        self.guard = Guard(store, budget_s=store_wait_s) if store is not None else None
        self._store = store
        self._memory_ttl_s = memory_ttl_s if store is not None else math.inf
        self._max_entry_bytes = max_entry_bytes

    async def get(self, key: str, /) -> Entry | None:
        """Returns what is stored under a key."""
        return self.near.get(key, self.now()) or await self.fetch(key, Patience())

    async def fetch(self, key: str, patience: Patience, /) -> Entry | None:
        """Returns what the store has under a key."""
        if self.guard is None:
            return None
        return self.read(key, await self.guard.get(key, patience=patience))

    def read(self, key: str, value: bytes | None, /) -> Entry | None:
        """Returns a value of the store as an entry that may still be found, and remembers it.

        What memory has stays where it is newer: a refresh here may have overtaken the look into the store.
        """
        entry = self.codec.decode(key, value) if isinstance(value, bytes) else None
        if entry is None or value is None:
            return None
        now_s = self.now()
        if now_s - entry.stored_s >= entry.ttl_s:
            return None
        self.near.offer(entry, len(value), now_s, until_s=now_s + self._memory_ttl_s)
        return entry

    async def put(self, entry: Entry, /) -> None:
        """Stores an entry, over any other of its key."""
        value = self.remember(entry)
        if value is not None:
            await self.send(entry, value, Patience())

    def remember(self, entry: Entry, /) -> bytes | None:
        """Puts an entry into this process's memory; returns the value for the store.

        None where it is too large, or holds what is no JSON: then it is not kept anywhere.
        """
        value = self.codec.encode(entry)
        if value is None or len(value) > self._max_entry_bytes:
            return None
        self.near.put(entry, len(value), self.now() + self._memory_ttl_s)
        return value

    async def send(self, entry: Entry, value: bytes, patience: Patience, /, *, holder: str | None = None) -> bool:
        """Puts an entry's value into the store, and gives up the lease of `holder` with it; returns whether it did."""
        if self.guard is None:
            return False
        label = self.codec.label(entry)
        return await self.guard.put(entry.key, value, label=label, ttl_s=entry.ttl_s, holder=holder, patience=patience)

    async def purge(self, selector: Selector, /, *, dry_run: bool = True) -> Purged:
        """Takes out the answers that a selector means; on a dry run only counts them.

        Other processes may answer from their memory for `memory_ttl_s` more seconds.

        Raises:
            RequestError: nothing is selected, and it is no dry run.
            Exception: whatever the store raises; who purges must know that it was not done.
        """
        if not dry_run and selector == Selector():
            raise RequestError("a selector that states nothing takes nothing out; Selector(everything=True) does")
        keys: list[str] = []
        size_bytes = 0
        now_s = self.now()
        async for key, label, size in self._everything():
            if label is not None and selector.takes(key, label, now_s):
                keys.append(key)
                size_bytes += size
        if not dry_run:
            near = [e.key for e, _ in self.near.rows() if selector.takes(e.key, label_of(e), now_s)]
            self.near.delete(near)
            if self._store is not None:
                for start in range(0, len(keys), _DELETE_AT_ONCE):
                    await self._store.delete(keys[start : start + _DELETE_AT_ONCE])
        return Purged(entries=len(keys), size_bytes=size_bytes, dry_run=dry_run)

    async def stats(self) -> CacheStats:
        """Returns how full the cache is.

        Raises:
            Exception: whatever the store raises.
        """
        entries = size_bytes = unreadable = 0
        by_model: dict[str, int] = {}
        by_tenant: dict[str, int] = {}
        oldest_s: float | None = None
        async for _, label, size in self._everything():
            entries += 1
            size_bytes += size
            if label is None:
                unreadable += 1
                continue
            by_model[label.model] = by_model.get(label.model, 0) + 1
            by_tenant[label.tenant or ""] = by_tenant.get(label.tenant or "", 0) + 1
            oldest_s = max(oldest_s or 0.0, self.now() - label.stored_s)
        near = self.near.stats()
        return CacheStats(
            backend=self.backend,
            entries=entries,
            size_bytes=size_bytes,
            by_model=by_model,
            by_tenant=by_tenant,
            oldest_s=oldest_s,
            memory_entries=near.entries,
            memory_bytes=near.size_bytes,
            evicted=near.evicted,
            unreadable=unreadable,
            store=self.guard.state if self.guard is not None else "closed",
        )

    async def aclose(self) -> None:
        """Closes what the store has open."""
        try:
            if self._store is not None:
                await self._store.aclose()
        except Exception as error:  # noqa: BLE001 - what else is open must close all the same
            warn(f"{type(self._store).__name__} did not close: {type(error).__name__}")

    async def _everything(self) -> AsyncIterator[tuple[str, Label | None, int]]:
        """Yields key, label and size of all that is kept; no label where it cannot be read."""
        if self._store is None:
            now_s = self.now()
            for entry, size_bytes in self.near.rows():
                if now_s - entry.stored_s < entry.ttl_s:
                    yield entry.key, label_of(entry), size_bytes
            return
        async for row in self._store.scan():
            yield row.key, self.codec.decode_label(row.label), row.size_bytes


async def told(asked: Coroutine[Any, Any, T], /) -> T:
    """Returns what a cache says; what its store's library raises may hold an address, and that a password.

    Raises:
        RouterError: the store does not help.
    """
    try:
        return await asked
    except RouterError:
        raise
    except Exception as error:  # noqa: BLE001 - as above
        raise RouterError(f"the cache's store does not help ({type(error).__name__})") from None
