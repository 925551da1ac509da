"""The ledger of one host: SQLite in one file that many processes and threads share.

Each call is one transaction, or is in one with others that wait at the same time (`router.state.sqlite_thread`). What
the file holds is not disposable: a corrupt file is set aside, and what it held comes back by `lowfare budget rebuild`.
"""

from __future__ import annotations

import itertools
import json
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from router.core.budget import (
    KEPT_S,
    MOST_NANO,
    Account,
    Claim,
    Entry,
    Refused,
    Reserved,
    Standing,
)
from router.errors import ConfigError, StoreError
from router.state.ledger_schema import LEDGER_FILE
from router.state.moves import (
    Cell,
    Move,
    Place,
    Stage,
    account_named,
    answered,
    checked,
    is_over,
    lapsing,
    logged_as,
    name_of,
    outlasts,
    place,
    remembered_until_s,
    settled_as,
    settling,
    standing_as,
    standings,
    too_much,
)
from router.state.process import PerProcess
from router.state.sqlite_file import SqliteFile, why_not_opened
from router.state.sqlite_thread import Execute, SqliteThread

T = TypeVar("T")

BUSY_S: Final = 1.0
"""How long a call waits for other processes' transactions; one takes some 0.1 ms."""

_TIDY_AFTER: Final = 512
_DUE_AT_ONCE: Final = 2 * _TIDY_AFTER
"""Every so many calls so much is put in order that is due: a claim is due twice at most, so nothing piles up. Then what
they wrote, some 7 MB, is brought from the log into the file."""
_ALL: Final = -1

_CLAIM = "SELECT stage, amount, places FROM claims WHERE id = ?"
# A sum may be beyond 64 bits where each cell is not, so that it comes in two limbs.
_STANDS = """
SELECT a.id, a.limit_nano, a.until, sum(spent >> 30), sum(spent & 1073741823), sum(reserved >> 30),
  sum(reserved & 1073741823), sum(lapsed >> 30), sum(lapsed & 1073741823),
  max(CASE WHEN bucket = ?2 THEN spent + reserved END)
FROM accounts a LEFT JOIN cells c ON c.account = a.id AND c.bucket >= ?1 WHERE a.name = ?3
"""
_SETTLE = """
UPDATE claims SET stage = 'settled', amount = ?, due = ? WHERE id = ? AND stage = 'reserved' AND amount = ?
RETURNING places
"""
_HOLD = "INSERT INTO claims VALUES (?, ?, ?, ?, ?, ?)"
_CHANGE = "UPDATE claims SET stage = ?, amount = ?, due = ? WHERE id = ?"
_DUE = "SELECT id, stage, amount, due, places FROM claims WHERE due <= ? ORDER BY due LIMIT ?"
_FORGET = "DELETE FROM claims WHERE id = ?"
_OVER = "DELETE FROM accounts WHERE id IN (SELECT id FROM accounts WHERE until <= ? ORDER BY until LIMIT ?)"
_ACCOUNT = "SELECT id, limit_nano, until FROM accounts WHERE name = ?"
_OPEN = "INSERT INTO accounts (name, limit_nano, until) VALUES (?, ?, ?) RETURNING id"
_TERMS = "UPDATE accounts SET limit_nano = ?, until = ? WHERE id = ?"
_DROP = "DELETE FROM cells WHERE account = ? AND bucket < ?"
_CELL = "SELECT spent, reserved FROM cells WHERE account = ? AND bucket = ?"
# A claim may outlive its cell: one that was begun anew there has nothing of it to give.
_ADD = """
UPDATE cells SET spent = spent + ?1, reserved = reserved + ?2, lapsed = lapsed + ?3 WHERE account = ?4 AND bucket = ?5
  AND spent + ?1 >= 0 AND reserved + ?2 >= 0 AND lapsed + ?3 >= 0
"""
_BEGIN = """
INSERT INTO cells VALUES (?4, ?5, ?1, ?2, ?3)
ON CONFLICT (account, bucket) DO UPDATE SET spent = spent + ?1, reserved = reserved + ?2, lapsed = lapsed + ?3
"""
_EVERY = "SELECT id, name, limit_nano FROM accounts WHERE id > ? ORDER BY id LIMIT 200"
_KNOWN = "SELECT id, stage, amount, lapses, due FROM claims"
_PLACES = """
SELECT a.name, a.limit_nano, json_extract(p.value, '$[1]'), a.until
FROM claims c, json_each(c.places) p JOIN accounts a ON a.id = json_extract(p.value, '$[0]') WHERE c.id = ?
"""


