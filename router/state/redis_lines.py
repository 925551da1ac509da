"""How commands go to Redis: in batches, over a few connections of one event loop.

    ask ──> waiting ──> a line takes a batch ──> one write, one read ──> each caller has its answer
                            (a task with a connection)

A caller that gives up only stops waiting. What is under way is read to its end by the line that sent it, so that no
answer is left on a connection for somebody else to take as its own, and a storm of callers that give up tears no
connection down. A line that waits too long gives up itself; then redis-py closes its connection.

Commands that come while all lines are busy go together: a thousand at once take 40 ms, where each on its own turn would
make it 120 ms. In a cluster every command goes alone: only then does redis-py find out which nodes are gone or new.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, cast

from hiredis import pack_command
from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisClusterException, RedisError, ResponseError

_BATCH: Final = 128
"""Commands in one batch at most: more are hardly faster, and each waits for the largest."""

_LINES: Final = 8
_CLUSTER_LINES: Final = 32
"""Where commands go alone."""

Word = str | bytes | int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """A command whose answer somebody waits for.

    Attributes:
        node: the node of a cluster that it must go to; None for the one that has its key.
    """

    command: tuple[Word, ...] = field(repr=False)
    node: ClusterNode | None
    answer: asyncio.Future[Any] = field(repr=False)


class Lines:
    """Asks Redis on behalf of one event loop.

    Args:
        make: makes a client, whose connections belong to that loop; nobody else uses it.
        answer_s: how long a batch may take, in seconds.
    """

    def __init__(self, make: Callable[[], Redis | RedisCluster], *, answer_s: float) -> None:
        self._make = make
        self._client = client = make()
        self._answer_s = answer_s
        alone = isinstance(client, RedisCluster)
        self._batch = 1 if alone else _BATCH
        self._most = _CLUSTER_LINES if alone else _LINES
        self._waiting: deque[_Call] = deque()
        self._idle: list[Any] = []
        self._lines: set[asyncio.Task[None]] = set()

    async def ask(self, *command: Word, node: ClusterNode | None = None) -> Any:
        """Returns the answer to a command.

        Raises:
            RedisError: no connection, or Redis refuses the command.
            OSError: the same, from below redis-py.
            TimeoutError: no answer in time.
        """
        loop = asyncio.get_running_loop()
        call = _Call(command=command, node=node, answer=loop.create_future())
        self._waiting.append(call)
        if len(self._lines) < self._most:
            line = loop.create_task(self._run())
            self._lines.add(line)
            line.add_done_callback(self._lines.discard)  # where it is cancelled before it begins
        return await call.answer

    async def nodes(self) -> Sequence[ClusterNode | None]:
        """Returns the nodes that keep values; `None` stands for the only one."""
        if isinstance(self._client, RedisCluster):
            await self._client.initialize()
            return self._client.get_primaries()
        return (None,)

    async def aclose(self) -> None:
        """Ends what is under way and closes the connections."""
        lines = tuple(self._lines)
        for line in lines:
            line.cancel()
        if lines:
            await asyncio.wait(lines)
        _refuse(self._waiting)
        await self.forsake()

    async def forsake(self) -> None:
        """Closes the connections, as far as that is possible from another loop when their own is closed."""
        await _close(self._client)

    async def _run(self) -> None:
        try:
            while batch := self._taken():
                await self._carry(batch)
        finally:
            # In the step that found nothing left: callers whom the last batch woke may ask before any callback runs,
            # and a line that takes no more must not keep them from beginning one.
            self._lines.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _carry(self, batch: Sequence[_Call]) -> None:
        """Sends a batch, and gives each caller its answer."""
        client = self._client
        try:
            answers = await self._answers(client, batch)
        except asyncio.CancelledError:
            _refuse(batch)
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it goes to those who asked
            answers = [error] * len(batch)
        for call, answer in zip(batch, answers, strict=True):
            if call.answer.done():
                continue
            if isinstance(answer, Exception):
                call.answer.set_exception(_own(answer))
            else:
                call.answer.set_result(answer)
        if isinstance(answers[0], RedisClusterException) and client is self._client:
            # It has struck the nodes that failed off its list, or they have moved: begin anew where it began.
            self._client = self._make()
            await _close(client)

    def _taken(self) -> list[_Call]:
        """Takes the next batch; passes over what nobody waits for any more."""
        batch: list[_Call] = []
        while self._waiting and len(batch) < self._batch:
            call = self._waiting.popleft()
            if not call.answer.done():
                batch.append(call)
        return batch

    async def _exchanged(self, client: Redis, batch: Sequence[_Call]) -> list[Any]:
        """Sends a batch and reads its answers, on a connection that is kept: to be given one takes a third as long."""
        pool: Any = client.connection_pool  # which has no types
        connection = self._idle.pop() if self._idle else await pool.get_connection()
        try:
            await pool.ensure_connection(connection)
            packed = [pack_command(cast("tuple[str]", call.command)) for call in batch]  # its type tells of one word
            await connection.send_packed_command(packed, check_health=False)
            return [await _answer(client, connection, call) for call in batch]
        except BaseException:
            await connection.disconnect(nowait=True)  # there may be answers on it that nobody has read
            raise
        finally:
            self._idle.append(connection)

    async def _answers(self, client: Redis | RedisCluster, batch: Sequence[_Call]) -> list[Any]:
        try:
            async with asyncio.timeout(self._answer_s):
                if isinstance(client, RedisCluster):
                    [call] = batch
                    return [await (call.node or client).execute_command(*call.command)]
                return await self._exchanged(client, batch)
        except TimeoutError:
            raise TimeoutError(f"no answer from Redis in {self._answer_s:g} s") from None


async def _answer(client: Redis, connection: Any, call: _Call) -> Any:
    try:
        return await client.parse_response(connection, str(call.command[0]))
    except ResponseError as error:
        return error


async def _close(client: Redis | RedisCluster) -> None:
    closes = [client.aclose]
    if isinstance(client, RedisCluster):
        # Its own aclose() closes nothing after a failure, and ends at the first connection of a closed loop.
        nodes = client.nodes_manager
        closes += [nodes.aclose, partial(nodes.aclose, "startup_nodes")]
    for close in closes:
        with suppress(RedisError, OSError, RuntimeError):  # the sockets close when they are collected
            await close()


def _own(error: Exception) -> Exception:
    """Returns the error as a `RedisError`, without what Redis quotes of a command: a value may be among it."""
    if isinstance(error, RedisClusterException):  # no node can be reached, or none has the key's slot
        return RedisConnectionError(str(error))
    text, quoted, _ = str(error).partition(", with args beginning with")
    return ResponseError(text) if quoted else error


def _refuse(calls: Iterable[_Call]) -> None:
    for call in calls:
        if not call.answer.done():
            call.answer.set_exception(RedisConnectionError("the connections to Redis were closed meanwhile"))
