"""Checks of stores under load: threads and tasks that write and read values which carry their key's digest."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from router.cache.store import Store
from router.testing.store_promises import LONG_S, Make, broken, in_threads, new_key

_SIZES_BYTES = (0, 100, 4_000, 4_000, 4_000, 60_000)
_DIGEST_BYTES = 32


@dataclass(slots=True, kw_only=True)
class Stressed:
    """What came of a stress.

    Attributes:
        operations: calls of the store that returned.
        lost: values, pieces and leases that were not there, or were older ones, although nobody had taken them away.
        foreign: values and pieces that are not whole, or not their key's.
        exceptions: what was raised, with how often.
    """

    operations: int = 0
    lost: int = 0
    foreign: int = 0
    exceptions: Counter[str] = field(default_factory=Counter)

    def add(self, other: Stressed) -> None:
        """Counts what another worker counted."""
        self.operations += other.operations
        self.lost += other.lost
        self.foreign += other.foreign
        self.exceptions.update(other.exceptions)

    @property
    def clean(self) -> bool:
        """Returns whether nothing went wrong."""
        return not (self.lost or self.foreign or self.exceptions)


def value_for(key: str, body: bytes) -> bytes:
    """Returns a value that carries its key's digest."""
    return hashlib.sha256(key.encode() + body).digest() + body


def belongs(key: str, value: bytes) -> bool:
    """Returns whether a value is whole, and this key's."""
    return value == value_for(key, value[_DIGEST_BYTES:])


async def stress(
    make: Make,
    *,
    threads: int = 4,
    tasks: int = 4,
    rounds: int | None = None,
    seconds: float | None = None,
    shared: int = 16,
    seed: int = 0,
) -> Stressed:
    """Returns what came of many threads at work on one store, each with an event loop and some tasks.

    Args:
        make: makes the store; several processes may do the same at the same time.
        threads: how many.
        tasks: in each thread.
        rounds: of each task; None for no end but that of the time.
        seconds: after which no round begins; None for no end but that of the rounds.
        shared: how many keys all tasks, and all processes, have in common.
        seed: of what is drawn.
    """
    end = None if seconds is None else time.monotonic() + seconds
    store = make()
    keys = [hashlib.sha256(b"shared %d" % number).hexdigest() for number in range(shared)]

    async def work(number: int) -> list[Stressed]:
        workers = [_Worker(store, keys, f"{seed} {number} {task}") for task in range(tasks)]
        return list(await asyncio.gather(*(worker.work(rounds, end) for worker in workers)))

    total = Stressed()
    for seen in await in_threads(threads, work, store.aclose):
        for one in seen:
            total.add(one)
    return total


async def withstands_stress(make: Make) -> None:
    """Threads and tasks that write and read at once lose nothing and see nothing that is not their key's."""
    seen = await stress(make, rounds=25)
    if not seen.clean:
        did = (
            f"{seen.lost} lost, {seen.foreign} foreign, raised {dict(seen.exceptions)} in {seen.operations} operations"
        )
        raise broken(did, Store)


class _Worker:
    """One task: has keys of its own, of which it knows what stands there, and writes to those of all."""

    def __init__(self, store: Store, shared: list[str], name: str) -> None:
        self._store = store
        self._shared = shared
        self._name = f"{name} {new_key()}"
        self._random = random.Random(name)  # noqa: S311 - seeded load
        self._own: dict[str, bytes | None] = {new_key(): None for _ in range(3)}
        self._common = {self._write_shared, self._lead}
        self.seen = Stressed()

    async def work(self, rounds: int | None, end: float | None) -> Stressed:
        for key in self._shared:  # so that all of them stand before anybody reads one
            await self._try(self._write_shared, key)
        done = 0
        while (rounds is None or done < rounds) and (end is None or time.monotonic() < end):
            step = self._random.choice(
                (self._write, self._read, self._read, self._forget, self._write_shared, self._lead)
            )
            await self._try(step, self._random.choice(self._shared if step in self._common else [*self._own]))
            await self._try(self._read_shared, self._random.choice(self._shared))
            done += 1
        return self.seen

    async def _try(self, step: Callable[[str], Awaitable[int]], key: str) -> None:
        try:
            self.seen.operations += await step(key)
        except Exception as error:  # noqa: BLE001 - whatever a store raises is counted
            self.seen.exceptions[f"{type(error).__name__}: {error}"] += 1
            if key in self._own:  # nobody knows now what stands there
                del self._own[key]
                self._own[new_key()] = None

    async def _write(self, key: str) -> int:
        value = self._value(key)
        await self._store.put(key, value, label=b"", ttl_s=LONG_S)
        self._own[key] = value
        return 1

    async def _read(self, key: str) -> int:
        found, known = await self._store.get(key), self._own[key]
        self._compare(key, found=[found] if found is not None else [], put=[known] if known is not None else [])
        return 1

    async def _forget(self, key: str) -> int:
        await self._store.delete([key])
        self._own[key] = None
        return 1

    async def _write_shared(self, key: str) -> int:
        await self._store.put(key, self._value(key), label=b"", ttl_s=LONG_S)
        return 1

    async def _read_shared(self, key: str) -> int:
        found = await self._store.get(key)
        self.seen.lost += found is None
        self.seen.foreign += found is not None and not belongs(key, found)
        return 1

    async def _lead(self, key: str) -> int:
        """Takes the lease, publishes, and puts or leaves; or, where another one holds it, looks at its pieces."""
        if not (await self._store.join(key, self._name, lease_s=LONG_S)).held:
            watched = await self._store.watch(key)
            self.seen.foreign += sum(not belongs(key, piece) for piece in watched.pieces)
            return 2
        pieces = [value_for(key, b"%d" % number) for number in range(self._random.randrange(4))]
        self.seen.lost += not await self._store.renew(key, self._name, lease_s=LONG_S, pieces=pieces)
        watched = await self._store.watch(key)
        self.seen.lost += watched.holder != self._name
        self._compare(key, found=list(watched.pieces), put=pieces)
        if self._random.random() < 0.5:
            await self._store.put(key, self._value(key), label=b"", ttl_s=LONG_S, holder=self._name)
        else:
            await self._store.leave(key, self._name)
        return 4

    def _compare(self, key: str, *, found: list[bytes], put: list[bytes]) -> None:
        if not all(belongs(key, value) for value in found):
            self.seen.foreign += 1
        elif found != put:
            self.seen.lost += 1

    def _value(self, key: str) -> bytes:
        return value_for(key, self._random.randbytes(self._random.choice(_SIZES_BYTES)))


STRESS_CHECKS = (withstands_stress,)
