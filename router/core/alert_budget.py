"""What a rule on a budget makes of how an account stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final

from router.core.alert import Alert
from router.core.alert_rules import BudgetRule, alert_name, percent, spelt, stamp
from router.core.budget import Account, Standing, usd_of
from router.core.money import usd

FORECAST_FROM: Final = Fraction(1, 10)
"""What part of a window must be over before it is told how it will end: sooner, one request would decide it."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """What spending may reach: in nano-dollars, and as the rule says it."""

    nano: int
    name: str
    share: Decimal | None = None


@lru_cache(maxsize=1_024)
def thresholds_of(rule: BudgetRule, limit_nano: int, /) -> tuple[Threshold, ...]:
    """Returns what a rule looks for in an account of this limit, the lowest first."""
    shares = [
        Threshold(nano=-(-Fraction(share) * limit_nano // 1), name=f"share {spelt(share)}", share=share)
        for share in rule.shares
    ]
    amounts = [Threshold(nano=nano, name=f"usd {usd(usd_of(nano))}") for nano in rule.amounts_nano]
    return tuple(sorted(shares + amounts, key=lambda threshold: (threshold.nano, threshold.name)))


def next_nano(rule: BudgetRule, standing: Standing, /) -> int | None:
    """Returns up to what may be spent before the rule has anything new to say; None is for ever."""
    above = (one.nano for one in thresholds_of(rule, standing.limit_nano) if one.nano > standing.spent_nano)
    return next(above, None)


def window_of(account: Account, /, *, at: datetime) -> tuple[datetime | None, datetime | None]:
    """Returns the window within which each threshold counts once; None is without end.

    A rolling window has no start at which its thresholds would count anew. They do at each multiple of its length since
    1970, so that they are told at most once in it.
    """
    if account.rolling_s is None:
        return _moment(account.start_s), _moment(account.end_s)
    start_s = int(at.timestamp() // account.rolling_s) * account.rolling_s
    return _moment(start_s), _moment(start_s + account.rolling_s)


def budget_alerts(rule: BudgetRule, account: Account, standing: Standing, /, *, at: datetime) -> tuple[Alert, ...]:
    """Returns an alert for each threshold that is reached, or by the forecast will be; the lowest first."""
    return tuple(_alerts(rule, account, standing, at))


def forecast_nano(account: Account, standing: Standing, /, *, at: datetime) -> int | None:
    """Returns what will be spent at the window's end if it goes on like this; None where nobody can tell.

    Neither of a window that has no edges, nor of one that has hardly begun.
    """
    if account.start_s is None or account.end_s is None:
        return None
    length_s = account.end_s - account.start_s
    elapsed_s = min(Fraction(at.timestamp()) - account.start_s, Fraction(length_s))
    if elapsed_s < FORECAST_FROM * length_s:
        return None
    return int(standing.spent_nano * length_s / elapsed_s)


def _alerts(rule: BudgetRule, account: Account, standing: Standing, at: datetime) -> Iterator[Alert]:
    foreseen = forecast_nano(account, standing, at=at) if rule.forecast else None
    for threshold in thresholds_of(rule, standing.limit_nano):
        if standing.spent_nano >= threshold.nano:
            yield _alert(rule, account, standing, threshold, at, None)
        elif foreseen is not None and foreseen >= threshold.nano:
            yield _alert(rule, account, standing, threshold, at, foreseen)


def _alert(
    rule: BudgetRule, account: Account, standing: Standing, threshold: Threshold, at: datetime, foreseen: int | None
) -> Alert:
    start, end = window_of(account, at=at)
    kind = "budget.threshold" if foreseen is None else "budget.forecast"
    data: dict[str, Any] = {
        "text": _text(account, standing, threshold, foreseen),
        "rule": rule.name,
        "budget": account.budget,
        "value": account.value or None,
        "window": {"start": stamp(start), "end": stamp(end), "rolling_s": account.rolling_s},
        "share": None if threshold.share is None else spelt(threshold.share),
        "threshold_usd": usd_of(threshold.nano),
        "spent_usd": usd_of(standing.spent_nano),
        "reserved_usd": usd_of(standing.reserved_nano),
        "limit_usd": usd_of(standing.limit_nano),
        "left_usd": usd_of(standing.left_nano),
    }
    if foreseen is not None:
        data["forecast_usd"] = usd_of(foreseen)
    which = threshold.name if foreseen is None else f"forecast {threshold.name}"
    name = alert_name(rule.name, account.value, stamp(start) or "", which)
    return Alert(name=name, type=kind, time=at, data=data, until=end)


def _text(account: Account, standing: Standing, threshold: Threshold, foreseen: int | None) -> str:
    whose = f" of {account.value}" if account.value else ""
    spent, limit = usd(usd_of(standing.spent_nano)), usd(usd_of(standing.limit_nano))
    part = f" ({percent(standing.spent_nano, standing.limit_nano)})" if standing.limit_nano else ""
    said = f"budget {account.budget}{whose}: ${spent} of ${limit} is spent{part}"
    if foreseen is None:
        return said
    reached = usd(usd_of(threshold.nano))
    return f"{said}; at this rate it will be ${_about(foreseen)} by the end of the window, past ${reached}"


def _about(nano: int) -> str:
    """Returns an amount to the cent; one below a dollar to three digits, since of small budgets cents say nothing."""
    amount = usd_of(nano)
    return f"{amount:.{max(2, 2 - amount.adjusted())}f}"


def _moment(seconds: int | None) -> datetime | None:
    return None if seconds is None else _EPOCH + timedelta(seconds=seconds)
