"""The lease of a key, held in the store while this process asks a provider for the key's answer."""

from __future__ import annotations

import asyncio
from typing import Final

from router.cache.cache import Cache
from router.cache.guard import Guard
from router.core.answer import Chunk
from router.core.caching import Source
from router.state.patience import Patience

_TOGETHER_S: Final = 0.05
"""Pieces of a stream that come within so many seconds are published together."""

_RENEWALS: Final = 3
"""How often a lease is renewed before it would lapse: two renewals may be lost."""


class Lease:
    """Renews itself until it is stopped, and publishes what is shown.

    Args:
        cache: whose codec and times it uses.
        guard: the store.
        key: content key.
        holder: who holds it.
    """

    def __init__(self, cache: Cache, guard: Guard, key: str, holder: str) -> None:
        self._cache = cache
        self._guard = guard
        self._key = key
        self._holder = holder
        self._source: Source | None = None
        self._pending: list[Chunk] = []
        self._published = 0
        self._whole = True
        self._more = asyncio.Event()
        self._task = asyncio.create_task(self._tend())

    def show(self, chunk: Chunk, source: Source) -> None:
        """Publishes a piece of the answer, soon; before the first one, whose it is."""
        self._source = source
        self._pending.append(chunk)
        self._more.set()

    async def stop(self) -> None:
        """Ends the renewals; the lease itself stands until it is left or lapses."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _tend(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._cache.lease_s / _RENEWALS):
                    await self._more.wait()
            except TimeoutError:
                pass
            else:
                await asyncio.sleep(_TOGETHER_S)
            self._more.clear()
            chunks, self._pending = self._pending, []
            pieces = self._encoded(chunks) if self._whole else []
            renewed = await self._guard.renew(
                self._key, self._holder, lease_s=self._cache.lease_s, pieces=pieces, patience=Patience()
            )
            # After a piece that may be lost no other is of use: followers wait for the whole.
            self._whole = self._whole and (renewed or not pieces)

    def _encoded(self, chunks: list[Chunk]) -> list[bytes]:
        codec, pieces = self._cache.codec, list[bytes]()
        if chunks and not self._published and self._source is not None:
            pieces.append(codec.encode_source(self._key, self._source))
        for chunk in chunks:
            piece = codec.encode_chunk(self._key, self._published + len(pieces), chunk)
            if piece is None:
                self._whole = False
                break
            pieces.append(piece)
        self._published += len(pieces)
        return pieces
