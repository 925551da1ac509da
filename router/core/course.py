"""One request's way: what went into it, and what it has come to so far. Every state of the machine carries it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from router.core.bounds import Bound, Bounds, Spent, crossed, worst_case_usd
from router.core.budgeting import Purse
from router.core.caching import NOT_CACHED, Caching, Hit, Lookup
from router.core.catalog import Catalog
from router.core.cost import cost_usd
from router.core.decision import Attempt, Decision, Ending, Ids, total
from router.core.hedging import Hedging
from router.core.policy import Policy
from router.core.quick import quick
from router.core.request import Features, Hints
from router.core.slate import Candidate, Slate
from router.core.stats import Stats

_GOLDEN = 0.6180339887498949
"""Steps of the golden ratio spread the draws of one request evenly over [0, 1)."""


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """All that goes into a decision.

    Attributes:
        key: content key of the request.
        key_without: names of the rules that took something out of the key, as in "text[0]".
        able: all models that can serve the request, and those that cannot as dropped; None computes it.
        caching: on what terms the request uses the cache.
        policy_name: what the configuration calls the policy.
        bounds: of this request, its own hints already applied.
        now: when the request arrived, in UTC.
        started_s: seconds from the request's arrival to this decision.
        draw: in [0, 1), from the router's seed and the request's id.
        unpriced: whether models without a known price may be asked.
        prefer_wait_s: a model that may be asked again within so many seconds is waited for, before others are asked.
        hedging: when to ask a second model before the first has answered; None is never.
        budgets: those that apply, and how they stand.
        policies: those that a budget may put in the place of `policy`, by name.
    """

    ids: Ids
    key: str
    features: Features
    hints: Hints
    catalog: Catalog
    policy_name: str
    policy: Policy
    bounds: Bounds
    now: datetime
    started_s: float = 0.0
    draw: float
    stats: Stats = field(default_factory=dict)
    expected_output_tokens: int
    unpriced: bool = False
    prefer_wait_s: float = 0.0
    hedging: Hedging | None = None
    able: Slate | None = None
    caching: Caching = NOT_CACHED
    key_without: tuple[str, ...] = ()
    budgets: tuple[Purse, ...] = ()
    policies: Mapping[str, Policy] = field(default_factory=dict)


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """One request's way so far.

    Attributes:
        slate: as the policy and the budgets left it.
        able: the slate before the policy: all models that can serve the request.
        broken: whether the policy left no slate, so that nothing can be said of what the request can cost.
        attempts: those that ended, in order.
        ready_s: by model, when it may be asked again, in seconds from the request's arrival.
        barred: models that may not be asked again, whichever of their deployments.
        lookup: what the look into the cache came to; None where there was none.
        window_above: only models whose context window is larger may still be asked.
        free: candidates that are live, or would be but for a budget: their stored answers count.
        instead: name of the policy that decided in the place of the request's own, as a budget wanted.
        budget: name of the budget because of which nobody is live; None where somebody is.
    """

    given: Given
    slate: Slate
    able: Slate
    broken: bool = False
    attempts: tuple[Attempt, ...] = ()
    ready_s: Mapping[str, float] = field(default_factory=dict)
    barred: frozenset[str] = frozenset()
    window_above: int = 0
    lookup: Lookup | None = None
    free: tuple[Candidate, ...] = ()
    instead: str | None = None
    budget: str | None = None

    @property
    def worst_case_usd(self) -> Decimal | None:
        """The most the request can cost, as it is known before its first attempt; None where it is unknown."""
        if self.broken:
            return None
        return worst_case_usd(self.given.bounds, tuple([c.worst_usd for c in self.slate.live]))

    @property
    def draw(self) -> float:
        """In [0, 1), another for each attempt."""
        return (self.given.draw + _GOLDEN * len(self.attempts)) % 1.0

    @property
    def bad_keys(self) -> frozenset[str]:
        """Names of the variables whose keys were denied or are out of quota."""
        bad = [a.key_env for a in self.attempts if a.outcome in {"denied", "out_of_quota"}]
        return frozenset(key for key in bad if key is not None)

    def after(self, *attempts: Attempt) -> Course:
        """Returns the course with more attempts."""
        return Course(
            given=self.given,
            slate=self.slate,
            able=self.able,
            broken=self.broken,
            attempts=(*self.attempts, *attempts),
            ready_s=self.ready_s,
            barred=self.barred,
            window_above=self.window_above,
            lookup=self.lookup,
            free=self.free,
            instead=self.instead,
        )

    def looked(self, lookup: Lookup) -> Course:
        """Returns the course that knows what the cache had; the look comes before any attempt."""
        return Course(
            given=self.given,
            slate=self.slate,
            able=self.able,
            broken=self.broken,
            lookup=lookup,
            free=self.free,
            instead=self.instead,
            budget=self.budget,
        )

    def asked(self, name: str) -> int:
        """Returns how often a model's turn came, held back or not."""
        return sum(a.model == name for a in self.attempts)

    def spare(self, candidate: Candidate) -> bool:
        """Returns whether the model has a deployment that this request did not ask and whose key is not known bad.

        A model that was held back has none: the gate looked at all of them.
        """
        if any(a.held is not None for a in self.attempts if a.model == candidate.model.name):
            return False
        tried = {a.deployment for a in self.attempts if a.model == candidate.model.name}
        avoid = self.avoid(candidate) | tried
        return any(d.name not in avoid for d in candidate.model.deployments)

    def avoid(self, candidate: Candidate) -> frozenset[str]:
        """Returns the deployments that are not to be asked when a model's turn comes.

        Those that failed this request, as long as there are others; and always those whose key did.
        """
        model = candidate.model
        if not model.deployments or not self.attempts:
            return frozenset()
        keys = self.bad_keys
        bad = {d.name for d in model.deployments if (d.key_env or model.key_env) in keys}
        tried = {a.deployment for a in self.attempts if a.model == model.name and a.held is None}
        spent = {d.name for d in model.deployments if d.name in tried or d.name in bad}
        return frozenset(bad if len(spent) == len(model.deployments) else spent)

    def bound(self, candidate: Candidate, now_s: float, *, wait_s: float = 0.0) -> Bound | None:
        """Returns the bound that asking a candidate, after a wait, would cross; None where there is none."""
        bounds = self.given.bounds
        # What no bound asks for is not computed: a backtest comes by here for every request of a log.
        wastes, costs = bounds.waste_usd is not None, bounds.max_cost_usd is not None
        return crossed(
            bounds,
            self.spent(now_s),
            wait_s=wait_s,
            expected_usd=candidate.expected_usd if wastes and self.attempts else None,
            worst_usd=candidate.worst_usd if costs else None,
        )

    def spent(self, now_s: float) -> Spent:
        """Returns what the request has taken `now_s` seconds after its arrival."""
        if not self.attempts:
            return Spent(elapsed_s=now_s)
        return Spent(
            attempts=sum(a.held is None for a in self.attempts),
            elapsed_s=now_s,
            cost_usd=total(a.cost_usd for a in self.attempts),
            waste_usd=total(a.waste_usd for a in self.attempts),
        )

    def span_id(self, *, hedge: bool = False) -> str:
        """Returns the span id of the next attempt, or of its hedge.

        A hedge has one of its own, also where it is not made in the end: an attempt that came by it later would be
        taken by the budgets for the one that cost nothing.
        """
        ids = self.given.ids
        name = f"{ids.trace_id}{ids.span_id}{len(self.attempts) + 1}{'h' if hedge else ''}"
        return hashlib.blake2b(name.encode(), digest_size=8).hexdigest()

    def decision(self, now_s: float, ending: Ending, why: str, answered: Attempt | Hit | None = None) -> Decision:
        """Returns the record of the request as it stands."""
        given, baseline = self.given, self._baseline()
        usage = answered.usage if answered is not None else None
        price = baseline.model.price if baseline is not None else None
        return Decision(
            ids=given.ids,
            time=given.now,
            policy=given.policy_name,
            key=given.key,
            key_without=given.key_without,
            caching=given.caching,
            lookup=self.lookup,
            hints=given.hints,
            bounds=given.bounds,
            features=given.features,
            expected_output_tokens=given.expected_output_tokens,
            prefer_wait_s=given.prefer_wait_s,
            hedging=given.hedging,
            stats=given.stats,
            slate=self.slate,
            attempts=self.attempts,
            model=answered.model if answered is not None else None,
            ending=ending,
            why=why,
            worst_case_usd=self.worst_case_usd,
            baseline=baseline.model.name if baseline is not None else None,
            baseline_usd=cost_usd(usage, price) if usage is not None and price is not None else None,
            started_s=given.started_s,
            unpriced=given.unpriced,
            draw=given.draw,
            latency_s=now_s,
            budgets=given.budgets,
            budget_policy=self.instead,
        )

    def _baseline(self) -> Candidate | None:
        name = self.given.hints.baseline
        if name is not None:
            everyone = (*self.able.live, *(d.candidate for d in self.able.dropped))
            return next((c for c in everyone if c.model.name == name), None)
        priced = [(c.expected_usd, c.model.name, c) for c in self.able.live if c.expected_usd is not None]
        return max(priced)[2] if priced else None  # no two of them have one name, so candidates are never compared
