"""`lowfare alerts check`: what rules would have told of a log, so that thresholds are set before they wake anyone."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from router.cli.asking import settings_of
from router.cli.logs import Reading, analytics, log_path
from router.cli.terminal import out, print_json, shown
from router.config_alerts import rules_of
from router.config_errors import config_error
from router.core.alert import event_of, message_of
from router.core.alert_rules import stamp
from router.errors import ConfigError, RequestError
from router.setup_alerts import rule_faults

if TYPE_CHECKING:
    from router.analytics.rehearsal import Rehearsed


def run(log: Path | None, *, since: str | None, until: str | None, config: Path | None, as_json: bool) -> None:
    """Prints the alerts that the rules of a configuration would have raised.

    Raises:
        ConfigError: there is no rule, one looks at what nobody knows, or there is no log.
        RequestError: a time cannot be read.
    """
    settings = settings_of(config)
    if not settings.alerts:
        raise ConfigError(f"{settings.origin.file}: has no rule; this makes one: {_RULE}")
    if faults := rule_faults(settings):
        raise config_error(faults, settings.origin)
    edges = {"since": _moment("since", since), "until": _moment("until", until)}
    path = log_path(log, config)
    rules = rules_of(settings.alerts)
    budgets = tuple(table.value(name) for name, table in settings.budgets.items())
    with analytics():
        from router.analytics.rehearsal import by_rule, rehearsed
    with Reading("reading") as progress:
        found = rehearsed(path, rules, budgets, progress=progress, **edges)
    counts = by_rule(rules, found)
    if as_json:
        print_json(_values(found, counts))
    else:
        _print(found, counts)


_RULE = '[[alerts]], name = "errors", kind = "errors", shares = [0.3], to = ["ops"]'


def _moment(option: str, text: str | None) -> datetime | None:
    """Returns an instant; without a time zone it is in UTC."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise RequestError(
            f"--{option}: {text!r} is no time; allowed: ISO 8601, as 2026-11-28 or 2026-11-28T09:00+01:00"
        ) from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _values(found: Rehearsed, counts: dict[str, int]) -> dict[str, object]:
    alerts = []
    for rule, alert in found.told:
        event = event_of("", message_of(alert, message_id="").body)
        told = {"rule": rule.name, "to": list(rule.to), "type": event.type, "time": event.time.isoformat()}
        alerts.append(told | {"data": event.data})
    return {
        "requests": found.requests,
        "first": stamp(found.first),
        "last": stamp(found.last),
        "lines_aside": found.aside,
        "rules": counts,
        "alerts": alerts,
    }


def _print(found: Rehearsed, counts: dict[str, int]) -> None:
    console = out()
    span = f", from {stamp(found.first)} to {stamp(found.last)}" if found.first is not None else ""
    console.print(Text(f"{found.requests:,} requests{span}", style="bold"))
    if found.aside:
        console.print(f"lines that are no decisions: {found.aside:,}")
    if found.told:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for column in ("time", "rule", "type", "what it would have said"):
            table.add_column(column, overflow="fold")
        for rule, alert in found.told:
            cells = (stamp(alert.time) or "", rule.name, alert.type, str(alert.data["text"]))
            table.add_row(*(Text(shown(cell)) for cell in cells))
        console.print(table)
    for name, count in counts.items():
        times = "never" if not count else "once" if count == 1 else f"{count:,} times"
        console.print(shown(f"{name}: {times}"), soft_wrap=True)
