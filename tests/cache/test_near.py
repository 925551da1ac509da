"""The cache's own memory: what it keeps, what goes first, and threads and forks."""

from __future__ import annotations

import os
import threading
import tracemalloc
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.cache.codec import Codec
from router.cache.near import ENTRY_BYTES, Near, NearStats
from router.core.answer import Answer, Choice, Message
from router.core.caching import Entry

NOW_S = 1_000.0


def entry(key: str, *, stored_s: float = NOW_S, ttl_s: float = 60.0, text: str = "Hi") -> Entry:
    """Returns an entry."""
    return Entry(
        key=key,
        model="small",
        model_id="simulated/small",
        answer=Answer(choices=(Choice(message=Message(content=text)),)),
        trace_id="0" * 32,
        tags={},
        policy="default",
        stored_s=stored_s,
        ttl_s=ttl_s,
    )


A, B, C = entry("a"), entry("b"), entry("c")


def room(entries: int, size_bytes: int) -> int:
    """Returns what so many entries take whose values have that size together."""
    return entries * ENTRY_BYTES + size_bytes


def found(near: Near, now_s: float = NOW_S) -> str:
    """Returns the keys that are found, without looking at an entry that is over."""
    return "".join(sorted(row.key for row, _ in near.rows() if near.get(row.key, now_s)))


def test_what_was_put_is_found() -> None:
    """The very entry comes back; what was not put does not."""
    near = Near(max_bytes=room(3, 100))
    near.put(A, 10)
    assert near.get("a", NOW_S) is A
    assert near.get("b", NOW_S) is None


def test_another_takes_its_place() -> None:
    """The last one put under a key is found, and counts alone."""
    near = Near(max_bytes=room(3, 100))
    newer = replace(A, model="large")
    near.put(A, 10)
    near.put(newer, 30)
    assert near.get("a", NOW_S) is newer
    assert near.stats() == NearStats(entries=1, size_bytes=room(1, 30), max_bytes=room(3, 100), evicted=0)


def test_the_least_recently_used_goes_first() -> None:
    """Room is made by what was found or put longest ago; to list the rows is no use of them."""
    near = Near(max_bytes=room(3, 30))
    near.put(A, 10)
    near.put(B, 10)
    near.put(C, 10)
    near.get("a", NOW_S)
    near.rows()
    near.stats()
    near.put(entry("d"), 15)
    assert found(near) == "ad"
    assert near.stats() == NearStats(entries=2, size_bytes=room(2, 25), max_bytes=room(3, 30), evicted=2)


def test_an_entry_that_grows_makes_no_more_room_than_it_needs() -> None:
    """What it replaces goes first."""
    near = Near(max_bytes=room(2, 30))
    near.put(A, 10)
    near.put(B, 10)
    near.put(A, 20)
    assert found(near) == "ab"
    assert near.stats().evicted == 0


def test_what_is_larger_than_the_whole_is_not_kept() -> None:
    """It drives out nothing, but the older one of its key is not the answer any more."""
    near = Near(max_bytes=room(2, 30))
    near.put(A, 10)
    near.put(B, 10)
    near.put(entry("c"), room(1, 31))
    assert found(near) == "ab"
    near.put(entry("a", text="long"), room(1, 31))
    assert found(near) == "b"
    near.put(A, room(1, 30))
    assert found(near) == "a"


@pytest.mark.parametrize(
    ("now_s", "there"), [(NOW_S - 5, True), (NOW_S, True), (NOW_S + 59.9, True), (NOW_S + 60, False)]
)
def test_an_entry_lasts_for_its_time(now_s: float, there: bool) -> None:
    """It is found until its time is over; then it is dropped. A clock set back makes it no older."""
    near = Near(max_bytes=room(2, 30))
    near.put(A, 10)
    assert (near.get("a", now_s) is not None) == there
    assert near.stats().entries == there
    assert (near.get("a", NOW_S) is not None) == there


def test_memory_may_forget_sooner() -> None:
    """Where a store is behind it, memory gives an entry up at the time stated, whatever its own."""
    near = Near(max_bytes=room(2, 30))
    near.put(A, 10, until_s=NOW_S + 5)
    assert near.get("a", NOW_S + 4.9) is A
    assert near.get("a", NOW_S + 5) is None
    assert near.stats() == NearStats(entries=0, size_bytes=0, max_bytes=room(2, 30), evicted=0)


@pytest.mark.parametrize(("now_s", "kept"), [(NOW_S + 4, "newer"), (NOW_S + 5, "older"), (NOW_S + 61, "older")])
def test_an_offer_takes_no_newer_entrys_place(now_s: float, kept: str) -> None:
    """What was stored later stays as long as it may be found; what was stored earlier, or is the same, goes."""
    near = Near(max_bytes=room(2, 30))
    newer, older = entry("a", stored_s=NOW_S + 1), entry("a", stored_s=NOW_S, ttl_s=600.0)
    near.put(newer, 10, until_s=NOW_S + 5)
    near.offer(older, 20, now_s, until_s=NOW_S + 99)
    assert near.get("a", now_s) is (newer if kept == "newer" else older)
    again = replace(newer)
    near.offer(again, 10, NOW_S + 4, until_s=NOW_S + 99)
    assert near.get("a", NOW_S + 50) is again
    near.offer(B, 10, now_s, until_s=NOW_S + 99)
    assert near.get("b", NOW_S) is B


