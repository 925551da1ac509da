"""`[[alerts]]`: when somebody is to be told, each kind of rule with a schema of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, Self

from annotated_types import Ge, Gt, Le, MinLen
from pydantic import AfterValidator, ValidationError, field_validator, model_validator
from pydantic_core import InitErrorDetails

from router.config_errors import Fault, faults_of, said
from router.config_values import Real, Table, Whole
from router.core.alert_rules import (
    BudgetRule,
    CacheHitsRule,
    ErrorsRule,
    Rule,
    SpendRateRule,
    UnpricedRule,
    WasteRule,
)
from router.core.budget import nano_of
from router.core.money import Usd
from router.core.naming import allowed
from router.core.window import Window, parse_window

DAYS_MOST: Final = 28
"""How far back rules look: what is counted is kept for thirty days."""


def _distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) < len(values):
        raise said(f"found {list(values)!r:.80}; allowed: each one once")
    return values


Part = Annotated[Real, Gt(0), Le(1)]
Shares = Annotated[tuple[Part, ...], MinLen(1), AfterValidator(_distinct)]
Factors = Annotated[tuple[Annotated[Real, Gt(1), Le(1_000)], ...], MinLen(1), AfterValidator(_distinct)]
LimitShares = Annotated[tuple[Annotated[Real, Gt(0), Le(100)], ...], AfterValidator(_distinct)]
Amounts = Annotated[tuple[Annotated[Usd, Gt(0)], ...], AfterValidator(_distinct)]
Names = Annotated[tuple[Annotated[str, MinLen(1)], ...], MinLen(1), AfterValidator(_distinct)]
Days = Annotated[Whole, Ge(1), Le(DAYS_MOST)]
Count = Annotated[Whole, Ge(1)]


class _Table(Table):
    """What every rule has: a name, which tells its alerts from others', and destinations."""

    name: Annotated[str, MinLen(1)]
    to: Names


class _Zoned(_Table):
    """A rule on what is counted by the clock of a time zone."""

    time_zone: str = "UTC"

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, zone: str) -> str:
        try:
            parse_window("hour", time_zone=zone)
        except ValueError as error:
            raise said(f"found {error}") from None
        return zone


class _Windowed(_Zoned):
    """A rule on what is counted in an hour or a day."""

    window: Literal["hour", "day"] = "hour"

    @property
    def within(self) -> Window:
        """The window as a value."""
        return parse_window(self.window, time_zone=self.time_zone)


class BudgetAlert(_Table):
    """`kind = "budget"`: spending reaches a part of a budget."""

    kind: Literal["budget"]
    budget: Annotated[str, MinLen(1)]
    shares: LimitShares = ()
    amounts_usd: Amounts = ()
    forecast: bool = False

    @model_validator(mode="after")
    def _has_a_threshold(self) -> Self:
        if not self.shares and not self.amounts_usd:
            raise said('says of nothing when; set shares = [0.5, 0.8, 1.0] or amounts_usd = ["100"], or both')
        return self

    def value(self) -> BudgetRule:
        """Returns the rule that it states."""
        amounts = tuple(nano_of(amount) for amount in self.amounts_usd)
        return BudgetRule(
            name=self.name,
            to=self.to,
            budget=self.budget,
            shares=_exact(self.shares),
            amounts_nano=amounts,
            forecast=self.forecast,
        )


class SpendRateAlert(_Zoned):
    """`kind = "spend_rate"`: an hour costs many times what the same hour of the last days did."""

    kind: Literal["spend_rate"]
    window: Literal["hour"] = "hour"
    factors: Factors
    days: Days = 7
    min_days: Days = 3
    min_usd: Annotated[Usd, Gt(0)]

    @model_validator(mode="after")
    def _days_are_enough(self) -> Self:
        if self.min_days > self.days:
            raise said(f"min_days: found {self.min_days}; allowed: at most {self.days}, as days says")
        return self

    def value(self) -> SpendRateRule:
        """Returns the rule that it states."""
        return SpendRateRule(
            name=self.name,
            to=self.to,
            window=parse_window(self.window, time_zone=self.time_zone),
            factors=_exact(self.factors),
            days=self.days,
            min_days=self.min_days,
            min_nano=nano_of(self.min_usd),
        )


class WasteAlert(_Windowed):
    """`kind = "waste"`: much of what was spent bought nothing."""

    kind: Literal["waste"]
    shares: Shares
    min_requests: Count = 20
    min_usd: Usd = Decimal(0)

    def value(self) -> WasteRule:
        """Returns the rule that it states."""
        return WasteRule(
            name=self.name,
            to=self.to,
            window=self.within,
            shares=_exact(self.shares),
            min_requests=self.min_requests,
            min_nano=nano_of(self.min_usd),
        )


