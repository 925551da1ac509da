"""What every ledger does alike: where in an account a claim counts, what each step adds, and what is refused.

An account is made of cells: one, or one for each bucket of a rolling window. A claim counts in one cell of each of its
accounts, and each step of it adds something to `spent`, `reserved` and `lapsed` there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, Literal, NamedTuple, assert_never

from router.core.budget import (
    LATE_S,
    MOST_NANO,
    REMEMBERED_S,
    Account,
    Claim,
    Entry,
    Refused,
    Reserved,
    Standing,
    refused,
)
from router.core.window import bucket_s

Stage = Literal["reserved", "lapsed", "settled", "summed"]

_NEVER: Final = float("inf")


class Move(NamedTuple):
    """What a step adds to a cell."""

    spent: int
    reserved: int
    lapsed: int


Cell = tuple[int, int, int]
"""What is `spent`, `reserved` and `lapsed` in a cell, or in all that count."""


class Place(NamedTuple):
    """Where in its account a claim counts.

    Attributes:
        bucket: number of the cell.
        counted_from: number of the first bucket that is not wholly outside the window at the claim's time.
        kept_from: number of the first one that is kept.
        kept_until_s: when the account may go, unless something later counts in it.
    """

    bucket: int
    counted_from: int
    kept_from: int
    kept_until_s: float


_ONLY: Final = 0


def place(account: Account, now_s: float, kept_s: float, /) -> Place:
    """Returns where what happens at `now_s` counts in an account."""
    if account.rolling_s is None:
        end_s = _NEVER if account.end_s is None else account.end_s + kept_s
        return Place(_ONLY, _ONLY, _ONLY, end_s)
    long_s = bucket_s(account.rolling_s)
    bucket = int(now_s // long_s)
    # The first bucket whose end is inside: what reaches into the window counts as a whole.
    outside = int((now_s - account.rolling_s) // long_s)
    kept = int((now_s - 2 * account.rolling_s) // long_s)
    return Place(bucket, outside, kept, (bucket + 1) * long_s + 2 * account.rolling_s)


def settling(stage: Stage, amount_nano: int, cost_nano: int, /) -> Move | None:
    """Returns what it adds to settle a claim of this amount; None where it adds nothing.

    Args:
        stage: of the claim.
        amount_nano: what it counts as.
        cost_nano: what it cost.
    """
    match stage:
        case "reserved":
            return Move(cost_nano, -amount_nano, 0)
        case "lapsed":
            return Move(cost_nano - amount_nano, 0, -amount_nano)
        case "settled":
            return None
        case "summed":
            return Move(cost_nano - amount_nano, 0, 0) if cost_nano > amount_nano else None
        case never:
            assert_never(never)


def settled_as(claim: Claim, stage: Stage | None, now_s: float, kept_s: float, /) -> tuple[Stage, float]:
    """Returns the stage of a claim that is settled now, and until when it is remembered.

    Args:
        claim: which.
        stage: that it had; None where it was not known.
        now_s: the time.
        kept_s: how long a sum is remembered: its process may tell of it for as long as that cannot reach the ledger.
    """
    until_s = remembered_until_s(claim.lapses_s, now_s)
    return ("summed", until_s + kept_s) if claim.share is not None or stage == "summed" else ("settled", until_s)


def logged_as(
    claim: Claim, known: tuple[Stage, int, float] | None, now_s: float, kept_s: float, /
) -> tuple[Stage, int, float]:
    """Returns as what a claim that the log has counts after a rebuild: stage, amount, and until when it is remembered.

    Args:
        claim: with what the log says that it cost.
        known: as what it counted before: stage, amount, and when it would lapse or be forgotten.
        now_s: when the reading of the log began.
        kept_s: how long a claim is remembered that its process may not have settled yet.
    """
    stage, amount_nano, due_s = known or (None, 0, 0.0)
    if stage == "settled":
        return stage, claim.amount_nano, due_s
    until_s = claim.lapses_s + REMEMBERED_S
    if claim.share is not None:
        until_s = max(until_s, now_s)
    elif until_s <= now_s:  # whoever tells of it will not be heard: `is_over`
        return "settled", claim.amount_nano, until_s
    # Of a sum that grows, the records of the last requests may not be written yet.
    grows = stage == "summed" and due_s - kept_s > now_s
    return "summed", max(claim.amount_nano, amount_nano if grows else 0), max(until_s + kept_s, due_s if grows else 0.0)


def outlasts(stage: Stage, lapses_s: float, due_s: float, now_s: float, kept_s: float, /) -> bool:
    """Returns whether a claim that the log does not have stays after a rebuild, as its request may be under way.

    Args:
        stage, lapses_s, due_s: of the claim.
        now_s: when the reading of the log began.
        kept_s: as in `settled_as`.
    """
    match stage:
        case "reserved" | "lapsed":
            return lapses_s + LATE_S > now_s
        case "settled":
            return due_s > now_s
        case "summed":
            return due_s - kept_s > now_s
        case never:
            assert_never(never)


def is_over(claim: Claim, now_s: float, rebuilt_s: float, /) -> bool:
    """Returns whether a claim that is not known, and is settled now, was over at the last rebuild: that counted it."""
    return remembered_until_s(claim.lapses_s, now_s) <= rebuilt_s


def standing_as(stage: Stage, amount_nano: int, /) -> Move:
    """Returns what a claim of this amount adds to an account that has nothing of it."""
    if stage == "reserved":
        return Move(0, amount_nano, 0)
    return Move(amount_nano, 0, amount_nano if stage == "lapsed" else 0)


def lapsing(amount_nano: int, /) -> Move:
    """Returns what it adds when a reservation lapses."""
    return Move(amount_nano, -amount_nano, amount_nano)


def remembered_until_s(lapses_s: float, now_s: float, /) -> float:
    """Returns until when a claim is remembered that is settled now."""
    return max(lapses_s, now_s) + REMEMBERED_S


def standing(limit_nano: int, cells: Iterable[tuple[int, int, int]], /) -> Standing:
    """Returns how an account stands whose cells that count are these: `spent`, `reserved`, `lapsed` of each."""
    spent = reserved = lapsed = 0
    for cell in cells:
        spent += cell[0]
        reserved += cell[1]
        lapsed += cell[2]
    return Standing(limit_nano=limit_nano, spent_nano=spent, reserved_nano=reserved, lapsed_nano=lapsed)


def answered(claim: Claim, counted: Sequence[Cell], /) -> Reserved | Refused:
    """Returns what becomes of a claim that is not known, where so much counts in its accounts without it."""
    amount = claim.amount_nano
    for entry, (spent, reserved, _) in zip(claim.entries, counted, strict=True):
        if entry.strict and spent + reserved + amount > entry.limit_nano:
            refusal = refused(claim, standings(claim.entries, counted))
            if refusal is not None:  # what costs nothing always fits
                return refusal
    return Reserved(claim=claim, standings=standings(claim.entries, counted, more_nano=amount))


def standings(entries: Sequence[Entry], counted: Sequence[Cell], /, *, more_nano: int = 0) -> tuple[Standing, ...]:
    """Returns how accounts stand in which so much counts, and so much more is reserved."""
    return tuple(
        [
            Standing(
                limit_nano=entry.limit_nano, spent_nano=spent, reserved_nano=reserved + more_nano, lapsed_nano=lapsed
            )
            for entry, (spent, reserved, lapsed) in zip(entries, counted, strict=True)
        ]
    )


def checked(claim: Claim, cost_nano: int | None = None, /) -> int:
    """Returns what a claim cost: its whole amount where nobody knows.

    Raises:
        ValueError: the amount, the cost or a limit is no number of nano-dollars that every ledger counts exactly.
    """
    cost_nano = claim.amount_nano if cost_nano is None else cost_nano
    if not (0 <= claim.amount_nano <= MOST_NANO and 0 <= cost_nano <= MOST_NANO):
        raise ValueError(f"the claim {claim.id!r} is of {claim.amount_nano} or {cost_nano} nano-dollars; {_ALLOWED}")
    for entry in claim.entries:
        if not 0 <= entry.limit_nano <= MOST_NANO:
            name = entry.account.budget
            raise ValueError(f"the limit of the budget {name!r} is {entry.limit_nano} nano-dollars; {_ALLOWED}")
    return cost_nano


def too_much(account: Account, /) -> ValueError:
    """Returns what to raise where a sum is beyond what every ledger counts exactly."""
    return ValueError(f"an account of the budget {account.budget!r} would have more than can be counted; {_ALLOWED}")


_ALLOWED: Final = f"allowed: whole numbers from 0 to {MOST_NANO}"


@lru_cache(maxsize=1024)
def name_of(account: Account, /) -> str:
    """Returns an account as one line of ASCII; `account_named` reads it."""
    return json.dumps(
        [account.budget, account.value, account.start_s, account.end_s, account.rolling_s], separators=(",", ":")
    )


def account_named(name: str | bytes, /) -> Account:
    """Returns the account that `name_of` wrote."""
    budget, value, start_s, end_s, rolling_s = json.loads(name)
    return Account(budget=budget, value=value, start_s=start_s, end_s=end_s, rolling_s=rolling_s)
