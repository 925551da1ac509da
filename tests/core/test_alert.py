from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.alert import (
    BODY_BYTES_MOST,
    DELAYS_S,
    LONGEST_WAIT_S,
    Alert,
    body_of,
    event_of,
    message_of,
    wait_s,
)

NOW = datetime(2026, 11, 28, 12, 30, 15, 250_000, tzinfo=UTC)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text("aé€🙂\n"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=3), inner, max_size=3),
    max_leaves=8,
)
SIZES = st.integers(min_value=0, max_value=30_000)
LONG = st.dictionaries(
    st.text('abcé"', min_size=1, max_size=9) | st.integers(1, 9_000).map(lambda n: "k" * n),
    SIZES.map(lambda n: "x" * n) | st.just('é€"' * 500) | JSON,
    max_size=9,
)


def alert(data: dict[str, Any] | None = None, **more: Any) -> Alert:
    """Returns an alert of a budget."""
    fields: dict[str, Any] = {"name": "a/2026-11/0.8", "type": "budget.threshold", "time": NOW, "data": data or {}}
    return Alert(**fields | more)


@given(data=st.dictionaries(st.text("ab", max_size=4), JSON, max_size=4), offset_h=st.integers(-12, 12))
def test_what_is_sent_is_what_happened(data: dict[str, Any], offset_h: int) -> None:
    """A body says type, time and data, from which the receiver gets the same."""
    moment = NOW.astimezone(timezone(timedelta(hours=offset_h)))
    told = event_of("msg_1", body_of(alert(data, time=moment)))
    assert (told.id, told.type, told.time, told.data) == ("msg_1", "budget.threshold", NOW, data)


def test_the_body_is_that_of_standard_webhooks() -> None:
    """Three keys, the time as ISO writes it in UTC, money as a decimal string, moments as ISO texts."""
    body = body_of(alert({"spent_usd": Decimal("12.50"), "since": NOW, "inner": {"é": [1]}}))
    assert json.loads(body) == {
        "type": "budget.threshold",
        "timestamp": "2026-11-28T12:30:15.250000Z",
        "data": {"spent_usd": "12.5", "since": NOW.isoformat(), "inner": {"é": [1]}},
    }
    assert b"\\u" not in body


@given(data=LONG)
def test_a_body_is_never_too_long(data: dict[str, Any]) -> None:
    """Below 20 kB in any case; entries are whole or left out, and the names of those left out are listed."""
    body = body_of(alert(data))
    assert len(body) < BODY_BYTES_MOST
    told = dict(event_of("msg_1", body).data)
    if told == data:
        return
    left_out = told.pop("shortened")
    assert told.items() <= data.items()
    assert left_out
    assert "..." in left_out or told.keys() | set(left_out) == data.keys()


def test_the_longest_goes_first() -> None:
    """Of what is too much, the longest entry is left out, and the marker names it."""
    told = event_of("msg_1", body_of(alert({"models": "m" * 25_000, "text": "spent", "left_usd": "3"}))).data
    assert told == {"text": "spent", "left_usd": "3", "shortened": ["models"]}


def test_the_list_of_what_was_left_out_has_its_own_name() -> None:
    """An entry that is called as the marker gives way to it; other mappings than dicts are taken as objects."""
    data = {"shortened": "mine", "inner": MappingProxyType({"a": 1}), "long": "m" * 25_000}
    assert event_of("msg_1", body_of(alert(data))).data == {"shortened": ["long"], "inner": {"a": 1}}


def test_endless_names_are_cut() -> None:
    """Where even the names of what was left out are too long, an ellipsis stands for the rest."""
    told = event_of("msg_1", body_of(alert({"k" * 9_000: "x" * 25_000, "text": "spent"}))).data
    assert told == {"text": "spent", "shortened": ["..."]}


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, object(), "\ud800", {"x": [b"bytes"]}])
def test_what_json_has_not_is_refused(value: object) -> None:
    """Data that no receiver could read is refused when the alert is raised, and is not quoted."""
    with pytest.raises(ValueError, match=r"^the data of an alert is not JSON: \w+$"):
        body_of(alert({"value": value}))


@pytest.mark.parametrize(
    "changed",
    [
        {"name": ""},
        {"type": ""},
        {"type": "two words"},
        {"type": "a..b"},
        {"type": "a" * 101},
        {"time": datetime(2026, 1, 1)},  # noqa: DTZ001 - what is refused
        {"until": datetime(2026, 1, 1)},  # noqa: DTZ001 - what is refused
    ],
)
def test_what_is_no_alert_is_refused(changed: dict[str, Any]) -> None:
    """A name, a type in words and time zones are needed."""
    with pytest.raises(ValueError, match="alert"):
        alert(**changed)


def test_a_message_has_the_name_and_its_end() -> None:
    """What an outbox needs to know of an alert stands beside the body."""
    message = message_of(alert(until=NOW), message_id="msg_1")
    assert (message.id, message.name, message.until_s) == ("msg_1", "a/2026-11/0.8", NOW.timestamp())
    assert message_of(alert(), message_id="msg_1").until_s is None
    assert "budget" not in repr(message)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{}",
        '{"type": 1, "timestamp": "2026-01-01T00:00:00Z", "data": {}}',
        '{"type": "a", "timestamp": "soon", "data": {}}',
        '{"type": "a", "timestamp": "2026-01-01", "data": []}',
        b"\xff",
    ],
)
def test_what_is_no_event_is_refused(body: bytes | str) -> None:
    """A body that is not `{type, timestamp, data}` raises."""
    with pytest.raises(ValueError, match=r".+"):
        event_of("msg_1", body)


def test_a_time_without_a_zone_is_utc() -> None:
    """As other senders write it."""
    assert event_of("m", '{"type": "a", "timestamp": "2026-11-28T12:30:15.250", "data": {}}').time == NOW


@given(draw=st.floats(0, 1, exclude_max=True), failures=st.integers(0, 20), asked_s=st.none() | st.floats(0, 1e9))
def test_waits_are_those_of_the_specification(draw: float, failures: int, asked_s: float | None) -> None:
    """Each delay is the specification's, a tenth more or less; never shorter than what the receiver asks for."""
    wait = wait_s(failures, draw=draw, retry_after_s=asked_s)
    if failures >= len(DELAYS_S):
        assert wait is None
        return
    assert wait is not None
    least = min(asked_s or 0.0, LONGEST_WAIT_S)
    assert wait >= least
    assert wait == least or 0.9 * DELAYS_S[failures] <= wait <= 1.1 * DELAYS_S[failures]


def test_a_message_is_sent_ten_times() -> None:
    """At once, and nine times more over some three days."""
    waits = [wait_s(failures, draw=0.5) for failures in range(11)]
    assert waits == [0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400, None]
