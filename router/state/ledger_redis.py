"""The ledger of many hosts, in Redis or Valkey: each call is one script, in one round trip.

Names and scripts: `ledger_scripts.py`. All of it is on one node of a cluster, and that node's speed is its limit.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from redis.exceptions import RedisError

from router.core.budget import KEPT_S, LATE_S, Account, Claim, Entry, Refused, Reserved, Standing
from router.errors import ConfigError, StoreError
from router.state.ledger_memory import Book
from router.state.ledger_scripts import REBUILD, RESERVE, SETTLE, STANDINGS
from router.state.moves import (
    Cell,
    account_named,
    answered,
    checked,
    name_of,
    place,
    remembered_until_s,
    standing,
    standings,
    too_much,
)
from router.state.redis_calls import RedisCalls, Script
from router.state.redis_lines import Word

_NAMES: Final = ("accounts", "claims", "due", "ends", "rebuilt")
_PAGE: Final = 200

_DUE_AFTER: Final = 8
_DUE_AT_ONCE: Final = 64
"""Every so many reservations so much is put in order that is due: a claim is due twice at most, so nothing piles up."""


class RedisLedger:
    """A `router.state.ledger.Ledger` in Redis or Valkey.

    The server must not evict: `maxmemory-policy noeviction`.

    Args:
        url, cluster, answer_s: as in `RedisCalls`.
        prefix: what every name in the database begins with; no name without it is read or written.
        kept_s: how long an account is kept after its window.

    Raises:
        ConfigError: the address cannot be read, or a cluster cannot be reached that way.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "lowfare",
        cluster: bool = False,
        answer_s: float = 3.0,
        kept_s: float = KEPT_S,
    ) -> None:
        if "{" in prefix or "}" in prefix:
            raise ConfigError(f"prefix = {prefix!r} has a brace: braces mark what a cluster keeps on one node")
        self._calls = RedisCalls(url, cluster=cluster, answer_s=answer_s)
        self._names = tuple(f"{{{prefix}:ledger}}:{name}" for name in _NAMES)
        self._kept_s = kept_s
        self._numbers = itertools.count()

    def __repr__(self) -> str:
        return f"RedisLedger({self._calls.place}, {self._names[0]!r})"

    async def reserve(self, claim: Claim, /) -> Reserved | Refused:
        """Reserves a claim in all of its accounts, or in none; one that is known is granted, and counts once."""
        checked(claim)
        words: list[Word] = [repr(claim.now_s), repr(self._kept_s), claim.id, claim.amount_nano, repr(claim.lapses_s)]
        words.append(0 if next(self._numbers) % _DUE_AFTER else _DUE_AT_ONCE)
        for entry in claim.entries:
            name, bucket, counted_from, kept_from, until = self._place(entry.account, claim.now_s)
            words += [name, entry.limit_nano, int(entry.strict), bucket, counted_from, kept_from, until]
        came, *counted = _counted(await self._run(RESERVE, *words))
        if came == b"known":
            return Reserved(claim=claim, standings=standings(claim.entries, _cells(counted)))
        return answered(claim, _cells(counted))

    async def settle(self, claim: Claim, cost_nano: int | None, /, *, now_s: float) -> None:
        """Puts what an attempt cost in the place of its reservation; None, where nobody knows, spends all of it."""
        cost = checked(claim, cost_nano)
        forgotten_s = remembered_until_s(claim.lapses_s, now_s)
        words: list[Word] = [claim.id, cost, repr(claim.lapses_s), int(claim.share is not None)]
        words += [repr(forgotten_s), repr(forgotten_s + self._kept_s)]
        for entry in claim.entries:
            name, bucket, _, kept_from, until = self._place(entry.account, claim.now_s)
            words += [name, entry.limit_nano, bucket, kept_from, until]
        _counted(await self._run(SETTLE, *words))

    async def standings(self, entries: Sequence[Entry], /, *, now_s: float) -> tuple[Standing, ...]:
        """Returns how accounts stand, in the order given; reservations whose time has come have lapsed."""
        words: list[Word] = [repr(now_s), repr(self._kept_s)]
        for entry in entries:
            name, _, counted_from, _, _ = self._place(entry.account, now_s)
            words += [name, counted_from]
        return standings(entries, _cells(await self._run(STANDINGS, *words)))

    async def accounts(self, *, now_s: float) -> AsyncIterator[tuple[Account, Standing]]:
        """Yields all accounts that are kept, those that are over as well, in no order."""
        await self.standings((), now_s=now_s)
        cursor, seen = 0, set()  # Redis may list a name twice
        while True:
            cursor, page = await self._ask("HSCAN", self._names[0], cursor, "COUNT", _PAGE)
            for name, text in page.items():
                if name not in seen:
                    seen.add(name)
                    account = account_named(name)
                    yield account, _read(text, place(account, now_s, self._kept_s).counted_from)
            if not int(cursor):
                break

    async def rebuild(self, spent: Sequence[Claim], /, *, now_s: float) -> None:
        """Puts what the log says was spent in the place of all that was counted."""
        book = Book(self._kept_s).rebuilt(spent, now_s)
        ids: list[Word] = list(dict.fromkeys(claim.id for claim in spent))
        accounts: list[Word] = []
        for account, kept in book.accounts.items():
            lines = [f"{bucket} {' '.join(map(str, cell))}" for bucket, cell in kept.cells.items()]
            accounts += [name_of(account), "\n".join([str(kept.limit_nano), *lines]), repr(kept.until_s)]
        claims: list[Word] = []
        for claim_id, held in book.claims.items():
            places = [self._place(entry.account, held.claim.now_s) for entry in held.claim.entries]
            claims += [claim_id, "".join(f"\n{p[1]} {p[0]}" for p in places), held.amount_nano]
            claims += [repr(held.claim.lapses_s), held.stage, repr(held.due_s)]
        counts = (len(ids), len(accounts) // 3, len(claims) // 6)
        await self._run(REBUILD, repr(now_s), repr(self._kept_s), LATE_S, *counts, *ids, *accounts, *claims)

    async def aclose(self) -> None:
        """Closes the connections that belong to the running event loop, and those of loops that are closed."""
        await self._calls.aclose()

    def _place(self, account: Account, now_s: float) -> tuple[str, int, int, int, str]:
        where = place(account, now_s, self._kept_s)
        return name_of(account), where.bucket, where.counted_from, where.kept_from, repr(float(where.kept_until_s))

    async def _run(self, script: Script, *words: Word) -> Any:
        try:
            return await self._calls.run(script, self._names, *words)
        except (RedisError, OSError) as error:
            raise StoreError(f"the ledger in Redis at {self._calls.place} does not help: {error}") from error

    async def _ask(self, *command: Word) -> Any:
        try:
            return await (await self._calls.lines()).ask(*command)
        except (RedisError, OSError) as error:
            raise StoreError(f"the ledger in Redis at {self._calls.place} does not help: {error}") from error


def _counted(answer: list[bytes]) -> list[bytes]:
    if answer[0] == b"uncountable":
        raise too_much(account_named(answer[1]))
    return answer


def _cells(counted: Sequence[bytes]) -> list[Cell]:
    numbers = list(map(int, counted))
    return list(zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True))


def _read(text: bytes, counted_from: int) -> Standing:
    limit, *lines = text.decode().split("\n")
    cells = [tuple(map(int, line.split(" "))) for line in lines]
    return standing(int(limit), [(cell[1], cell[2], cell[3]) for cell in cells if cell[0] >= counted_from])
