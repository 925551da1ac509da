"""What a model can serve and what it costs there, as conditions and lines over a space of requests.

Every figure is read off the router's own arithmetic: a line is what it computes at two sizes. So there is no second
arithmetic that could differ from it, and `tests/testing` holds the lines against it in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from itertools import product
from math import ceil, floor
from typing import Any, Final, Literal, cast

from router.core.catalog import Model, Price, Tier
from router.core.cost import expected_usd, worst_usd
from router.core.request import Features, TokenCount
from router.core.tokens import tokens_at
from router.testing.space import (
    CACHE_WRITE,
    COUNTED,
    NEEDS,
    SERVICE_TIER,
    STATED,
    STREAM,
    TOOLS,
    Among,
    Answer,
    Cell,
    Condition,
    Point,
    Question,
    Split,
    need,
)
from router.testing.space_linear import MOST, Axis, Bound, TooFine, line

Cost = Literal["expected", "worst"]
EXACT_TOKENIZER: Final = "o200k_base"
"""The tokenizer that requests are counted with where they are counted at all."""
_PLAIN: Final[Mapping[Question, Answer]] = {need(name): False for name in NEEDS}
_ASKED: Final[tuple[tuple[Question, Answer], ...]] = (
    *((need(name), True) for name in NEEDS),
    (COUNTED, True),
    (CACHE_WRITE, "5m"),
    (CACHE_WRITE, "1h"),
)
"""Answers that can change a figure of a model, besides the service tier."""


_DIGITS: Final = 40
"""Amounts are whole numbers of 10^-40 dollars: a price per million tokens may have 34 digits behind the point."""


@dataclass(frozen=True, slots=True)
class Amount:
    """A cost that grows with the sizes of a request, in units of `whole`.

    Attributes:
        a: for each token on the axis.
        b: for each token of output that is asked for.
        c: in any case.
    """

    axis: Axis
    a: int
    b: int
    c: int

    def within(self, limit: Decimal | Fraction, /, *, strictly: bool = False) -> Bound:
        """Returns the condition that it is at most, or strictly less than, so many dollars."""
        units = Fraction(limit) * 10**_DIGITS
        return line(self.axis, self.a, self.b, (ceil(units) - 1 if strictly else floor(units)) - self.c)


def whole(amount: Decimal, /) -> int:
    """Returns dollars as a whole number of the units that costs are compared in.

    Raises:
        TooFine: it has more digits.
    """
    units = Fraction(amount) * 10**_DIGITS
    if units.denominator != 1:
        raise TooFine(f"a price has more than {_DIGITS - 6} digits behind the point")
    return int(units)


def features_at(answers: Mapping[Question, Answer], sizes: tuple[int, int, int], /) -> Features:
    """Returns the features of a request; what `answers` leave out is as plain as can be."""
    n, h, m = sizes
    counted = bool(answers.get(COUNTED))
    tier = answers.get(SERVICE_TIER)
    write = answers.get(CACHE_WRITE)
    return Features(
        input_tokens=TokenCount(low=min(n, h), likely=n, high=h),
        exact_tokens={EXACT_TOKENIZER: n} if counted else {},
        output_tokens_most=m or None,
        needs=frozenset(name for name in NEEDS if answers.get(need(name))),
        cache_write=write if isinstance(write, str) else None,
        service_tier=tier if isinstance(tier, str) else None,
        images=int(bool(answers.get(need("vision")))),
        tools=int(bool(answers.get(TOOLS))),
        stream=bool(answers.get(STREAM)),
        matches=frozenset(text for (kind, text), found in answers.items() if kind == "match" and found),
    )


def features_of_point(point: Point, /) -> Features:
    """Returns the features of a request."""
    return features_at(point.answers, point.sizes)


@dataclass(frozen=True, slots=True)
class _Margins:
    """What a model adds to the tokens of a request: to the likely count, and to the upper bound on its axis."""

    likely: int
    axis: Axis
    high: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One model's figures over a space.

    Attributes:
        expected_output_tokens: what a model is taken to write where the request allows as much.
        unpriced: whether models without a known price may be asked.
    """

    model: Model
    expected_output_tokens: int
    unpriced: bool
    _kept: dict[Any, Any] = field(default_factory=dict, repr=False)

    def able(self, cell: Cell, /) -> Iterator[Condition]:
        """Yields what must all hold of a request that the model can serve, what is simplest to tell first.

        Raises:
            Split: a condition is another one in parts of the cell.
        """
        model = self.model
        yield model.price is not None or self.unpriced
        for name in NEEDS:
            if name not in model.capabilities:
                yield Among(need(name), frozenset((False,)))
        possible, window = model.max_output_tokens, model.context_window_tokens
        if possible is None and window is None:
            return
        stated = cell.answer(STATED)
        if stated and possible is not None:
            yield line("m", 0, 1, possible)
        if window is not None:
            yield self._fits(cell, window, stated=bool(stated))

    def _fits(self, cell: Cell, window: int, *, stated: bool) -> Bound:
        room = window - (0 if stated else self._most_expected)

        def fits(margins: _Margins) -> Bound:
            return line(margins.axis, 1, int(stated), room - margins.high)

        # Where the widest and the narrowest margins agree, what the request needs makes no difference.
        decided = {cell.decides(fits(margins)) for margins in self._all_margins(cell)}
        return bool(decided.pop()) if decided in ({True}, {False}) else fits(self._margins(cell))

    @property
    def _most_expected(self) -> int:
        possible = self.model.max_output_tokens
        return self.expected_output_tokens if possible is None else min(possible, self.expected_output_tokens)

    def expected(self, cell: Cell, /) -> Amount | None:
        """Returns what one attempt is expected to cost; None where that is unknown.

        Raises:
            Split: it is another line in parts of the cell.
        """
        price = self.model.price
        if price is None:
            return None
        answers = self._answers(cell, "expected")
        margins, tiers = self._margins(cell), self._tiers(price, answers)
        tier = _single(cell, tiers, lambda above: line("n", 1, 0, above - margins.likely))
        amounts = self._figure("expected", answers, tier)
        if amounts is None:
            return None
        base, per_input, per_output = amounts
        fixed, rate = self._output(cell, self._most_expected, per_output)
        return Amount("n", per_input, rate, base + fixed)

    def worst(self, cell: Cell, /) -> tuple[Amount, ...] | None:
        """Returns lines of which the highest is what one attempt can cost at most; None where that is unknown.

        Raises:
            Split: they are others in parts of the cell.
        """
        price, possible = self.model.price, self.model.max_output_tokens
        if price is None or (possible is None and not cell.answer(STATED)):
            return None
        answers = self._answers(cell, "worst")
        margins = self._margins(cell)
        lines: list[Amount] = []
        for tiers in self._tables(price, answers):
            for tier in tiers:
                if tier.above_tokens and cell.sure(line(margins.axis, 1, 0, tier.above_tokens - margins.high)):
                    continue
                amounts = self._figure("worst", answers, tier)
                if amounts is None:
                    return None
                base, per_input, per_output = amounts
                fixed, rate = self._output(cell, possible, per_output)
                lines.append(Amount(margins.axis, per_input, rate, base + fixed))
        return tuple(dict.fromkeys(lines))

    def dead(self, cell: Cell, /) -> bool:
        """Returns whether it is plain to see that the model can serve no request of the cell."""
        try:
            return any(cell.decides(condition) is False for condition in self.able(cell))
        except Split:
            return False

    def range(self, what: Cost, cell: Cell, /) -> tuple[Fraction, Fraction] | None:
        """Returns dollars between which every attempt of a request in the cell costs; None where it may be unknown.

        They are found without looking closely, so they may be far apart.
        """
        model, price = self.model, self.model.price
        cap = self._most_expected if what == "expected" else model.max_output_tokens
        unstated = False in cell.answers(STATED)
        if price is None or (cap is None and unstated):
            return None
        # The window is of tokens as the model counts them, which may be one fewer.
        window = (model.context_window_tokens or MOST) + 1
        input_least = max(1, -cell.bounds.get(("n", -1, 0), -1))
        input_most = min(window, cell.bounds.get(("h", 1, 0), MOST))
        output_least, output_most = max(1, -cell.bounds["m", 0, -1]), min(window, cell.bounds["m", 0, 1])
        if cap is not None:
            output_least, output_most = min(output_least, cap), cap if unstated else min(output_most, cap)
        if what == "expected":
            input_most = min(input_most, cell.bounds.get(("n", 1, 0), MOST))
        lines = self._variants(what, price, cell)
        known = [line for line in lines if line is not None]
        if len(known) < len(lines):
            return None
        least = min((base + a * input_least + b * output_least for base, a, b in known), default=0)
        most = max((base + a * input_most + b * output_most for base, a, b in known), default=0)
        return Fraction(least, 10**_DIGITS), Fraction(most, 10**_DIGITS)

    def _variants(self, what: Cost, price: Price, cell: Cell) -> tuple[tuple[int, int, int] | None, ...]:
        """Returns every line by which a request of the cell may be charged."""
        questions = self._questions(what)
        key = (what, *map(cell.answers, questions))
        if key not in self._kept:
            every = (dict(zip(questions, values, strict=True)) for values in product(*map(cell.answers, questions)))
            self._kept[key] = tuple(
                {
                    self._figure(what, answers, tier): None
                    for answers in every
                    for tiers in self._tables(price, answers)
                    for tier in tiers
                }
            )
        return cast("tuple[tuple[int, int, int] | None, ...]", self._kept[key])

    def _output(self, cell: Cell, cap: int | None, rate: int) -> tuple[int, int]:
        """Returns what the output costs: in all, and for each token of what the request asks for."""
        if rate == 0:
            return rate, rate
        if cell.answer(STATED) and (cap is None or cell.sure(line("m", 0, 1, cap))):
            return 0, rate
        return rate * (cap or 0), 0

    def _margins(self, cell: Cell) -> _Margins:
        return cast("_Margins", self._figure("margins", self._answers(cell, "margins"), None))

    def _all_margins(self, cell: Cell) -> Iterator[_Margins]:
        """Yields the margins of every kind of request that may be in the cell."""
        questions = self._questions("margins")
        for answers in product(*map(cell.answers, questions)):
            yield self._figure("margins", dict(zip(questions, answers, strict=True)), None)

    def _tiers(self, price: Price, answers: Mapping[Question, Answer]) -> tuple[Tier, ...]:
        asked = answers.get(SERVICE_TIER)
        return price.service.get(asked, price.tiers) if isinstance(asked, str) else price.tiers

    def _tables(self, price: Price, answers: Mapping[Question, Answer]) -> tuple[tuple[Tier, ...], ...]:
        asked = answers.get(SERVICE_TIER)
        if asked == "auto":
            return (price.tiers, *price.service.values())
        return tuple(dict.fromkeys((price.tiers, self._tiers(price, answers))))

    def _answers(self, cell: Cell, what: str) -> Mapping[Question, Answer]:
        """Returns the answers of the cell that a figure of the model depends on.

        Raises:
            Split: the cell leaves one of them open.
        """
        return {question: cell.answer(question) for question in self._questions(what)}

    def _questions(self, what: str) -> tuple[Question, ...]:
        """Returns the questions whose answers change a figure.

        Each by itself: what several do together is the most or the sum of what each does.
        """
        kept = self._kept.get(what)
        if kept is None:
            price = None if what == "margins" else self.model.price
            tables = () if price is None else (price.tiers, *price.service.values())
            tiers: list[Tier | None] = [tier for table in tables for tier in table] or [None]
            plain = [self._figure(what, _PLAIN, tier) for tier in tiers]
            asked = [
                question
                for question, answer in _ASKED
                if plain != [self._figure(what, {**_PLAIN, question: answer}, tier) for tier in tiers]
            ]
            service = [SERVICE_TIER] if price is not None and price.service else []
            kept = self._kept[what] = tuple(dict.fromkeys(service + asked))
        return cast("tuple[Question, ...]", kept)

    def _figure(self, what: str, answers: Mapping[Question, Answer], tier: Tier | None) -> Any:
        """Returns a figure, where the price is that of one tier."""
        key = (what, tuple(answers.items()), id(tier))
        if key not in self._kept:
            model = self.model
            if tier is not None and model.price is not None:
                alone = replace(model.price, tiers=(Tier(rates=tier.rates),), service={})
                model = replace(model, price=alone)
            own = {question: answer for question, answer in answers.items() if question != SERVICE_TIER}
            self._kept[key] = _FIGURES[what](model, own)
        return self._kept[key]


