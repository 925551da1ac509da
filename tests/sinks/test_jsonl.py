"""The durable log: one record, one line, one write; nothing lost, nothing torn."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import signal
import stat
import sys
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE, Popen
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given as over
from hypothesis import strategies as st

from router.core.answer import Usage
from router.core.bounds import Bounds
from router.core.caching import Caching, Hit, Lookup
from router.core.decision import Decision
from router.core.machine import Exhausted, plan
from router.sinks.jsonl import JsonlSink
from tests.core.builders import features, given


def decision(trace_id: str = "b" * 32) -> Decision:
    """Returns the shortest decision there is: nobody to ask."""
    end = plan(given())
    assert isinstance(end, Exhausted)
    return replace(end.decision, ids=replace(end.decision.ids, trace_id=trace_id))


def records(path: Path) -> list[dict[str, Any]]:
    """Returns the records of a file."""
    return [json.loads(text) for text in path.read_text().splitlines()]


def test_a_named_file_is_that_file(tmp_path: Path) -> None:
    """A path that ends in .jsonl is used as it is; folders on the way are made; only its owner can read it."""
    path = tmp_path / "logs" / "mine.jsonl"
    sink = JsonlSink(path)
    sink.emit(decision("1" * 32))
    sink.emit(decision("2" * 32))
    assert [r["trace_id"] for r in records(path)] == ["1" * 32, "2" * 32]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    sink.close()
    sink.close()
    sink.emit(decision("3" * 32))
    sink.close()
    assert len(records(path)) == 3


def test_a_folder_has_a_file_for_each_process(tmp_path: Path) -> None:
    """Any other path is a folder with this process's own file in it, also after a fork."""
    sink = JsonlSink(tmp_path / "decisions")
    sink.emit(decision())
    context = multiprocessing.get_context("fork")
    child = context.Process(target=sink.emit, args=(decision(),))
    child.start()
    child.join()
    sink.emit(decision())
    sink.close()
    files = sorted((tmp_path / "decisions").iterdir(), key=lambda f: len(records(f)))
    assert [len(records(f)) for f in files] == [1, 2]
    assert str(os.getpid()) in files[1].name


def test_several_processes_may_share_a_file(tmp_path: Path) -> None:
    """Four processes that append to one file tear no line."""
    path = tmp_path / "shared.jsonl"
    context = multiprocessing.get_context("fork")

    def write() -> None:
        sink = JsonlSink(path)
        for _ in range(250):
            sink.emit(decision())

    children = [context.Process(target=write) for _ in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert len(records(path)) == 1_000


def test_a_record_outlives_a_killed_process(tmp_path: Path) -> None:
    """A process killed with -9 right after `emit` has its record in the file, whole."""
    path = tmp_path / "killed.jsonl"
    code = (
        "import time\n"
        "from router.sinks.jsonl import JsonlSink\n"
        "from tests.sinks.test_jsonl import decision\n"
        f"JsonlSink({str(path)!r}).emit(decision())\n"
        "print('written', flush=True)\n"
        "time.sleep(600)\n"
    )
    with Popen([sys.executable, "-c", code], stdout=PIPE, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        process.send_signal(signal.SIGKILL)
    assert len(records(path)) == 1


def test_a_torn_line_does_not_swallow_the_next_record(tmp_path: Path) -> None:
    """After a write that failed half-way, here and in an earlier process, the next record has a line of its own."""
    path = tmp_path / "torn.jsonl"
    path.write_bytes(b'{"half": ')
    sink = JsonlSink(path)
    sink.emit(decision())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    room = path.stat().st_size + 100
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            sink.emit(decision())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    sink.emit(decision("3" * 32))
    sink.close()
    lines = path.read_text().splitlines()
    assert len(lines) == 4
    assert json.loads(lines[1])["trace_id"] == "b" * 32
    assert json.loads(lines[3])["trace_id"] == "3" * 32


def test_a_deleted_log_is_begun_anew(tmp_path: Path) -> None:
    """A file that somebody rotated away is made again."""
    path = tmp_path / "rotated.jsonl"
    sink = JsonlSink(path)
    sink.emit(decision())
    path.unlink()
    sink.emit(decision("2" * 32))
    sink.close()
    assert [r["trace_id"] for r in records(path)] == ["2" * 32]


def served(tokens: int, *, usage: Usage | None = None, terms: Caching | None = None) -> Decision:
    """Returns the decision of a request that looked into the cache and found something."""
    hit = Hit(kind="memory", model="a", model_id="a", trace_id="e" * 32, age_s=0.5, usage=usage)
    lookup = Lookup(ended_s=0.25, hit=hit)
    return replace(
        decision(), features=features(tokens), caching=terms or Caching(mode="use"), bounds=Bounds(), lookup=lookup
    )


SERVED = st.builds(
    served,
    st.integers(0, 9),
    usage=st.none() | st.builds(Usage, input_tokens=st.integers(0, 9)),
    terms=st.sampled_from([Caching(mode="use"), Caching(mode="only", ttl_s=1.0), Caching()]),
)
LATER = st.builds(lambda one, shared: replace(one, features=shared.features, caching=shared.caching), SERVED, SERVED)


@over(first=st.lists(SERVED | LATER, max_size=4), again=st.lists(st.integers(0, 3), max_size=9))
def test_a_line_is_the_record_of_its_decision(first: list[Decision], again: list[int]) -> None:
    """Whatever the sink remembers of decisions before, each line says what `to_dict` says of its own."""
    decisions = [*first, *(replace(first[i], latency_s=i + 0.5) for i in again if i < len(first))]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "log.jsonl"
        path.touch()
        sink = JsonlSink(path)
        for one in decisions:
            sink.emit(one)
        sink.close()
        assert records(path) == [one.to_dict() for one in decisions]


def test_a_line_is_right_after_more_requests_than_are_remembered(tmp_path: Path) -> None:
    """What is remembered has an end, and nothing is taken for what had its place in memory before."""
    path = tmp_path / "many.jsonl"
    sink = JsonlSink(path)
    for tokens in range(2_001):
        sink.emit(served(tokens))
    sink.close()
    assert [record["features"]["input_tokens"]["low"] for record in records(path)] == list(range(2_001))
