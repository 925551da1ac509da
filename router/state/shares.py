"""What processes spend by themselves while the store of budgets is not reachable, summed up by account.

Each attempt's record names the share that it was spent of (`Attempt.share`). Its process keeps one sum for each
account, and bucket of a rolling one, and tells the store what it comes to so far, under an id that follows from the
share and the account. A rebuild makes the same sums from the log, under the same ids. A sum only grows, so of two with
one id the larger one holds the other: whichever the store hears first, and however often, each attempt counts once.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import replace

from router.core.budget import KEPT_S, Claim
from router.state.moves import name_of, place


def added(sums: MutableMapping[str, Claim], claim: Claim, cost_nano: int, /) -> list[str]:
    """Adds what an attempt cost to the sums of its share, by id; returns the ids of those that grew.

    Args:
        sums: of any shares.
        claim: with a `share`.
        cost_nano: what the attempt cost.
    """
    grown = []
    for entry in claim.entries:
        bucket = place(entry.account, claim.now_s, KEPT_S).bucket
        name = f"{claim.share} {bucket} {name_of(entry.account)}"
        before = sums.get(name)
        sums[name] = replace(
            claim,
            id=name,
            entries=(entry,),
            amount_nano=cost_nano if before is None else before.amount_nano + cost_nano,
            lapses_s=claim.lapses_s if before is None else max(before.lapses_s, claim.lapses_s),
        )
        grown.append(name)
    return grown
