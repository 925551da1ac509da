"""Settings and the catalog -> `Setup`: what a router runs with, and every check that needs to know the models."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches

from router.alerts.alerts import Alerts
from router.alerts.watch import Watch
from router.clients.client import Client
from router.clock import Clock
from router.config import Settings
from router.config_errors import Fault, config_error
from router.config_policies import TOO_DEEP
from router.config_sources import Path
from router.config_tables import ModelSettings
from router.core import statics
from router.core.breaker import BreakerSettings
from router.core.budget import Budget
from router.core.catalog import Catalog, Model
from router.core.machine import NO_POLICY
from router.core.naming import allowed
from router.core.place import ConcurrencySettings
from router.core.policy import Policy
from router.core.quota import QuotaSettings
from router.core.terms import Terms
from router.core.usable import NamedCheck
from router.errors import ConfigError
from router.logged import Logged, Redactor, Replace
from router.prices.catalog import build_model
from router.prices.litellm_map import PriceMap, load_price_map
from router.registry import Registry, installed
from router.setup_alerts import PlannedWatch, made_watch, planned_watch
from router.setup_budgets import budgets_of
from router.setup_cache import PlannedCache, planned_cache
from router.setup_destinations import PlannedAlerts, made_alerts, planned_alerts
from router.setup_metrics import late_metrics
from router.setup_sinks import PlannedSink, made_sinks, planned_sinks
from router.setup_state import PlannedState, planned_state
from router.setup_terms import terms_of
from router.setup_traces import late_traces
from router.sinks.sink import Sink
from router.sinks.tracing import Tracing
from router.state.treasury import Treasury

DEFAULT = "default"
"""The policy of requests that name none."""

SENTENCE = re.compile(r"(?P<option>[a-z_]\w*(?:\[\d+\])?(?:\.\w+(?:\[\d+\])?)*): (?P<rest>.*)", re.DOTALL)
"""A problem that a policy states of one of its options: "tiers[1].models[0]: no model is named ..."."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a router runs with.

    Attributes:
        catalog: every model, by name.
        policies: by name; one is named as `default_policy` says.
        expected_output_tokens: what a model is taken to write where nothing says better.
        unpriced: whether models without a known price may be asked.
        seed: what the draws of weighted splits follow from, beside the request's id.
        trace_headers: whether trace ids go out with each attempt.
        trace_hosts: who gets them, and the caller's `tracestate` and `baggage` with them; None sends ids to every host.
        late_metrics: makes the sink of metrics once the application has set a meter provider; None where it must not.
        late_traces: makes the sink of spans once the application has set a tracer provider; None where it must not.
        sinks: where decisions go; made by `sinks_of`.
        cache: what keeps answers; made by `router.setup_cache.made_cache`. None keeps none.
        alerts: what brings alerts out; made by `router.setup_destinations.made_alerts`. None where nobody is told.
        watch: what raises them; made by `watches_of`. None where there is no rule.
        content: what of a request and its answer is logged; None logs neither.
        redacted: the same for traces, should these ask for it.
        token_limits: input-token counts at which a policy's choice or a model's fitness changes, ascending.
        total_token_limits: the same, of input and largest output together.
        patterns: what policies match against the last user message.
        reads_stats: names of the policies that read statistics.
        terms: bounds, checks and hedging, by policy.
        breaker, retry_quota, concurrency: of the gate.
        clients: what is installed under `lowfare.clients`.
        budgets: in the order of the configuration.
        state: what keeps their accounts; made by `router.setup_budgets.made_treasury`.
    """

    catalog: Catalog
    policies: Mapping[str, Policy]
    terms: Mapping[str, Terms]
    breaker: BreakerSettings
    retry_quota: QuotaSettings
    concurrency: ConcurrencySettings
    default_policy: str = DEFAULT
    expected_output_tokens: int = 500
    unpriced: bool = False
    seed: str = ""
    trace_headers: bool = True
    trace_hosts: tuple[str, ...] | None = None
    late_traces: Callable[[], Tracing | None] | None = None
    late_metrics: Callable[[], Sink | None] | None = None
    sinks: tuple[PlannedSink, ...] = ()
    cache: PlannedCache | None = None
    alerts: PlannedAlerts | None = None
    watch: PlannedWatch | None = None
    content: Logged | None = None
    redacted: Logged = field(default_factory=Logged)
    token_limits: tuple[int, ...] = ()
    total_token_limits: tuple[int, ...] = ()
    patterns: tuple[re.Pattern[str], ...] = ()
    reads_stats: frozenset[str] = frozenset()
    budgets: tuple[Budget, ...] = ()
    state: PlannedState = field(default_factory=PlannedState)
    clients: Registry = field(default=Registry("lowfare.clients"), repr=False)

    def client_classes(self, given: Collection[str], /) -> dict[str, type[Client]]:
        """Returns the class of each kind of client that the catalog needs, but for those that are given.

        Raises:
            ConfigError: one cannot be loaded.
        """
        return {kind: self.clients.load(kind) for kind in {m.client for m in self.catalog.values()} - set(given)}


def setup_of(settings: Settings, *, prices: PriceMap | None = None, checks: Iterable[NamedCheck] = ()) -> Setup:
    """Returns what a router with these settings runs with.

    Args:
        settings: as `router.config` made them.
        prices: where figures that the settings leave out come from; None is the map of the installed litellm.
        checks: of answers, that the program brings; on unless the settings switch them off.

    Raises:
        ConfigError: a model is unknown or unpriced, a policy names what is not there or can never be reached, ...;
            lists all that is wrong.
    """
    clients = installed("lowfare.clients")
    prices = load_price_map() if prices is None else prices
    catalog, faults = _catalog(settings, prices, clients)
    policies, policy_faults = _policies(settings, catalog)
    redacted, content_faults = _redacted(settings)
    sinks, sink_faults = planned_sinks(settings)
    cache, cache_faults = planned_cache(settings)
    alerts, alert_faults = planned_alerts(settings)
    watch, watch_faults = planned_watch(settings)
    terms, term_faults = terms_of(settings, policies, checks)
    budgets, budget_faults = budgets_of(settings, policies, catalog)
    state, state_faults = planned_state(settings)
    faults += [*policy_faults, *content_faults, *sink_faults, *cache_faults, *alert_faults, *watch_faults]
    faults += [*term_faults, *budget_faults, *state_faults]
    if faults:
        raise config_error(faults, settings.origin)
    windows = {m.context_window_tokens for m in catalog.values() if m.context_window_tokens is not None}
    every = policies.values()
    return Setup(
        catalog=catalog,
        policies=policies,
        expected_output_tokens=settings.expected_output_tokens,
        unpriced=settings.unpriced == "allow",
        seed=settings.seed,
        trace_headers=settings.trace.headers,
        trace_hosts=settings.trace.hosts,
        late_traces=late_traces(settings.otel, os.environ),
        late_metrics=late_metrics(settings.otel, os.environ),
        sinks=sinks,
        cache=cache,
        alerts=alerts,
        watch=watch,
        content=redacted if settings.log.content == "full" else None,
        redacted=redacted,
        token_limits=tuple(sorted(windows.union(*map(statics.token_limits, every)))),
        total_token_limits=tuple(sorted(frozenset[int]().union(*map(statics.total_token_limits, every)))),
        patterns=tuple(map(re.compile, sorted(frozenset[str]().union(*map(statics.patterns, every))))),
        reads_stats=frozenset(name for name, policy in policies.items() if statics.reads_stats(policy)),
        terms=terms,
        breaker=settings.breaker.value(),
        retry_quota=settings.retry_quota.value(),
        concurrency=settings.concurrency.value(),
        clients=clients,
        budgets=budgets,
        state=state,
    )


def sinks_of(setup: Setup) -> tuple[Sink, ...]:
    """Returns new sinks, as the configuration asks for them.

    Raises:
        ConfigError: one cannot be made.
    """
    return made_sinks(setup.sinks)


def alerts_of(setup: Setup, clock: Clock) -> Alerts:
    """Returns what takes alerts, at work; without destinations it takes none.

    Raises:
        ConfigError: the outbox or a destination cannot be made.
    """
    alerts = made_alerts(setup.alerts, clock=clock)
    alerts.start()
    return alerts


def watches_of(
    setup: Setup, alerts: Alerts, treasury: Treasury | None, now: Callable[[], datetime]
) -> tuple[Watch, ...]:
    """Returns what raises the alerts of the rules, and is told of every settlement; nothing where there is no rule.

    Raises:
        ConfigError: its counters cannot be made.
    """
    if setup.watch is None:
        return ()
    watch = made_watch(setup.watch, alerts, now=now)
    if treasury is not None:
        treasury.observe(watch.observe)
    return (watch,)


def _catalog(settings: Settings, prices: PriceMap, clients: Registry) -> tuple[dict[str, Model], list[Fault]]:
    catalog: dict[str, Model] = {}
    faults: list[Fault] = []
    for name, table in settings.models.items():
        try:
            model = build_model(name, table.stated(), prices, source=settings.origin.file)
        except ConfigError as error:
            faults.append(_model_fault(name, str(error)))
            continue
        catalog[name] = model
        if model.client not in clients.kinds:
            faults.append(
                Fault(
                    ("models", name, "client"),
                    f"no client of the kind {model.client!r} is installed; {allowed(model.client, clients.kinds)}",
                )
            )
        if model.price is None and settings.unpriced == "refuse":
            faults.append(
                Fault(
                    ("models", name),
                    f"the price of {model.id!r} is unknown, which is not free; state input_usd_per_mtok and "
                    f'output_usd_per_mtok, or set unpriced = "drop" (or "allow") at the top of the file',
                )
            )
    return catalog, faults


def _model_fault(name: str, message: str) -> Fault:
    """Returns what `build_model` says as a fault at its key."""
    told = message.removeprefix(f"[models.{name}] ")
    key = re.match(r"\w+", told)
    if key is None or key[0] not in ModelSettings.model_fields:
        return Fault(("models", name), told)
    return Fault(("models", name, key[0]), told[key.end() :].lstrip(" =:"))


def _misnamed(policies: Mapping[str, Policy]) -> list[Fault]:
    """Returns the faults of names.

    A policy that was most likely meant to be the default would silently never be used, and one with the name that
    stands in records for no policy at all could not be told from it.
    """
    near = [] if DEFAULT in policies else get_close_matches(DEFAULT, policies, n=1, cutoff=0.8)
    faults = [Fault(("policies", name), f"found the name {name!r}, and none is named {DEFAULT!r}") for name in near]
    if NO_POLICY in policies:
        used = f"the name {NO_POLICY!r} stands in records for requests that name their model; allowed: any other"
        faults.append(Fault(("policies", NO_POLICY), used))
    return faults


def _policy_faults(policies: Mapping[str, Policy], catalog: Catalog) -> list[Fault]:
    try:
        return _each_policys_faults(policies, catalog)
    except RecursionError:
        return [Fault(("policies",), TOO_DEEP)]


def _each_policys_faults(policies: Mapping[str, Policy], catalog: Catalog) -> list[Fault]:
    named = frozenset(map(id, policies.values()))
    parts = [
        part
        for name, policy in policies.items()
        for part in statics.parts(policy, path=("policies", name), elsewhere=named - {id(policy)})
    ]
    faults = [_problem(path, problem) for path, part in parts for problem in statics.problems(part, catalog)]
    if faults:
        return faults
    barren = [(path, part) for path, part in parts if not statics.may_leave(part, catalog)]
    # Of policies inside each other only the innermost is to blame.
    return [
        Fault(path, f"leads nowhere: no request can have a model left after it; the models are {', '.join(catalog)}")
        for path, part in barren
        if not any(_holds(part, other) for _, other in barren if other is not part)
    ]


def _holds(policy: Policy, other: Policy) -> bool:
    return any(part is other for _, part in statics.parts(policy))


def _problem(path: Path, problem: str) -> Fault:
    told = SENTENCE.fullmatch(problem)
    if told is None:
        return Fault(path, problem)
    parts = re.findall(r"\w+", told["option"])
    return Fault((*path, *(int(part) if part.isdigit() else part for part in parts)), told["rest"])


def _policies(settings: Settings, catalog: Catalog) -> tuple[dict[str, Policy], list[Fault]]:
    """Returns the policies, one for requests that name none among them, and what is wrong with them."""
    policies = dict(settings.policies)
    faults = _misnamed(policies)
    if DEFAULT not in policies:
        policies[DEFAULT] = installed("lowfare.policies").load("cheapest")()
    if len(catalog) == len(settings.models):  # else a policy would be blamed for a model that is merely broken
        faults += _policy_faults(policies, catalog)
    return policies, faults


def _redacted(settings: Settings) -> tuple[Logged, list[Fault]]:
    """Returns what tells a request's content where somebody asks for it, and what is wrong with its redaction."""
    hooks = installed("lowfare.redactors")
    redactors: list[Redactor] = []
    faults: list[Fault] = []
    for index, entry in enumerate(settings.log.redact):
        if entry.pattern is not None:
            redactors.append(Replace(re.compile(entry.pattern), entry.replace))
            continue
        try:
            redactors.append(hooks.load(entry.hook or ""))
        except ConfigError as error:
            faults.append(Fault(("log", "redact", index), str(error)))
    return Logged(tuple(redactors)), faults
