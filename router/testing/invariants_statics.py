"""What a policy says about itself is true; see `router.Policy` for the methods.

The router believes it: statistics that nobody reads are not computed, patterns that nobody declares are not matched,
inputs are counted exactly only around declared limits, and a configuration is refused by what policies may leave.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from router import Context, Policy, Slate, TokenCount, statics
from router.testing.invariants_always import everyone
from router.testing.invariants_shown import Counterexample, called, difference, listed, live_names, outcome_of

_FAR_TOKENS = 1_000_000
"""Beyond the last limit: more than most requests have."""


def leaves_what_it_may(policy: Policy, slate: Slate, context: Context) -> None:
    """No request has a model live that `may_leave` rules out."""
    names = live_names(called(policy, slate, context))
    may = statics.may_leave(policy, {candidate.name: candidate.model for candidate in everyone(slate)})
    if missing := tuple(name for name in names if name not in may):
        says = f"may_leave() names {listed(tuple(may))}, and {listed(missing)} is live after it"
        raise Counterexample("leaves_what_it_may", says, policy, slate, context)


def never_empties_as_said(policy: Policy, slate: Slate, context: Context) -> None:
    """A policy that is said never to empty a slate leaves one of the live candidates live."""
    result = called(policy, slate, context)
    if statics.never_empties(policy) and slate.live and not result.live:
        says = f"never_empties() is true, and of {listed(live_names(slate))} nobody is live after it"
        raise Counterexample("never_empties_as_said", says, policy, slate, context)


def reads_stats_as_said(policy: Policy, slate: Slate, context: Context) -> None:
    """A policy that is said to read no statistics decides the same without them."""
    result = called(policy, slate, context)
    if statics.reads_stats(policy):
        return
    without = called(policy, slate, dataclasses.replace(context, stats={}))
    if outcome_of(without) != outcome_of(result):
        how = difference(outcome_of(result), outcome_of(without))
        says = f"reads_stats() is false, and without statistics the answer is another one: {how}"
        raise Counterexample("reads_stats_as_said", says, policy, slate, context)


def declares_its_patterns(policy: Policy, slate: Slate, context: Context) -> None:
    """Which expressions of other policies match the request changes nothing."""
    result = called(policy, slate, context)
    features = context.features
    own = features.matches & statics.patterns(policy)
    for matches in (own, own | {"of another policy"}):
        other = dataclasses.replace(context, features=dataclasses.replace(features, matches=frozenset(matches)))
        if outcome_of(called(policy, slate, other)) != outcome_of(result):
            says = f"patterns() names {listed(tuple(sorted(statics.patterns(policy))))}, and others matter too"
            raise Counterexample("declares_its_patterns", says, policy, slate, context)


def declares_its_limits(policy: Policy, slate: Slate, context: Context) -> None:
    """Between two of the declared limits the length of the input changes nothing; a limit is inclusive.

    Only of policies that declare limits: others are not counted exactly, and need not care.
    """
    methods = ("token_limits", "total_token_limits")
    if not any(hasattr(part, method) for _, part in statics.parts(policy) for method in methods):
        return
    edges = edges_of(policy, slate, context)
    for low, high in _spans(edges, context.features.measured_tokens):
        shorter = live_names(called(policy, slate, with_tokens(context, low)))
        longer = live_names(called(policy, slate, with_tokens(context, high)))
        if shorter != longer:
            says = (
                f"{low:,} tokens leave {listed(shorter)} and {high:,} leave {listed(longer)}, though it declares no "
                f"limit from {low:,} to {high - 1:,}"
            )
            raise Counterexample("declares_its_limits", says, policy, slate, context)


def edges_of(policy: Policy, slate: Slate, context: Context, /) -> list[int]:
    """Returns the input lengths after which a policy may choose otherwise, for this request, ascending."""
    features = context.features
    output = features.output_tokens_most
    if output is None:
        output = max((candidate.expected_output_tokens for candidate in everyone(slate)), default=0)
    total = {limit - output * features.choices for limit in statics.total_token_limits(policy)}
    return sorted(edge for edge in statics.token_limits(policy) | total if edge >= 0)


def with_tokens(context: Context, tokens: int, /) -> Context:
    """Returns the context of a request with exactly so many tokens of input."""
    count = TokenCount(low=tokens, likely=tokens, high=tokens)
    features = dataclasses.replace(context.features, input_tokens=count, exact_tokens={"o200k_base": tokens})
    return dataclasses.replace(context, features=features)


def _spans(edges: list[int], length: int) -> Iterator[tuple[int, int]]:
    """Yields pairs of lengths with no edge between: the ends of each span, and `length` with the end of its own."""
    low = 0
    for edge in (*edges, (edges[-1] if edges else 0) + _FAR_TOKENS):
        if low < edge:
            yield low, edge
        if low < length < edge:
            yield low, length
        low = edge + 1
