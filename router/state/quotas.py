"""Where retry quotas are kept: the seam behind which processes may share them."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import Protocol

from router.core.quota import QuotaSettings, RetryQuota
from router.state.process import PerProcess


class RetryQuotas(Protocol):
    """Retry quotas of every model, and one over all of them."""

    def deposit(self, model: str, now_s: float, /) -> None:
        """Takes note of a first ask; called on the way of every request, so it must not wait."""
        ...

    async def withdraw(self, model: str, now_s: float, /) -> bool:
        """Takes one retry from the model's quota and from the one over all; False, and nothing, if either is spent."""
        ...

    def left(self, model: str, now_s: float, /) -> float:
        """Returns how many retries would be granted now, as far as this process knows."""
        ...


_FOLD_S = 0.5
"""Asks are counted one by one and folded into a quota this often, as of the older time: never too many."""


@dataclass(slots=True)
class _Tally:
    """A quota, and the asks since `quota.at_s` that are not in it yet."""

    quota: RetryQuota
    asks: int = 0

    def count(self, now_s: float, settings: QuotaSettings) -> None:
        if now_s - self.quota.at_s > _FOLD_S:
            self.quota = self.folded(now_s, settings)
            self.asks = 0
        self.asks += 1

    def folded(self, now_s: float, settings: QuotaSettings) -> RetryQuota:
        return self.quota.deposit(self.quota.at_s, settings, asks=self.asks).deposit(now_s, settings, asks=0)


@dataclass(slots=True)
class _Kept:
    total: _Tally
    tallies: dict[str, _Tally]
    lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, model: str) -> _Tally:
        tally = self.tallies.get(model)
        if tally is None:
            tally = self.tallies[model] = _Tally(RetryQuota())
        return tally


class MemoryQuotas:
    """Keeps them in this process; safe to use from several threads."""

    def __init__(self, settings: QuotaSettings) -> None:
        self._settings = settings
        self._kept = PerProcess(_Kept(_Tally(RetryQuota()), {}), _forked)

    def deposit(self, model: str, now_s: float, /) -> None:
        """Takes note of a first ask."""
        kept = self._kept.get()
        with kept.lock:
            kept.of(model).count(now_s, self._settings)
            kept.total.count(now_s, self._settings)

    async def withdraw(self, model: str, now_s: float, /) -> bool:
        """Takes one retry from both quotas, or from none."""
        kept, settings = self._kept.get(), self._settings
        with kept.lock:
            tallies = (kept.of(model), kept.total)
            after = [tally.folded(now_s, settings).withdraw(now_s, settings) for tally in tallies]
            if None in after:
                return False
            for tally, quota in zip(tallies, after, strict=True):
                tally.quota, tally.asks = quota or RetryQuota(), 0
            return True

    def left(self, model: str, now_s: float, /) -> float:
        """Returns how many retries would be granted now."""
        kept, settings = self._kept.get(), self._settings
        with kept.lock:
            tallies = (kept.of(model), kept.total)
            return min(tally.folded(now_s, settings).left(now_s, settings) for tally in tallies)


def _forked(parent: _Kept) -> _Kept:
    return _Kept(replace(parent.total), {name: replace(tally) for name, tally in parent.tallies.items()})
