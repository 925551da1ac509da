"""Counters: one suite for memory, SQLite and Redis, alone and as a cluster."""

from __future__ import annotations

import asyncio
import os
import secrets
import sqlite3
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.alerts.counters import KEPT_S, REMEMBERED_S, Counters
from router.alerts.counters_memory import MemoryCounters
from router.alerts.counters_redis import RedisCounters
from router.alerts.counters_sqlite import SqliteCounters
from router.core.counting import QUARTER_S, Of, added
from router.errors import ConfigError
from tests.redis_server import RedisServer
from tests.source_tree import ROOT

Make = Callable[[], Counters]
BACKENDS = ["memory", "sqlite", "redis", "cluster"]
START_S = 1_800_000_000 // QUARTER_S * QUARTER_S
SPENT: Of = ("spent_nano", "")
OURS: Of = ("failures", "our model: größer\x00")

SHIFTS = count()
COUNTS = st.dictionaries(
    st.integers(0, 7).map(lambda number: START_S + number * QUARTER_S),
    st.dictionaries(st.sampled_from([SPENT, OURS, ("judged", "")]), st.integers(0, 2**53), max_size=3),
    max_size=4,
)


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, RedisServer]]:
    """Gives a server alone, and a cluster."""
    with RedisServer() as redis, RedisServer(cluster=True) as cluster:
        yield {"redis": redis, "cluster": cluster}


@pytest.fixture(params=BACKENDS)
def make(request: pytest.FixtureRequest, servers: dict[str, RedisServer], tmp_path: Path) -> Make:
    """Gives what makes one more of counters on the same, new data, as another process would."""
    prefix = f"test-{secrets.token_hex(4)}"
    match request.param:
        case "memory":
            memory = MemoryCounters()
            return lambda: memory
        case "sqlite":
            return lambda: SqliteCounters(tmp_path / prefix / "counters.db")
        case kind:
            return lambda: RedisCounters(servers[kind].url, cluster=kind == "cluster", prefix=prefix)


async def test_what_is_added_is_read(make: Make) -> None:
    """Sums over the quarters of each range, its end left out; by whoever opens them; exact beyond 2**53."""
    here, there = make(), make()
    large = 2**53 + 1
    await here.add("a", {START_S: {SPENT: large, OURS: 1}, START_S + QUARTER_S: {SPENT: 2}}, now_s=START_S)
    await there.add("b", {START_S: {SPENT: large}}, now_s=START_S)
    ranges = [
        (START_S, START_S + QUARTER_S),
        (START_S, START_S + 2 * QUARTER_S),
        (START_S - 40 * 86_400, START_S),
        (START_S - 2 * 86_400, START_S + 86_400),
    ]
    both = {SPENT: 2 * large + 2, OURS: 1}
    assert await there.read(ranges) == [{SPENT: 2 * large, OURS: 1}, both, {}, both]
    assert await here.read([]) == []
    await here.aclose()
    await there.aclose()


async def test_a_batch_counts_once(make: Make) -> None:
    """Whoever does not know whether it was added may add it again, in another process too."""
    here, there = make(), make()
    for counters in (here, there, here):
        await counters.add("same", {START_S: {SPENT: 5}}, now_s=START_S)
    await here.add("other", {}, now_s=START_S)
    assert await here.read([(START_S, START_S + QUARTER_S)]) == [{SPENT: 5}]
    await here.aclose()
    await here.aclose()
    assert await here.read([(START_S, START_S + QUARTER_S)]) == [{SPENT: 5}]
    await here.aclose()
    await there.aclose()


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(COUNTS, max_size=5), st.integers(0, 8), st.integers(0, 8))
def test_counters_add_up(make: Make, batches: list[dict[int, dict[Of, int]]], first: int, last: int) -> None:
    """Any range says what was added to its quarters, whatever the batches were."""
    shift_s = next(SHIFTS) * 100 * QUARTER_S  # later than all examples before, as they share the data

    async def told() -> list[dict[Of, int]]:
        counters = make()
        for batch in batches:
            moved = {start_s + shift_s: sums for start_s, sums in batch.items()}
            await counters.add(secrets.token_hex(8), moved, now_s=START_S)
        edges = (START_S + first * QUARTER_S + shift_s, START_S + last * QUARTER_S + shift_s)
        read = list(await counters.read([edges]))
        await counters.aclose()
        return read

    expected: dict[Of, int] = {}
    for batch in batches:
        for start_s, sums in batch.items():
            if START_S + first * QUARTER_S <= start_s < START_S + last * QUARTER_S:
                expected = added(expected, sums)
    assert asyncio.run(told()) == [expected]


