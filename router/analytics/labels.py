"""Labels, read back: the views `labels` and `verdicts` beside the view `decisions`, and the labels of one trace.

Of one trace and source the latest label counts; of two with the same time the one that was written later in its file.
Where sources disagree the latest label of any of them counts; of two with the same time that of the source whose name
comes first.
Lines that are no labels (torn by a full disk, or of something else) are passed over.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from router.sinks.labels import FOLDER, SUFFIX, log_of

if TYPE_CHECKING:
    import duckdb

_SHAPE: Final = orjson.dumps(
    {
        "label": "INTEGER",
        "trace_id": "VARCHAR",
        "adequate": "BOOLEAN",
        "score": "DOUBLE",
        "source": "VARCHAR",
        "time": "TIMESTAMPTZ",
    }
).decode()
_COLUMNS: Final = "trace_id, adequate, score, source, time"
_LATEST: Final = f"""
SELECT {_COLUMNS}
FROM (
  SELECT place, unnest(CASE WHEN json_valid(line) THEN json_transform(line, '{_SHAPE}') END)
  FROM (SELECT line, row_number() OVER () AS place FROM %s)
)
WHERE label IS NOT NULL AND trace_id IS NOT NULL AND source IS NOT NULL AND time IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY trace_id, source ORDER BY time DESC, place DESC) = 1
"""  # noqa: S608 - made of constants
_NONE: Final = (
    "SELECT NULL::VARCHAR AS trace_id, NULL::BOOLEAN AS adequate, NULL::DOUBLE AS score, NULL::VARCHAR AS source, "
    "NULL::TIMESTAMPTZ AS time WHERE false"
)

_OF_ALL: Final = "arg_min({0}, (-epoch_us(time), source)) FILTER ({0} IS NOT NULL) AS {0}"
_VERDICTS: Final = f"""
SELECT trace_id, {_OF_ALL.format("adequate")}, {_OF_ALL.format("score")}
FROM labels
GROUP BY trace_id
"""  # noqa: S608 - made of constants


def add_labels_view(connection: duckdb.DuckDBPyConnection, path: str | os.PathLike[str], /) -> None:
    """Adds the view `labels` of a log: `trace_id`, `adequate`, `score`, `source`, `time`; empty where there are none.

    Beside it the view `verdicts` has what counts of a trace: `trace_id`, `adequate`, `score`, each from the latest
    label that says it.

    Args:
        connection: of the log.
        path: of the log, a file or a folder.
    """
    files = label_files(path)
    source = _NONE if not files else _LATEST % _lines(files)
    connection.execute(f"CREATE OR REPLACE TEMP VIEW labels AS {source}")
    connection.execute(f"CREATE OR REPLACE TEMP VIEW verdicts AS {_VERDICTS}")


def labels_of(path: str | os.PathLike[str], trace_id: str, /) -> list[dict[str, Any]]:
    """Returns the labels of a trace as JSON values, oldest first; of each source the latest.

    Args:
        path: of the log, a file or a folder.
        trace_id: 32 hex digits in lower case.
    """
    latest: dict[str, dict[str, Any]] = {}
    for label in _labels(path, trace_id):
        known = latest.get(label["source"])
        if known is None or known["time"] <= label["time"]:
            latest[label["source"]] = label
    return sorted(latest.values(), key=lambda label: str(label["time"]))


def label_files(path: str | os.PathLike[str], /) -> list[Path]:
    """Returns the files with labels of a log: of one file also those of the folder that it stands in."""
    log = log_of(Path(path))
    folder, own = (log, sorted(log.glob(f"*{SUFFIX}"))) if log.is_dir() else (log.parent, [log.with_suffix(SUFFIX)])
    return [file for file in (*own, *sorted((folder / FOLDER).glob("*.jsonl"))) if file.is_file()]


def _labels(path: str | os.PathLike[str], trace_id: str) -> Iterator[dict[str, Any]]:
    needle = trace_id.encode()
    for file in label_files(path):
        with file.open("rb") as lines:
            for line in lines:
                if needle in line and (label := _parsed(line)) is not None and label["trace_id"] == trace_id:
                    yield label


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    is_label = isinstance(value, dict) and "label" in value
    return value if is_label and all(isinstance(value.get(n), str) for n in ("trace_id", "source", "time")) else None


def _lines(files: list[Path]) -> str:
    """Returns SQL for the lines of files, as a relation with the column `line`."""
    names = ", ".join("'" + glob.escape(str(file)).replace("'", "''") + "'" for file in files)
    return (
        f"read_csv([{names}], columns = {{'line': 'VARCHAR'}}, delim = chr(1), quote = '', escape = '', "
        "header = false, auto_detect = false, ignore_errors = true)"
    )
