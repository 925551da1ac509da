from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # it ships no types
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from router.analytics.compact import Terms, compact
from router.analytics.import_table import PRESETS, TableImporter
from router.analytics.importing import Done, import_log
from router.analytics.log import opened
from router.analytics.report_prices import Prices
from router.errors import ConfigError
from router.prices.litellm_map import PriceMap

MAP = PriceMap(
    {
        "gpt-tiny": {
            "litellm_provider": "openai",
            "mode": "chat",
            "input_cost_per_token": 1e-6,
            "output_cost_per_token": 4e-6,
            "max_input_tokens": 1000,
            "max_output_tokens": 100,
        }
    },
    "a test's map",
)
PRICES = Prices(price_map=MAP)
START = datetime(2026, 11, 1, tzinfo=UTC)


def imported(
    folder: Path, text: str, columns: Mapping[str, str] | None = None, **options: Any
) -> tuple[Done, list[dict[str, Any]]]:
    """Returns what became of a CSV file, and its records."""
    (file := folder / "trace.csv").write_text(text)
    importer = TableImporter(columns=columns or {}, **options)
    done = import_log(file, folder / "log", source="table", importer=importer, prices=PRICES)
    assert done.path.exists() == bool(done.records)  # what took nothing may be tried again
    return done, [json.loads(line) for line in done.path.read_text().splitlines()] if done.records else []


@settings(max_examples=20)
@given(
    rows=st.lists(
        st.tuples(
            st.integers(0, 10**9),
            st.sampled_from(["gpt-tiny", "unheard-of"]),
            st.integers(0, 10**6),
            st.integers(0, 10**6),
            st.none() | st.decimals(0, 100, places=9),
        ),
        min_size=1,
        max_size=8,
    ),
    as_parquet=st.booleans(),
)
def test_any_table(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[int, str, int, int, Decimal | None]],
    as_parquet: bool,
) -> None:
    """Every row is one decision with its time, model and tokens; a stated cost counts, else the map's, else none."""
    folder = tmp_path_factory.mktemp("table")
    names = ("t_ms", "model", "input_tokens", "output_tokens", "cost_usd")
    if as_parquet:
        file = folder / "trace.parquet"
        parquet.write_table(pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))), file)
    else:
        file = folder / "trace.csv"
        lines = [",".join("" if value is None else str(value) for value in row) for row in rows]
        file.write_text("\n".join([",".join(names), *lines]))
    done = import_log(file, folder / "log", source="table", importer=TableImporter(start=START), prices=PRICES)
    assert (done.records, done.refused) == (len(rows), 0)
    with opened(folder / "log") as connection:
        found = connection.sql(
            "SELECT epoch_ms(time), model, input_tokens, output_tokens, cost_usd, provider FROM decisions"
        ).fetchall()

    def cost(model: str, into: int, out: int, stated: Decimal | None) -> Decimal | None:
        return stated if stated is not None else None if model == "unheard-of" else Decimal(into + 4 * out) / 10**6

    start_ms = round(START.timestamp() * 1000)
    assert sorted(found, key=str) == sorted(
        (
            (start_ms + t, model, into, out, cost(model, into, out, stated), "openai" if model == "gpt-tiny" else None)
            for t, model, into, out, stated in rows
        ),
        key=str,
    )


