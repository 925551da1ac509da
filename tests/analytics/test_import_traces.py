"""The published traces through the importer, beside the same figures computed straight from their files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest

from router.analytics.import_table import PRESETS, TableImporter
from router.analytics.importing import import_log
from router.analytics.log import opened
from router.analytics.report_prices import Prices
from router.prices.litellm_map import load_price_map
from tests.shared_data import data_path

PRICES = Prices(price_map=load_price_map())
FILES = {
    "azure2023": "azure2023_conv.parquet",
    "mooncake": "mooncake_synthetic.parquet",
    "claude_code": "claude_code_requests.parquet",
}
DUPLICATES = {
    "azure2023": "SELECT 0",
    "mooncake": "SELECT count(*) - count(DISTINCT (hash_ids, input_tokens)) FROM trace",
    "claude_code": "SELECT count(*) FILTER (same_prompt_as_prev) FROM trace",
}
FIGURES = """
    SELECT count(*), sum(input_tokens), sum(output_tokens),
        quantile_disc(input_tokens, [0.5, 0.95, 0.99]), quantile_disc(output_tokens, [0.5, 0.95, 0.99])
    FROM {}
"""


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder with a log of each trace."""
    folder = tmp_path_factory.mktemp("logs")
    for name, file in FILES.items():
        importer, trace = TableImporter(preset=PRESETS[name]), data_path("workload", file)
        done = import_log(trace, folder / name, source=name, importer=importer, prices=PRICES)
        assert not done.refused
    return folder


@contextmanager
def both(logs: Path, name: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yields a connection with a trace as it was imported, `decisions`, and as it stands in its file, `trace`."""
    with opened(logs / name) as connection:
        connection.read_parquet(str(data_path("workload", FILES[name]))).create_view("trace")
        yield connection


def one(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    """Returns the only row of a query."""
    (row,) = connection.sql(query).fetchall()
    return tuple(row)


@pytest.mark.parametrize("name", FILES)
def test_figures(logs: Path, name: str) -> None:
    """Requests, tokens, percentiles of tokens and duplicates are those of the trace; nothing is counted as bad."""
    with both(logs, name) as connection:
        assert one(connection, FIGURES.format("decisions")) == one(connection, FIGURES.format("trace"))
        found = one(connection, "SELECT count(key) - count(DISTINCT key) FROM decisions")
        assert found == one(connection, DUPLICATES[name])
        odd = "SELECT count(*) FILTER (source <> $name OR cost_usd = 0 OR time IS NULL) FROM decisions"
        assert connection.execute(odd, {"name": name}).fetchall() == [(0,)]


def test_repeated_input_of_claude_code(logs: Path) -> None:
    """96 % of the input repeats the session's previous request, as the trace's blocks say to the token."""
    with both(logs, "claude_code") as connection:
        found = one(
            connection,
            "SELECT sum(repeated_previous_tokens), sum(repeated_any_tokens), count(DISTINCT session), "
            "count(*) FILTER (repeated_any_tokens > input_tokens OR repeated_previous_tokens > repeated_any_tokens) "
            "FROM decisions",
        )
        assert found == one(
            connection,
            "SELECT 64 * sum(prefix_blocks_prev), 64 * sum(prefix_blocks_seen), count(DISTINCT (trace, agent)), 0 "
            "FROM trace",
        )
        (tokens,) = one(connection, "SELECT sum(input_tokens) FROM decisions")
        assert round(100 * found[0] / tokens) == 96


@pytest.mark.untraced
def test_repeated_input_of_mooncake(logs: Path) -> None:
    """The marks of a prompt tell how much of it came before: as much as its blocks do, block by block."""
    with both(logs, "mooncake") as connection:
        rows = connection.sql("SELECT prefix FROM decisions ORDER BY time, input_tokens, output_tokens, key").fetchall()
        seen: set[int] = set()
        by_marks = 0
        for (prefix,) in rows:
            by_marks += max((mark["size"] for mark in prefix if mark["digest"] in seen), default=0)
            seen.update(mark["digest"] for mark in prefix)
        trace = connection.sql("SELECT hash_ids, input_tokens FROM trace ORDER BY t_ms, input_tokens, output_tokens")
        known: set[tuple[int, int]] = set()
        by_blocks = 0
        for ids, size in trace.fetchall():
            ends = [(block, min(512 * n, size)) for n, block in enumerate(ids, start=1)]
            by_blocks += max((end for block, end in ends if (block, end) in known), default=0)
            known.update(ends)
    assert by_marks == by_blocks > 0
