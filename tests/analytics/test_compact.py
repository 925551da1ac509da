from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from router.analytics.compact import ABANDONED_S, QUIET_S, Terms, compact
from router.analytics.log import opened
from router.analytics.log_reader import LogReader
from router.analytics.places import store_of
from router.errors import ConfigError
from tests.analytics.log_lines import aged, aside, ids, line, lines_aside

HELPER = """
import os, sys
from router.analytics.compact import Terms, compact
for log in iter(sys.stdin.readline, ""):
    if not log.strip():
        print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
    elif child := os.fork():
        print(child, flush=True)
    else:
        compact(log.strip(), Terms(slice_bytes=1000, threads=1))
        os._exit(0)
"""
"""Forks compactions: to import what they need takes longer than they do."""
SMALL = Terms(slice_bytes=1000, threads=1)


def started(helper: subprocess.Popen[str], log: Path) -> int:
    """Lets the helper begin a compaction in a process of its own; returns its id."""
    assert helper.stdin is not None
    assert helper.stdout is not None
    helper.stdin.write(f"{log}\n")
    helper.stdin.flush()
    return int(helper.stdout.readline())


def ended(helper: subprocess.Popen[str], count: int) -> list[int]:
    """Returns how so many of its compactions ended, when all have."""
    assert helper.stdin is not None
    assert helper.stdout is not None
    helper.stdin.write("\n" * count)
    helper.stdin.flush()
    return [int(helper.stdout.readline()) for _ in range(count)]


