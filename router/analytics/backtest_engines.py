"""Where the parts of a log are played: here, in as many processes as the machine has cores, or on a Ray cluster.

An engine is the same map in another place: it takes the job and the parts, and yields what each part comes to, in any
order. It never holds more parts than it has workers for, so memory stays bounded whatever the log's size.
"""

from __future__ import annotations

import gc
import importlib
import multiprocessing
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Final

from router.analytics.backtest_tally import Result
from router.analytics.backtest_work import Job, Row, played
from router.errors import ConfigError, RouterError

Part = Sequence[Row]

AHEAD: Final = 2
"""Parts that wait for each worker, so that none has to wait for the log to be read."""


def cores() -> int:
    """Returns how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def local(job: Job, parts: Iterable[Part], processes: int) -> Iterator[Result]:
    """Yields what each part comes to, played in processes of this machine; in this one where one is enough.

    Raises:
        RouterError: a process was killed.
    """
    if processes == 1:
        for part in parts:
            yield played(job, part)
        return
    # Started anew and not forked: DuckDB has threads, and their locks would come along as they happen to be.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_begin, initargs=(job,)) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for part in parts:
                waiting.append(pool.submit(_play, part))
                if len(waiting) >= AHEAD * processes:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise RouterError(
                "a process of the backtest was killed, most likely for want of memory: nothing was counted; try fewer "
                "with --processes"
            ) from error
        finally:
            for future in waiting:
                future.cancel()


_job: list[Job] = []
"""What this process works at; it is set once, when the process begins. A pool gives its processes no other place, and
a job that came along with every part would be pickled as often."""


def _begin(job: Job) -> None:
    _job[:] = [job]
    # Records are trees, which go when they are let go of; looking for circles among them takes a tenth of the time.
    gc.freeze()
    gc.set_threshold(100_000)


def _play(part: Part) -> Result:
    return played(_job[0], part)


def on_ray(job: Job, parts: Iterable[Part], ray: Any = "ray") -> Iterator[Result]:
    """Yields what each part comes to, played on a Ray cluster: the one of `RAY_ADDRESS`, else one made on this machine.

    Every node needs lowfare, and the plug-ins that the configurations use.

    Args:
        job: what is to be done.
        parts: of the log.
        ray: the module, or its name.

    Raises:
        ConfigError: Ray is not installed.
    """
    if isinstance(ray, str):
        try:
            ray = importlib.import_module(ray)
        except ImportError as error:
            raise ConfigError("--engine ray needs 'ray', which is not installed: pip install 'lowfare[ray]'") from error
    if not ray.is_initialized():
        ray.init(log_to_driver=False)
    work, shared = ray.remote(played), ray.put(job)
    most = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
    waiting: list[Any] = []
    for part in parts:
        waiting.append(work.remote(shared, part))
        if len(waiting) >= most:
            done, waiting = ray.wait(waiting)
            yield from ray.get(done)
    yield from ray.get(waiting)
