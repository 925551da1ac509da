"""From a request to all that goes into its decision: the three snapshots, the draw, the key and the features."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from router.clock import Clock
from router.core.adequacy import slate_of
from router.core.bounds import Bounds
from router.core.budgeting import Purse
from router.core.caching import NOT_CACHED, Caching
from router.core.catalog import Catalog, Model
from router.core.course import Given
from router.core.decision import Ids
from router.core.features import features_of
from router.core.key import content_key, dropped
from router.core.machine import NO_POLICY
from router.core.request import Features, Hints, Request
from router.core.slate import Slate
from router.errors import RequestError, warn
from router.sinks.tracing import Tracing
from router.state.gate import Gate
from router.state.statistics import Statistics
from router.tokenizer import Tokenizer

if TYPE_CHECKING:
    from router.setup import Setup
    from router.state.treasury import Treasury

T = TypeVar("T")

_LATELY_MOST: Final = 2_000
"""Requests whose features and slate are kept: some kilobytes each."""


class Intake:
    """Reads what a decision needs.

    Args:
        setup: what the router runs with.
        clock: what time it is.
        gate: how the models stand.
        statistics: how they did lately.
        tracing: what names requests.
        treasury: how the budgets stand; None where there are none.
    """

    def __init__(
        self,
        setup: Setup,
        clock: Clock,
        gate: Gate,
        statistics: Statistics,
        tracing: Tracing,
        treasury: Treasury | None = None,
    ) -> None:
        self._setup = setup
        self._tracing = tracing
        self._clock = clock
        self._gate = gate
        self._statistics = statistics
        self._treasury = treasury
        instead = {
            budget.policy: setup.policies[budget.policy] for budget in setup.budgets if budget.policy is not None
        }
        self._instead = instead
        # A policy that a budget may put in the place of any other reads what it reads of every request.
        self._always_stats = not setup.reads_stats.isdisjoint(instead)
        self._seed = setup.seed or os.urandom(8).hex()
        self._tokenizer = Tokenizer()
        self._lately = _Lately()

    def given(self, request: Request, started_s: float, /, *, begins: bool = True) -> Given:
        """Returns what goes into the decision on a request.

        Args:
            request: as it was parsed.
            started_s: seconds from its arrival until then.
            begins: whether it is made, so that its span begins; False where it is only planned.

        Raises:
            RequestError: it names a policy or a model that is not configured, or holds what is no JSON.
        """
        setup, hints = self._setup, request.hints
        policy = known("policy", hints.policy or setup.default_policy, setup.policies)
        policy_name = self._policy_name(hints)
        for name in (hints.model, hints.baseline):
            if name is not None:
                known("model", name, setup.catalog)
        terms = setup.terms[policy_name]
        key = content_key(request, policy_name, drop=terms.drop)
        key_without = dropped(request, terms.drop)
        caching = _caching(terms.caching, hints, request)
        bounds = terms.bounds.lowered(hints)
        if caching.looks and not key_without:
            features, able = self._known_facts(request, key, bounds)
        else:
            features, able = self._features(request), None
        now, ids = self._clock.now(), _drawn(hints)
        budgets: tuple[Purse, ...] = ()
        if self._treasury is not None:
            asked = _asked(setup.catalog, hints.model)
            budgets = self._treasury.purses(hints, policy_name, asked, now, moves=begins)
        if begins:
            ids = self._begun(request, policy_name, now, ids)
        return Given(
            ids=ids,
            key=key,
            key_without=key_without,
            caching=caching,
            features=features,
            able=able,
            hints=hints,
            catalog=setup.catalog,
            policy_name=policy_name,
            policy=policy,
            bounds=bounds,
            prefer_wait_s=terms.prefer_wait_s,
            hedging=terms.hedging,
            now=now,
            started_s=started_s,
            draw=_draw(self._seed, ids.request_id),
            stats=self._statistics.snapshot(self._gate.snapshot())
            if policy_name in setup.reads_stats or terms.hedging or self._always_stats
            else {},
            expected_output_tokens=setup.expected_output_tokens,
            unpriced=setup.unpriced,
            budgets=budgets,
            policies=self._instead,
        )

    def _begun(self, request: Request, policy: str, now: datetime, drawn: Ids) -> Ids:
        try:
            return self._tracing.begin(request, policy, now, drawn)
        except Exception as error:  # noqa: BLE001 - a sampler or a span processor that fails must not cost an answer
            warn(f"no span begins, as {type(self._tracing).__name__} raised {type(error).__name__}")
            return drawn

    def stale(self, hints: Hints, /) -> tuple[Purse, ...]:
        """Returns the budgets of a request that are to be read anew before its decision, where they are shared."""
        if self._treasury is None:
            return ()
        models = _asked(self._setup.catalog, hints.model)
        return self._treasury.stale(hints, self._policy_name(hints), models, self._clock.now())

    async def read_budgets(self, hints: Hints, /) -> None:
        """Reads how the budgets of a request stand, where they are shared and nobody did lately."""
        stale = self.stale(hints)
        if stale and self._treasury is not None:
            await self._treasury.refresh(stale)

    def _policy_name(self, hints: Hints) -> str:
        if hints.policy is None:
            return self._setup.default_policy if hints.model is None else NO_POLICY
        return hints.policy

    def _features(self, request: Request) -> Features:
        setup = self._setup
        return features_of(
            request,
            limits=setup.token_limits,
            total_limits=setup.total_token_limits,
            patterns=setup.patterns,
            count=self._tokenizer.count,
            expected_output_tokens=setup.expected_output_tokens,
        )

    def _known_facts(self, request: Request, key: str, bounds: Bounds) -> tuple[Features, Slate]:
        """Returns the features of a request, and who can serve it, out of memory where an equal one came before."""
        # Beside the key, which has all that an answer depends on, stands what only features and slates depend on.
        tier, least, most = request.params.get("service_tier"), request.hints.min_quality, bounds.max_cost_usd
        name = (key, request.stream, None if tier is None else repr(tier), least, most)
        facts = self._lately.get(name)
        if facts is None:
            setup, features = self._setup, self._features(request)
            able = slate_of(
                setup.catalog,
                features,
                request.hints,
                max_cost_usd=most,
                expected_output_tokens=setup.expected_output_tokens,
                unpriced=setup.unpriced,
            )
            facts = self._lately[name] = features, able
        return facts


def _asked(catalog: Catalog, only: str | None) -> Collection[Model]:
    """Returns the models that a request may ask: all, or the one that it names."""
    if only is None:
        return catalog.values()
    return (catalog[only],) if only in catalog else ()


class _Lately(dict[tuple[Any, ...], tuple[Features, Slate]]):
    """Remembers the facts of the last requests, and begins anew when it is full; safe to use from several threads."""

    def __setitem__(self, name: tuple[Any, ...], facts: tuple[Features, Slate]) -> None:
        if len(self) >= _LATELY_MOST:
            self.clear()
        super().__setitem__(name, facts)


def _caching(terms: Caching | None, hints: Hints, request: Request) -> Caching:
    """Returns on what terms a request uses the cache; where there is none, it holds nothing."""
    if terms is not None:
        return terms.asked(hints.cache, request.params)
    return Caching(mode="only") if hints.cache is not None and hints.cache.mode == "only" else NOT_CACHED


def _drawn(hints: Hints) -> Ids:
    drawn = os.urandom(40).hex()
    return Ids(request_id=hints.request_id or drawn[:32], trace_id=hints.trace_id or drawn[32:64], span_id=drawn[64:])


def _draw(seed: str, request_id: str) -> float:
    digest = hashlib.blake2b(f"{seed}:{request_id}".encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big") / 2**56


def known(what: str, name: str, there: Mapping[str, T], /) -> T:
    """Returns what is configured under a name.

    Raises:
        RequestError: nothing is; lists what is.
    """
    if name in there:
        return there[name]
    raise RequestError(f"{what} {name!r} is not configured; there are {', '.join(sorted(there)) or 'none'}")
