"""What a policy does with every request of a cell: the shipped kinds, read as conditions.

Reading a policy raises `Split` where the cell leaves open what the policy does. What is read is checked against what
the policy does, at requests of every cell; a difference would be a fault of this file, and proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, Final

from router.core import statics
from router.core.catalog import Model
from router.core.draws import sequence, shipped_kind
from router.core.policy import Policy
from router.testing.space import (
    NEEDS,
    SERVICE_TIER,
    STATED,
    STREAM,
    TENANT,
    TOOLS,
    Among,
    Answer,
    Cell,
    Condition,
    Parting,
    Question,
    Split,
    need,
)
from router.testing.space_linear import MOST, line
from router.testing.space_world import World

READ: Final = frozenset(
    {
        "chain",
        "cheapest",
        "fallback",
        "first_of",
        "max_cost",
        "min_quality",
        "prefer",
        "requires",
        "rules",
        "token_tiers",
        "weighted",
    }
)
"""Kinds that can be read over cells. `max_latency` goes by statistics and `pace` by what is spent, which no request
decides: read as if all models were quick, and nothing spent."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A model that may be live, and the ceilings on its cost that it must stay below."""

    name: str
    ceilings: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """Models in the order in which they are asked; a ranked group is asked cheapest first."""

    entries: tuple[Entry, ...]
    ranked: bool = False