class SqliteLedger:
    """A `router.state.ledger.Ledger` in a file.

    Only its owner can read the file. Beside it stand `-wal`, `-shm` and `.lock`; it must be on a disk of this host.

    Args:
        path: where the file is; missing folders are made.
        busy_s: how long a call waits for those of other processes, unless its caller gives up before.
        kept_s: how long an account is kept after its window.

    Raises:
        ConfigError: an option is of no use, or the file cannot be opened or is another program's; says which and why.
    """

    def __init__(self, path: str, *, busy_s: float = BUSY_S, kept_s: float = KEPT_S) -> None:
        file = SqliteFile(path, LEDGER_FILE)
        first = SqliteThread(file, busy_s=busy_s, whole=True)
        try:
            first.open(replace=False)
        except (sqlite3.Error, OSError) as error:
            raise ConfigError(f"state: {why_not_opened(file.path, error)}") from error
        self._own = PerProcess(first, lambda _: SqliteThread(file, busy_s=busy_s, whole=True))
        self._path = file.path
        self._kept_s = kept_s
        self._numbers = itertools.count(1)

    def __repr__(self) -> str:
        return f"SqliteLedger({os.fspath(self._path)!r})"

    async def reserve(self, claim: Claim, /) -> Reserved | Refused:
        """Reserves a claim in all of its accounts, or in none; one that is known is granted, and counts once."""
        checked(claim)
        return await self._brief(lambda execute: _Books(execute, self._kept_s).reserve(claim), claim.now_s)

    async def settle(self, claim: Claim, cost_nano: int | None, /, *, now_s: float) -> None:
        """Puts what an attempt cost in the place of its reservation; None, where nobody knows, spends all of it."""
        cost = checked(claim, cost_nano)
        await self._brief(lambda execute: _Books(execute, self._kept_s).settle(claim, cost, now_s), now_s)

    async def standings(self, entries: Sequence[Entry], /, *, now_s: float) -> tuple[Standing, ...]:
        """Returns how accounts stand, in the order given; reservations whose time has come have lapsed."""

        def work(execute: Execute) -> tuple[Standing, ...]:
            books = _Books(execute, self._kept_s)
            books.clean(now_s)
            return books.standings(entries, now_s)

        return await self._work(work)

    async def accounts(self, *, now_s: float) -> AsyncIterator[tuple[Account, Standing]]:
        """Yields all accounts that are kept, those that are over as well, in no order; a page at a time."""
        last = 0

        def work(execute: Execute) -> list[tuple[int, Account, Standing]]:
            books = _Books(execute, self._kept_s)
            books.clean(now_s)
            return books.page(last, now_s)

        while page := await self._work(work):
            for _, account, stands in page:
                yield account, stands
            last = page[-1][0]

    async def rebuild(self, spent: Sequence[Claim], /, *, now_s: float) -> None:
        """Puts what the log says was spent in the place of all that was counted."""
        for claim in spent:
            checked(claim)
        await self._work(lambda execute: _Books(execute, self._kept_s).rebuild(spent, now_s))

    async def aclose(self) -> None:
        """Closes this process's connections; whoever uses the ledger later opens them again."""
        await self._own.get().close()

    async def _brief(self, work: Callable[[Execute], T], now_s: float) -> T:
        result = await self._work(work, brief=True)
        if not next(self._numbers) % _TIDY_AFTER:
            self._own.get().tidy(lambda execute: _Books(execute, self._kept_s).clean(now_s, most=_DUE_AT_ONCE))
        return result

    async def _work(self, work: Callable[[Execute], T], *, brief: bool = False) -> T:
        try:
            return await self._own.get().work(work, brief=brief)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"the ledger {self._path} cannot be used: {error}") from error


