"""Reads how long a provider asks to wait, from headers and from its words.

Headers are not always honest (CONVENTIONS.md, "What real provider errors look like"): callers believe them on the
classes `refused` and `out_of_quota` only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

LONGEST_WAIT_S: Final = 86_400.0
"""A day: what asks for longer means "not today", and a longer number is more often an epoch than a wait."""

_UNIT_S: Final[Mapping[str, float]] = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|us|µs|ns|[dhms])", re.IGNORECASE)
_SPANS: Final = re.compile(r"(?:\d+(?:\.\d+)?\s*(?:ms|us|µs|ns|[dhms])\s*)+", re.IGNORECASE)
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?|\.\d+")
_IN_WORDS: Final = re.compile(
    r"(?:try again|retry(?:ing)?|wait|available|retrydelay|reset(?:s)?)\W{0,4}(?:your request\s+)?(?:in|after|for)?\W{0,4}(?:about\s+)?"
    r"(?P<n>\d+(?:\.\d+)?(?:\s*(?:ms|[hms])\s*\d+(?:\.\d+)?)*)\s*(?P<unit>milliseconds?|seconds?|secs?|minutes?|mins?|hours?|days?|ms|[smhd])\b",
    re.IGNORECASE,
)


def should_retry(headers: Mapping[str, str]) -> bool | None:
    """Returns what `x-should-retry` says; None where it is absent or neither true nor false."""
    value = _lower(headers).get("x-should-retry", "").strip().lower()
    return {"true": True, "false": False}.get(value)


def retry_after_s(headers: Mapping[str, str], body: bytes | str, now: datetime | None) -> float | None:
    """Returns the seconds that a provider asks to wait, between 0 and `LONGEST_WAIT_S`; None where it asks nothing."""
    return None


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {k.lower(): v for k, v in headers.items()}
