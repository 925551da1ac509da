from __future__ import annotations

import asyncio
import gc
import os
import random
import subprocess
import sys
import time
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import redis.asyncio
from redis.exceptions import RedisError, ResponseError

from router.cache.redis import RedisStore
from router.cache.store import Joined, Watched
from router.errors import ConfigError
from router.registry import installed
from router.state.redis_lines import Lines
from router.testing.store_promises import LONG_S, in_threads, new_key
from router.testing.store_stress import belongs, value_for
from router.testing.stores import STORE_CHECKS, StoreCheck
from tests.redis_server import RedisServer

SECRET = "s3cr3t-p4ssw0rd"
SOON_S = 0.3
"""How long connections wait where the server is paused."""


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """Gives a server that all tests of this file share: each has keys of its own."""
    with RedisServer() as running:
        yield running


@pytest.fixture
def victim() -> Iterator[RedisServer]:
    """Gives a server of the test's own, to pause and to kill."""
    with RedisServer() as running:
        yield running


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisServer]:
    """Gives a cluster of one node; it takes two seconds to come up."""
    with RedisServer(cluster=True) as running:
        yield running


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., RedisStore]]:
    """Makes stores, and closes them when the test is over, however it ends."""
    made: list[RedisStore] = []

    def one_more(url: str, **options: Any) -> RedisStore:
        made.append(RedisStore(url, **options))
        return made[-1]

    yield one_more
    for store in made:
        await store.aclose()


@pytest.fixture
def store(server: RedisServer, make: Callable[..., RedisStore]) -> RedisStore:
    """Gives a store on the shared server."""
    return make(server.url)


@pytest.mark.parametrize("check", STORE_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("way", ["tcp", "unix"])
async def test_it_is_a_store(server: RedisServer, check: StoreCheck, way: str) -> None:
    """It keeps what the protocol promises, over TCP and over a unix socket."""
    url = server.url if way == "tcp" else server.unix_url
    await check(lambda: RedisStore(url))


@pytest.mark.parametrize("check", STORE_CHECKS, ids=lambda check: check.__name__)
async def test_it_is_a_store_in_a_cluster(cluster: RedisServer, check: StoreCheck) -> None:
    """It keeps the same promises in a cluster, which refuses what touches more than one of its slots."""
    await check(lambda: RedisStore(cluster.url, cluster=True))


def test_it_is_found_by_its_kind() -> None:
    """The entry point gives the class."""
    assert installed("lowfare.caches").load("redis") is RedisStore


def test_the_extra_is_named_where_it_is_missing() -> None:
    """`import router` does without redis-py; who asks for the store without it learns what to install."""
    code = (
        "import sys; import router; assert 'redis' not in sys.modules; sys.modules['redis'] = None\n"
        "from router.registry import installed; installed('lowfare.caches').load('redis')"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stderr.strip().endswith("which is not installed: pip install 'lowfare[redis]'")


@pytest.mark.parametrize(
    "url",
    [
        "localhost:6379",
        "http://localhost",
        "redis://:{}@localhost:port",
        "redis://:a/{}@localhost",
        "redis://:a?{}=b@localhost",
        "redis://localhost?{}=1",
        "redis://localhost/0?socket_keepalive=yes&db=x{}",
        "redis://[{}",
    ],
)
@pytest.mark.parametrize("clustered", [False, True])
def test_addresses_that_cannot_be_read(url: str, clustered: bool) -> None:
    """They are refused before anyone connects, and shown nowhere: there may be a password in them."""
    with pytest.raises(ConfigError, match="allowed are redis://") as caught:
        RedisStore(url.format(SECRET), cluster=clustered)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("url", ["redis://localhost/1", "unix:///tmp/socket"])
def test_addresses_that_are_no_clusters(url: str) -> None:
    """A cluster has one database, and is reached over TCP only."""
    RedisStore(url)
    with pytest.raises(ConfigError, match="database 0 only"):
        RedisStore(url, cluster=True)


def test_prefixes_have_no_braces() -> None:
    """They would move everything into one slot of a cluster."""
    with pytest.raises(ConfigError, match="brace"):
        RedisStore("redis://localhost", prefix="a{b}")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"valkey://user:{SECRET}@cache:7000/2", "RedisStore(cache:7000/2, prefix='lowfare', cluster=False)"),
        (f"rediss://:{SECRET}@cache", "RedisStore(cache:6379/0, prefix='lowfare', cluster=False)"),
        (f"unix://user:{SECRET}@/run/redis?db=1", "RedisStore(/run/redis/1, prefix='lowfare', cluster=False)"),
    ],
)
def test_it_shows_where_it_is_and_no_password(url: str, shown: str) -> None:
    """Its repr has the place only."""
    assert repr(RedisStore(url)) == shown