def _margins_at(model: Model, answers: Mapping[Question, Answer]) -> _Margins:
    none, more = (tokens_at(features_at(answers, (0, h, 0)), model) for h in (0, 1))
    return _Margins(none.likely, "n" if none.high == more.high else "h", none.high)


def _lines_expected(model: Model, answers: Mapping[Question, Answer]) -> tuple[int, int, int] | None:
    """Returns what no token costs, each of input and each of output; None where that is unknown."""
    return _line(
        expected_usd(model, features_at(answers, (0, 0, 0)), 0),
        expected_usd(model, features_at(answers, (1, 1, 0)), 0),
        expected_usd(model, features_at(answers, (0, 0, 0)), 1),
    )


def _lines_worst(model: Model, answers: Mapping[Question, Answer]) -> tuple[int, int, int] | None:
    unlimited = replace(model, max_output_tokens=None)
    one, input_more, output_more = (
        worst_usd(unlimited, features_at(answers, sizes)) for sizes in ((0, 0, 1), (1, 1, 1), (0, 0, 2))
    )
    found = _line(one, input_more, output_more)
    return None if found is None else (found[0] - found[2], found[1], found[2])


_FIGURES: Final[Mapping[str, Callable[[Model, Mapping[Question, Answer]], Any]]] = {
    "margins": _margins_at,
    "expected": _lines_expected,
    "worst": _lines_worst,
}


def _line(base: Decimal | None, input_more: Decimal | None, output_more: Decimal | None) -> tuple[int, int, int] | None:
    if base is None or input_more is None or output_more is None:
        return None
    start = whole(base)
    return start, whole(input_more) - start, whole(output_more) - start


def _single(cell: Cell, tiers: tuple[Tier, ...], at_most_above: Callable[[int], Bound]) -> Tier:
    """Returns the tier that all requests of the cell are charged by; the tiers ascend.

    Raises:
        Split: there are several.
    """
    for tier in reversed(tiers):
        if not tier.above_tokens or not cell.sure(at_most_above(tier.above_tokens)):
            return tier
    raise AssertionError("the first tier of a price starts at 0")