async def test_nothing_is_lost_between_threads(make: Make) -> None:
    """Threads with event loops of their own, as processes would, add at once: all of it counts."""

    def work(_: int) -> None:
        async def add() -> None:
            counters = make()
            for _ in range(10):
                await counters.add(secrets.token_hex(8), {START_S: {SPENT: 1, OURS: 2}}, now_s=START_S)
            await counters.aclose()

        asyncio.run(add())

    with ThreadPoolExecutor(4) as pool:
        await asyncio.gather(*(asyncio.get_running_loop().run_in_executor(pool, work, number) for number in range(4)))
    counters = make()
    assert await counters.read([(START_S, START_S + QUARTER_S)]) == [{SPENT: 40, OURS: 80}]
    await counters.aclose()


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_what_is_old_is_forgotten(kind: str, tmp_path: Path) -> None:
    """Quarters after `KEPT_S`, ids of batches after `REMEMBERED_S`, so that neither grows for ever."""
    counters: Counters = MemoryCounters() if kind == "memory" else SqliteCounters(tmp_path / "counters.db")
    await counters.add("a", {START_S: {SPENT: 1}, START_S + QUARTER_S: {SPENT: 1}}, now_s=START_S)
    await counters.add("a", {START_S: {SPENT: 1}}, now_s=START_S + REMEMBERED_S + 1)
    everything = (START_S, START_S + QUARTER_S * 10)
    assert await counters.read([everything]) == [{SPENT: 3}]
    await counters.add("b", {}, now_s=START_S + KEPT_S + 1)
    assert await counters.read([everything]) == [{SPENT: 1}]


async def test_redis_forgets_by_its_own_clock(servers: dict[str, RedisServer]) -> None:
    """Every name that is written has an end of its life."""
    counters = RedisCounters(servers["redis"].url, prefix="forgets")
    await counters.add("a", {START_S: {SPENT: 1}}, now_s=START_S)
    names: list[bytes] = servers["redis"].command("KEYS", "forgets:*")
    lives = {name: servers["redis"].command("TTL", name) for name in names}
    assert {name.decode().split(":")[2]: life for name, life in lives.items()} == {
        "quarter": pytest.approx(KEPT_S, abs=60),
        "batch": pytest.approx(REMEMBERED_S, abs=60),
    }
    await counters.aclose()


def test_the_address_of_redis_is_not_shown() -> None:
    """It may hold a password; what has a brace in its name would not stay on one node."""
    shown = repr(RedisCounters("redis://:hunter2@localhost:6379/3", prefix="mine"))
    assert shown == "RedisCounters(localhost:6379/3, prefix='mine')"
    for url, prefix in (("http://:hunter2@localhost", "mine"), ("redis://:hunter2@localhost", "{x}")):
        with pytest.raises(ConfigError) as caught:
            RedisCounters(url, prefix=prefix)
        assert "hunter2" not in str(caught.value)


def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    """It is not filled, and the error says so; as it does of a folder, of nothing, and of a later version."""
    theirs = tmp_path / "theirs.db"
    with sqlite3.connect(theirs) as connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()
    later = tmp_path / "later.db"
    SqliteCounters(later)
    with sqlite3.connect(later) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    (tmp_path / "broken.db").write_bytes(b"no database at all, but a text of some length")
    for path, says in (
        (theirs, "a database of something else"),
        (later, "another version"),
        (tmp_path, "cannot be opened"),
        (tmp_path / "broken.db", "may be deleted"),
        ("", "the path of a file"),
    ):
        with pytest.raises(ConfigError, match=says):
            SqliteCounters(path)


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    """Nobody else may read what a program spends."""
    path = SqliteCounters(tmp_path / "deep" / "counters.db").path
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """Of a batch with a sum that no column holds nothing is kept, its id neither."""
    counters = SqliteCounters(tmp_path / "counters.db")
    with pytest.raises(OverflowError):
        await counters.add("a", {START_S: {OURS: 1, SPENT: 2**64}}, now_s=START_S)
    await counters.add("a", {START_S: {OURS: 1}}, now_s=START_S)
    assert await counters.read([(START_S, START_S + QUARTER_S)]) == [{OURS: 1}]


_FORKS = """
import asyncio, os, sys, threading
from router.alerts.counters_memory import MemoryCounters
from router.alerts.counters_sqlite import SqliteCounters

def add(counters, batch):
    asyncio.run(counters.add(batch, {0: {("spent_nano", ""): 1}}, now_s=0))

def read(counters):
    return asyncio.run(counters.read([(0, 900)]))[0].get(("spent_nano", ""), 0)

memory, shared = MemoryCounters(), SqliteCounters(sys.argv[1])
add(memory, "a"), add(shared, "a")
busy = threading.Thread(target=lambda: [add(shared, f"busy{number}") for number in range(50)])
busy.start()
children = []
for number in range(4):
    child = os.fork()
    if not child:
        add(shared, f"child{number}")
        os._exit(read(memory))
    children.append(child)
codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
busy.join()
print(codes, read(memory), read(shared))
"""


async def test_a_child_counts_for_itself(tmp_path: Path) -> None:
    """A forked child begins with no memory of its parent's, and shares the file, whatever its parent was at."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _FORKS, str(tmp_path / "counters.db"),
        stdout=asyncio.subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    told, _ = await process.communicate()
    assert told.decode().strip() == "[0, 0, 0, 0] 1 55"
