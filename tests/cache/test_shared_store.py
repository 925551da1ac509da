"""Two routers on one store, as two processes would be: what one paid for, the other has."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from router import Joined, Router, RouterError, RouterWarning, Watched
from router.cache.cache import Selector
from router.cache.sqlite import SqliteStore
from router.testing.scripted import ScriptedClient, answer
from tests.cache.routers import DOWN, TEXT, Kept, Provider, asked, routed

STREAMED = pytest.mark.parametrize("streamed", [False, True])
SHORT_S = 1.0
"""A lease: long enough for a machine that is busy with other things to renew it."""


@pytest.fixture
def path(tmp_path: Path) -> str:
    """The file that the routers of a test share."""
    return str(tmp_path / "cache.db")


@asynccontextmanager
async def opened(path: str, *providers: Any, **cache: Any) -> AsyncIterator[list[Router]]:
    """Yields a router for each provider, all on one file."""
    table = {"backend": "sqlite", "path": path, "lease_s": SHORT_S, "store_wait_s": 5.0} | cache
    routers = [routed(provider, cache=table) for provider in providers]
    try:
        yield routers
    finally:
        for router in routers:
            await router.aclose()


@STREAMED
async def test_an_answer_is_found_by_others(path: str, streamed: bool) -> None:
    """First in the store, then in memory."""
    async with opened(path, first := Provider(), second := Provider()) as (one, two):
        await asked(one, streamed=streamed)
        replies = [await asked(two, streamed=streamed) for _ in range(2)]
        assert [reply.decision.cache for reply in replies] == ["shared", "memory"]
        assert [reply.text for reply in replies] == [TEXT, TEXT]
        assert (first.calls, second.calls) == (1, 0)


@STREAMED
async def test_equal_requests_in_flight_are_one_call(path: str, streamed: bool) -> None:
    """The second router waits for the first one's answer, with all who wait there."""
    async with opened(path, first := Provider(held_at=3), second := Provider()) as (one, two):
        leader = asyncio.create_task(asked(one, streamed=streamed))
        await first.begun.wait()
        others = [asyncio.create_task(asked(two, streamed=streamed)) for _ in range(20)]
        await asyncio.sleep(SHORT_S * 2)  # a lease that is renewed does not lapse
        first.go.set()
        replies = [await task for task in (leader, *others)]
        assert {reply.text for reply in replies} == {TEXT}
        assert Counter(reply.decision.cache for reply in replies) == {"none": 1, "flight": 20}
        assert (first.calls, second.calls) == (1, 0)


async def test_pieces_reach_other_processes_as_they_come(path: str) -> None:
    """A follower elsewhere sees the beginning before the end is there."""
    async with opened(path, first := Provider(held_at=4), Provider()) as (one, two):
        leader = asyncio.create_task(asked(one, streamed=True))
        await first.begun.wait()
        stream = two.astream("hi")
        seen = ""
        while len(seen) < 20:
            seen += (await anext(stream)).text
        assert not leader.done()
        first.go.set()
        seen += "".join([chunk.text async for chunk in stream])
        assert seen == TEXT == (await leader).text


@STREAMED
async def test_when_the_leader_fails_one_elsewhere_asks(path: str, streamed: bool) -> None:
    """Its lease is given up at once, so nobody waits for it to lapse."""
    async with opened(path, first := Provider(DOWN, held_at=0), second := Provider()) as (one, two):
        leader = asyncio.create_task(asked(one, attempts=1, streamed=streamed))
        await first.begun.wait()
        other = asyncio.create_task(asked(two, streamed=streamed))
        await asyncio.sleep(0.05)
        first.go.set()
        assert (await other).text == TEXT
        assert (first.calls, second.calls) == (1, 1)
        assert isinstance(await asyncio.gather(leader, return_exceptions=True), list)


async def test_a_cancelled_leader_gives_up_its_lease(path: str) -> None:
    """Whoever waits elsewhere asks at once."""
    async with opened(path, first := Provider(held_at=0), second := Provider(), lease_s=600) as (one, two):
        leader = asyncio.create_task(asked(one))
        await first.begun.wait()
        other = asyncio.create_task(asked(two))
        await asyncio.sleep(0.05)
        leader.cancel()
        assert (await other).text == TEXT
        assert second.calls == 1


