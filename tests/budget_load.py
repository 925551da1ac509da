"""A process that asks as hard as it can under budgets that others share: for tests that start several."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter
from contextlib import suppress
from typing import Any

from router import Answer, BudgetExceeded, Call, Failure, ProviderError, Router, RouterError, Settings
from router.testing.scripted import ScriptedClient, answer, failure


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


def restless(tables: dict[str, Any]) -> Router:
    """Returns a router whose provider answers, fails and dawdles as it likes."""
    chance = random.Random()

    class Moody(ScriptedClient):
        async def send(self, call: Call, /) -> Answer | Failure:
            await asyncio.sleep(chance.choice((0.0, 0.001, 0.01)))
            kind = chance.choice(("answer", "answer", "timed_out", "refused", "no_such_model"))
            tokens = chance.randint(0, call.request.params["max_tokens"])  # no provider bills more than it was allowed
            return answer("ok", input_tokens=1, output_tokens=tokens) if kind == "answer" else failure(kind)  # type: ignore[arg-type]  # a class of failures

    return Router(Settings(**tables), clients={"simulated": Moody()})


async def ask_on(router: Router) -> None:
    """Asks until somebody kills the process."""

    async def one() -> None:
        while True:
            with suppress(RouterError):
                await router.acomplete("hi", max_tokens=random.choice((10, 100)), tenant=random.choice(("a", "b")))
            await asyncio.sleep(0)

    await asyncio.gather(*[one() for _ in range(8)])


def main(tables: str, requests: int) -> None:
    """Waits for a line on standard input, asks, and prints how the requests ended; 0 requests are without end."""
    router = made(json.loads(tables)) if requests else restless(json.loads(tables))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()

    if not requests:
        asyncio.run(ask_on(router))

    async def run() -> Counter[str]:
        ends = await ask(router, requests, at_once=50)
        await router.aclose()
        return ends

    sys.stdout.write(json.dumps(asyncio.run(run())) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
