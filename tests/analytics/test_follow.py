from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.analytics.follow import Entry, Follower, Notice
from router.errors import ConfigError

NAMES = ["a.jsonl", "b.jsonl"]


def line(number: int, *, second: int = 0, size: int = 0) -> bytes:
    """Returns the line of a decision."""
    record = {"trace_id": f"{number:032x}", "time": f"2026-11-23T12:00:{second:02}", "why": "x" * size}
    return json.dumps(record).encode() + b"\n"


def numbers(entries: Any) -> list[int]:
    """Returns which decisions were read."""
    return [int(entry.record["trace_id"], 16) for entry in entries if isinstance(entry, Entry)]


def notices(found: Any) -> list[str]:
    """Returns what was said of files."""
    return [notice.text for notice in found if isinstance(notice, Notice)]


steps = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(["whole", "torn", "end", "look", "delete"])), max_size=25
)


@given(taken=steps, size=st.sampled_from([0, 10, 70_000]))
def test_every_decision_is_read_once(taken: list[tuple[str, str]], size: int) -> None:
    """Whatever files are appended to, in whole or in parts, come and go: each decision comes once, when it is whole."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder)
        follower = Follower(log)
        unread: dict[str, list[int]] = {name: [] for name in NAMES}
        half: dict[str, tuple[int, bytes]] = {}
        read: list[int] = []
        expected: list[int] = []
        for number, (name, step) in enumerate(taken):
            with (log / name).open("ab") as file:
                text = line(number, size=size)
                if step in {"whole", "end"} and name in half:
                    mine, rest = half.pop(name)
                    file.write(rest)
                    unread[name].append(mine)
                if step == "whole":
                    file.write(text)
                    unread[name].append(number)
                if step == "torn" and name not in half:
                    file.write(text[: len(text) // 2])
                    half[name] = number, text[len(text) // 2 :]
            if step == "look":
                read += numbers(follower.new())
                expected += [n for name in NAMES for n in unread[name]]
                unread = {name: [] for name in NAMES}
            if step == "delete":
                (log / name).unlink()
                unread[name].clear()
                half.pop(name, None)
                assert notices(follower.new()) == []
                expected += [n for other in NAMES for n in unread[other]]
                read = list(expected)
                unread = {name: [] for name in NAMES}
        assert read == expected
        rest_read = numbers(follower.new())
        assert rest_read == [n for name in NAMES for n in unread[name]]
        assert numbers(follower.new()) == []


@given(
    written=st.lists(
        st.tuples(st.sampled_from(NAMES), st.integers(0, 59), st.sampled_from([0, 9, 70_000])), max_size=20
    ),
    count=st.integers(0, 25),
    torn=st.booleans(),
    odd=st.booleans(),
)
def test_the_last_ones_come_first(written: list[tuple[str, int, int]], count: int, *, torn: bool, odd: bool) -> None:
    """The last decisions of each file, the latest of all of them, in the order of time; then only what comes after."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder)
        by_file: dict[str, list[tuple[int, int]]] = {name: [] for name in NAMES}
        for number, (name, second, size) in enumerate(written):
            with (log / name).open("ab") as file:
                file.write(line(number, second=second, size=size) + b"no record\n" * odd)
            by_file[name].append((second, number))
        if torn:
            with (log / NAMES[0]).open("ab") as file:
                file.write(line(999)[:-10])
        follower = Follower(log)
        last = numbers(follower.last(count))
        seconds = {number: second for number, (_, second, _) in enumerate(written)}
        candidates = [pair for pairs in by_file.values() for pair in (pairs[-count:] if count else [])]
        assert len(last) == min(count, len(candidates))
        assert [seconds[n] for n in last] == sorted(second for second, _ in candidates)[len(candidates) - len(last) :]
        assert len(set(last)) == len(last)
        assert list(follower.new()) == []
        if torn:
            with (log / NAMES[0]).open("ab") as file:
                file.write(line(999)[-10:])
            assert numbers(follower.new()) == [999]