async def test_a_lease_whose_holder_died_lapses(path: str) -> None:
    """Nobody waits for a process that is gone longer than the lease."""
    store = SqliteStore(path)
    async with opened(path, Provider(), provider := Provider()) as (one, two):
        key = one.plan("hi").key
        assert (await store.join(key, "dead", lease_s=SHORT_S)).held
        replies = await asyncio.gather(*(asked(two) for _ in range(3)))
        assert {reply.text for reply in replies} == {TEXT}
        assert provider.calls == 1
        await store.aclose()


async def test_a_follower_elsewhere_waits_no_longer_than_its_deadline(path: str) -> None:
    """Others who follow it go on without it."""
    from router import BoundsExceeded

    async with opened(path, first := Provider(held_at=0), Provider(), lease_s=600) as (one, two):
        leader = asyncio.create_task(asked(one))
        await first.begun.wait()
        hurried = asyncio.create_task(asked(two, deadline_s=0.2))
        await asyncio.sleep(0.05)
        patient = asyncio.create_task(asked(two))
        with pytest.raises(BoundsExceeded):
            await hurried
        first.go.set()
        assert (await patient).text == (await leader).text == TEXT


async def test_a_refreshed_answer_is_seen_elsewhere_when_memory_is_old(path: str) -> None:
    """Memory answers for `memory_ttl_s`, then the store is asked again."""
    first = Provider(answer("old"), answer("new"))
    async with opened(path, first, Provider(), memory_ttl_s=0.2) as (one, two):
        await asked(one)
        assert (await asked(two)).text == "old"
        await asked(one, cache="refresh")
        assert (await asked(two)).text == "old"
        await asyncio.sleep(0.2)
        assert (await asked(two)).text == "new"


async def test_a_hit_elsewhere_that_does_not_count_is_asked_for_once(path: str) -> None:
    """An answer of a model that is not live is replaced by one call, however many want it."""
    first = ScriptedClient({"small": DOWN, "large": answer("large")})
    async with opened(path, first, second := Provider()) as (one, two):
        assert (await asked(one)).text == "large"
        replies = await asyncio.gather(*(asked(two, max_cost_usd="0.0012") for _ in range(10)))
        assert {reply.text for reply in replies} == {TEXT}
        assert second.calls == 1
        assert {reply.model for reply in replies} == {"small"}


async def test_purges_reach_the_store(path: str) -> None:
    """What is purged is gone for others once their memory has forgotten it, and figures tell so."""
    async with opened(path, Provider(), Provider()) as (one, two):
        await asked(one, tenant="acme")
        await asked(one)
        assert (await two.acache_stats()).by_tenant == {"acme": 1, "": 1}
        assert (await two.apurge(Selector(tenant="acme"))).entries == 1
        assert (await two.apurge(Selector(tenant="acme"), dry_run=False)).entries == 1
        stats = await one.acache_stats()
        assert (stats.entries, stats.backend, stats.store, stats.memory_entries) == (1, "sqlite", "closed", 2)


@pytest.fixture
def sealed() -> Iterator[str]:
    """The name of a variable that holds a key, as long as the test runs."""
    import os

    name = "LOWFARE_TEST_SEAL"
    os.environ[name] = secrets.token_hex(32)
    yield name
    del os.environ[name]


@STREAMED
async def test_sealed_answers_are_for_those_who_have_the_key(path: str, sealed: str, streamed: bool) -> None:
    """With the key a hit; with another one, or none, a miss; and no text in the file."""
    import os

    async with opened(path, first := Provider(held_at=4), second := Provider(), key_env=sealed) as (one, two):
        leader = asyncio.create_task(asked(one, streamed=streamed))
        await first.begun.wait()
        other = asyncio.create_task(asked(two, streamed=streamed))
        await asyncio.sleep(0.1)
        first.go.set()
        assert (await leader).text == (await other).text == TEXT
        assert second.calls == 0
    raw = b"".join(file.read_bytes() for file in Path(path).parent.iterdir() if file.is_file())
    assert b"quick" not in raw
    os.environ[sealed] = secrets.token_hex(32)
    async with opened(path, third := Provider(), key_env=sealed) as (three,):
        assert (await asked(three)).decision.cache == "none"
    async with opened(path, fourth := Provider()) as (four,):
        assert (await asked(four)).decision.cache == "none"
    assert (third.calls, fourth.calls) == (1, 1)


