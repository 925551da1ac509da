"""Lines of logs for the tests of what reads and compacts them."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

from router.analytics.log import opened
from router.analytics.places import store_of
from router.analytics.store import read_state


def line(number: int, **more: Any) -> bytes:
    """Returns a record with a trace id and a time of its own, an hour after the one before."""
    record = {
        "schema": 1,
        "trace_id": f"{number:032x}",
        "time": f"2026-11-{1 + number // 24 % 28:02d}T{number % 24:02d}:00:00.000000+00:00",
        "cost_usd": f"0.{number:06d}",
        **more,
    }
    return json.dumps(record).encode() + b"\n"


def ids(log: Path) -> Counter[int]:
    """Returns how often each number's record is in a log, as the view has it."""
    with opened(log) as connection:
        rows = connection.sql("SELECT trace_id, count(*) FROM decisions GROUP BY ALL").fetchall()
    return Counter({int(trace_id, 16): count for trace_id, count in rows})


def aside(log: Path) -> dict[str, int]:
    """Returns how many lines are no decisions, by reason, as the log's table has it."""
    with opened(log) as connection:
        return dict(connection.sql("SELECT reason, lines FROM aside").fetchall())


def lines_aside(log: Path) -> list[bytes]:
    """Returns the lines that compaction set aside, sorted."""
    store = store_of(log)
    return sorted(
        text for name in read_state(store).aside for text in (store / name).read_bytes().splitlines(keepends=True)
    )


def aged(path: Path, seconds: float) -> None:
    """Makes a file so old."""
    then = time.time() - seconds
    os.utime(path, (then, then))
