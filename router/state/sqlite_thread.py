"""What one process has of a file of SQLite: a connection that reads, one that writes, and the thread that writes.

Reading takes microseconds and waits for nobody, so the caller's own thread does it. Whatever may wait (a write, another
process's lock, a file that must be opened, or renamed because it is corrupt) is done by one other thread. What many
callers want to write at once it writes in one transaction: that costs little more than one write, so that nobody waits
long behind a thousand others.

But to go there and back takes longer than a small write. One that is `brief` is tried in the caller's own thread first,
and goes to the other one if anything at all is in the way. Nor is the caller to wait for the disk, as SQLite does where
it brings pages from its log into the file, and where it begins the log, or begins it anew. So the thread is the first
to write to a file that was opened, and `tidy` has it do both from time to time, instead of SQLite at some commit.

A fork and SQLite do not go together: a child inherits what SQLite knows of locks but not the locks, and may lose what
it writes even on connections of its own (https://sqlite.org/howtocorrupt.html, 2.6). So all are closed before a fork,
and opened again on both sides by whoever needs them.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

from router.state.sqlite_file import Opened, SqliteFile, is_corrupt, patiently

T = TypeVar("T")

Execute = Callable[[str, Sequence[Any]], list[Any]]
"""Runs one statement, which is done as a whole or not at all, and returns its rows."""

Work = Callable[[Execute], T]

_OPENING_S: Final = 5.0
"""How long a store that is made waits for others that make or mend the file."""

_TOGETHER_S: Final = 0.01
"""How long one transaction goes on to take in what is queued; other processes wait for its end. It would last far
longer where the other threads are busy, since each statement may wait for Python's lock."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Task:
    """What a caller wants to have done in the thread.

    Attributes:
        work: does it.
        writes: whether it may be done in one transaction with others that write.
        awaited: what the caller waits for, in its own event loop.
        given_up: set when the caller waits for it no more.
    """

    work: Work[Any]
    writes: bool
    awaited: asyncio.Future[Any]
    given_up: threading.Event = field(default_factory=threading.Event)

    @property
    def wanted(self) -> bool:
        return not self.given_up.is_set()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What came of a task: its result, or the error that it raised."""

    task: _Task
    result: Any = None
    error: BaseException | None = None


class SqliteThread:
    """Reads here and now, or works in the thread that writes.

    Args:
        file: which one.
        busy_s: how long a statement waits in the thread while another process writes.
        whole: whether all statements of one work are one transaction, rather than each its own, which holds the file
            for a shorter time.
    """

    def __init__(self, file: SqliteFile, *, busy_s: float, whole: bool = False) -> None:
        self._whole = whole
        self._file = file
        self._busy_s = busy_s
        self._opened: Opened | None = None
        self._begun: Opened | None = None
        self._executor: ThreadPoolExecutor | None = None
        self._queue: deque[_Task] = deque()
        # Always taken in this order, as far as they are.
        self._starting, self._working, self._reading = self._locks = (
            threading.Lock(),
            threading.Lock(),
            threading.Lock(),
        )
        before, after = weakref.WeakMethod(self._before_fork), weakref.WeakMethod(self._after_fork)
        os.register_at_fork(
            before=lambda: _call(before), after_in_parent=lambda: _call(after), after_in_child=lambda: _call(after)
        )

    def open(self, *, replace: bool = True) -> None:
        """Opens the file, in the calling thread; where it is another version's, makes a new one if it may `replace`."""
        with self._working:
            self._open(patience_s=_OPENING_S, replace=replace)

    async def read(self, work: Work[T]) -> T:
        """Returns what comes of reading: at once and without suspending, unless something is in the way."""
        try:
            return self._read(work)
        except sqlite3.DatabaseError:
            return await self.work(work, writes=False)

    async def work(self, work: Work[T], *, writes: bool = True, brief: bool = False) -> T:
        """Returns what comes of reading or writing in the thread that may wait.

        What several callers want to write at the same time is done in one transaction, in the order in which they came,
        and where that fails each by itself. So work may be done twice, of which once in vain.

        When the caller gives up, what has not begun is never done, and nothing is waited for any more.

        Args:
            work: does it.
            writes: whether it writes.
            brief: whether it is a write of some microseconds, to be done at once and without suspending unless
                something is in the way.

        Raises:
            sqlite3.Error: it cannot be done, or another process has held it up for `busy_s`.
            OSError: the file cannot be opened.
        """
        if brief:
            with suppress(sqlite3.DatabaseError):  # whatever is in the way, the thread waits for it, or mends it
                return self._here(work)
        task = _Task(work=work, writes=writes, awaited=asyncio.get_running_loop().create_future())
        with self._starting:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(1, thread_name_prefix="lowfare-sqlite")
            self._queue.append(task)
            # One turn for each, though a turn may do many: so whatever is queued is done before what comes after it.
            self._executor.submit(self._turn)
        try:
            result: T = await task.awaited
        finally:
            task.given_up.set()
        return result

    def tidy(self, work: Work[Any]) -> None:
        """Has the thread write something that nobody waits for, and bring into the file what is in the log.

        Whoever has much written that is `brief` must call it from time to time. A file that is closed stays so.
        """
        with self._starting:
            if self._executor is not None:
                self._executor.submit(self._tidy, work)

    async def close(self) -> None:
        """Closes the connections and ends the thread; whoever comes later opens them again."""
        if self._opened is None and self._executor is None:
            return
        with self._starting:
            executor, self._executor = self._executor or ThreadPoolExecutor(1), None
            future = executor.submit(self._close)
        executor.shutdown(wait=False)
        await asyncio.wrap_future(future)

    def _read(self, work: Work[T]) -> T:
        with self._reading:
            opened = self._opened
            if opened is None or opened.identity != self._file.identity():
                raise _NotOpen("the file is not open")
            return work(lambda sql, values: opened.reader.execute(sql, values).fetchall())

    def _here(self, work: Work[T]) -> T:
        """Returns what comes of writing in the calling thread, where nothing at all is in the way."""
        if not self._working.acquire(blocking=False):
            raise _NotOpen("the thread is at work")
        try:
            opened = self._begun
            if self._queue or opened is None or opened is not self._opened or opened.identity != self._file.identity():
                raise _NotOpen("the thread has something to do first")
            result: T = _written(opened.writer, (work,))[0]
            return result
        finally:
            self._working.release()

    def _tidy(self, work: Work[Any]) -> None:
        with self._working, suppress(sqlite3.Error, OSError):  # who waits for something next is told
            opened = self._opened
            if opened is not None:
                _written(opened.writer, (work,), patience_s=self._busy_s)
                self._file.checkpoint(opened)

    def _turn(self) -> None:
        """Does what is queued first, with all that can be written together with it."""
        with self._working:
            first = self._next()
            if first is None:
                return
            if first.writes and (self._whole or (self._queue and self._queue[0].writes)):
                outcomes = self._outcomes([first])
            else:
                outcomes = [self._outcome(first)]
        _tell(outcomes)

    def _outcomes(self, begun: list[_Task]) -> list[_Outcome]:
        """Returns what came of those that have begun, and of others that were written with them."""
        try:
            results = self._mended(partial(self._together, begun))
        except BaseException as error:  # noqa: BLE001 - it is raised where the work is awaited
            if len(begun) == 1:
                return [_Outcome(task=begun[0], error=error)]
            return [self._outcome(task) for task in begun]
        return [_Outcome(task=task, result=result) for task, result in zip(begun, results, strict=True)]

    def _outcome(self, task: _Task) -> _Outcome:
        try:
            return _Outcome(task=task, result=self._alone(task))
        except BaseException as error:  # noqa: BLE001 - it is raised where the work is awaited
            return _Outcome(task=task, error=error)

    def _next(self) -> _Task | None:
        """Takes the next one that is still wanted out of the queue."""
        while self._queue:
            task = self._queue.popleft()
            if task.wanted:
                return task
        return None

    def _together(self, begun: list[_Task], opened: Opened, *, more: bool = True) -> list[Any]:
        """Returns what comes of those that have begun, and of more that write, which are added to them."""

        def works() -> Iterator[Work[Any]]:
            end = time.monotonic() + _TOGETHER_S
            yield from [task.work for task in begun]
            while more and self._queue and self._queue[0].writes and time.monotonic() < end:
                task = self._next()
                if task is not None:
                    begun.append(task)
                    yield task.work

        results = _written(opened.writer, works(), patience_s=self._busy_s, wanted=lambda: begun[0].wanted)
        if self._whole and self._begun is not opened and opened.writer.total_changes:  # the log is begun
            opened.writer.execute("PRAGMA wal_autocheckpoint = 0")
            self._begun = opened
        return results

    def _alone(self, task: _Task) -> Any:
        """Returns what comes of one by itself."""
        if self._whole and task.writes:
            return self._mended(partial(self._together, [task], more=False))[0]

        def work(opened: Opened) -> Any:
            def execute(sql: str, values: Sequence[Any]) -> list[Any]:
                run = partial(opened.writer.execute, sql, values)
                return patiently(lambda: run().fetchall(), self._busy_s, wanted=lambda: task.wanted)

            return task.work(execute)

        return self._mended(work)

    def _mended(self, work: Callable[[Opened], T]) -> T:
        """Returns what comes of working on the file; where that is corrupt, on a new one."""
        try:
            return work(self._open_again())
        except sqlite3.DatabaseError as error:
            opened = self._opened
            if opened is None or not is_corrupt(error):
                raise
            self._file.set_aside(opened.identity, error, patience_s=self._busy_s)
        return work(self._open_again())

    def _open_again(self) -> Opened:
        """Returns what is open of the file that has the name now."""
        if self._opened is not None and self._opened.identity == self._file.identity():
            return self._opened
        return self._open(patience_s=self._busy_s, replace=False)

    def _open(self, *, patience_s: float, replace: bool) -> Opened:
        opened = self._file.open(patience_s=patience_s, replace=replace)
        with self._reading:
            before, self._opened = self._opened, opened
        if before is not None:
            self._file.replaced(before.identity)
            before.close()
        return opened

    def _close(self) -> None:
        with self._working:
            with self._reading:
                opened, self._opened = self._opened, None
            if opened is not None:
                opened.close()

    def _before_fork(self) -> None:
        for lock in self._locks:
            lock.acquire()
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def _after_fork(self) -> None:
        for lock in self._locks:
            lock.release()


