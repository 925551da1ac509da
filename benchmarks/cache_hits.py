"""Times hits: in this process's memory, in SQLite and in Redis; beside them those of `litellm.Router`."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any

from cache_servers import Redis, Upstream

from router import Reply, Router, Settings
from router.cache.redis import RedisStore
from router.cache.sqlite import SqliteStore
from router.cache.store import Store

SYSTEM = (
    "You read support tickets of a company that rents out office printers. Answer in two sentences: what is wrong, and "
    "what the customer has tried. Name the customer's mood in one word. Do not promise anything, and do not quote."
)
TICKETS = tuple(
    f"Ticket {number}. " + "The printer on the second floor jams whenever it is fed from the lower tray. " * 8
    for number in range(16)
)
MAX_TOKENS = {"short": 100, "4 kB": 2_000}
"""By the answer that the provider gives then."""

LITELLM = "litellm.Router acompletion"
MISSING = "litellm.Router is left out: its cache hits need pip install 'litellm[proxy]==1.106.2'"

_NO_TIME_S = 1e-6
"""For how long memory answers where every request is to go to the store."""


_WARMING_ROUNDS = 3
"""Over all prompts, before anything is timed: litellm keeps an answer only some time after it was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """One way to an answer.

    Attributes:
        run: does it so many times; returns the seconds of each.
        most_us: the bar of the median; None where there is none.
        least_per_s: the bar of what one core does in a second.
    """

    run: Callable[[int], list[float]]
    most_us: float | None = None
    least_per_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What one way took.

    Attributes:
        p50_us: median of its calls, in microseconds.
        quiet_us: median of the turn in which it was least; far below the other, it tells of a busy machine.
        per_cpu_s: how often it is done in a second of this process's CPU time.
        most_us, least_per_s: as in `Timed`.
    """

    p50_us: float
    quiet_us: float
    per_cpu_s: float
    most_us: float | None
    least_per_s: float | None


def in_memory(rounds: int, calls: int) -> dict[str, Figure]:
    """Returns the figures of hits in memory, with the decision log on, and of litellm's where they are to be had."""
    os.environ["BENCH_KEY"] = "key"
    with ExitStack() as stack:
        upstream = stack.enter_context(Upstream())
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        router = stack.enter_context(routed(upstream.url, folder, backend="memory"))
        runner = loop_of(stack, router.aclose)
        ways: dict[str, Timed] = {}
        for answer, max_tokens in MAX_TOKENS.items():
            once = asynchronous(runner, router.acomplete, max_tokens)
            ways[f"lowfare acomplete, {answer}"] = Timed(run=once, most_us=80, least_per_s=10_000)
            ways[f"lowfare complete, {answer}"] = Timed(run=synchronous(router, max_tokens), most_us=100)
        if find_spec("fastapi") is not None:
            ask, runner = litellm_router(upstream.url), loop_of(stack)  # one loop: its logging has but one
            for answer, max_tokens in MAX_TOKENS.items():
                ways[f"{LITELLM}, {answer}"] = Timed(run=asynchronous(runner, ask, max_tokens, rest_s=0.05))
        return in_turns(ways, rounds, calls, upstream)


def in_stores(rounds: int, calls: int) -> dict[str, Figure]:
    """Returns the figures of hits in SQLite and in Redis with an answer of 4 kB, and of what they consist of."""
    os.environ["BENCH_KEY"] = "key"
    with ExitStack() as stack:
        upstream = stack.enter_context(Upstream())
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        redis = stack.enter_context(Redis())
        path = str(Path(folder) / "cache.db")
        ways: dict[str, Timed] = {}
        stores: dict[str, tuple[Mapping[str, Any], Callable[[], Store], float]] = {
            "SQLite": ({"backend": "sqlite", "path": path}, lambda: SqliteStore(path), 150),
            "Redis": ({"backend": "redis", "url": redis.url}, lambda: RedisStore(redis.url), 350),
        }
        for name, (cache, make, most_us) in stores.items():
            router = stack.enter_context(routed(upstream.url, folder, memory_ttl_s=_NO_TIME_S, **cache))
            whole = asynchronous(loop_of(stack, router.aclose), router.acomplete, MAX_TOKENS["4 kB"])
            ways[f"lowfare acomplete, {name}"] = Timed(run=whole, most_us=most_us)
            ways[f"  the store's get alone, {name}"] = Timed(run=alone(stack, make, router))
        ways["  bare round trip of 4 kB, Redis"] = Timed(run=stack.enter_context(bare(redis.port)))
        return in_turns(ways, rounds, calls, upstream)


def in_turns(ways: Mapping[str, Timed], rounds: int, calls: int, upstream: Upstream) -> dict[str, Figure]:
    """Returns the figures of all ways, measured in short turns, so that a busy moment hits all alike."""
    turns: dict[str, list[list[float]]] = {name: [] for name in ways}
    cpu_s = dict.fromkeys(ways, 0.0)
    for way in ways.values():
        for _ in range(_WARMING_ROUNDS):
            way.run(len(TICKETS))
    paid = upstream.calls
    gc.collect()
    gc.freeze()  # what litellm imports is a hundred times what a caller of ours has, and would slow all collections
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.process_time()
            turns[name].append(way.run(calls))
            cpu_s[name] += time.process_time() - started
    assert upstream.calls == paid, "somebody paid for what should be a hit"
    return {
        name: Figure(
            p50_us=statistics.median(chain.from_iterable(turns[name])) * 1e6,
            quiet_us=min(map(statistics.median, turns[name])) * 1e6,
            per_cpu_s=rounds * calls / cpu_s[name],
            most_us=way.most_us,
            least_per_s=way.least_per_s,
        )
        for name, way in ways.items()
    }


