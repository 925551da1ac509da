"""Settings -> the ledger: its backend found by entry point, made with the options of `[state]`, and guarded."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from router.config import Settings
from router.config_errors import Fault
from router.core.naming import allowed
from router.errors import ConfigError
from router.registry import Registry, installed
from router.setup_options import wrong_options
from router.state.ledger import Ledger
from router.state.ledger_guard import WAIT_S, GuardedLedger
from router.state.ledger_memory import MemoryLedger

LEDGERS: Final = "lowfare.ledgers"

_METHODS: Final = ("reserve", "settle", "standings", "accounts", "rebuild", "aclose")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedState:
    """What the configuration asks for to keep state in, checked and not yet made.

    Attributes:
        backend: its kind.
        make: the ledger's class.
        options: what that class is called with, by keyword.
        wait_s: how long one call may take.
    """

    backend: str = "memory"
    make: Callable[..., Ledger] = MemoryLedger
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    wait_s: float = WAIT_S


def planned_state(settings: Settings, *, registry: Registry | None = None) -> tuple[PlannedState, list[Fault]]:
    """Returns what the settings ask for to keep state in, and what is wrong with their table.

    Args:
        settings: as `router.config` made them.
        registry: the kinds of ledgers there are; None takes what is installed.
    """
    table = settings.state
    options = table.options
    kinds = installed(LEDGERS) if registry is None else registry
    if table.backend not in kinds.kinds:
        hint = allowed(table.backend, kinds.kinds)
        return PlannedState(), [Fault(("state", "backend"), f"found {table.backend!r}, which is not installed; {hint}")]
    try:
        make = kinds.load(table.backend)
    except ConfigError as error:
        return PlannedState(), [Fault(("state", "backend"), str(error))]
    if not (isinstance(make, type) and all(callable(getattr(make, name, None)) for name in _METHODS)):
        told = f"the kind {table.backend!r} of {LEDGERS} leads to {make!r}, which is no ledger: a class with "
        return PlannedState(), [Fault(("state", "backend"), told + ", ".join(_METHODS))]
    wrong = wrong_options(make, f"backend {table.backend!r}", options)
    faults = [Fault(("state", *path), message) for path, message in wrong]
    return PlannedState(backend=table.backend, make=make, options=options, wait_s=table.wait_s), faults


def made_ledger(
    planned: PlannedState, *, ledger: Ledger | None = None, clock: Callable[[], float] = time.monotonic
) -> GuardedLedger:
    """Returns a new ledger, with a guard in front of it.

    Args:
        planned: as `planned_state` returns it.
        ledger: instead of the one that is planned; None makes that.
        clock: of the guard.

    Raises:
        ConfigError: the ledger refuses its options.
    """
    return GuardedLedger(_made(planned) if ledger is None else ledger, clock=clock, wait_s=planned.wait_s)


def _made(planned: PlannedState) -> Ledger:
    try:
        return planned.make(**planned.options)
    except ConfigError:
        raise
    except Exception as error:  # noqa: BLE001 - its text may hold the address, and that a password
        raise ConfigError(f"state: the backend {planned.backend!r} cannot be made ({type(error).__name__})") from None
