"""Reads how long a provider asks to wait, from headers and from its words.

Headers are not always honest (CONVENTIONS.md, "What real provider errors look like"): callers believe them on the
classes `refused` and `out_of_quota` only. The particular comes first: `retry-after-ms`, `retry-after`, the provider's
words, and last the reset of those buckets that are empty, which says when a bucket is full again and so more than
need be. A zero gives way to whatever is positive: Azure sent `retry-after-ms: 0` beside `retry-after: 1`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

LONGEST_WAIT_S: Final = 86_400.0
"""A day; what asks for more means "not today"."""
_LONGEST_TEXT: Final = 65_536

_UNIT_S: Final[Mapping[str, float]] = {
    "d": 86_400.0,
    "h": 3_600.0,
    "m": 60.0,
    "s": 1.0,
    "ms": 1e-3,
    "us": 1e-6,
    "ns": 1e-9,
}
_NUMBER: Final = re.compile(r"(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,2})?")
_SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|[uµ]s|ns|[dhms])", re.IGNORECASE)
_SPANS: Final = re.compile(r"(?:\d+(?:\.\d+)?\s*(?:ms|[uµ]s|ns|[dhms])\s*)+", re.IGNORECASE)
_EPOCH_S: Final = 1e9
"""Numbers from here on (the year 2001) are points in time, in seconds; from 1000 times that in milliseconds."""

_IN_WORDS: Final = re.compile(
    r"(?:try again|resets?|retry(?:delay)?|retry[ _-]?after(?:[ _-]?seconds)?|wait)\W{1,5}"
    r"(?:(?:in|after|for|about|at least|your request)\s+){0,3}(?P<wait>(?P<number>\d+(?:\.\d+)?)"
    r"(?:\s*(?:milliseconds?|seconds?|secs?|minutes?|mins?|hours?|days?|ms|[dhms])\b|[hm](?=\d)|\d|\."
    r"|(?<=[a-z]),?\s+(?:and\s+)?(?=\d+(?:\.\d+)?\s*(?:milliseconds?|seconds?|secs?|minutes?|mins?|hours?|ms|[hms])\b))*)",
    re.IGNORECASE,
)
_LONG_UNIT: Final = re.compile(r"(?<=[\d ])(milliseconds?|seconds?|secs?|minutes?|mins?|hours?|days?)\b", re.IGNORECASE)


def should_retry(headers: Mapping[str, str]) -> bool | None:
    """Returns what `x-should-retry` says; None where it is absent or neither true nor false."""
    value = _lower(headers).get("x-should-retry", "").strip().lower()
    return {"true": True, "false": False}.get(value)


def retry_after_s(headers: Mapping[str, str], body: bytes | str, now: datetime | None = None) -> float | None:
    """Returns the seconds that a provider asks to wait, from 0 to `LONGEST_WAIT_S`; None where it asks nothing.

    Args:
        headers: response headers, names in any case.
        body: the response body, for waits in words.
        now: when the answer came; used for points in time where the answer has no `date` of its own.
    """
    lowered = _lower(headers)
    clock = _moment(lowered.get("date", "")) or (now if now is None or now.tzinfo else now.replace(tzinfo=UTC))
    zero = False
    for wait in _waits(lowered, body, clock):
        if wait > 0:
            return min(wait, LONGEST_WAIT_S)
        zero = zero or wait == 0
    return 0.0 if zero else None


def _waits(headers: Mapping[str, str], body: bytes | str, clock: datetime | None) -> Iterator[float]:
    """The waits asked for, the most particular first; those below zero are left out."""
    milliseconds = headers.get("retry-after-ms", "").strip()
    if _NUMBER.fullmatch(milliseconds):
        yield float(milliseconds) / 1000
    yield from _until(headers.get("retry-after", ""), clock)
    yield from _in_words(body)
    resets = [w for name, value in headers.items() if _is_empty(name, headers) for w in _until(value, clock)]
    if resets:
        yield max(resets)


def _is_empty(name: str, headers: Mapping[str, str]) -> bool:
    """Whether a header is the reset of a bucket that has nothing left, or does not say how much."""
    if "ratelimit" not in name or "reset" not in name:
        return False
    left = headers.get(name.replace("reset", "remaining"), "0").strip()
    return _NUMBER.fullmatch(left) is None or float(left) < 1


def _until(value: str, clock: datetime | None) -> Iterator[float]:
    """Seconds until what a header names: a number, a span as "1m30s", a point in time in any of three forms."""
    text = value.strip()
    if _NUMBER.fullmatch(text):
        number = float(text)
        if number < _EPOCH_S:
            yield number
        elif clock is not None:
            seconds = number / 1000 if number >= 1000 * _EPOCH_S else number
            yield max(0.0, seconds - clock.timestamp())
    elif _SPANS.fullmatch(text):
        yield _span_s(text)
    elif clock is not None and (moment := _moment(text)) is not None:
        yield max(0.0, (moment - clock).total_seconds())


def _in_words(body: bytes | str) -> Iterator[float]:
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    for match in _IN_WORDS.finditer(text[:_LONGEST_TEXT]):
        wait = _LONG_UNIT.sub(lambda m: "ms" if m[0].lower().startswith("milli") else m[0][0].lower(), match["wait"])
        seconds = _span_s(wait) if _SPAN.search(wait) else float(match["number"])
        # OpenRouter repeats its headers in the body, and those hold points in time.
        if seconds < _EPOCH_S:
            yield seconds


def _span_s(text: str) -> float:
    return sum(float(n) * _UNIT_S[unit.lower().replace("µ", "u")] for n, unit in _SPAN.findall(text))


def _moment(text: str) -> datetime | None:
    """A point in time as RFC 3339 (Anthropic) or as an HTTP date; one without a zone is UTC."""
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = read(text)
        except (ValueError, TypeError, OverflowError):
            continue
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return None


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
