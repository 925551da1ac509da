"""What a rule on counted requests makes of the sums of a window, and of those before it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, assert_never, cast
from zoneinfo import ZoneInfo

from router.core.alert import Alert
from router.core.alert_rules import (
    CacheHitsRule,
    CountRule,
    ErrorsRule,
    SpendRateRule,
    UnpricedRule,
    WasteRule,
    alert_name,
    percent,
    spelt,
    stamp,
)
from router.core.budget import usd_of
from router.core.counting import Counter, Sums, all_models
from router.core.money import usd
from router.core.window import span, unix_s

Range = tuple[int, int]
"""From a quarter's start to before another's, in seconds since 1970."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What a rule looks at.

    Attributes:
        window: in which it counts.
        before: what it compares that with; of a rule on the same hour of days, one for each of them.
    """

    window: Range
    before: tuple[Range, ...] = ()


def looked_at(rule: CountRule, quarters: Iterable[int], /) -> tuple[Looked, ...]:
    """Returns the windows, the earliest first, that quarters are in, each with what it is compared with."""
    windows = {_edges(rule, _EPOCH + timedelta(seconds=start_s)) for start_s in quarters}
    return tuple(Looked(window=window, before=_before(rule, window)) for window in sorted(windows))


def count_alerts(
    rule: CountRule, window: Range, sums: Sums, before: Sequence[Sums], /, *, at: datetime
) -> tuple[Alert, ...]:
    """Returns an alert for each threshold that is reached.

    Args:
        rule: which.
        window: as `looked_at` gives it.
        sums: what was counted in the window so far.
        before: of what it is compared with, in its order.
        at: the time.
    """
    return tuple(_alert(rule, window, found, at) for found in _found(rule, sums, before))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A threshold that is reached.

    Attributes:
        of: what is looked at apart.
        text: for people, what follows the window's name.
    """

    type: str
    of: str = ""
    threshold: Decimal
    text: str
    data: dict[str, Any]


def _found(rule: CountRule, sums: Sums, before: Sequence[Sums]) -> Iterator[_Found]:
    match rule:
        case SpendRateRule():
            return _spend(rule, sums, before)
        case WasteRule():
            return _waste(rule, sums)
        case ErrorsRule():
            return _errors(rule, sums)
        case CacheHitsRule():
            return _hits(rule, sums, before)
        case UnpricedRule():
            return _unpriced(rule, sums)
        case _:
            assert_never(rule)


def _alert(rule: CountRule, window: Range, found: _Found, at: datetime) -> Alert:
    start, end = (_EPOCH + timedelta(seconds=edge_s) for edge_s in window)
    data = {
        "text": f"in the {rule.window.period} from {stamp(start)}, {found.text}",
        "rule": rule.name,
        "window": {"start": stamp(start), "end": stamp(end)},
        "threshold": spelt(found.threshold),
        **found.data,
    }
    name = alert_name(rule.name, found.of, stamp(start) or "", spelt(found.threshold))
    return Alert(name=name, type=found.type, time=at, data=data, until=end)


def _spend(rule: SpendRateRule, sums: Sums, before: Sequence[Sums]) -> Iterator[_Found]:
    spent = sums.get(("spent_nano", ""), 0)
    days = [day.get(("spent_nano", ""), 0) for day in before if day.get(("requests", ""))]
    if len(days) < rule.min_days or spent < rule.min_nano or not spent:
        return
    usual = Fraction(sum(days), len(days))
    data = {"spent_usd": usd_of(spent), "usual_usd": usd_of(int(usual)), "days": len(days)}
    text = f"${_round(spent)} was spent; at that time of day ${_round(int(usual))} is usual"
    for factor in sorted(rule.factors):
        if spent >= Fraction(factor) * usual:
            yield _Found(type="spend.rate", threshold=factor, text=text, data=data)


def _waste(rule: WasteRule, sums: Sums) -> Iterator[_Found]:
    spent, wasted = sums.get(("spent_nano", ""), 0), sums.get(("wasted_nano", ""), 0)
    requests = sums.get(("requests", ""), 0)
    if requests < rule.min_requests or spent < rule.min_nano:
        return
    data = {"requests": requests, "spent_usd": usd_of(spent), "wasted_usd": usd_of(wasted)}
    for share in _reached(rule.shares, wasted, spent):
        text = f"{percent(wasted, spent)} of ${_round(spent)} bought nothing"
        yield _Found(type="waste.share", threshold=share, text=text, data=data | {"share": _share(wasted, spent)})


