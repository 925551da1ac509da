"""What is known of each model's recent behaviour, as a value that policies read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

BreakerState = Literal["closed", "resting", "half_open", "open"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStats:
    """Recent attempts at one model; quantiles are None until there are enough of them to say."""

    attempts: int = 0
    failures: int = 0
    latency_p50_s: float | None = None
    latency_p95_s: float | None = None
    first_token_p50_s: float | None = None
    output_tokens_mean: float | None = None
    breaker: BreakerState = "closed"
    """Of the deployment that stands best; "resting" is one that its provider asked to leave alone for a while."""


Stats = Mapping[str, ModelStats]
"""By model name; a model without an entry was not tried yet."""
