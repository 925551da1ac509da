"""What every store in Redis or Valkey begins with: an address, the connections to it, and scripts that run there.

How commands go: `redis_lines.py`. Connections belong to one event loop of one process, as asyncio's do. Nothing is
retried here: the guard in front of a store knows better when to ask again.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.connection import ConnectionPool, SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from router.errors import ConfigError
from router.state.process import PerProcess
from router.state.redis_lines import Lines, Word

_Clients = dict[asyncio.AbstractEventLoop, Lines]


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A Lua script.

    Attributes:
        source: its text.
        digest: SHA-1 in hex, by which a server that has seen the text runs it.
    """

    source: str
    digest: str


def script(source: str, /) -> Script:
    """Returns the script with this text."""
    return Script(source=source, digest=hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


class RedisCalls:
    """Calls one Redis, or one cluster, from any event loop.

    Args:
        url: `redis://[user:password@]host:port/database`, `rediss://` over TLS, `unix:///path`; `valkey://` and
            `valkeys://` are the same. Options of redis-py may follow as a query, such as `?ssl_ca_certs=/path`.
        cluster: whether the address is that of any node of a cluster.
        answer_s: after how many seconds a connection that is silent is given up. Callers in a hurry need not wait for
            that: to cancel a call does no harm.

    Attributes:
        place: host, port and database, or the path of a socket; no password.

    Raises:
        ConfigError: the address cannot be read, or a cluster cannot be reached that way. The message does not quote
            it, as it may hold a password.
    """

    def __init__(self, url: str, *, cluster: bool, answer_s: float) -> None:
        options = _options(url, cluster=cluster, answer_s=answer_s)
        self.place = _place(options)
        self._client = partial(_client, options, cluster=cluster)
        self._answer_s = answer_s
        self._opened: PerProcess[_Clients] = PerProcess({}, lambda _: {})

    async def run(self, script: Script, names: Sequence[str], *arguments: Word) -> Any:
        """Returns what a script returns; sends its text where the server, being new or emptied, does not know it."""
        lines = await self.lines()
        try:
            return await lines.ask("EVALSHA", script.digest, len(names), *names, *arguments)
        except NoScriptError:
            return await lines.ask("EVAL", script.source, len(names), *names, *arguments)

    async def lines(self) -> Lines:
        """Returns the running loop's own; where it has none yet, lets go of those of loops that are closed."""
        loop, opened = asyncio.get_running_loop(), self._opened.get()
        lines = opened.get(loop)
        if lines is None:
            lines = opened[loop] = Lines(self._client, answer_s=self._answer_s)
            await self._forsake()
        return lines

    async def aclose(self) -> None:
        """Closes the connections that belong to the running event loop, and those of loops that are closed."""
        lines = self._opened.get().pop(asyncio.get_running_loop(), None)
        if lines is not None:
            await lines.aclose()
        await self._forsake()

    async def _forsake(self) -> None:
        opened = self._opened.get()
        for loop in [known for known in list(opened) if known.is_closed()]:
            lines = opened.pop(loop, None)  # another thread may have been faster
            if lines is not None:
                await lines.forsake()


def _options(url: str, *, cluster: bool, answer_s: float) -> dict[str, Any]:
    """Returns what redis-py makes a client of; what the store relies on stands, whatever the address says."""
    try:
        options: dict[str, Any] = parse_url(re.sub("^valkey", "redis", url)) | {
            "socket_connect_timeout": answer_s,
            "socket_timeout": None,  # lines keep the time; redis-py would make a task for every write
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,  # one round trip less to connect, and nothing that comes unasked
            "decode_responses": False,
        }
        if cluster and (options.get("db") or "path" in options):
            raise ConfigError("a cluster of Redis has database 0 only, and is not reached by a unix socket")
        _probe(options, cluster=cluster)
    except (ValueError, TypeError, RedisError):
        raise ConfigError(
            "the address of Redis cannot be read (it is not shown, as it may hold a password); allowed are "
            "redis://[user:password@]host:port/database, rediss://..., valkey://..., valkeys://... and unix:///path, "
            "with options that redis-py knows; in a password, write / ? # @ % as %2F %3F %23 %40 %25"
        ) from None
    return options


def _client(options: dict[str, Any], *, cluster: bool) -> Redis | RedisCluster:
    if not cluster:
        return Redis.from_pool(ConnectionPool(**options))
    given = {name: value for name, value in options.items() if name != "connection_class"}
    return RedisCluster(**given, ssl=options.get("connection_class") is SSLConnection)


def _probe(options: dict[str, Any], *, cluster: bool) -> None:
    """Makes what a call would make first, without connecting, so that options nobody knows are seen at once."""
    client = _client(options, cluster=cluster)
    if isinstance(client, Redis):
        pool: Any = client.connection_pool  # which has no types
        pool.make_connection()


def _place(options: dict[str, Any]) -> str:
    place = options.get("path") or f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"
    return f"{place}/{options.get('db', 0)}"
