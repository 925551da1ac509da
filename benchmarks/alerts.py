"""Do alerts arrive when their senders are killed? And what does it cost to raise one?

    python benchmarks/alerts.py [--rounds 100] [--seed 0] [--redis]

In each round a process raises alerts as fast as it can and delivers them to a receiver on loopback, which answers some
with 500 and cuts some connections; it is killed (-9) after a random number of alerts. At the end the rest is delivered.
Of every alert that counted as raised the receiver must have had at least one message, all with one id, and the
reference library `standardwebhooks` must have verified each. Exit code 1 where that does not hold.

Then the time of one `put`, which waits for the disk, and of one `claim` that finds nothing: medians of a thousand.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path

from router.alerts.outbox import Outbox
from router.alerts.outbox_memory import MemoryOutbox
from tests.alerts.killing import CLAIMS_OVER_S, ids_by_name, troubled_and_killed, until_arrived
from tests.alerts.receiver import Receiver, message
from tests.alerts.sender import outbox_at
from tests.redis_server import RedisServer

CALLS = 1_000


async def rounds(place: str, count: int, seed: int) -> bool:
    """Plays the rounds and prints what came of them; returns whether every alert arrived under one id."""
    draw, raised = random.Random(seed), set[str]()
    async with Receiver() as receiver:
        for number in range(count):
            raised |= await troubled_and_killed(place, receiver, f"round{number}", draw)
        before = len(receiver.received)
        await until_arrived(outbox_at(place), receiver, ahead_s=CLAIMS_OVER_S)
    ids = ids_by_name(receiver)
    lost, several = raised - ids.keys(), [name for name, found in ids.items() if len(found) > 1]
    print(
        f"{'redis' if '://' in place else 'sqlite'}: {count} senders killed, {len(raised):,} alerts raised, "
        f"{before:,} messages before the last delivery and {len(receiver.received) - before:,} in it; "
        f"lost {len(lost)}, with more than one id {len(several)}"
    )
    return not lost and not several


async def timed(name: str, outbox: Outbox) -> None:
    """Prints how long calls take."""

    async def put(number: int) -> object:
        return await outbox.put(message(f"timed/{time.monotonic_ns()}/{number}"), ["ops"], now_s=time.time())

    async def claim(_: int) -> object:
        return await outbox.claim(["nobody"], now_s=time.time(), lease_s=1.0)

    calls: dict[str, Callable[[int], Awaitable[object]]] = {"put": put, "claim of nothing": claim}
    for what, call in calls.items():
        seconds = []
        for number in range(CALLS):
            start = time.perf_counter()
            await call(number)
            seconds.append(time.perf_counter() - start)
        print(f"{name}: {what}: median {1e6 * statistics.median(seconds):,.0f} us")
    await outbox.aclose()


async def main(options: argparse.Namespace, folder: Path, server: RedisServer | None) -> bool:
    """Runs it all; returns whether every alert arrived."""
    places = [str(folder / "outbox.db"), *([server.url] if server is not None else [])]
    kept = [await rounds(place, options.rounds, options.seed) for place in places]
    await timed("memory", MemoryOutbox())
    for place in places:
        await timed("redis" if "://" in place else "sqlite", outbox_at(place))
    return all(kept)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--redis", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        redis = stack.enter_context(RedisServer()) if asked.redis else None
        sys.exit(0 if asyncio.run(main(asked, Path(folder), redis)) else 1)
