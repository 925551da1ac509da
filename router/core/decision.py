"""The record of one request: what could have answered, what was asked, what it cost, and why.

The record holds everything that the core read to decide, so that `router.core.replay.replay` decides it again. It
holds no prompt and no answer unless the configuration asks for them. Its JSON form is in `router.core.record`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from router.core.answer import Usage
from router.core.bounds import Bounds
from router.core.budgeting import Purse
from router.core.caching import NOT_CACHED, CacheKind, Caching, Lookup
from router.core.failure import FailureClass
from router.core.hedging import Hedging
from router.core.money import EXACT
from router.core.quick import quick
from router.core.request import Features, Hints
from router.core.slate import Slate
from router.core.stats import Stats

Billing = Literal["billed", "estimated", "unknown"]
"""How a cost is known: from what the provider reported (or a failure it does not bill); from a stated rule; not."""

Outcome = Literal["answer", "cancelled"] | FailureClass

Ending = Literal[
    "answer",
    "no_candidate",
    "final",
    "bounds",
    "budget",
    "committed",
    "cancelled",
    "policy_error",
    "not_cached",
    "recorded",
    "planned",
]
"""How a request ended: with an answer; with nobody adequate; with a failure that nothing may follow; at a bound; with
a budget that had no room for it; with a failure after the caller had seen part of the stream; given up by the caller;
with a policy that broke its contract; without a stored answer where no other was wanted; outside the router, which was
told of it (`Router.record_usage`); or not yet, in the preview that `Router.plan` returns."""


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Ids:
    """Names of one request in the log and in traces, in lower-case hex (W3C Trace Context: 32 and 16 digits).

    Attributes:
        parent_span_id: of the caller's span, where the request was made inside one.
        trace_flags: what goes to providers beside the ids; bit 0 says whether the trace is recorded.
    """

    request_id: str
    trace_id: str
    span_id: str
    parent_span_id: str | None = None
    trace_flags: int = 1


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One call to a provider.

    Attributes:
        model: the candidate's name.
        model_id, provider, window_tokens: whom that name meant, and its context window; None in older records.
        served: the model that answered as the provider names it, where it says.
        response_id: the provider's name for its answer, where it has one.
        started_s: seconds from the request's arrival to the attempt's start.
        latency_s: seconds from its start to its end.
        first_token_s: seconds from its start to the first piece of a stream; None where nothing was streamed.
        error: the failure's message, in the provider's words.
        price_rule: how `cost_usd` was found, in words.
        should_retry: `x-should-retry`, where the provider sent it.
        committed: whether a part of the answer had reached the caller, so that nobody else could be asked.
        deployment: which of the model's deployments was asked; None where it has none.
        key_env: name of the variable that holds the key that was used.
        held: why the gate sent nothing though it was the model's turn ("breaker_open", "queue_full", "quota_spent",
            "rate_limited"), or a budget ("budget_spent"); None for a call that was made.
        hedge: whether it was asked beside another that took long.
        reserved_usd: what was reserved for it in the budgets that apply; None where none does.
        share: name of this process's share of those budgets, where it was spent of that, as their store was not
            reachable; None where the store reserved it.
    """

    model: str
    model_id: str | None = None
    provider: str | None = None
    window_tokens: int | None = None
    served: str | None = None
    response_id: str | None = None
    span_id: str
    started_s: float
    latency_s: float
    first_token_s: float | None = None
    outcome: Outcome
    status: int | None = None
    code: str | None = None
    error: str | None = None
    retry_after_s: float | None = None
    should_retry: bool | None = None
    committed: bool = False
    deployment: str | None = None
    key_env: str | None = None
    held: str | None = None
    hedge: bool = False
    finish_reason: str | None = None
    usage: Usage | None = None
    cost_usd: Decimal | None
    billing: Billing
    price_rule: str
    worst_usd: Decimal | None = None
    reserved_usd: Decimal | None = None
    share: str | None = None

    @property
    def waste_usd(self) -> Decimal | None:
        """Its cost when it gave the caller nothing; else 0, as for a stream that the caller dropped half-way."""
        gave = self.outcome == "answer" or (self.outcome == "cancelled" and self.committed)
        return Decimal(0) if gave else self.cost_usd


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The record of one request.

    Attributes:
        time: when the request arrived, in UTC.
        policy: name of the policy that was used.
        key: content key, equal for requests that must get equal answers.
        key_without: names of the rules that took something out of the key, as in "text[0]".
        expected_output_tokens: what a candidate was taken to write, where the request allows as much.
        prefer_wait_s, hedging: as `Given` has them.
        stats: the statistics snapshot, where the policy reads it; else empty.
        model: name of the model whose answer the caller got; None when there was none.
        ending: how the request ended.
        why: the ending in words.
        slate: all candidates of the request, live ones in the order in which they were to be asked.
        worst_case_usd: the most the request could cost, computed before its first attempt; None where unknown.
        baseline_usd: what the answer's tokens would have cost on `baseline`; None where there was no answer.
        baseline: the dearest model that could have served the request, or the one the request named.
        caching: on what terms the request used the cache.
        lookup: what the look into the cache came to; None where there was none.
        started_s: seconds from the request's arrival to the decision whom to ask.
        unpriced: whether models without a known price might be asked.
        draw: what the policy and the back-off drew from.
        latency_s: seconds from the request's arrival to its end.
        budgets: those that applied, and how they stood before the first attempt.
        budget_policy: name of the policy that decided in the place of `policy`, as a budget that was spent wanted.
        content: prompts and answer, only where the configuration asks for them.
    """

    ids: Ids
    time: datetime
    policy: str
    key: str
    key_without: tuple[str, ...] = ()
    hints: Hints
    bounds: Bounds
    features: Features
    expected_output_tokens: int
    prefer_wait_s: float = 0.0
    hedging: Hedging | None = None
    stats: Stats
    slate: Slate
    attempts: tuple[Attempt, ...]
    model: str | None
    ending: Ending
    why: str
    worst_case_usd: Decimal | None
    baseline: str | None
    baseline_usd: Decimal | None
    started_s: float = 0.0
    unpriced: bool = False
    draw: float
    latency_s: float
    caching: Caching = NOT_CACHED
    lookup: Lookup | None = None
    budgets: tuple[Purse, ...] = ()
    budget_policy: str | None = None
    content: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def trace_id(self) -> str:
        """32 hex digits; the same in the log, in traces and in the headers that went to the provider."""
        return self.ids.trace_id

    @property
    def request_id(self) -> str:
        """Unique for each request."""
        return self.ids.request_id

    @property
    def tenant(self) -> str | None:
        """Whose request it was."""
        return self.hints.tenant

    @property
    def tags(self) -> Mapping[str, str]:
        """The request's labels."""
        return self.hints.tags

    @property
    def cache(self) -> CacheKind:
        """Where the answer, or a remembered refusal, came from; "none" is a provider, or neither."""
        return self.lookup.kind if self.lookup is not None else "none"

    @property
    def saved_usd(self) -> Decimal | None:
        """What another request had paid for the answer that this one had for nothing; None where unknown."""
        if self.lookup is None or self.lookup.hit is None or self.lookup.refused is not None:
            return Decimal(0)
        return self.lookup.hit.saved_usd

    @property
    def cost_usd(self) -> Decimal | None:
        """What all attempts together cost; None when one of them is unknown."""
        return total([a.cost_usd for a in self.attempts])

    @property
    def waste_usd(self) -> Decimal | None:
        """What the attempts cost that gave the caller nothing; None when one of them is unknown."""
        return total([wasted_usd(a, ending=self.ending, model=self.model) for a in self.attempts])

    def to_dict(self) -> dict[str, Any]:
        """Returns the record as JSON values, money as decimal strings; `docs/decision-record.md` lists the fields."""
        from router.core.record import decision_dict

        return decision_dict(self)


def wasted_usd(attempt: Attempt, /, *, ending: str, model: str | None) -> Decimal | None:
    """Returns what of an attempt's cost gave the caller nothing; None where that is unknown.

    An answer that came too late in a race, or that was not what the caller of a stream had seen the beginning of, was
    paid for and not used.

    Args:
        attempt: of the request.
        ending: of the request.
        model: whose answer the caller got.
    """
    if attempt.outcome == "cancelled":
        unused = ending == "committed"
    else:
        unused = attempt.outcome == "answer" and attempt.model != model
    return attempt.cost_usd if unused else attempt.waste_usd


def total(amounts: Iterable[Decimal | None], /) -> Decimal | None:
    """Returns the sum; None when one of the amounts is unknown."""
    out = Decimal(0)
    for amount in amounts:
        if amount is None:
            return None
        out = EXACT.add(out, amount)
    return out
