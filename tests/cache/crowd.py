"""One of several processes that ask the same at the same time: `python -m tests.cache.crowd CONFIG COUNT STREAMED`.

Says "ready" when it has its router, waits for a line, asks, and prints what came of it as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter

from router import Router
from tests.cache.routers import Kept, asked


async def _ask(router: Router, kept: Kept, count: int, *, streamed: bool) -> dict[str, object]:
    began = time.monotonic()
    replies = await asyncio.gather(
        *(asked(router, streamed=streamed, max_tokens=100) for _ in range(count)), return_exceptions=True
    )
    failures = [type(reply).__name__ + ": " + str(reply) for reply in replies if isinstance(reply, BaseException)]
    return {
        "texts": Counter(reply.text for reply in replies if not isinstance(reply, BaseException)),
        "kinds": Counter(decision.cache for decision in kept.decisions),
        "failures": failures,
        "longest_s": max(decision.latency_s for decision in kept.decisions),
        "took_s": time.monotonic() - began,
    }


def main() -> None:
    """Runs one process."""
    config, count, streamed = sys.argv[1:]
    kept = Kept()
    with Router.from_toml(config, sinks=[kept]) as router:
        print("ready", flush=True)  # noqa: T201 - how it speaks to the test
        sys.stdin.readline()
        out = router._thread.run(_ask(router, kept, int(count), streamed=streamed == "1"))  # noqa: SLF001 - one loop
        print(json.dumps(out), flush=True)  # noqa: T201 - as above


if __name__ == "__main__":
    main()