def test_bad_rows(tmp_path: Path) -> None:
    """A row that cannot be read is told by its line, with what is allowed, and the others are imported."""
    done, records = imported(
        tmp_path,
        "time,model,input_tokens,output_tokens,latency_ms,cost_usd\n"
        "2026-11-01T00:00:00Z,gpt-tiny,10,1,250,\n"
        "2026-11-01,gpt-tiny,ten,1,250,\n"
        "noon,gpt-tiny,10,1,250,\n"
        "2026-11-01,gpt-tiny,10,1,-5,\n"
        "2026-11-01,gpt-tiny,10,1,5,cheap\n"
        "2026-11-01,gpt-tiny,10,1,5,1,more\n"
        "2026-11-01,gpt-tiny\n"
        "5,gpt-tiny,10,1,5,1\n"
        "inf,gpt-tiny,10,1,5,1\n"
        "1793491200,,,,,\n",
    )
    assert [(r["time"], r["latency_s"], r["cost_usd"]) for r in records] == [
        ("2026-11-01T00:00:00.000000+00:00", 0.25, "0.000014"),
        ("2026-11-01T00:00:00.000000+00:00", None, None),
    ]
    assert (done.records, done.refused, done.unpriced) == (2, 8, 1)
    assert [number for number, _ in done.faults] == [3, 4, 5, 6, 7, 8, 9, 10]
    reasons = " ".join(reason for _, reason in done.faults)
    for told in (
        "input_tokens: is no count",
        "time: is no time",
        "latency_ms: is no duration",
        "no amount",
        "6 columns",
    ):
        assert told in reasons
    assert "--start TIME" in done.faults[6][1]


def test_broken_csv(tmp_path: Path) -> None:
    """A line whose quotes make no sense is told like any other that cannot be read."""
    done, records = imported(tmp_path, 'model,input_tokens\n"a"b,7\ngpt-tiny,8\n')
    assert [record["features"]["input_tokens"]["likely"] for record in records] == [8]
    assert [number for number, _ in done.faults] == [2]
    assert "is no CSV" in done.faults[0][1]


def test_what_a_row_does_not_say_is_unknown(tmp_path: Path) -> None:
    """Neither time nor model nor cost is made up, and 0 stands for nothing."""
    _, (record,) = imported(tmp_path, "input_tokens\n7\n")
    assert [record[name] for name in ("time", "model", "key", "policy", "cost_usd", "latency_s")] == [None] * 6
    assert record["features"]["input_tokens"] == {"low": 7, "likely": 7, "high": 7}
    with opened(tmp_path / "log") as connection:
        found = connection.sql("SELECT time, model, cost_usd, provider, input_tokens FROM decisions").fetchall()
    assert found == [(None, None, None, None, 7)]
    assert record["attempts"][0]["usage"] == {"input_tokens": 7, "output_tokens": None}


def test_mapped_columns(tmp_path: Path) -> None:
    """Any column may be any field; a model can be given for all rows."""
    _, (record,) = imported(
        tmp_path,
        "when,in,out,who,talk,h\n1793491200,5,2,ann,s1,abc\n",
        {"time": "when", "input_tokens": "in", "output_tokens": "out", "client": "who", "session": "talk", "key": "h"},
        model="gpt-tiny",
    )
    assert record["tags"] == {"session": "s1", "client": "ann"}
    assert (record["key"], record["model"], record["cost_usd"]) == ("abc", "gpt-tiny", "0.000013")


@pytest.mark.parametrize(
    ("columns", "text", "message"),
    [
        ({"tokens": "a"}, "a\n1\n", "--map tokens: is no field"),
        ({"input_tokens": "b"}, "a\n1\n", "has no column 'b'"),
        ({}, "a\n1\n", "no column is taken for tokens"),
    ],
)
def test_wrong_columns(tmp_path: Path, columns: Mapping[str, str], text: str, message: str) -> None:
    """Fields and columns that are not there are told, with those that are."""
    with pytest.raises(ConfigError, match=message):
        imported(tmp_path, text, columns)


def test_twice(tmp_path: Path) -> None:
    """The same file is not imported twice into a log, not even when it was compacted and removed since."""
    done, _ = imported(tmp_path, "input_tokens\n7\n")
    with pytest.raises(ConfigError, match="was imported before"):
        imported(tmp_path, "input_tokens\n7\n")
    compact(tmp_path / "log", Terms())
    done.path.unlink()
    with pytest.raises(ConfigError, match="and compacted there"):
        imported(tmp_path, "input_tokens\n7\n")
    assert not list((tmp_path / "log").glob(".*"))


