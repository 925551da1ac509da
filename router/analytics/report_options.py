"""What a report is about: window, filters, groups; and how they become SQL, values bound and never pasted."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, get_args

from router.analytics.report_prices import Prices
from router.core.caching import CacheKind
from router.core.decision import Ending
from router.core.naming import allowed
from router.errors import RequestError

DAY_US: Final = 86_400_000_000
HOUR_US: Final = 3_600_000_000

_FIELDS: Final = {
    "model": "model",
    "provider": "provider",
    "policy": "policy",
    "tenant": "tenant",
    "ending": "ending",
    "cache": "cache",
}
_CLOSED: Final = {"ending": get_args(Ending), "cache": get_args(CacheKind)}
"""Fields whose values are a fixed set."""
_TIMES: Final = {"day": DAY_US, "hour": HOUR_US}
"""Groups of time, each with its length in microseconds."""
_AGO: Final = re.compile(r"(\d{1,6})([mhdw])", re.ASCII)
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_TAG: Final = "tag:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is reported, and how.

    Attributes:
        since, until: the window, its end not included; None is open. Requests without a time are in no window.
        where: filters, as field and accepted value; several values of one field are alternatives.
        by: groups of an additional table, such as ("tenant", "tag:team", "day").
        baseline: name or id of the model to compare the whole cost with; None takes what each record compared with.
        storm_within_s: equal requests of one client that follow each other within so many seconds are a storm.
        prices: where the prices for what-if figures come from.
    """

    since: datetime | None = None
    until: datetime | None = None
    where: tuple[tuple[str, str], ...] = ()
    by: tuple[str, ...] = ()
    baseline: str | None = None
    storm_within_s: float = 10.0
    prices: Prices = field(default_factory=Prices)

    def __post_init__(self) -> None:
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise RequestError(
                f"the window begins at {self.since:%Y-%m-%d %H:%M:%S} UTC, which is not before its end at "
                f"{self.until:%Y-%m-%d %H:%M:%S} UTC: --since must be earlier than --until"
            )
        for name, value in self.where:
            _check(name, _FIELDS, "filter")
            if name in _CLOSED and value not in _CLOSED[name]:
                raise RequestError(f"{name} {value!r} does not exist; {allowed(value, _CLOSED[name])}")
        for name in self.by:
            _check(name, {**_FIELDS, **_TIMES}, "group")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A piece of SQL with the values that it takes."""

    sql: str
    values: Mapping[str, Any] = field(default_factory=dict)


def scope_of(options: Options, /) -> Part:
    """Returns the requests that a report is about, as a query of the view `decisions`."""
    values: dict[str, Any] = {}
    conditions = []
    for name, sign in (("since", ">="), ("until", "<")):
        if (moment := getattr(options, name)) is not None:
            values[name] = moment
            conditions.append(f"time {sign} ${name}")
    for number, (name, accepted) in enumerate(_alternatives(options.where).items()):
        of = _expression(name, f"where_{number}", values)
        names = [f"where_{number}_{place}" for place in range(len(accepted))]
        values.update(zip(names, accepted, strict=True))
        conditions.append(f"{of} IN ({', '.join('$' + name for name in names)})")
    condition = " AND ".join(conditions) or "true"
    return Part(sql=f"SELECT * FROM decisions WHERE {condition}", values=values)  # noqa: S608 - fixed expressions alone


def groups_of(by: Sequence[str], /) -> Part:
    """Returns the columns `by_0`, `by_1`, ... of a report's own groups, each with a comma before it."""
    values: dict[str, Any] = {}
    parts = [f", {_expression(name, f'by_{number}_tag', values)} AS by_{number}" for number, name in enumerate(by)]
    return Part(sql="".join(parts), values=values)


def moment_of(text: str, now: datetime, /) -> datetime:
    """Returns the time that a person names: "2026-11-01", "2026-11-01T12:30:00+01:00", or "7d", which is so long ago.

    A time without an offset is in UTC, and a date is its first moment.

    Raises:
        RequestError: it is none of these.
    """
    try:
        if ago := _AGO.fullmatch(text):
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise RequestError(
            f"{text!r} is no time: write a date (2026-11-01), a time (2026-11-01T12:30), or how long ago (7d, 12h)"
        ) from error


def is_time(name: str, /) -> bool:
    """Returns whether a group is one of time."""
    return name in _TIMES


def moment_at(name: str, number: int | None, /) -> datetime | None:
    """Returns when a group of time begins, from its number since 1970."""
    if number is None:
        return None
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=number * _TIMES[name])


def _alternatives(where: Sequence[tuple[str, str]]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in where:
        found.setdefault(name, []).append(value)
    return found


def _expression(name: str, parameter: str, values: dict[str, Any]) -> str:
    """Returns the SQL of a field; the name of a tag becomes a value under the name of `parameter`."""
    if name in _TIMES:
        return f"epoch_us(time) // {_TIMES[name]}"
    if name in _FIELDS:
        return _FIELDS[name]
    values[parameter] = name.removeprefix(_TAG)
    return f"tags[${parameter}]"


def _check(name: str, known: Mapping[str, Any], what: str) -> None:
    if name not in known and not (name.startswith(_TAG) and name != _TAG):
        raise RequestError(f"{name!r} is no {what}; there are {', '.join(known)} and tag:NAME")
