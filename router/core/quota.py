"""How many retries may be made: a share of the traffic, and never less than a few a second.

The count of asks and that of retries both fade with the same time constant, so at a steady pace each stands for the
last `ttl_s` seconds. A retry is granted while the retries stay within the larger of `share` of the asks and
`least_per_s`. Hence over any T seconds at most `M * (1 + T / ttl_s)` retries are granted, where M is the most that was
allowed at one time: `max(share * asks, least_per_s * ttl_s)`.

Source of the idea and the figures: Finagle's `RetryBudget` (20 % and 10 a second, ttl 10 s), which adds the two
allowances; here the larger one holds, so that the share is what it says once there is traffic.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaSettings:
    """The share of retries.

    Attributes:
        share: retries for each first ask, as a share.
        least_per_s: retries a second that are granted whatever the traffic.
        ttl_s: for how long an ask allows retries.
    """

    share: float = 0.1
    least_per_s: float = 3.0
    ttl_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryQuota:
    """Asks and retries of late, as they stood at `at_s`."""

    asked: float = 0.0
    retried: float = 0.0
    at_s: float = 0.0

    def deposit(self, now_s: float, settings: QuotaSettings, /, asks: int = 1) -> RetryQuota:
        """Returns the quota after first asks."""
        fade = _fade(self, now_s, settings)
        return RetryQuota(asked=self.asked * fade + asks, retried=self.retried * fade, at_s=max(now_s, self.at_s))

    def left(self, now_s: float, settings: QuotaSettings, /) -> float:
        """Returns how many retries may be made now."""
        fade = _fade(self, now_s, settings)
        allowed = max(settings.share * self.asked * fade, settings.least_per_s * settings.ttl_s)
        return max(0.0, allowed - self.retried * fade)

    def withdraw(self, now_s: float, settings: QuotaSettings, /) -> RetryQuota | None:
        """Returns the quota after one more retry; None where it is spent."""
        if self.left(now_s, settings) < 1.0:
            return None
        fade = _fade(self, now_s, settings)
        return RetryQuota(asked=self.asked * fade, retried=self.retried * fade + 1, at_s=max(now_s, self.at_s))


def _fade(quota: RetryQuota, now_s: float, settings: QuotaSettings) -> float:
    return exp(-max(0.0, now_s - quota.at_s) / settings.ttl_s)
