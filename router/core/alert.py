"""An alert as a rule raises it, the message that it becomes, and when a message that did not arrive is sent again.

The body of a message is that of Standard Webhooks 1.0.0: `{type, timestamp, data}`, below 20 kB. It is made once and
kept as bytes, so that every attempt sends the same; only its signature and the time of sending are new.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from itertools import accumulate
from typing import Any, Final

from router.core.money import usd

BODY_BYTES_MOST: Final = 20_000
"""Of a body (Standard Webhooks 1.0.0, "Payload structure": a payload should be smaller than 20 kB)."""

SHORTENED: Final = "shortened"
"""Key of `data` under which stand the names of what was left out because the body would have been too long."""

DELAYS_S: Final = (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Seconds before each attempt (Standard Webhooks 1.0.0, "Deliverability and reliability"): three days in all."""

JITTER: Final = 0.1
"""How much a delay may be longer or shorter, as a share: receivers that come back are not hit by all at once."""

LONGEST_WAIT_S: Final = 86_400.0
"""What a receiver may ask for by `retry-after`; as long as the last delay."""

_TYPE: Final = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*", re.IGNORECASE)
_TYPE_LONGEST: Final = 100
_NAMES_BYTES: Final = 2_000
"""How much room the names of what was left out have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something that somebody wants to be told of.

    Attributes:
        name: what makes it one and the same: of all alerts with one name, in all processes that share an outbox, only
            the first is delivered. A rule makes it of itself, the window and the threshold.
        type: what kind of event it is, in words with dots between: "budget.threshold".
        time: when it happened, with a time zone.
        data: JSON values; amounts of money may be `Decimal`. A `text` in it is a sentence for people.
        until: when the name may be forgotten, as it cannot be raised again: the end of its window. None is never.

    Raises:
        ValueError: a name or a time zone is missing, or the type is not made of words.
    """

    name: str
    type: str
    time: datetime
    data: Mapping[str, Any] = field(default_factory=dict)
    until: datetime | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("an alert needs a name, which is one for its rule, window and threshold")
        if len(self.type) > _TYPE_LONGEST or not _TYPE.fullmatch(self.type):
            raise ValueError(f'the type of an alert is {self.type!r}; allowed: words with dots, as "budget.threshold"')
        for name, moment in (("time", self.time), ("until", self.until)):
            if moment is not None and moment.tzinfo is None:
                raise ValueError(f"{name} of the alert {self.name!r} has no time zone")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """An alert on its way.

    Attributes:
        id: the same in every attempt and for every destination; receivers tell repeated messages by it.
        name: the alert's.
        body: JSON, as it is sent.
        until_s: when the name may be forgotten, in Unix seconds; None is never.
    """

    id: str
    name: str
    body: bytes = field(repr=False)
    until_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What a message says, as its receiver reads it.

    Attributes:
        id: the same each time that the message is sent.
        type: what kind of event it is.
        time: when it happened.
        data: JSON values.
    """

    id: str
    type: str
    time: datetime
    data: Mapping[str, Any] = field(default_factory=dict)


def message_of(alert: Alert, /, *, message_id: str) -> Message:
    """Returns the message that tells of an alert.

    Args:
        alert: what it tells of.
        message_id: what tells it from others.

    Raises:
        ValueError: the data holds what JSON does not have.
    """
    return Message(
        id=message_id,
        name=alert.name,
        body=body_of(alert),
        until_s=None if alert.until is None else alert.until.timestamp(),
    )


def body_of(alert: Alert, /) -> bytes:
    """Returns the body of an alert's message, of fewer than `BODY_BYTES_MOST` bytes.

    Where it would be longer, the longest entries of `data` are left out, and `data["shortened"]` lists their names.

    Raises:
        ValueError: the data holds what JSON does not have.
    """
    head = {"type": alert.type, "timestamp": alert.time.astimezone(UTC).isoformat().replace("+00:00", "Z")}
    body = _json({**head, "data": dict(alert.data)})
    return body if len(body) < BODY_BYTES_MOST else _shortened(head, alert.data)


def event_of(message_id: str, body: bytes | str, /) -> Event:
    """Returns what a message says.

    Args:
        message_id: what tells it from others.
        body: as it was sent.

    Raises:
        ValueError: it is not `{type, timestamp, data}` in JSON.
    """
    match json.loads(body):
        case {"type": str(kind), "timestamp": str(time), "data": dict(data)}:
            moment = datetime.fromisoformat(time)
            return Event(
                id=message_id, type=kind, time=moment if moment.tzinfo else moment.replace(tzinfo=UTC), data=data
            )
        case _:
            raise ValueError("not an object with type, timestamp and data")


def wait_s(failures: int, /, *, draw: float, retry_after_s: float | None = None) -> float | None:
    """Returns in how many seconds a message is sent again; None where it was sent often enough.

    Args:
        failures: how many attempts failed, the last one included.
        draw: from 0 up to 1, at random.
        retry_after_s: what the receiver asked for; it is not disturbed before.
    """
    if failures >= len(DELAYS_S):
        return None
    delay_s = DELAYS_S[failures] * (1 + JITTER * (2 * draw - 1))
    return max(delay_s, min(retry_after_s or 0.0, LONGEST_WAIT_S))


def _shortened(head: Mapping[str, str], data: Mapping[str, Any]) -> bytes:
    sizes = {name: len(_json({name: value})) for name, value in data.items()}
    names = sorted(sizes, key=sizes.__getitem__)
    room = BODY_BYTES_MOST - _NAMES_BYTES - len(_json({**head, "data": {SHORTENED: []}}))
    kept = set(_fitting(names, (sizes[name] for name in names), room))
    left_out = [name for name in names if name not in kept]
    listed = _fitting(left_out, (len(_json(name)) + len(",") for name in left_out), _NAMES_BYTES - len('"..."'))
    more = ["..."] if len(listed) < len(left_out) else []
    return _json({**head, "data": {name: data[name] for name in data if name in kept} | {SHORTENED: [*listed, *more]}})


def _fitting(names: Sequence[str], sizes: Iterable[int], room: int) -> list[str]:
    """Returns the first of these names, as many as have room together."""
    return [name for name, taken in zip(names, accumulate(sizes), strict=True) if taken <= room]


def _json(value: Any) -> bytes:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)
        return text.encode()
    except (TypeError, ValueError, RecursionError) as error:  # of a lone surrogate too
        raise ValueError(f"the data of an alert is not JSON: {type(error).__name__}") from error


def _plain(value: object) -> Any:
    match value:
        case Decimal():
            return usd(value)
        case datetime():
            return value.isoformat()
        case Mapping():
            return dict(value)
        case _:
            raise TypeError(type(value).__name__)
