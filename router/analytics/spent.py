"""What a log says was spent, as claims to put in the place of all that a ledger counted.

Each attempt counts what it cost, rounded up to nano-dollars; one whose cost nobody knows counts all that was reserved
for it, or its worst case where nothing was. That is what was settled when it was made, so that a window equals the sum
of its decisions to the nano-dollar. Records that others wrote, and that `lowfare import` took, do not count.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import orjson

from router.analytics.log import Progress, opened
from router.core.budget import KEPT_S, LATE_S, Budget, Claim, Entry, account_of, nano_of
from router.core.budgeting import lapsing_s, value_of
from router.core.request import Hints
from router.core.window import bucket_s
from router.recorded import REMEMBERED_S
from router.state.shares import added

_LONGEST_S: Final = {"hour": 3_600, "day": 90_000, "week": 8 * 86_400, "month": 32 * 86_400}
_ROWS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a log says.

    Attributes:
        claims: with what was spent as their amounts; those of requests that are surely over and settled are summed up,
            and so is what was spent of one share.
        requests: how many decisions were read.
        since: decisions before that count in no window that is kept; None where all of them may.
        aside: lines that are no decisions.
    """

    claims: tuple[Claim, ...]
    requests: int
    since: datetime | None
    aside: int


def spent(
    path: str | os.PathLike[str],
    budgets: Sequence[Budget],
    /,
    *,
    now_s: float,
    kept_s: float = KEPT_S,
    progress: Progress | None = None,
) -> Spent:
    """Returns what a log says was spent in the windows of budgets that are not over, or not long.

    Args:
        path: of the log.
        budgets: of the configuration.
        now_s: when the reading began.
        kept_s: how long the ledger keeps an account after its window.
        progress: is told how far it is.

    Raises:
        ConfigError: there is no such log.
    """
    since = _since(budgets, now_s, kept_s)
    sums = _Sums(now_s)
    requests, recorded = 0, set[str]()
    with opened(path, progress=progress) as connection:
        [(aside,)] = connection.execute("SELECT coalesce(sum(lines), 0) FROM aside").fetchall()
        rows = connection.execute(
            "SELECT record FROM decisions WHERE trace_id IS NOT NULL AND schema IS NOT NULL AND source IS NULL"
            " AND time >= coalesce(?::TIMESTAMPTZ, '-infinity'::TIMESTAMPTZ)",
            [since],
        )
        while batch := rows.fetchmany(_ROWS):
            for (line,) in batch:
                record = orjson.loads(line)
                outside = record["ending"] == "recorded"
                if outside:  # two processes may have been told of the same
                    if record["span_id"] in recorded:
                        continue
                    recorded.add(record["span_id"])
                requests += 1
                for claim in claims_of(record, budgets):
                    sums.add(claim, told_late=outside)
    return Spent(claims=sums.claims(), requests=requests, since=since, aside=int(aside))


def claims_of(record: Mapping[str, Any], budgets: Sequence[Budget], /) -> Iterator[Claim]:
    """Yields what each attempt of a decision spent, in the accounts of the budgets that apply."""
    hints = Hints(tags=record["tags"], tenant=record["tenant"])
    at = datetime.fromisoformat(record["time"])
    at_s = at.timestamp()
    if record["ending"] == "recorded":
        lapses_s = at_s + REMEMBERED_S
    else:  # one that runs on past its lapse is settled at its end
        lapses_s = max(lapsing_s(at_s, record["bounds"]["deadline_s"]), at_s + record["latency_s"])
    for attempt in record["attempts"]:
        entries = []
        for budget in budgets:
            asked = {"model": attempt["model"], "provider": attempt.get("provider")}
            value = value_of(budget, hints, record["policy"], **asked)
            if value is not None:
                entries.append(Entry(account=account_of(budget, value, at), limit_nano=budget.limit_nano, strict=False))
        if entries:
            yield Claim(
                id=attempt["span_id"],
                entries=tuple(entries),
                amount_nano=nano_spent(attempt),
                now_s=at_s,
                lapses_s=lapses_s,
                share=attempt.get("share"),
            )


def nano_spent(attempt: Mapping[str, Any], /) -> int:
    """Returns what an attempt counts in budgets, in nano-dollars."""
    for name in ("cost_usd", "reserved_usd", "worst_usd"):
        if attempt.get(name) is not None:
            return nano_of(Decimal(attempt[name]))
    return 0


class _Sums:
    """Claims, of which those that are surely settled are summed up, so that a long log takes little memory."""

    def __init__(self, now_s: float) -> None:
        self._now_s = now_s
        self._open: list[Claim] = []
        self._shares: dict[str, Claim] = {}
        self._sums: dict[tuple[Any, ...], tuple[Claim, int]] = {}

    def add(self, claim: Claim, *, told_late: bool) -> None:
        """Takes one in.

        Args:
            claim: which.
            told_late: whether it may have been settled at any time after it was over, so that the ledger may still know
                it by name.
        """
        if claim.share is not None:
            added(self._shares, claim, claim.amount_nano)
            return
        if told_late or claim.lapses_s + LATE_S > self._now_s:
            self._open.append(claim)
            return
        # What is in one bucket of every rolling window leaves them together.
        buckets = tuple(
            int(claim.now_s // bucket_s(entry.account.rolling_s))
            for entry in claim.entries
            if entry.account.rolling_s is not None
        )
        accounts = tuple(entry.account for entry in claim.entries)
        first, amount = self._sums.get((accounts, buckets), (claim, 0))
        self._sums[accounts, buckets] = first, amount + claim.amount_nano

    def claims(self) -> tuple[Claim, ...]:
        """Returns all of them."""
        summed = (replace(first, amount_nano=amount) for first, amount in self._sums.values())
        return (*summed, *self._open, *self._shares.values())


def _since(budgets: Sequence[Budget], now_s: float, kept_s: float) -> datetime | None:
    """Returns the time before which no decision is in a window that is kept."""
    longest_s = 0
    for budget in budgets:
        window = budget.window
        if window.period == "total":
            return None
        longest_s = max(longest_s, 2 * (window.rolling_s or 0), _LONGEST_S.get(window.period, 0))
    return datetime.fromtimestamp(now_s, UTC) - timedelta(seconds=kept_s + longest_s)
