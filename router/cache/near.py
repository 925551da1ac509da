"""The cache's own memory: entries of one process, ready for use."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from typing import Final

from cachetools import Cache, LRUCache

from router.core.caching import Entry
from router.core.quick import quick
from router.state.process import PerProcess

ENTRY_BYTES: Final = 2_000
"""What an entry takes beside the bytes of its value: it is a dozen objects, with a place in two tables. For a
short answer that is 1.2 kB, for one with tool calls more; uncounted, 10 MB of short answers would take 50."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NearStats:
    """How full the memory is.

    Attributes:
        entries: how many it keeps.
        size_bytes: of all of them, `ENTRY_BYTES` for each beside its value.
        max_bytes: the most that may be.
        evicted: how many had to go for want of room since this process began.
    """

    entries: int
    size_bytes: int
    max_bytes: int
    evicted: int


class Near:
    """Keeps entries by content key, bounded in bytes; the one least recently used goes first.

    Safe to use from several threads. A forked child starts with a copy of what its parent had.

    Args:
        max_bytes: of all entries: the size of their values, and `ENTRY_BYTES` for each.
    """

    def __init__(self, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._own = PerProcess(_Own(max_bytes), _forked)

    def get(self, key: str, now_s: float, /) -> Entry | None:
        """Returns the entry; None where there is none, or its time is over.

        Args:
            key: content key.
            now_s: the time, in Unix seconds.
        """
        own = self._own.get()
        with own.lock:
            kept = own.cache.get(key)
            if kept is None:
                return None
            if kept.lasts(now_s):
                return kept.entry
            del own.cache[key]
            return None

    def put(self, entry: Entry, size_bytes: int, /, until_s: float = inf) -> None:
        """Keeps an entry, in the place of any other of its key. One that is larger than the whole is not kept.

        Args:
            entry: what to keep.
            size_bytes: of its value.
            until_s: when it is no longer to be found whatever its own time, in Unix seconds.
        """
        own = self._own.get()
        with own.lock:
            own.put(_Kept(entry=entry, size_bytes=size_bytes, until_s=until_s))

    def offer(self, entry: Entry, size_bytes: int, now_s: float, /, *, until_s: float) -> None:
        """Keeps an entry as `put` does, unless one of its key that was stored later may still be found.

        Args:
            entry, size_bytes, until_s: as for `put`.
            now_s: the time, in Unix seconds.
        """
        own = self._own.get()
        with own.lock:
            kept = own.cache.get(entry.key)
            if kept is None or kept.entry.stored_s <= entry.stored_s or not kept.lasts(now_s):
                own.put(_Kept(entry=entry, size_bytes=size_bytes, until_s=until_s))

    def delete(self, keys: Iterable[str], /) -> None:
        """Takes entries out; those that are not there are passed over."""
        own = self._own.get()
        with own.lock:
            for key in keys:
                own.cache.pop(key, None)

    def rows(self) -> list[tuple[Entry, int]]:
        """Returns every entry with the size of its value in bytes, as they stand now, those that are over included."""
        own = self._own.get()
        with own.lock:
            return [(kept.entry, kept.size_bytes) for kept in own.cache.unread()]

    def stats(self) -> NearStats:
        """Returns how full it is."""
        own = self._own.get()
        with own.lock:
            cache = own.cache
            return NearStats(
                entries=len(cache),
                size_bytes=int(cache.currsize),
                max_bytes=self._max_bytes,
                evicted=cache.evicted,
            )


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    entry: Entry
    size_bytes: int
    until_s: float

    def lasts(self, now_s: float) -> bool:
        """Returns whether it may be found still."""
        return now_s < self.until_s and now_s - self.entry.stored_s < self.entry.ttl_s


class _Lru(LRUCache[str, _Kept]):
    """Counts what it drops."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(max_bytes, getsizeof=_size_of)
        self.evicted = 0

    def popitem(self) -> tuple[str, _Kept]:
        self.evicted += 1
        return super().popitem()

    def unread(self) -> list[_Kept]:
        """Returns all values without counting that as a use of them."""
        return [Cache.__getitem__(self, key) for key in self]


def _size_of(kept: _Kept) -> int:
    return kept.size_bytes + ENTRY_BYTES


class _Own:
    """The memory of one process."""

    def __init__(self, max_bytes: int) -> None:
        self.lock = threading.Lock()
        self.cache = _Lru(max_bytes)

    def put(self, kept: _Kept) -> None:
        """Puts one in the place of another, if there is room for it at all; the lock is held."""
        key = kept.entry.key
        self.cache.pop(key, None)  # before, so that what it makes room for is not more than it needs
        if _size_of(kept) <= self.cache.maxsize:
            self.cache[key] = kept


def _forked(parent: _Own) -> _Own:
    """Returns a child's memory, put together anew: a thread of the parent may have been at work on the old one."""
    own = _Own(int(parent.cache.maxsize))
    for kept in parent.cache.unread():
        own.cache[kept.entry.key] = kept
    return own
