"""`lowfare budget`: how budgets stand, and what the log says of them.

These commands open the ledger and, for `rebuild`, the log; no key is needed, and nobody is asked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TypeVar

from rich.table import Table
from rich.text import Text

from router.cli.asking import settings_of
from router.cli.logs import Reading, analytics, log_path
from router.cli.purses import account_name
from router.cli.terminal import dollars, out, print_json
from router.core.budget import KEPT_S, Account, Budget, Standing, account_of, usd_of
from router.core.budget_record import nano_text, scope_text, time_text
from router.errors import ConfigError, RouterError
from router.setup import Setup
from router.setup_state import made_ledger
from router.state.ledger import Ledger
from router.state.ledger_memory import MemoryLedger

T = TypeVar("T")

_WIDE: Final = 80
"""Columns of a terminal from which on amounts are not folded."""

_FORECAST_LEAST: Final = 0.02
"""Share of a window that must be over before what it comes to is foretold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One account of a budget as it stands.

    Attributes:
        whose: the budget, and for which value of its scope it counts, for people.
        account: the same, and of which window.
        standing: None where nobody here can know, as each process counts by itself.
        forecast_nano: what will be spent at the end of the window if it goes on so; None where that cannot be said.
    """

    budget: Budget
    whose: str
    account: Account
    standing: Standing | None
    forecast_nano: int | None


def run(*, config: Path | None, as_json: bool) -> None:
    """Prints how the budgets of a configuration stand."""
    setup = _setup(config)
    now_s = time.time()
    shared = setup.state.make is not MemoryLedger
    found = asyncio.run(_with_ledger(setup, lambda ledger: _standings(ledger, now_s))) if shared else None
    rows = list(rows_of(setup.budgets, found, now_s))
    if as_json:
        print_json({"backend": setup.state.backend, "shared": shared, "budgets": [_values(row) for row in rows]})
        return
    out().print(_table(rows))
    if not shared:
        out().print(
            '\neach process counts by itself ([state] backend = "memory"), and no command sees that; '
            '"sqlite" (one host) and "redis" (many) are shared',
            soft_wrap=True,
        )


def run_rebuild(log: Path | None, *, config: Path | None, really: bool, as_json: bool) -> None:
    """Prints what the log says beside what was counted; where it is `really` meant, puts it in its place.

    Raises:
        ConfigError: each process counts by itself, or there is no log.
    """
    setup = _setup(config)
    if setup.state.make is MemoryLedger:
        raise ConfigError(
            '[state] backend = "memory" is each process\'s own, and begins anew with it: there is nothing to rebuild; '
            'backend = "sqlite" (one host) and "redis" (many) are shared'
        )
    path = log_path(log, config)
    with analytics():
        from router.analytics.spent import spent
    now_s, kept_s = time.time(), setup.state.options.get("kept_s", KEPT_S)
    with Reading("reading") as progress:
        found = spent(path, setup.budgets, now_s=now_s, kept_s=kept_s, progress=progress)

    async def compare(ledger: Ledger) -> tuple[dict[Account, Standing], ...]:
        said = MemoryLedger(kept_s=kept_s)
        before = await _standings(ledger, now_s)
        for each in (said, ledger) if really else (said,):
            await each.rebuild(found.claims, now_s=now_s)
        return await _standings(said, now_s), before, await _standings(ledger, now_s)

    logged, before, after = asyncio.run(_with_ledger(setup, compare))
    scopes = {budget.name: scope_text(budget.scope) for budget in setup.budgets}
    changes = list(_changes(logged, before, after if really else None, scopes))
    if as_json:
        about = {"dry_run": not really, "log": str(path), "requests": found.requests, "lines_aside": found.aside}
        print_json(about | {"accounts": changes})
        return
    _print_changes(changes, path, found.requests, really=really)


def rows_of(budgets: Sequence[Budget], found: Mapping[Account, Standing] | None, now_s: float, /) -> Iterator[Row]:
    """Yields the accounts whose window is not over; of a budget without any, one that nothing was counted in.

    Args:
        budgets: in the order of the configuration.
        found: what the ledger keeps; None where it cannot be asked.
        now_s: the time, in seconds since 1970.
    """
    now = datetime.fromtimestamp(now_s, UTC)
    for budget in budgets:
        window = account_of(budget, "", now)
        mine: list[tuple[Account, Standing | None]] = [
            (account, standing)
            for account, standing in (found or {}).items()
            if (account.budget, account.start_s, account.end_s, account.rolling_s)
            == (budget.name, window.start_s, window.end_s, window.rolling_s)
        ]
        fresh = None if found is None else Standing(limit_nano=budget.limit_nano)
        scope = scope_text(budget.scope)
        for account, standing in sorted(mine, key=lambda pair: pair[0].value) or [(window, fresh)]:
            value = account.value or budget.scope.value or ""
            each = not (mine or value or scope == "all")
            whose = f"{budget.name} for each {scope}" if each else account_name(budget.name, scope, value)
            forecast = None if standing is None else forecast_nano(account, standing, now_s)
            yield Row(budget=budget, whose=whose, account=account, standing=standing, forecast_nano=forecast)


def forecast_nano(account: Account, standing: Standing, now_s: float, /) -> int | None:
    """Returns what is spent at the end of a window if spending goes on as from its beginning; None without an end.

    Also None while less than 2 % of the window are over.
    """
    if account.start_s is None or account.end_s is None:
        return None
    over_s, whole_s = now_s - account.start_s, account.end_s - account.start_s
    return None if over_s < _FORECAST_LEAST * whole_s else int(standing.spent_nano * whole_s / over_s)


def _setup(config: Path | None) -> Setup:
    from router.setup import setup_of

    settings = settings_of(config)
    if not settings.budgets:
        raise ConfigError(
            f'{settings.origin.file}: has no budget; this makes one: [budgets.daily], limit_usd = "10", window = "day"'
        )
    return setup_of(settings)


async def _with_ledger(setup: Setup, ask: Callable[[Ledger], Awaitable[T]]) -> T:
    ledger = made_ledger(setup.state)
    try:
        return await ask(ledger)
    except RouterError:
        raise
    except Exception as error:  # noqa: BLE001 - of any library; its text may hold the address, and that a password
        kind = setup.state.backend
        raise RouterError(f"the store of budgets (backend {kind!r}) cannot be asked: {type(error).__name__}") from None
    finally:
        await ledger.aclose()


async def _standings(ledger: Ledger, now_s: float) -> dict[Account, Standing]:
    return {account: standing async for account, standing in ledger.accounts(now_s=now_s)}


def _changes(
    logged: Mapping[Account, Standing],
    before: Mapping[Account, Standing],
    after: Mapping[Account, Standing] | None,
    scopes: Mapping[str, str],
) -> Iterator[dict[str, Any]]:
    """Yields of each account what was counted, and what the log says; of a dry run, where they differ."""
    none = Standing(limit_nano=0)
    every: set[Account] = {*logged, *before, *(after or {})}
    for account in sorted(every, key=_order):
        yield {
            "budget": account.budget,
            "scope": scopes.get(account.budget),
            "value": account.value,
            "start": time_text(account.start_s),
            "end": time_text(account.end_s),
            "counted_usd": nano_text(before.get(account, none).spent_nano),
            "logged_usd": nano_text(logged.get(account, none).spent_nano),
            "now_usd": None if after is None else nano_text(after.get(account, none).spent_nano),
        }


def _order(account: Account) -> tuple[str, str, int]:
    return account.budget, account.value, account.start_s or 0


def _values(row: Row) -> dict[str, Any]:
    standing = row.standing
    return {
        "name": row.budget.name,
        "scope": scope_text(row.budget.scope),
        "value": row.account.value,
        "window": row.budget.window.period,
        "start": time_text(row.account.start_s),
        "end": time_text(row.account.end_s),
        "rolling_s": row.account.rolling_s,
        "on_exceed": row.budget.on_exceed,
        "limit_usd": nano_text(row.budget.limit_nano),
        "spent_usd": None if standing is None else nano_text(standing.spent_nano),
        "reserved_usd": None if standing is None else nano_text(standing.reserved_nano),
        "lapsed_usd": None if standing is None else nano_text(standing.lapsed_nano),
        "left_usd": None if standing is None else nano_text(_left(row)),
        "forecast_usd": None if row.forecast_nano is None else nano_text(row.forecast_nano),
    }


def _left(row: Row) -> int:
    """Returns what is left of the limit as it is configured now, whatever it was when the last claim was made."""
    standing = row.standing or Standing(limit_nano=0)
    return max(0, row.budget.limit_nano - standing.spent_nano - standing.reserved_nano)


def _table(rows: Sequence[Row]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("budget", overflow="fold")
    table.add_column("until (UTC)", no_wrap=True)
    lapsed = any(row.standing is not None and row.standing.lapsed_nano for row in rows)
    for title in ("limit", "spent", *["of it lapsed"] * lapsed, "reserved", "left", "forecast"):
        # Folded, an amount is hard to read: the name gives way, down to where nothing of it would be left.
        table.add_column(title, justify="right", overflow="fold", no_wrap=out().width >= _WIDE)
    for row in rows:
        figures = _figures(row, lapsed=lapsed)
        over = row.forecast_nano is not None and row.forecast_nano > row.budget.limit_nano
        table.add_row(
            Text(row.whose, style="bold"),
            Text(_until(row)),
            Text(dollars(usd_of(row.budget.limit_nano))),
            *(Text("-" if nano is None else dollars(usd_of(nano))) for nano in figures),
            Text("-" if row.forecast_nano is None else dollars(usd_of(row.forecast_nano)), style="red" if over else ""),
        )
    return table


def _figures(row: Row, *, lapsed: bool) -> list[int | None]:
    """Returns what was spent, what of that lapsed, what is reserved and what is left, in nano-dollars."""
    if (standing := row.standing) is None:
        return [None] * (4 if lapsed else 3)
    return [standing.spent_nano, *[standing.lapsed_nano] * lapsed, standing.reserved_nano, _left(row)]


def _until(row: Row) -> str:
    if row.account.rolling_s is not None:
        return f"last {row.account.rolling_s / 3600:g} h"
    return "no end" if row.account.end_s is None else f"{time_text(row.account.end_s):.16}".replace("T", " ")


def _print_changes(changes: Sequence[Mapping[str, Any]], path: Path, requests: int, *, really: bool) -> None:
    console = out()
    wrong = [change for change in changes if Decimal(change["counted_usd"]) != Decimal(change["logged_usd"])]
    console.print(
        f"{path}: {requests:,} requests, {len(changes)} windows, {len(wrong)} counted otherwise", soft_wrap=True
    )
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("budget", "from", "counted", "in the log"):
        table.add_column(title, overflow="fold")
    for change in wrong:
        began = "-" if change["start"] is None else change["start"]
        amounts = (dollars(change[name], exact=True) for name in ("counted_usd", "logged_usd"))
        table.add_row(
            Text(account_name(change["budget"], change["scope"], change["value"])), Text(began), *map(Text, amounts)
        )
    if wrong:
        console.print(table)
    if really:
        console.print("done: each window is what the log says, and what is under way")
    elif wrong:
        console.print("nothing was done: the same command with --yes does it")
