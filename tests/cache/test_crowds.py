"""Equal requests of several processes are one call, also when the process that asks is killed half-way."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cache.routers import TEXT
from tests.cache.upstream import Upstream
from tests.redis_server import RedisServer

ROOT = Path(__file__).parents[2]
PROCESSES, REQUESTS = 4, 250
LEASE_S = 2.0
WAIT_S = 5.0
LONG_S = 60.0
"""What these tests show does not depend on how soon a busy machine answers."""
STREAMED = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])

CONFIG = """
[models.small]
id = "openai/test"
base_url = "{url}"
input_usd_per_mtok = "1"
output_usd_per_mtok = "1"
context_window_tokens = 10000

[bounds]
attempts = 1

[cache]
lease_s = {lease_s}
store_wait_s = {wait_s}
{cache}
"""


@pytest.fixture(params=["sqlite", "redis"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Options of a cache that processes share."""
    if request.param == "sqlite":
        yield f'backend = "sqlite"\npath = "{tmp_path / "cache.db"}"'
    else:
        with RedisServer() as server:
            yield f'backend = "redis"\nurl = "{server.url}"'


@asynccontextmanager
async def crowd(config: Path, *, streamed: bool) -> AsyncIterator[list[asyncio.subprocess.Process]]:
    """Starts the processes; all have their routers and wait for a word."""
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.cache.crowd",
            str(config),
            str(REQUESTS),
            str(int(streamed)),
            cwd=ROOT,
            env=os.environ | {"LOWFARE_MODELS__SMALL__HEADERS": json.dumps({"X-Child": str(number)})},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for number in range(PROCESSES)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert await process.stdout.readline() == b"ready\n"
        yield processes
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def results(processes: list[asyncio.subprocess.Process]) -> list[dict[str, Any]]:
    """Returns what the processes that were not killed say."""
    said = [(await process.communicate())[0] for process in processes]
    return [json.loads(text) for text, process in zip(said, processes, strict=True) if process.returncode == 0]


def start(processes: list[asyncio.subprocess.Process]) -> None:
    """Gives all of them the word."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")


@pytest.mark.untraced
@STREAMED
async def test_a_thousand_equal_requests_of_four_processes_are_one_call(
    tmp_path: Path, shared: str, streamed: bool
) -> None:
    """Exactly one call, and every caller has the whole answer."""
    async with Upstream() as upstream:
        config = tmp_path / "config.toml"
        config.write_text(CONFIG.format(url=upstream.url, cache=shared, lease_s=LONG_S, wait_s=LONG_S))
        async with crowd(config, streamed=streamed) as processes:
            start(processes)
            said = await results(processes)
    kinds = sum((Counter(one["kinds"]) for one in said), Counter[str]())
    print(f"{len(said)} processes, {len(upstream.calls)} call, {dict(kinds)}")  # noqa: T201 - the figure, with -s
    assert [one["failures"] for one in said] == [[]] * PROCESSES
    assert [one["texts"] for one in said] == [{TEXT: REQUESTS}] * PROCESSES
    assert len(upstream.calls) == 1
    assert kinds["none"] == 1
    assert kinds["flight"] + kinds["shared"] + kinds["memory"] == PROCESSES * REQUESTS - 1


@pytest.mark.untraced
@STREAMED
async def test_a_leader_that_is_killed_costs_one_more_call(tmp_path: Path, shared: str, streamed: bool) -> None:
    """The lease lapses, one of the others asks, and no caller fails."""
    async with Upstream(hold_first=True) as upstream:
        config = tmp_path / "config.toml"
        config.write_text(CONFIG.format(url=upstream.url, cache=shared, lease_s=LEASE_S, wait_s=WAIT_S))
        async with crowd(config, streamed=streamed) as processes:
            start(processes)
            await upstream.half_way.wait()
            await asyncio.sleep(0.5)  # the others are waiting by now, and have seen what was streamed
            processes[int(upstream.calls[0])].kill()
            said = await results(processes)
    longest_s = max(one["longest_s"] for one in said)
    print(f"{len(upstream.calls)} calls; longest wait {longest_s:.2f} s")  # noqa: T201 - the figure, with -s
    assert [one["failures"] for one in said] == [[]] * (PROCESSES - 1)
    assert [one["texts"] for one in said] == [{TEXT: REQUESTS}] * (PROCESSES - 1)
    assert len(upstream.calls) == 2