def test_short_answers_take_no_more_memory_than_stated() -> None:
    """An entry is many small objects: what they take counts too, so that short answers stay within the bound."""
    near = Near(max_bytes=2_000_000)
    codec = Codec()
    written = codec.encode(replace(A, key="0" * 64, tags={"team": "geo"}, cost_usd=Decimal("0.0001")))
    assert written is not None
    tracemalloc.start()
    try:
        for number in range(3_000):
            key = f"{number:064x}"
            value = written.replace(b"0" * 64, key.encode())
            decoded = codec.decode(key, value)
            assert decoded is not None
            near.put(decoded, len(value))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert near.stats().evicted > 0
    assert taken < 2_000_000


def test_entries_are_deleted() -> None:
    """Those named go, others stay, unknown ones are passed over."""
    near = Near(max_bytes=room(3, 100))
    for each in (A, B, C):
        near.put(each, 10)
    near.delete(["a", "x", "c", "a"])
    assert near.rows() == [(B, 10)]


KEYS = st.sampled_from("abcde")
STEPS = st.lists(
    st.tuples(st.just("put"), KEYS, st.integers(0, 12))
    | st.tuples(st.sampled_from(["get", "delete"]), KEYS, st.just(0))
)


@given(steps=STEPS)
def test_it_keeps_what_a_plain_list_would(steps: list[tuple[str, str, int]]) -> None:
    """Whatever is put, found and deleted in any order, it holds what the rule says, and never more than it may."""
    near = Near(max_bytes=room(2, 20))
    model: OrderedDict[str, int] = OrderedDict()  # least recently used first
    evicted = 0
    for verb, key, size in steps:
        match verb:
            case "put":
                near.put(entry(key), size)
                model.pop(key, None)
                while room(len(model) + 1, sum(model.values()) + size) > room(2, 20):
                    model.popitem(last=False)
                    evicted += 1
                model[key] = size
            case "get":
                assert (near.get(key, NOW_S) is not None) == (key in model)
                if key in model:
                    model.move_to_end(key)
            case _:
                near.delete([key])
                model.pop(key, None)
        assert {kept.key: size for kept, size in near.rows()} == dict(model)
        assert near.stats() == NearStats(
            entries=len(model),
            size_bytes=room(len(model), sum(model.values())),
            max_bytes=room(2, 20),
            evicted=evicted,
        )


def test_threads_hammer_it() -> None:
    """Eight threads put, find, delete and list at once: nobody fails, and nobody gets another key's entry."""
    near = Near(max_bytes=room(15, 100))
    entries = [entry(f"{number}", ttl_s=number % 7 + 0.5) for number in range(60)]
    start = threading.Barrier(8)

    def work(seed: int) -> None:
        start.wait()
        for turn in range(3_000):
            each = entries[(turn * 7 + seed * 13) % 60]
            match (turn + seed) % 5:
                case 0 | 1:
                    near.put(each, 10 + turn % 9)
                case 2 | 3:
                    got = near.get(each.key, NOW_S + turn % 8)
                    assert got is None or got is each
                case _ if turn % 50 == 4:
                    assert len(near.rows()) <= 15
                case _:
                    near.delete([each.key])

    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(work, seed) for seed in range(8)]:
            done.result()
    stats = near.stats()
    assert stats.entries == len(near.rows())
    assert stats.size_bytes == room(stats.entries, sum(size for _, size in near.rows())) <= stats.max_bytes


@pytest.mark.parametrize("lock_held", [False, True])
def test_a_forked_child_starts_with_a_copy(lock_held: bool) -> None:
    """A child finds what its parent had, hangs on no lock held at the fork, and changes nothing of the parent's."""
    near = Near(max_bytes=room(2, 30))
    near.put(A, 10)
    near.put(B, 10, until_s=NOW_S + 5)
    if lock_held:
        near._own.get().lock.acquire()  # noqa: SLF001 - as another thread might at the moment of a fork
    child = os.fork()
    if child == 0:
        fine = False
        try:
            fine = near.get("a", NOW_S) is A and near.get("b", NOW_S) is B and near.get("b", NOW_S + 5) is None
            near.put(C, room(1, 25))
            fine = fine and [row.key for row, _ in near.rows()] == ["c"] and near.stats().evicted == 1
        finally:
            os._exit(0 if fine else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    if lock_held:
        near._own.get().lock.release()  # noqa: SLF001 - see above
    assert found(near) == "ab"
