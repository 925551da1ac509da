"""A backtest: every request of a log, played under one configuration or several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, Literal, TypeAlias

import duckdb
import numpy as np

from router.analytics.backtest_engines import Part, cores, local, on_ray
from router.analytics.backtest_explored import Reward
from router.analytics.backtest_tally import Result, merged
from router.analytics.backtest_work import COLUMNS, Job, played
from router.analytics.bootstrap import RESAMPLES
from router.analytics.log import Progress, opened
from router.analytics.statements import statement

Engine: TypeAlias = Literal["local", "ray"]

PART: Final = 2_000
"""Records that are played at a time: some megabytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """What a backtest came to.

    Attributes:
        result: its counts.
        job: what was played, with the reward that was asked for or found in the log.
    """

    result: Result
    job: Job


def backtest(
    log: Path,
    job: Job,
    /,
    *,
    reward: Reward | None = None,
    engine: Engine = "local",
    processes: int | None = None,
    told: Callable[[int], None] = lambda _: None,
    reading: Progress | None = None,
) -> Backtest:
    """Returns what a log comes to.

    Args:
        log: a file, or the folder of a log.
        job: what is to be played; its reward is set here.
        reward: what makes an outcome good; None takes labels where there are any, else scores, else that there was an
            answer.
        engine: where to play.
        processes: how many on this machine; None takes one for each core. Where budgets are played it is this one.
        told: is called with the number of records of each part that is done.
        reading: is called while JSONL is parsed, before anything is played.

    Raises:
        ConfigError: there is no such log, or the engine is not installed.
        RouterError: a process was killed.
    """
    with opened(log, progress=reading) as connection:
        labelled, scored = _labels(connection)
        job = replace(job, reward=reward or ("label" if labelled else "score" if scored else "answer"))
        lines = rows(connection, labelled=bool(labelled or scored), in_order=job.budgets == "played")
        if job.budgets == "played":
            accounts = job.accounts()
            results: Iterator[Result] = (played(job, part, accounts) for part in lines)
        else:
            results = on_ray(job, lines) if engine == "ray" else local(job, lines, processes or cores())
        zeros = np.zeros((COLUMNS, RESAMPLES)) if job.compare else None
        result = merged(_watched(results, told), len(job.setups), zeros)
        broken = Counter(dict(connection.execute("SELECT reason, lines FROM aside").fetchall()))
    records, aside = result.records + broken.total(), Counter(result.aside) + broken
    return Backtest(result=replace(result, records=records, aside=aside), job=job)


def rows(connection: duckdb.DuckDBPyConnection, /, *, labelled: bool, in_order: bool = False) -> Iterator[Part]:
    """Yields the records of a log, a part at a time, with what their labels say; in the order of time if need be."""
    order = "ORDER BY time, trace_id" if in_order else ""
    cursor = connection.execute(statement("backtest" if labelled else "backtest_unlabelled", order=order))
    return iter(partial(cursor.fetchmany, PART), [])


def _labels(connection: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    """Returns how many labels say whether an answer was adequate, and how many give it a score."""
    found = connection.execute("SELECT count(adequate), count(score) FROM labels").fetchone()
    return found if found is not None else (0, 0)


def _watched(results: Iterable[Result], told: Callable[[int], None]) -> Iterator[Result]:
    for result in results:
        told(result.records)
        yield result