@pytest.mark.untraced
def test_killed_and_two_at_once_while_others_write(tmp_path: Path) -> None:
    """Whoever is killed and whoever else compacts: each record and each torn line is in the store exactly once."""
    chance = random.Random(6)
    torn: list[bytes] = []
    count = 0

    def write() -> None:
        nonlocal count
        for path in (tmp_path / "a.jsonl", tmp_path / "b.jsonl"):
            with path.open("ab", buffering=0) as file:
                for _ in range(20):
                    file.write(text := line(count))
                    count += 1
                    if count % 7 == 0:
                        torn.append(b"torn %d\n" % count)
                        file.write(torn[-1])
                file.write((text := line(count))[:30])  # half a line, while the compactions begin
                file.write(text[30:])
                count += 1

    write()
    ends: Counter[int] = Counter()
    with subprocess.Popen(
        [sys.executable, "-c", HELPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as helper:
        for _ in range(8):
            two = [started(helper, tmp_path) for _ in range(2)]
            write()
            time.sleep(chance.uniform(0, 0.4))
            for child in two[: chance.randint(1, 2)]:
                os.kill(child, signal.SIGKILL)
            ends.update(ended(helper, 2))
        helper.communicate()
    assert ends.keys() <= {0, -signal.SIGKILL}
    compact(tmp_path, Terms(merge=True))
    once = Counter(dict.fromkeys(range(count), 1))
    assert ids(tmp_path) == once
    assert ids(store_of(tmp_path)) == once
    assert lines_aside(tmp_path) == sorted(torn)


def test_two_at_once_lose_nothing(tmp_path: Path) -> None:
    """Of two compactions in one process, each commits what the other did not; together they have read everything."""
    for name in range(4):
        (tmp_path / f"{name}.jsonl").write_bytes(b"".join(line(100 * name + n) for n in range(30)))
    found = []
    threads = [threading.Thread(target=lambda: found.append(compact(tmp_path, SMALL).records)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(found) == 120
    assert ids(store_of(tmp_path)) == Counter({100 * name + n: 1 for name in range(4) for n in range(30)})


def test_somebody_else_was_quicker(tmp_path: Path) -> None:
    """Who finds that another compaction did its work throws its own away, and goes on after the other's."""
    (tmp_path / "log.jsonl").write_bytes(b"".join(map(line, range(40))))
    others: list[int] = []

    def meanwhile(done: int, of: int) -> None:
        if not others:
            others.append(compact(tmp_path, SMALL).records)

    mine = compact(tmp_path, SMALL, progress=meanwhile)
    assert mine.lost == 1
    assert mine.records + others[0] == 40
    assert ids(store_of(tmp_path)) == Counter(dict.fromkeys(range(40), 1))


def test_work_on_other_files_stands(tmp_path: Path) -> None:
    """A commit of other sources is no reason to throw anything away: the work goes on top of it."""
    (tmp_path / "a.jsonl").write_bytes(b"".join(map(line, range(40))))
    others: list[int] = []

    def meanwhile(done: int, of: int) -> None:
        if not others:
            (tmp_path / "b.jsonl").write_bytes(line(100))
            others.append(compact(tmp_path / "b.jsonl", Terms(into=store_of(tmp_path))).records)

    mine = compact(tmp_path, SMALL, progress=meanwhile)
    assert (mine.lost, mine.records, others) == (0, 40, [1])
    assert ids(tmp_path) == Counter(dict.fromkeys([*range(40), 100], 1))


@pytest.mark.parametrize("reads", [True, False], ids=["a reader", "a compaction"])
def test_a_source_that_goes_meanwhile(tmp_path: Path, reads: bool) -> None:
    """Who finds a file gone that was there a moment ago looks again: it is in the store now."""
    for name in "abc":
        (tmp_path / f"{name}.jsonl").write_bytes(line(ord(name)))
        aged(tmp_path / f"{name}.jsonl", QUIET_S + 10)

    def meanwhile(done: int, of: int) -> None:
        if reads:
            compact(tmp_path, Terms(remove=True))
        elif (last := tmp_path / "c.jsonl").exists():
            compact(last, Terms(into=store_of(tmp_path), remove=True))

    if reads:
        with opened(tmp_path, slice_bytes=10, progress=meanwhile) as connection:
            rows = connection.sql("SELECT trace_id FROM decisions").fetchall()
        assert sorted(int(trace_id, 16) for (trace_id,) in rows) == [ord(name) for name in "abc"]
    else:
        compact(tmp_path, Terms(slice_bytes=10), progress=meanwhile)
    assert not (tmp_path / "c.jsonl").exists()
    assert ids(tmp_path) == {ord(name): 1 for name in "abc"}


def test_again_and_again(tmp_path: Path) -> None:
    """What was compacted is not compacted again; what was added since is; half a line waits until it is whole."""
    log = tmp_path / "log.jsonl"
    log.write_bytes(line(1) + line(2))
    assert compact(log, SMALL).records == 2
    assert compact(log, SMALL).records == 0
    with log.open("ab") as file:
        file.write(line(3) + line(4)[:-5])
    assert compact(log, SMALL).records == 1
    with log.open("ab") as file:
        file.write(line(4)[-5:])
    assert compact(log, SMALL).records == 1
    assert ids(log) == {1: 1, 2: 1, 3: 1, 4: 1}


def test_days(tmp_path: Path) -> None:
    """Each day has a folder, by the time in UTC; so do records that lack a time."""
    log = tmp_path / "log.jsonl"
    log.write_bytes(line(1, time="2026-11-01T23:30:00-01:00") + line(2) + line(3, time=None) + line(26))
    done = compact(log, Terms())
    assert (done.records, done.files) == (4, 3)
    days = {"date=2026-11-01", "date=2026-11-02", "date=__HIVE_DEFAULT_PARTITION__"}
    assert {path.name for path in done.store.glob("date=*")} == days


def test_a_name_that_recurs(tmp_path: Path) -> None:
    """Another file under the name of one that is gone is read from its beginning."""
    log = tmp_path / "log.jsonl"
    log.write_bytes(line(1) + line(2))
    compact(tmp_path, SMALL)
    log.write_bytes(line(3))
    assert compact(tmp_path, SMALL).records == 1
    assert ids(tmp_path) == {1: 1, 2: 1, 3: 1}


def test_a_renamed_file(tmp_path: Path) -> None:
    """A file under another name is read on from where it was; one that merely begins alike is another."""
    (tmp_path / "log.jsonl").write_bytes(line(1) + line(2))
    compact(tmp_path, SMALL)
    (tmp_path / "log.jsonl").rename(tmp_path / "old.jsonl")
    with (tmp_path / "old.jsonl").open("ab") as file:
        file.write(line(3))
    assert ids(tmp_path) == {1: 1, 2: 1, 3: 1}
    assert compact(tmp_path, SMALL).records == 1
    (tmp_path / "old.jsonl").unlink()
    (tmp_path / "new.jsonl").write_bytes(line(1) + line(5) + line(6))
    assert compact(tmp_path, SMALL).records == 3


def test_remove(tmp_path: Path) -> None:
    """Only files go that are read to the end and quiet for a day; what they held stays readable."""
    for name in ("read", "half", "fresh"):
        (tmp_path / f"{name}.jsonl").write_bytes(line(len(name), name=name))
    with (tmp_path / "half.jsonl").open("ab") as file:
        file.write(b"half")
    aged(tmp_path / "read.jsonl", QUIET_S + 10)
    assert compact(tmp_path, Terms(remove=True)).removed == 1
    assert sorted(path.name for path in tmp_path.glob("*.jsonl")) == ["fresh.jsonl", "half.jsonl"]
    assert (ids(tmp_path).total(), aside(tmp_path)) == (3, {"not_json": 1})
    aged(tmp_path / "half.jsonl", QUIET_S + 10)
    assert compact(tmp_path, Terms(remove=True)).removed == 1
    assert (ids(tmp_path).total(), aside(tmp_path)) == (3, {"not_json": 1})


@pytest.mark.parametrize("before", [b"", line(1)])
@pytest.mark.parametrize("last", [line(2)[:-1], line(2)[:-9]])
def test_the_last_line_of_a_quiet_file(tmp_path: Path, before: bytes, last: bytes) -> None:
    """A last line without newline waits for a day; then it is taken if it is whole, else set aside, and only once."""
    whole = last + b"\n" == line(2)
    expected = ({n: 1 for n, there in ((1, before), (2, whole)) if there}, {} if whole else {"not_json": 1})
    log = tmp_path / "log.jsonl"
    log.write_bytes(before + last)
    assert compact(tmp_path, SMALL).records == len(before.splitlines())
    assert (dict(ids(tmp_path)), aside(tmp_path)) == expected
    aged(log, QUIET_S + 10)
    done = compact(tmp_path, SMALL)
    assert (done.records, dict(done.aside)) == (int(whole), expected[1])
    assert (dict(ids(tmp_path)), aside(tmp_path)) == expected
    assert lines_aside(tmp_path) == ([] if whole else [last + b"\n"])
    assert compact(tmp_path, SMALL).records == 0
    reader = LogReader(tmp_path)
    assert (len(list(reader)), reader.torn) == (len(expected[0]), int(not whole))
    with log.open("ab") as file:  # a writer that slept for longer
        file.write(b"\n" + line(3))
    assert compact(tmp_path, SMALL).records == 1
    assert dict(ids(tmp_path)) == expected[0] | {3: 1}


def test_a_log_of_one_file_that_was_removed(tmp_path: Path) -> None:
    """Under the name of a file that is in the store alone, everything of it is still read, and compacted again."""
    log = tmp_path / "log.jsonl"
    log.write_bytes(line(1) + line(2))
    aged(log, QUIET_S + 10)
    assert compact(log, Terms(remove=True)).removed == 1
    assert ids(log) == {1: 1, 2: 1}
    assert [int(record["trace_id"], 16) for record in LogReader(log)] == [1, 2]
    assert compact(log, Terms()).records == 0
    log.write_bytes(line(3))
    assert ids(log) == {1: 1, 2: 1, 3: 1}


def test_sweeping(tmp_path: Path) -> None:
    """Files that no commit names go once they are an hour old, and so do those that a merge replaced; others stay."""
    (tmp_path / "log.jsonl").write_bytes(b"".join(map(line, range(20))) + b"torn\n")
    store = compact(tmp_path, SMALL).store
    for name in ("date=2026-11-01/part-x.parquet", "aside/x.jsonl", "_commits/draft-x"):
        (store / name).write_bytes(b"left behind")
    (store / "date=2026-11-01" / "part-young.parquet").write_bytes(b"being written")
    replaced = compact(tmp_path, Terms(merge=True)).merged
    assert replaced > 1
    for path in store.rglob("*"):
        if path.is_file() and "young" not in path.name:
            aged(path, ABANDONED_S + 10)
    compact(tmp_path, SMALL)
    assert not list(store.rglob("*-x*"))
    assert (store / "date=2026-11-01" / "part-young.parquet").exists()
    assert len(list(store.rglob("part-*"))) == replaced + 2  # what was replaced just now may be read still
    assert ids(store) == Counter(dict.fromkeys(range(20), 1))


def test_later_schemas(tmp_path: Path) -> None:
    """A record of a later schema is kept, readable as far as the columns go, and counted."""
    (tmp_path / "log.jsonl").write_bytes(line(1, schema=2) + line(2))
    assert compact(tmp_path, SMALL).newer == 1
    assert ids(tmp_path) == {1: 1, 2: 1}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("00000001.json", b"{", "is damaged"),
        ("00000001.json", b'{"form": 2}', "a later version"),
        ("00000002.json", b'{"form": 1}', "is missing"),
    ],
)
def test_damaged_stores(tmp_path: Path, name: str, text: bytes, message: str) -> None:
    """A store whose commits cannot be read is told, never guessed."""
    (tmp_path / "log.jsonl").write_bytes(line(1))
    commits = store_of(tmp_path) / "_commits"
    commits.mkdir(parents=True)
    (commits / name).write_bytes(text)
    with pytest.raises(ConfigError, match=message):
        compact(tmp_path, SMALL)


def test_into(tmp_path: Path) -> None:
    """The store may be elsewhere, and then is a log of its own; a file is no place for it."""
    (tmp_path / "log.jsonl").write_bytes(line(1))
    assert compact(tmp_path, Terms(into=tmp_path / "else" / "where")).records == 1
    assert ids(tmp_path / "else" / "where") == {1: 1}
    with pytest.raises(ConfigError, match="no folder"):
        compact(tmp_path, Terms(into=tmp_path / "log.jsonl"))
