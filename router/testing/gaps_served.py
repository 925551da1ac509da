"""Requests that a policy leaves to nobody, although a model could serve them; and those that no model can."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from router.core import statics
from router.core.draws import draws_of
from router.core.policy import Policy
from router.testing.expect_search import Case
from router.testing.expect_told import request_told
from router.testing.gaps_found import Finding, Path
from router.testing.space import (
    CACHE_WRITE,
    NEEDS,
    SERVICE_TIER,
    STATED,
    TOOLS,
    Among,
    Answer,
    Cell,
    Point,
    Question,
    need,
    simplicity,
    walk,
)
from router.testing.space_linear import MOST
from router.testing.space_policies import Reader
from router.testing.space_world import World

_PLAIN: Final[tuple[tuple[Question, Answer], ...]] = (
    (STATED, False),
    (TOOLS, False),
    (CACHE_WRITE, None),
    (SERVICE_TIER, None),
)


def plain(cell: Cell, /, needs: frozenset[str] = frozenset()) -> Cell | None:
    """Returns the requests of a cell that need these capabilities alone and ask for nothing else; None without any."""
    wanted = [Among(need(name), frozenset((name in needs,))) for name in NEEDS]
    rest = [Among(question, frozenset((answer,))) for question, answer in _PLAIN]
    return cell.take(*wanted, *rest)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Key:
    """What gaps are told together by.

    Attributes:
        path: of what took the requests last.
        listed: whether it is the lists that leave them to nobody; else it is filters, whose purpose that may be.
        needy: whether the requests need something that no model has which is left.
    """

    path: Path
    listed: bool
    needy: bool = False


@dataclass(slots=True)
class _Gap:
    """Requests that one rule or tier leaves to nobody.

    Attributes:
        example: the smallest.
        longest: the one with the most input.
        needs: what the requests need, each one thing.
    """

    example: Point
    longest: Point
    needs: list[str] = field(default_factory=list)


def unserved(world: World, name: str, policy: Policy, cell: Cell, /) -> Iterator[Finding]:
    """Yields the rules and tiers of a named policy that leave plain requests, or those with one need, to nobody.

    Only requests that a model of the catalog can serve are meant.
    """
    gaps: dict[_Key, _Gap] = {}
    for needs in (frozenset[str](), *(frozenset((one,)) for one in NEEDS)):
        if not any(needs <= model.capabilities for model in world.catalog.values()):
            continue  # `beyond_all` says so
        for draw in draws_of(policy):
            for key, part in _left_to_nobody(world, name, plain(cell, needs), needs, draw):
                if not needs or (key.listed and key.needy and _served_without(world, name, part, draw)):
                    _add(gaps, key, part, needs)
    for key, gap in gaps.items():
        yield _told(world, name, key, gap)


def _left_to_nobody(
    world: World, name: str, cell: Cell | None, needs: frozenset[str], draw: float
) -> Iterator[tuple[_Key, Cell]]:
    """Yields the cells that a policy leaves to nobody; their requests need what `needs` says."""
    policies = world.setup.policies
    policy = policies[name]
    named = frozenset(map(id, policies.values()))
    paths = {
        id(part): below
        for other, one in policies.items()
        for below, part in statics.parts(one, path=("policies", other), elsewhere=named - {id(one)})
    }

    def read(one: Cell) -> _Key | None:
        reader, unlisted = Reader(world, draw), Reader(world, draw, unlisted=True)
        order = reader.read(policy, reader.start(), one)
        if reader.anybody(order, one) or not reader.anybody(reader.start(), one):
            return None
        listed = unlisted.anybody(unlisted.read(policy, unlisted.start(), one), one)
        names = {entry.name for group in order for entry in group.entries}
        lacking = not any(needs <= world.catalog[name].capabilities for name in names)
        last, index = reader.trail[-1] if reader.trail else (policy, None)
        place = () if index is None else ("rules" if hasattr(last, "rules") else "tiers", index)
        return _Key(path=(*paths[id(last)], *place), listed=listed, needy=bool(needs) and lacking)

    return ((found, part) for part, found in walk(cell, read))


def _served_without(world: World, name: str, part: Cell, draw: float) -> bool:
    """Returns whether somebody would serve the smallest request of a cell if it needed nothing."""
    point = part.smallest()
    if point is None:
        return False
    answers = {question: answer and question[0] != "need" for question, answer in point.answers.items()}
    return bool(Case(point=Point(answers, point.sizes), draw=draw).slate(world, name).live)


def _add(gaps: dict[_Key, _Gap], key: _Key, part: Cell, needs: Iterable[str]) -> None:
    example, longest = part.smallest(), part.longest()
    if example is None or longest is None:
        return
    gap = gaps.setdefault(key, _Gap(example, longest))
    gap.example = min(gap.example, example, key=simplicity)
    gap.longest = max(gap.longest, longest, key=lambda point: point.sizes[0])
    gap.needs += [one for one in needs if one not in gap.needs]


def _told(world: World, name: str, key: _Key, gap: _Gap) -> Finding:
    least, most = gap.example.sizes[0], gap.longest.sizes[0]
    if gap.needs:
        meant = f"that need {' or '.join(gap.needs)}"
    elif most >= MOST:
        meant = f"of {least:,} tokens or more"
    else:
        meant = f"of {least:,} tokens" if least == most else f"between {least:,} and {most:,} tokens"
    return Finding(
        kind="gap",
        path=key.path,
        message=f"leaves requests {meant} to nobody, though {' or '.join(world.able(name, gap.example))} could serve "
        f"them; such as: {request_told(gap.example)}",
        severity="warning" if key.listed and not key.needy else "note",
        example=gap.example,
    )


def beyond_all(world: World, cell: Cell, /) -> Iterator[Finding]:
    """Yields what no model of the catalog can serve: needs that none has, and inputs that are too long for all."""
    reader = Reader(world)
    longest: Point | None = None
    for part, _ in walk(plain(cell), lambda one: reader.anybody(reader.start(), one) or None):
        longest = part.longest(longest)
    models = world.catalog.values()
    lacking = [name for name in NEEDS if not any(name in model.capabilities for model in models)]
    meant = [f"of more than {longest.sizes[0]:,} tokens"] if longest is not None and longest.sizes[0] < MOST else []
    meant += [f"that need {' or '.join(lacking)}"] if lacking else []
    if meant:
        message = f"no model serves requests {', or '.join(meant)}"
        yield Finding(kind="nobody", path=("models",), message=message, severity="note")
