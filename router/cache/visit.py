"""One request's visit to the cache: the look before anyone is asked, the flight it leads or follows, what it leaves.

    recall ── in this process's memory ──────────────────────> found
    arrive ── board the flight of the key in this process
                └─ lead a new one ── in the store ───────────> found
    look ───── one flies already: follow it ── landed ───────> found
           │                                └─ crashed ─> board again
           └── lead: take the key's lease in the store
                 ├─ taken: ask a provider, then land or leave
                 └─ another process has it: relay what it publishes to those who follow here
                      ├─ landed ─────────────────────────────> found
                      └─ lapsed ─> board again

What is found counts only if the machine says so (`NeedLookup.refusal`); what does not count is as nothing. Whoever asks
a provider does so within its own bounds, and a follower waits within its own deadline. When the store does not help,
the request goes on without it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final, cast

from router.cache.cache import Cache
from router.cache.flights import Flight
from router.cache.guard import Guard
from router.cache.lease import Lease
from router.cache.resume import Resume
from router.cache.store import Watched
from router.core.answer import Answer, Chunk
from router.core.caching import CacheKind, Entry, Hit, Source, hit_of, own_copy
from router.core.machine import NeedLookup
from router.state.patience import Patience

Unusable = Callable[[Answer], str | None]
"""Returns why an answer does not pass the checks of the request; None where it does."""

_POLL_FIRST_S: Final = 0.01
_POLL_MOST_S: Final = 0.1
"""How often a process looks whether another one's answer has come: ever more rarely, as answers take seconds."""


