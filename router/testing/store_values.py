"""Checks of what stores do with values: put, found, lapsed, deleted, listed."""

from __future__ import annotations

import asyncio

from router.cache.store import Row, Store
from router.testing.store_promises import LONG_S, SHORT_S, Make, broken, new_key, opened, until

_ROWS = 300
"""More than a store reads at a time."""


async def keeps_values(make: Make) -> None:
    """A value that was put is found, by any object, until another is put over it."""
    key, other = new_key(), new_key()
    async with opened(make, 2) as (here, there):
        if await here.get(key) is not None:
            raise broken("get() of a key that was never put returned a value", Store.get)
        for value in (b"first", b"second, which is longer", b"3rd"):
            await here.put(key, value, label=b"", ttl_s=LONG_S)
            for store in (here, there):
                if (found := await store.get(key)) != value:
                    raise broken(f"get() after put({value!r}) returned {found!r}", Store.put)
        if await there.get(other) is not None:
            raise broken("get() returned a value that was put under another key", Store.get)


async def keeps_any_bytes(make: Make) -> None:
    """Values are bytes, whatever they are: none, NUL, not UTF-8, a megabyte; labels as well."""
    values = (b"", b"\0", b"a\0b\0", bytes(range(256)), b"\xff\xfe", bytes(range(256)) * 4096)
    async with opened(make, 2) as (here, there):
        for value in values:
            key = new_key()
            await here.put(key, value, label=value[:300], ttl_s=LONG_S)
            if (found := await there.get(key)) != value or not isinstance(found, bytes):
                raise broken(f"{len(value)} bytes from {value[:4]!r} on came back as {_size(found)}", Store.get)
            row = (await _rows(there))[key]
            if (row.size_bytes, row.label) != (len(value), value[:300]):
                raise broken(f"scan() says {row.size_bytes} bytes where {len(value)} were put, or another label", Row)


async def lets_values_lapse(make: Make) -> None:
    """A value whose time is over is nowhere: not in get, join, watch nor scan; then it can be put again."""
    key = new_key()
    async with opened(make, 2) as (here, there):
        await here.put(key, b"value", label=b"label", ttl_s=SHORT_S)

        async def gone() -> bool:
            return await there.get(key) is None

        await until(gone, f"get() still returns a value put for {SHORT_S} s", Store.get)
        if (await here.watch(key)).value is not None:
            raise broken("watch() returned a value whose time is over", Store.watch)
        if (await here.join(key, "holder", lease_s=LONG_S)).value is not None:
            raise broken("join() returned a value whose time is over", Store.join)
        if key in await _rows(here):
            raise broken("scan() yielded a value whose time is over", Store.scan)
        await here.put(key, b"again", label=b"", ttl_s=LONG_S)
        if await there.get(key) != b"again":
            raise broken("a value put where another had lapsed is not found", Store.put)


async def sets_the_time_anew(make: Make) -> None:
    """A value put over another one has a time of its own, be it longer or shorter."""
    longer, shorter = new_key(), new_key()
    async with opened(make) as (store,):
        await store.put(longer, b"short", label=b"", ttl_s=4 * SHORT_S)
        await store.put(longer, b"long", label=b"", ttl_s=LONG_S)
        await store.put(shorter, b"long", label=b"", ttl_s=LONG_S)
        await store.put(shorter, b"short", label=b"", ttl_s=SHORT_S)
        await asyncio.sleep(5 * SHORT_S)
        if await store.get(longer) != b"long":
            raise broken("a value lapsed at the time of the one that it was put over", Store.put)

        async def gone() -> bool:
            return await store.get(shorter) is None

        await until(gone, "a value lives on for the time of the one that it was put over", Store.put)


async def deletes(make: Make) -> None:
    """Values are taken out by key, many at a time; keys that are not there, and leases, are left alone."""
    kept, *gone = keys = [new_key() for _ in range(40)]
    async with opened(make, 2) as (here, there):
        await asyncio.gather(*(here.put(key, b"value", label=b"", ttl_s=LONG_S) for key in keys))
        await here.join(gone[0], "holder", lease_s=LONG_S)
        await there.delete([])
        await there.delete([new_key()])
        await there.delete([*gone, new_key(), gone[0]])
        await there.delete(gone)
        if left := [key for key in gone if await here.get(key) is not None]:
            raise broken(f"delete() left {len(left)} of {len(gone)} values", Store.delete)
        if await here.get(kept) != b"value":
            raise broken("delete() took out a value that it was not asked for", Store.delete)
        if (await here.watch(gone[0])).holder != "holder":
            raise broken("delete() took out a lease", Store.delete)


async def scans(make: Make) -> None:
    """A scan lists every value, with its last label and size, while others write."""
    keys = {new_key(): number for number in range(_ROWS)}
    dropped = new_key()
    async with opened(make, 2) as (here, there):
        await here.put(next(iter(keys)), b"older", label=b"older", ttl_s=LONG_S)
        await here.put(dropped, b"", label=b"", ttl_s=LONG_S)
        await asyncio.gather(
            *(here.put(key, b"v" * n, label=b"label %d" % n, ttl_s=LONG_S) for key, n in keys.items()),
            here.delete([dropped]),
        )
        await here.join(new_key(), "holder", lease_s=LONG_S)
        seen: set[str] = set()
        async for row in there.scan():
            seen.add(row.key)
            if row.key in keys and (row.label, row.size_bytes) != (b"label %d" % keys[row.key], keys[row.key]):
                raise broken("scan() yielded a label or a size that is not the value's", Row)
            if len(seen) % 50 == 1:
                await here.put(new_key(), b"meanwhile", label=b"", ttl_s=LONG_S)
        if missing := keys.keys() - seen:
            raise broken(f"scan() left out {len(missing)} of {_ROWS} values", Store.scan)
        if dropped in seen:
            raise broken("scan() yielded a value that was taken out", Store.scan)


VALUE_CHECKS = (keeps_values, keeps_any_bytes, lets_values_lapse, sets_the_time_anew, deletes, scans)


async def _rows(store: Store) -> dict[str, Row]:
    return {row.key: row async for row in store.scan()}


def _size(value: bytes | None) -> str:
    return "nothing" if value is None else f"{len(value)} bytes of {type(value).__name__}"
