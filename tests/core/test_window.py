"""Windows: every instant in exactly one, none between them, by zoneinfo's arithmetic in every zone there is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from router.core.window import Period, Span, Window, bucket_s, parse_window, span, unix_s

ZONES = sorted(available_timezones())
PERIODS: tuple[Period, ...] = ("hour", "day", "week", "month")
TICK = timedelta(microseconds=1)
HOUR = timedelta(hours=1)

instants = st.datetimes(datetime(1850, 1, 1), datetime(2150, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive
calendars = st.builds(Window, period=st.sampled_from(PERIODS), time_zone=st.sampled_from(ZONES))


def edges(window: Window, at: datetime) -> tuple[datetime, datetime]:
    """Returns the edges of a window of the calendar."""
    found = span(window, at)
    assert found.start is not None
    assert found.end is not None
    return found.start, found.end


@given(calendars, instants)
@example(Window(period="day", time_zone="America/St_Johns"), datetime(2006, 10, 29, 2, 31, tzinfo=UTC))
@example(Window(period="day", time_zone="America/Toronto"), datetime(1919, 3, 31, 4, 45, tzinfo=UTC))
@example(Window(period="day", time_zone="Pacific/Apia"), datetime(2011, 12, 30, 10, 0, tzinfo=UTC))
@example(Window(period="day", time_zone="Pacific/Apia"), datetime(1892, 7, 5, 12, 0, tzinfo=UTC))
@example(Window(period="hour", time_zone="America/Caracas"), datetime(2016, 5, 1, 6, 45, tzinfo=UTC))
@example(Window(period="hour", time_zone="Australia/Lord_Howe"), datetime(2024, 4, 6, 15, 10, tzinfo=UTC))
@example(Window(period="hour", time_zone="Australia/Lord_Howe"), datetime(2024, 10, 5, 15, 40, tzinfo=UTC))
def test_windows_tile_time(window: Window, at: datetime) -> None:
    """Each instant is in exactly one window, which begins where the one before ends."""
    start, end = edges(window, at)
    assert start <= at < end
    assert span(window, start) == span(window, at) == span(window, end - TICK)
    assert edges(window, end)[0] == end
    assert edges(window, start - TICK)[1] == start


@given(st.sampled_from(ZONES), st.integers(1850, 2150), st.data())
def test_windows_tile_time_where_clocks_are_set(name: str, year: int, data: st.DataObject) -> None:
    """Also next to each moment at which a zone's clock is set, forwards or back."""
    zone = ZoneInfo(name)
    hours = [datetime(year, 1, 1, tzinfo=UTC) + n * 6 * HOUR for n in range(4 * 366)]
    offsets = [at.astimezone(zone).utcoffset() for at in hours]
    changes = [at for at, one, other in zip(hours, offsets, offsets[1:], strict=False) if one != other]
    around = data.draw(st.sampled_from(changes)) if changes else hours[0]
    at = around + data.draw(st.integers(-90, 480)) * timedelta(minutes=1)
    for period in PERIODS:
        window = Window(period=period, time_zone=name)
        start, end = edges(window, at)
        assert start <= at < end
        assert span(window, start) == span(window, end - TICK) == span(window, at)
        assert edges(window, end)[0] == end


@given(st.sampled_from(ZONES), instants)
def test_days_begin_when_the_clock_first_shows_their_date(name: str, at: datetime) -> None:
    """At the start of a window the zone's clock shows a date that it did not show before; so weeks and months do."""
    zone = ZoneInfo(name)
    for period in ("day", "week", "month"):
        start, end = edges(Window(period=period, time_zone=name), at)
        first = start.astimezone(zone).date()
        assert (start - TICK).astimezone(zone).date() < first
        for within in (at, start, end - TICK):
            # An hour that is shown twice around midnight belongs to the later day.
            assert within.astimezone(zone).date() >= first - timedelta(days=1)
        assert end.astimezone(zone).date() > first


@given(st.sampled_from(ZONES), instants)
def test_days_are_what_zoneinfo_says(name: str, at: datetime) -> None:
    """Where midnight exists and comes once, a day goes from one to the next in zoneinfo's own arithmetic."""
    zone = ZoneInfo(name)
    midnight = at.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    following = (midnight + timedelta(days=1)).replace(fold=0)
    plain = all(
        m.replace(fold=1).utcoffset() == m.utcoffset() and m.astimezone(UTC).astimezone(zone) == m
        for m in (midnight, following)
    )
    start, end = edges(Window(period="day", time_zone=name), at)
    if plain and start.astimezone(zone).date() == midnight.date():
        assert (start, end) == (midnight.astimezone(UTC), following.astimezone(UTC))


@given(st.sampled_from(ZONES), instants)
def test_hours_are_never_longer_than_an_hour(name: str, at: datetime) -> None:
    """An hour lasts an hour; less only next to where the zone moved by part of one."""
    zone = ZoneInfo(name)
    start, end = edges(Window(period="hour", time_zone=name), at)
    assert end - start <= HOUR
    for edge in (start, end):
        shown = edge.astimezone(zone)
        moved = shown.utcoffset() != (edge - TICK).astimezone(zone).utcoffset()
        assert (shown.minute, shown.second) == (0, 0) or moved


