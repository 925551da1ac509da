"""What is done with a router besides asking: labels, the cache's upkeep, and usage from elsewhere."""

from __future__ import annotations

from router.cache.cache import Cache, CacheStats, Purged, Selector, told
from router.clock import Clock
from router.core.label import USER, checked_label
from router.loop import LoopThread
from router.sinks.labels import give
from router.sinks.sink import Sink


class Upkeep:
    """The part of a `Router` that asks nobody."""

    _cache: Cache
    _clock: Clock
    _sinks: tuple[Sink, ...]
    _thread: LoopThread

    def feedback(
        self, trace_id: str, /, *, adequate: bool | None = None, score: float | None = None, source: str = USER
    ) -> None:
        """Keeps beside the log whether an answer did; reports join it to the decision.

        Args:
            trace_id: the reply's.
            adequate: None where there is only a score.
            score: on a scale of the source's own.
            source: who says so; of one source the latest label of a trace counts.

        Raises:
            RequestError: a value is not allowed, or there is neither `adequate` nor `score`.
            ConfigError: there is no log.
            RouterError: the label cannot be written.
        """
        give(
            checked_label(trace_id, adequate=adequate, score=score, source=source, time=self._clock.now()), self._sinks
        )

    async def apurge(self, selector: Selector, /, *, dry_run: bool = True) -> Purged:
        """Takes out the stored answers that a selector means; on a dry run, which is the default, only counts them.

        Raises:
            RequestError: nothing is selected, and it is no dry run.
            RouterError: the store is down.
        """
        return await told(self._cache.purge(selector, dry_run=dry_run))

    def purge(self, selector: Selector, /, *, dry_run: bool = True) -> Purged:
        """`apurge` for code without an event loop."""
        return self._thread.run(self.apurge(selector, dry_run=dry_run))

    async def acache_stats(self) -> CacheStats:
        """Returns how full the cache is.

        Raises:
            RouterError: the store is down.
        """
        return await told(self._cache.stats())

    def cache_stats(self) -> CacheStats:
        """`acache_stats` for code without an event loop."""
        return self._thread.run(self.acache_stats())
