"""What budgets are, and how they stand. Money is in integer nano-dollars, rounded up.

A request counts in the window in which it arrived, whenever its attempts are made, so that the log alone says what
belongs to which window. Before each attempt its worst case is reserved in every account that applies; afterwards its
true cost is settled, or the whole reservation where nobody knows what it cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from router.core.window import Window

OnExceed = Literal["block", "cheapest", "policy", "alert"]
ScopeKind = Literal["all", "tenant", "tag", "policy", "model", "provider"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a budget is counted apart for: one account for each value.

    Attributes:
        tag: name of the tag, where `kind` is "tag".
    """

    kind: ScopeKind = "all"
    tag: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A limit on what may be spent in a window.

    Attributes:
        policy: whose policy decides where the budget is spent, for `on_exceed = "policy"`.
        fail: what holds while the store is not reachable: nothing may be spent, or this process's own share.
        open_share: of the limit, which one process may spend meanwhile, where `fail` is "open".
    """

    name: str
    limit_nano: int
    window: Window
    scope: Scope = Scope()
    on_exceed: OnExceed = "block"
    policy: str | None = None
    fail: Literal["closed", "open"] = "closed"
    open_share: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One window of one budget, for one value of its scope: what money is counted in.

    Attributes:
        value: of the scope, as a tenant's name; "" where the budget is for everything.
        start_s, end_s: of the window, in seconds since 1970; None is without end.
        rolling_s: length of a rolling window, which has no start and no end.
    """

    budget: str
    value: str
    start_s: int | None = None
    end_s: int | None = None
    rolling_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How an account stands.

    Attributes:
        spent_nano: settled, lapsed reservations included.
        reserved_nano: held for attempts under way.
        lapsed_nano: the part of `spent_nano` whose owners died: nobody knows what they really cost.
    """

    limit_nano: int
    spent_nano: int = 0
    reserved_nano: int = 0
    lapsed_nano: int = 0

    @property
    def left_nano(self) -> int:
        """What may still be reserved; never below 0."""
        return max(0, self.limit_nano - self.spent_nano - self.reserved_nano)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One account that a reservation is to be made in.

    Attributes:
        strict: whether the limit holds it back; the account of a budget that only alerts counts all the same.
    """

    account: Account
    limit_nano: int
    strict: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What is to be reserved before one attempt, in all of its accounts or in none.

    Attributes:
        id: of the attempt; its span id.
        amount_nano: the attempt's worst case.
        now_s: when the request arrived, in seconds since 1970: it decides the place in a rolling window.
        lapses_s: when an owner that said nothing is taken for dead, in seconds since 1970.
    """

    id: str
    entries: tuple[Entry, ...]
    amount_nano: int
    now_s: float
    lapses_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserved:
    """The claim stands in every account.

    Attributes:
        standings: of the claim's entries, in their order, the claim included.
        local: whether only this process knows of it, since the store could not be reached and `fail` is "open".
    """

    claim: Claim
    standings: tuple[Standing, ...]
    local: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The claim stands nowhere.

    Attributes:
        account: the one with the least left of those that it does not fit; None where the store could not be reached.
        standing: of that account, without the claim.
    """

    claim: Claim
    account: Account | None
    standing: Standing | None
    why: str
