"""Recent attempts by model, folded into the snapshot that policies read."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import quantiles
from typing import get_args

from router.core.answer import Usage
from router.core.decision import Attempt, Decision
from router.core.place import ModelState
from router.core.stats import BreakerState, ModelStats, Stats
from router.state.process import PerProcess

WINDOW = 128
"""Attempts remembered per model: enough for a p95, few enough to follow a change within minutes."""

_FROM_BEST: tuple[BreakerState, ...] = get_args(BreakerState)

ENOUGH = 8
"""Attempts below which no quantile is stated."""


@dataclass(slots=True)
class _Recent:
    """The last attempts at one model."""

    failed: deque[bool] = field(default_factory=lambda: deque(maxlen=WINDOW))
    latency_s: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    first_token_s: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    output_tokens: deque[int] = field(default_factory=lambda: deque(maxlen=WINDOW))
    snapshot: ModelStats | None = None

    def note(self, usage: Usage | None) -> None:
        """Takes in an answer of which nobody knows how long it took."""
        if usage is not None:
            self.output_tokens.append(usage.output_tokens)
            self.snapshot = None

    def fold(self, attempt: Attempt) -> None:
        self.failed.append(attempt.outcome != "answer")
        if attempt.outcome == "answer":
            self.latency_s.append(attempt.latency_s)
            if attempt.first_token_s is not None:
                self.first_token_s.append(attempt.first_token_s)
            if attempt.usage is not None:
                self.output_tokens.append(attempt.usage.output_tokens)
        self.snapshot = None

    def stats(self) -> ModelStats:
        if self.snapshot is None:
            tokens = self.output_tokens
            self.snapshot = ModelStats(
                attempts=len(self.failed),
                failures=sum(self.failed),
                latency_p50_s=_quantile(self.latency_s, 50),
                latency_p95_s=_quantile(self.latency_s, 95),
                first_token_p50_s=_quantile(self.first_token_s, 50),
                output_tokens_mean=sum(tokens) / len(tokens) if tokens else None,
            )
        return self.snapshot


@dataclass(slots=True)
class _Kept:
    """What one process remembers."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    recent: dict[str, _Recent] = field(default_factory=dict)


class Statistics:
    """What this process saw of each model lately; safe to use from several threads."""

    def __init__(self) -> None:
        self._kept = PerProcess(_Kept(), lambda parent: _Kept(recent=parent.recent))

    def fold(self, decision: Decision, /) -> None:
        """Takes in the attempts of one decision.

        Those that the caller gave up, and turns that were held back, say nothing about the model; of a call that was
        made outside the router only the length of its answer is known.
        """
        if not decision.attempts:
            return
        kept = self._kept.get()
        with kept.lock:
            for attempt in decision.attempts:
                if decision.ending == "recorded":
                    kept.recent.setdefault(attempt.model, _Recent()).note(attempt.usage)
                elif attempt.outcome != "cancelled" and attempt.held is None:
                    kept.recent.setdefault(attempt.model, _Recent()).fold(attempt)

    def snapshot(self, health: Mapping[str, ModelState] | None = None) -> Stats:
        """Returns the figures of now, by model name.

        Args:
            health: how the gate stands, for the breakers; None takes all of them as closed.
        """
        kept = self._kept.get()
        with kept.lock:
            stats = {name: recent.stats() for name, recent in kept.recent.items()}
        for name, state in (health or {}).items():
            standing = {d.breaker for d in state.deployments.values()}
            breaker = next(b for b in _FROM_BEST if b in standing)
            if breaker != "closed":
                stats[name] = replace(stats.get(name, ModelStats()), breaker=breaker)
        return stats


def _quantile(values: Sequence[float], percent: int) -> float | None:
    if len(values) < ENOUGH:
        return None
    return quantiles(values, n=100, method="inclusive")[percent - 1]