def test_a_file_that_was_cut_replaced_or_written_anew(tmp_path: Path) -> None:
    """Such a file is read from its start, and that is said; a line that is no record is passed over, and that too."""
    log = tmp_path / "log.jsonl"
    follower = Follower(log)
    assert list(follower.new()) == []
    log.write_bytes(line(1) + line(2))
    assert numbers(follower.new()) == [1, 2]
    log.write_bytes(line(3))
    found = list(follower.new())
    assert (numbers(found), notices(found)) == ([3], [f"{log}: was cut; reading it from its start"])
    os.truncate(log, 0)
    log.write_bytes(line(4, size=500) + line(5))
    found = list(follower.new())
    assert (numbers(found), notices(found)) == ([4, 5], [f"{log}: was written anew; reading it from its start"])
    (tmp_path / "new").write_bytes(line(6) + b"no record\n\n[1]\n" + line(7))
    (tmp_path / "new").replace(log)
    found = list(follower.new())
    assert numbers(found) == [6, 7]
    assert notices(found)[0] == f"{log}: was replaced; reading it from its start"
    assert notices(found)[1:] == [f"{log}: a line that is no record, skipped"] * 2


def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """A log that is there and cannot be read is told with its name."""
    (tmp_path / "folder.jsonl").mkdir()
    for look in (lambda f: f.last(1), lambda f: list(f.new())):
        with pytest.raises(ConfigError, match=r"folder\.jsonl: the log cannot be read"):
            look(Follower(tmp_path))


rotations = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from(NAMES)),
        st.tuples(st.just("rename"), st.sampled_from(NAMES)),
        st.tuples(st.just("copy and cut"), st.sampled_from(NAMES)),
        st.tuples(st.just("look"), st.just("")),
    ),
    max_size=30,
)


@given(steps=rotations)
def test_a_log_that_is_rotated_is_read_once(steps: list[tuple[str, str]]) -> None:
    """Whatever is renamed, or copied and cut, within the folder: each decision comes once, though not in order."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder)
        follower = Follower(log)
        read: list[int] = []
        written = 0
        for number, (step, name) in enumerate(steps):
            file, kept = log / name, log / f"{name}.{number}.jsonl"
            if step == "write":
                with file.open("ab") as opened:
                    opened.write(line(number))
                written += 1
            elif step == "look":
                read += numbers(follower.new())
            elif file.exists() and step == "rename":
                file.rename(kept)
            elif file.exists():
                kept.write_bytes(file.read_bytes())
                file.write_bytes(b"")
        read += numbers(follower.new())
        assert (len(read), len(set(read))) == (written, written)
        assert list(follower.new()) == []


def test_a_copy_that_is_there_beside_its_original_is_read_once(tmp_path: Path) -> None:
    """While both are there and one of them was not read to its end, under whichever name it comes first."""
    for first, second in (("m.jsonl", "a.jsonl"), ("m.jsonl", "z.jsonl")):
        folder = tmp_path / second
        folder.mkdir()
        follower = Follower(folder)
        (folder / first).write_bytes(line(1))
        assert numbers(follower.new()) == [1]
        for name in (first, second):
            (folder / name).write_bytes(line(1) + line(2))
        assert numbers(follower.new()) == [2]
        assert numbers(follower.new()) == []


def test_a_log_from_now_on_stays_so_through_a_rotation(tmp_path: Path) -> None:
    """What was there at the beginning is not read when it comes under another name."""
    log = tmp_path / "a.jsonl"
    log.write_bytes(line(1))
    follower = Follower(tmp_path)
    assert follower.last(0) == []
    log.rename(tmp_path / "b.jsonl")
    log.write_bytes(line(2))
    found = list(follower.new())
    assert sorted(numbers(found)) == [2]
    assert notices(found) == [f"{log}: was replaced; reading it from its start"]


def test_a_file_in_the_place_of_one_that_was_read_under_another_name(tmp_path: Path) -> None:
    """It is read on, and that is said."""
    follower = Follower(tmp_path)
    one, two = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    one.write_bytes(line(1))
    two.write_bytes(line(2) + line(3))
    assert numbers(follower.new()) == [1, 2, 3]
    two.replace(one)
    with one.open("ab") as opened:
        opened.write(line(4))
    found = list(follower.new())
    assert (numbers(found), notices(found)) == ([4], [f"{one}: was replaced; reading it on"])


def test_files_are_not_remembered_without_end(tmp_path: Path) -> None:
    """Of ten thousand files and more, those that were read last are known."""
    follower = Follower(tmp_path)
    for number in range(10_002):
        (tmp_path / f"{number:06}.jsonl").write_bytes(line(number))
    assert len(numbers(follower.new())) == 10_002
    for number in range(10_002):
        (tmp_path / f"{number:06}.jsonl").unlink()
    assert numbers(follower.new()) == []
    for number in (0, 1, 10_001):
        (tmp_path / f"x{number:06}.jsonl").write_bytes(line(number))
    assert numbers(follower.new()) == [0, 1]
