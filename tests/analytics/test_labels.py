from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.analytics.labels import add_labels_view, label_files, labels_of
from router.core.label import Label, label_dict
from router.sinks.labels import LabelFile

START = datetime(2026, 11, 23, 12, tzinfo=UTC)
NAMES = ["log.jsonl", "folder", "odd [1] 'x'*.jsonl", "odd [2] 'y'*"]

drawn = st.builds(
    Label,
    trace_id=st.sampled_from(["a" * 32, "b" * 32]),
    adequate=st.none() | st.booleans(),
    score=st.none() | st.floats(-10, 10),
    source=st.sampled_from(["user", "judge's"]),
    time=st.integers(0, 3).map(lambda second: START + timedelta(seconds=second)),
)


@pytest.fixture(scope="module", name="connection")
def _connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'; SET threads = 1")
        yield connection


def rows(connection: duckdb.DuckDBPyConnection, log: Path) -> list[tuple[Any, ...]]:
    """Returns all rows of the view."""
    add_labels_view(connection, log)
    found = connection.execute("SELECT trace_id, adequate, score, source, time FROM labels ORDER BY ALL").fetchall()
    return [(*row[:4], row[4].astimezone(UTC)) for row in found]


def verdicts_of(labels: Iterable[Label]) -> list[tuple[Any, ...]]:
    """Returns what counts of each trace: what was said last, and of two at the same time what is the first source's."""
    found: dict[str, dict[str, Any]] = {}
    for one in sorted(labels, key=lambda x: x.source, reverse=True):
        for name in ("adequate", "score"):
            known = found.setdefault(one.trace_id, {}).get(name)
            value = getattr(one, name)
            if value is not None and (known is None or known[1] <= one.time):
                found[one.trace_id][name] = value, one.time
    return [(trace_id, *(said.get(n, (None,))[0] for n in ("adequate", "score"))) for trace_id, said in found.items()]


@settings(max_examples=50)
@given(labels=st.lists(drawn, max_size=12), name=st.sampled_from(NAMES))
def test_the_latest_of_each_source_counts(
    connection: duckdb.DuckDBPyConnection, labels: list[Label], name: str
) -> None:
    """The view has one row for each trace and source, the one said last; torn lines between them do not matter."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / name
        if not name.endswith(".jsonl"):
            log.mkdir()
        file = LabelFile(log)
        expected: dict[tuple[str, str], Label] = {}
        for label in labels:
            file.write(label)
            known = expected.get((label.trace_id, label.source))
            if known is None or known.time <= label.time:
                expected[label.trace_id, label.source] = label
            for written in label_files(log):
                with written.open("ab") as torn:
                    torn.write(b'{"label": 1, "tra\xff\n[1]\n{"label": 1}\n' + label.trace_id.encode() + b"\n")
        file.close()
        verdicts = connection.execute("SELECT * FROM verdicts").fetchall() if rows(connection, log) else []
        assert sorted(verdicts, key=str) == sorted(verdicts_of(expected.values()), key=str)
        assert rows(connection, log) == sorted(
            ((x.trace_id, x.adequate, x.score, x.source, x.time) for x in expected.values()),
            key=lambda row: tuple((value is None, value) for value in row),
        )
        for trace_id in ("a" * 32, "b" * 32):
            of_trace = {source: x for (trace, source), x in expected.items() if trace == trace_id}
            assert {x["source"]: x for x in labels_of(log, trace_id)} == {
                source: label_dict(x) for source, x in of_trace.items()
            }


@pytest.mark.parametrize("name", ["log.jsonl", "folder"])
def test_a_log_without_labels_has_an_empty_view(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, name: str
) -> None:
    """Where nobody has labelled anything the view is there, with its columns, and empty."""
    if name == "folder":
        (tmp_path / name).mkdir()
    assert rows(connection, tmp_path / name) == []
    assert labels_of(tmp_path / name, "a" * 32) == []


def test_labels_are_found_from_a_folder_and_from_its_files(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """The folder of a log has the labels of its files, and each of its files those of the folder."""
    by_file = Label(trace_id="a" * 32, adequate=True, score=None, source="user", time=START)
    by_folder = Label(trace_id="b" * 32, adequate=False, score=None, source="user", time=START)
    LabelFile(tmp_path / "one.jsonl").write(by_file)
    LabelFile(tmp_path).write(by_folder)
    (tmp_path / "one.jsonl").touch()
    for log in (tmp_path, tmp_path / "one.jsonl"):
        assert [row[:2] for row in rows(connection, log)] == [("a" * 32, True), ("b" * 32, False)]
    assert json.loads((tmp_path / "one.labels").read_text())["adequate"] is True


@pytest.mark.parametrize(("log", "compacted"), [("folder", "folder/compacted"), ("log.jsonl", "log.jsonl.compacted")])
def test_the_compacted_part_of_a_log_has_its_labels(tmp_path: Path, log: str, compacted: str) -> None:
    """Who names the Parquet of a log finds the labels of that log, and adds to them."""
    (tmp_path / compacted).mkdir(parents=True)
    names = (log, compacted)
    for given_to in names:
        trace_id = uuid4().hex
        label = Label(trace_id=trace_id, adequate=True, score=None, source="user", time=START)
        LabelFile(tmp_path / given_to).write(label)
        assert [labels_of(tmp_path / name, trace_id) for name in names] == [[label_dict(label)]] * 2
    assert not list((tmp_path / compacted).iterdir())
