"""What is done with a router besides asking: replays, labels, the cache's upkeep, and usage from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from router.cache.cache import Cache, CacheStats, Purged, Selector, told
from router.clock import Clock
from router.core.decision import Decision
from router.core.label import USER, checked_label
from router.core.machine import NO_POLICY
from router.core.replay import Unobserved, replay
from router.intake import known
from router.loop import LoopThread
from router.recorded import Told, outside
from router.sinks.labels import give
from router.sinks.sink import Sink

if TYPE_CHECKING:
    from router.setup import Setup
    from router.state.treasury import Treasury


class Upkeep:
    """The part of a `Router` that asks nobody."""

    _cache: Cache
    _clock: Clock
    _setup: Setup
    _sinks: tuple[Sink, ...]
    _thread: LoopThread
    _treasury: Treasury | None
    _told: Told

    def _emit(self, decision: Decision, traced: Decision) -> None:
        raise NotImplementedError

    def replay(self, record: Mapping[str, Any], /) -> Decision | Unobserved:
        """Returns what this configuration decides for a logged request; calls nobody.

        Args:
            record: a decision's JSON, as the log has it.

        Raises:
            RequestError: the record's policy is not configured.
            ValueError: the record is of a schema that this version does not read.
        """
        name = record["policy"]
        policy = self._setup.policies[self._setup.default_policy]
        if name != NO_POLICY:
            policy = known("policy", name, self._setup.policies)
        return replay(record, catalog=self._setup.catalog, policy=policy, policies=self._setup.policies)

    async def arecord_usage(
        self,
        *,
        model: str,
        usage: Any,
        tags: Mapping[str, str] | None = None,
        tenant: str | None = None,
        policy: str | None = None,
        time: datetime | None = None,
        request_id: str | None = None,
    ) -> Decision:
        """Records what a call cost that the program made without the router; returns the record.

        It is priced by the same rows, counts in the budgets that apply, whatever their limits say, and stands in the
        log with the ending `recorded`.

        Args:
            model: a model's name in the catalog, or its id.
            usage: a `Usage`, or what OpenAI's, Anthropic's or Google's client has of it, an object or a mapping.
            tags, tenant, policy: as of a request; budgets and reports go by them.
            time: when the call was, with a time zone: it counts in the windows of then. None is now.
            request_id: names the call: what is recorded under one name counts once in budgets, until a day after
                `time`, and once in what this process logs. None counts each time.

        Raises:
            RequestError: the model or the policy is not configured, or a value is not allowed.
        """
        given = {"tags": tags, "tenant": tenant, "policy": policy, "request_id": request_id}
        told = outside(self._setup, self._clock.now(), model=model, usage=usage, time=time, **given)
        treasury = self._treasury
        purses = () if treasury is None else treasury.purses(told.hints, told.policy, (told.model,), told.at)
        claim = told.claim(purses)
        if treasury is not None and claim is not None and request_id is None:
            claim = treasury.apart(claim)
        decision = told.decision(purses, share=None if claim is None else claim.share)
        # The log first: what budgets have and the log has not, as the caller gave up between, a rebuild would lose.
        if self._told.first(request_id):
            self._emit(decision, decision)
        if treasury is not None and claim is not None:
            await treasury.spend(claim)
        return decision

    def record_usage(self, *, model: str, usage: Any, **given: Any) -> Decision:
        """`arecord_usage` for code without an event loop; takes the same arguments."""
        return self._thread.run(self.arecord_usage(model=model, usage=usage, **given))

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
