"""The seam between budgets and what keeps their accounts, for one process or for many.

A claim is reserved, lapsed, settled or summed:

    reserve ──> reserved ──settle──> settled     counts its true cost, or all of it where nobody knows
                   │                    ^
                lapses_s ──> lapsed ──settle     counts in full: its owner died, and may have been billed

    settle, with a `share` ──> summed ──settle   counts the largest sum that was told
    rebuild ──> summed                           counts what the log says, until it is told more

A lapsed claim is kept for `KEPT_S`. One that is settled is remembered until `REMEMBERED_S` after its `lapses_s`, and
after it was settled: within that time its id counts once. A summed one is remembered `KEPT_S` longer. A ledger that
does not know a claim which is settled counts it: it was spent without a reservation, or the ledger was emptied
meanwhile. But not where the claim would have been forgotten by the time of the last rebuild: then that counted it. An
account is kept until `KEPT_S` after its window; what is in the buckets of a rolling one for twice its length, so that a
clock that is set back finds it again.

`router.testing.check_ledger` is the conformance suite of every ledger.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from router.core.budget import Account, Claim, Entry, Refused, Reserved, Standing


class Ledger(Protocol):
    """Counts what is reserved and spent, for one process or for many.

    Every method is atomic over all accounts that it names, and works from any thread and event loop. Times are given,
    in seconds since 1970, never read. An amount, a limit or a sum above `MOST_NANO` is a ValueError, and changes
    nothing. What was cancelled, or failed since the store was not reached, may have been done or not: ask again.
    """

    async def reserve(self, claim: Claim, /) -> Reserved | Refused:
        """Reserves a claim in all of its accounts, or in none; one that is known already is granted, and counts once.

        Raises:
            StoreError: the store could not be reached, as any method raises.
        """
        ...

    async def settle(self, claim: Claim, cost_nano: int | None, /, *, now_s: float) -> None:
        """Puts what an attempt cost in the place of its reservation; None, where nobody knows, spends all of it.

        A claim that lapsed meanwhile is corrected to its true cost; settling twice changes nothing. One that is not
        known is counted, whatever the limits say. One with a `share` is a sum: told again, it counts as the larger.

        Args:
            claim: as it was reserved, or what was spent without a reservation.
            cost_nano: what it cost.
            now_s: when it was settled; the same when it is told again.
        """
        ...

    async def standings(self, entries: Sequence[Entry], /, *, now_s: float) -> tuple[Standing, ...]:
        """Returns how accounts stand, in the order given; reservations whose time has come have lapsed."""
        ...

    def accounts(self, *, now_s: float) -> AsyncIterator[tuple[Account, Standing]]:
        """Yields all accounts that are kept, those that are over as well, in no order.

        The limit of each is that of the last claim in it.
        """
        ...

    async def rebuild(self, spent: Sequence[Claim], /, *, now_s: float) -> None:
        """Puts what the log says was spent in the place of all that was counted.

        Of claims that the log does not have those stay whose records may not be written yet: reservations for `LATE_S`
        after their `lapses_s`, and what is settled as long as it would be remembered. All others go. The log decides of
        those that it has, but of a sum that would be remembered the larger stays.

        Args:
            spent: each with what it cost as `amount_nano`. Those whose `lapses_s` was over by `LATE_S` may be one claim
                for each place in an account, of any id.
            now_s: when the reading of the log began.
        """
        ...

    async def aclose(self) -> None:
        """Lets go of files and connections."""
        ...
