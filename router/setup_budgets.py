"""Settings -> the budgets of a router, and what is wrong with them that only the models and policies tell."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from router.clock import Clock
from router.config import Settings
from router.config_errors import Fault
from router.core import statics
from router.core.budget import Budget
from router.core.catalog import Model
from router.core.machine import NO_POLICY
from router.core.naming import allowed
from router.core.policy import Policy
from router.setup_state import made_ledger
from router.state.ledger import Ledger
from router.state.ledger_memory import MemoryLedger
from router.state.treasury import Treasury

if TYPE_CHECKING:
    from router.setup import Setup


def budgets_of(
    settings: Settings, policies: Mapping[str, Policy], catalog: Mapping[str, Model]
) -> tuple[tuple[Budget, ...], list[Fault]]:
    """Returns the budgets in the order of the configuration, and what is wrong with them.

    Args:
        settings: as `router.config` made them.
        policies: those there are.
        catalog: those of the models that could be made.
    """
    budgets = tuple(table.value(name) for name, table in settings.budgets.items())
    models = {name: model.provider for name, model in catalog.items()}
    # A model that is merely broken is no reason to say that nobody has its name.
    providers = frozenset(models.values()) if len(catalog) == len(settings.models) else None
    faults = [fault for budget in budgets for fault in _faults(budget, policies, settings.models, providers)]
    faults += _unknown(policies, settings.budgets)
    return budgets, faults


def _unknown(policies: Mapping[str, Policy], budgets: Collection[str]) -> Iterator[Fault]:
    """Yields the budgets that policies look at and that nobody configured."""
    named = frozenset(map(id, policies.values()))
    for name, policy in policies.items():
        for path, part in statics.parts(policy, path=("policies", name), elsewhere=named - {id(policy)}):
            for budget in sorted(statics.reads_budgets(part) - frozenset(budgets)):
                yield Fault((*path, "budget"), f"no budget is named {budget!r}; {allowed(budget, budgets)}")


def made_treasury(setup: Setup, clock: Clock, *, ledger: Ledger | None = None) -> Treasury | None:
    """Returns what reads and reserves; None where no budget is configured, so that requests pay nothing for it.

    Args:
        setup: what the router runs with.
        clock: what time it is, and how to wait.
        ledger: instead of the one that is configured; None makes that.
    """
    if not setup.budgets:
        return None
    own = isinstance(ledger, MemoryLedger) or (ledger is None and setup.state.make is MemoryLedger)
    if own:  # which is never down: it needs no guard
        kept: Ledger = ledger if ledger is not None else setup.state.make(**setup.state.options)
    else:
        kept = made_ledger(setup.state, ledger=ledger, clock=clock.monotonic)
    return Treasury(setup.budgets, kept, now_s=lambda: clock.now().timestamp(), monotonic=clock.monotonic)


def _faults(
    budget: Budget, policies: Mapping[str, Policy], models: Mapping[str, object], providers: frozenset[str] | None
) -> Iterator[Fault]:
    name, place = budget.policy, ("budgets", budget.name)
    if name is not None and name not in policies:
        yield Fault((*place, "policy"), f"no policy is named {name!r}; {allowed(name, policies)}")
    only = budget.scope.value
    if only is None:
        return
    match budget.scope.kind:
        case "policy":
            known: frozenset[str] | None = frozenset({*policies, NO_POLICY})
        case "model":
            known = frozenset(models)
        case "provider":
            known = providers
        case _:
            known = None
    if known is not None and only not in known:
        yield Fault((*place, "only"), f"no {budget.scope.kind} is named {only!r}; {allowed(only, sorted(known))}")
    if budget.scope.kind == "policy" and only == name:
        text = f"found {name!r}, whose own requests the budget counts: it would decide again; allowed: another policy"
        yield Fault((*place, "policy"), text)
