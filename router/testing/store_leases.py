"""Checks of what stores do with leases: one holder, who renews, publishes and leaves, or whose lease lapses."""

from __future__ import annotations

import asyncio

from router.cache.store import Joined, Store, Watched
from router.testing.store_promises import LONG_S, SHORT_S, Make, broken, new_key, opened, until

_PIECES = (b"one", b"", b"\0\xff", b"four" * 1000)
"""Pieces are bytes like any others."""


async def gives_a_lease_to_one(make: Make) -> None:
    """Of many that ask at once, through several objects, one gets the lease; it may ask again, the others in vain."""
    async with opened(make, 4) as stores:
        for _ in range(5):
            key = new_key()
            asked = {f"holder {n}": stores[n % len(stores)] for n in range(32)}
            for store in stores:  # joining again changes nothing
                joins = (other.join(key, name, lease_s=LONG_S) for name, other in asked.items())
                held = [name for name, joined in zip(asked, await asyncio.gather(*joins), strict=True) if joined.held]
                if len(held) != 1:
                    raise broken(f"{len(held)} of {len(asked)} that joined at once hold the lease", Store.join)
                if (holder := (await store.watch(key)).holder) != held[0]:
                    raise broken(f"{held[0]!r} got the lease, but watch() names {holder!r}", Watched)


async def frees_lapsed_leases(make: Make) -> None:
    """A lease that is not renewed lapses: it has no holder, anyone takes it, and nothing of the old one is left."""
    key = new_key()
    async with opened(make, 2) as (here, there):
        for holder in ("second", "first"):  # another one, and the one whose lease it was
            await _published(here, key, "first", lease_s=SHORT_S)

            async def lapsed() -> bool:
                return await there.watch(key) == Watched(holder=None)

            await until(lapsed, f"watch() still shows a lease of {SHORT_S} s, or its pieces", Store.watch)
            if await here.renew(key, "first", lease_s=LONG_S, pieces=[b"late"]):
                raise broken("renew() gave a lapsed lease back", Store.renew)
            if not (await there.join(key, holder, lease_s=LONG_S)).held:
                raise broken(f"{holder!r} joined where the lease had lapsed, and did not get it", Store.join)
            if (now := await here.watch(key)) != Watched(holder=holder):
                raise broken(
                    f"a lease newly taken has {len(now.pieces)} pieces and the holder {now.holder!r}", Store.join
                )
            await there.leave(key, holder)


async def hands_leases_over(make: Make) -> None:
    """Who lost its lease can neither renew nor publish nor give it up, and takes nothing from the next holder."""
    key = new_key()
    async with opened(make, 2) as (here, there):
        await _published(here, key, "first", lease_s=SHORT_S)

        async def taken() -> bool:
            return (await there.join(key, "second", lease_s=LONG_S)).held

        await until(taken, f"a lease of {SHORT_S} s is not free", Store.join)
        if not await there.renew(key, "second", lease_s=LONG_S, pieces=[b"second's"]):
            raise broken("renew() refused the new holder", Store.renew)
        await _intrude(here, key, "first", Watched(holder="second", pieces=(b"second's",)))


async def refuses_strangers(make: Make) -> None:
    """Who never held the lease can neither renew nor publish nor give it up; on a free key there is no lease."""
    key, free = new_key(), new_key()
    async with opened(make, 2) as (here, there):
        await _published(here, key, "holder", lease_s=LONG_S)
        await _intrude(there, key, "stranger", Watched(holder="holder", pieces=_PIECES))
        await _intrude(there, free, "stranger", Watched(holder=None))
        if not await here.renew(key, "holder", lease_s=LONG_S):
            raise broken("renew() refused the holder after a stranger had tried", Store.renew)


async def lengthens_leases(make: Make) -> None:
    """A renewed lease, and one joined again by its holder, lasts from then on."""
    async with opened(make, 2) as (here, there):
        for again in ("renew", "join"):
            key = new_key()

            async def longer(key: str = key, again: str = again) -> bool:
                await here.join(key, "holder", lease_s=4 * SHORT_S)
                if again == "join":
                    return (await here.join(key, "holder", lease_s=LONG_S)).held
                return await here.renew(key, "holder", lease_s=LONG_S)

            await until(longer, f"{again}() refuses the holder", Store.renew)
            await asyncio.sleep(5 * SHORT_S)
            if (await there.join(key, "stranger", lease_s=LONG_S)).held:
                raise broken(f"a lease lapsed although {again}() had lengthened it", Store.renew)


async def keeps_pieces_in_order(make: Make) -> None:
    """Pieces come as they were published, in order, from any number on, to any object."""
    key = new_key()
    async with opened(make, 2) as (here, there):
        await here.join(key, "holder", lease_s=LONG_S)
        published: list[bytes] = []
        for batch in (_PIECES, (), _PIECES[::-1], (b"last",)):
            if not await here.renew(key, "holder", lease_s=LONG_S, pieces=batch):
                raise broken("renew() refused the holder", Store.renew)
            published.extend(batch)
            for since in range(len(published) + 2):
                for store in (here, there):
                    seen = await store.watch(key, since=since)
                    if seen != Watched(holder="holder", pieces=tuple(published[since:])):
                        did = f"watch(since={since}) of {len(published)} pieces gave {len(seen.pieces)}, or others"
                        raise broken(did, Watched)


