"""Equal requests of one process that are under way: one leads and asks a provider, the others follow what it gets.

Leader and followers may sit in different tasks, threads and event loops. No lock guards what they share, so that none
can stay locked: in a forked child, or under a coroutine that the garbage collector closes in the middle of something
else. One rule takes its place. Who waits puts itself on the list first, and looks for news then; who has news publishes
it first, and wakes those on the list then. So at least one of the two sees the other. Every step on a list or a
dictionary is atomic by itself.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterable
from contextlib import suppress

from router.core.answer import Chunk
from router.core.caching import Entry, Source
from router.state.process import PerProcess


class Flights:
    """The flights that are in the air in this process, by key; a forked child starts with none."""

    def __init__(self) -> None:
        self._tables: PerProcess[dict[str, Flight]] = PerProcess({}, lambda _: {})

    def __len__(self) -> int:
        return len(self._tables.get())

    def board(self, key: str, /) -> tuple[Flight, bool]:
        """Returns the flight of a key that is in the air, or a new one, and whether the caller leads it.

        Who leads must land it or let it crash whatever happens, since others wait for that. An answer may have been
        stored and its flight have landed between the last look into the cache and this call: who leads looks again.
        """
        table = self._tables.get()
        flight = table.get(key)
        if flight is not None and flight.stranded:
            flight.crash()
        elif flight is not None:
            return flight, False
        mine = Flight(key, table)
        flight = table.setdefault(key, mine)
        return flight, flight is mine


class Flight:
    """One call that is shared.

    Its leader shows pieces and lands from one task; `crash` may come from anywhere.

    Args:
        key: content key of the requests.
        table: where it stands under its key while it is in the air.

    Attributes:
        key: as given.
        entry: what it landed with; None while it is in the air, and after a crash.
        ended: whether it has landed or crashed.
        source: whose answer its pieces are; None before the first one.
    """

    __slots__ = (
        "_chunks",
        "_ending",
        "_followers",
        "_for_end",
        "_for_more",
        "_loop",
        "_table",
        "ended",
        "entry",
        "key",
        "source",
    )

    def __init__(self, key: str, table: dict[str, Flight]) -> None:
        self.key = key
        self.entry: Entry | None = None
        self.ended = False
        self.source: Source | None = None
        self._loop = _running_loop()
        self._table = table
        # Taken by the first who ends the flight, and never given back: nobody ever waits for it.
        self._ending = threading.Lock()
        self._chunks: list[Chunk] = []
        self._followers: set[_Follower] = set()
        self._for_more: dict[asyncio.Future[None], None] = {}
        self._for_end: dict[asyncio.Future[None], None] = {}

    @property
    def followers(self) -> int:
        """How many follow now."""
        return len(self._followers)

    @property
    def stranded(self) -> bool:
        """Whether the event loop of its leader was closed under it, so that nobody will end it."""
        return self._loop is not None and self._loop.is_closed()

    def show(self, chunk: Chunk, source: Source, /) -> None:
        """Appends a piece of a streamed answer, and notes whose it is; changes nothing after the end."""
        if self.ended:
            return
        self.source = source
        self._chunks.append(chunk)
        _wake(self._for_more)

    def land(self, entry: Entry, /) -> None:
        """Ends the flight with its result; changes nothing after the end."""
        self._end(entry)

    def crash(self) -> None:
        """Ends the flight with nothing: those who follow board again, and one of them leads."""
        self._end(None)

    async def follow(self, *, timeout_s: float) -> AsyncGenerator[Chunk]:
        """Yields the pieces that have come so far and then the others as they come; ends when the flight has ended.

        A flight that was not streamed yields nothing. To be closed by who leaves before the end.

        Raises:
            TimeoutError: the flight has not ended within `timeout_s` seconds of the first step.
        """
        read = 0
        follower = self._join(timeout_s)
        try:
            while True:
                ended = self.ended  # asked before the pieces are: of a flight that had ended, these are all
                for chunk in self._chunks[read:]:
                    read += 1
                    yield chunk
                if ended:
                    return
                await self._called(follower, read)
        finally:
            self._quit(follower)

    async def wait(self, *, timeout_s: float) -> Entry | None:
        """Returns what the flight landed with, when it has ended; None after a crash.

        Raises:
            TimeoutError: the flight has not ended within `timeout_s` seconds.
        """
        follower = self._join(timeout_s)
        try:
            while not self.ended:
                await self._called(follower, None)
        finally:
            self._quit(follower)
        return self.entry

    def _end(self, entry: Entry | None) -> None:
        if not self._ending.acquire(blocking=False):
            return
        # First out of the table: who is woken by a crash and boards again must not find this flight.
        self._table.pop(self.key, None)
        self.entry = entry
        self.ended = True
        _wake(self._for_more)
        _wake(self._for_end)

    def _join(self, timeout_s: float) -> _Follower:
        follower = _Follower(timeout_s)
        self._followers.add(follower)
        return follower

    def _quit(self, follower: _Follower) -> None:
        follower.stop()
        self._followers.discard(follower)

    async def _called(self, follower: _Follower, read: int | None) -> None:
        """Returns when the flight has ended or has more than `read` pieces, or the follower's time is up.

        Args:
            follower: who waits.
            read: how many pieces it has; None waits for the end alone.

        Raises:
            TimeoutError: the follower's time was up before.
        """
        if follower.late:
            raise TimeoutError(f"an equal request that is under way did not end within {follower.timeout_s:.1f} s")
        waiting = self._for_end if read is None else self._for_more
        called = follower.renew()
        waiting[called] = None
        try:
            if not (self.ended or (read is not None and len(self._chunks) > read)):
                await called
        finally:
            waiting.pop(called, None)


class _Follower:
    """One who follows: what it waits for now, and until when."""

    __slots__ = ("_called", "_expired", "_loop", "_timer", "_until", "timeout_s")

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._until = self._loop.time() + timeout_s
        self._timer = self._loop.call_at(self._until, self._expire)
        self._expired = False
        self._called: asyncio.Future[None] | None = None

    @property
    def late(self) -> bool:
        """Whether its time is up."""
        # A timer may fire a little early; and never fires while pieces come so fast that the loop gets no turn.
        return self._expired or self._loop.time() >= self._until

    def renew(self) -> asyncio.Future[None]:
        """Returns what it waits for next."""
        self._called = self._loop.create_future()
        return self._called

    def stop(self) -> None:
        """Stops its clock."""
        self._timer.cancel()

    def _expire(self) -> None:
        self._expired = True
        if self._called is not None:
            _end_all((self._called,))


def _wake(waiting: dict[asyncio.Future[None], None]) -> None:
    """Empties a list of those who wait, and wakes each in its own loop, other loops once for all of theirs."""
    if not waiting:
        return
    by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for called in list(waiting):  # a copy, made in one step: others come and go meanwhile
        waiting.pop(called, None)
        by_loop.setdefault(called.get_loop(), []).append(called)
    here = _running_loop()
    for loop, theirs in by_loop.items():
        if loop is here:
            _end_all(theirs)
            continue
        with suppress(RuntimeError):  # the loop is closed: nobody is left there
            loop.call_soon_threadsafe(_end_all, theirs)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:  # a plain thread
        return None


def _end_all(called: Iterable[asyncio.Future[None]]) -> None:
    """Ends waits; to be called in their loop."""
    for future in called:
        if not future.done():
            future.set_result(None)
