"""The gate that every attempt passes: breakers, limits, retry quotas and places, in this process.

`enter` says whether and where an attempt may be sent; `leave` tells how it ended. Both work from any thread and any
event loop. On the usual way (nothing is wrong, nobody waits) `enter` neither switches tasks nor calls the loop.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from router.core.breaker import BreakerSettings
from router.core.catalog import Model
from router.core.decision import Outcome
from router.core.place import ConcurrencySettings, Held, ModelState, Place
from router.core.quota import QuotaSettings
from router.state.lane import Ask, End, Key, Lane
from router.state.process import PerProcess
from router.state.queue import Waiter
from router.state.quotas import MemoryQuotas, RetryQuotas


@dataclass(slots=True)
class _Kept:
    """All that the gate remembers in one process."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    lanes: dict[str, Lane] = field(default_factory=dict)
    keys: dict[str, Key] = field(default_factory=dict)


class Gate:
    """Lets attempts through, or holds them back.

    Args:
        breaker: when a deployment or a key is not asked for a while.
        quota: how many retries there may be; unused where `quotas` are given.
        concurrency: places at a model that does not say itself.
        quotas: where retry quotas are kept; None keeps them in this process.
        monotonic: seconds since some moment; never runs backwards.
    """

    def __init__(
        self,
        *,
        breaker: BreakerSettings | None = None,
        quota: QuotaSettings | None = None,
        concurrency: ConcurrencySettings | None = None,
        quotas: RetryQuotas | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = breaker or BreakerSettings()
        self._concurrency = concurrency or ConcurrencySettings()
        self._quotas = MemoryQuotas(quota or QuotaSettings()) if quotas is None else quotas
        self._monotonic = monotonic
        self._kept = PerProcess(_Kept(), _forked)

    async def enter(
        self,
        model: Model,
        *,
        retry: bool = False,
        last: bool = False,
        tokens: int = 0,
        wait_s: float = 0.0,
        draw: float = 0.0,
        avoid: Collection[str] = (),
    ) -> Place | Held:
        """Returns where to send an attempt, or why it is not to be sent.

        A caller that is cancelled while it waits leaves no trace.

        Args:
            model: to be asked.
            retry: whether this request asked this model before; only such attempts draw on the retry quotas.
            last: whether nobody else is left for this request, so that neither a breaker, nor a rest that the provider
                asked for, nor a limit that it told holds it back; limits of the configuration, places and retry quotas
                do.
            tokens: that the attempt is expected to take, input and output.
            wait_s: how long to wait for a place at most.
            draw: in [0, 1), to choose between deployments.
            avoid: deployments that are not to be asked for this request, as they, or their keys, failed it before.
        """
        ask = Ask(last, tokens, draw, avoid)
        kept, now_s = self._kept.get(), self._monotonic()
        with kept.lock:
            lane = self._lane(kept, model, now_s)
            if lane.line.free and not retry:
                lane.line.taken += 1
                return self._send(lane, ask, now_s, retry=False)
            found = lane.pick(ask, now_s, keep_last=self._settings.keep_last)
            if isinstance(found, Held):
                return found
            if not lane.line.free and (lane.line.full or wait_s <= 0.0):
                return _full(lane)
        if retry and not await self._quotas.withdraw(model.name, now_s):
            return Held(reason="quota_spent", message=f"{model.name} was asked again too often of late")
        with kept.lock:
            if lane.line.free:
                lane.line.taken += 1
                return self._send(lane, ask, now_s, retry=retry)
            if lane.line.full:
                return _full(lane)
            waiter = lane.line.join(asyncio.get_running_loop())
        await _turn(kept, lane, waiter, wait_s)
        with kept.lock:
            if not waiter.granted:
                lane.line.quit(waiter)
                message = f"{model.name} had no free place within {wait_s:.1f} s"
                return Held(reason="queue_full", message=message)
            # The catalog may have changed meanwhile; the line is handed on, the deployments are not.
            return self._send(kept.lanes[model.name], ask, self._monotonic(), retry=retry)

    def leave(
        self,
        place: Place,
        outcome: Outcome,
        *,
        retry_after_s: float | None = None,
        headers: Mapping[str, str] | None = None,
        tokens: int | None = None,
    ) -> None:
        """Gives a place back; to be called for every place, whatever became of it. A second call changes nothing.

        Args:
            place: as `enter` returned it.
            outcome: of the attempt.
            retry_after_s: how long the provider asked to wait.
            headers: of the response, names in lower case, for the limits they tell.
            tokens: that the attempt took; None where that is unknown.
        """
        kept, now_s = self._kept.get(), self._monotonic()
        end = End(outcome, retry_after_s, headers or {}, tokens)
        with kept.lock:
            lane = kept.lanes.get(place.model.name)
            if lane is not None:
                lane.give_back(place, end, now_s, self._settings)

    def snapshot(self) -> dict[str, ModelState]:
        """Returns how each model stands that was asked for so far, by name."""
        kept, now_s = self._kept.get(), self._monotonic()
        with kept.lock:
            return {
                name: ModelState(
                    deployments=lane.states(now_s),
                    in_flight=lane.in_flight,
                    queued=len(lane.line.waiting),
                    limit=lane.line.limit,
                    retries_left=self._quotas.left(name, now_s),
                )
                for name, lane in kept.lanes.items()
            }

    def _lane(self, kept: _Kept, model: Model, now_s: float) -> Lane:
        lane = kept.lanes.get(model.name)
        if lane is None or (lane.model is not model and lane.model != model):
            lane = kept.lanes[model.name] = Lane(model, kept.keys, lane, self._concurrency, now_s)
        return lane

    def _send(self, lane: Lane, ask: Ask, now_s: float, *, retry: bool) -> Place | Held:
        """Uses a place that was taken in the line, or frees it."""
        found = lane.pick(ask, now_s, keep_last=self._settings.keep_last)
        if isinstance(found, Held):
            lane.line.release()
            return found
        if not retry:
            self._quotas.deposit(lane.model.name, now_s)
        return lane.take(found, ask.tokens, now_s)


async def _turn(kept: _Kept, lane: Lane, waiter: Waiter, wait_s: float) -> None:
    """Returns when it is the waiter's turn, or its time is up: `granted` tells which."""
    timer = waiter.called.get_loop().call_later(wait_s, waiter.end)
    try:
        await waiter.called
    except BaseException:
        with kept.lock:
            lane.line.quit(waiter)
        raise
    finally:
        timer.cancel()


def _full(lane: Lane) -> Held:
    line = lane.line
    message = f"{lane.model.name} has all {line.limit} places taken and {len(line.waiting)} of {line.queue} waiting"
    return Held(reason="queue_full", message=message)


def _forked(parent: _Kept) -> _Kept:
    child = _Kept()
    child.lanes = {name: lane.forked(child.keys) for name, lane in parent.lanes.items()}
    return child
