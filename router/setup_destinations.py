"""Settings -> alerts on their way: destinations and the outbox, found by entry point.

A kind of destination is a class with `send`, made with the options of its table, or any function, called with each
alert. The option `NAME_env = "VARIABLE"` gives them `NAME`, out of that environment variable; `NAME_envs = [...]` gives
`NAMEs`. So no kind reads the environment itself, and no secret stands in a file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from router.alerts.alerts import Alerts
from router.alerts.called import CalledSink
from router.alerts.outbox import Outbox
from router.alerts.outbox_memory import MemoryOutbox
from router.alerts.sink import AlertSink
from router.clock import Clock
from router.config import Settings
from router.config_destinations import DestinationTable, OutboxTable
from router.config_errors import Fault
from router.config_secrets import IDENTIFIER, SECRET_VALUE
from router.config_sources import Path
from router.core.naming import allowed
from router.errors import ConfigError
from router.registry import Registry, installed
from router.setup_options import wrong_options

SINKS: Final = "lowfare.alert_sinks"
OUTBOXES: Final = "lowfare.outboxes"

_METHODS: Final = ("put", "claim", "next_s", "done", "retry", "bury", "disable", "enable", "revive", "deliveries")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedDestination:
    """A destination that the configuration names, checked and not yet made.

    Attributes:
        name: what alerts call it.
        kind: what it is.
        make: a class of sinks, or a function to call with each alert.
        options: by keyword, as they stand in the file.
        variables: the names of the variables that hold further options, by the option.
    """

    name: str
    kind: str
    make: Callable[..., Any]
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    variables: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedAlerts:
    """What brings alerts out, checked and not yet made.

    Attributes:
        destinations: by name.
        backend: the kind of the outbox.
        make: its class.
        options: what that is called with, by keyword.
        deliver: whether routers deliver, or leave it to `lowfare alerts deliver`.
    """

    destinations: Mapping[str, PlannedDestination]
    backend: str
    make: Callable[..., Outbox]
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    deliver: bool = True


def planned_alerts(
    settings: Settings, *, sinks: Registry | None = None, outboxes: Registry | None = None
) -> tuple[PlannedAlerts | None, list[Fault]]:
    """Returns how alerts go out, None where the settings name no destination; and what is wrong with their tables.

    Args:
        settings: as `router.config` made them.
        sinks, outboxes: the kinds there are; None takes what is installed.
    """
    destinations, faults = _destinations(settings, installed(SINKS) if sinks is None else sinks)
    table = settings.outbox
    if table is None:
        return None, [*faults, *([Fault(("outbox",), _NO_OUTBOX)] if settings.destinations else [])]
    make, wrong = _backend(table, installed(OUTBOXES) if outboxes is None else outboxes)
    faults += [Fault(("outbox", *path), told) for path, told in wrong]
    if make is None or not settings.destinations:
        return None, faults
    planned = PlannedAlerts(
        destinations=destinations,
        backend=table.backend,
        make=make,
        options=table.options,
        deliver=table.deliver,
    )
    return planned, faults


_NO_OUTBOX: Final = (
    "is missing, and alerts need one to stand in until they have arrived: "
    '[outbox], backend = "sqlite", path = "outbox.sqlite" (one host), or backend = "redis" (many); "memory" loses them '
    "with the process"
)


def made_alerts(planned: PlannedAlerts | None, *, clock: Clock | None = None) -> Alerts:
    """Returns what takes alerts; its destinations are made when it begins to deliver.

    Args:
        planned: as `planned_alerts` returns it; None has no destination.
        clock: what time it is when an alert is raised; None is the machine's own.

    Raises:
        ConfigError: the outbox cannot be made.
    """
    if planned is None:
        return Alerts(MemoryOutbox(), (), dict)
    names = tuple(planned.destinations)
    make = partial(made_sinks, planned)
    return Alerts(made_outbox(planned), names, make, clock=clock, deliver=planned.deliver)


def made_outbox(planned: PlannedAlerts) -> Outbox:
    """Returns a new outbox.

    Raises:
        ConfigError: it cannot be made.
    """
    try:
        return planned.make(**planned.options)
    except ConfigError:
        raise
    except Exception as error:  # noqa: BLE001 - its text may hold the address, and that a password
        raise ConfigError(f"outbox: the backend {planned.backend!r} cannot be made ({type(error).__name__})") from None


def made_sinks(planned: PlannedAlerts, *, environ: Mapping[str, str] | None = None) -> dict[str, AlertSink]:
    """Returns the destinations, by name.

    Args:
        planned: as `planned_alerts` returns it.
        environ: where secrets are; None is the environment of the process.

    Raises:
        ConfigError: a variable is not set, or a destination refuses its options.
    """
    variables = os.environ if environ is None else environ
    return {name: made_sink(one, variables) for name, one in planned.destinations.items()}


def made_sink(planned: PlannedDestination, environ: Mapping[str, str]) -> AlertSink:
    """Returns one destination.

    Raises:
        ConfigError: a variable is not set, or the destination refuses its options.
    """
    place = f"destinations.{planned.name}"
    options = dict(planned.options)
    for name, variable in planned.variables.items():
        values = []
        for one in (variable,) if isinstance(variable, str) else variable:
            if not environ.get(one):
                raise ConfigError(f"{place}: the environment variable {one} is not set; it holds the option {name}")
            values.append(environ[one])
        options[name] = values[0] if isinstance(variable, str) else tuple(values)
    try:
        made: AlertSink = planned.make(**options) if _is_class(planned.make) else CalledSink(planned.make, options)
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from None
    except Exception as error:  # noqa: BLE001 - its text may hold a secret
        raise ConfigError(f"{place}: the kind {planned.kind!r} cannot be made ({type(error).__name__})") from None
    return made


def _destinations(settings: Settings, kinds: Registry) -> tuple[dict[str, PlannedDestination], list[Fault]]:
    destinations: dict[str, PlannedDestination] = {}
    faults: list[Fault] = []
    for name, table in settings.destinations.items():
        planned, wrong = _planned(name, table, kinds)
        faults += [Fault(("destinations", name, *path), told) for path, told in wrong]
        if planned is not None:
            destinations[name] = planned
    return destinations, faults


def _backend(table: OutboxTable, kinds: Registry) -> tuple[Callable[..., Outbox] | None, list[tuple[Path, str]]]:
    """Returns the class of an outbox, and what is wrong with its table."""
    try:
        make = kinds.load(table.backend)
    except ConfigError as error:
        return None, [(("backend",), str(error))]
    if not (isinstance(make, type) and all(callable(getattr(make, name, None)) for name in _METHODS)):
        told = f"the kind {table.backend!r} of {OUTBOXES} leads to {make!r}, which is no outbox: a class with "
        return None, [(("backend",), told + ", ".join(_METHODS))]
    return make, list(wrong_options(make, f"backend {table.backend!r}", table.options))


def _planned(
    name: str, table: DestinationTable, kinds: Registry
) -> tuple[PlannedDestination | None, list[tuple[Path, str]]]:
    """Returns a destination, and what is wrong with its table."""
    if table.kind not in kinds.kinds:
        hint = allowed(table.kind, kinds.kinds)
        return None, [(("kind",), f"found {table.kind!r}, which is not installed; {hint}")]
    try:
        make = kinds.load(table.kind)
    except ConfigError as error:
        return None, [(("kind",), str(error))]
    if not (_is_class(make) or (callable(make) and not isinstance(make, type))):
        told = (
            f"the kind {table.kind!r} of {SINKS} leads to {make!r}, which is neither a class with send nor a function"
        )
        return None, [(("kind",), told)]
    options, variables, faults = _sorted(table.options)
    # A function is called with the alert first; the options are what follows.
    taker = make if _is_class(make) else partial(make, None)
    later = {option: "" if isinstance(variable, str) else () for option, variable in variables.items()}
    faults += wrong_options(taker, f"kind {table.kind!r}", {**options, **later})
    planned = PlannedDestination(name=name, kind=table.kind, make=make, options=options, variables=variables)
    return planned, faults


def _sorted(
    stated: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, str | tuple[str, ...]], list[tuple[Path, str]]]:
    """Returns options that stand in the file, the variables that hold others, and what is wrong with them."""
    options: dict[str, Any] = {}
    variables: dict[str, str | tuple[str, ...]] = {}
    faults: list[tuple[Path, str]] = []
    for key, value in stated.items():
        option, several = _option(key)
        if option is None:
            options[key] = value
        elif several and isinstance(value, list | tuple) and value and all(map(_is_variable, value)):
            variables[option] = tuple(value)
        elif not several and _is_variable(value):
            variables[option] = str(value)
        else:
            what = "a list of names of environment variables" if several else "the name of an environment variable"
            faults.append(((key,), f"allowed: {what} (what was found is not shown, as it may be secret)"))
    faults += [((option,), "is stated twice: here, and by a variable") for option in options.keys() & variables.keys()]
    return options, variables, faults


def _option(key: str) -> tuple[str | None, bool]:
    """Returns the option that a variable, or several, is to hold; None where the key is an option itself."""
    if key.endswith("_envs"):
        return f"{key.removesuffix('_envs')}s", True
    return (key.removesuffix("_env"), False) if key.endswith("_env") else (None, False)


def _is_variable(value: object) -> bool:
    return isinstance(value, str) and IDENTIFIER.fullmatch(value) is not None and not SECRET_VALUE.search(value)


def _is_class(make: Any) -> bool:
    return isinstance(make, type) and callable(getattr(make, "send", None))
