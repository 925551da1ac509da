"""What tests of the SQLite store run in processes of their own."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import sys
import warnings
from pathlib import Path

from router.cache.sqlite import SqliteStore
from router.errors import RouterWarning
from router.testing.store_promises import LONG_S
from router.testing.store_stress import Stressed, belongs, stress, value_for

ROOT = Path(__file__).parents[2]


def key_of(number: int) -> str:
    """Returns one of the keys that all processes of a test know."""
    return hashlib.sha256(b"%d" % number).hexdigest()


def hammered(path: str, number: int) -> Stressed:
    """Returns what one process saw of a store on which others work as well."""
    return asyncio.run(stress(lambda: SqliteStore(path), threads=3, tasks=2, rounds=12, seed=number))


def opened_at_once(path: str, number: int) -> tuple[bool, int]:
    """Returns whether a value that was put at once is found, and how often this process warned of corruption."""

    async def work() -> bool:
        store = SqliteStore(path)
        value = value_for(key_of(number), b"value")
        await store.put(key_of(number), value, label=b"", ttl_s=LONG_S)
        found = await store.get(key_of(number))
        await store.aclose()
        return found == value

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = asyncio.run(work())
    return found, sum(warning.category is RouterWarning for warning in caught)


def write_until_killed(path: str) -> None:
    """Puts values and takes leases for ever, and prints the number of each value when it was put."""

    async def write() -> None:
        store = SqliteStore(path)
        number = 0
        while True:
            key = key_of(number)
            await store.join(key, "killed", lease_s=LONG_S)
            await store.renew(key, "killed", lease_s=LONG_S, pieces=[b"piece"] * 3)
            body = b"%d" % number * 1000
            await store.put(key, value_for(key, body), label=b"", ttl_s=LONG_S, holder="killed")
            print(number, flush=True)  # noqa: T201 - what the test reads
            number += 1

    asyncio.run(write())


def forked(store: SqliteStore, number: int) -> None:
    """Ends with an error unless a child of this process can put, get, watch and close the store it inherited."""

    async def work() -> None:
        key = key_of(number)
        for round_ in range(20):
            value = value_for(key, b"%d" % round_)
            await store.put(key, value, label=b"", ttl_s=LONG_S)
            found = await store.get(key)
            if found != value:
                raise AssertionError("lost a value")
        await store.join(key, "child", lease_s=LONG_S)
        if (await store.watch(key)).holder != "child":
            raise AssertionError("lost a lease")
        await store.aclose()

    asyncio.run(work())


def overwrite(path: Path, start: int, length: int | None = None) -> None:
    """Fills a part of a file with what is no part of a database, in another process.

    To close a file, in whichever way it was opened, gives up the locks that SQLite holds on it in this process.
    """
    size = (path.stat().st_size if length is None else start + length) - start
    code = f"file = open({str(path)!r}, 'r+b'); file.seek({start}); file.write(b'#' * {size})"
    subprocess.run([sys.executable, "-c", code], check=True)


def sound(key: str, value: bytes | None) -> bool:
    """Returns whether a value is there and its key's."""
    return value is not None and belongs(key, value)
