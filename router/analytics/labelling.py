"""Labels out of a file that somebody wrote, JSONL or CSV, for the decisions of a log: checked first, then all taken."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from router.core.label import USER, Label, checked_label
from router.errors import RequestError
from router.sinks.labels import LabelFile

if TYPE_CHECKING:
    import duckdb

FIELDS: Final = ("trace_id", "adequate", "score", "source", "time")
UNKNOWN_SHOWN: Final = 100
_FAULTS_SHOWN: Final = 10
_BATCH: Final = 5_000
_TRUTHS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}

_TABLE: Final = (
    "CREATE OR REPLACE TEMP TABLE labels_given "
    "(place BIGINT, trace_id VARCHAR, adequate BOOLEAN, score DOUBLE, source VARCHAR, time TIMESTAMPTZ)"
)
_INSERT: Final = (
    "INSERT INTO labels_given SELECT unnest($place::BIGINT[]), unnest($trace_id::VARCHAR[]), "
    "unnest($adequate::BOOLEAN[]), unnest($score::DOUBLE[]), unnest($source::VARCHAR[]), unnest($time::TIMESTAMPTZ[])"
)
_UNKNOWN: Final = "FROM labels_given g ANTI JOIN (SELECT DISTINCT trace_id FROM decisions) USING (trace_id) SELECT {} "
_KNOWN: Final = (
    "SELECT trace_id, adequate, score, source, time "
    "FROM labels_given g SEMI JOIN (SELECT DISTINCT trace_id FROM decisions) USING (trace_id) ORDER BY place"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What came of a file.

    Attributes:
        taken: labels that stand beside the log now.
        unknown: labels of traces that the log does not have; they were left out.
        unknown_trace_ids: the first of these traces, in their order in the file.
    """

    taken: int
    unknown: int
    unknown_trace_ids: tuple[str, ...]


def take(file: Path, log: str | os.PathLike[str], connection: duckdb.DuckDBPyConnection, /, *, now: datetime) -> Taken:
    """Puts the labels of a file beside a log.

    Args:
        file: `*.csv` with a header, or else JSONL; with the fields of a label.
        log: where its decisions are.
        connection: of that log.
        now: the time of labels that state none.

    Raises:
        RequestError: a line is wrong, or the file cannot be read; then no label was taken.
        OSError: the labels cannot be written.
    """
    connection.execute(_TABLE)
    for batch in _batches(_checked(file, now)):
        connection.execute(_INSERT, batch)
    connection.execute(_UNKNOWN.format("count(*)"))
    (unknown,) = connection.fetchone() or (0,)
    first = connection.execute(
        _UNKNOWN.format("trace_id, min(place) AS place") + f"GROUP BY trace_id ORDER BY place LIMIT {UNKNOWN_SHOWN}"
    ).fetchall()
    target = LabelFile(log)
    taken = 0
    connection.execute(_KNOWN)
    while rows := connection.fetchmany(_BATCH):
        target.write(*(_label(row) for row in rows))
        taken += len(rows)
    target.close()
    return Taken(taken=taken, unknown=unknown, unknown_trace_ids=tuple(row[0] for row in first))


def _label(row: tuple[Any, ...]) -> Label:
    trace_id, adequate, score, source, time = row
    return Label(trace_id=trace_id, adequate=adequate, score=score, source=source, time=time.astimezone(UTC))


def _checked(file: Path, now: datetime) -> Iterator[tuple[int, Label]]:
    """Yields the labels with their lines.

    Raises:
        RequestError: after all lines were looked at, where any is wrong; or the file cannot be read.
    """
    faults: list[str] = []
    wrong = 0
    cells = file.suffix.lower() == ".csv"
    for number, values in _values(file):
        try:
            label = _of_cells(values, now) if cells else _of(values, now)
        except RequestError as error:
            wrong += 1
            if wrong <= _FAULTS_SHOWN:
                faults.append(f"{'row' if cells else 'line'} {number}: {error}")
            continue
        yield number, label
    if wrong:
        more = f"; and {wrong - len(faults)} more" if wrong > len(faults) else ""
        raise RequestError(f"{file}: nothing was taken: {'; '.join(faults)}{more}")