@pytest.mark.parametrize(
    ("scheme", "first"), [("redis", b"*"), ("valkey", b"*"), ("rediss", b"\x16"), ("valkeys", b"\x16")]
)
@pytest.mark.parametrize("clustered", [False, True])
async def test_schemes_with_an_s_speak_tls(
    scheme: str, first: bytes, clustered: bool, make: Callable[..., RedisStore]
) -> None:
    """Valkey's schemes are Redis' own; those with an s begin with a TLS handshake, the others with a command."""
    heard: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(1))
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1") as listener:
        port = listener.sockets[0].getsockname()[1]
        store = make(f"{scheme}://127.0.0.1:{port}", cluster=clustered)
        with pytest.raises(RedisError):
            await store.get(new_key())
    # Were anything tried again, there would be two.
    assert heard == [first]


@pytest.mark.parametrize("clustered", [False, True])
async def test_a_wrong_password_is_told_without_it(clustered: bool, make: Callable[..., RedisStore]) -> None:
    """Redis refuses; neither password is in what is raised."""
    with RedisServer(password="the-right-one") as locked:
        right = make(locked.url)
        await right.put(new_key(), b"value", label=b"", ttl_s=LONG_S)
        wrong = make(locked.url.replace("the-right-one", SECRET), cluster=clustered)
        with pytest.raises(RedisError) as caught:
            await wrong.get(new_key())
    text = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert "invalid username-password pair" in text
    assert SECRET not in text
    assert "the-right-one" not in text


async def test_errors_quote_no_value(server: RedisServer) -> None:
    """Where Redis quotes a command that it does not know, the quote is left out, alone and in a batch."""
    lines = Lines(lambda: redis.asyncio.Redis.from_url(server.url, protocol=2), answer_s=60.0)
    asked = (lines.ask("NOSUCH", b"private answer") for _ in range(20))
    for error in (
        *await asyncio.gather(*asked, return_exceptions=True),
        await _raised(lines.ask("NOSUCH", b"private")),
    ):
        assert isinstance(error, ResponseError)
        assert "NOSUCH" in str(error)
        assert "private" not in repr(error)
    await lines.aclose()


class _Gated:
    """A client of Redis, its pool and its connections in one, whose answers come when they are let."""

    def __init__(self) -> None:
        self.gates: list[asyncio.Future[bytes]] = []
        self.connection_pool = self

    async def get_connection(self) -> _Gated:
        return self

    async def ensure_connection(self, _: _Gated) -> None:
        """Is connected."""

    async def send_packed_command(self, _: Any, *, check_health: bool) -> None:
        """Loses it."""

    async def parse_response(self, *_: Any) -> bytes:
        self.gates.append(asyncio.get_running_loop().create_future())
        return await self.gates[-1]

    async def aclose(self) -> None:
        """Has nothing open."""


