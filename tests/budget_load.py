"""A process that asks as hard as it can under budgets that others share: for tests that start several."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from typing import Any

from router import BudgetExceeded, ProviderError, Router, RouterError, Settings
from router.testing.scripted import ScriptedClient, failure


def made(tables: dict[str, Any]) -> Router:
    """Returns a router whose provider times out, which is billed at its worst."""
    return Router(Settings(**tables), clients={"simulated": ScriptedClient({"small": failure("timed_out")})})


async def ask(router: Router, requests: int, *, at_once: int) -> Counter[str]:
    """Returns how so many requests ended, so many of them at one time."""
    gate, ends = asyncio.Semaphore(at_once), Counter[str]()

    async def one() -> None:
        async with gate:
            try:
                await router.acomplete("hi", model="small", max_tokens=100)
            except BudgetExceeded:
                ends["refused"] += 1
            except ProviderError:
                ends["asked"] += 1
            except RouterError as error:
                ends[type(error).__name__] += 1

    await asyncio.gather(*[one() for _ in range(requests)])
    return ends


def main(tables: str, requests: int) -> None:
    """Waits for a line on standard input, asks, and prints how the requests ended."""
    router = made(json.loads(tables))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()

    async def run() -> Counter[str]:
        ends = await ask(router, requests, at_once=50)
        await router.aclose()
        return ends

    sys.stdout.write(json.dumps(asyncio.run(run())) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