class Visit:
    """What one request has to do with the cache.

    Args:
        cache: which.
        streamed: whether the request's caller wants to see pieces.
        unusable: checks an answer for the request.

    Attributes:
        hit: what was looked at last; None where nothing was found.
        entry: what the hit was made of.
        found: whether it counts.
        rest: what of it the caller of a stream has not seen.
    """

    def __init__(self, cache: Cache, *, streamed: bool, unusable: Unusable) -> None:
        self._cache = cache
        self._streamed = streamed
        self._unusable = unusable
        self._patience = Patience()
        self._resume = Resume() if streamed else None
        self._boarded: tuple[Flight, bool] | None = None
        self._flight: Flight | None = None
        self._lease: Lease | None = None
        self._holder: str | None = None
        self.hit: Hit | None = None
        self.entry: Entry | None = None
        self.found = False
        self.rest: tuple[Chunk, ...] = ()

    @property
    def parted(self) -> bool:
        """Whether what came after a leader's end is not what the caller had seen of its answer."""
        return self._resume is not None and self._resume.diverged

    def recall(self, state: NeedLookup) -> bool:
        """Returns whether this process's memory has what counts."""
        given = state.course.given
        now_s = given.now.timestamp()
        entry = self._cache.near.get(given.key, now_s)
        return entry is not None and self._take(state, entry, "memory", now_s)

    async def arrive(self, state: NeedLookup) -> bool:
        """Returns whether the store has what counts; of equal requests that come together only the first one asks."""
        given = state.course.given
        if given.caching.mode == "only":
            return await self._fetch(state)
        flight, leads = self._boarded = self._cache.flights.board(given.key)
        if leads and self._cache.guard is not None and await self._fetch(state):
            flight.land(cast("Entry", self.entry))
        return self.found

    async def look(self, state: NeedLookup) -> AsyncGenerator[Chunk]:
        """Yields what followed streams show, until something is found or this request is to ask."""
        async with aclosing(self._pieces(state)) as chunks:
            async for chunk in chunks:
                for piece in self._fresh(chunk):
                    yield piece
        if self.found and self._resume is not None and self.entry is not None and self.entry.answer is not None:
            self.rest = self._resume.rest(own_copy(self.entry.answer))

    async def _pieces(self, state: NeedLookup) -> AsyncGenerator[Chunk]:
        given = state.course.given
        if self._boarded is None and (self.recall(state) or await self.arrive(state) or given.caching.mode == "only"):
            return
        loop = asyncio.get_running_loop()
        until = loop.time() + state.timeout_s
        while not (self.found or self._flight is not None or self.parted) and loop.time() < until:
            flight, leads = self._boarded or self._cache.flights.board(given.key)
            self._boarded = None
            chunks = self._lead(state, flight, until) if leads else self._follow(state, flight, until)
            async with aclosing(chunks):
                async for chunk in chunks:
                    yield chunk
            if self._resume is not None and not self.found:
                self._resume.restart()

    def show(self, chunk: Chunk, source: Source) -> tuple[Chunk, ...]:
        """Shows a piece of the answer to those who follow; returns what of it the request's own caller has not seen."""
        if self._flight is not None:
            self._flight.show(chunk, source)
        if self._lease is not None:
            self._lease.show(chunk, source)
        return self._fresh(chunk)

    def finish(self) -> tuple[Chunk, ...]:
        """Returns what was held back of an answer that has ended well; one with less than was shown has `parted`."""
        return () if self._resume is None else self._resume.finish()

    async def land(self, entry: Entry, *, keep: bool) -> None:
        """Ends the flight with what came of it.

        Args:
            entry: for those who follow.
            keep: whether it is stored too.
        """
        value = self._cache.remember(entry) if keep else None
        flight, self._flight = self._flight, None
        if flight is not None:
            flight.land(entry)
        lease, self._lease = self._lease, None
        if lease is not None:
            await lease.stop()
        if value is not None and await self._cache.send(entry, value, Patience(), holder=self._holder):
            self._holder = None  # given up with it
        await self._give_up_lease(entry.key)

    async def leave(self, key: str) -> None:
        """Ends the flight with nothing, so that one of those who follow asks; nothing to do where it has landed."""
        if self._boarded is not None and self._boarded[1]:
            self._boarded[0].crash()
        flight, self._flight = self._flight, None
        if flight is not None:
            flight.crash()
        lease, self._lease = self._lease, None
        if lease is not None:
            await lease.stop()
        await self._give_up_lease(key)

    def _fresh(self, chunk: Chunk) -> tuple[Chunk, ...]:
        return (chunk,) if self._resume is None else self._resume.take(chunk)

    def _take(self, state: NeedLookup, entry: Entry, kind: CacheKind, now_s: float | None = None) -> bool:
        """Looks at an entry; returns whether it counts."""
        unusable = self._unusable(entry.answer) if entry.answer is not None else None
        self.entry = entry
        self.hit = hit_of(entry, kind, self._cache.now() if now_s is None else now_s, unusable=unusable)
        self.found = state.refusal(self.hit) is None
        return self.found

    async def _fetch(self, state: NeedLookup) -> bool:
        """Returns whether the store has what counts."""
        entry = await self._cache.fetch(state.course.given.key, self._patience)
        return entry is not None and self._take(state, entry, "shared")

    async def _follow(self, state: NeedLookup, flight: Flight, until: float) -> AsyncGenerator[Chunk]:
        """Yields what a flight of this process shows; looks at what it ends with."""
        timeout_s = until - asyncio.get_running_loop().time()
        try:
            if self._streamed:
                async with aclosing(flight.follow(timeout_s=timeout_s)) as chunks:
                    async for chunk in chunks:
                        if state.lives(flight.source):
                            yield chunk
            else:
                await flight.wait(timeout_s=timeout_s)
        except TimeoutError:
            return
        if flight.entry is not None:
            self._take(state, flight.entry, "flight")

    async def _lead(self, state: NeedLookup, flight: Flight, until: float) -> AsyncGenerator[Chunk]:
        """Leads a flight: finds what came since the first look, or takes the lease, or yields what its holder shows."""
        key, guard = state.course.given.key, self._cache.guard
        try:
            if self.recall(state):
                return
            if guard is None:
                self._flight = flight
                return
            self._holder = os.urandom(8).hex()
            joined = await guard.join(key, self._holder, lease_s=self._cache.lease_s, patience=self._patience)
            entry = self._cache.read(key, joined.value) if joined is not None else None
            if entry is not None and self._take(state, entry, "shared"):
                return
            if joined is None or joined.held:
                self._flight = flight
                self._lease = Lease(self._cache, guard, key, self._holder) if joined is not None else None
                return
            self._holder = None
            async with aclosing(self._relay(state, guard, flight, until)) as chunks:
                async for chunk in chunks:
                    yield chunk
        finally:
            if self._flight is not flight:
                if self.found and self.entry is not None:
                    flight.land(self.entry)
                flight.crash()
                await self._give_up_lease(key)

    async def _relay(self, state: NeedLookup, guard: Guard, flight: Flight, until: float) -> AsyncGenerator[Chunk]:
        """Shows those who follow here what the lease's holder in another process publishes; yields it too."""
        loop, key, codec = asyncio.get_running_loop(), state.course.given.key, self._cache.codec
        leader: str | None = None
        looked_at: bytes | None = None
        source: Source | None = None
        pause_s, seen = _POLL_FIRST_S, 0
        while loop.time() < until:
            watched: Watched | None = await guard.watch(key, since=seen, patience=Patience())
            if watched is None and not seen:
                self._flight = flight
            if watched is None:  # after a part was shown, whoever leads must begin a flight of its own
                return
            if watched.value is not None and watched.value != looked_at:
                looked_at = watched.value
                entry = self._cache.read(key, looked_at)
                if entry is not None and self._take(state, entry, "flight"):
                    return
            leader = leader or watched.holder
            if watched.holder is None or watched.holder != leader:
                return
            for piece in watched.pieces:
                chunk = codec.decode_chunk(key, seen, piece) if source is not None else None
                # After one that cannot be read none is shown: the whole will come.
                source = codec.decode_source(key, piece) if seen == 0 else source if chunk is not None else None
                seen += 1
                if chunk is not None and source is not None:
                    flight.show(chunk, source)
                    if state.lives(source):
                        yield chunk
            await asyncio.sleep(min(pause_s, max(0.0, until - loop.time())))
            pause_s = _POLL_FIRST_S * 2 if watched.pieces else min(pause_s * 1.5, _POLL_MOST_S)

    async def _give_up_lease(self, key: str) -> None:
        holder, self._holder = self._holder, None
        if holder is not None and self._cache.guard is not None:
            await self._cache.guard.leave(key, holder, patience=Patience())
