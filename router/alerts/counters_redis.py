"""The counters of many hosts, in Redis or Valkey.

    {prefix}:{counters}:quarter:START    hash: sums of a quarter, by counter and model
    {prefix}:{counters}:batch:ID         there while a batch is remembered

The braces stand in the names: a cluster keeps what agrees in them on one node, so that a script may touch all of them.
Sums are added up here and not in a script, as Lua would round them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from router.alerts.counters import KEPT_S, REMEMBERED_S
from router.core.alert_counts import Range
from router.core.counting import QUARTER_S, Counts, Of
from router.errors import ConfigError
from router.state.redis_calls import RedisCalls, script

_AT_ONCE: Final = 96
"""Quarters that are read in one call: a day."""

ADD: Final = script("""
-- KEYS: batch, quarters. ARGV: seconds to remember the batch, seconds to keep a quarter, then for each sum the number
-- of its quarter's key, its field and what is added.
if not redis.call('SET', KEYS[1], '', 'NX', 'EX', ARGV[1]) then
  return 0
end
for i = 3, #ARGV, 3 do
  redis.call('HINCRBY', KEYS[tonumber(ARGV[i])], ARGV[i + 1], ARGV[i + 2])
end
for i = 2, #KEYS do
  redis.call('EXPIRE', KEYS[i], ARGV[2])
end
return 1
""")

READ: Final = script("""
-- KEYS: quarters. Returns fields and sums of each.
local found = {}
for i, key in ipairs(KEYS) do
  found[i] = redis.call('HGETALL', key)
end
return found
""")


class RedisCounters:
    """`router.alerts.counters.Counters` in Redis or Valkey.

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
        self._prefix = f"{prefix}:{{counters}}"

    def __repr__(self) -> str:
        return f"RedisCounters({self._calls.place}, prefix={self._prefix.removesuffix(':{counters}')!r})"

    async def add(self, batch: str, counts: Counts, /, *, now_s: float) -> None:
        """Adds counts to what is kept; a batch that was added before changes nothing.

        A quarter is forgotten by the server's clock, `KEPT_S` after it was last added to, whatever `now_s` says.
        """
        del now_s
        keys = [f"{self._prefix}:batch:{batch}", *map(self._quarter, counts)]
        rows = [
            part
            for number, sums in enumerate(counts.values(), start=2)
            for (counter, model), more in sums.items()
            for part in (number, f"{counter} {model}", more)
        ]
        await self._calls.run(ADD, keys, int(REMEMBERED_S), KEPT_S, *rows)

    async def read(self, ranges: Sequence[Range], /) -> Sequence[dict[Of, int]]:
        """Returns the sums over the quarters of each range."""
        return [await self._sum(range(start_s, end_s, QUARTER_S)) for start_s, end_s in ranges]

    async def aclose(self) -> None:
        """Closes the connections that belong to the running event loop, and those of loops that are closed."""
        await self._calls.aclose()

    async def _sum(self, quarters: range) -> dict[Of, int]:
        sums: dict[Of, int] = {}
        for first in range(0, len(quarters), _AT_ONCE):
            keys = [self._quarter(start_s) for start_s in quarters[first : first + _AT_ONCE]]
            for fields in await self._calls.run(READ, keys):
                for field, number in zip(fields[::2], fields[1::2], strict=True):
                    counter, _, model = field.decode().partition(" ")
                    sums[counter, model] = sums.get((counter, model), 0) + int(number)
        return sums

    def _quarter(self, start_s: int) -> str:
        return f"{self._prefix}:quarter:{start_s}"
