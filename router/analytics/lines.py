"""The lines of Parquet files, as they stood in the log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import duckdb

_BATCH: Final = 1000


def lines_of(files: Sequence[Path], wanted: str, /) -> Iterator[str]:
    """Yields the lines whose trace id begins so, file by file in the order of their names, which is that of their days.

    Args:
        wanted: lower-case; empty for all.
    """
    with duckdb.connect(config={"memory_limit": "512MB"}) as connection:
        rows = connection.sql(
            "SELECT record FROM read_parquet($files, hive_partitioning = false) WHERE starts_with(trace_id, $wanted)",
            params={"files": sorted(map(str, files)), "wanted": wanted},
        )
        for batch in rows.to_arrow_reader(_BATCH):
            yield from batch["record"].to_pylist()
