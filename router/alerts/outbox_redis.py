"""The outbox of many hosts, in Redis or Valkey. Names and scripts: `outbox_redis_scripts.py`.

It keeps what Redis keeps: a server without persistence forgets everything when it ends, and one with the default
(`appendonly no`) up to an hour. Use `appendonly yes`, and `maxmemory-policy noeviction`, lest it throw out what has not
arrived.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import orjson

from router.alerts.outbox import GRACE_S, NOTE_LONGEST, Delivery, Disabled
from router.alerts.outbox_redis_scripts import CHANGE, CLAIM, DONE, LIST, NEXT, PUT, REVIVE
from router.core.alert import Message
from router.errors import ConfigError
from router.state.redis_calls import RedisCalls

_NEVER: Final = "+inf"


class RedisOutbox:
    """A `router.alerts.outbox.Outbox` in Redis or Valkey.

    Args:
        url: as for the cache's `RedisStore`.
        prefix: what every name in the database begins with; no name without it is read or written.
        cluster: whether the address is that of any node of a cluster.
        answer_s: after how many seconds a connection that is silent is given up.

    Raises:
        ConfigError: the address cannot be read, or a cluster cannot be reached that way. The message does not quote
            it, as it may hold a password.
    """

    def __init__(self, url: str, *, prefix: str = "lowfare", cluster: bool = False, answer_s: float = 3.0) -> None:
        if "{" in prefix or "}" in prefix:
            raise ConfigError(f"prefix = {prefix!r} has a brace: braces mark what a cluster keeps on one node")
        self._calls = RedisCalls(url, cluster=cluster, answer_s=answer_s)
        self._prefix = f"{prefix}:{{outbox}}"

    def __repr__(self) -> str:
        return f"RedisOutbox({self._calls.place}, prefix={self._prefix.removesuffix(':{outbox}')!r})"

    async def put(self, message: Message, destinations: Collection[str], /, *, now_s: float) -> bool:
        """Keeps a message for each destination, due at once; returns whether its name is new."""
        names = sorted(set(destinations))
        rows = [part for name in names for part in (_field(message.id, name), _row(message, name))]
        until = _NEVER if message.until_s is None else repr(message.until_s)
        mark = _mark(Delivery(message=message, destination="", due_s=now_s))
        keys = [*self._names("names", "rows", "marks"), *self._due(names)]
        return bool(
            await self._calls.run(PUT, keys, repr(now_s - GRACE_S), message.name, until, repr(now_s), mark, *rows)
        )

    async def claim(
        self, destinations: Collection[str], /, *, now_s: float, lease_s: float, most: int = 16
    ) -> Sequence[Delivery]:
        """Claims what is due for these destinations, for so many seconds; at most so many."""
        names = sorted(set(destinations))
        keys = [*self._names("rows", "marks", "disabled"), *self._due(names)]
        until, claim = repr(now_s + lease_s), secrets.token_hex(8)
        return _deliveries(await self._calls.run(CLAIM, keys, repr(now_s), until, most, claim, *names))

    async def next_s(self, destinations: Collection[str], /) -> float | None:
        """Returns when the next message for these is due, or its claim over; None where nothing is to be sent."""
        names = sorted(set(destinations))
        first = await self._calls.run(NEXT, [*self._names("disabled"), *self._due(names)], *names)
        return None if first is None else float(first)

    async def done(self, delivery: Delivery, /) -> None:
        """Takes out what has arrived, whoever has claimed it by now."""
        keys = [*self._names("rows", "marks"), *self._due([delivery.destination]), *self._names("dead")]
        await self._calls.run(DONE, keys, _field_of(delivery))

    async def retry(self, delivery: Delivery, /, *, failures: int, due_s: float, note: str) -> bool:
        """Gives up the claim, to try again at `due_s`; changes nothing and returns False where the claim is lost."""
        return await self._changed(delivery, replace(delivery, failures=failures, due_s=due_s, note=note, claim=""))

    async def bury(self, delivery: Delivery, /, *, failures: int, note: str) -> bool:
        """Keeps it as dead; changes nothing and returns False where the claim is lost."""
        return await self._changed(delivery, replace(delivery, failures=failures, note=note, dead=True, claim=""))

    async def disable(self, destination: str, /, *, now_s: float, note: str) -> None:
        """Lets nothing be claimed for a destination until it is enabled; what is for it, and what comes, is kept."""
        value = orjson.dumps([now_s, note[:NOTE_LONGEST]])
        await (await self._calls.lines()).ask("HSETNX", *self._names("disabled"), destination, value)

    async def enable(self, destination: str, /) -> bool:
        """Lets messages for a destination be claimed again; returns whether it was disabled."""
        return bool(await (await self._calls.lines()).ask("HDEL", *self._names("disabled"), destination))

    async def revive(self, *, now_s: float, destination: str | None = None, message_id: str | None = None) -> int:
        """Makes what is dead due at once, with no failures; returns how many there were."""
        revived = 0
        for one in await self.deliveries():
            if one.dead and destination in (None, one.destination) and message_id in (None, one.message.id):
                mark = _mark(replace(one, dead=False, failures=0, due_s=now_s))
                keys = [*self._names("marks"), *self._due([one.destination]), *self._names("dead")]
                revived += await self._calls.run(REVIVE, keys, _field_of(one), mark, repr(now_s))
        return revived

    async def deliveries(self) -> Sequence[Delivery]:
        """Returns all that has not arrived, dead or not, in the order of their time."""
        found = _deliveries(await self._calls.run(LIST, self._names("rows", "marks")))
        return sorted(found, key=lambda delivery: delivery.due_s)

    async def disabled(self) -> Mapping[str, Disabled]:
        """Returns the disabled destinations, by name."""
        found = await (await self._calls.lines()).ask("HGETALL", *self._names("disabled"))
        told = {name.decode(): orjson.loads(value) for name, value in found.items()}
        return {name: Disabled(since_s=since_s, note=note) for name, (since_s, note) in sorted(told.items())}

    async def aclose(self) -> None:
        """Closes the connections that belong to the running event loop, and those of loops that are closed."""
        await self._calls.aclose()

    async def _changed(self, old: Delivery, new: Delivery) -> bool:
        keys = [*self._names("marks"), *self._due([old.destination]), *self._names("dead")]
        values = (_field_of(old), old.claim, _mark(new), repr(new.due_s), "dead" if new.dead else "")
        return bool(await self._calls.run(CHANGE, keys, *values))

    def _names(self, *what: str) -> list[str]:
        return [f"{self._prefix}:{one}" for one in what]

    def _due(self, destinations: Iterable[str]) -> list[str]:
        return self._names(*(f"due:{name}" for name in destinations))


def _field(message_id: str, destination: str) -> str:
    return f"{message_id} {destination}"


def _field_of(delivery: Delivery) -> str:
    return _field(delivery.message.id, delivery.destination)


def _row(message: Message, destination: str) -> bytes:
    return orjson.dumps([message.id, message.name, message.until_s, destination, message.body.decode()])


def _mark(delivery: Delivery) -> bytes:
    return orjson.dumps(
        {
            "f": delivery.failures,
            "n": delivery.note[:NOTE_LONGEST],
            "d": delivery.dead,
            "c": delivery.claim,
            "t": repr(delivery.due_s),
        }
    )


def _deliveries(parts: Sequence[bytes]) -> list[Delivery]:
    return [_delivery(orjson.loads(row), orjson.loads(mark)) for row, mark in _pairs(parts)]


def _pairs(parts: Sequence[bytes]) -> Iterable[tuple[bytes, bytes]]:
    return zip(parts[::2], parts[1::2], strict=True)


def _delivery(row: Sequence[Any], mark: Mapping[str, Any]) -> Delivery:
    message_id, name, until_s, destination, body = row
    return Delivery(
        message=Message(id=message_id, name=name, body=body.encode(), until_s=until_s),
        destination=destination,
        failures=int(mark["f"]),
        due_s=float(mark["t"]),
        note=mark["n"],
        dead=mark["d"],
        claim=mark["c"],
    )
