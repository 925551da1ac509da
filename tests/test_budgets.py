"""Budgets as a program meets them: real machine, real ledger; only client and clock are scripted."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

from router import (
    Answer,
    BudgetExceeded,
    Call,
    Failure,
    ProviderError,
    Router,
    Settings,
)
from router.core.budget import Account, Standing, nano_of
from router.testing.clock import VirtualClock
from router.testing.scripted import ScriptedClient, failure

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


def test_exactly_as_many_tasks_pass_as_fit() -> None:
    """Of 1,000 concurrent requests, 37 pass where the budget pays for 37 worst cases, to the nano-dollar."""
    worst = worst_usd("small", model="small", max_tokens=100)
    taken: list[Standing] = []

    class Dear(ScriptedClient):
        async def send(self, call: Call, /) -> Answer | Failure:
            await asyncio.sleep(0)
            taken.append((await accounts(router))[0][1])
            return failure("timed_out")  # billed at its worst

    router = routed(day(str(37 * worst)), Dear(), bounds={"attempts": 1})

    async def one() -> str:
        try:
            await router.acomplete("hi", model="small", max_tokens=100)
        except BudgetExceeded:
            return "refused"
        except ProviderError:
            return "asked"
        return "answered"

    async def everyone() -> list[str]:
        return await asyncio.gather(*[one() for _ in range(1_000)])

    ends = asyncio.run(everyone())
    assert ends.count("asked") == 37
    assert ends.count("refused") == 963
    assert all(s.spent_nano + s.reserved_nano <= s.limit_nano for s in taken)
    assert standing(router) == Standing(limit_nano=nano_of(37 * worst), spent_nano=nano_of(37 * worst))
