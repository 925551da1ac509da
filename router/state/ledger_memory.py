"""The ledger of one process: accounts in memory, gone with it. `lowfare budget rebuild` has no use for it."""

from __future__ import annotations

import heapq
import itertools
import math
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field

from router.core.budget import KEPT_S, MOST_NANO, Account, Claim, Entry, Refused, Reserved, Standing, refused
from router.state.moves import (
    Move,
    Place,
    Stage,
    checked,
    is_over,
    lapsing,
    logged_as,
    outlasts,
    place,
    settled_as,
    settling,
    standing,
    standing_as,
    too_much,
)
from router.state.process import PerProcess

_DUE_AT_ONCE = 8
"""How much that is due each reservation puts in order: a claim is due twice at most, so that nothing piles up."""


@dataclass(slots=True)
class Kept:
    """An account: its limit, and its cells by bucket, each `[spent, reserved, lapsed]`."""

    limit_nano: int
    cells: dict[int, list[int]] = field(default_factory=dict)
    until_s: float = 0.0

    def standing(self, limit_nano: int, counted_from: int) -> Standing:
        """Returns how it stands, by this limit and the cells from this bucket on."""
        cells = self.cells
        if len(cells) == 1:
            [(bucket, (spent, reserved, lapsed))] = cells.items()
            if bucket >= counted_from:
                return Standing(limit_nano=limit_nano, spent_nano=spent, reserved_nano=reserved, lapsed_nano=lapsed)
        return standing(limit_nano, [(c[0], c[1], c[2]) for bucket, c in cells.items() if bucket >= counted_from])


@dataclass(slots=True)
class Held:
    """A claim that is known.

    Attributes:
        amount_nano: what it counts as: its worst case, or its cost when it is settled.
        due_s: when it lapses, or is forgotten.
    """

    claim: Claim
    stage: Stage
    amount_nano: int
    due_s: float


class Book:
    """All accounts and claims of a process. Who calls a method holds the lock."""

    def __init__(self, kept_s: float) -> None:
        self.kept_s = kept_s
        self.lock = threading.Lock()
        self.accounts: dict[Account, Kept] = {}
        self.claims: dict[str, Held] = {}
        self.rebuilt_s = -math.inf
        self._due: list[tuple[float, int, str | Account]] = []
        self._numbers = itertools.count()

    def reserve(self, claim: Claim) -> Reserved | Refused:
        """Reserves a claim in all of its accounts, or in none."""
        self.clean(claim.now_s, most=_DUE_AT_ONCE)
        standings = tuple(self.standing(entry, claim.now_s) for entry in claim.entries)
        if claim.id in self.claims:
            return Reserved(claim=claim, standings=standings)
        refusal = refused(claim, standings)
        if refusal is not None:
            return refusal
        amount = claim.amount_nano
        self.move(claim, Move(0, amount, 0))
        self.hold(claim, "reserved", amount, claim.lapses_s)
        after = tuple(
            Standing(
                limit_nano=s.limit_nano,
                spent_nano=s.spent_nano,
                reserved_nano=s.reserved_nano + amount,
                lapsed_nano=s.lapsed_nano,
            )
            for s in standings
        )
        return Reserved(claim=claim, standings=after)

    def settle(self, claim: Claim, cost_nano: int, now_s: float) -> None:
        """Puts what a claim cost in the place of what it counted as."""
        held = self.claims.get(claim.id)
        if held is None and is_over(claim, now_s, self.rebuilt_s):
            return
        stage, amount = (None, 0) if held is None else (held.stage, held.amount_nano)
        move = settling(stage, amount, cost_nano)
        if move is not None:
            self.move(claim, move, new=held is None)
            stage, due_s = settled_as(claim, stage, now_s, self.kept_s)
            self.hold(claim, stage, cost_nano, due_s)

    def standing(self, entry: Entry, now_s: float) -> Standing:
        """Returns how the account of an entry stands."""
        kept = self.accounts.get(entry.account)
        if kept is None:
            return Standing(limit_nano=entry.limit_nano)
        return kept.standing(entry.limit_nano, place(entry.account, now_s, self.kept_s).counted_from)

    def hold(self, claim: Claim, stage: Stage, amount_nano: int, due_s: float) -> None:
        """Remembers a claim until it is due."""
        self.claims[claim.id] = Held(claim, stage, amount_nano, due_s)
        heapq.heappush(self._due, (due_s, next(self._numbers), claim.id))

    def move(self, claim: Claim, move: Move, *, new: bool = True) -> None:
        """Adds a step to every cell of a claim, or raises and adds nothing; `new` cells are made for it."""
        places = [place(entry.account, claim.now_s, self.kept_s) for entry in claim.entries]
        found = [self._cell(entry, where, new=new) for entry, where in zip(claim.entries, places, strict=True)]
        for entry, cell in zip(claim.entries, found, strict=True):
            if cell is not None and cell[0] + cell[1] + move.spent + move.reserved > MOST_NANO:
                raise too_much(entry.account)
        for cell in found:
            if cell is not None:
                cell[0] += move.spent
                cell[1] += move.reserved
                cell[2] += move.lapsed

    def _cell(self, entry: Entry, where: Place, *, new: bool) -> list[int] | None:
        """Returns the cell at a place; None where it is gone and nothing new begins."""
        account = entry.account
        kept = self.accounts.get(account)
        cell = None if kept is None else kept.cells.get(where.bucket)
        if not new:
            return cell
        if kept is None:
            kept = self.accounts[account] = Kept(entry.limit_nano)
        kept.limit_nano = entry.limit_nano
        if cell is None:
            cell = kept.cells[where.bucket] = [0, 0, 0]
            for bucket in [bucket for bucket in kept.cells if bucket < where.kept_from]:
                del kept.cells[bucket]
            if where.kept_until_s > kept.until_s:
                kept.until_s = where.kept_until_s
                heapq.heappush(self._due, (where.kept_until_s, next(self._numbers), account))
        return cell

    def keep(self, account: Account, kept: Kept) -> None:
        """Takes an account in, as it is."""
        self.accounts[account] = kept
        heapq.heappush(self._due, (kept.until_s, next(self._numbers), account))

    def clean(self, now_s: float, *, most: int | None = None) -> None:
        """Lets lapse, or go, what is due: all of it, or so much."""
        due = self._due
        while due and due[0][0] <= now_s and most != 0:
            due_s, _, what = heapq.heappop(due)
            most = None if most is None else most - 1
            if isinstance(what, Account):
                kept = self.accounts.get(what)
                if kept is not None and kept.until_s <= due_s:
                    del self.accounts[what]
            else:
                self._clean_claim(what, due_s)

    def _clean_claim(self, claim_id: str, due_s: float) -> None:
        held = self.claims.get(claim_id)
        if held is None or held.due_s > due_s:
            return
        if held.stage == "reserved":
            self.move(held.claim, lapsing(held.amount_nano), new=False)
            self.hold(held.claim, "lapsed", held.amount_nano, held.due_s + self.kept_s)
        else:
            del self.claims[claim_id]

    def rebuilt(self, spent: Sequence[Claim], now_s: float) -> Book:
        """Returns a book of what the log says, and of what is under way and not in the log."""
        book = Book(self.kept_s)
        book.rebuilt_s = now_s
        logged = {claim.id: claim for claim in reversed(spent)}  # the first of several, as everywhere
        for claim in logged.values():
            checked(claim)
            held = self.claims.get(claim.id)
            known = None if held is None else (held.stage, held.amount_nano, held.due_s)
            stage, amount, due_s = logged_as(claim, known, now_s, self.kept_s)
            book.move(claim, standing_as(stage, amount))
            if due_s > now_s:
                book.hold(claim, stage, amount, due_s)
        for claim_id, held in self.claims.items():
            stays = outlasts(held.stage, held.claim.lapses_s, held.due_s, now_s, self.kept_s)
            if claim_id not in logged and stays:
                book.move(held.claim, standing_as(held.stage, held.amount_nano))
                book.hold(held.claim, held.stage, held.amount_nano, held.due_s)
        return book

    def take(self, other: Book) -> None:
        """Puts all of another book in the place of its own."""
        self.accounts, self.claims, self._due, self._numbers = other.accounts, other.claims, other._due, other._numbers
        self.rebuilt_s = other.rebuilt_s

    def standings(self, now_s: float) -> Iterator[tuple[Account, Standing]]:
        """Yields every account, and how it stands."""
        for account, kept in self.accounts.items():
            yield account, kept.standing(kept.limit_nano, place(account, now_s, self.kept_s).counted_from)


