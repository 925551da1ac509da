"""Settings -> the rules of `[[alerts]]`, checked against what they name, and the watch that raises them.

What is counted is kept by the backend of `[state]`, where the configuration has that table, else by that of the outbox:
by what is of the same kind in the group `lowfare.counters`, with the same options. Of a backend with a `path` the
counters are in a file beside it, `PATH.counters`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from inspect import signature
from typing import Any, Final

from router.alerts.alerts import Alerts
from router.alerts.counters import Counters
from router.alerts.watch import Watch
from router.config import Settings
from router.config_alerts import BudgetAlert, ErrorsAlert, rules_of
from router.config_errors import Fault
from router.core.alert_rules import Rule
from router.core.naming import allowed
from router.errors import ConfigError
from router.registry import Registry, installed

COUNTERS: Final = "lowfare.counters"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedWatch:
    """What watches, checked and not yet made.

    Attributes:
        rules: in the order of the file.
        backend: the kind of the counters.
        make: their class.
        options: what that is called with, by keyword.
    """

    rules: tuple[Rule, ...]
    backend: str
    make: Callable[..., Counters]
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)


def planned_watch(settings: Settings, *, counters: Registry | None = None) -> tuple[PlannedWatch | None, list[Fault]]:
    """Returns what watches, None where there is no rule; and what is wrong with the rules.

    Args:
        settings: as `router.config` made them.
        counters: the kinds of counters there are; None takes what is installed.
    """
    if not settings.alerts:
        return None, []
    faults = rule_faults(settings)
    faults += [
        Fault(("alerts", number, "to", which), f"no destination is named {name!r}; {_allowed(name, settings)}")
        for number, table in enumerate(settings.alerts)
        for which, name in enumerate(table.to)
        if name not in settings.destinations
    ]
    if settings.outbox is None:  # of which the destinations say what it needs, where there are any
        return None, faults
    place = "state" if "state" in settings.model_fields_set else "outbox"
    table = settings.state if place == "state" else settings.outbox
    try:
        make = (installed(COUNTERS) if counters is None else counters).load(table.backend)
    except ConfigError as error:
        return None, [*faults, Fault((place, "backend"), f"keeps no counters, which alerts need: {error}")]
    planned = PlannedWatch(
        rules=rules_of(settings.alerts), backend=table.backend, make=make, options=_options(make, table.options)
    )
    return planned, faults


def made_watch(planned: PlannedWatch, alerts: Alerts, *, now: Callable[[], datetime]) -> Watch:
    """Returns what watches.

    Raises:
        ConfigError: the counters cannot be made.
    """
    try:
        counters = planned.make(**planned.options)
    except ConfigError:
        raise
    except Exception as error:  # noqa: BLE001 - its text may hold the address, and that a password
        raise ConfigError(f"counters: the kind {planned.backend!r} cannot be made ({type(error).__name__})") from None
    return Watch(planned.rules, counters, alerts, now=now)


def _options(make: Callable[..., Counters], options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns those options of another class's that counters take as well."""
    taken = {name: value for name, value in options.items() if name in signature(make).parameters}
    if isinstance(taken.get("path"), str | os.PathLike):
        taken["path"] = f"{os.fspath(taken['path'])}.counters"
    return taken


def rule_faults(settings: Settings) -> list[Fault]:
    """Returns what rules look at and nobody knows: budgets and models."""
    faults: list[Fault] = []
    for number, table in enumerate(settings.alerts):
        if isinstance(table, BudgetAlert) and table.budget not in settings.budgets:
            told = f"no budget is named {table.budget!r}; {allowed(table.budget, settings.budgets)}"
            faults.append(Fault(("alerts", number, "budget"), told))
        if isinstance(table, ErrorsAlert) and table.model is not None and table.model not in settings.models:
            told = f"no model is named {table.model!r}; {allowed(table.model, settings.models)}"
            faults.append(Fault(("alerts", number, "model"), told))
    return faults


def _allowed(name: str, settings: Settings) -> str:
    none = 'there is none; this makes one: [destinations.ops], kind = "webhook", url = "https://..."'
    return allowed(name, settings.destinations, none=none)
