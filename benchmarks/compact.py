"""How quick is compaction, and does every record survive being killed?

    python benchmarks/compact.py [--records 300000] [--kills 50] [--seed 1] [--json]

Speed is in records per second of processor time, with one thread; wall time on an idle machine is the same. Records of
1 kB are a small application's (one attempt, no slate); the others are what the simulated provider of `lowfare demo`
leaves behind, 2.3 kB each.

For the kills, compactions of the same log run two at a time and get SIGKILL at random moments, while a writer appends
records, lines that are no decisions among them. In the end one compaction may finish, and each line must be in the
store exactly once. Exit code 1 where one is not.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import md5
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa  # type: ignore[import-untyped]  # it ships no types

from router.analytics.compact import Compacted, Terms, compact
from router.analytics.log import opened
from router.analytics.places import store_of
from router.analytics.store import read_state
from router.cli import demo

BARE = {
    "schema", "trace_id", "request_id", "time", "tenant", "tags", "policy", "key", "model", "ending", "cost_usd",
    "worst_case_usd", "waste_usd", "baseline", "baseline_usd", "cache", "saved_usd", "lookup", "latency_s", "features",
    "attempts",
}  # fmt: skip
BARE_ATTEMPT = {"model", "model_id", "provider", "started_s", "latency_s", "outcome", "usage", "cost_usd", "billing"}
BARE_FEATURES = {"input_tokens", "output_tokens_most", "choices", "stream", "prefix"}
FROM = datetime(2026, 11, 1, tzinfo=UTC)
LONGEST_S = 3.0
"""Until a compaction is killed: time for some commits of `SLICE_BYTES`."""
SLICE_BYTES = 65_536
HELPER = f"""
import os, sys
from router.analytics.compact import Terms, compact
for log in iter(sys.stdin.readline, ""):
    if not log.strip():
        print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
    elif child := os.fork():
        print(child, flush=True)
    else:
        compact(log.strip(), Terms(slice_bytes={SLICE_BYTES}, threads=1))
        os._exit(0)
