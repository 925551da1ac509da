"""What one process has of a cache's file: a connection that reads, one that writes, and the thread that writes.

Reading takes microseconds and waits for nobody, so the caller's own thread does it. Whatever may wait (a write, another
process's lock, a file that must be opened, or renamed because it is corrupt) is done by one other thread.

A fork and SQLite do not go together: a child inherits what SQLite knows of locks but not the locks, and may lose what
it writes even on connections of its own (https://sqlite.org/howtocorrupt.html, 2.6). So all are closed before a fork,
and opened again on both sides by whoever needs them.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from router.cache.sqlite_file import CacheFile, Opened, is_corrupt, patiently

T = TypeVar("T")

Execute = Callable[[str, Sequence[Any]], list[Any]]
"""Runs one statement, which is a transaction of its own, and returns its rows."""

Work = Callable[[Execute], T]

_OPENING_S = 5.0
"""How long a store that is made waits for others that make or mend the file."""


class SqliteThread:
    """Reads here and now, or works in the thread that writes.

    Args:
        file: which one.
        busy_s: how long a statement waits in the thread while another process writes.
    """

    def __init__(self, file: CacheFile, *, busy_s: float) -> None:
        self._file = file
        self._busy_s = busy_s
        self._opened: Opened | None = None
        self._executor: ThreadPoolExecutor | None = None
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

    def open(self) -> None:
        """Opens the file, in the calling thread."""
        with self._working:
            self._open(patience_s=_OPENING_S, replace=True)

    async def read(self, work: Work[T]) -> T:
        """Returns what comes of reading: at once and without suspending, unless something is in the way."""
        try:
            return self._read(work)
        except sqlite3.DatabaseError:
            return await self.work(work)

    async def work(self, work: Work[T]) -> T:
        """Returns what comes of reading or writing in the thread that may wait.

        When the caller gives up, what has not begun is never done, and nothing is waited for any more.

        Raises:
            sqlite3.Error: it cannot be done, or another process has held it up for `busy_s`.
            OSError: the file cannot be opened.
        """
        loop, wanted = asyncio.get_running_loop(), threading.Event()
        wanted.set()
        with self._starting:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(1, thread_name_prefix="lowfare-sqlite")
            future = self._executor.submit(self._work, work, wanted.is_set)
        try:
            return await asyncio.wrap_future(future, loop=loop)
        finally:
            wanted.clear()

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

    def _work(self, work: Work[T], wanted: Callable[[], bool]) -> T:
        with self._working:
            try:
                return work(self._execute_on(self._open_again(), wanted))
            except sqlite3.DatabaseError as error:
                opened = self._opened
                if opened is None or not is_corrupt(error):
                    raise
                self._file.set_aside(opened.identity, error, patience_s=self._busy_s)
            return work(self._execute_on(self._open_again(), wanted))

    def _execute_on(self, opened: Opened, wanted: Callable[[], bool]) -> Execute:
        def execute(sql: str, values: Sequence[Any]) -> list[Any]:
            return patiently(lambda: opened.writer.execute(sql, values).fetchall(), self._busy_s, wanted=wanted)

        return execute

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
    """The calling thread cannot read without waiting."""


def _call(method: weakref.WeakMethod[Callable[[], None]]) -> None:
    found = method()
    if found is not None:
        found()
