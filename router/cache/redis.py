"""Keeps a cache's answers for many hosts, in Redis or Valkey.

Names and scripts: `redis_scripts.py`. How they are called: `router/state/redis_calls.py`.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncIterator, Sequence
from typing import Final

from router.cache.redis_scripts import JOIN, LEAVE, PUT, RENEW, WATCH
from router.cache.store import Joined, Row, Watched
from router.errors import ConfigError
from router.state.redis_calls import RedisCalls
from router.state.redis_lines import Lines

_PAGE: Final = 500
"""How many names a scan asks for at a time; Redis serves nobody else while it looks for them."""

_LONGEST_MS: Final = 100 * 365 * 24 * 3600 * 1000
"""A hundred years stand for ever: Redis refuses times that overflow."""

_KEY: Final = re.compile(r"[0-9a-f]{64}")
_GLOB: Final = re.compile(r"[*?\[\]\\]")


class RedisStore:
    """A `Store` in Redis or Valkey.

    Args:
        url, cluster, answer_s: as in `RedisCalls`.
        prefix: what every name in the database begins with; no name without it is read or written.

    Raises:
        ConfigError: the address cannot be read, or a cluster cannot be reached that way.
    """

    def __init__(self, url: str, *, prefix: str = "lowfare", cluster: bool = False, answer_s: float = 3.0) -> None:
        if "{" in prefix or "}" in prefix:
            raise ConfigError(f"prefix = {prefix!r} has a brace: braces mark what a cluster keeps on one node")
        self._calls = RedisCalls(url, cluster=cluster, answer_s=answer_s)
        self._prefix = prefix
        self._cluster = cluster

    def __repr__(self) -> str:
        return f"RedisStore({self._calls.place}, prefix={self._prefix!r}, cluster={self._cluster})"

    async def get(self, key: str, /) -> bytes | None:
        """Returns the value; None where there is none, or its time is over."""
        value: bytes | None = await (await self._calls.lines()).ask("HGET", self._name(key, "value"), "v")
        return value

    async def put(self, key: str, value: bytes, /, *, label: bytes, ttl_s: float, holder: str | None = None) -> None:
        """Stores the value, over any other, for so many seconds; gives up the lease of `holder`, if it holds one."""
        named = () if holder is None else (holder,)
        await self._calls.run(PUT, self._names(key), value, label, _ms(ttl_s), *named)

    async def delete(self, keys: Sequence[str], /) -> None:
        """Takes values out; those that are not there are passed over."""
        lines = await self._calls.lines()
        for start in range(0, len(keys), _PAGE):
            page = keys[start : start + _PAGE]
            await asyncio.gather(*(lines.ask("UNLINK", self._name(key, "value")) for key in page))

    async def scan(self) -> AsyncIterator[Row]:
        """Yields every value that may still be found, in any order, without holding up those who read and write."""
        lines = await self._calls.lines()
        seen: set[str] = set()  # Redis may list a name twice
        for node in await lines.nodes():
            cursor = 0
            while True:
                cursor, names = await lines.ask("SCAN", cursor, "MATCH", self._pattern(), "COUNT", _PAGE, node=node)
                keys = [key for key in map(self._key, names) if key is not None and key not in seen]
                seen.update(keys)
                for row in await self._rows(lines, keys):
                    yield row
                if not cursor:
                    break

    async def join(self, key: str, holder: str, /, *, lease_s: float) -> Joined:
        """Takes the lease where it is free, lapsed, or the holder's own already; one atomic step."""
        held, value = await self._calls.run(JOIN, self._names(key), holder, _ms(lease_s))
        return Joined(held=bool(held), value=value)

    async def renew(self, key: str, holder: str, /, *, lease_s: float, pieces: Sequence[bytes] = ()) -> bool:
        """Lengthens the lease to so many seconds from now, and publishes pieces after those before."""
        _, *names = self._names(key)
        return bool(await self._calls.run(RENEW, names, holder, _ms(lease_s), *pieces))

    async def watch(self, key: str, /, *, since: int = 0) -> Watched:
        """Returns how the key stands, with the pieces from number `since` (from 0) on, at one moment."""
        holder, value, pieces = await self._calls.run(WATCH, self._names(key), since)
        return Watched(holder=holder.decode() if holder is not None else None, value=value, pieces=tuple(pieces))

    async def leave(self, key: str, holder: str, /) -> None:
        """Gives up the lease with its pieces, where it is the holder's."""
        _, *names = self._names(key)
        await self._calls.run(LEAVE, names, holder)

    async def aclose(self) -> None:
        """Closes the connections that belong to the running event loop, and those of loops that are closed."""
        await self._calls.aclose()

    async def _rows(self, lines: Lines, keys: Sequence[str]) -> list[Row]:
        found = await asyncio.gather(*(lines.ask("HMGET", self._name(key, "value"), "l", "n") for key in keys))
        return [
            Row(key=key, label=label, size_bytes=int(size))
            for key, (label, size) in zip(keys, found, strict=True)
            if size is not None  # gone since its name was listed
        ]

    def _name(self, key: str, what: str) -> str:
        return f"{self._prefix}:{{{key}}}:{what}"

    def _names(self, key: str) -> tuple[str, str, str]:
        return self._name(key, "value"), self._name(key, "lease"), self._name(key, "pieces")

    def _pattern(self) -> str:
        return _GLOB.sub(r"\\\g<0>", self._prefix) + ":{*}:value"

    def _key(self, name: bytes) -> str | None:
        """Returns the key whose value has this name; None where some other application chose one like it."""
        key = name.decode(errors="replace")[len(self._prefix) + 2 : -len("}:value")]
        return key if _KEY.fullmatch(key) else None


def _ms(seconds: float) -> int:
    return max(1, math.ceil(min(seconds * 1000.0, _LONGEST_MS)))
