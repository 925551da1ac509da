"""`[budgets.NAME]`: what may be spent in a window, and what happens where it is."""

from __future__ import annotations

from decimal import ROUND_FLOOR
from typing import Annotated, Literal, Self

from annotated_types import Ge, Le, MinLen
from pydantic import field_validator, model_validator

from router.config_errors import said
from router.config_values import Real, Table
from router.core.budget import MOST_NANO, Budget, OnExceed, Scope, usd_of
from router.core.money import EXACT, Usd, usd
from router.core.naming import allowed
from router.core.window import Window, parse_window

SCOPES = ("all", "tenant", "policy", "model", "provider")
_TAG = "tag:"


class BudgetTable(Table):
    """`[budgets.NAME]`: one budget."""

    limit_usd: Usd
    window: Annotated[str, MinLen(1)]
    time_zone: str = "UTC"
    scope: str = "all"
    only: Annotated[str, MinLen(1)] | None = None
    on_exceed: OnExceed | None = None
    policy: str | None = None
    fail: Literal["closed", "open"] = "closed"
    open_share: Annotated[Real, Ge(0), Le(1)] = 0.0

    @field_validator("time_zone")
    @classmethod
    def _is_zone(cls, zone: str) -> str:
        _window("day", zone)
        return zone

    @field_validator("window")
    @classmethod
    def _is_window(cls, window: str) -> str:
        _window(window, "UTC")
        return window

    @field_validator("scope")
    @classmethod
    def _is_scope(cls, scope: str) -> str:
        if scope not in SCOPES and not (scope.startswith(_TAG) and len(scope) > len(_TAG)):
            raise said(f"found {scope!r:.80}; {allowed(scope, (*SCOPES, 'tag:NAME'))}")
        return scope

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        most, least = usd(usd_of(MOST_NANO)), usd(usd_of(1))
        if self.limit_usd > usd_of(MOST_NANO) or 0 < self.limit_usd < usd_of(1):
            raise said(f"found limit_usd {usd(self.limit_usd)}; allowed: 0, or {least} to {most}")
        if self.only is not None and self.scope == "all":
            raise said(
                'found only without a scope that it is a value of; allowed beside it: scope = "tenant" or the like'
            )
        if self.on_exceed == "policy" and self.policy is None:
            raise said('found on_exceed = "policy" without a policy; allowed beside it: policy = "NAME"')
        if self.policy is not None and self.on_exceed not in {None, "policy"}:
            raise said(
                f'found a policy and on_exceed = "{self.on_exceed}"; allowed beside a policy: on_exceed = "policy"'
            )
        if (self.fail == "open") != (self.open_share > 0):
            raise said('found only one of fail = "open" and an open_share above 0; allowed: both, or neither')
        return self

    def value(self, name: str) -> Budget:
        """Returns it as the core takes it."""
        kind, _, tag = self.scope.partition(":")
        return Budget(
            name=name,
            limit_nano=int(EXACT.scaleb(self.limit_usd, 9).to_integral_value(ROUND_FLOOR)),
            window=_window(self.window, self.time_zone),
            scope=Scope(kind="tag" if tag else kind, tag=tag or None, value=self.only),  # type: ignore[arg-type]  # checked above
            on_exceed=self.on_exceed or ("block" if self.policy is None else "policy"),
            policy=self.policy,
            fail=self.fail,
            open_share=self.open_share,
        )


def _window(text: str, zone: str) -> Window:
    try:
        return parse_window(text, time_zone=zone)
    except ValueError as error:
        raise said(f"found {error}") from None
