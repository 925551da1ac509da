"""The cache by itself: what it keeps, what it passes over, and what it says of strangers' values."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from router import Chunk, Function, Message, ToolCall
from router.cache.cache import Cache, Selector
from router.cache.codec import Codec
from router.cache.guard import Guard
from router.cache.lease import Lease
from router.cache.near import Near
from router.cache.sqlite import SqliteStore
from router.core.answer import Answer, Choice, ChunkChoice
from router.core.caching import Entry
from router.testing.scripted import answer

KEY = "0f" * 32
SOURCE = ("small", "simulated/small")
ENTRY = Entry(
    key=KEY,
    model="small",
    model_id="simulated/small",
    answer=answer("hello"),
    cost_usd=Decimal("0.01"),
    trace_id="a" * 32,
    tags={},
    policy="default",
    stored_s=1_000.0,
    ttl_s=100.0,
)


def said(extra: Any) -> Message:
    """Returns a message with a field of the provider's own."""
    call = ToolCall(id="c", function=Function(name="f", arguments="{}"), index=0, extra={"own": extra})
    return Message(content="hm", tool_calls=(call,))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """A store of this test's own."""
    made = SqliteStore(str(tmp_path / "cache.db"))
    yield made
    await made.aclose()


async def test_what_is_put_is_found(store: SqliteStore) -> None:
    """In memory, in the store, and by another cache on it; until its time is over."""
    now_s = 1_000.0
    one = Cache(near=Near(max_bytes=10_000), now=lambda: now_s, store=store)
    await one.put(ENTRY)
    two = Cache(near=Near(max_bytes=10_000), now=lambda: now_s, store=store)
    assert await one.get(KEY) is ENTRY
    assert await two.get(KEY) == ENTRY
    now_s = 1_100.0
    assert await one.get(KEY) is None
    assert await Cache(near=Near(max_bytes=1), now=lambda: now_s, store=store).get(KEY) is None


async def test_a_look_that_was_overtaken_brings_no_older_answer_back(store: SqliteStore) -> None:
    """A value read before a refresh here and looked at after it is returned, but the refreshed one stays in memory."""
    cache = Cache(near=Near(max_bytes=10_000), now=lambda: 1_010.0, store=store)
    older = cache.codec.encode(ENTRY)
    refreshed = replace(ENTRY, answer=answer("newer"), stored_s=1_005.0)
    assert cache.remember(refreshed) is not None
    assert cache.read(KEY, older) == ENTRY
    assert await cache.get(KEY) is refreshed


async def test_what_is_no_json_is_kept_nowhere() -> None:
    """A client of somebody else's may bring anything; its answer reaches the caller and goes no further."""
    cache = Cache(near=Near(max_bytes=10_000), now=lambda: 1_000.0)
    odd = Answer(choices=(Choice(message=said(object())),))
    await cache.put(replace(ENTRY, answer=odd))
    assert await cache.get(KEY) is None


async def test_values_of_others_are_counted_and_never_purged(store: SqliteStore) -> None:
    """What has no label of ours may be of a later version: the figures name it, and no selector means it."""
    cache = Cache(near=Near(max_bytes=10_000), now=lambda: 1_000.0, store=store, backend="sqlite")
    await store.put("ab" * 32, b"?", label=b"?", ttl_s=100.0)
    await cache.put(ENTRY)
    stats = await cache.stats()
    assert (stats.entries, stats.unreadable, stats.by_model, stats.oldest_s) == (2, 1, {"small": 1}, 0.0)
    assert (await cache.purge(Selector(everything=True), dry_run=False)).entries == 1
    assert await store.get("ab" * 32) == b"?"


async def test_a_purge_reaches_what_only_memory_has_still(store: SqliteStore) -> None:
    """An entry that the store has lost is forgotten with the others."""
    cache = Cache(near=Near(max_bytes=10_000), now=lambda: 1_000.0, store=store)
    await cache.put(ENTRY)
    await store.delete([KEY])
    assert (await cache.purge(Selector(model="small"), dry_run=False)).entries == 0
    assert await cache.get(KEY) is None


async def test_entries_in_memory_that_are_over_are_not_counted() -> None:
    """They stand there until somebody looks, and nobody can have them."""
    now_s = 1_000.0
    cache = Cache(near=Near(max_bytes=10_000), now=lambda: now_s)
    await cache.put(ENTRY)
    now_s = 1_100.0
    assert (await cache.stats()).entries == 0


async def test_a_lease_publishes_pieces_until_one_cannot_be_written(store: SqliteStore) -> None:
    """After it no other goes out: those who follow wait for the whole answer."""
    cache = Cache(near=Near(max_bytes=10_000), now=lambda: 1_000.0, store=store, lease_s=600.0)
    assert cache.guard is not None
    assert (await store.join(KEY, "me", lease_s=600.0)).held
    lease = Lease(cache, cache.guard, KEY, "me")
    good, odd = (Chunk(choices=(ChunkChoice(delta=said(extra)),)) for extra in ("fine", object()))
    for chunk in (good, odd, good):
        lease.show(chunk, SOURCE)
    while not (seen := await store.watch(KEY)).pieces:
        await asyncio.sleep(0.01)
    lease.show(good, SOURCE)
    await asyncio.sleep(0.2)
    seen = await store.watch(KEY)
    assert seen.holder == "me"
    first, *pieces = seen.pieces
    assert Codec().decode_source(KEY, first) == SOURCE
    assert [Codec().decode_chunk(KEY, i, piece) for i, piece in enumerate(pieces, 1)] == [good]
    await lease.stop()


async def test_a_lease_that_was_lost_publishes_no_more(store: SqliteStore) -> None:
    """Another one leads by then, and numbers its own pieces."""
    cache = Cache(near=Near(max_bytes=10_000), now=lambda: 1_000.0, store=store, lease_s=0.05)
    assert (await store.join(KEY, "other", lease_s=600.0)).held
    lease = Lease(cache, Guard(store), KEY, "me")
    lease.show(Chunk(choices=()), SOURCE)
    await asyncio.sleep(0.2)
    assert (await store.watch(KEY)).pieces == ()
    await lease.stop()
