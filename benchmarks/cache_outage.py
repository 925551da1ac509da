"""Requests at a steady rate while the Redis behind their cache is paused, resumed, killed and restarted empty."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
import warnings
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field

from cache_servers import Redis

from router import Answer, Call, Chunk, Failure, Reply, Router, RouterWarning, Settings
from router.testing.scripted import answer

BEFORE = "before"
ADDED_MOST_S = 0.060

_ANSWER_S = 0.020
_ANSWER_BYTES = 4_000
_KNOWN = 200
"""Prompts that come again and again."""
_NEW_SHARE = 0.3
_MEMORY_TTL_S = 0.5
"""Shorter than the default, so that the store is asked for most of what comes again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """Some time, and what is done to the server when it begins.

    Attributes:
        first: whether it is the first second of a trouble, which has no bar.
    """

    name: str
    seconds: float
    act: Callable[[Redis], None] | None = None
    first: bool = False


@dataclass(slots=True)
class Seen:
    """What came of the requests that came in one phase.

    Attributes:
        seconds: of each that was answered, from the moment at which it was due.
        kinds: how many were answered from where.
        wrong: how many got another prompt's answer.
        failed: what was raised, by its class.
        helped_s: how long after the server was last acted upon the store first helped; None where it did not.
    """

    requests: int = 0
    seconds: list[float] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    wrong: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    helped_s: float | None = None

    def quantile_s(self, percent: int) -> float:
        """Returns the latency that so many percent of the answered requests do not exceed."""
        return statistics.quantiles(self.seconds, n=100, method="inclusive")[percent - 1]


def phases(pause_s: float) -> tuple[Phase, ...]:
    """Returns the troubles in order; the rests of a store that is down grow, so that finding it well takes a while."""
    return (
        Phase(name=BEFORE, seconds=pause_s),
        Phase(name="paused, first second", seconds=1, act=Redis.pause, first=True),
        Phase(name="paused", seconds=pause_s - 1),
        Phase(name="resumed, first second", seconds=1, act=Redis.resume, first=True),
        Phase(name="resumed", seconds=1.5 * pause_s),
        Phase(name="killed, first second", seconds=1, act=Redis.kill, first=True),
        Phase(name="killed", seconds=pause_s / 2),
        Phase(name="restarted empty, first second", seconds=1, act=Redis.start, first=True),
        Phase(name="restarted empty", seconds=pause_s),
    )


def outage(rate: float, pause_s: float) -> tuple[dict[str, Seen], int]:
    """Returns what was seen in each phase, and how many warnings there were."""
    with Redis() as redis, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RouterWarning)
        seen = asyncio.run(_driven(redis, phases(pause_s), rate))
    return seen, sum(issubclass(warning.category, RouterWarning) for warning in caught)


class Provider:
    """A client that answers a prompt with the prompt and 4 kB more, after 20 ms."""

    keeps_time = True

    async def send(self, call: Call, /) -> Answer | Failure:
        """Returns the answer."""
        await asyncio.sleep(_ANSWER_S)
        return answer(expected(call.request.messages[0]["content"]))

    async def stream(self, call: Call, /) -> AsyncGenerator[Chunk | Answer | Failure]:
        """Yields the answer."""
        yield await self.send(call)

    async def aclose(self) -> None:
        """Has nothing open."""


def expected(prompt: str) -> str:
    """Returns the answer to a prompt."""
    return f"{prompt}: ".ljust(_ANSWER_BYTES, ".")


async def _driven(redis: Redis, course: Sequence[Phase], rate: float) -> dict[str, Seen]:
    """Returns what was seen; each request is sent when it is due, whatever became of those before (an open loop)."""
    chance = random.Random(1)
    known = [f"Question {number}" for number in range(_KNOWN)]
    seen = {phase.name: Seen() for phase in course}
    asked: list[asyncio.Task[None]] = []
    async with _routed(redis.url) as router:
        for prompt in known:
            await router.acomplete(prompt)
        acted = due = time.perf_counter()
        for phase in course:
            acting = asyncio.to_thread(phase.act, redis) if phase.act is not None else asyncio.sleep(0)
            act = asyncio.create_task(acting)
            acted = due if phase.act is not None else acted
            for number in range(round(phase.seconds * rate)):
                new = chance.random() < _NEW_SHARE
                prompt = f"{phase.name} {number}" if new else chance.choice(known)
                await asyncio.sleep(due - time.perf_counter())
                asked.append(asyncio.create_task(_asked(router, prompt, (due, acted), seen[phase.name])))
                due += 1 / rate
            await act
        await asyncio.gather(*asked)
    return seen


async def _asked(router: Router, prompt: str, times: tuple[float, float], seen: Seen) -> None:
    due, acted = times
    seen.requests += 1
    try:
        reply: Reply = await router.acomplete(prompt)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is counted
        seen.failed[type(error).__name__] += 1
        return
    ended = time.perf_counter()
    seen.seconds.append(ended - due)
    seen.kinds[reply.decision.cache] += 1
    seen.wrong += reply.text != expected(prompt)
    if reply.decision.cache == "shared" and seen.helped_s is None:
        seen.helped_s = ended - acted


def _routed(url: str) -> Router:
    model = {
        "id": "simulated/model",
        "client": "simulated",
        "input_usd_per_mtok": "1",
        "output_usd_per_mtok": "3",
        "context_window_tokens": 100_000,
        "max_output_tokens": 10_000,
    }
    settings = {
        "models": {"model": model},
        "policies": {"default": {"kind": "fallback", "models": ["model"]}},
        "cache": {"backend": "redis", "url": url, "memory_ttl_s": _MEMORY_TTL_S},
    }
    return Router(Settings.model_validate(settings), clients={"simulated": Provider()}, sinks=())
