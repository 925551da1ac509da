"""A decision log, whatever it is made of, as the view `decisions` of a DuckDB connection."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from router.analytics.columns import projection
from router.errors import ConfigError


@contextmanager
def opened(path: str | os.PathLike[str], /) -> Iterator[duckdb.DuckDBPyConnection]:
    """Opens a log for queries; it has the view `decisions`, with the columns of `router.analytics.columns`.

    Args:
        path: a file `*.jsonl`, or the folder of a log.

    Raises:
        ConfigError: there is no such log.
    """
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        files = _files(Path(path))
        connection.execute(
            "CREATE TEMP TABLE lines AS SELECT line FROM read_csv($files, columns = {'line': 'VARCHAR'}, "
            "delim = chr(1), quote = '', escape = '', header = false, auto_detect = false)",
            {"files": [str(file) for file in files]},
        )
        connection.execute(f"CREATE TEMP VIEW decisions AS {projection('lines')}")
        yield connection


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(path.glob("*.jsonl"))
    if not path.exists():
        raise ConfigError(f"{path}: there is no such log; name a log file, or a folder with *.jsonl files")
    return [path]
