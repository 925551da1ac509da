"""Where the accounts of budgets are kept."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from router.core.budget import Account, Claim, Entry, Refused, Reserved, Standing


class Ledger(Protocol):
    """Counts what is reserved and spent, for one process or for many.

    Every method is atomic over all accounts that it names, and works from any thread and event loop. Times are given,
    in seconds since 1970, never read.
    """

    async def reserve(self, claim: Claim, /) -> Reserved | Refused:
        """Reserves a claim in all of its accounts, or in none; a claim that stands already is answered the same way.

        Raises:
            StoreError: the store could not be reached.
        """
        ...

    async def settle(self, claim: Claim, cost_nano: int | None, /, *, now_s: float) -> None:
        """Puts what an attempt cost in the place of its reservation; None, where nobody knows, spends all of it.

        A claim that lapsed meanwhile is corrected to its true cost; settling twice changes nothing.
        """
        ...

    async def spend(self, claim: Claim, /) -> None:
        """Counts what was spent without a reservation, as outside the router: once by id, whatever the limits say."""
        ...

    async def standings(self, entries: Sequence[Entry], /, *, now_s: float) -> tuple[Standing, ...]:
        """Returns how accounts stand, in the order given; reservations whose time has come have lapsed."""
        ...

    def accounts(self, *, now_s: float) -> AsyncIterator[tuple[Account, Standing]]:
        """Yields all accounts that anything was ever counted in and that are not over, in no order."""
        ...

    async def rebuild(self, spent: Sequence[Claim], /, *, now_s: float) -> None:
        """Puts what the log says was spent in the place of all that was counted.

        Reservations of attempts under way stay; lapsed ones go.
        """
        ...

    async def aclose(self) -> None:
        """Lets go of files and connections."""
        ...
