"""Rules and tiers that no request reaches, rules that overlap, and what stands in a tier or a chain for nothing.

Every rule and tier is looked at where it stands: with the requests that the policies around it leave to it. Policies
that have a name are looked at by themselves, since a request may name them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from router.core.draws import shipped_kind
from router.core.policy import Policy
from router.testing.expect_told import request_told
from router.testing.gaps_found import Finding, Path
from router.testing.space import STATED, Among, Cell, Condition, Parting, Point, walk
from router.testing.space_policies import Reader, conditions_of
from router.testing.space_world import World


@dataclass(frozen=True, slots=True)
class _Place:
    """A policy that is being looked at, where it stands, and the requests that come to it."""

    policy: Any
    path: Path
    cell: Cell


@dataclass(frozen=True, slots=True)
class _Box:
    """The requests for which the conditions of a rule hold, whoever takes them."""

    index: int
    conditions: tuple[Condition, ...]
    cell: Cell | None


def misplaced(world: World, name: str, policy: Policy, cell: Cell, /) -> Iterator[Finding]:
    """Yields what is out of place in a named policy.

    Args:
        world: of the configuration.
        name: of the policy.
        policy: it.
        cell: all requests.
    """
    named = frozenset(map(id, world.setup.policies.values()))
    yield from _Looker(world, named - {id(policy)}).look(_Place(policy, ("policies", name), cell))


@dataclass(frozen=True, slots=True)
class _Looker:
    world: World
    elsewhere: frozenset[int]

    def look(self, place: _Place) -> Iterator[Finding]:
        """Yields what is out of place in a policy and in those inside it."""
        policy = place.policy
        if id(policy) in self.elsewhere:
            return
        match shipped_kind(policy):
            case "rules":
                yield from self._rules(place)
            case "token_tiers":
                yield from self._tiers(place)
            case "fallback":
                yield from self._listed(policy.models, (*place.path, "models"), place.cell)
                yield from self._one_provider(policy.models, place.path)
            case "chain" | "first_of":
                for index, part in enumerate(policy.policies):
                    yield from self.look(_Place(part, (*place.path, "policies", index), place.cell))
            case "weighted":
                for index, share in enumerate(policy.split):
                    if share.use is not None:
                        yield from self.look(_Place(share.use, (*place.path, "split", index, "use"), place.cell))

    def _rules(self, place: _Place) -> Iterator[Finding]:
        policy, path = place.policy, (*place.path, "rules")
        left: Cell | None = place.cell
        before: list[_Box] = []
        for index, rule in enumerate(policy.rules):
            conditions = tuple(conditions_of(rule.when, place.cell))
            box = _Box(index, conditions, _there(place.cell.take(*conditions)))
            taken = _there(left.take(*conditions)) if left is not None else None
            if taken is None:
                yield _unreached((*path, index), box, before)
            else:
                yield from self._overlaps((*path, index), box, before)
                yield from self.look(_Place(rule.use, (*path, index, "use"), taken))
            partings = _partings(conditions)
            if left is not None and partings is not None:
                left = _there(left.leave(*partings)) if partings else None
            before.append(box)
        if policy.otherwise is None or (left is not None and id(policy.otherwise) in self.elsewhere):
            return
        here = (*place.path, "otherwise")
        if left is None:
            yield Finding(kind="unreachable", path=here, message="no request can reach it, since the rules take all")
        else:
            yield from self.look(_Place(policy.otherwise, here, left))

    def _overlaps(self, path: Path, box: _Box, before: Sequence[_Box]) -> Iterator[Finding]:
        """Yields that a rule and some before it hold for the same requests, unless those are special cases of it."""
        others: list[int] = []
        example: Point | None = None
        for other in before:
            both = None if other.cell is None else _there(other.cell.take(*box.conditions))
            if both is None or other.cell is None or all(other.cell.decides(c) for c in box.conditions):
                continue
            others.append(other.index)
            example = both.smallest() if example is None else example
        if example is not None:
            message = f"holds for requests that {_rules(others)} before it take{'s' * (len(others) == 1)}"
            yield Finding(
                kind="overlap",
                path=path,
                message=f"{message}, such as: {request_told(example)}",
                severity="note",
                example=example,
            )

    def _tiers(self, place: _Place) -> Iterator[Finding]:
        policy, reader = place.policy, Reader(self.world)
        # The limit of a tier of input and output is another line where the request does not state its output.
        parts = [place.cell]
        if policy.measure == "total":
            halves = (place.cell.take(Among(STATED, frozenset((stated,)))) for stated in (False, True))
            parts = [half for half in halves if half is not None]
        for index, tier in enumerate(policy.tiers):
            path = (*place.path, "tiers", index)
            limits = [
                True if tier.up_to_tokens is None else reader.in_tier(policy, tier.up_to_tokens, p) for p in parts
            ]
            taken = [_there(part.take(limit)) for part, limit in zip(parts, limits, strict=True)]
            here = next((cell for cell in taken if cell is not None), None)
            if here is None:
                yield Finding(
                    kind="unreachable",
                    path=path,
                    message="no request can reach it: those that come to these tiers are taken by the ones before it",
                )
            else:
                yield from self._listed(tier.models, (*path, "models"), here, limit=tier.up_to_tokens)
                yield from self._one_provider((*tier.models, *policy.fallback), path)
            parts = [
                rest
                for part, limit in zip(parts, limits, strict=True)
                if not isinstance(limit, bool) and (rest := _there(part.leave(limit))) is not None
            ]

    def _listed(self, names: Sequence[str], path: Path, cell: Cell, *, limit: int | None = None) -> Iterator[Finding]:
        """Yields models of a list that can serve none of the requests that come to it, or not the longest of a tier."""
        # A request that states less output than is expected has room for more input; few do, and it proves nothing.
        cell = _there(cell.take(Among(STATED, frozenset((False,))))) or cell
        longest = cell.longest()
        for index, name in enumerate(names):
            able = self._longest_able(name, cell)
            if able is None:
                message = f"{name} can serve none of the requests that come to it, such as: "
                example = cell.smallest()
                if example is not None:
                    message += request_told(example)
                    yield Finding(kind="unable", path=(*path, index), message=message, example=example)
            elif limit is not None and longest is not None and able.sizes[0] < longest.sizes[0]:
                yield Finding(
                    kind="window",
                    path=(*path, index),
                    message=f"{name} takes up to {able.sizes[0]:,} tokens of input, and its tier goes up to "
                    f"{longest.sizes[0]:,}: {self._room(name)}",
                    example=longest,
                )

    def _longest_able(self, name: str, cell: Cell) -> Point | None:
        """Returns the longest request of a cell that a model can serve; None where it can serve none."""
        figures = self.world.figures[name]
        found: Point | None = None
        for part, conditions in walk(cell, lambda one: tuple(figures.able(one))):
            able = part.take(*conditions)
            found = found if able is None else able.longest(found)
        return found

    def _room(self, name: str) -> str:
        model = self.world.catalog[name]
        window = model.context_window_tokens
        return (
            f"its window of {window:,} must hold the output and what its host adds too" if window else "see its limits"
        )

    def _one_provider(self, names: Sequence[str], path: Path) -> Iterator[Finding]:
        """Yields that all models of a list are of one provider, so that one outage takes them all."""
        catalog = self.world.catalog
        providers = {catalog[name].provider for name in names}
        if len(set(names)) > 1 and len(providers) == 1:
            others = sorted({model.provider for model in catalog.values()} - providers)
            yield Finding(
                kind="one_provider",
                path=path,
                message=f"{', '.join(dict.fromkeys(names))} are all of {providers.pop()}: when it is down, nobody "
                f"stands by; there is {', '.join(others) or 'no other in the catalog'}",
                severity="warning" if others else "note",
            )


def _there(cell: Cell | None) -> Cell | None:
    """Returns a cell if there is a request in it."""
    return cell if cell is not None and cell.smallest() is not None else None


def _partings(conditions: Sequence[Condition]) -> tuple[Parting, ...] | None:
    """Returns the conditions that some requests do not meet; None where one of them is met by none."""
    if any(condition is False for condition in conditions):
        return None
    return tuple(condition for condition in conditions if not isinstance(condition, bool))


def _unreached(path: Path, box: _Box, before: Sequence[_Box]) -> Finding:
    if box.cell is None:
        return Finding(kind="unreachable", path=path, message="no request that comes to it is as its `when` says")
    takers = _takers(box, before)
    message = (
        f"no request can reach it: {_rules(takers)} before it take{'s' * (len(takers) == 1)} all that are as it says"
    )
    return Finding(kind="unreachable", path=path, message=message)


def _takers(box: _Box, before: Sequence[_Box]) -> list[int]:
    """Returns the rules that together take all requests of another; none of them could be left out."""
    needed = list(before)
    for one in before:
        others = [other for other in needed if other is not one]
        left = box.cell
        for other in others:
            partings = _partings(other.conditions)
            if left is not None and partings is not None:
                left = left.leave(*partings) if partings else None
        if _there(left) is None:
            needed = others
    return [one.index for one in needed]


def _rules(indexes: Sequence[int]) -> str:
    *others, last = (f"rules[{index}]" for index in indexes)
    return f"{', '.join(others)} and {last}" if others else last