async def shows_values_when_joining(make: Make) -> None:
    """Joining tells the value at that moment, whether the lease was free or not, and takes it all the same."""
    key = new_key()
    async with opened(make, 2) as (here, there):
        if (joined := await here.join(key, "holder", lease_s=LONG_S)) != Joined(held=True):
            raise broken(f"join() of a free key without a value: held={joined.held}, or a value", Joined)
        await there.put(key, b"value", label=b"", ttl_s=LONG_S)
        for holder, held in (("stranger", False), ("holder", True)):
            if (joined := await there.join(key, holder, lease_s=LONG_S)) != Joined(held=held, value=b"value"):
                raise broken(f"join() by the {holder} where a value stands: held={joined.held}, or no value", Joined)
        if await here.watch(key) != Watched(holder="holder", value=b"value"):
            raise broken("watch() shows no value, or another holder", Watched)


async def puts_and_leaves_at_once(make: Make) -> None:
    """Who takes a lease over from one that put its value sees the value: the two steps are one."""
    async with opened(make, 4) as (leader, *others):
        for _ in range(10):
            key = new_key()
            await leader.join(key, "leader", lease_s=LONG_S)

            async def follow(store: Store, name: str, key: str = key) -> Joined:
                while True:
                    joined = await store.join(key, name, lease_s=LONG_S)
                    if joined.held or joined.value is not None:
                        return joined
                    await asyncio.sleep(0)

            tasks = [asyncio.create_task(follow(store, f"{n}")) for n, store in enumerate(others * 2)]
            await asyncio.sleep(SHORT_S / 10)
            await leader.put(key, b"value", label=b"", ttl_s=LONG_S, holder="leader")
            if any(joined.value is None for joined in await asyncio.gather(*tasks)):
                raise broken("the lease was free before the value that its holder put could be seen", Store.put)


async def puts_for_its_holder(make: Make) -> None:
    """Putting gives up the lease of the holder that is named, with its pieces; any other lease stays."""
    key = new_key()
    async with opened(make, 2) as (here, there):
        await _published(here, key, "holder", lease_s=LONG_S)
        for stranger in (None, "stranger"):
            await there.put(key, b"value", label=b"", ttl_s=LONG_S, holder=stranger)
            if await here.watch(key) != Watched(holder="holder", value=b"value", pieces=_PIECES):
                raise broken(f"put(holder={stranger!r}) changed the lease of another holder", Store.put)
        await here.put(key, b"newer", label=b"", ttl_s=LONG_S, holder="holder")
        if await there.watch(key) != Watched(holder=None, value=b"newer"):
            raise broken(
                "put(holder='holder') did not store the value and give up the lease with its pieces", Store.put
            )
        await here.put(key, b"newest", label=b"", ttl_s=LONG_S, holder="holder")
        if await there.get(key) != b"newest":
            raise broken("put() by one that holds no lease any more stored nothing", Store.put)


async def lets_holders_leave(make: Make) -> None:
    """Who leaves gives up the lease with its pieces; leaving again changes nothing."""
    key = new_key()
    async with opened(make, 2) as (here, there):
        await here.put(key, b"value", label=b"", ttl_s=LONG_S)
        await _published(here, key, "holder", lease_s=LONG_S)
        await there.leave(key, "holder")  # the same holder through another object
        await here.leave(key, "holder")
        if await here.watch(key) != Watched(holder=None, value=b"value"):
            raise broken("leave() left the lease or its pieces, or took the value", Store.leave)
        if await here.renew(key, "holder", lease_s=LONG_S):
            raise broken("renew() gave back a lease that was given up", Store.renew)
        await there.join(key, "next", lease_s=LONG_S)
        if await here.watch(key) != Watched(holder="next", value=b"value"):
            raise broken("after leave() another one cannot take the lease, or finds old pieces", Store.leave)


LEASE_CHECKS = (
    gives_a_lease_to_one,
    frees_lapsed_leases,
    hands_leases_over,
    refuses_strangers,
    lengthens_leases,
    keeps_pieces_in_order,
    shows_values_when_joining,
    puts_and_leaves_at_once,
    puts_for_its_holder,
    lets_holders_leave,
)


async def _published(store: Store, key: str, holder: str, *, lease_s: float) -> None:
    """Takes the lease and publishes `_PIECES` before it lapses, however often that takes."""

    async def published() -> bool:
        await store.leave(key, holder)  # so that pieces of the last try do not count
        joined = await store.join(key, holder, lease_s=LONG_S)
        return joined.held and await store.renew(key, holder, lease_s=lease_s, pieces=_PIECES)

    await until(published, f"{holder!r} cannot join a free key and renew", Store.renew)


async def _intrude(store: Store, key: str, stranger: str, before: Watched) -> None:
    """Tries all that only a holder may do."""
    if await store.renew(key, stranger, lease_s=LONG_S, pieces=[b"intruder's"]):
        raise broken("renew() told one that does not hold the lease that it does", Store.renew)
    if await store.watch(key) != before:
        raise broken("renew() by one that does not hold the lease changed it", Store.renew)
    await store.leave(key, stranger)
    if await store.watch(key) != before:
        raise broken("leave() by one that does not hold the lease changed it", Store.leave)
