"""Hammers one store of the cache from many threads of many processes, and counts what went wrong: nothing may.

    python benchmarks/cache_hammer.py [--backend sqlite|redis] [--seconds 60] [--threads 6] [--processes 6]
                                      [--tasks 1] [--url redis://...]

Every value and piece carries its key's digest and is checked by whoever reads it; each thread also has keys of its own,
of which it knows what stands there. Printed are the operations, the exceptions, what was lost, and what was found where
it does not belong. The exit status is 1 where anything went wrong. Without --url a redis-server of its own is started.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from router.cache.store import Store
from router.testing.store_stress import Stressed, stress

_START_S = 10.0


def make(backend: str, where: str) -> Store:
    """Returns a store on a file, or on a server."""
    if backend == "sqlite":
        from router.cache.sqlite import SqliteStore

        return SqliteStore(where)
    from router.cache.redis import RedisStore

    return RedisStore(url=where)


def hammer(backend: str, where: str, threads: int, tasks: int, seconds: float, number: int) -> Stressed:
    """Returns what one process counted."""
    work = stress(lambda: make(backend, where), threads=threads, tasks=tasks, seconds=seconds, seed=number)
    return asyncio.run(work)


@contextmanager
def somewhere(backend: str, url: str | None) -> Iterator[str]:
    """Gives a new file, or the address of a server: the one that is named, or one of our own."""
    with tempfile.TemporaryDirectory() as folder:
        if backend == "sqlite":
            yield str(Path(folder) / "cache.db")
            for file in sorted(Path(folder).iterdir()):
                print(f"{file.name}: {file.stat().st_size / 1e6:.1f} MB")
        elif url is not None:
            yield url
        else:
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
            command = [
                shutil.which("redis-server") or "redis-server",
                "--port",
                f"{port}",
                "--save",
                "",
                "--dir",
                folder,
            ]
            with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:  # noqa: S603 - our own command
                try:
                    await_port(port)
                    yield f"redis://127.0.0.1:{port}/0"
                finally:
                    server.terminate()


def await_port(port: int) -> None:
    """Returns when a server listens."""
    end = time.monotonic() + _START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return


def main() -> int:
    """Hammers, prints and judges."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--backend", choices=("sqlite", "redis"), default="sqlite")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--threads", type=int, default=6)
    parser.add_argument("--processes", type=int, default=6)
    parser.add_argument("--tasks", type=int, default=1)
    parser.add_argument("--url")
    asked = parser.parse_args()
    total = Stressed()
    with (
        somewhere(asked.backend, asked.url) as where,
        ProcessPoolExecutor(asked.processes, multiprocessing.get_context("spawn")) as executor,
    ):
        runs = [
            executor.submit(hammer, asked.backend, where, asked.threads, asked.tasks, asked.seconds, number)
            for number in range(asked.processes)
        ]
        for run in runs:
            total.add(run.result())
    print(f"{asked.backend}: {asked.processes} processes x {asked.threads} threads x {asked.tasks} tasks")
    print(f"operations {total.operations} ({total.operations / asked.seconds:.0f}/s)")
    print(f"exceptions {sum(total.exceptions.values())} {dict(total.exceptions) or ''}")
    print(f"lost {total.lost}")
    print(f"foreign {total.foreign}")
    return 0 if total.clean else 1


if __name__ == "__main__":
    sys.exit(main())
