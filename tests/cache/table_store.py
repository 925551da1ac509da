"""The shortest store there is, a table in memory: what others are compared with, and what faulty ones begin with."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from router.cache.store import Joined, Row, Watched


@dataclass(slots=True)
class Lease:
    holder: str
    expires: float
    pieces: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class Table:
    """What several stores share: values with label and end, leases."""

    values: dict[str, tuple[bytes, bytes, float]] = field(default_factory=dict)
    leases: dict[str, Lease] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)


class TableStore:
    """A store whose parts can be replaced one by one, to break them."""

    def __init__(self, table: Table | None = None, *, now: Callable[[], float] = time.monotonic) -> None:
        self.table = Table() if table is None else table
        self.now = now

    def value(self, key: str) -> bytes | None:
        value, _, expires = self.table.values.get(key, (None, b"", 0.0))
        return value if expires > self.now() else None

    def lease(self, key: str) -> Lease | None:
        lease = self.table.leases.get(key)
        return lease if lease is not None and lease.expires > self.now() else None

    def own(self, key: str, holder: str | None) -> Lease | None:
        lease = self.lease(key)
        return lease if lease is not None and lease.holder == holder else None

    async def get(self, key: str, /) -> bytes | None:
        return self.value(key)

    async def put(self, key: str, value: bytes, /, *, label: bytes, ttl_s: float, holder: str | None = None) -> None:
        with self.table.lock:
            self.table.values[key] = (value, label, self.now() + ttl_s)
            if self.own(key, holder):
                del self.table.leases[key]

    async def delete(self, keys: Sequence[str], /) -> None:
        for key in keys:
            self.table.values.pop(key, None)

    async def scan(self) -> AsyncIterator[Row]:
        for key, (value, label, expires) in list(self.table.values.items()):
            if expires > self.now():
                yield Row(key=key, label=label, size_bytes=len(value))

    async def join(self, key: str, holder: str, /, *, lease_s: float) -> Joined:
        with self.table.lock:
            lease = self.lease(key)
            if lease is None:
                lease = self.table.leases[key] = Lease(holder, 0.0)
            if held := lease.holder == holder:
                lease.expires = self.now() + lease_s
            return Joined(held=held, value=self.value(key))

    async def renew(self, key: str, holder: str, /, *, lease_s: float, pieces: Sequence[bytes] = ()) -> bool:
        with self.table.lock:
            lease = self.own(key, holder)
            if lease is not None:
                lease.expires = self.now() + lease_s
                lease.pieces.extend(pieces)
            return lease is not None

    async def watch(self, key: str, /, *, since: int = 0) -> Watched:
        with self.table.lock:
            lease = self.lease(key)
            holder, pieces = (None, ()) if lease is None else (lease.holder, tuple(lease.pieces[since:]))
            return Watched(holder=holder, value=self.value(key), pieces=pieces)

    async def leave(self, key: str, holder: str, /) -> None:
        with self.table.lock:
            if self.own(key, holder):
                del self.table.leases[key]

    async def aclose(self) -> None:
        """There is nothing to close."""
