"""Routers with budgets, whose client and clock are scripted, and ledgers that can be out of reach: for tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from router import (
    Account,
    Answer,
    Call,
    Claim,
    Entry,
    Failure,
    Refused,
    Reply,
    Reserved,
    Router,
    Settings,
    Standing,
    StoreError,
)
from router.state.ledger_memory import MemoryLedger
from router.testing.clock import VirtualClock
from router.testing.scripted import ScriptedClient, answer

ROOT = Path(__file__).parents[1]
PRICES = {"small": "1", "medium": "2", "large": "8"}
MODELS = {
    name: {
        "id": f"simulated/{name}",
        "client": "simulated",
        "input_usd_per_mtok": price,
        "output_usd_per_mtok": price,
        "context_window_tokens": 10_000,
        "max_output_tokens": 1_000,
    }
    for name, price in PRICES.items()
}
LARGE_FIRST = {"default": {"kind": "fallback", "models": ["large", "medium", "small"]}}


def settings(budgets: dict[str, Any], **more: Any) -> Settings:
    """Returns the settings of three models of which the large one is asked first."""
    return Settings(**{"models": MODELS, "policies": LARGE_FIRST, "budgets": budgets, "seed": "7", **more})


def routed(budgets: dict[str, Any], client: Any = None, *, ledger: Any = None, sinks: Any = (), **more: Any) -> Router:
    """Returns a router with these budgets."""
    return Router(
        settings(budgets, **more),
        clients={"simulated": client or ScriptedClient()},
        sinks=sinks,
        ledger=ledger,
        clock=VirtualClock(),
    )


def day(limit_usd: str, **more: Any) -> dict[str, Any]:
    """Returns one budget for everything, for a day."""
    return {"day": {"limit_usd": limit_usd, "window": "day", **more}}


def worst_usd(name: str, **request: Any) -> Decimal:
    """Returns what a request can cost at most at a model."""
    with routed({}) as router:
        slate = router.plan("hi", **request).slate
        worst = next(c.worst_usd for c in slate.live if c.name == name)
        assert worst is not None
        return worst


def standing(router: Router) -> Standing:
    """Returns how the only account of a router stands."""
    (found,) = asyncio.run(accounts(router))
    return found[1]


async def accounts(router: Router) -> list[tuple[Account, Standing]]:
    """Returns all accounts of a router."""
    treasury = router._treasury  # noqa: SLF001 - what a test may look at
    assert treasury is not None
    return [each async for each in treasury.ledger.accounts(now_s=0.0)]


async def whole(router: Router, *, streamed: bool, **request: Any) -> Reply:
    """Returns the reply, read as a stream or at once."""
    if not streamed:
        return await router.acomplete("hi", **request)
    stream = router.astream("hi", **request)
    async for _ in stream:
        pass
    return stream.reply


class Late(ScriptedClient):
    """A client whose large model answers after all others."""

    async def send(self, call: Call, /) -> Answer | Failure:
        """Waits where it is the large model's turn."""
        if call.model.name == "large":
            await asyncio.sleep(0.2)
        return answer("ok")


class Away:
    """A ledger that cannot be reached until it is back."""

    def __init__(self) -> None:
        self.own = MemoryLedger()
        self.away = True
        self.asked: list[str] = []

    async def reserve(self, claim: Claim, /) -> Reserved | Refused:
        """Reserves a claim, if it can be reached."""
        self._reach("reserve")
        return await self.own.reserve(claim)

    async def settle(self, claim: Claim, cost_nano: int | None, /, *, now_s: float) -> None:
        """Settles a claim, if it can be reached."""
        self._reach("settle")
        await self.own.settle(claim, cost_nano, now_s=now_s)

    async def standings(self, entries: Sequence[Entry], /, *, now_s: float) -> tuple[Standing, ...]:
        """Returns how accounts stand, if it can be reached."""
        self._reach("standings")
        return await self.own.standings(entries, now_s=now_s)

    async def accounts(self, *, now_s: float) -> AsyncGenerator[tuple[Account, Standing]]:
        """Yields all accounts."""
        async for each in self.own.accounts(now_s=now_s):
            yield each

    async def rebuild(self, spent: Sequence[Claim], /, *, now_s: float) -> None:
        """Puts the log in the place of all."""
        await self.own.rebuild(spent, now_s=now_s)

    async def aclose(self) -> None:
        """There is nothing to let go of."""

    def _reach(self, what: str) -> None:
        self.asked.append(what)
        if self.away:
            raise StoreError("nobody is there")