"""
"""Forks compactions: to import what they need takes longer than they do."""


def lines(count: int, *, bare: bool, seed: int) -> Iterator[bytes]:
    """Yields records: those of the demonstration, with ids, times and figures of their own."""
    chance = random.Random(seed)
    templates = [_bare(r) if bare else r for r in _decisions()]
    for number in range(count):
        digits = md5(f"{seed} {number}".encode(), usedforsecurity=False).hexdigest()
        yield orjson.dumps(
            chance.choice(templates)
            | {
                "trace_id": digits,
                "request_id": digits[::-1],
                "key": digits + digits,
                "time": (FROM + timedelta(seconds=number / 2)).isoformat(timespec="microseconds"),
                "latency_s": chance.expovariate(1),
                "cost_usd": f"{chance.random() / 100:.9f}",
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )


@cache
def _decisions() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        log = Path(folder) / "log.jsonl"
        demo.run(log=str(log), as_json=True)
        return [orjson.loads(line) for line in log.read_bytes().splitlines()]


def _bare(record: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in record.items() if name in BARE}
    kept["attempts"] = [{n: v for n, v in a.items() if n in BARE_ATTEMPT} for a in record["attempts"][-1:]]
    kept["features"] = {n: v for n, v in record["features"].items() if n in BARE_FEATURES}
    return kept


def speed(count: int, folder: Path, *, bare: bool, seed: int) -> dict[str, float]:
    """Returns records per second of processor time, and bytes per record in JSONL and Parquet."""
    log = folder / ("bare" if bare else "real")
    log.mkdir()
    size = 0
    with (log / "log.jsonl").open("wb") as file:
        for line in lines(count, bare=bare, seed=seed):
            size += file.write(line)
    pa.set_cpu_count(1)
    wall, processor = time.perf_counter(), time.process_time()
    done: Compacted = compact(log, Terms(threads=1))
    processor, wall = time.process_time() - processor, time.perf_counter() - wall
    assert done.records == count
    parquet = sum(file.size for file in read_state(done.store).files.values())
    return {
        "jsonl_bytes": size / count,
        "parquet_bytes": parquet / count,
        "records_per_cpu_s": count / processor,
        "records_per_s": count / wall,
        "mb_per_cpu_s": size / processor / 1e6,
    }


def killed(kills: int, folder: Path, seed: int) -> dict[str, int]:
    """Kills compactions; returns how many lines are missing, how many are there twice, and what else happened.

    `left` are the records that only the last compaction got, which nobody killed.
    """
    log = folder / "killed"
    log.mkdir()
    written: list[bytes] = []
    stop = threading.Event()
    writer = threading.Thread(target=_append, args=(log, written, stop, seed))
    writer.start()
    chance = random.Random(seed)
    ends: Counter[int] = Counter()
    with subprocess.Popen(  # noqa: S603 - our own
        [sys.executable, "-c", HELPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as helper:
        assert helper.stdin is not None
        assert helper.stdout is not None
        while ends[-signal.SIGKILL] < kills:
            helper.stdin.write(f"{log}\n{log}\n")
            children = [int(helper.stdout.readline()) for _ in range(2)]
            for child in children:
                time.sleep(chance.uniform(0, LONGEST_S))
                os.kill(child, signal.SIGKILL)
            helper.stdin.write("\n\n")
            ends.update(int(helper.stdout.readline()) for _ in children)
        helper.stdin.close()
    stop.set()
    writer.join()
    before = read_state(store_of(log)).number
    done = compact(log, Terms(merge=True))
    return {
        "kills": ends[-signal.SIGKILL],
        "finished": ends[0],
        "lines": len(written),
        "commits": before,
        "left": done.records,
        **_counted(log, written),
    }


def _append(log: Path, written: list[bytes], stop: threading.Event, seed: int) -> None:
    """Appends to three files in turn, some lines in two halves, every twentieth no decision."""
    files = [(log / f"{number}.jsonl").open("ab", buffering=0) for number in range(3)]
    for number, line in enumerate(lines(10**9, bare=True, seed=seed)):
        if stop.is_set():
            break
        text = line if number % 20 else b"torn \xff %d\n" % number
        file, cut = files[number % 3], number % 100
        file.write(text[:cut])
        file.write(text[cut:])
        written.append(text)
        if number % 50 == 0:
            time.sleep(0.02)
    for file in files:
        file.close()


def _counted(log: Path, written: list[bytes]) -> dict[str, int]:
    store = store_of(log)
    state = read_state(store)
    found: Counter[bytes] = Counter()
    for name in state.aside:
        found.update((store / name).read_bytes().splitlines(keepends=True))
    with opened(store) as connection:
        rows = connection.sql("SELECT record FROM decisions").to_arrow_reader(10_000)
        for batch in rows:
            found.update(record.encode() + b"\n" for record in batch["record"].to_pylist())
    wanted = Counter(written)
    return {
        "missing": (wanted - found).total(),
        "twice": (found - wanted).total(),
        "aside": sum(sum(file.reasons.values()) for file in state.aside.values()),
    }


def main() -> int:
    """Measures, prints and judges."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--records", type=int, default=300_000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures: dict[str, Any] = {
            "bare": speed(asked.records, folder, bare=True, seed=asked.seed),
            "real": speed(asked.records // 2, folder, bare=False, seed=asked.seed),
            "killed": killed(asked.kills, folder, asked.seed) if asked.kills else {},
        }
    if asked.json:
        print(json.dumps(figures))
    else:
        for name in ("bare", "real"):
            f = figures[name]
            print(
                f"{f['jsonl_bytes']:,.0f} bytes of JSONL, {f['parquet_bytes']:,.0f} of Parquet: "
                f"{f['records_per_cpu_s']:,.0f} records/s of processor time ({f['mb_per_cpu_s']:,.0f} MB/s), "
                f"{f['records_per_s']:,.0f}/s by the clock"
            )
        print(figures["killed"])
    return int(any(figures["killed"].get(name) for name in ("missing", "twice")))


if __name__ == "__main__":
    sys.exit(main())
