"""What policies with tiers promise: a longer prompt never goes to a lower tier, and a limit belongs to its tier."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from router import Candidate, Context, Model, Policy, Slate, statics
from router.testing.invariants_always import everyone
from router.testing.invariants_shown import Counterexample, called
from router.testing.invariants_statics import edges_of, with_tokens

_LADDER: Final = (0, 1, 100, 1000, 10_000, 100_000, 1_000_000)
"""Lengths to try of policies that name no limit."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One tier: its models, and the input length up to which it takes requests; None takes all."""

    models: tuple[str, ...]
    up_to_tokens: int | None = None


def tiers_of(policy: Any, /) -> tuple[Rung, ...]:
    """Returns a policy's tiers, lowest first, as its attribute `tiers` has them; none where it has no such attribute.

    They may be lists of names, or values with `models` and, if they have a limit, `up_to_tokens`.
    """
    found = getattr(policy, "tiers", ())
    if isinstance(found, str) or not isinstance(found, Iterable):
        return ()
    rungs = [Rung(_names(getattr(tier, "models", tier)), getattr(tier, "up_to_tokens", None)) for tier in found]
    return tuple(rungs) if all(rung.models for rung in rungs) else ()


def sends_longer_prompts_no_lower(policy: Policy, slate: Slate, context: Context) -> None:
    """A longer prompt goes to the tier of a shorter one, or to a higher one, where all models of all tiers are live."""
    rungs = tiers_of(policy)
    full = _with_all(slate, context, rungs)
    limits = _limits(policy, rungs, full, context)
    lengths = {*_LADDER, context.features.measured_tokens, *(length for edge in limits for length in (edge, edge + 1))}
    if rungs and rungs[-1].up_to_tokens is not None:
        lengths = {
            length for length in lengths if length <= max(limits, default=0)
        }  # above it, no tier takes a request
    before: tuple[int, str, int] | None = None
    for length in sorted(lengths):
        chosen = _chosen(policy, full, context, length)
        places = [place for place, rung in enumerate(rungs) if chosen in rung.models]
        if chosen is None or not places:
            continue
        if before is not None and max(places) < before[0]:
            says = (
                f"{before[2]:,} tokens go to {before[1]!r}, of tier {before[0] + 1}, and {length:,} tokens go to "
                f"{chosen!r}, of tier {max(places) + 1}"
            )
            raise Counterexample("sends_longer_prompts_no_lower", says, policy, full, with_tokens(context, length))
        before = (min(places), chosen, length) if before is None else max(before, (min(places), chosen, length))


def keeps_the_limits_of_tiers(policy: Policy, slate: Slate, context: Context) -> None:
    """A request that is exactly as long as a tier's limit is taken by that tier, and one token more by the next."""
    rungs = tiers_of(policy)
    full = _with_all(slate, context, rungs)
    limits = _limits(policy, rungs, full, context)
    ends = [None if rung.up_to_tokens is None else _edge(rung, policy, full, context) for rung in rungs]
    for length in (length for edge in limits for length in (edge, edge + 1) if length >= 0):
        taking = next((rung for rung, end in zip(rungs, ends, strict=True) if end is None or length <= end), None)
        chosen = _chosen(policy, full, context, length)
        if taking is not None and chosen not in taking.models:
            limit = "any number" if taking.up_to_tokens is None else f"up to {taking.up_to_tokens:,}"
            says = f"{length:,} tokens go to {chosen!r}, and the tier that takes {limit} has {', '.join(taking.models)}"
            raise Counterexample("keeps_the_limits_of_tiers", says, policy, full, with_tokens(context, length))


def _names(models: Any) -> tuple[str, ...]:
    if isinstance(models, str) or not isinstance(models, Iterable):
        return ()
    names = tuple(models)
    return names if all(isinstance(name, str) for name in names) else ()


def _limits(policy: Policy, rungs: Iterable[Rung], slate: Slate, context: Context) -> list[int]:
    """Returns the input lengths at which one tier ends and the next begins, as tiers or the policy state them."""
    stated = {_edge(rung, policy, slate, context) for rung in rungs if rung.up_to_tokens is not None}
    return sorted(stated or edges_of(policy, slate, context))


def _edge(rung: Rung, policy: Policy, slate: Slate, context: Context) -> int:
    """Returns a tier's limit as a length of the input; it may be one of input and output together."""
    limit = rung.up_to_tokens or 0
    if limit not in statics.total_token_limits(policy):
        return limit
    features = context.features
    output = features.output_tokens_most
    if output is None:
        output = max((candidate.expected_output_tokens for candidate in everyone(slate)), default=0)
    return limit - output * features.choices


def _with_all(slate: Slate, context: Context, rungs: Iterable[Rung]) -> Slate:
    """Returns a slate in which every model of a tier is live: where one is missing, the next best tier may serve."""
    live = {candidate.name: candidate for candidate in slate.live}
    fallen = {dropped.name: dropped.candidate.model for dropped in slate.dropped}
    most = context.features.output_tokens_most
    for name in (name for rung in rungs for name in rung.models):
        if name not in live:
            model = fallen.get(name) or Model(name=name, id=f"openai/{name}", provider="openai", client="simulated")
            live[name] = Candidate(model=model, features=context.features, expected_output_tokens=min(50, most or 50))
    return Slate(tuple(live.values()), tuple(dropped for dropped in slate.dropped if dropped.name not in live))


def _chosen(policy: Policy, slate: Slate, context: Context, length: int) -> str | None:
    """Returns the name of the model that a request of this length goes to; None where there is none."""
    other = with_tokens(context, length)
    live = tuple(dataclasses.replace(candidate, features=other.features) for candidate in slate.live)
    left = called(policy, Slate(live, slate.dropped), other).live
    return left[0].name if left else None
