"""Policies that say they choose the cheapest, and do not."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar, Literal

from router import Candidate, Context, Slate

CHEAPEST = frozenset({"cheapest"})


@dataclass(frozen=True, slots=True, kw_only=True)
class CountsUnknownAsFree:
    """Ranks by cost, with zero for what nobody knows."""

    kind: Literal["counts_unknown_as_free"] = "counts_unknown_as_free"
    promises: ClassVar[frozenset[str]] = CHEAPEST

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        return slate.rank(lambda c: c.expected_usd or Decimal(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class CountsUnknownAsAverage:
    """Ranks by cost, with a tenth of a cent for what nobody knows."""

    kind: Literal["counts_unknown_as_average"] = "counts_unknown_as_average"
    promises: ClassVar[frozenset[str]] = CHEAPEST

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        return slate.rank(lambda c: Decimal("0.001") if c.expected_usd is None else c.expected_usd)


@dataclass(frozen=True, slots=True, kw_only=True)
class LetsUnknownPass:
    """Drops what costs too much; what nobody knows costs nothing here."""

    limit_usd: Decimal = Decimal("0.001")
    kind: Literal["lets_unknown_pass"] = "lets_unknown_pass"
    promises: ClassVar[frozenset[str]] = frozenset({"filter", "priced"})

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        return slate.drop(lambda c: "is dear" if (c.expected_usd or 0) > self.limit_usd else None, by=self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class RanksByListPrice:
    """Ranks by dollars per million tokens, whatever this request makes of them."""

    kind: Literal["ranks_by_list_price"] = "ranks_by_list_price"
    promises: ClassVar[frozenset[str]] = CHEAPEST

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        return slate.rank(_list_price)


@dataclass(frozen=True, slots=True, kw_only=True)
class RanksByWorstCost:
    """Ranks by what a request can cost at most."""

    kind: Literal["ranks_by_worst_cost"] = "ranks_by_worst_cost"
    promises: ClassVar[frozenset[str]] = CHEAPEST

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        return slate.rank(lambda c: (c.expected_usd is None, c.worst_usd is None, c.worst_usd or 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class RanksByFloats:
    """Ranks by cost as a float: what differs by less than a float can tell is a tie."""

    kind: Literal["ranks_by_floats"] = "ranks_by_floats"
    promises: ClassVar[frozenset[str]] = CHEAPEST

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        return slate.rank(lambda c: (c.expected_usd is None, float(c.expected_usd or 0)))


@dataclass(frozen=True, slots=True, kw_only=True)
class RanksByText:
    """Sorts amounts as strings, where 10 comes before 9."""

    kind: Literal["ranks_by_text"] = "ranks_by_text"
    promises: ClassVar[frozenset[str]] = CHEAPEST

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        return slate.rank(lambda c: (c.expected_usd is None, f"{c.expected_usd or 0:f}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoosesTheDearest:
    """Has the sign wrong."""

    kind: Literal["chooses_the_dearest"] = "chooses_the_dearest"
    promises: ClassVar[frozenset[str]] = CHEAPEST

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        return slate.rank(lambda c: (c.expected_usd is None, -(c.expected_usd or 0)))


def _list_price(candidate: Candidate) -> tuple[bool, Any]:
    price = candidate.model.price
    rates = price.tiers[0].rates if price else None
    if candidate.expected_usd is None or rates is None or rates.input is None or rates.output is None:
        return True, 0
    return False, rates.input + rates.output
