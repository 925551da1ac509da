"""When somebody is to be told: the rules of `[[alerts]]` as values.

What a rule makes of how things stand is in `alert_budget`, for rules on budgets, and in `alert_counts`, for those on
what `counting` counts. All of that is pure: the same standings and sums give the same alerts, today or from a log.

A rule fires once for each window, threshold and whatever it looks at apart (a budget's account, a model): the name of
its alert says these, and of one name only the first alert goes out (`router.core.alert`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

from router.core.window import Window

Share = Decimal
"""As it was written; of a budget's limit it may be above 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetRule:
    """Spending reaches a part of a budget, in any of its accounts.

    Attributes:
        name: of the rule; stands in the names of its alerts.
        to: names of destinations.
        shares: of the budget's limit.
        amounts_nano: of money, whatever the limit is.
        forecast: whether to tell as well when spending, if it goes on like this, reaches one by the window's end.
    """

    name: str
    to: tuple[str, ...]
    budget: str
    shares: tuple[Share, ...] = ()
    amounts_nano: tuple[int, ...] = ()
    forecast: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendRateRule:
    """More is spent in an hour than in the same hour of the last days.

    Attributes:
        window: an hour, of some time zone.
        factors: how many times the mean of these days.
        days: how many days back, of which those count that had requests in that hour.
        min_days: how many must count.
        min_nano: what must be spent in the hour at the least.
    """

    name: str
    to: tuple[str, ...]
    window: Window
    factors: tuple[Decimal, ...]
    days: int
    min_days: int
    min_nano: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WasteRule:
    """A large share of what was spent bought nothing.

    Attributes:
        min_requests, min_nano: what there must be in the window, of requests and of spending.
    """

    name: str
    to: tuple[str, ...]
    window: Window
    shares: tuple[Share, ...]
    min_requests: int
    min_nano: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorsRule:
    """A large share of the attempts at a model failed.

    Attributes:
        model: which; None is each by itself.
        min_attempts: how many must have been made, of those that say something about the model.
    """

    name: str
    to: tuple[str, ...]
    window: Window
    shares: tuple[Share, ...]
    model: str | None
    min_attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheHitsRule:
    """The cache answers far fewer requests than in the last days.

    Attributes:
        falls_to: the share of hits in the window, as a part of what it was in these days.
        days: how many days before the window.
        min_requests: how many must have looked into the cache, in the window as in these days.
        min_share: the share of hits there must have been; where the cache hardly ever answers, nothing collapses.
    """

    name: str
    to: tuple[str, ...]
    window: Window
    falls_to: tuple[Share, ...]
    days: int
    min_requests: int
    min_share: Share


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpricedRule:
    """Nobody knows what a share of the requests, or of the attempts, cost.

    Attributes:
        min_unpriced: how many of unknown cost there must be.
    """

    name: str
    to: tuple[str, ...]
    window: Window
    of: Literal["requests", "attempts"]
    shares: tuple[Share, ...]
    min_unpriced: int


CountRule = SpendRateRule | WasteRule | ErrorsRule | CacheHitsRule | UnpricedRule
"""A rule on what is counted of requests."""

Rule = BudgetRule | CountRule


def alert_name(rule: str, of: str, start: str, threshold: str, /) -> str:
    """Returns what makes an alert one and the same: as JSON, so that no two differ in where a part ends.

    Args:
        rule: the rule's name.
        of: what is looked at apart, as a model or an account; may be empty.
        start: of the window.
        threshold: which one was reached.
    """
    return json.dumps([rule, of, start, threshold], ensure_ascii=False, separators=(",", ":"))


def stamp(at: datetime | None, /) -> str | None:
    """Returns an instant as it stands in an alert's data: UTC, to the second."""
    return None if at is None else at.astimezone(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")


def spelt(number: Decimal, /) -> str:
    """Returns a threshold as it is said: without exponent or trailing zeros, so that 0.80 and 0.8 are one."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(part: int, whole: int, /) -> str:
    """Returns a share for people, of a whole that is not 0."""
    return f"{100 * part / whole:.3g} %"