Order = tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads policies over cells of a world's requests.

    Attributes:
        draw: of `weighted` splits.
        trail: where the rules and tiers are noted that are taken, each by the policy and the place in its list; None
            for none of its tiers.
        unlisted: whether to read as if every list named every model: what is live then, no filter stands in the way of.
    """

    world: World
    draw: float = 0.0
    trail: list[tuple[Any, int | None]] = field(default_factory=list, compare=False)
    unlisted: bool = False

    def start(self) -> Order:
        """Returns all models, as policies get them."""
        return (Group(tuple(map(Entry, self.world.catalog))),)

    def read(self, policy: Any, order: Order, cell: Cell, /) -> Order:
        """Returns what a policy makes of an order.

        Raises:
            Split: it makes different things of it in parts of the cell.
        """
        match shipped_kind(policy):
            case "chain":
                return self._chain(policy, order, cell)
            case "cheapest":
                return (Group(tuple(entry for group in order for entry in group.entries), ranked=True),)
            case "fallback":
                return self._listed(policy.models, order)
            case "first_of":
                return self._first_of(policy, order, cell)
            case "max_latency" | "pace":
                return order
            case "max_cost":
                return _capped(order, policy)
            case "min_quality" | "requires":
                return self._static(policy, order)
            case "prefer":
                return self._prefer(policy, order)
            case "rules":
                return self._rules(policy, order, cell)
            case "token_tiers":
                return self._token_tiers(policy, order, cell)
            case "weighted":
                return self._weighted(policy, order, cell)
            case kind:
                raise AssertionError(f"policies of the kind {kind!r} cannot be read; ask `unread` first")

    def alive(self, entry: Entry, cell: Cell, /) -> bool:
        """Returns whether a model is live.

        Raises:
            Split: it is in parts of the cell.
        """
        open_: list[Parting] = []
        for condition in self._conditions(entry, cell):
            decided = cell.decides(condition)
            if decided is False:
                return False
            if decided is None and not isinstance(condition, bool):
                open_.append(condition)
        if open_:
            raise Split(open_[0])
        return True

    def _conditions(self, entry: Entry, cell: Cell) -> Iterator[Condition]:
        figures = self.world.figures[entry.name]
        yield from figures.able(cell)
        for ceiling in entry.ceilings:
            expected = figures.expected(cell) if ceiling.of == "expected" else None
            amounts = figures.worst(cell) if ceiling.of == "worst" else None if expected is None else (expected,)
            if amounts is None:
                yield ceiling.unknown == "keep"
            for amount in amounts or ():
                yield amount.within(ceiling.limit_usd)

    def anybody(self, order: Order, cell: Cell, /) -> bool:
        """Returns whether a model is live.

        Raises:
            Split: one is in parts of the cell.
        """
        split: Split | None = None
        # Whoever takes the longest input is the likeliest: most cells are told by one model instead of by all.
        for entry in sorted((entry for group in order for entry in group.entries), key=self._shortest_last):
            try:
                if self.alive(entry, cell):
                    return True
            except Split as found:
                split = split or found
        if split is not None:
            raise split
        return False

    def _shortest_last(self, entry: Entry) -> int:
        return -(self.world.catalog[entry.name].context_window_tokens or MOST)

    def living(self, order: Order, cell: Cell, /) -> frozenset[str]:
        """Returns the names of the live models.

        Raises:
            Split: they are others in parts of the cell.
        """
        return frozenset(entry.name for group in order for entry in group.entries if self.alive(entry, cell))

    def first(self, order: Order, cell: Cell, favourite: Callable[[], str | None], /) -> str | None:
        """Returns who is asked first; None where nobody is live.

        Args:
            order: as policies leave it.
            cell: of the requests.
            favourite: says who is asked first for one of them, to compare the others with.

        Raises:
            Split: it is another one in parts of the cell.
        """
        for group in order:
            if group.ranked and len(group.entries) > 1:
                name = favourite()
                if self._leads(group, name, cell):
                    return name
            else:
                for entry in group.entries:
                    if self.alive(entry, cell):
                        return entry.name
        return None

    def candidates(self, order: Order, cell: Cell, /) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
        """Returns who may be live, who may be asked first, and who is certain to be live, without looking closely."""
        live: set[str] = set()
        first: set[str] = set()
        certain: set[str] = set()
        for group in order:
            for entry in group.entries:
                if self.world.figures[entry.name].dead(cell):
                    continue
                live.add(entry.name)
                if not certain or (group.ranked and certain <= {e.name for e in group.entries}):
                    first.add(entry.name)
                if self._surely_alive(entry, cell):
                    certain.add(entry.name)
        return frozenset(live), frozenset(first), frozenset(certain)

    def _surely_alive(self, entry: Entry, cell: Cell) -> bool:
        try:
            return self.alive(entry, cell)
        except Split:
            return False

    def _leads(self, group: Group, favourite: str | None, cell: Cell) -> bool:
        """Returns whether the favourite is the cheapest of a group; False where nobody in the group is live."""
        own = [entry for entry in group.entries if entry.name == favourite]
        if not any(self.alive(entry, cell) for entry in own):
            if self.anybody((Group(group.entries),), cell):
                raise AssertionError("the favourite was not live, and somebody was")
            return False
        for entry in group.entries:
            if entry.name != favourite:
                self._follows(entry, own[0].name, cell)
        return True

    def _follows(self, entry: Entry, leader: str, cell: Cell) -> None:
        """Does nothing where a model is dearer than another in all of the cell, or dead.

        Raises:
            Split: it is in parts of it.
        """
        split: Split | None = None
        try:
            dearer = self._no_dearer(leader, entry.name, cell)
            decided = cell.decides(dearer)
            if decided:
                return
            if not isinstance(dearer, bool):
                split = Split(dearer)
        except Split as found:
            split = found
        if self.alive(entry, cell) and split is not None:
            raise split

    def _no_dearer(self, one: str, other: str, cell: Cell) -> Condition:
        """Returns the condition that a model comes before another: by expected cost, then by name."""
        mine, theirs = self.world.figures[one].expected(cell), self.world.figures[other].expected(cell)
        if mine is None or theirs is None:
            return theirs is None and (mine is not None or one < other)
        return line("n", mine.a - theirs.a, mine.b - theirs.b, theirs.c - mine.c - (one > other))

    def _chain(self, policy: Any, order: Order, cell: Cell) -> Order:
        for part in policy.policies:
            order = self.read(part, order, cell)
        return order

    def _first_of(self, policy: Any, order: Order, cell: Cell) -> Order:
        found = order
        for part in policy.policies:
            found = self.read(part, order, cell)
            if self.anybody(found, cell):
                break
        return found

    def _static(self, policy: Any, order: Order) -> Order:
        return _kept(order, frozenset(statics.may_leave(policy, self.world.catalog)))

    def _prefer(self, policy: Any, order: Order) -> Order:
        kept = self._static(policy, order)
        if not policy.first:
            return kept

        def rank(model: Model) -> int:
            return next((i for i, one in enumerate(policy.first) if one.matches(model)), len(policy.first))

        ranks = {name: rank(model) for name, model in self.world.catalog.items()}
        return tuple(
            part
            for wanted in range(len(policy.first) + 1)
            for part in _kept(kept, frozenset(name for name, found in ranks.items() if found == wanted))
        )

    def _token_tiers(self, policy: Any, order: Order, cell: Cell) -> Order:
        names: tuple[str, ...] = ()
        ranked = False
        for index, tier in enumerate(policy.tiers):
            if tier.up_to_tokens is None or cell.sure(self.in_tier(policy, tier.up_to_tokens, cell)):
                names, ranked = tier.models, policy.order == "cheapest"
                self.trail.append((policy, index))
                break
        else:
            self.trail.append((policy, None))
        others = tuple(name for name in policy.fallback if name not in names)
        if self.unlisted:
            return order
        front = _picked(names, order)
        return (Group(front.entries, ranked=ranked), _picked(others, order))

    def in_tier(self, policy: Any, limit: int, cell: Cell, /) -> Condition:
        """Returns the condition that a request is within the limit of a tier."""
        if policy.measure == "input":
            return line("n", 1, 0, limit)
        if cell.answer(STATED):
            return line("n", 1, 1, limit)
        most = self.world.setup.expected_output_tokens
        written = [min(most, m.max_output_tokens or most) for m in self.world.catalog.values()]
        return line("n", 1, 0, limit - max(written, default=0))

    def _rules(self, policy: Any, order: Order, cell: Cell) -> Order:
        for index, rule in enumerate(policy.rules):
            wanted = list(conditions_of(rule.when, cell))
            decided = [cell.decides(condition) for condition in wanted]
            if False in decided:
                continue
            open_ = tuple(
                c for c, known in zip(wanted, decided, strict=True) if known is None and not isinstance(c, bool)
            )
            if not open_:
                self.trail.append((policy, index))
                return self.read(rule.use, order, cell)
            if not _implied(cell, open_):
                raise Split(*open_)
        return order if policy.otherwise is None else self.read(policy.otherwise, order, cell)

    def _weighted(self, policy: Any, order: Order, cell: Cell) -> Order:
        chosen, inside, drawn = 0, self, order
        for chosen, within in sequence([share.weight for share in policy.split], self.draw):
            inside = replace(self, draw=within)
            drawn = inside.share(policy.split[chosen], order, cell)
            if self.anybody(drawn, cell):
                break
        if policy.others == "drop":
            return drawn
        others = (inside.share(share, order, cell) for i, share in enumerate(policy.split) if i != chosen)
        return (*drawn, *(group for other in others for group in other))

    def share(self, share: Any, order: Order, cell: Cell, /) -> Order:
        """Returns what one share of a split makes of an order."""
        if share.use is not None:
            return self.read(share.use, order, cell)
        return self._listed((share.model or "",), order)

    def _listed(self, names: tuple[str, ...], order: Order) -> Order:
        return order if self.unlisted else (_picked(names, order),)


def _implied(cell: Cell, conditions: tuple[Parting, ...]) -> bool:
    """Returns whether the cell is known to be without requests for which all of these hold."""
    return any(all(cell.decides(c) or c in conditions for c in group) for group in cell.without)


def conditions_of(when: Any, cell: Cell, /) -> Iterator[Condition]:
    """Yields what must all hold of a request for the `when` of a rule to hold."""
    low, high = when.tokens
    if low > 1:
        yield line("n", -1, 0, -low)
    if high < MOST:
        yield line("n", 1, 0, high)
    yield from finite_conditions(when, cell)


def finite_conditions(when: Any, cell: Cell, /) -> Iterator[Condition]:
    """Yields those of its conditions that are no numbers; `when` is that of a rule or of an expectation."""
    for tag, wanted in when.tags.items():
        yield _matching(("tag", tag), wanted, cell)
    if when.tenant is not None:
        yield _matching(TENANT, when.tenant, cell)
    for name in sorted(when.needs):
        yield name in NEEDS and Among(need(name), frozenset((True,)))
    for question, wanted in ((STREAM, when.stream), (need("vision"), when.images), (TOOLS, when.tools)):
        if wanted is not None:
            yield Among(question, frozenset((wanted,)))
    if when.service_tier is not None:
        yield Among(SERVICE_TIER, frozenset((when.service_tier,)))
    if when.last_user_message is not None:
        yield Among(("match", when.last_user_message), frozenset((True,)))


def _matching(question: Question, pattern: str, cell: Cell) -> Among:
    answers: tuple[Answer, ...] = cell.space.questions[question]
    return Among(question, frozenset(a for a in answers if isinstance(a, str) and fnmatchcase(a, pattern)))


def _picked(names: tuple[str, ...], order: Order) -> Group:
    """Returns the named models, in the order of the names."""
    entries = [entry for group in order for entry in group.entries]
    return Group(tuple(entry for name in dict.fromkeys(names) for entry in entries if entry.name == name))


def _capped(order: Order, ceiling: Any) -> Order:
    """Returns the order with one more ceiling over all its models."""

    def capped(group: Group) -> Group:
        return Group(tuple(Entry(e.name, (*e.ceilings, ceiling)) for e in group.entries), ranked=group.ranked)

    return tuple(map(capped, order))


def _kept(order: Order, names: frozenset[str]) -> Order:
    """Returns the order with only these models in it."""
    return tuple(Group(tuple(e for e in group.entries if e.name in names), ranked=group.ranked) for group in order)


def unread(policy: Policy, /) -> tuple[str, ...]:
    """Returns the kinds inside a policy that cannot be read over cells: others' own, and those that read statistics."""
    found = [part for _, part in statics.parts(policy) if shipped_kind(part) not in READ]
    return tuple(dict.fromkeys(str(getattr(part, "kind", type(part).__name__)) for part in found))
