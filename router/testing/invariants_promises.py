"""What only some policies promise: to drop only, to rank only, to choose the cheapest, to respect quality or length.

A policy says so in an attribute `promises`, a set of names; `check_policy` takes more of them as an argument.

| promise | meaning |
| --- | --- |
| `filter` | it only drops: the order stays, and a second time nothing more falls |
| `ranker` | it only orders: nobody falls, the order it is given does not matter, and ties break by name |
| `cheapest` | of those it leaves, the one in front is expected to cost least; unknown is never free |
| `priced` | a model of unknown price is not taken for a free one |
| `quality` | who asks for more quality never gets a model of less |
| `tiers` | a longer prompt never goes to a lower tier, and a tier's limit is inclusive |
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any, Literal, get_args

from router import Candidate, Context, Policy, Price, Rates, Slate, Tier
from router.core.naming import allowed
from router.testing.invariants_shown import Counterexample, called, difference, listed, live_names, outcome_of
from router.testing.invariants_tiers import tiers_of

Promise = Literal["filter", "ranker", "cheapest", "priced", "quality", "tiers"]

_FREE = Price(tiers=(Tier(rates=Rates(input=Decimal(0), output=Decimal(0))),))
_DEAR = Price(
    tiers=(Tier(rates=Rates(input=Decimal(10**9), output=Decimal(10**9))),),
    request_usd=Decimal(10**9),
    request_most_usd=Decimal(10**9),
)
_DROPPED = 10**9
"""Behind every place."""
_QUALITIES = ("quality", "min_quality")
"""How the option is called that says how good a model must be."""


def promises_of(policy: Policy, /) -> frozenset[Promise]:
    """Returns what a policy promises: what its attribute `promises` holds, and "tiers" where it has any.

    Raises:
        ValueError: it promises something that nobody knows.
    """
    stated: Iterable[str] = getattr(policy, "promises", ())
    tiers: frozenset[Promise] = frozenset({"tiers"} if tiers_of(policy) else ())
    return known_promises(stated) | tiers


def known_promises(names: Iterable[str], /) -> frozenset[Promise]:
    """Returns names as promises, with those that follow from others.

    Raises:
        ValueError: one is no promise.
    """
    known: tuple[Promise, ...] = get_args(Promise)
    found = frozenset(names)
    for name in sorted(found - set(known)):
        raise ValueError(f"{name!r} is no promise of a policy; {allowed(name, known)}")
    return frozenset(name for name in known if name in found or (name == "priced" and "cheapest" in found))


def only_drops(policy: Policy, slate: Slate, context: Context) -> None:
    """A filter leaves those that it keeps in the order in which they were."""
    before, after = live_names(slate), live_names(called(policy, slate, context))
    kept = tuple(name for name in before if name in after)
    if after != kept:
        says = f"a filter keeps the order: of {listed(before)} it made {listed(after)}"
        raise Counterexample("only_drops", says, policy, slate, context)


def drops_no_more_the_second_time(policy: Policy, slate: Slate, context: Context) -> None:
    """A filter or ranker changes nothing of what it left itself."""
    once = called(policy, slate, context)
    twice = called(policy, once, context)
    if outcome_of(twice) != outcome_of(once):
        says = f"applied to what it left, it changed it again: {difference(outcome_of(once), outcome_of(twice))}"
        raise Counterexample("drops_no_more_the_second_time", says, policy, slate, context)


def drops_nobody(policy: Policy, slate: Slate, context: Context) -> None:
    """A ranker only orders."""
    left = live_names(called(policy, slate, context))
    if gone := tuple(name for name in live_names(slate) if name not in left):
        raise Counterexample("drops_nobody", f"a ranker dropped {listed(gone)}", policy, slate, context)


def ignores_the_order(policy: Policy, slate: Slate, context: Context) -> None:
    """A ranker gives the same order whatever order it is given."""
    first = live_names(called(policy, slate, context))
    live = slate.live
    for order in (tuple(reversed(live)), live[1:] + live[:1], tuple(sorted(live, key=lambda c: c.name))):
        other = live_names(called(policy, Slate(order, slate.dropped), context))
        if other != first:
            given = listed(tuple(candidate.name for candidate in order))
            says = f"given {listed(live_names(slate))} it ranks {listed(first)}; given {given}, {listed(other)}"
            raise Counterexample("ignores_the_order", says, policy, slate, context)


def breaks_ties_by_name(policy: Policy, slate: Slate, context: Context) -> None:
    """Of two models that differ in nothing but the name, a ranker puts the one first whose name comes first."""
    for candidate in slate.live:
        names = ("tie 1", "tie 2")
        first, second = (
            dataclasses.replace(candidate, model=dataclasses.replace(candidate.model, name=name)) for name in names
        )
        known = context.stats.get(candidate.name)
        stats = context.stats if known is None else {**context.stats, **dict.fromkeys(names, known)}
        other, backwards = dataclasses.replace(context, stats=stats), Slate((second, first))
        ranked = live_names(called(policy, backwards, other))
        if ranked != names:
            ignores_the_order(policy, backwards, other)  # it may rank them as they come, which says more
            says = f"with {candidate.name!r} there twice, as {listed(names[::-1])}, it ranks {listed(ranked)}"
            raise Counterexample("breaks_ties_by_name", says, policy, slate, context)


def chooses_the_cheapest(policy: Policy, slate: Slate, context: Context) -> None:
    """No live candidate is cheaper than the one in front: all that are live are adequate."""
    for among in (slate, *_hard_choices(slate)):
        live = called(policy, among, context).live
        for chosen, other in ((live[0], other) for other in live[1:]):
            if other.expected_usd is None:
                continue
            if chosen.expected_usd is None:
                says = f"{chosen.name!r} is in front, whose price nobody knows, before {other.name!r}"
                raise Counterexample("chooses_the_cheapest", says, policy, among, context)
            if other.expected_usd < chosen.expected_usd:
                costs = f"${chosen.expected_usd:f}, and {other.name!r} behind it for ${other.expected_usd:f}"
                says = f"{chosen.name!r} is in front for {costs}"
                raise Counterexample("chooses_the_cheapest", says, policy, among, context)


def _hard_choices(slate: Slate) -> Iterator[Slate]:
    """Yields slates of two models that differ in nothing but their fee, the dearer one first by name.

    In the first, by less than a float can tell; in the second, in digits that sort the other way as text.
    """
    for candidate in slate.live[:1]:
        for dearer, cheaper in (("1.00000000000000000001", "1"), ("10", "9")):
            twins = (
                dataclasses.replace(candidate, model=dataclasses.replace(candidate.model, name=name, price=_fee(usd)))
                for name, usd in (("a", dearer), ("b", cheaper))
            )
            yield Slate(tuple(twins))


def _fee(usd: str) -> Price:
    return dataclasses.replace(_FREE, request_usd=Decimal(usd), request_most_usd=Decimal(usd))


def counts_unknown_as_unknown(policy: Policy, slate: Slate, context: Context) -> None:
    """A model of unknown price is not treated as a free one, where a dear one would be treated otherwise."""
    for place, candidate in enumerate(slate.live):
        if candidate.expected_usd is not None:
            continue
        unknown, free, dear = (
            _place_of(candidate.name, called(policy, _priced(slate, place, price), context))
            for price in (candidate.model.price, _FREE, _DEAR)
        )
        if unknown == free and free < dear:
            places = [f"number {place + 1}" if place < _DROPPED else "dropped" for place in (unknown, dear)]
            treated = f"is {places[0]}, as if it were free; if dear, it is {places[1]}"
            says = f"{candidate.name!r}, whose price nobody knows, {treated}"
            raise Counterexample("counts_unknown_as_unknown", says, policy, slate, context)


def _priced(slate: Slate, place: int, price: Price | None) -> Slate:
    candidate = slate.live[place]
    other = dataclasses.replace(candidate, model=dataclasses.replace(candidate.model, price=price))
    return Slate((*slate.live[:place], other, *slate.live[place + 1 :]), slate.dropped)


def _place_of(name: str, slate: Slate) -> int:
    names = live_names(slate)
    return names.index(name) if name in names else _DROPPED


def gives_no_less_when_more_is_asked(policy: Policy, slate: Slate, context: Context) -> None:
    """Who asks for more quality, of the router or of the policy, never gets a model of less."""
    first = called(policy, slate, context)
    before = _chosen_quality(first)
    for least in sorted({1.0, *(c.model.quality for c in slate.live if c.model.quality is not None)}):
        asked = slate.drop(lambda c, least=least: _below(c, least), by="request")  # type: ignore[misc]  # a default
        after = _chosen_quality(called(policy, asked, context))
        if before is not None and after is not None and after < before:
            says = f"in front is a quality of {before:g}; where the request asks for {least:g}, one of {after:g}"
            raise Counterexample("gives_no_less_when_more_is_asked", says, policy, slate, context)
        for stricter in _asking(policy, least):
            left = live_names(called(stricter, slate, context))
            if more := tuple(name for name in left if name not in live_names(first)):
                says = f"asked for a quality of {least:g} instead, it keeps {listed(more)}, which it drops now"
                raise Counterexample("gives_no_less_when_more_is_asked", says, policy, slate, context)


def _chosen_quality(slate: Slate) -> float | None:
    return slate.live[0].model.quality if slate.live else None


def _below(candidate: Candidate, least: float) -> str | None:
    quality = candidate.model.quality
    return f"quality {quality}, the request asks for {least}" if quality is None or quality < least else None


def _asking(policy: Any, least: float) -> Iterator[Any]:
    """Yields the policy with a higher quality as its option, where it has such an option."""
    if not dataclasses.is_dataclass(policy) or isinstance(policy, type):
        return
    for field in dataclasses.fields(policy):
        now = getattr(policy, field.name)
        if field.name in _QUALITIES and field.init and isinstance(now, int | float) and now < least:
            yield dataclasses.replace(policy, **{field.name: least})
