"""All requests a router can be asked, cut into cells in which nothing that is looked at changes.

To policies and prices a request is a few whole numbers (see `space_linear`) and a few answers out of finite sets: the
values of its tags as far as patterns tell them apart, what it needs, whether it is streamed. A `Cell` says what is
known of some requests: for each question the answers that are left, bounds of the numbers, and conditions of which at
least one fails. Whoever must know more raises `Split`, and the cell is cut in two where it is undecided. So what is
found out about a cell holds of every request in it, and a cell that holds none says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from itertools import count
from typing import Any, Final, TypeVar

from router.testing.space_linear import ESTIMATED, MOST, Bounds, Line, Sizes, Spread, largest, smallest, within

Found = TypeVar("Found")
Answer = str | bool | None
Question = tuple[str, str]
"""What a finite set of answers belongs to: ("tag", "team"), ("need", "tools"), ("match", PATTERN), or one of these."""

STATED: Final = ("", "max_tokens is stated")
COUNTED: Final = ("", "the input was counted exactly")
STREAM: Final = ("", "stream")
TOOLS: Final = ("", "tools")
TENANT: Final = ("", "tenant")
SERVICE_TIER: Final = ("", "service_tier")
CACHE_WRITE: Final = ("", "cache_write")

NEEDS: Final = (
    "tools",
    "vision",
    "json_object",
    "json_schema",
    "audio_input",
    "audio_output",
    "file_input",
    "video_input",
    "reasoning",
    "web_search",
)
"""What requests can need; prompt caching is not among it, since models without it serve them all the same."""
_NEVER_COUNTED: Final = ("tools", "json_schema", "vision", "audio_input", "file_input", "video_input")
"""What makes a request's input more than text, whose tokens are never known exactly."""


CELLS_MOST: Final = 3_000
"""Cells of one walk above which nothing is proved: about ten seconds over fifty models."""


class TooManyCells(ValueError):
    """A space that falls into more cells than can be looked at."""


@dataclass(frozen=True, slots=True)
class Among:
    """The answer to a question is one of some."""

    question: Question
    answers: frozenset[Answer]

    def holds(self, point: Point, /) -> bool:
        """Returns whether a request is so."""
        return point.answers[self.question] in self.answers


Parting = Among | Line
"""Something that holds of some requests and not of others."""
Condition = Parting | bool
"""The same, or something that holds of all, or of none."""


@dataclass(frozen=True, slots=True)
class Point:
    """One request: the answer to every question of its space, and its sizes (n, h, m)."""

    answers: Mapping[Question, Answer]
    sizes: Sizes

    def needs(self, capability: str, /) -> bool:
        """Returns whether it needs a capability."""
        return bool(self.answers[need(capability)])


class Split(Exception):
    """What is asked depends on conditions that hold for a part of the cell only.

    Attributes:
        conditions: that hold together or not; the cell is cut into where they all hold and where one fails.
    """

    def __init__(self, *conditions: Parting) -> None:
        super().__init__(conditions)
        self.conditions = conditions


@dataclass(frozen=True, slots=True)
class Space:
    """The questions there are, each with all answers, the plainest first.

    Attributes:
        spread: how far the upper bound of the input can be from the likely count; None is any distance.
    """

    questions: Mapping[Question, tuple[Answer, ...]]
    spread: Spread | None = ESTIMATED

    def all(self) -> Cell:
        """Returns the cell with every request."""
        return Cell(space=self, bounds={("m", 0, -1): 0, ("m", 0, 1): MOST}, sizes=(1, 1, 0))


