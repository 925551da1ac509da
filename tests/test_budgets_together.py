"""Budgets that many requests want to spend at once: exactly as many pass as fit, in tasks, threads and processes."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from router import (
    Answer,
    BudgetExceeded,
    Call,
    Failure,
    ProviderError,
    Router,
    Settings,
    Standing,
)
from router.core.budget import nano_of
from router.testing.scripted import ScriptedClient, failure
from tests.budget_routers import MODELS, ROOT, accounts, day, routed, settings, standing, worst_usd
from tests.redis_server import RedisServer


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


def test_exactly_as_many_threads_pass_as_fit() -> None:
    """The same of 1,000 calls from 32 threads."""
    worst = worst_usd("small", model="small", max_tokens=100)
    client = ScriptedClient({"small": failure("timed_out")})
    ends: list[str] = []
    with (
        Router(settings(day(str(37 * worst)), bounds={"attempts": 1}), clients={"simulated": client}) as router,
        ThreadPoolExecutor(32) as pool,
    ):

        def one(_: int) -> None:
            try:
                router.complete("hi", model="small", max_tokens=100)
            except BudgetExceeded:
                ends.append("refused")
            except ProviderError:
                ends.append("asked")

        list(pool.map(one, range(1_000)))
        assert standing(router).spent_nano == nano_of(37 * worst)
    assert (ends.count("asked"), ends.count("refused")) == (37, 963)


@pytest.fixture(params=["sqlite", "redis"])
def shared_state(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Gives the table [state] of a store that processes share."""
    wait = {"wait_s": 30}  # a machine may be busy; how a slow store is left alone is tested elsewhere
    if request.param == "sqlite":
        yield {"backend": "sqlite", "path": str(tmp_path / "state.sqlite"), **wait}
        return
    with RedisServer() as server:
        yield {"backend": "redis", "url": server.url, **wait}


async def watched(tables: dict[str, Any], processes: Sequence[subprocess.Popen[str]]) -> list[Standing]:
    """Returns all that was seen of the only account while processes were at work, and after."""
    seen: list[Standing] = []
    async with Router(Settings(**tables), clients={"simulated": ScriptedClient()}) as watcher:
        working = True
        while working:
            working = any(process.poll() is None for process in processes)
            seen += [found for _, found in await accounts(watcher)]
    return seen


@pytest.mark.untraced
def test_exactly_as_many_processes_pass_as_fit(shared_state: dict[str, Any]) -> None:
    """The same of 1,000 requests from four processes, and nobody ever sees more spent and reserved than the limit."""
    worst = worst_usd("small", model="small", max_tokens=100)
    tables = {
        "models": MODELS,
        "bounds": {"attempts": 1},
        "budgets": day(str(37 * worst)),
        "state": shared_state,
    }
    command = [sys.executable, "-m", "tests.budget_load", json.dumps(tables), "250"]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(4)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        seen = asyncio.run(watched(tables, processes))
        ends: Counter[str] = Counter()
        for process in processes:
            out, _ = process.communicate()
            ends.update(json.loads(out))
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert ends == {"asked": 37, "refused": 963}
    assert all(s.spent_nano + s.reserved_nano <= s.limit_nano for s in seen)
    assert (seen[-1].spent_nano, seen[-1].reserved_nano) == (nano_of(37 * worst), 0)