class ErrorsAlert(_Windowed):
    """`kind = "errors"`: many attempts at a model fail."""

    kind: Literal["errors"]
    model: Annotated[str, MinLen(1)] | None = None
    shares: Shares
    min_attempts: Count = 20

    def value(self) -> ErrorsRule:
        """Returns the rule that it states."""
        return ErrorsRule(
            name=self.name,
            to=self.to,
            window=self.within,
            shares=_exact(self.shares),
            model=self.model,
            min_attempts=self.min_attempts,
        )


class CacheHitsAlert(_Windowed):
    """`kind = "cache_hits"`: the cache answers far fewer requests than it did."""

    kind: Literal["cache_hits"]
    falls_to: Shares
    days: Days = 7
    min_requests: Count = 100
    min_share: Part = 0.05

    def value(self) -> CacheHitsRule:
        """Returns the rule that it states."""
        return CacheHitsRule(
            name=self.name,
            to=self.to,
            window=self.within,
            falls_to=_exact(self.falls_to),
            days=self.days,
            min_requests=self.min_requests,
            min_share=_decimal(self.min_share),
        )


class UnpricedAlert(_Windowed):
    """`kind = "unpriced"`: nobody knows what requests, or attempts, cost."""

    kind: Literal["unpriced"]
    of: Literal["requests", "attempts"] = "requests"
    shares: Shares
    min_unpriced: Count = 5

    def value(self) -> UnpricedRule:
        """Returns the rule that it states."""
        return UnpricedRule(
            name=self.name,
            to=self.to,
            window=self.within,
            of=self.of,
            shares=_exact(self.shares),
            min_unpriced=self.min_unpriced,
        )


AlertTable = BudgetAlert | SpendRateAlert | WasteAlert | ErrorsAlert | CacheHitsAlert | UnpricedAlert

KINDS: Final[Mapping[str, type[AlertTable]]] = {
    "budget": BudgetAlert,
    "cache_hits": CacheHitsAlert,
    "errors": ErrorsAlert,
    "spend_rate": SpendRateAlert,
    "unpriced": UnpricedAlert,
    "waste": WasteAlert,
}
"""The schema of each kind."""


def build_alerts(tables: Any, /) -> tuple[AlertTable, ...]:
    """Returns the rules of `[[alerts]]`; an instance stands for itself.

    Raises:
        ValidationError: with all that is wrong, each at its place below `alerts`.
    """
    if not isinstance(tables, list | tuple):
        raise said("found no list; allowed: a table [[alerts]] for each rule")
    built: list[AlertTable] = []
    faults: list[Fault] = []
    for number, table in enumerate(tables):
        try:
            built.append(_built(table))
        except ValidationError as error:
            faults += [Fault((number, *one.path), one.message) for one in faults_of(error, _schema(table))]
    faults += _twice(tables)
    if faults:
        raise _error(faults)
    return tuple(built)


def rules_of(tables: Iterable[AlertTable], /) -> tuple[Rule, ...]:
    """Returns the rules that tables state, in their order."""
    return tuple(table.value() for table in tables)


def _built(table: Any) -> AlertTable:
    if isinstance(table, AlertTable):
        return table
    if not isinstance(table, Mapping):
        raise _error([Fault((), "found no table; allowed: a table [[alerts]] for each rule")])
    kind = table.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        found = "is missing" if kind is None else f"found {kind!r:.80}"
        raise _error([Fault(("kind",), f"{found}; {allowed(str(kind or ''), KINDS)}")])
    return KINDS[kind].model_validate(table)


def _schema(table: Any) -> type:
    kind = table.get("kind") if isinstance(table, Mapping) else None
    return KINDS.get(kind, object) if isinstance(kind, str) else object


def _twice(tables: Iterable[Any]) -> list[Fault]:
    """Returns the faults of names that two rules have: the alerts of one would keep back those of the other."""
    seen: set[str] = set()
    faults: list[Fault] = []
    for number, table in enumerate(tables):
        name = table.get("name") if isinstance(table, Mapping) else getattr(table, "name", None)
        if isinstance(name, str) and name in seen:
            told = f"found {name!r:.80}, which another rule has; allowed: each name once"
            faults.append(Fault((number, "name"), told))
        if isinstance(name, str):
            seen.add(name)
    return faults


def _error(faults: Iterable[Fault]) -> ValidationError:
    return ValidationError.from_exception_data(
        "alerts", [InitErrorDetails(type=said(one.message), loc=one.path, input=None) for one in faults]
    )


def _exact(values: Iterable[float]) -> tuple[Decimal, ...]:
    return tuple(map(_decimal, values))


def _decimal(value: float) -> Decimal:
    """Returns a number as it was written, which no binary fraction holds."""
    return Decimal(repr(value))
