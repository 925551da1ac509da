"""What stands between the cache and a store that may be down: it costs a miss, a warning and 50 ms, never an answer.

Whether the store is asked: `router/state/health.py`. How long it is waited for: `router/state/patience.py`. A call runs
in its caller's own task. One that never suspends (a read from SQLite) needs no timer, and no event loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, ParamSpec, TypeVar

from router.cache.store import Joined, Store, Watched
from router.errors import warn
from router.state.health import GuardState, Health, forked
from router.state.patience import BUDGET_S, Patience, limited
from router.state.process import PerProcess

P = ParamSpec("P")
T = TypeVar("T")


class Guard:
    """Asks a store, and answers for it where it fails, is late, or rests. Its methods are those of the store.

    Safe to use from several threads and event loops. A forked child knows what its parent knew.

    Args:
        store: what to guard.
        clock: seconds since some moment; tells when a rest is over.
        budget_s: what the patience of one request is.
    """

    def __init__(
        self, store: Store, *, clock: Callable[[], float] = time.monotonic, budget_s: float = BUDGET_S
    ) -> None:
        self._store = store
        self._clock = clock
        self._budget_s = budget_s
        self._health = PerProcess(Health(), forked)

    def patience(self) -> Patience:
        """Returns that of a new request."""
        return Patience(self._budget_s)

    @property
    def state(self) -> GuardState:
        """Whether the store is asked, rests, or is asked once to see how it is."""
        return self._health.get().state(self._clock)

    @property
    def failures(self) -> int:
        """How many calls of this process failed or were late."""
        return self._health.get().failures

    async def get(self, key: str, /, *, patience: Patience) -> bytes | None:
        """Returns the value; None where there is none, or the store did not help."""
        return await self._asked(patience, self._store.get, key)

    async def put(
        self,
        key: str,
        value: bytes,
        /,
        *,
        label: bytes,
        ttl_s: float,
        holder: str | None = None,
        patience: Patience,
    ) -> bool:
        """Stores the value; returns whether the store did."""
        put = partial(self._store.put, key, value, label=label, ttl_s=ttl_s, holder=holder)
        return await self._asked(patience, _done, put) is not None

    async def join(self, key: str, holder: str, /, *, lease_s: float, patience: Patience) -> Joined | None:
        """Returns what came of asking for a lease; None where the store did not help, so that nobody knows."""
        return await self._asked(patience, self._store.join, key, holder, lease_s=lease_s)

    async def renew(
        self, key: str, holder: str, /, *, lease_s: float, pieces: Sequence[bytes] = (), patience: Patience
    ) -> bool | None:
        """Returns whether the lease is still the holder's; None where the store did not help.

        Then nobody knows whether it has the pieces.
        """
        return await self._asked(patience, self._store.renew, key, holder, lease_s=lease_s, pieces=pieces)

    async def watch(self, key: str, /, *, since: int = 0, patience: Patience) -> Watched | None:
        """Returns how the key stands; None where the store did not help."""
        return await self._asked(patience, self._store.watch, key, since=since)

    async def leave(self, key: str, holder: str, /, *, patience: Patience) -> None:
        """Gives up the lease, as far as the store helps; else it lapses."""
        await self._asked(patience, self._store.leave, key, holder)

    async def _asked(
        self, patience: Patience, ask: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **options: P.kwargs
    ) -> T | None:
        """Returns what the store says; None where it is not asked, fails, or is late."""
        health, whole = self._health.get(), patience.whole
        epoch = None if patience.spent else health.entered(self._clock)
        if epoch is None:
            return None
        try:
            answer = await limited(ask(*args, **options), patience)
        except TimeoutError as error:
            if whole:
                self._note(health, epoch, error)
            else:  # the calls before took most of the time, and went well: the store is slow, not down
                health.left(epoch)
            return None
        except Exception as error:  # noqa: BLE001 - whatever a store's library raises, it must not cost an answer
            self._note(health, epoch, error)
            return None
        except BaseException:
            health.left(epoch)
            raise
        health.helped(epoch)
        return answer

    def _note(self, health: Health, epoch: int, error: Exception) -> None:
        if health.failed(epoch, self._clock):
            warn(
                f"the cache's {type(self._store).__name__} does not help ({type(error).__name__}); requests go on "
                "without it, and it is tried again from time to time"
            )


async def _done(work: Callable[[], Coroutine[Any, Any, None]]) -> bool:
    await work()
    return True