def need(capability: str, /) -> Question:
    """Returns the question whether a request needs a capability."""
    return "need", capability


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Some requests of a space.

    Attributes:
        left: of the questions that not every answer is left of, those that are, the plainest first.
        bounds: of the numbers, by their side.
        without: conditions of which, of each group, at least one fails.
        sizes: the smallest within the bounds.
    """

    space: Space
    left: Mapping[Question, tuple[Answer, ...]] = field(default_factory=dict)
    bounds: Bounds = field(default_factory=dict)
    without: tuple[tuple[Parting, ...], ...] = ()
    sizes: Sizes

    def answers(self, question: Question, /) -> tuple[Answer, ...]:
        """Returns the answers that are left, the plainest first."""
        left = self.left.get(question)
        return self.space.questions[question] if left is None else left

    def answer(self, question: Question, /) -> Answer:
        """Returns the only answer that is left.

        Raises:
            Split: there are several.
        """
        first, *others = self.answers(question)
        if others:
            raise Split(Among(question, frozenset({first})))
        return first

    def decides(self, condition: Condition, /) -> bool | None:
        """Returns whether a condition holds of all its requests; None where of some, or where that is not clear."""
        match condition:
            case bool():
                return condition
            case Among(question, answers):
                found = {answer in answers for answer in self.answers(question)}
                return None if len(found) > 1 else found.pop()
            case Line():
                quick = self._roughly(condition)
                return self._exactly(condition) if quick is None else quick

    def sure(self, condition: Condition, /) -> bool:
        """Returns whether a condition holds.

        Raises:
            Split: it holds of a part.
        """
        found = self.decides(condition)
        if found is None and not isinstance(condition, bool):
            raise Split(condition)
        return bool(found)

    def take(self, *conditions: Condition) -> Cell | None:
        """Returns the part in which the conditions hold; None where it is plain to see that there is none."""
        left, bounds = dict(self.left), dict(self.bounds)
        for condition in conditions:
            match condition:
                case bool():
                    if not condition:
                        return None
                case Among(question, answers):
                    both = tuple(a for a in left.get(question, self.space.questions[question]) if a in answers)
                    if not both:
                        return None
                    left[question] = both
                    if question == STATED and len(both) == 1:
                        stated = bool(both[0])
                        bounds["m", 0, -1 if stated else 1] = -1 if stated else 0
                case Line(side, most):
                    bounds[side] = min(most, bounds.get(side, most))
        sizes: Sizes | None = self.sizes
        if bounds != self.bounds and not within(self.sizes, bounds):
            sizes = smallest(bounds, spread=self.space.spread)
        if sizes is None:
            return None
        part = Cell(space=self.space, left=left, bounds=bounds, without=self.without, sizes=sizes)
        return part if part.least() is not None else None

    def leave(self, *conditions: Parting) -> Cell | None:
        """Returns the part in which at least one of the conditions fails."""
        if len(conditions) == 1:
            return self.take(self._opposite(conditions[0]))
        return replace(self, without=(*self.without, conditions))

    def least(self) -> Point | None:
        """Returns the smallest request within its answers and bounds, which it may be without; None without any."""
        return self._point(self.sizes)

    def smallest(self, best: Point | None = None, /) -> Point | None:
        """Returns its plainest and smallest request; `best` where none is smaller than that."""
        return self._best(best, Cell.least, simplicity)

    def longest(self, best: Point | None = None, /) -> Point | None:
        """Returns a request with the most input of those that ask for the least output; `best` where none has more."""
        return self._best(best, Cell._most, lambda point: -point.sizes[0])

    def _best(
        self, best: Point | None, corner: Callable[[Cell], Point | None], key: Callable[[Point], Any]
    ) -> Point | None:
        point = corner(self)
        if point is None or (best is not None and key(point) >= key(best)):
            return best
        group = self._broken(point)
        if group is None:
            return point
        others = tuple(conditions for conditions in self.without if conditions is not group)
        met: list[Parting] = []
        for condition in group:
            part = replace(self, without=others).take(*met, self._opposite(condition))
            if part is not None:
                best = part._best(best, corner, key)  # noqa: SLF001 - a part of the same cell
            met.append(condition)
        return best

    def ends(self) -> Iterator[Point]:
        """Yields its smallest request and its longest."""
        ends = self.smallest(), self.longest()
        yield from {repr(point.sizes): point for point in ends if point is not None}.values()

    def _most(self) -> Point | None:
        sizes = largest(self.bounds, spread=self.space.spread)
        return None if sizes is None else self._point(sizes)

    def _broken(self, point: Point) -> tuple[Parting, ...] | None:
        """Returns a group of conditions that all hold of a request, which the cell is without."""
        return next((group for group in self.without if all(_holds(c, point) for c in group)), None)

    def _point(self, sizes: Sizes) -> Point | None:
        answers = {question: every[0] for question, every in self.space.questions.items()}
        answers.update((question, left[0]) for question, left in self.left.items())
        return Point(answers, sizes) if self._mend(answers) else None

    def _mend(self, answers: dict[Question, Answer]) -> bool:
        """Makes answers possible that contradict each other; returns whether they can be."""
        if answers[need("json_object")] and answers[need("json_schema")]:
            return False
        if answers[TOOLS] and not (answers[need("tools")] or answers[need("web_search")]):
            offered = next((n for n in ("tools", "web_search") if True in self.answers(need(n))), None)
            if offered is None:
                return False
            answers[need(offered)] = True
        return not answers[COUNTED] or not (answers[TOOLS] or any(answers[need(n)] for n in _NEVER_COUNTED))

    def _opposite(self, condition: Parting) -> Parting:
        if isinstance(condition, Line):
            return condition.opposite
        return Among(condition.question, frozenset(self.space.questions[condition.question]) - condition.answers)

    def _roughly(self, line: Line) -> bool | None:
        """Returns whether a bound holds as far as the bounds of single numbers tell; None where they do not."""
        axis, a, b = line.side
        m = -self.bounds["m", 0, -1], self.bounds["m", 0, 1]
        v = max(1, -self.bounds.get((axis, -1, 0), -1)), self.bounds.get((axis, 1, 0), MOST)
        outputs = b * m[0], b * m[1]
        inputs = a * v[0], a * v[1]
        if max(inputs) + max(outputs) <= line.most:
            return True
        return False if min(inputs) + min(outputs) > line.most else None

    def _exactly(self, line: Line) -> bool | None:
        here = line.holds(self.sizes)
        other = line.opposite if here else line
        bounds = {**self.bounds, other.side: min(other.most, self.bounds.get(other.side, other.most))}
        return here if smallest(bounds, spread=self.space.spread) is None else None


def walk(start: Cell | None, read: Callable[[Cell], Found | None], /) -> Iterator[tuple[Cell, Found]]:
    """Yields cells that together hold all requests of one, each with what was read of it; the simplest first.

    Args:
        start: what to begin with; None holds no request.
        read: looks at a cell; returns None where there is nothing to say, and raises `Split` where the cell leaves open
            what it sees.

    Raises:
        TooManyCells: there are more than can be looked at.
    """
    order = count()
    waiting: list[tuple[Any, int, Cell]] = []

    def wait(cell: Cell | None) -> None:
        point = None if cell is None else cell.smallest() if cell.without else cell.least()
        if cell is not None and point is not None:
            heappush(waiting, (simplicity(point), next(order), cell))

    wait(start)
    for looked in count():
        if not waiting:
            return
        if looked == CELLS_MOST:
            raise TooManyCells(f"there are more than {CELLS_MOST:,} cases to tell apart")
        cell = heappop(waiting)[2]
        try:
            found = read(cell)
        except Split as split:
            wait(cell.take(*split.conditions))
            wait(cell.leave(*split.conditions))
            continue
        if found is not None:
            yield cell, found


def simplicity(point: Point, /) -> tuple[int, int, int, int, tuple[int, ...]]:
    """Returns what to sort requests by for the plainest and smallest first."""
    n, h, m = point.sizes
    asked = tuple(place for place, answer in enumerate(point.answers.values()) if answer not in {None, False})
    return len(asked), m, n, h, asked


def _holds(condition: Parting, point: Point) -> bool:
    return condition.holds(point) if isinstance(condition, Among) else condition.holds(point.sizes)
