"""A Redis in trouble under traffic: whoever asks gets the answer, and the cache comes back by itself."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator

import pytest

from router import Answer, Call, Reply, Router, RouterWarning
from router.testing.scripted import ScriptedClient, answer
from tests.cache.routers import asked, routed
from tests.redis_server import RedisServer

KNOWN = 5
"""Prompts that come again and again; every other request has a new one."""
REQUESTS = 60
PAUSE_S = 0.005


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """Gives a server of the test's own."""
    with RedisServer() as running:
        yield running


class Traffic:
    """Requests at a steady rate, every third of them streamed, over a provider that answers a prompt with itself.

    Attributes:
        kinds: how many were answered from where, since it was last looked at.
    """

    def __init__(self, server: RedisServer) -> None:
        self.kinds: Counter[str] = Counter()
        self.router: Router = routed(
            ScriptedClient({"small": said}),
            cache={"backend": "redis", "url": server.url, "memory_ttl_s": 0.001},
        )
        self._number = 0

    async def flow(self, enough: Callable[[], bool]) -> None:
        """Asks until it is enough, whatever became of the requests before; each must get its own answer."""
        self.kinds.clear()
        tasks = []
        while not enough():
            tasks.append(asyncio.create_task(self._ask()))
            await asyncio.sleep(PAUSE_S)
        await asyncio.gather(*tasks)

    async def flow_on(self) -> None:
        """Asks so many times."""
        end = self._number + REQUESTS
        await self.flow(lambda: self._number >= end)
        assert self.kinds.total() == REQUESTS

    async def flow_until_shared(self) -> None:
        """Asks until an answer comes out of the store."""
        await self.flow(lambda: self.kinds["shared"] > 0)

    async def _ask(self) -> None:
        self._number += 1
        number = self._number
        prompt = f"known {number % KNOWN}" if number % 2 else f"new {number}"
        reply: Reply = await asked(self.router, prompt, streamed=number % 3 == 0)
        assert reply.text == prompt
        self.kinds[reply.decision.cache] += 1


def said(call: Call) -> Answer:
    """Returns what was asked."""
    return answer(call.request.messages[0]["content"])


async def paused_then_killed(server: RedisServer, traffic: Traffic) -> None:
    """Lets the server have two troubles, and get over each of them."""
    await traffic.flow_until_shared()
    server.pause()
    await traffic.flow_on()
    server.resume()
    await traffic.flow_until_shared()
    server.kill()
    await traffic.flow_on()
    assert not traffic.kinds["shared"]
    server.restart()
    await traffic.flow_until_shared()


async def killed_while_paused(server: RedisServer, traffic: Traffic) -> None:
    """Lets the server die while many wait for it."""

    async def kill() -> None:
        await asyncio.sleep(PAUSE_S * REQUESTS / 2)
        server.kill()

    await traffic.flow_until_shared()
    server.pause()
    await asyncio.gather(traffic.flow_on(), kill())
    server.restart()
    await traffic.flow_until_shared()


async def killed_before(server: RedisServer, traffic: Traffic) -> None:
    """Lets the server be up only later than the router."""
    server.kill()
    await traffic.flow_on()
    server.restart()
    await traffic.flow_until_shared()


@pytest.mark.parametrize(
    ("course", "troubles"), [(paused_then_killed, 2), (killed_while_paused, 1), (killed_before, 1)]
)
async def test_every_request_is_answered_while_redis_is_in_trouble(
    server: RedisServer, course: Callable[[RedisServer, Traffic], Awaitable[None]], troubles: int
) -> None:
    """Each trouble costs a warning and no answer, and when it is over, answers are shared again."""
    traffic = Traffic(server)
    async with traffic.router:
        with pytest.warns(RouterWarning, match="RedisStore does not help") as caught:
            await course(server, traffic)
    assert len(caught) >= troubles  # more where this machine is so busy that answers come late
    assert server.command("DBSIZE") > 0