class Down:
    """A store that is down.

    Args:
        fail: what every call does.
    """

    def __init__(self, fail: Callable[[], Awaitable[Any]]) -> None:
        self._fail = fail
        self.calls = 0

    async def _any(self) -> Any:
        self.calls += 1
        return await self._fail()

    async def get(self, key: str, /) -> bytes | None:
        found: bytes | None = await self._any()
        return found

    async def put(self, key: str, value: bytes, /, *, label: bytes, ttl_s: float, holder: str | None = None) -> None:
        await self._any()

    async def delete(self, keys: Any, /) -> None:
        await self._any()

    async def scan(self) -> AsyncIterator[Any]:
        yield await self._any()

    async def join(self, key: str, holder: str, /, *, lease_s: float) -> Joined:
        found: Joined = await self._any()
        return found

    async def renew(self, key: str, holder: str, /, *, lease_s: float, pieces: Any = ()) -> bool:
        found: bool = await self._any()
        return found

    async def watch(self, key: str, /, *, since: int = 0) -> Watched:
        found: Watched = await self._any()
        return found

    async def leave(self, key: str, holder: str, /) -> None:
        await self._any()

    async def aclose(self) -> None:
        """Has nothing open."""


async def _raise() -> Any:
    raise ConnectionRefusedError("redis://:password@host")


async def _hang() -> Any:
    await asyncio.Event().wait()


@STREAMED
@pytest.mark.parametrize("fail", [_raise, _hang])
async def test_a_store_that_is_down_costs_a_warning_and_no_answer(
    fail: Callable[[], Awaitable[Any]], streamed: bool
) -> None:
    """One warning that shows no password; then the store is left alone, and memory still works."""
    store = Down(fail)
    router = routed(provider := Provider(), store=store)
    with pytest.warns(RouterWarning) as warned:
        assert (await asked(router, streamed=streamed)).text == TEXT
    assert len(warned) == 1
    assert "password" not in str(warned[0].message)
    assert store.calls == 1
    assert (await asked(router, streamed=streamed)).decision.cache == "memory"
    replies = await asyncio.gather(*(asked(router, "another", streamed=streamed) for _ in range(10)))
    assert {reply.text for reply in replies} == {TEXT}
    assert provider.calls == 2
    with pytest.raises((RouterError, TimeoutError)) as caught:
        await asyncio.wait_for(router.acache_stats(), 0.1)
    assert "password" not in str(caught.value)


class Stranger(Down):
    """A store that has something else under every key."""

    def __init__(self, value: bytes) -> None:
        super().__init__(_raise)
        self._value = value

    async def get(self, key: str, /) -> bytes | None:
        return self._value

    async def put(self, key: str, value: bytes, /, *, label: bytes, ttl_s: float, holder: str | None = None) -> None:
        """Forgets it."""

    async def join(self, key: str, holder: str, /, *, lease_s: float) -> Joined:
        return Joined(held=True, value=self._value)

    async def renew(self, key: str, holder: str, /, *, lease_s: float, pieces: Any = ()) -> bool:
        return False

    async def leave(self, key: str, holder: str, /) -> None:
        """Holds nothing."""


@pytest.mark.parametrize("value", [b"", b"[]", b'{"v": 1}', b"\x80\x04pickle", b"[0,1,2]"])
async def test_what_is_no_answer_of_ours_is_a_miss(value: bytes) -> None:
    """Old versions, foreign values and rubbish are asked anew, without a word."""
    kept = Kept()
    router = routed(Provider(), kept, store=Stranger(value))
    assert (await asked(router)).decision.cache == "none"
    assert kept.decisions[0].ending == "answer"