def test_into_a_file(tmp_path: Path) -> None:
    """A new file may be the log; one that exists is left alone. The ids are the same wherever a file is imported to."""
    _, (record,) = imported(tmp_path, "input_tokens\n7\n")
    one = tmp_path / "one.jsonl"
    for _ in range(2):
        if one.exists():
            with pytest.raises(ConfigError, match="exists already"):
                import_log(tmp_path / "trace.csv", one, source="t", importer=TableImporter(), prices=PRICES)
        else:
            import_log(tmp_path / "trace.csv", one, source="t", importer=TableImporter(), prices=PRICES)
    assert json.loads(one.read_text())["trace_id"] == record["trace_id"]


@pytest.mark.parametrize(
    ("text", "unused"),
    [("", ()), ('"a"b\n', ()), ("output_tokens,x\n", ("x",))],
)
def test_columns_not_used(tmp_path: Path, text: str, unused: tuple[str, ...]) -> None:
    """Those that nothing is taken from, of CSV and Parquet; a file without a header has none."""
    (file := tmp_path / "t.csv").write_text(text)
    assert TableImporter().unused(file) == unused
    parquet.write_table(pa.table({"input_tokens": [1], "y": [2]}), tmp_path / "t.parquet")
    assert TableImporter().unused(tmp_path / "t.parquet") == ("y",)


def test_no_parquet(tmp_path: Path) -> None:
    """What is called Parquet and is none is told."""
    (file := tmp_path / "x.parquet").write_text("no")
    with pytest.raises(ConfigError, match="no Parquet file"):
        import_log(file, tmp_path / "log", source="t", importer=TableImporter(), prices=PRICES)


def test_progress(tmp_path: Path) -> None:
    """Who asks is told how far it is."""
    (file := tmp_path / "t.csv").write_text("input_tokens\n" + "7\n" * 2500)
    told: list[tuple[int, int]] = []
    import_log(
        file,
        tmp_path / "log",
        source="t",
        importer=TableImporter(),
        prices=PRICES,
        progress=lambda done, of: told.append((done, of)),
    )
    assert len(told) == 2
    assert all(0 < done <= whole == file.stat().st_size for done, whole in told)


@pytest.mark.parametrize(
    ("name", "column", "text"),
    [
        ("mooncake", "hash_ids", "t_ms,input_tokens,output_tokens\n0,1,1\n"),
        ("claude_code", "agent", "t_s,model,api_time_s,input_tokens,output_tokens\n0,m,1,1,1\n"),
    ],
)
def test_a_trace_without_what_its_preset_reads(tmp_path: Path, name: str, column: str, text: str) -> None:
    """A file that lacks a column of the trace that it is said to be is told with that column."""
    with pytest.raises(ConfigError, match=f"has no column '{column}'"):
        imported(tmp_path, text, preset=PRESETS[name])


@pytest.mark.parametrize(
    ("name", "head", "good", "bad"),
    [
        ("claude_code", "agent,trace,prompt_sig,prefix_blocks_prev,prefix_blocks_seen", "root,t,p,1,2", "root,t,p,x,2"),
        ("mooncake", "t_ms,hash_ids", None, '0,"[1, 2]"'),
    ],
)
def test_rows_that_are_none_of_the_trace(tmp_path: Path, name: str, head: str, good: str | None, bad: str) -> None:
    """Text where a preset needs a number is read where it is one, and refused by its column where it is none."""
    head += ",t_s,model,api_time_s,input_tokens,output_tokens"
    rows = [f"{row},0,m,1,100,10" for row in (good, bad) if row is not None]
    done, records = imported(tmp_path, "\n".join([head, *rows]) + "\n", preset=PRESETS[name])
    assert (done.records, done.refused) == (len(rows) - 1, 1)
    assert [record["repeated_tokens"] for record in records] == [{"previous": 64, "any": 128}] * done.records
    assert done.faults[0][1].startswith("prefix_blocks_prev: " if good else "hash_ids: ")
