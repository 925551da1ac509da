"""What a ledger should say: every claim in one list, and each account summed up from it anew.

A rolling window is counted in buckets of a length that is the ledger's own choice, up to 1/60 of the window's. So what
an account holds is known between two bounds, and a reservation between them may go either way. Nor need a ledger find
again what was in a rolling window when the clock is set back by more than twice its length.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from router.core.budget import KEPT_S, LATE_S, REMEMBERED_S, Account, Claim, Entry, Standing

Stage = Literal["reserved", "lapsed", "settled", "summed"]

_LATE: int = 60


@dataclass(slots=True)
class Known:
    """A claim that counts, and as how much.

    Attributes:
        told_s: when it was settled; None where it was not.
    """

    claim: Claim
    stage: Stage
    nano: int
    until_s: float
    told_s: float | None = None

    @property
    def grows(self) -> bool:
        """Whether it is a sum."""
        return self.stage == "summed"


class Bounds(NamedTuple):
    """The least and the most that an account may hold."""

    least: Standing
    most: Standing


@dataclass(slots=True)
class Model:
    """All claims of a ledger.

    Attributes:
        known: by id.
        latest_s: the latest time that the ledger was told.
    """

    known: dict[str, Known] = field(default_factory=dict)
    latest_s: float = -math.inf
    rebuilt_s: float = -math.inf

    def reserve(self, claim: Claim) -> None:
        """Takes note of a claim that was granted."""
        self.known.setdefault(claim.id, Known(claim, "reserved", claim.amount_nano, claim.lapses_s))

    def settle(self, claim: Claim, cost_nano: int | None, now_s: float) -> None:
        """Takes note of what a claim cost."""
        known = self.known.get(claim.id)
        cost = claim.amount_nano if cost_nano is None else cost_nano
        until_s = max(claim.lapses_s, now_s) + REMEMBERED_S
        if known is None and until_s <= self.rebuilt_s:
            return
        if known is not None and (known.stage == "settled" or (known.grows and cost <= known.nano)):
            return
        stage: Stage = "settled"
        if claim.share is not None or (known is not None and known.grows):
            stage, until_s = "summed", until_s + KEPT_S
        self.known[claim.id] = Known(claim if known is None else known.claim, stage, cost, until_s, now_s)

    def reach(self, now_s: float) -> None:
        """Takes note that the ledger is told this time; lets lapse what is due."""
        self.latest_s = max(self.latest_s, now_s)
        for known in self.known.values():
            if known.stage == "reserved" and known.until_s <= now_s:
                known.stage = "lapsed"

    def rebuild(self, spent: list[Claim], now_s: float) -> None:
        """Puts a log in the place of all that it can have."""
        self.rebuilt_s, before = now_s, self.known
        self.known = {name: known for name, known in before.items() if _stays(known, now_s)}
        for claim in spent:
            known = self.known.get(claim.id)
            least = known.nano if known is not None and known.grows else 0
            self.known[claim.id] = Known(claim, "summed", max(claim.amount_nano, least), math.inf, now_s)

    def forgotten(self, claim_id: str, latest_s: float) -> bool:
        """Returns whether a ledger may have forgotten that it knew a claim."""
        known = self.known.get(claim_id)
        return known is not None and known.told_s is not None and known.until_s <= latest_s

    def bounds(self, entry: Entry, now_s: float) -> Bounds:
        """Returns what an account may hold."""
        return Bounds(self._standing(entry, now_s, late=False), self._standing(entry, now_s, late=True))

    def fits(self, claim: Claim, now_s: float) -> bool | None:
        """Returns whether a claim is to be granted; None where either is right."""
        if claim.id in self.known:
            return True
        strict = [(entry, self.bounds(entry, now_s)) for entry in claim.entries if entry.strict]
        if all(claim.amount_nano <= bounds.most.left_nano for _, bounds in strict):
            return True
        if any(claim.amount_nano > bounds.least.left_nano for _, bounds in strict):
            return False
        return None

    def _standing(self, entry: Entry, now_s: float, *, late: bool) -> Standing:
        spent = reserved = lapsed = 0
        for known in self.known.values():
            if self._counts(known.claim, entry.account, now_s, late=late):
                reserved += known.nano if known.stage == "reserved" else 0
                spent += 0 if known.stage == "reserved" else known.nano
                lapsed += known.nano if known.stage == "lapsed" else 0
        return Standing(limit_nano=entry.limit_nano, spent_nano=spent, reserved_nano=reserved, lapsed_nano=lapsed)

    def _counts(self, claim: Claim, account: Account, now_s: float, *, late: bool) -> bool:
        if all(entry.account != account for entry in claim.entries):
            return False
        if account.rolling_s is None:
            return True
        since_s = now_s - account.rolling_s
        if late:
            return claim.now_s > since_s - account.rolling_s / _LATE - 1
        return claim.now_s > max(since_s, self.latest_s - 2 * account.rolling_s)


def _stays(known: Known, now_s: float) -> bool:
    """Returns whether a claim stays after a rebuild that the log does not have."""
    if known.told_s is None:
        return known.claim.lapses_s + LATE_S > now_s
    return known.until_s - (KEPT_S if known.grows else 0) > now_s