class _Found(NamedTuple):
    """What there is of an account in which a claim is to count.

    Attributes:
        number: its id; None where there is none yet.
        counted: what counts in it.
        cell_nano: what is spent and reserved in the claim's own cell.
    """

    entry: Entry
    where: Place
    number: int | None
    limit_nano: int
    until: float
    counted: Cell
    cell_nano: int


class _Books:
    """What one transaction does."""

    def __init__(self, execute: Execute, kept_s: float) -> None:
        self._execute = execute
        self._kept_s = kept_s

    def reserve(self, claim: Claim) -> Reserved | Refused:
        found = [self._find(entry, claim.now_s) for entry in claim.entries]
        counted = [each.counted for each in found]
        if self._execute(_CLAIM, (claim.id,)):
            return Reserved(claim=claim, standings=standings(claim.entries, counted))
        answer = answered(claim, counted)
        if isinstance(answer, Reserved):
            self._add(claim, found, "reserved", claim.amount_nano, claim.lapses_s)
        return answer

    def settle(self, claim: Claim, cost_nano: int, now_s: float) -> None:
        if self._settle_reserved(claim, cost_nano, now_s):
            return
        found = self._execute(_CLAIM, (claim.id,))
        if not found:
            if not any(is_over(claim, now_s, at) for (at,) in self._execute("SELECT at FROM rebuilt", ())):
                self.add(claim, *settled_as(claim, None, now_s, self._kept_s), cost_nano)
            return
        [[stage, amount, places]] = found
        move = settling(stage, amount, cost_nano)
        if move is not None:
            accounts = [entry.account for entry in claim.entries]
            self._move(json.loads(places), move, accounts)
            stage, due_s = settled_as(claim, stage, now_s, self._kept_s)
            self._execute(_CHANGE, (stage, cost_nano, due_s, claim.id))

    def _settle_reserved(self, claim: Claim, cost_nano: int, now_s: float) -> bool:
        """Returns whether a claim was reserved, and is settled at no more than that: nearly always it is so."""
        held, until_s = claim.amount_nano, remembered_until_s(claim.lapses_s, now_s)
        if claim.share is not None or cost_nano > held:
            return False
        settled = self._execute(_SETTLE, (cost_nano, until_s, claim.id, held))
        if settled:
            self._move(json.loads(settled[0][0]), Move(cost_nano, -held, 0), None)  # no sum grows
        return bool(settled)

    def add(self, claim: Claim, stage: Stage, due_s: float, amount_nano: int) -> None:
        """Counts a claim that is not known."""
        self._add(claim, [self._find(entry, claim.now_s) for entry in claim.entries], stage, amount_nano, due_s)

    def _add(self, claim: Claim, found: Sequence[_Found], stage: Stage, amount_nano: int, due_s: float) -> None:
        for each in found:
            if each.cell_nano + amount_nano > MOST_NANO:
                raise too_much(each.entry.account)
        move = standing_as(stage, amount_nano)
        places = []
        for each in found:
            account, bucket = self._opened(each), each.where.bucket
            self._execute(_BEGIN, (*move, account, bucket))
            places.append(f"[{account},{bucket}]")
        self._execute(_HOLD, (claim.id, stage, amount_nano, claim.lapses_s, due_s, f"[{','.join(places)}]"))

    def standings(self, entries: Sequence[Entry], now_s: float) -> tuple[Standing, ...]:
        return standings(entries, [self._find(entry, now_s).counted for entry in entries])

    def page(self, last: int, now_s: float) -> list[tuple[int, Account, Standing]]:
        """Returns the accounts after one, by id, as many as one transaction should read."""
        page = []
        for number, name, limit_nano in self._execute(_EVERY, (last,)):
            entry = Entry(account=account_named(name), limit_nano=limit_nano)
            page.append((number, entry.account, *self.standings((entry,), now_s)))
        return page

    def clean(self, now_s: float, *, most: int = _ALL) -> None:
        """Lets lapse, or go, what is due: all of it, or so much."""
        while due := self._execute(_DUE, (now_s, most)):
            for claim_id, stage, amount, due_s, places in due:
                if stage == "reserved":
                    self._move(json.loads(places), lapsing(amount), None)
                    self._execute(_CHANGE, ("lapsed", amount, due_s + self._kept_s, claim_id))
                else:
                    self._execute(_FORGET, (claim_id,))
            if most != _ALL:
                break
        self._execute(_OVER, (now_s, most))

    def rebuild(self, spent: Sequence[Claim], now_s: float) -> None:
        logged = {claim.id: claim for claim in reversed(spent)}  # the first of several, as everywhere
        known, staying = {}, []
        for row in self._execute(_KNOWN, ()):
            claim_id, stage, amount, lapses, due = row
            if claim_id in logged:
                known[claim_id] = stage, amount, due
            elif outlasts(stage, lapses, due, now_s, self._kept_s):
                staying.append((row, self._execute(_PLACES, (claim_id,))))
        for table in ("claims", "accounts", "rebuilt"):
            self._execute(f"DELETE FROM {table}", ())  # noqa: S608 - names of our own
        self._execute("INSERT INTO rebuilt VALUES (?)", (now_s,))
        for claim in logged.values():
            stage, amount, due = logged_as(claim, known.get(claim.id), now_s, self._kept_s)
            self.add(claim, stage, due, amount)
            if due <= now_s:
                self._execute(_FORGET, (claim.id,))
        for row, places in staying:
            self._keep(row, places)

    def _keep(self, row: Sequence[Any], places: Sequence[Any]) -> None:
        """Counts a claim again as it stood; `places` are its accounts' names, limits, cells and ends."""
        claim_id, stage, amount, lapses, due = row
        again = []
        for name, limit_nano, bucket, until in places:
            found = self._execute(_ACCOUNT, (name,)) or self._execute(_OPEN, (name, limit_nano, until))
            self._execute("UPDATE accounts SET until = max(until, ?) WHERE id = ?", (until, found[0][0]))
            again.append([found[0][0], bucket])
        self._move(again, standing_as(stage, amount), None, sql=_BEGIN)
        self._execute(_HOLD, (claim_id, stage, amount, lapses, due, json.dumps(again)))

    def _find(self, entry: Entry, now_s: float) -> _Found:
        """Returns what there is of an account, and where in it counts what happens now."""
        where = place(entry.account, now_s, self._kept_s)
        [row] = self._execute(_STANDS, (where.counted_from, where.bucket, name_of(entry.account)))
        number, limit_nano, until, s1, s0, r1, r0, l1, l0, cell_nano = row
        if s1 is None:
            return _Found(entry, where, number, limit_nano, until, (0, 0, 0), 0)
        counted = (s1 << 30) + s0, (r1 << 30) + r0, (l1 << 30) + l0
        return _Found(entry, where, number, limit_nano, until, counted, cell_nano or 0)

    def _opened(self, found: _Found) -> int:
        """Returns the id of an account, which is made where there is none."""
        entry, where, number, limit_nano, until, *_ = found
        if number is None:
            [[number]] = self._execute(_OPEN, (name_of(entry.account), entry.limit_nano, where.kept_until_s))
        elif limit_nano != entry.limit_nano or where.kept_until_s > until:
            self._execute(_TERMS, (entry.limit_nano, max(until, where.kept_until_s), number))
            self._execute(_DROP, (number, where.kept_from))
        return int(number)

    def _move(
        self, places: Sequence[Sequence[int]], move: Move, accounts: Sequence[Account] | None, *, sql: str = _ADD
    ) -> None:
        """Adds a step to cells; `accounts` are theirs, where a sum may become more than can be counted."""
        for number, (account, bucket) in enumerate(places):
            if accounts is not None and move.spent + move.reserved > 0:
                cell = self._execute(_CELL, (account, bucket))
                if cell and cell[0][0] + cell[0][1] + move.spent + move.reserved > MOST_NANO:
                    raise too_much(accounts[number])
            self._execute(sql, (*move, account, bucket))