class MemoryLedger:
    """A `router.state.ledger.Ledger` in this process.

    A forked child begins with what its parent had counted, and each counts on by itself.

    Args:
        kept_s: how long an account is kept after its window.
    """

    def __init__(self, *, kept_s: float = KEPT_S) -> None:
        self._own = PerProcess(Book(kept_s), _forked)

    async def reserve(self, claim: Claim, /) -> Reserved | Refused:
        """Reserves a claim in all of its accounts, or in none; one that is known is granted, and counts once."""
        checked(claim)
        book = self._own.get()
        with book.lock:
            return book.reserve(claim)

    async def settle(self, claim: Claim, cost_nano: int | None, /, *, now_s: float) -> None:
        """Puts what an attempt cost in the place of its reservation; None, where nobody knows, spends all of it."""
        cost_nano = checked(claim, cost_nano)
        book = self._own.get()
        with book.lock:
            book.settle(claim, cost_nano, now_s)

    async def standings(self, entries: Sequence[Entry], /, *, now_s: float) -> tuple[Standing, ...]:
        """Returns how accounts stand, in the order given; reservations whose time has come have lapsed."""
        book = self._own.get()
        with book.lock:
            book.clean(now_s)
            return tuple(book.standing(entry, now_s) for entry in entries)

    async def accounts(self, *, now_s: float) -> AsyncIterator[tuple[Account, Standing]]:
        """Yields all accounts that are kept, those that are over as well, in no order."""
        book = self._own.get()
        with book.lock:
            book.clean(now_s)
            found = list(book.standings(now_s))
        for each in found:
            yield each

    async def rebuild(self, spent: Sequence[Claim], /, *, now_s: float) -> None:
        """Puts what the log says was spent in the place of all that was counted."""
        book = self._own.get()
        with book.lock:
            book.take(book.rebuilt(spent, now_s))

    async def aclose(self) -> None:
        """There is nothing to let go of."""


def _forked(parent: Book) -> Book:
    """Returns a book with what the parent's has, whose claims are the parent's to settle."""
    child = Book(parent.kept_s)
    for account, kept in list(parent.accounts.items()):
        cells = {bucket: [spent + held, 0, lapsed] for bucket, (spent, held, lapsed) in list(kept.cells.items())}
        child.keep(account, Kept(kept.limit_nano, cells, kept.until_s))
    return child
