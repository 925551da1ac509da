from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.analytics import labelling
from router.analytics.labelling import take
from router.analytics.labels import label_files
from router.errors import RequestError

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
KNOWN = ["a" * 32, "b" * 32]

rows = st.fixed_dictionaries(
    {"trace_id": st.sampled_from([*KNOWN, "c" * 32, "A" * 32]), "adequate": st.booleans()},
    optional={
        "score": st.floats(-1e6, 1e6),
        "source": st.sampled_from(["judge", 'a, "b"', "Prüfer"]),
        "time": st.sampled_from(["2026-01-02T03:04:05Z", "2026-01-02 04:04:05+01:00", "2026-01-02T03:04:05"]),
    },
)


@pytest.fixture(scope="module", name="connection")
def _connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'; SET threads = 1")
        connection.execute("CREATE TABLE decisions AS SELECT unnest($known) AS trace_id", {"known": [*KNOWN, KNOWN[0]]})
        yield connection


def taken(log: Path) -> list[dict[str, Any]]:
    """Returns all labels beside a log, as they were written."""
    return [json.loads(line) for file in label_files(log) for line in file.read_text().splitlines()]


@settings(max_examples=40)
@given(given_rows=st.lists(rows, max_size=8), as_csv=st.booleans())
def test_labels_of_a_file(
    connection: duckdb.DuckDBPyConnection, given_rows: list[dict[str, Any]], *, as_csv: bool
) -> None:
    """JSONL and CSV say the same: labels of known traces are taken in their order, the others counted and named."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.jsonl"
        log.touch()
        if as_csv:
            file = Path(folder) / "labels.csv"
            with file.open("w", encoding="utf-8-sig", newline="") as text:
                writer: csv.DictWriter[str] = csv.DictWriter(text, labelling.FIELDS)
                writer.writeheader()
                writer.writerows(given_rows)
        else:
            file = Path(folder) / "labels.jsonl"
            file.write_text("\n\n".join(json.dumps(row) for row in given_rows))
        result = take(file, log, connection, now=NOW)
        known = [row for row in given_rows if row["trace_id"].lower() in KNOWN]
        assert taken(log) == [
            {
                "label": 1,
                "trace_id": row["trace_id"].lower(),
                "adequate": row["adequate"],
                "score": row.get("score"),
                "source": row.get("source", "user"),
                "time": "2026-01-02T03:04:05.000000+00:00" if "time" in row else "2026-11-23T12:00:00.000000+00:00",
            }
            for row in known
        ]
        assert (result.taken, result.unknown) == (len(known), len(given_rows) - len(known))
        assert result.unknown_trace_ids == (("c" * 32,) if result.unknown else ())


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("x.jsonl", '{"trace_id": "%s", "adequate": "yes"}', "line 2: adequate: 'yes' is not allowed"),
        ("x.jsonl", "[1]", "line 2: is no JSON object"),
        ("x.jsonl", "{", "line 2: is no JSON object"),
        ("x.jsonl", '{"trace_id": "%s"}', "line 2: a label needs adequate"),
        (
            "x.jsonl",
            '{"trace_id": "%s", "adequat": true}',
            "line 2: 'adequat' is no field of a label; allowed: trace_id",
        ),
        ("x.jsonl", '{"trace_id": "%s", "adequate": true, "time": 5}', "line 2: time: 5 is not allowed"),
        ("x.jsonl", '{"trace_id": "%s", "adequate": true, "time": "0001-01-01T00:00:00+14:00"}', "line 2: time"),
        ("x.csv", "%s,maybe,", "row 3: column adequate: 'maybe' is not allowed; true, yes, 1, "),
        ("x.csv", "%s,,much", "row 3: column score: 'much' is not allowed; a finite number"),
        ("x.csv", "%s,,nan", "row 3: column score: 'nan' is not allowed"),
        ("x.csv", "short,yes,", "row 3: column trace_id: 'short' is not allowed"),
        ("x.csv", "%s,yes,1,2", "row 3: has more cells than the 3 of the header"),
        ("x.csv", ",yes,", "row 3: column trace_id: is empty or missing"),
        ("x.csv", "%s,,", "row 3: columns adequate and score: are empty or missing; one of them is needed"),
        ("x.csv", '"' + "x" * 200_000, "cannot be read: field larger than field limit"),
    ],
)
def test_all_or_nothing(connection: duckdb.DuckDBPyConnection, tmp_path: Path, name: str, text: str, told: str) -> None:
    """One wrong line, and nothing is taken; the error names the file, the line and what is wrong with it."""
    good = f"{KNOWN[0]},yes," if name.endswith("csv") else f'{{"trace_id": "{KNOWN[0]}", "adequate": true}}'
    file, log = tmp_path / name, tmp_path / "log"
    log.mkdir()
    head = "trace_id,adequate,score\n" if name.endswith("csv") else ""
    file.write_text(f"{head}{good}\n{text.replace('%s', KNOWN[0])}\n")
    with pytest.raises(RequestError) as error:
        take(file, log, connection, now=NOW)
    assert told in str(error.value)
    assert str(error.value).startswith(f"{file}: ")
    assert taken(log) == []


def test_a_column_that_is_none(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """A column that labels do not have is told with those that they have."""
    (file := tmp_path / "x.csv").write_text(f"trace_id,verdict\n{KNOWN[0]},yes\n")
    with pytest.raises(RequestError, match="row 2: 'verdict' is no column of labels; allowed: trace_id, adequate"):
        take(file, tmp_path / "log", connection, now=NOW)


def test_many_wrong_lines_are_told_in_short(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """The first ten wrong lines are named, and the others counted."""
    (tmp_path / "x.jsonl").write_text("7\n" * 25)
    with pytest.raises(RequestError, match=r"line 10: is no JSON object; and 15 more$"):
        take(tmp_path / "x.jsonl", tmp_path, connection, now=NOW)


@pytest.mark.parametrize(("name", "data"), [("none.jsonl", None), ("none.csv", None), ("x.csv", b"trace_id\n\xff\n")])
def test_a_file_that_cannot_be_read(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, name: str, data: bytes | None
) -> None:
    """A file that is missing, or no text, is told with its name."""
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(RequestError, match=f"{name}: the labels cannot be read: "):
        take(tmp_path / name, tmp_path, connection, now=NOW)


def test_more_labels_than_are_held_at_a_time(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """However long the file, its labels are taken in their order, and the unknown traces are named up to a hundred."""
    lines = [{"trace_id": KNOWN[0], "score": n} for n in range(5_001)]
    lines += [{"trace_id": f"{n:032x}", "score": n} for n in range(1, 200)]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = take(tmp_path / "x.jsonl", tmp_path, connection, now=NOW)
    assert (result.taken, result.unknown) == (5_001, 199)
    assert result.unknown_trace_ids == tuple(f"{n:032x}" for n in range(1, 101))
    assert [label["score"] for label in taken(tmp_path)] == list(range(5_001))
