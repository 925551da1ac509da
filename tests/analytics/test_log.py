from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.analytics.compact import Terms, compact
from router.analytics.log import opened
from router.analytics.log_reader import LogReader
from router.analytics.places import store_of
from router.errors import ConfigError
from tests.analytics.log_lines import aside, ids, line

TORN = {
    b'{"schema": 1, "trace_id"': "not_json",
    b"\xff\xfe": "not_utf8",
    b"[1, 2]": "no_decision",
    b"null": "no_decision",
    b'{"trace_id": "aa"}': "no_decision",
    b'{"schema": 1}': "no_decision",
    b"a\rb": "not_json",
}


@settings(max_examples=25)
@given(kinds=st.lists(st.sampled_from([None, b" ", *TORN]), max_size=12), size=st.integers(200, 2000))
def test_any_log(tmp_path_factory: pytest.TempPathFactory, kinds: list[bytes | None], size: int) -> None:
    """Each record is one row, whatever lies between; other lines are counted by reason, and blank ones are nothing."""
    log = tmp_path_factory.mktemp("log") / "log.jsonl"
    texts = [line(n) if kind is None else kind + b"\n" for n, kind in enumerate(kinds)]
    log.write_bytes(b"".join(texts))
    with opened(log, slice_bytes=size) as connection:
        rows = connection.sql("SELECT record FROM decisions ORDER BY time").fetchall()
        counted = dict(connection.sql("SELECT reason, lines FROM aside").fetchall())
    assert [row[0].encode() + b"\n" for row in rows] == [texts[n] for n, kind in enumerate(kinds) if kind is None]
    reasons = [TORN[kind] for kind in kinds if kind in TORN]
    assert counted == {reason: reasons.count(reason) for reason in reasons}


def test_a_last_line_without_newline(tmp_path: Path) -> None:
    """A whole object counts though its newline is missing; half a line is counted among those set aside."""
    (tmp_path / "a.jsonl").write_bytes(line(1) + line(2)[:-1])
    (tmp_path / "b.jsonl").write_bytes(line(3) + line(4)[:-9])
    (tmp_path / "c.jsonl").write_bytes(line(5)[:-1])
    (tmp_path / "d.jsonl").write_bytes(b"")
    (tmp_path / "e.jsonl").write_bytes(line(6)[:-9])
    assert ids(tmp_path) == {1: 1, 2: 1, 3: 1, 5: 1}
    assert aside(tmp_path) == {"not_json": 2}


def test_a_line_longer_than_a_slice(tmp_path: Path) -> None:
    """The longest record is read, however little is read at a time."""
    log = tmp_path / "log.jsonl"
    log.write_bytes(line(1) + line(2, why="x" * 100_000) + line(3))
    with opened(log, slice_bytes=1000, threads=1) as connection:
        assert connection.sql("SELECT sum(length(record)) > 100000, count(*) FROM decisions").fetchall() == [(True, 3)]


def test_progress(tmp_path: Path) -> None:
    """Who asks is told, slice by slice, how much of the JSONL was read."""
    (tmp_path / "log.jsonl").write_bytes(whole := b"".join(map(line, range(10))))
    told: list[tuple[int, int]] = []
    with opened(tmp_path, progress=lambda done, of: told.append((done, of)), slice_bytes=len(whole) // 3):
        pass
    assert len(told) > 1
    assert told == sorted(told)
    assert told[-1] == (len(whole), len(whole))


def test_figures_that_are_none(tmp_path: Path) -> None:
    """A field of another type than it should be is unknown, and the record counts all the same."""
    (tmp_path / "log.jsonl").write_bytes(line(1, cost_usd="cheap", latency_s=[1], attempts={"model": 3}, tags=None))
    with opened(tmp_path) as connection:
        row = connection.sql("SELECT cost_usd, latency_s, attempts, session, model FROM decisions").fetchall()
    assert row == [(None,) * 5]


def test_marks(tmp_path: Path) -> None:
    """Marks are read as numbers; what is none, or too long for one, is unknown."""
    marks = [["5abe2484546f89a1", 60], ["ffffffffffffffff", 61], ["no hex", "x"], ["5abe2484546f89a1ff", 7], 3]
    (tmp_path / "log.jsonl").write_bytes(line(1, features={"prefix": marks}) + line(2, features={"prefix": "all"}))
    with opened(tmp_path) as connection:
        (one,), (other,) = connection.sql("SELECT prefix FROM decisions ORDER BY trace_id").fetchall()
    assert [(m["digest"], m["size"]) for m in one] == [
        (0x5ABE2484546F89A1, 60), (2**64 - 1, 61), (None, None), (None, 7), (None, None),
    ]  # fmt: skip
    assert other is None


def test_a_hit_that_did_not_count(tmp_path: Path) -> None:
    """Tokens and model of a stored answer are the request's own only where the caller got that answer."""
    lookup = {"hit": {"model_id": "openai/gpt-4.1", "usage": {"input_tokens": 7, "output_tokens": 3}}}
    (tmp_path / "log.jsonl").write_bytes(line(1, cache="none", lookup=lookup) + line(2, cache="memory", lookup=lookup))
    with opened(tmp_path) as connection:
        found = connection.sql("SELECT model_id, provider, input_tokens FROM decisions ORDER BY trace_id").fetchall()
    assert found == [(None, None, None), ("openai/gpt-4.1", "openai", 7)]


def test_nothing(tmp_path: Path) -> None:
    """An empty folder is an empty log, with all its columns; what is not there is no log."""
    with opened(tmp_path) as connection:
        assert connection.sql("SELECT count(*), max(cost_usd) FROM decisions").fetchall() == [(0, None)]
    with pytest.raises(ConfigError, match="there is no such log"), opened(tmp_path / "missing"):
        pass


def test_files_of_other_columns(tmp_path: Path) -> None:
    """Parquet whose columns another version made is read from its lines, also beside current files."""
    log = tmp_path / "log.jsonl"
    log.write_bytes(line(1))
    compact(log, Terms())
    (store := store_of(log)).joinpath("_commits", "00000001.json").write_bytes(
        (store / "_commits" / "00000001.json").read_bytes().replace(b'"columns":"', b'"columns":"old')
    )
    with log.open("ab") as file:
        file.write(line(2))
    compact(log, Terms())
    assert ids(log) == {1: 1, 2: 1}
    assert compact(log, Terms(merge=True)).merged == 2
    assert ids(log) == {1: 1, 2: 1}


def test_the_reader_of_a_mix(tmp_path: Path) -> None:
    """Records come once each, from Parquet and from JSONL; so do the lines that are none."""
    log = tmp_path / "log.jsonl"
    log.write_bytes(line(1) + b"torn\n" + line(2))
    compact(log, Terms())
    with log.open("ab") as file:
        file.write(line(3) + b"torn too\n")
    reader = LogReader(log)
    assert [int(record["trace_id"], 16) for record in reader] == [1, 2, 3]
    assert reader.torn == 2
    assert [json.loads(line(2))] == LogReader(log).find(f"{2:032x}")
    assert [json.loads(line(2))] == LogReader(store_of(log)).find(f"{2:032x}")
    assert LogReader(log).find("ff") == []
