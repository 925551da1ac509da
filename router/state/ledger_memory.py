"""The ledger of one process: accounts in memory, gone with it. `lowfare budget rebuild` has no use for it."""

from __future__ import annotations

import heapq
import itertools
import math
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field

from router.core.budget import KEPT_S, MOST_NANO, Account, Claim, Entry, Refused, Reserved, Standing
from router.state.moves import (
    Cell,
    Move,
    Place,
    Stage,
    answered,
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
    standings,
    too_much,
)
from router.state.process import PerProcess

_DUE_AT_ONCE = 8
"""How much that is due each reservation puts in order: a claim is due twice at most, so that nothing piles up."""
_ALL = -1


@dataclass(slots=True)
class Kept:
    """An account: its limit, and its cells by bucket, each `[spent, reserved, lapsed]`."""

    limit_nano: int
    cells: dict[int, list[int]] = field(default_factory=dict)
    until_s: float = 0.0

    def counted(self, counted_from: int) -> Cell:
        """Returns what counts: all cells from this bucket on."""
        spent = reserved = lapsed = 0
        for bucket, cell in self.cells.items():
            if bucket >= counted_from:
                spent += cell[0]
                reserved += cell[1]
                lapsed += cell[2]
        return spent, reserved, lapsed


@dataclass(slots=True)
class Held:
    """A claim that is known.

    Attributes:
        amount_nano: what it counts as: its worst case, or its cost when it is settled.
        due_s: when it lapses, or is forgotten.
        cells: in which it counts, one for each entry; they may be gone from their accounts meanwhile.
    """

    claim: Claim
    stage: Stage
    amount_nano: int
    due_s: float
    cells: Sequence[list[int]]


Found = tuple[Kept | None, Place]
"""What there is of an account, and where in it something counts."""