def asked(number: int, max_tokens: int) -> dict[str, Any]:
    """Returns a request as applications make it: new objects, one of a few prompts."""
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": TICKETS[number % len(TICKETS)]}]
    return {"messages": messages, "max_tokens": max_tokens}


def loop_of(stack: ExitStack, close: Callable[[], Coroutine[Any, Any, None]] | None = None) -> asyncio.Runner:
    """Returns a new event loop to run things in, which the stack closes after what `close` is for."""
    runner = stack.enter_context(asyncio.Runner())
    if close is not None:
        stack.callback(lambda: runner.run(close()))
    return runner


def asynchronous(
    runner: asyncio.Runner, ask: Callable[..., Awaitable[Any]], max_tokens: int, *, rest_s: float = 0.0
) -> Callable[[int], list[float]]:
    """Returns what asks again and again in an event loop, and sees to it that the last answer is a hit.

    Args:
        runner: has the loop.
        ask: how to ask.
        max_tokens: of each request.
        rest_s: how long the loop runs on after each turn, for what is put off until then.
    """

    async def turn(calls: int) -> list[float]:
        seconds, reply = [], None
        for number in range(calls):
            request = asked(number, max_tokens)
            started = time.perf_counter()
            reply = await ask(**request)
            seconds.append(time.perf_counter() - started)
        assert is_hit(reply) or calls <= len(TICKETS), "this is no hit"
        await asyncio.sleep(rest_s)
        return seconds

    return lambda calls: runner.run(turn(calls))


def synchronous(router: Router, max_tokens: int) -> Callable[[int], list[float]]:
    """Returns what asks again and again without an event loop."""

    def turn(calls: int) -> list[float]:
        seconds, reply = [], None
        for number in range(calls):
            request = asked(number, max_tokens)
            started = time.perf_counter()
            reply = router.complete(**request)
            seconds.append(time.perf_counter() - started)
        assert is_hit(reply) or calls <= len(TICKETS), "this is no hit"
        return seconds

    return turn


def alone(stack: ExitStack, make: Callable[[], Store], router: Router) -> Callable[[int], list[float]]:
    """Returns what reads the store's values, as bytes, through nothing else."""
    store = make()
    runner = loop_of(stack, store.aclose)
    keys = [router.plan(**asked(number, MAX_TOKENS["4 kB"])).key for number in range(len(TICKETS))]

    async def turn(calls: int) -> list[float]:
        seconds, value = [], None
        for number in range(calls):
            key = keys[number % len(keys)]
            started = time.perf_counter()
            value = await store.get(key)
            seconds.append(time.perf_counter() - started)
        assert value is not None, "the store has no such value"
        return seconds

    return lambda calls: runner.run(turn(calls))


@contextmanager
def bare(port: int) -> Iterator[Callable[[int], list[float]]]:
    """Gives what asks Redis for 4 kB over a socket that blocks: what the machine takes, whoever asks."""
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line.sendall(b"SET bare " + b"x" * 4_000 + b"\r\n")
        assert line.recv(64) == b"+OK\r\n"

        def turn(calls: int) -> list[float]:
            seconds = []
            for _ in range(calls):
                started = time.perf_counter()
                line.sendall(b"GET bare\r\n")
                missing = len("$4000\r\n\r\n") + 4_000
                while missing:
                    missing -= len(line.recv(missing))
                seconds.append(time.perf_counter() - started)
            return seconds

        yield turn


def is_hit(reply: Any) -> bool:
    """Returns whether an answer, ours or litellm's, says that nobody paid for it."""
    if isinstance(reply, Reply):
        return reply.decision.cache in ("memory", "shared")
    return bool(reply._hidden_params.get("cache_hit"))  # noqa: SLF001 - the only place where litellm says it


def routed(address: str, folder: str, /, **cache: Any) -> Router:
    """Returns a router over three models in tiers, with the decision log on."""
    model = {"base_url": address, "key_env": "BENCH_KEY"}
    settings = {
        "models": {
            "small": {"id": "openai/gpt-4.1-nano", "map_id": "gpt-4.1-nano", **model},
            "medium": {"id": "openai/gpt-4.1-mini", "map_id": "gpt-4.1-mini", **model},
            "large": {"id": "openai/gpt-4.1", "map_id": "gpt-4.1", **model},
        },
        "policies": {
            "default": {
                "kind": "token_tiers",
                "tiers": [
                    {"up_to_tokens": 500, "models": ["small"]},
                    {"up_to_tokens": 2_000, "models": ["medium"]},
                    {"models": ["large"]},
                ],
                "fallback": ["medium", "large"],
            }
        },
        "log": {"path": str(Path(folder) / "decisions")},
        "cache": cache,
    }
    return Router(Settings.model_validate(settings))


def litellm_router(url: str) -> Callable[..., Awaitable[Any]]:
    """Returns how to ask litellm's router, which answers from memory too; it keeps no log."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    import litellm

    litellm.suppress_debug_info = True
    params: dict[str, Any] = {"model": "openai/gpt-4.1", "api_base": url, "api_key": "key"}
    models = [{"model_name": "large", "litellm_params": params}]
    router = litellm.router.Router(model_list=models, num_retries=0, cache_responses=True)
    return partial(router.acompletion, model="large")