async def test_an_answer_of_what_had_the_name_before_is_none(path: str) -> None:
    """A model whose id was changed under its name is another model."""
    async with opened(path, Provider()) as (one,):
        await asked(one)
    models = {
        "small": {
            "id": "simulated/newer",
            "client": "simulated",
            "input_usd_per_mtok": "1",
            "output_usd_per_mtok": "1",
            "context_window_tokens": 10_000,
        }
    }
    policies = {"default": {"kind": "fallback", "models": ["small"]}}
    two = routed(provider := Provider(), models=models, policies=policies, cache={"backend": "sqlite", "path": path})
    reply = await asked(two)
    assert provider.calls == 1
    assert reply.decision.lookup is not None
    assert reply.decision.lookup.refused == "small is simulated/newer now, not simulated/small"
    await two.aclose()


class Failing(SqliteStore):
    """A store that fails when it is told to."""

    watching = True
    garbled = False

    async def watch(self, key: str, /, *, since: int = 0) -> Watched:
        """Fails, or spoils what it shows."""
        if not self.watching:
            raise ConnectionResetError
        seen = await super().watch(key, since=since)
        if self.garbled and seen.pieces:
            pieces = [b"spoilt" if number == 2 else piece for number, piece in enumerate(seen.pieces, since)]
            return Watched(holder=seen.holder, value=seen.value, pieces=tuple(pieces))
        return seen


async def test_a_store_that_goes_down_half_way_leaves_no_text_twice(path: str) -> None:
    """Who was following elsewhere asks itself, and those who follow here see each piece once."""
    store = Failing(path)
    async with opened(path, first := Provider(held_at=4)) as (one,):
        leader = asyncio.create_task(asked(one, streamed=True))
        await first.begun.wait()
        two = routed(second := Provider(), store=store)
        relay = two.astream("hi")
        seen = (await anext(relay)).text
        follower = asyncio.create_task(asked(two, streamed=True))
        await asyncio.sleep(0)
        store.watching = False
        with pytest.warns(RouterWarning):
            seen += "".join([chunk.text async for chunk in relay])
        assert seen == (await follower).text == TEXT
        assert second.calls == 1
        first.go.set()
        await leader
        await two.aclose()


async def test_a_piece_that_cannot_be_read_ends_the_pieces_and_not_the_answer(path: str) -> None:
    """What comes after it is not shown out of its place: the whole answer is, when it is there."""
    store = Failing(path)
    store.garbled = True
    async with opened(path, first := Provider(held_at=4)) as (one,):
        leader = asyncio.create_task(asked(one, streamed=True))
        await first.begun.wait()
        two = routed(second := Provider(), store=store)
        stream = two.astream("hi")
        seen = (await anext(stream)).text
        await asyncio.sleep(0.2)
        first.go.set()
        seen += "".join([chunk.text async for chunk in stream])
        assert seen == TEXT == (await leader).text
        assert second.calls == 0
        await two.aclose()


class Slow(SqliteStore):
    """A store that is well, and far away."""

    async def get(self, key: str, /) -> bytes | None:
        await asyncio.sleep(0.018)
        return await super().get(key)

    async def join(self, key: str, holder: str, /, *, lease_s: float) -> Joined:
        await asyncio.sleep(0.018)
        return await super().join(key, holder, lease_s=lease_s)

    async def put(self, key: str, value: bytes, /, *, label: bytes, ttl_s: float, holder: str | None = None) -> None:
        await asyncio.sleep(0.018)
        await super().put(key, value, label=label, ttl_s=ttl_s, holder=holder)


async def test_a_store_that_is_slow_keeps_answers_too(path: str) -> None:
    """What its look took is not taken off the time that the answer has to be stored in."""
    async with opened(path, Provider()) as (other,):
        router = routed(Provider(), store=Slow(path))
        await asked(router)
        assert (await asked(other)).decision.cache == "shared"
        await router.aclose()


def test_closing_a_router_with_requests_in_flight_leaves_nothing_open(path: str) -> None:
    """The store is closed after those who use it have ended."""
    before = {thread.name for thread in threading.enumerate()}
    router = routed(provider := Provider(held_at=0), cache={"backend": "sqlite", "path": path})
    ended: list[type[BaseException]] = []

    def call() -> None:
        try:
            router.complete("hi")
        except BaseException as error:  # noqa: BLE001 - which one is told below
            ended.append(type(error))

    caller = threading.Thread(target=call)
    caller.start()
    while not provider.calls:
        time.sleep(0.01)
    router.close()
    caller.join()
    assert ended == [CancelledError]
    assert {thread.name for thread in threading.enumerate()} == before