class _NotOpen(sqlite3.DatabaseError):
    """The calling thread cannot do it without waiting."""


def _written(
    writer: sqlite3.Connection,
    works: Iterable[Work[Any]],
    *,
    patience_s: float = 0.0,
    wanted: Callable[[], bool] = lambda: True,
) -> list[Any]:
    """Returns what comes of works in one transaction, which waits so long for those of other processes."""
    cursor = writer.cursor()

    def execute(sql: str, values: Sequence[Any]) -> list[Any]:
        return cursor.execute(sql, values).fetchall()

    try:
        patiently(lambda: cursor.execute("BEGIN IMMEDIATE"), patience_s, wanted=wanted)
        results = [work(execute) for work in works]
        cursor.execute("COMMIT")
    except BaseException:
        writer.rollback()
        raise
    return results


def _tell(outcomes: Sequence[_Outcome]) -> None:
    """Hands the outcomes to those that wait for them, each event loop being woken once.

    To wake one takes a system call, after which this thread may have to wait for Python's lock.
    """
    loops: dict[asyncio.AbstractEventLoop, list[_Outcome]] = {}
    for outcome in outcomes:
        loops.setdefault(outcome.task.awaited.get_loop(), []).append(outcome)
    for loop, told in loops.items():
        with suppress(RuntimeError):  # the loop is closed, so that nobody waits
            loop.call_soon_threadsafe(_settle, told)


def _settle(outcomes: Sequence[_Outcome]) -> None:
    for outcome in outcomes:
        awaited = outcome.task.awaited
        if awaited.done():
            continue
        if outcome.error is not None:
            awaited.set_exception(outcome.error)
        else:
            awaited.set_result(outcome.result)


def _call(method: weakref.WeakMethod[Callable[[], None]]) -> None:
    found = method()
    if found is not None:
        found()
