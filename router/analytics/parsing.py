"""Lines into columns: a slice of a JSONL log as Parquet files by date, and the lines that are no decisions.

The line itself is never copied through DuckDB: it transforms what it reads in order, so that the lines stand beside
the columns again without a join.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import duckdb
import numpy as np
import orjson
import pyarrow as pa  # type: ignore[import-untyped]  # it ships no types
from pyarrow import compute, parquet

from router.analytics.columns import VERSION, projection
from router.analytics.sources import Piece
from router.analytics.store import ASIDE, AsideFile, DataFile, sync_folder, write_durably
from router.core.record import SCHEMA

pc: Final[Any] = compute
"""Its functions are made when it is imported, so that a type checker does not see them."""
_BATCH_LINES: Final = 8192
ROW_GROUP: Final = 122_880
"""Rows: what one thread reads at a time, and what is skipped by the least and largest value."""
_NO_DATE: Final = "__HIVE_DEFAULT_PARTITION__"
"""What a missing date is called in a folder's name; readers of Hive's layout take it for NULL."""
_UNIQUE: Final = frozenset({
    "record", "trace_id", "request_id", "key", "key_digest", "latency_s", "first_token_s",
    "attempts.list.element.latency_s", "attempts.list.element.first_token_s",
})  # fmt: skip
"""Columns of which a dictionary would be as long as they are."""
_RISING: Final = "time"
"""The column that is kept as differences: records follow each other, so these are small."""
_SEARCHED: Final = ("schema", "time", "input_tokens", "output_tokens", "cost_usd")
"""Columns whose least and largest value is worth a place in the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """What a slice holds.

    Attributes:
        table: the decisions, with the columns of the view.
        aside: the other lines, with their newlines, and why they are no decisions.
    """

    table: Any
    aside: tuple[tuple[bytes, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The files that a slice became; none counts yet."""

    files: tuple[DataFile, ...]
    aside: tuple[AsideFile, ...]
    newer: int


def parsed(connection: duckdb.DuckDBPyConnection, pieces: Iterable[Piece], /) -> Parsed:
    """Returns the decisions of a slice, and its other lines. Blank lines are nothing."""
    arrays, aside = [], []
    for piece in pieces:
        data, torn = _text(piece.data)
        aside += torn
        arrays.append(_lines(data))
    lines = pa.chunked_array(arrays, pa.string())
    whole = pa.table({"line": lines})
    connection.register("lines", pa.Table.from_batches(whole.to_batches(_BATCH_LINES), whole.schema))
    try:
        table = _columns(connection, strict=True)
    except duckdb.Error:  # a line is no JSON
        table = _columns(connection, strict=False)
    finally:
        connection.unregister("lines")
    table = table.append_column("record", lines)
    good = pc.and_(pc.is_valid(table["trace_id"]), pc.is_valid(table["schema"]))
    if not pc.all(good).as_py():
        bad = (line.encode() + b"\n" for line in lines.filter(pc.invert(good)).to_pylist())
        aside += [(line, _reason(line)) for line in bad if line.strip()]
        table = table.filter(good)
    return Parsed(table=table, aside=tuple(aside))


def _columns(connection: duckdb.DuckDBPyConnection, *, strict: bool) -> Any:
    made = projection("lines", strict=strict)
    return connection.sql(f"SELECT * EXCLUDE (record) FROM ({made})").to_arrow_table()  # noqa: S608 - of our own names


def write(found: Parsed, folder: Path, /, *, durable: bool = True) -> Written:
    """Writes a slice below a folder under names that nobody else uses, durably unless it is scratch."""
    files = [write_rows([table], table.schema, folder, day, durable=durable) for day, table in _by_date(found.table)]
    aside = []
    if found.aside:
        (folder / ASIDE).mkdir(parents=True, exist_ok=True)
        name = f"{ASIDE}/{uuid4().hex}.jsonl"
        write_durably(folder / name, b"".join(line for line, _ in found.aside))
        sync_folder(folder / ASIDE)
        aside.append(AsideFile(name=name, reasons=Counter(reason for _, reason in found.aside)))
    if durable and (files or aside):
        sync_folder(folder)
    newer = pc.sum(pc.greater(found.table["schema"], SCHEMA)).as_py() or 0
    return Written(files=tuple(files), aside=tuple(aside), newer=newer)


def _text(data: bytes) -> tuple[bytes, list[tuple[bytes, str]]]:
    """Returns the lines that are text, and the others."""
    try:
        data.decode()
    except UnicodeDecodeError:
        lines = [line + b"\n" for line in data.split(b"\n")[:-1]]
        good = [line for line in lines if _is_text(line)]
        return b"".join(good), [(line, "not_utf8") for line in lines if not _is_text(line)]
    return data, []


def _is_text(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _lines(data: bytes) -> Any:
    """Returns the lines as an array of strings, without their newlines."""
    newlines = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))
    offsets = np.zeros(len(newlines) + 1, np.int32)
    offsets[1:] = newlines - np.arange(len(newlines))
    text = data.replace(b"\n", b"")
    return pa.StringArray.from_buffers(len(newlines), pa.py_buffer(offsets), pa.py_buffer(text))


def _reason(line: bytes) -> str:
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return "not_json"
    return "no_decision"


def _by_date(table: Any) -> Sequence[tuple[str, Any]]:
    """Returns the rows of each day in UTC, under the name of the day."""
    if not table.num_rows:
        return []
    days = pc.cast(table["time"], pa.date32())
    names = pc.unique(days).to_pylist()
    if len(names) == 1:
        return [(_folder(names[0]), table)]
    return [
        (_folder(day), table.filter(pc.is_null(days) if day is None else pc.equal(days, pa.scalar(day, pa.date32()))))
        for day in names
    ]


def _folder(day: date | None) -> str:
    return f"date={_NO_DATE if day is None else day.isoformat()}"


def write_rows(tables: Iterable[Any], schema: Any, folder: Path, day: str, /, *, durable: bool = True) -> DataFile:
    """Writes a Parquet file under a name that nobody else uses.

    Args:
        tables: of Arrow; they are never all in memory.
        schema: of all of them.
        folder: the store.
        day: the folder in it, "date=2026-11-28".
        durable: whether it is on the disk when this returns.
    """
    name = f"{day}/part-{uuid4().hex}.parquet"
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    records = 0
    with path.open("xb") as file:
        with parquet.ParquetWriter(file, schema, **_options(schema)) as writer:
            for table in tables:
                writer.write_table(table, row_group_size=ROW_GROUP)
                records += table.num_rows
        if durable:
            file.flush()
            os.fsync(file.fileno())
    if durable:
        sync_folder(path.parent)
    return DataFile(name=name, records=records, columns=VERSION, size=path.stat().st_size)


def _options(schema: Any) -> dict[str, Any]:
    leaves = [path for field in schema for path in _leaves(field.name, field.type)]
    return {
        "compression": "zstd",
        "compression_level": 1,
        "use_dictionary": [path for path in leaves if path not in _UNIQUE and path != _RISING],
        "column_encoding": {_RISING: "DELTA_BINARY_PACKED"} if _RISING in leaves else None,
        "write_statistics": list(_SEARCHED),
    }


def _leaves(path: str, kind: Any) -> Iterator[str]:
    """Yields what Parquet calls the columns that a type consists of: dictionaries are of these."""
    if pa.types.is_struct(kind):
        for field in kind:
            yield from _leaves(f"{path}.{field.name}", field.type)
    elif pa.types.is_map(kind):
        yield from _leaves(f"{path}.key_value.key", kind.key_type)
        yield from _leaves(f"{path}.key_value.value", kind.item_type)
    elif pa.types.is_list(kind):
        yield from _leaves(f"{path}.list.element", kind.value_type)
    else:
        yield path
