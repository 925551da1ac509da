"""What budgets are, and how they stand. Money is in integer nano-dollars, rounded up.

A request counts in the window in which it arrived, whenever its attempts are made, so that the log alone says what
belongs to which window. Before each attempt its worst case is reserved in every account that applies; afterwards its
true cost is settled, or the whole reservation where nobody knows what it cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_CEILING, Decimal
from typing import Final, Literal

from router.core.money import EXACT, usd
from router.core.window import Window, span, unix_s

MOST_NANO: Final = 9 * 10**18
"""The largest amount, limit or sum of an account: nine billion dollars, which fits 64 bits."""

KEPT_S: Final = 8 * 86_400
"""How long an account is kept after its window is over, in seconds: for reports, and for what is settled late."""

REMEMBERED_S: Final = 120
"""How long a claim that is settled is remembered after its owner's time, in seconds, so that it counts once."""

LATE_S: Final = 600
"""How long after its lapse a rebuild keeps a reservation that the log does not have, in seconds: its request may run
on, as a stream does that is read slowly."""

_NANO: Final = Decimal(10**9)

OnExceed = Literal["block", "cheapest", "policy", "alert"]
ScopeKind = Literal["all", "tenant", "tag", "policy", "model", "provider"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a budget is counted apart for: one account for each value.

    Attributes:
        tag: name of the tag, where `kind` is "tag".
        value: the only value that counts, as one tenant's name; None counts each apart.
    """

    kind: ScopeKind = "all"
    tag: str | None = None
    value: str | None = None


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
        open_nano: of the limit, what this process may spend by itself while the store is not reachable; None refuses
            meanwhile, as `fail = "closed"` asks. Of no account where `strict` is False.
    """

    account: Account
    limit_nano: int
    strict: bool = True
    open_nano: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What is to be reserved before one attempt, in all of its accounts or in none.

    Attributes:
        id: of the attempt; its span id. It counts once, whatever it is claimed, settled or spent again.
        entries: each of another account.
        amount_nano: the attempt's worst case; from 0 to `MOST_NANO`. What costs nothing always fits.
        now_s: when the request arrived, in seconds since 1970: it decides the place in a rolling window.
        lapses_s: when an owner that said nothing is taken for dead, in seconds since 1970.
        share: name of the share that a process spends by itself while the store is not reachable, for what was spent of
            it: of one attempt, or all of them in one account so far (`router.state.shares`). None where the store
            reserved it.
    """

    id: str
    entries: tuple[Entry, ...]
    amount_nano: int
    now_s: float
    lapses_s: float
    share: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserved:
    """The claim stands in every account.

    Attributes:
        claim: as it was asked for; with a `share` where only this process knows of it.
        standings: of the claim's entries, in their order, the claim included.
    """

    claim: Claim
    standings: tuple[Standing, ...]


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


def account_of(budget: Budget, value: str, at: datetime, /) -> Account:
    """Returns the account in which a request counts that arrived at this instant.

    Args:
        budget: whose.
        value: of the budget's scope; "" where the budget is for everything.
        at: with a time zone.

    Raises:
        ValueError: the window's time zone is not known here.
    """
    window = budget.window
    if window.period == "rolling":
        return Account(budget=budget.name, value=value, rolling_s=window.rolling_s)
    within = span(window, at)
    return Account(budget=budget.name, value=value, start_s=unix_s(within.start), end_s=unix_s(within.end))


def nano_of(amount_usd: Decimal, /) -> int:
    """Returns dollars in nano-dollars, rounded up.

    >>> nano_of(Decimal("1.5e-6"))
    1500
    """
    return int(EXACT.multiply(amount_usd, _NANO).to_integral_value(ROUND_CEILING))


def usd_of(nano: int, /) -> Decimal:
    """Returns nano-dollars in dollars, exactly."""
    return EXACT.divide(Decimal(nano), _NANO)


def refused(claim: Claim, standings: Sequence[Standing], /) -> Refused | None:
    """Returns why a claim does not fit accounts that stand like this, without it; None where it fits all of them."""
    short = [
        (standing.left_nano, number)
        for number, (entry, standing) in enumerate(zip(claim.entries, standings, strict=True))
        if entry.strict and claim.amount_nano > standing.left_nano
    ]
    if not short:
        return None
    left_nano, number = min(short)
    account, standing = claim.entries[number].account, standings[number]
    whose = f" of {account.value!r}" if account.value else ""
    left, limit, amount = (usd(usd_of(nano)) for nano in (left_nano, standing.limit_nano, claim.amount_nano))
    why = f"the budget {account.budget!r}{whose} has ${left} of ${limit} left, and the attempt may cost ${amount}"
    return Refused(claim=claim, account=account, standing=standing, why=why)