async def _turns() -> None:
    """Lets everything run that is ready, and what that makes ready."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_line_that_has_ended_keeps_no_other_from_beginning() -> None:
    """When all lines end at one moment, whoever asks next, in that very moment, is not left waiting for one of them."""
    client: Any = _Gated()
    lines = Lines(lambda: client, answer_s=60.0)

    async def ask(times: int) -> None:
        for _ in range(times):
            await lines.ask("GET", b"key")

    async with asyncio.TaskGroup() as tasks:
        for busy in range(1, 9):
            tasks.create_task(ask(2 if busy == 1 else 1))
            await _turns()
            assert len(client.gates) == busy
        for gate in client.gates:
            gate.set_result(b"")
        await _turns()
        assert len(client.gates) == 9
        client.gates[-1].set_result(b"")
    await lines.aclose()


async def test_a_look_is_one_command(server: RedisServer, store: RedisStore) -> None:
    """A value is found in one round trip, and so is every other step."""
    key = new_key()
    for step in (
        lambda: store.put(key, b"value", label=b"", ttl_s=LONG_S),
        lambda: store.get(key),
        lambda: store.join(key, "holder", lease_s=LONG_S),
        lambda: store.renew(key, "holder", lease_s=LONG_S, pieces=[b"piece"]),
        lambda: store.watch(key),
        lambda: store.leave(key, "holder"),
    ):
        await step()  # the first time sends the script
        with server.client() as watcher:
            before = watcher.info("stats")["total_reads_processed"]
            await step()
            # One for the step, one for the look at it.
            assert watcher.info("stats")["total_reads_processed"] - before == 2


async def test_all_that_it_writes_ends(server: RedisServer, make: Callable[..., RedisStore]) -> None:
    """Every name has a time, also where the time of a value is beyond what Redis counts."""
    own = make(server.url, prefix="ends")
    key = new_key()
    await own.join(key, "holder", lease_s=LONG_S)
    await own.renew(key, "holder", lease_s=LONG_S, pieces=[b"piece"])
    await own.put(key, b"value", label=b"", ttl_s=float("inf"))
    names = server.command("KEYS", "ends:*")
    assert sorted(names) == sorted(b"ends:{%s}:%s" % (key.encode(), w) for w in (b"value", b"lease", b"pieces"))
    assert all(server.command("PTTL", name) > 0 for name in names)


async def test_other_names_are_left_alone(server: RedisServer, make: Callable[..., RedisStore]) -> None:
    """Neither a scan nor a purge touches what another application, or a store with another prefix, keeps there."""
    key, mine, glob = new_key(), make(server.url, prefix="a[b]*"), make(server.url, prefix="a[b]*c")
    await glob.put(key, b"glob", label=b"", ttl_s=LONG_S)
    foreign = (
        "other",
        "a[b]*:{x}:value",
        f"a[b]*:{{{key}}}:other",
        f"ab:{{{key}}}:value",
        f"a[b]*:{{{key.upper()}}}:value",
    )
    for name in foreign:
        server.command("SET", name, "theirs")
    await mine.put(key, b"mine", label=b"label", ttl_s=LONG_S)
    rows = [row async for row in mine.scan()]
    assert [(row.key, row.label, row.size_bytes) for row in rows] == [(key, b"label", 4)]
    await mine.delete([row.key for row in rows])
    assert await mine.get(key) is None
    assert await glob.get(key) == b"glob"
    assert [server.command("GET", name) for name in foreign] == [b"theirs"] * len(foreign)


async def test_a_scan_of_many_takes_pages(server: RedisServer, make: Callable[..., RedisStore]) -> None:
    """Each value comes once, however many there are; what is deleted in between may be missing."""
    own = make(server.url, prefix="many")
    keys = [new_key() for _ in range(2_000)]
    await asyncio.gather(*(own.put(key, b"value", label=b"", ttl_s=LONG_S) for key in keys))
    seen: list[str] = []
    async for row in own.scan():
        if not seen:
            await own.delete(keys[1000:])
        seen.append(row.key)
    assert len(seen) == len(set(seen))
    assert set(keys[:1000]) <= set(seen) < set(keys)


async def test_a_cluster_of_two_nodes(make: Callable[..., RedisStore]) -> None:
    """Every value is found on the node that has its slot, also when a slot has moved; scans and purges visit both."""
    with (
        RedisServer(cluster=True, slots=(0, 8_191)) as low,
        RedisServer(cluster=True, slots=(8_192, 16_383)) as high,
    ):
        low.meet(high)
        store, keys = make(high.url, cluster=True), [new_key() for _ in range(100)]
        for key in keys:
            await store.put(key, value_for(key, b""), label=b"", ttl_s=LONG_S)
        assert low.command("DBSIZE") + high.command("DBSIZE") == 100
        assert low.command("DBSIZE") * high.command("DBSIZE") > 0
        assert {row.key async for row in store.scan()} == set(keys)

        slots = {key: low.command("CLUSTER", "KEYSLOT", f"{{{key}}}") for key in keys}
        moved = next(key for key, slot in slots.items() if slot < 8_192)
        low.command("DEL", *low.command("CLUSTER", "GETKEYSINSLOT", slots[moved], 100))
        heir = high.command("CLUSTER", "MYID")
        for server in (high, low):
            server.command("CLUSTER", "SETSLOT", slots[moved], "NODE", heir)
        assert await store.get(moved) is None
        assert (await store.join(moved, "holder", lease_s=LONG_S)).held

        await store.delete(keys)
        assert [row async for row in store.scan()] == []


@pytest.mark.parametrize("clustered", [False, True])
async def test_a_thousand_at_once_share_few_connections(
    server: RedisServer, cluster: RedisServer, clustered: bool, make: Callable[..., RedisStore]
) -> None:
    """They all have their own answer, and the server never sees more connections than there are lines."""
    target = cluster if clustered else server
    store = make(f"{target.url}?client_name=crowd", cluster=clustered)
    keys = [new_key() for _ in range(1_000)]
    await asyncio.gather(*(store.put(key, value_for(key, b""), label=b"", ttl_s=LONG_S) for key in keys))
    found = await asyncio.gather(*(store.get(key) for key in keys))
    assert found == [value_for(key, b"") for key in keys]
    assert 1 <= _connected(target, "crowd") <= (40 if clustered else 8)


@pytest.mark.parametrize("clustered", [False, True])
async def test_a_server_that_comes_back_empty(clustered: bool, make: Callable[..., RedisStore]) -> None:
    """It has lost the values, the leases and the scripts; after one failed call at most, all goes on."""
    with RedisServer(cluster=clustered) as victim:
        store, key = make(victim.url, cluster=clustered), new_key()
        await store.put(key, b"value", label=b"", ttl_s=LONG_S)
        assert await store.join(key, "holder", lease_s=LONG_S) == Joined(held=True, value=b"value")
        victim.kill()
        for _ in range(3):
            with pytest.raises((RedisError, OSError)):
                await store.get(key)
        victim.start()
        if clustered:  # redis-py notices that a connection is gone when it writes to it
            await _raised(store.get(key))
        assert await store.get(key) is None
        assert await store.watch(key) == Watched(holder=None)
        assert await store.join(key, "other", lease_s=LONG_S) == Joined(held=True)
        assert await store.renew(key, "other", lease_s=LONG_S, pieces=[b"piece"])
        await store.put(key, b"newer", label=b"", ttl_s=LONG_S, holder="other")
        assert await store.watch(key) == Watched(holder=None, value=b"newer")


@pytest.mark.parametrize("clustered", [False, True])
async def test_a_paused_server_holds_nobody(clustered: bool, make: Callable[..., RedisStore]) -> None:
    """Calls end by themselves while it is silent, and those that are cancelled leave no answer to others."""
    with RedisServer(cluster=clustered) as victim:
        calm, store = make(victim.url, cluster=clustered), make(victim.url, cluster=clustered, answer_s=SOON_S)
        keys = [new_key() for _ in range(100)]
        for key in keys:
            await calm.put(key, value_for(key, b"body"), label=b"", ttl_s=LONG_S)
        for _ in range(2):
            victim.pause()
            with pytest.raises((TimeoutError, RedisError)):
                await store.get(keys[0])
            calls = [asyncio.create_task(store.get(key)) for key in keys]
            await asyncio.sleep(0.02)
            for call in calls[::2]:
                call.cancel()
            await asyncio.wait(calls[::2])
            victim.resume()
            await asyncio.wait(calls)
            for call, key in zip(calls[1::2], keys[1::2], strict=True):
                assert call.exception() is not None or call.result() == value_for(key, b"body")
            for key in keys:
                assert await _answer(store, key) == value_for(key, b"body")


@pytest.mark.parametrize("clustered", [False, True])
async def test_cancelled_calls_mix_no_answers_up(
    server: RedisServer, cluster: RedisServer, clustered: bool, make: Callable[..., RedisStore]
) -> None:
    """Calls cancelled at random, at any moment of their way, leave every other one with the answer that is its own."""
    draw = random.Random(1)
    store = make((cluster if clustered else server).url, cluster=clustered)
    keys = [new_key() for _ in range(50)]
    for key in keys:
        await store.put(key, value_for(key, draw.randbytes(draw.choice((10, 4_000, 100_000)))), label=b"", ttl_s=LONG_S)

    async def read(key: str) -> None:
        found = await (store.get(key) if draw.random() < 0.5 else _watched(store, key))
        assert found is not None
        assert belongs(key, found)

    for _ in range(60):
        calls = [asyncio.create_task(read(draw.choice(keys))) for _ in range(draw.randrange(1, 60))]
        while doomed := [call for call in calls if not call.done() and draw.random() < 0.3]:
            await asyncio.sleep(draw.choice((0, 0, 0, 0.0005)))
            doomed[0].cancel()
        await asyncio.wait(calls)
        assert not [error for call in calls if not call.cancelled() and (error := call.exception())]


async def test_lines_that_give_up_mix_no_answers_up(victim: RedisServer, make: Callable[..., RedisStore]) -> None:
    """A server that stalls now and then, for longer than a line waits, makes calls fail and never answers wrongly."""
    calm, store, keys = make(victim.url), make(victim.url, answer_s=SOON_S), [new_key() for _ in range(20)]
    for key in keys:
        await calm.put(key, value_for(key, b"body" * 1_000), label=b"", ttl_s=LONG_S)
    failed = 0

    async def read(key: str) -> None:
        nonlocal failed
        while stalling.is_set():
            try:
                found = await store.get(key)
            except (RedisError, OSError):
                failed += 1
            else:
                assert found == value_for(key, b"body" * 1_000)
            await asyncio.sleep(0)

    stalling = asyncio.Event()
    stalling.set()
    readers = [asyncio.create_task(read(key)) for key in keys]
    for _ in range(2):
        await asyncio.sleep(0.05)
        victim.pause()
        await asyncio.sleep(1.5 * SOON_S)
        victim.resume()
    stalling.clear()
    await asyncio.gather(*readers)
    assert failed


@pytest.mark.parametrize("clustered", [False, True])
async def test_closing_ends_what_is_under_way(clustered: bool, make: Callable[..., RedisStore]) -> None:
    """Who waits for an answer when the store is closed gets an error, as from a server that is down."""
    with RedisServer(cluster=clustered) as victim:
        store = make(victim.url, cluster=clustered)
        await store.get(new_key())
        victim.pause()
        calls = [asyncio.create_task(store.get(new_key())) for _ in range(300)]
        await asyncio.sleep(0.02)
        await store.aclose()
        await asyncio.wait(calls)
        assert all(isinstance(call.exception(), RedisError) for call in calls)


async def test_threads_close_their_own_connections(server: RedisServer, store: RedisStore) -> None:
    """A loop that closes the store leaves those of others alone."""
    key = new_key()
    await store.put(key, b"value", label=b"", ttl_s=LONG_S)

    async def look(_: int) -> bytes | None:
        return await store.get(key)

    for _ in range(5):
        calls = [asyncio.create_task(store.get(key)) for _ in range(20)]
        assert await in_threads(2, look, store.aclose) == [b"value"] * 2
        assert await asyncio.gather(*calls) == [b"value"] * 20


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the loops of this test end without closing anything
@pytest.mark.parametrize("clustered", [False, True])
def test_loops_that_ended_are_let_go(server: RedisServer, cluster: RedisServer, clustered: bool) -> None:
    """Who calls `asyncio.run` again and again, and closes nothing, piles up no connections."""
    target = cluster if clustered else server
    store = RedisStore(f"{target.url}?client_name=careless", cluster=clustered)
    for _ in range(10):
        assert asyncio.run(store.get(new_key())) is None
        gc.collect()
    assert 1 <= _connected(target, "careless") <= 4  # the server may not have seen the end of the last ones
    asyncio.run(store.aclose())
    gc.collect()
    while _connected(target, "careless"):
        time.sleep(0.01)


@pytest.mark.parametrize("clustered", [False, True])
def test_a_program_that_closes_nothing_says_nothing(server: RedisServer, cluster: RedisServer, clustered: bool) -> None:
    """It ends without a line on stderr."""
    target = cluster if clustered else server
    code = (
        "import asyncio; from router.cache.redis import RedisStore\n"
        f"store = RedisStore({target.url!r}, cluster={clustered})\n"
        f"for _ in range(3): print(asyncio.run(store.get({new_key()!r})))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "None\n" * 3, "")


@pytest.mark.parametrize("clustered", [False, True])
def test_forked_children_have_connections_of_their_own(
    server: RedisServer, cluster: RedisServer, clustered: bool
) -> None:
    """A child shares its parent's store and none of its connections, whoever is first to use or to close them."""
    store, key = RedisStore((cluster if clustered else server).url, cluster=clustered), new_key()
    with asyncio.Runner() as runner:
        runner.run(store.put(key, b"value", label=b"", ttl_s=LONG_S))
        child = os.fork()
        if child == 0:
            fine = [asyncio.run(_look_and_close(store, key)) == b"value" for _ in range(20)]
            gc.collect()
            os._exit(0 if all(fine) else 1)
        for _ in range(20):
            assert runner.run(store.get(key)) == b"value"
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert runner.run(store.get(key)) == b"value"
        runner.run(store.aclose())


def _connected(server: RedisServer, name: str) -> int:
    """Returns how many clients of a name are connected."""
    return sum(client["name"] == name for client in server.command("CLIENT LIST"))


async def _look_and_close(store: RedisStore, key: str) -> bytes | None:
    found = await store.get(key)
    await store.aclose()
    return found


async def _watched(store: RedisStore, key: str) -> bytes | None:
    return (await store.watch(key)).value


async def _raised(call: Any) -> Exception | None:
    """Returns what a call raised."""
    try:
        await call
    except (RedisError, OSError) as error:
        return error
    return None


async def _answer(store: RedisStore, key: str) -> bytes | None:
    """Returns the value, however often it takes to get an answer."""
    while True:
        with suppress(RedisError, OSError):
            return await store.get(key)
        await asyncio.sleep(0.01)
