"""The `then` of an expectation: held against one decision, and over a cell of requests that are decided alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from router.config_expect import ExpectThen, Span, span_of
from router.core.bounds import Bounds
from router.core.catalog import Model
from router.core.decision import Decision
from router.core.money import usd
from router.testing.space import Cell, Condition
from router.testing.space_linear import opposite
from router.testing.space_models import Amount, Cost
from router.testing.space_world import World

Group = tuple[Condition, ...]
"""Conditions that hold together of the requests for which an expectation is broken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What is decided for every request of a cell.

    Attributes:
        first: who is asked first; None where nobody is live.
        live: who is live; None where that was not asked.
    """

    first: str | None
    live: frozenset[str] | None


def asks_who_lives(then: ExpectThen, /) -> bool:
    """Returns whether more must be known than who is asked first."""
    return any((then.worst_case_usd, then.fallbacks, then.live, then.dropped))


def broken(then: ExpectThen, decision: Decision, /) -> tuple[str, ...]:
    """Returns what of an expectation does not hold of a decision, a clause for each."""
    return tuple(_broken(then, decision))


def _broken(then: ExpectThen, decision: Decision) -> Iterator[str]:
    if decision.ending == "policy_error":
        yield decision.why
        return
    live = decision.slate.live
    names = [candidate.name for candidate in live]
    if then.answered is not None and then.answered != bool(live):
        yield "nobody is live" if then.answered else f"{', '.join(names)} would be asked"
    for name in then.live or ():
        if name not in names:
            yield f"{name} is not live"
    for name in then.dropped or ():
        if name in names:
            yield f"{name} is live"
    if not live:
        return
    yield from _misplaced(then, live[0].model)
    amounts = (
        ("expected cost", then.cost_usd, live[0].expected_usd),
        ("worst cost of one attempt", then.worst_usd, live[0].worst_usd),
        ("worst cost of the request", then.worst_case_usd, decision.worst_case_usd),
    )
    for what, comparison, amount in amounts:
        if comparison is not None and (amount is None or not lets(span_of(comparison), amount)):
            yield f"the {what} is {'unknown' if amount is None else f'${usd(amount)}'}, not {comparison.strip()}"
    if then.fallbacks is not None and not lets(span_of(then.fallbacks), Decimal(len(live) - 1)):
        yield f"{len(live) - 1} models stand by, not {then.fallbacks.strip()}"


def _misplaced(then: ExpectThen, first: Model) -> Iterator[str]:
    name, provider = first.name, first.provider
    for wanted in filter(None, ((then.model,) if then.model else None, then.model_in)):
        if name not in wanted:
            yield f"{name} is asked first, not {' or '.join(wanted)}"
    if name in (then.model_not_in or ()):
        yield f"{name} is asked first"
    for wanted in filter(None, ((then.provider,) if then.provider else None, then.provider_in)):
        if provider not in wanted:
            yield f"{name} of {provider} is asked first, not one of {' or '.join(wanted)}"


def lets(span: Span, amount: Decimal, /) -> bool:
    """Returns whether a comparison lets a number through."""
    least, most = span.least, span.most
    if least is not None and (amount < least or (span.open_least and amount == least)):
        return False
    return most is None or amount < most or (amount == most and not span.open_most)


def breaks(then: ExpectThen, world: World, outcome: Outcome, cell: Cell, bounds: Bounds, /) -> Iterator[Group]:
    """Yields, for each way in which an expectation can be broken in a cell, the conditions of the requests it is by.

    Raises:
        Split: the cell leaves open what they are.
    """
    first = outcome.first
    if then.answered is not None and then.answered != (first is not None):
        yield ()
    live = outcome.live or frozenset()
    if not live.issuperset(then.live or ()) or not live.isdisjoint(then.dropped or ()):
        yield ()
    if first is None:
        return
    if any(_misplaced(then, world.catalog[first])):
        yield ()
    if then.fallbacks is not None and not lets(span_of(then.fallbacks), Decimal(len(live) - 1)):
        yield ()
    figures = world.figures[first]
    if then.cost_usd is not None:
        expected = figures.expected(cell)
        yield from _outside(None if expected is None else [expected], _Limits.of(then.cost_usd))
    if then.worst_usd is not None:
        yield from _outside(figures.worst(cell), _Limits.of(then.worst_usd))
    if then.worst_case_usd is not None:
        every = [world.figures[name].worst(cell) for name in sorted(live)]
        amounts = None if None in every else [amount for worst in every for amount in worst or ()]
        yield from _outside(amounts, _Limits.of(then.worst_case_usd, bounds))


@dataclass(frozen=True, slots=True, kw_only=True)
class Possible:
    """What may be decided for requests of a cell, as far as it is plain to see.

    Attributes:
        live: who may be.
        first: who may be asked first.
        certain: who is live for every request; nobody where that is not plain.
    """

    live: frozenset[str]
    first: frozenset[str]
    certain: frozenset[str]


def plainly_holds(then: ExpectThen, world: World, possible: Possible, cell: Cell, bounds: Bounds, /) -> bool:
    """Returns whether an expectation holds of every request of a cell, whatever of what is possible is decided."""
    if then.answered is not None and not (possible.certain if then.answered else not possible.live):
        return False
    if not possible.certain.issuperset(then.live or ()) or not possible.live.isdisjoint(then.dropped or ()):
        return False
    if any(next(_misplaced(then, world.catalog[name]), None) for name in possible.first):
        return False
    if then.fallbacks is not None:
        counts = range(max(1, len(possible.certain)), len(possible.live) + 1)
        if not all(lets(span_of(then.fallbacks), Decimal(count - 1)) for count in counts):
            return False
    limits: tuple[tuple[str | None, Cost, frozenset[str], Bounds | None], ...] = (
        (then.cost_usd, "expected", possible.first, None),
        (then.worst_usd, "worst", possible.first, None),
        (then.worst_case_usd, "worst", possible.live, bounds),
    )
    return all(
        _all_within(_Limits.of(comparison, within), [world.figures[name].range(what, cell) for name in sorted(names)])
        for comparison, what, names, within in limits
        if comparison is not None
    )


def _all_within(limits: _Limits, ranges: Sequence[tuple[Fraction, Fraction] | None]) -> bool:
    """Returns whether all amounts in these ranges are let through."""
    return all(known is not None and all(map(limits.let, known)) for known in ranges)


@dataclass(frozen=True, slots=True)
class _Limits:
    """A comparison of money, in fractions: a limit of the whole request is one of an attempt only when divided."""

    least: Fraction | None
    most: Fraction | None
    span: Span

    @classmethod
    def of(cls, comparison: str, bounds: Bounds | None = None) -> _Limits:
        """Returns the limits of one attempt.

        Args:
            comparison: as the expectation has it.
            bounds: where it is of the whole request, of that.
        """
        span = span_of(comparison)
        return cls(_of_one(span.least, bounds), _of_one(span.most, bounds), span)

    def let(self, amount: Fraction) -> bool:
        """Returns whether an amount of one attempt is let through."""
        if self.least is not None and (amount < self.least or (self.span.open_least and amount == self.least)):
            return False
        return self.most is None or amount < self.most or (amount == self.most and not self.span.open_most)


def _of_one(limit: Decimal | None, bounds: Bounds | None) -> Fraction | None:
    """Returns what the dearest attempt may cost where the whole request may cost so much.

    The request costs at most one of it for each attempt, or one more than may be wasted: `router.core.bounds`.
    """
    if limit is None or bounds is None:
        return None if limit is None else Fraction(limit)
    each = Fraction(limit) / bounds.attempts
    return each if bounds.waste_usd is None else max(each, Fraction(limit) - Fraction(bounds.waste_usd))


def _outside(amounts: Sequence[Amount] | None, limits: _Limits) -> Iterator[Group]:
    """Yields the conditions of requests for which the highest of some amounts is not let through."""
    if amounts is None:
        yield ()
        return
    if limits.most is not None:
        for amount in amounts:
            yield (opposite(amount.within(limits.most, strictly=limits.span.open_most)),)
    if limits.least is not None:
        yield tuple(amount.within(limits.least, strictly=not limits.span.open_least) for amount in amounts)
