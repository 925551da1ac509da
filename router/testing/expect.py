"""Expectations of a configuration (`[[expect]]`): proved for every request they mean, refuted, or searched.

What is proved is a statement about the policies as they run: the space of requests is cut into cells in which nothing
changes that a policy looks at (`space_policies`), and the router's own code decides requests of each. See docs/check.md
for what a request is here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

from router.config_expect import NOT_STATED, ExpectTable, ExpectWhen, span_of
from router.core import statics
from router.core.decision import Decision
from router.core.draws import TooManyWays, draws_of
from router.core.policy import Policy
from router.testing.expect_search import Case, search
from router.testing.expect_then import Group as Conditions
from router.testing.expect_then import Outcome, Possible, asks_who_lives, breaks, broken, plainly_holds
from router.testing.space import (
    NEEDS,
    STATED,
    Among,
    Cell,
    Condition,
    Point,
    Split,
    TooManyCells,
    need,
    simplicity,
    walk,
)
from router.testing.space_globs import TooEntangled
from router.testing.space_linear import ESTIMATED, Axis, TooFine, line
from router.testing.space_policies import Entry, Group, Order, Reader, finite_conditions, unread
from router.testing.space_world import World, asked_by


class Misread(ValueError):
    """The router decides a request in another way than was read of its policy: a fault of this kit."""


UNDECIDED = (Misread, TooManyCells, TooManyWays, TooEntangled, TooFine)
"""Why a space is not gone through to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counterexample:
    """A request for which an expectation does not hold.

    Attributes:
        case: the request, with what else goes into its decision.
        decision: what it gets.
        broken: what of the expectation does not hold of that, a clause for each.
    """

    case: Case
    decision: Decision
    broken: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of an expectation.

    Attributes:
        outcome: "proved" for every request; "refuted" by a counterexample; "searched" without finding one; "empty",
            where no request is meant.
        looked: at how many cells, or, where it was searched, requests.
        why: it was only searched.
    """

    outcome: Literal["proved", "refuted", "searched", "empty"]
    looked: int
    counterexample: Counterexample | None = None
    why: str | None = None


def verdict(table: ExpectTable, world: World, /) -> Verdict:
    """Returns what becomes of an expectation whose names are all known."""
    name = table.when.policy or world.setup.default_policy
    policy = world.setup.policies[name]
    others = unread(policy)
    if others:
        return _searched(table, world, f"nothing can be proved of the kind {', '.join(others)}")
    try:
        return _proof(table, world, name, policy)
    except UNDECIDED as error:
        return _searched(table, world, str(error))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """What is found out about a cell.

    Attributes:
        outcome: what is decided there; None where that is not needed, since the expectation holds whatever it is.
        breaks: by which requests the expectation is broken.
    """

    outcome: Outcome | None = None
    breaks: tuple[Conditions, ...] = ()


def _proof(table: ExpectTable, world: World, name: str, policy: Policy) -> Verdict:
    start = meant(table.when, world, policy)
    if start is None or start.smallest() is None:
        return Verdict(outcome="empty", looked=0)
    looked = 0
    found: tuple[Point, float] | None = None
    for draw in draws_of(policy):
        prover = _Prover(table, world, name, policy, Reader(world, draw))
        for cell, reading in walk(start, prover.read):
            if found is not None and simplicity(cell.smallest() or found[0]) >= simplicity(found[0]):
                break
            looked += 1
            prover.checked(cell, reading.outcome)
            for group in reading.breaks:
                part = cell.take(*group)
                point = None if part is None else part.smallest(found[0] if found else None)
                if point is not None and (found is None or simplicity(point) < simplicity(found[0])):
                    found = point, draw
    if found is None:
        return Verdict(outcome="proved", looked=looked)
    case = Case(point=found[0], draw=found[1])
    decision = case.decided(world, name)
    says = broken(table.then, decision)
    if not says:
        raise Misread(f"{case} should break the expectation")
    return Verdict(
        outcome="refuted",
        looked=looked,
        counterexample=Counterexample(case=case, decision=decision, broken=says),
    )


@dataclass(frozen=True, slots=True)
class _Prover:
    table: ExpectTable
    world: World
    name: str
    policy: Policy
    reader: Reader

    def read(self, cell: Cell) -> _Reading:
        """Returns what can be said of all requests of a cell.

        Raises:
            Split: what can be said differs between parts of it.
        """
        then = self.table.then
        order, split = self._order(cell)
        live, first, certain = self.reader.candidates(order, cell)
        possible = Possible(live=live, first=first, certain=certain)
        if split is not None:
            possible = Possible(live=live, first=live, certain=frozenset())
        bounds = self.world.setup.terms[self.name].bounds
        if plainly_holds(then, self.world, possible, cell, bounds):
            return _Reading()
        if split is not None:
            raise split
        outcome = Outcome(
            first=self.reader.first(order, cell, partial(self._favourite, cell)),
            live=self.reader.living(order, cell) if asks_who_lives(then) else None,
        )
        return _Reading(outcome=outcome, breaks=tuple(breaks(then, self.world, outcome, cell, bounds)))

    def _order(self, cell: Cell) -> tuple[Order, Split | None]:
        """Returns what the policy makes of the models; of those it may leave, where the cell leaves that open."""
        start = self.reader.start()
        try:
            return self.reader.read(self.policy, start, cell), None
        except Split as split:
            names = statics.may_leave(self.policy, self.world.catalog)
            return (Group(tuple(map(Entry, names)), ranked=True),), split

    def checked(self, cell: Cell, outcome: Outcome | None) -> None:
        """Decides requests of the cell as the router does.

        Raises:
            Misread: it decides them in another way than was read.
        """
        for point in cell.ends():
            if outcome is None:
                if says := broken(self.table.then, self._case(point).decided(self.world, self.name)):
                    raise Misread(f"{point} should keep the expectation, and {', '.join(says)}")
                continue
            names = self._asked(point)
            agrees = outcome.live is None or outcome.live == frozenset(names)
            if not agrees or outcome.first != next(iter(names), None):
                raise Misread(f"{point} should be decided as {outcome}, and is as {names}")

    def _favourite(self, cell: Cell) -> str | None:
        point = cell.smallest()
        return None if point is None else next(iter(self._asked(point)), None)

    def _asked(self, point: Point) -> tuple[str, ...]:
        return tuple(candidate.name for candidate in self._case(point).slate(self.world, self.name))

    def _case(self, point: Point) -> Case:
        return Case(point=point, draw=self.reader.draw)


def meant(when: ExpectWhen, world: World, policy: Policy, /) -> Cell | None:
    """Returns the requests that an expectation means; None where it is plain to see that there are none."""
    space = world.space(asked_by([policy]).and_of(when), spread=ESTIMATED if when.tokens_most is None else None)
    start = space.all()
    return start.take(*_conditions(when, start))


def _conditions(when: ExpectWhen, cell: Cell) -> Iterator[Condition]:
    if when.tokens is not None:
        yield from _between("n", when.tokens)
    if when.tokens_most is not None:
        yield from _between("h", when.tokens_most)
    if when.max_tokens is not None:
        yield Among(STATED, frozenset((when.max_tokens != NOT_STATED,)))
        if when.max_tokens != NOT_STATED:
            yield from _between("m", when.max_tokens)
    if when.above_tokens is not None:
        yield line("n", -1, 0, -when.above_tokens - 1)
    if when.up_to_tokens is not None:
        yield line("n", 1, 0, when.up_to_tokens)
    if when.needs_only is not None:
        for name in NEEDS:
            if name not in when.needs_only:
                yield Among(need(name), frozenset((False,)))
    yield from finite_conditions(when, cell)


def _between(axis: Axis, comparison: str) -> Iterator[Condition]:
    span = span_of(comparison)
    a, b = (0, 1) if axis == "m" else (1, 0)
    if span.whole_least is not None:
        yield line(axis, -a, -b, -span.whole_least)
    if span.whole_most is not None:
        yield line(axis, a, b, span.whole_most)


def _searched(table: ExpectTable, world: World, why: str) -> Verdict:
    name = table.when.policy or world.setup.default_policy
    start = meant(table.when, world, world.setup.policies[name])
    if start is None or start.smallest() is None:
        return Verdict(outcome="empty", looked=0, why=why)

    def breaks_it(case: Case) -> bool:
        return bool(broken(table.then, case.decided(world, name)))

    case, looked = search(start, world, breaks_it)
    if case is None:
        return Verdict(outcome="searched", looked=looked, why=why)
    decision = case.decided(world, name)
    found = Counterexample(case=case, decision=decision, broken=broken(table.then, decision))
    return Verdict(outcome="refuted", looked=looked, counterexample=found, why=why)
