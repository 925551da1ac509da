"""How long a provider asks to wait."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.waiting import LONGEST_WAIT_S, retry_after_s, should_retry

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
EPOCH = int(NOON.timestamp())


@given(
    st.dictionaries(
        st.sampled_from(
            ["Retry-After", "retry-after-ms", "Date", "x-ratelimit-reset-tokens", "x-ratelimit-remaining-tokens"]
        ),
        st.text()
        | st.integers().map(str)
        | st.floats().map(str)
        | st.from_regex(r"(\d{1,400}(ms|[dhms])?)+", fullmatch=True),
    ),
    st.text() | st.binary() | st.from_regex(r"try again in \d{1,400}(\.\d+)?(ms|s|m)?", fullmatch=True),
    st.none() | st.datetimes() | st.datetimes(timezones=st.timezones()),
)
def test_whatever_is_sent_a_wait_is_sane(headers: dict[str, str], body: str | bytes, now: datetime | None) -> None:
    """Garbage is no wait; a wait is between nothing and a day."""
    wait = retry_after_s(headers, body, now)
    assert wait is None or 0 <= wait <= LONGEST_WAIT_S


@given(st.floats(0, LONGEST_WAIT_S), st.floats(0, LONGEST_WAIT_S))
def test_longer_asked_is_longer_waited(a: float, b: float) -> None:
    """The wait grows with the header."""
    waits = [retry_after_s({"retry-after": f"{n:.3f}"}, "", None) for n in sorted((a, b))]
    assert waits[0] is not None
    assert waits[1] is not None
    assert waits[0] <= waits[1]


@given(st.integers(0, 80_000))
def test_every_form_of_a_wait_means_the_same(seconds: int) -> None:
    """Seconds, milliseconds, a date, an RFC 3339 time, an epoch and a span agree."""
    then = NOON + timedelta(seconds=seconds)
    minutes, rest = divmod(seconds, 60)
    forms = [
        {"retry-after": str(seconds)},
        {"retry-after-ms": str(seconds * 1000)},
        {"retry-after": format_datetime(then, usegmt=True)},
        {"anthropic-ratelimit-tokens-reset": then.isoformat().replace("+00:00", "Z")},
        {"x-ratelimit-reset": str(EPOCH + seconds)},
        {"x-ratelimit-reset": str((EPOCH + seconds) * 1000)},
        {"x-ratelimit-reset-requests": f"{minutes}m{rest}s"},
    ]
    assert {retry_after_s(form, "", NOON) for form in forms} == {float(seconds)}


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"Retry-After": "1.5"}, 1.5),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "99999999"}, LONGEST_WAIT_S),
        ({"retry-after-ms": "660"}, 0.66),
        ({"retry-after-ms": "660", "retry-after": "1"}, 0.66),
        ({"retry-after-ms": "0", "retry-after": "1"}, 1.0),
        ({"retry-after-ms": "x", "retry-after": "0"}, 0.0),
        ({"retry-after": "Mon, 23 Nov 2026 11:59:00 GMT"}, 0.0),
        ({"retry-after": "Mon, 23 Nov 2026 12:00:30"}, 30.0),
        ({"retry-after": "Mon, 23 Nov 2026 12:00:30 GMT", "date": "Mon, 23 Nov 2026 12:00:10 GMT"}, 20.0),
        ({"x-ratelimit-reset-tokens": "6ms"}, 0.006),
        ({"x-ratelimit-reset-requests": "1m30s", "x-ratelimit-remaining-requests": "0"}, 90.0),
        ({"x-ratelimit-reset-requests": "1m30s", "x-ratelimit-remaining-requests": "4"}, None),
        ({"x-ratelimit-reset-requests": "1m30s", "x-ratelimit-reset-tokens": "2s"}, 90.0),
        ({"x-ratelimit-reset-requests": "1h2m3.5s"}, 3723.5),
        ({"x-ratelimit-reset": "2", "retry-after": "5"}, 5.0),
        ({"x-ratelimit-limit-requests": "9"}, None),
        ({"x-cache-reset": "9"}, None),
    ],
)
def test_headers(headers: dict[str, str], wait: float | None) -> None:
    """Each header as providers send it; the particular one first, a zero last."""
    assert retry_after_s(headers, "", NOON) == wait


@pytest.mark.parametrize(
    ("words", "wait"),
    [
        ("Rate limit reached. Please try again in 1.5s. Visit the site.", 1.5),
        ("Please try again in 7m12s.", 432.0),
        ("Please try again in 6ms.", 0.006),
        ("Please retry after 26 seconds.", 26.0),
        ("Please retry in 34.07s.", 34.07),
        ('{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}', 34.0),
        ('{"retry_after": 5}', 5.0),
        ("Please wait 2 minutes and try again", 120.0),
        ("try again in 250 milliseconds", 0.25),
        ("try again in about 2 hours", 7200.0),
        ("try again in 9", 9.0),
        ('{"headers": {"X-RateLimit-Reset": "1754667660000"}}', None),
        ('{"X-RateLimit-Reset": "1754667660000"} Please retry in 2s', 2.0),
        ("Your quota will reset after 26s.", 26.0),
        ("Please try again later. The limit is 9 s.", None),
        ("20 s", None),
    ],
)
def test_words(words: str, wait: float | None) -> None:
    """Each wording as providers use it, as text and as bytes; a header has precedence."""
    assert retry_after_s({}, words, NOON) == wait
    assert retry_after_s({}, words.encode(), NOON) == wait
    assert retry_after_s({"retry-after": "3"}, words, NOON) == 3.0


def test_points_in_time_need_a_clock() -> None:
    """Without the answer's own date and without `now`, an epoch and a date say nothing."""
    assert retry_after_s({"x-ratelimit-reset": str(EPOCH)}, "", None) is None
    assert retry_after_s({"retry-after": "Mon, 23 Nov 2026 12:00:30 GMT"}, "", None) is None