def _values(file: Path) -> Iterator[tuple[int, Any]]:
    """Yields what each line holds, with its number; a line that cannot be parsed yields why."""
    try:
        yield from _csv_values(file) if file.suffix.lower() == ".csv" else _json_values(file)
    except OSError as error:
        raise RequestError(f"{file}: the labels cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
        raise RequestError(f"{file}: the labels cannot be read: {reason}") from error


def _json_values(file: Path) -> Iterator[tuple[int, Any]]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    yield number, orjson.loads(line)
                except orjson.JSONDecodeError:
                    yield number, None


def _csv_values(file: Path) -> Iterator[tuple[int, Any]]:
    with file.open(encoding="utf-8-sig", newline="") as text:
        rows = csv.DictReader(text)
        for row in rows:
            yield rows.line_num, row


def _of_cells(row: Mapping[str | None, Any], now: datetime) -> Label:
    """Returns the label of a row of CSV, in which an empty cell is none; what is wrong is told by its column."""
    if None in row:
        raise RequestError(f"has more cells than the {len(row) - 1} of the header")
    unknown = [name for name in row if name not in {*FIELDS, "label"}]
    if unknown:
        raise RequestError(f"{unknown[0]!r:.80} is no column of labels; allowed: {', '.join(FIELDS)}")
    values: dict[str, Any] = {str(name): cell for name, cell in row.items() if cell not in ("", None)}
    if "trace_id" not in values:
        raise RequestError("column trace_id: is empty or missing; 32 hex digits are needed")
    if "adequate" not in values and "score" not in values:
        raise RequestError("columns adequate and score: are empty or missing; one of them is needed")
    if (adequate := values.get("adequate")) is not None:
        values["adequate"] = _truth(adequate)
    if (score := values.get("score")) is not None:
        values["score"] = _number(score)
    try:
        return _of(values, now)
    except RequestError as error:
        raise RequestError(f"column {error}") from None


def _truth(cell: str) -> bool:
    found = _TRUTHS.get(cell.strip().lower())
    if found is None:
        raise RequestError(f"column adequate: {cell!r:.80} is not allowed; {', '.join(_TRUTHS)}, or an empty cell is")
    return found


def _number(cell: str) -> float:
    try:
        number = float(cell)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise RequestError(f"column score: {cell!r:.80} is not allowed; a finite number or an empty cell is")
    return number


def _of(values: Any, now: datetime) -> Label:
    if not isinstance(values, dict):
        raise RequestError("is no JSON object")
    unknown = [name for name in values if name not in FIELDS and name != "label"]
    if unknown:
        raise RequestError(f"{unknown[0]!r:.80} is no field of a label; allowed: {', '.join(FIELDS)}")
    return checked_label(
        values.get("trace_id"),
        adequate=values.get("adequate"),
        score=values.get("score"),
        source=USER if values.get("source") is None else values["source"],
        time=now if values.get("time") is None else _time(values["time"]),
    )


def _time(value: Any) -> datetime:
    try:
        time = datetime.fromisoformat(value)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise RequestError(f"time: {value!r:.80} is not allowed; a date and time as 2026-11-28T12:00:00Z is") from None


def _batches(labels: Iterable[tuple[int, Label]]) -> Iterator[dict[str, list[Any]]]:
    """Yields the columns of so many labels at a time."""
    rows: list[tuple[Any, ...]] = []
    for place, label in labels:
        rows.append((place, label.trace_id, label.adequate, label.score, label.source, label.time))
        if len(rows) == _BATCH:
            yield _columns(rows)
            rows = []
    if rows:
        yield _columns(rows)


def _columns(rows: list[tuple[Any, ...]]) -> dict[str, list[Any]]:
    return {name: list(column) for name, column in zip(("place", *FIELDS), zip(*rows, strict=True), strict=True)}
