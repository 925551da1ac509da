"""A budget and its standing as JSON values in a decision's record, and back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from router.core.budget import Account, Budget, Scope, Standing, nano_of, usd_of
from router.core.budgeting import Purse
from router.core.money import usd
from router.core.window import Window, unix_s


def purse_dict(purse: Purse, /) -> dict[str, Any]:
    """Returns one entry of `budgets`."""
    budget, account, standing = purse.budget, purse.account, purse.standing
    return {
        "name": budget.name,
        "scope": scope_text(budget.scope),
        "only": budget.scope.value,
        "value": account.value,
        "window": budget.window.period,
        "time_zone": budget.window.time_zone,
        "rolling_s": account.rolling_s,
        "start": time_text(account.start_s),
        "end": time_text(account.end_s),
        "on_exceed": budget.on_exceed,
        "policy": budget.policy,
        "limit_usd": nano_text(standing.limit_nano),
        "spent_usd": nano_text(standing.spent_nano),
        "reserved_usd": nano_text(standing.reserved_nano),
        "lapsed_usd": nano_text(standing.lapsed_nano),
        "left_usd": nano_text(standing.left_nano),
        "ahead": purse.ahead,
        "ahead_held": purse.ahead_held,
    }


def purses_from(record: Mapping[str, Any], /) -> tuple[Purse, ...]:
    """Returns the budgets of a decision's record, as they stood then; empty in older ones."""
    return tuple([_purse(entry) for entry in record.get("budgets") or ()])


def scope_text(scope: Scope, /) -> str:
    """Returns a scope as the configuration writes it."""
    return f"tag:{scope.tag}" if scope.kind == "tag" else scope.kind


def nano_text(nano: int, /) -> str:
    """Returns nano-dollars in dollars, as a record writes money."""
    return f"{usd(usd_of(nano))}"


def time_text(at_s: int | None, /) -> str | None:
    """Returns an edge of a window as a record writes times; None where there is none."""
    return None if at_s is None else datetime.fromtimestamp(at_s, UTC).isoformat()


def _purse(entry: Mapping[str, Any]) -> Purse:
    kind, _, tag = entry["scope"].partition(":")
    limit_nano = _nano(entry["limit_usd"])
    return Purse(
        budget=Budget(
            name=entry["name"],
            limit_nano=limit_nano,
            window=Window(period=entry["window"], time_zone=entry["time_zone"], rolling_s=entry["rolling_s"]),
            scope=Scope(kind=kind, tag=tag or None, value=entry["only"]),
            on_exceed=entry["on_exceed"],
            policy=entry["policy"],
        ),
        account=Account(
            budget=entry["name"],
            value=entry["value"],
            start_s=_unix_s(entry["start"]),
            end_s=_unix_s(entry["end"]),
            rolling_s=entry["rolling_s"],
        ),
        standing=Standing(
            limit_nano=limit_nano,
            spent_nano=_nano(entry["spent_usd"]),
            reserved_nano=_nano(entry["reserved_usd"]),
            lapsed_nano=_nano(entry["lapsed_usd"]),
        ),
        ahead=entry["ahead"],
        ahead_held=entry["ahead_held"],
    )


def _nano(text: str) -> int:
    return nano_of(Decimal(text))


def _unix_s(text: str | None) -> int | None:
    return None if text is None else unix_s(datetime.fromisoformat(text))
