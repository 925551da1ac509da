"""What happens to a ledger that is checked: steps over a few accounts, with time going on, or back."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from router.core.budget import Account, Claim, Entry

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

Does = Literal["reserve", "settle", "sum"]

BEGAN_S: Final = 1_700_000_000.0
_HOUR_S: Final = 3_600

LIMITS_NANO: Final = (1_000, 2_500, 1_700, 300)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What comes after so many seconds.

    Attributes:
        after_s: since the step before; below 0 where the clock is set back.
        does: to "sum" is to settle a claim that has a share.
        claim: number of the claim. One that was granted or settled stays as it was at first.
        accounts: numbers of the accounts that it is for: 0 and 1 are budgets by the hour for two values, 2 is rolling,
            3 only alerts.
        amount_nano, lapses_after_s: of the claim.
        cost_nano: what is settled; None where nobody knows.
    """

    does: Does
    claim: int = 0
    amount_nano: int = 400
    accounts: tuple[int, ...] = (0,)
    after_s: float = 0.0
    cost_nano: int | None = None
    lapses_after_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Steps in the order in which they come."""

    steps: tuple[Step, ...] = ()


def entry_at(number: int, now_s: float, /) -> Entry:
    """Returns the entry of an account at a time."""
    limit = LIMITS_NANO[number]
    if number == 2:
        return Entry(account=Account(budget="rolling", value="", rolling_s=_HOUR_S), limit_nano=limit)
    if number == 3:
        return Entry(account=Account(budget="alert", value=""), limit_nano=limit, strict=False)
    start = int(now_s // _HOUR_S) * _HOUR_S
    value = "a" if number == 0 else "b\n c\x1f\u00e9\udc80"  # a name that no format may trip over
    return Entry(account=Account(budget="hourly", value=value, start_s=start, end_s=start + _HOUR_S), limit_nano=limit)


def claim_of(step: Step, now_s: float, /) -> Claim:
    """Returns the claim of a step that comes at a time."""
    shared = step.does == "sum"
    return Claim(
        id=f"{'sum' if shared else 'claim'} {step.claim}",
        entries=tuple(entry_at(number, now_s) for number in step.accounts),
        amount_nano=step.amount_nano,
        now_s=now_s,
        lapses_s=now_s + step.lapses_after_s,
        share="share" if shared else None,
    )


@functools.lru_cache(maxsize=1)
def histories() -> SearchStrategy[History]:
    """Returns a strategy of histories, short ones first."""
    from hypothesis import strategies as st

    amounts = st.sampled_from([400, 0, 1, 300, 700, 1_000, 1_001, 2_500])
    step = st.builds(
        Step,
        does=st.sampled_from(["reserve", "reserve", "settle", "sum"]),
        claim=st.integers(0, 5),
        amount_nano=amounts,
        accounts=st.sampled_from([(0,), (0, 1), (1, 0), (2,), (2, 3), (0, 1, 2, 3)]),
        after_s=st.sampled_from([0.0, 0.5, 61.0, 200.0, 3_600.0, 3_661.0, -30.0, -3_600.0]),
        cost_nano=st.one_of(st.none(), amounts),
        lapses_after_s=st.sampled_from([60.0, 0.25, 5_000.0]),
    )
    return st.builds(History, steps=st.lists(step, min_size=1, max_size=10).map(tuple))
