"""Settings -> `Terms` of every policy: bounds, checks and hedges, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from router.config import Settings
from router.config_attempts import HedgeTable, PerPolicyTable
from router.config_cache import PolicyCacheTable
from router.config_errors import Fault
from router.config_sources import Path
from router.core.bounds import Bounds
from router.core.hedging import Hedging
from router.core.machine import NO_POLICY
from router.core.naming import allowed
from router.core.request import Hints
from router.core.settle import Checks
from router.core.terms import Terms
from router.core.usable import CHECKS, DEFAULT_ON, NamedCheck
from router.errors import ConfigError
from router.registry import Registry, installed

GROUP = "lowfare.checks"


def terms_of(
    settings: Settings, policies: Iterable[str], given: Iterable[NamedCheck]
) -> tuple[dict[str, Terms], list[Fault]]:
    """Returns the terms of every policy, and of requests without one; and what is wrong with them.

    Args:
        settings: as `router.config` made them.
        policies: names of the policies there are.
        given: checks that the program brings; they are on unless the settings say otherwise.
    """
    given = tuple(given)
    known = installed(GROUP)
    switched = _Switches(known, given)
    for path, table in _switch_tables(settings):
        switched.read(path, table)
    names = (*policies, NO_POLICY)
    faults = [*switched.faults]
    faults += [
        Fault(("per_policy", name), f"no policy is named {name!r}; {allowed(name, names)}")
        for name in settings.per_policy
        if name not in names
    ]
    everyone = Bounds(**settings.bounds.model_dump())
    cached = settings.cache.value() if settings.cache is not None else None
    terms: dict[str, Terms] = {}
    for name in names:
        own = settings.per_policy.get(name, PerPolicyTable())
        faults += _too_high(name, own, everyone)
        if cached is None and own.cache != PolicyCacheTable():
            faults.append(Fault(("per_policy", name, "cache"), "there is no cache; a table [cache] makes one"))
        terms[name] = Terms(
            bounds=everyone.lowered(Hints(**own.bounds.model_dump())),
            checks=switched.checks(settings.checks, own.checks),
            caching=replace(cached, **own.cache.stated()) if cached is not None else None,
            drop=own.cache.drop(),
            prefer_wait_s=own.prefer_wait_s,
            hedging=_hedging(settings.hedge, own),
        )
    return terms, faults


class _Switches:
    """The checks there are, and those that anyone switches on."""

    def __init__(self, known: Registry, given: tuple[NamedCheck, ...]) -> None:
        self._known = known
        self._named = {check.name: check for check in (*CHECKS, *given)}
        self._on = DEFAULT_ON | {check.name for check in given}
        self.faults: list[Fault] = []

    def read(self, path: Path, table: Mapping[str, bool]) -> None:
        """Loads the checks that a table names, or notes what is wrong with it."""
        for name in table:
            if name in self._named:
                continue
            if name not in self._known.kinds:
                hint = allowed(name, (*self._named, *self._known.kinds))
                self.faults.append(Fault((*path, name), f"there is no check named {name!r}; {hint}"))
                continue
            try:
                found = self._known.load(name)
            except ConfigError as error:
                self.faults.append(Fault((*path, name), str(error)))
                continue
            self._named[name] = found if isinstance(found, NamedCheck) else NamedCheck(name=name, check=found)

    def checks(self, *tables: Mapping[str, bool]) -> Checks:
        """Returns the checks as the tables switch them, later ones over earlier ones."""
        on = set(self._on)
        for table in tables:
            for name, wanted in table.items():
                (on.add if wanted else on.discard)(name)
        return Checks(on=frozenset(on), named=tuple(self._named.values()))


def _switch_tables(settings: Settings) -> Iterable[tuple[Path, Mapping[str, bool]]]:
    yield ("checks",), settings.checks
    for name, own in settings.per_policy.items():
        yield ("per_policy", name, "checks"), own.checks


def _too_high(name: str, own: PerPolicyTable, everyone: Bounds) -> Iterable[Fault]:
    for key, value in own.bounds.model_dump(exclude_none=True).items():
        most = getattr(everyone, key)
        if most is not None and value > most:
            path = ("per_policy", name, "bounds", key)
            yield Fault(path, f"found {value}, which is above bounds.{key}; allowed: up to {most}")


def _hedging(everyone: HedgeTable, own: PerPolicyTable) -> Hedging | None:
    enabled = everyone.enabled if own.hedge is None else own.hedge
    if not enabled:
        return None
    return Hedging(after_s=None if everyone.after_s == "p95" else everyone.after_s)
