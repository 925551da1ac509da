"""The conformance suite of stores: one for all that keep a cache's answers, here and in anybody's plug-in.

    @pytest.mark.parametrize("check", STORE_CHECKS, ids=lambda check: check.__name__)
    async def test_it_is_a_store(check, tmp_path):
        await check(lambda: MyStore(tmp_path / "cache"))

Each check takes a function that makes one more store on the same data, as another process would. It uses keys of its
own, so that checks may share their data, and closes what it opened. Where a store breaks its word, an AssertionError
says what it did and what `router/cache/store.py` asks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from router.cache.store import Store
from router.testing.store_leases import LEASE_CHECKS
from router.testing.store_promises import LONG_S, Make, broken, in_threads, new_key, opened
from router.testing.store_stress import STRESS_CHECKS
from router.testing.store_values import VALUE_CHECKS

StoreCheck = Callable[[Make], Awaitable[None]]

_THREADS = 4


async def check_store(make: Make) -> None:
    """Runs every check, one after the other.

    Args:
        make: makes one more store on the same data; the data may already hold something.

    Raises:
        AssertionError: the store broke its word.
    """
    for check in STORE_CHECKS:
        await check(make)


async def closes(make: Make) -> None:
    """Closing twice does no harm, and what was put is still there for those that open later."""
    key = new_key()
    async with opened(make) as (store,):
        await store.put(key, b"value", label=b"", ttl_s=LONG_S)
        await store.join(key, "holder", lease_s=LONG_S)
        await store.aclose()
    async with opened(make, 2) as (here, there):
        if await here.get(key) != b"value":
            raise broken("a value was gone after the object that had put it was closed", Store.aclose)
        await here.aclose()
        if (watched := await there.watch(key)).holder != "holder" or watched.value != b"value":
            raise broken("a value or a lease was gone after another object was closed", Store.aclose)


async def works_from_many_loops(make: Make) -> None:
    """One object serves several threads, each with an event loop of its own, and loops that come after others."""
    async with opened(make) as (store,):
        for _ in range(2):

            async def work(number: int, key: str = new_key()) -> bool:
                own = new_key()
                joined = await store.join(key, f"{number}", lease_s=LONG_S)
                for value in (b"%d" % n for n in range(20)):
                    await store.put(own, value, label=b"", ttl_s=LONG_S)
                    if (found := await store.get(own)) != value:
                        raise broken(f"get() after put({value!r}) returned {found!r}, in thread {number}", Store)
                return joined.held

            held = sum(await in_threads(_THREADS, work, store.aclose))
            if held != 1:
                raise broken(f"{held} of {_THREADS} threads hold the lease", Store.join)


STORE_CHECKS: tuple[StoreCheck, ...] = (
    *VALUE_CHECKS,
    *LEASE_CHECKS,
    closes,
    works_from_many_loops,
    *STRESS_CHECKS,
)