@pytest.mark.parametrize(
    ("text", "zone", "at", "start", "hours"),
    [
        ("day", "Europe/Berlin", "2026-03-29T12:00+00:00", "2026-03-28T23:00+00:00", 23),
        ("day", "Europe/Berlin", "2026-10-25T12:00+00:00", "2026-10-24T22:00+00:00", 25),
        ("hour", "Europe/Berlin", "2026-10-25T00:30+00:00", "2026-10-25T00:00+00:00", 1),  # shown the first time
        ("hour", "Europe/Berlin", "2026-10-25T01:30+00:00", "2026-10-25T01:00+00:00", 1),  # and the second time
        ("hour", "Asia/Kolkata", "2026-01-01T00:10+00:00", "2025-12-31T23:30+00:00", 1),
        ("hour", "Australia/Lord_Howe", "2024-10-05T15:40+00:00", "2024-10-05T15:30+00:00", 0.5),
        ("hour", "America/Caracas", "2016-05-01T06:45+00:00", "2016-05-01T06:30+00:00", 0.5),  # from 02:30 to 03:00
        ("day", "America/St_Johns", "2006-10-29T03:00+00:00", "2006-10-29T02:30+00:00", 25),  # set back at 00:01
        ("day", "America/Sao_Paulo", "2018-11-04T12:00+00:00", "2018-11-04T03:00+00:00", 23),  # has no midnight
        ("day", "America/Toronto", "1919-03-31T12:00+00:00", "1919-03-31T04:30+00:00", 23.5),  # from 23:30 to 00:30
        ("day", "Pacific/Apia", "2011-12-31T00:00+00:00", "2011-12-30T10:00+00:00", 24),  # the 30th was left out
        ("day", "UTC", "2028-02-29T23:59+00:00", "2028-02-29T00:00+00:00", 24),
        ("month", "UTC", "2028-02-29T23:59+00:00", "2028-02-01T00:00+00:00", 29 * 24),
        ("month", "UTC", "2100-02-28T23:59+00:00", "2100-02-01T00:00+00:00", 28 * 24),
        ("month", "UTC", "2026-12-31T23:59+00:00", "2026-12-01T00:00+00:00", 31 * 24),
        ("month", "Europe/Berlin", "2026-03-31T21:59+00:00", "2026-02-28T23:00+00:00", 31 * 24 - 1),
        ("week", "UTC", "2027-01-01T00:00+00:00", "2026-12-28T00:00+00:00", 7 * 24),
        ("week", "Europe/Berlin", "2026-10-25T22:59+00:00", "2026-10-18T22:00+00:00", 7 * 24 + 1),
    ],
)
def test_edges_of_the_calendar(text: str, zone: str, at: str, start: str, hours: float) -> None:
    """Daylight saving, leap days, ends of months and years."""
    began = datetime.fromisoformat(start)
    found = span(parse_window(text, time_zone=zone), datetime.fromisoformat(at))
    assert found == Span(start=began, end=began + hours * HOUR)


@given(st.sampled_from(ZONES), instants)
def test_an_instant_is_the_same_in_every_zone(name: str, at: datetime) -> None:
    """Windows are told by the instant, however it is written; edges are whole seconds."""
    for period in PERIODS:
        window = Window(period=period, time_zone="Europe/Berlin")
        found = span(window, at.astimezone(ZoneInfo(name)))
        assert found == span(window, at)
        assert unix_s(found.start) == edges(window, at)[0].timestamp()


@given(instants)
def test_all_time_has_no_edges(at: datetime) -> None:
    """`total` and rolling windows neither begin nor end."""
    for text in ("total", "24h"):
        assert span(parse_window(text), at) == Span(start=None, end=None)
    assert unix_s(None) is None


@pytest.mark.parametrize(
    ("text", "seconds"), [("1m", 60), ("90m", 5_400), ("24h", 86_400), ("7d", 604_800), ("366d", 366 * 86_400)]
)
def test_rolling_windows_are_read(text: str, seconds: int) -> None:
    """A number of minutes, hours or days is that many seconds."""
    assert parse_window(text) == Window(period="rolling", rolling_s=seconds)


@pytest.mark.parametrize("text", ["hour", "day", "week", "month", "total"])
def test_periods_are_read(text: str) -> None:
    """A period has its name, and the zone that it is for."""
    window = parse_window(text, time_zone="Asia/Tokyo")
    assert (window.period, window.time_zone, window.rolling_s) == (text, "Asia/Tokyo", None)


@pytest.mark.parametrize(
    "text", ["", "dayly", "0h", "24", "h", "1s", "-1h", "1.5h", "rolling", "١h", "9999999d", "DAY"]
)
def test_what_is_no_window_is_refused(text: str) -> None:
    """The message says what was found and what is allowed."""
    with pytest.raises(
        ValueError, match="is no window; allowed: 24h, 7d, 90m, day, hour, month, total, week"
    ) as caught:
        parse_window(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("text", ["367d", "9000h", "999999d"])
def test_a_window_too_long_is_refused(text: str) -> None:
    """A rolling window is a leap year at most."""
    with pytest.raises(ValueError, match="is longer than 366 days, the longest rolling window; allowed beyond: total"):
        parse_window(text)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("Europe/Berlim", "did you mean 'Europe/Berlin'?"), ("Mars", ""), ("", ""), ("../x", ""), ("America", "")],
)
def test_an_unknown_zone_is_refused(name: str, hint: str) -> None:
    """The message has a likely name, not six hundred."""
    with pytest.raises(ValueError, match="is no time zone") as caught:
        parse_window("day", time_zone=name)
    assert hint in str(caught.value)
    assert len(str(caught.value)) < 200


@given(st.integers(1, 366 * 86_400))
def test_a_rolling_window_has_60_buckets_at_most(rolling_s: int) -> None:
    """Buckets are whole seconds, and sixty of them are no shorter than the window."""
    assert 60 * bucket_s(rolling_s) >= rolling_s > 60 * (bucket_s(rolling_s) - 1)
