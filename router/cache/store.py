"""The seam between the cache and what keeps its answers for several processes.

A store keeps bytes by content key and knows nothing of what they say: they are versioned JSON, sealed where the
configuration gives a key. Beside each value stands a label, for purges and statistics. And it keeps leases: who holds
the lease of a key is asking a provider for its answer, and the others wait. What the holder has got so far of a
streamed answer stands beside the lease, in pieces.

A lease is renewed while its holder is at work, and lapses by the store's own clock when it is not.

A store raises whatever its library raises: the guard in front of it turns that into a miss, a warning and a rest. No
method takes longer than it must: nobody waits for a lease inside a store.

`router.testing.stores.check_store` is the conformance suite of every store.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One value that a store keeps, without the value.

    Attributes:
        key: 64 hex digits.
        label: as it was put.
        size_bytes: of the value.
    """

    key: str
    label: bytes
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """What came of asking for a lease.

    Attributes:
        held: whether it is now the asker's.
        value: what stands under the key at that same moment; None where nothing does.
    """

    held: bool
    value: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """How a key stands while another one holds its lease.

    Attributes:
        holder: who holds the lease; None where nobody does any more.
        value: what stands under the key; None where nothing does.
        pieces: what the holder published from the number on that was asked for, in order.
    """

    holder: str | None
    value: bytes | None = field(default=None, repr=False)
    pieces: tuple[bytes, ...] = field(default=(), repr=False)


class Store(Protocol):
    """Keeps values and leases. Every method may be called from any thread, event loop and process."""

    async def get(self, key: str, /) -> bytes | None:
        """Returns the value; None where there is none, or its time is over."""
        ...

    async def put(self, key: str, value: bytes, /, *, label: bytes, ttl_s: float, holder: str | None = None) -> None:
        """Stores the value, over any other, for so many seconds; gives up the lease of `holder`, if it holds one."""
        ...

    async def delete(self, keys: Sequence[str], /) -> None:
        """Takes values out; those that are not there are passed over."""
        ...

    def scan(self) -> AsyncIterator[Row]:
        """Yields every value that may still be found, in any order, without holding up those who read and write."""
        ...

    async def join(self, key: str, holder: str, /, *, lease_s: float) -> Joined:
        """Takes the lease where it is free, lapsed, or the holder's own already; one atomic step.

        A lease newly taken has no pieces.
        """
        ...

    async def renew(self, key: str, holder: str, /, *, lease_s: float, pieces: Sequence[bytes] = ()) -> bool:
        """Lengthens the lease to so many seconds from now, and publishes pieces after those before.

        Returns whether it is still the holder's; where it is not, nothing is changed.
        """
        ...

    async def watch(self, key: str, /, *, since: int = 0) -> Watched:
        """Returns how the key stands, with the pieces from number `since` (from 0) on, at one moment."""
        ...

    async def leave(self, key: str, holder: str, /) -> None:
        """Gives up the lease with its pieces, where it is the holder's."""
        ...

    async def aclose(self) -> None:
        """Closes the connections that belong to the running event loop, and whatever belongs to all of them."""
        ...