_NOTHING: Cell = (0, 0, 0)


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
        found = self.found(claim.entries, claim.now_s)
        counted = _counted(found)
        if claim.id in self.claims:
            return Reserved(claim=claim, standings=standings(claim.entries, counted))
        answer = answered(claim, counted)
        if isinstance(answer, Reserved):
            self.count(claim, found, "reserved", claim.amount_nano, claim.lapses_s)
        return answer

    def settle(self, claim: Claim, cost_nano: int, now_s: float) -> None:
        """Puts what a claim cost in the place of what it counted as."""
        held = self.claims.get(claim.id)
        if held is None:
            if not is_over(claim, now_s, self.rebuilt_s):
                stage, due_s = settled_as(claim, None, now_s, self.kept_s)
                self.count(claim, self.found(claim.entries, claim.now_s), stage, cost_nano, due_s)
            return
        move = settling(held.stage, held.amount_nano, cost_nano)
        if move is not None:
            _add(held.claim, held.cells, move)
            stage, due_s = settled_as(claim, held.stage, now_s, self.kept_s)
            if due_s < held.due_s:  # else it is looked at when it would have been due, and put off
                self._note_due(due_s, claim.id)
            held.stage, held.amount_nano, held.due_s = stage, cost_nano, due_s

    def found(self, entries: Sequence[Entry], now_s: float) -> Sequence[Found]:
        """Returns what there is of the accounts of entries, and where in them what happens now counts."""
        return [(self.accounts.get(e.account), place(e.account, now_s, self.kept_s)) for e in entries]

    def count(self, claim: Claim, found: Sequence[Found], stage: Stage, amount_nano: int, due_s: float) -> None:
        """Counts a claim that is not known, and remembers it until it is due; or raises, and counts nothing."""
        cells = [self._cell(entry, *each) for entry, each in zip(claim.entries, found, strict=True)]
        _add(claim, cells, standing_as(stage, amount_nano))
        self.claims[claim.id] = Held(claim, stage, amount_nano, due_s, cells)
        self._note_due(due_s, claim.id)

    def _note_due(self, due_s: float, what: str | Account) -> None:
        heapq.heappush(self._due, (due_s, next(self._numbers), what))

    def _cell(self, entry: Entry, kept: Kept | None, where: Place) -> list[int]:
        """Returns the cell at a place; it begins where there is none."""
        if kept is None:
            kept = self.accounts.setdefault(entry.account, Kept(entry.limit_nano))
        kept.limit_nano = entry.limit_nano
        cell = kept.cells.get(where.bucket)
        if cell is None:
            cell = kept.cells[where.bucket] = [0, 0, 0]
            for bucket in [bucket for bucket in kept.cells if bucket < where.kept_from]:
                del kept.cells[bucket]
            if where.kept_until_s > kept.until_s:
                kept.until_s = where.kept_until_s
                self._note_due(kept.until_s, entry.account)
        return cell

    def keep(self, account: Account, kept: Kept) -> None:
        """Takes an account in, as it is."""
        self.accounts[account] = kept
        self._note_due(kept.until_s, account)

    def clean(self, now_s: float, *, most: int = _ALL) -> None:
        """Lets lapse, or go, what is due: all of it, or so much."""
        due = self._due
        while due and due[0][0] <= now_s and most:
            due_s, _, what = heapq.heappop(due)
            most -= 1
            if isinstance(what, Account):
                kept = self.accounts.get(what)
                if kept is not None and kept.until_s <= due_s:
                    del self.accounts[what]
            else:
                self._clean_claim(what, due_s)

    def _clean_claim(self, claim_id: str, due_s: float) -> None:
        held = self.claims.get(claim_id)
        if held is None:
            return
        if held.due_s <= due_s:
            if held.stage != "reserved":
                del self.claims[claim_id]
                return
            _add(held.claim, held.cells, lapsing(held.amount_nano))
            held.stage, held.due_s = "lapsed", held.due_s + self.kept_s
        self._note_due(held.due_s, claim_id)

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
            book.count(claim, book.found(claim.entries, claim.now_s), stage, amount, due_s)
            if due_s <= now_s:
                del book.claims[claim.id]
        for claim_id, held in self.claims.items():
            stays = outlasts(held.stage, held.claim.lapses_s, held.due_s, now_s, self.kept_s)
            if claim_id not in logged and stays:
                found = book.found(held.claim.entries, held.claim.now_s)
                book.count(held.claim, found, held.stage, held.amount_nano, held.due_s)
        return book

    def take(self, other: Book) -> None:
        """Puts all of another book in the place of its own."""
        self.accounts, self.claims, self._due, self._numbers = other.accounts, other.claims, other._due, other._numbers
        self.rebuilt_s = other.rebuilt_s

    def standings(self, now_s: float) -> Iterator[tuple[Account, Standing]]:
        """Yields every account, and how it stands."""
        for account, kept in self.accounts.items():
            yield account, standing(kept.limit_nano, [kept.counted(place(account, now_s, self.kept_s).counted_from)])


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
            return standings(entries, _counted(book.found(entries, now_s)))

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


def _counted(found: Sequence[Found]) -> Sequence[Cell]:
    """Returns what counts in accounts, from their places on."""
    return [_NOTHING if kept is None else kept.counted(where.counted_from) for kept, where in found]


def _add(claim: Claim, cells: Sequence[list[int]], move: Move) -> None:
    """Adds a step to the cells of a claim, or raises and adds nothing."""
    spent, reserved, lapsed = move
    if spent + reserved > 0:  # else no sum grows
        for entry, cell in zip(claim.entries, cells, strict=True):
            if cell[0] + cell[1] + spent + reserved > MOST_NANO:
                raise too_much(entry.account)
    for cell in cells:
        cell[0] += spent
        cell[1] += reserved
        cell[2] += lapsed


def _forked(parent: Book) -> Book:
    """Returns a book with what the parent's has, whose claims are the parent's to settle."""
    child = Book(parent.kept_s)
    for account, kept in list(parent.accounts.items()):
        cells = {bucket: [spent + held, 0, lapsed] for bucket, (spent, held, lapsed) in list(kept.cells.items())}
        child.keep(account, Kept(kept.limit_nano, cells, kept.until_s))
    return child