def _errors(rule: ErrorsRule, sums: Sums) -> Iterator[_Found]:
    for model, judged in sorted(all_models(sums, "judged").items()):
        if rule.model not in (None, model) or judged < rule.min_attempts:
            continue
        failures = sums.get(("failures", model), 0)
        data = {"model": model, "attempts": judged, "failures": failures}
        for share in _reached(rule.shares, failures, judged):
            text = f"{percent(failures, judged)} of {judged:,} attempts at {model} failed"
            data = {**data, "share": _share(failures, judged)}
            yield _Found(type="errors.share", of=model, threshold=share, text=text, data=data)


def _hits(rule: CacheHitsRule, sums: Sums, before: Sequence[Sums]) -> Iterator[_Found]:
    hits, lookups = sums.get(("hits", ""), 0), sums.get(("lookups", ""), 0)
    usual_hits = sum(day.get(("hits", ""), 0) for day in before)
    usual_lookups = sum(day.get(("lookups", ""), 0) for day in before)
    if min(lookups, usual_lookups) < max(rule.min_requests, 1) or not usual_hits:
        return
    usual = Fraction(usual_hits, usual_lookups)
    if usual < Fraction(rule.min_share):
        return
    data = {"requests": lookups, "hits": hits, "share": _share(hits, lookups)}
    data["usual_share"] = _share(usual_hits, usual_lookups)
    text = f"the cache answered {percent(hits, lookups)} of requests; {percent(usual_hits, usual_lookups)} is usual"
    for part in sorted(rule.falls_to, reverse=True):
        if Fraction(hits, lookups) <= Fraction(part) * usual:
            yield _Found(type="cache.hits", threshold=part, text=text, data=data)


_OF_UNKNOWN_COST: Final[dict[str, tuple[Counter, Counter]]] = {
    "requests": ("unpriced", "requests"),
    "attempts": ("unpriced_attempts", "attempts"),
}


def _unpriced(rule: UnpricedRule, sums: Sums) -> Iterator[_Found]:
    part, whole = _OF_UNKNOWN_COST[rule.of]
    unknown, every = sum(all_models(sums, part).values()), sum(all_models(sums, whole).values())
    if unknown < max(rule.min_unpriced, 1):
        return
    models = sorted(all_models(sums, "unpriced_attempts").items(), key=lambda entry: (-entry[1], entry[0]))
    data = {"of": rule.of, "unpriced": unknown, "all": every, "models": dict(models[:10])}
    for share in _reached(rule.shares, unknown, every):
        text = f"nobody knows what {percent(unknown, every)} of {every:,} {rule.of} cost"
        yield _Found(type="unpriced.share", threshold=share, text=text, data=data | {"share": _share(unknown, every)})


def _reached(shares: Iterable[Decimal], part: int, whole: int) -> list[Decimal]:
    """Returns the shares that a part has reached, the lowest first; none where there is nothing of it."""
    return [share for share in sorted(shares) if part and part >= Fraction(share) * whole]


def _share(part: int, whole: int) -> float:
    return round(part / whole, 6)


def _round(nano: int) -> str:
    """Returns dollars for a sentence: to the cent, or with two digits that are not 0."""
    if nano >= 10**7:
        return f"{nano / 10**9:,.2f}"
    return usd(Decimal(f"{nano / 10**9:.2g}")) or ""


def _edges(rule: CountRule, at: datetime) -> Range:
    within = span(rule.window, at)
    return cast("int", unix_s(within.start)), cast("int", unix_s(within.end))  # hours and days have both


def _before(rule: CountRule, window: Range) -> tuple[Range, ...]:
    match rule:
        case SpendRateRule():
            return tuple(_days_ago(rule, window[0], days) for days in range(1, rule.days + 1))
        case CacheHitsRule():
            return ((window[0] - rule.days * _DAY_S, window[0]),)
        case _:
            return ()


def _days_ago(rule: SpendRateRule, start_s: int, days: int) -> Range:
    """Returns the hour at which the zone's clock showed the same time, so many days before."""
    zone = ZoneInfo(rule.window.time_zone)
    shown = (_EPOCH + timedelta(seconds=start_s)).astimezone(zone).replace(tzinfo=None)
    return _edges(rule, (shown - timedelta(days=days)).replace(tzinfo=zone).astimezone(UTC))