def test_a_clock_without_a_zone_is_utc() -> None:
    """A naive time neither raises nor shifts."""
    assert retry_after_s({"retry-after": "Mon, 23 Nov 2026 12:00:30 GMT"}, "", NOON.replace(tzinfo=None)) == 30.0


@pytest.mark.parametrize(("value", "told"), [("true", True), (" False ", False), ("maybe", None), (None, None)])
def test_should_retry(value: str | None, told: bool | None) -> None:
    """`x-should-retry` says yes, no or nothing."""
    assert should_retry({} if value is None else {"X-Should-Retry": value}) is told


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("250ms", 0.25),
        ("1000000us", 1.0),
        ("2500000\N{MICRO SIGN}s", 2.5),
        ("3000000000ns", 3.0),
        ("1d", 86_400.0),
        ("1h2m3s", 3_723.0),
        ("1H 2M 3.5S", 3_723.5),
    ],
)
def test_a_span_may_be_in_any_units(value: str, seconds: float) -> None:
    """From nanoseconds to days, in any case, with or without blanks."""
    assert retry_after_s({"x-ratelimit-reset": value}, "") == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("epoch", "seconds"),
    [("999999999", LONGEST_WAIT_S), ("1000000000", 5.0), ("1000000000000", 5.0), ("1000000001", 6.0)],
)
def test_a_large_number_is_a_point_in_time(epoch: str, seconds: float) -> None:
    """From the year 2001 on, and from a thousand times that in milliseconds."""
    now = datetime.fromtimestamp(1e9 - 5.0, tz=UTC)
    assert retry_after_s({"retry-after": epoch}, "", now) == seconds


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("Please try again in 20s.", 20.0),
        ("try again in 1 minute", 60.0),
        ("try again in 1 minute 30 seconds", 90.0),
        ("try again in 2 hours and 5 minutes.", 7_500.0),
        ("try again in 5 seconds. 3 minutes later", 5.0),
        ("retry after 250 milliseconds", 0.25),
        ("Retry-After: 7", 7.0),
        ("resets in 2 hours", 7_200.0),
        ("wait at least 3 days", LONGEST_WAIT_S),
        ("try again in 1h2m", 3_720.0),
    ],
)
def test_a_wait_may_stand_in_words(words: str, seconds: float) -> None:
    """In any unit, several of them added up."""
    assert retry_after_s({}, words) == seconds
