"""Traces and tables, CSV or Parquet: a time, a model, counts of tokens, and what else there is, by names of columns.

A preset knows the columns of a published trace, and what they tell of repeated input.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Final

from router.analytics.import_values import Wrong, count, duration_s, moment, money, text
from router.analytics.imported import Facts, Imported, counted
from router.analytics.importing import Fault, Read
from router.core.answer import Usage
from router.core.naming import allowed
from router.errors import ConfigError

Row = Mapping[str, Any]

FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "time": ("time", "timestamp", "TIMESTAMP", "ts", "t_s", "t_ms", "time_s", "time_ms", "arrived_at"),
    "model": ("model", "model_name"),
    "model_id": ("model_id",),
    "input_tokens": ("input_tokens", "prompt_tokens", "ContextTokens", "num_prefill_tokens"),
    "output_tokens": ("output_tokens", "completion_tokens", "GeneratedTokens", "num_decode_tokens"),
    "cached_input_tokens": ("cached_input_tokens", "cached_tokens"),
    "reasoning_tokens": ("reasoning_tokens",),
    "max_tokens": ("max_tokens",),
    "cost_usd": ("cost_usd",),
    "latency": ("latency_s", "latency_ms", "duration_s", "duration_ms", "api_time_s"),
    "first_token": ("first_token_s", "first_token_ms", "ttft_s", "ttft_ms"),
    "key": ("key",),
    "session": ("session", "session_id"),
    "client": ("client",),
    "tenant": ("tenant",),
    "request_id": ("request_id",),
}
"""What may be known of a request, and names of columns that are taken for it where nothing else is said."""
_BATCH_ROWS: Final = 10_000
_BLOCK_TOKENS: Final = 512
"""Of the Mooncake traces: https://github.com/kvcache-ai/Mooncake, "each block contains 512 tokens"."""
_CLAUDE_BLOCK_TOKENS: Final = 64
"""Of the traces of coding agents: `n_blocks` is the whole blocks of 64 in `input_tokens`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a preset tells of a row beyond its columns."""

    key: str | None = None
    prefix: tuple[tuple[str, int], ...] = ()
    repeated: tuple[int | None, int | None] | None = None
    session: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A published trace.

    Attributes:
        columns: which column is which field.
        start: when its time 0 is taken to be.
        told: what else a row tells.
        needs: columns that `told` reads, other than those of fields.
    """

    columns: Mapping[str, str]
    start: datetime | None = None
    told: Callable[[Row], Told] | None = None
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TableImporter:
    """Reads a CSV or Parquet file.

    Attributes:
        columns: which column is which field; fields that are left out are found by their usual names.
        model: of every row that names none.
        start: when time 0 was, for traces that count from there.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    model: str | None = None
    start: datetime | None = None
    preset: Preset | None = None

    def __call__(self, path: Path, /) -> Iterator[Read]:
        """Yields the rows.

        Raises:
            ConfigError: the file is no such file, or lacks a column that is named.
        """
        rows = _parquet_rows(path) if path.suffix == ".parquet" else _csv_rows(path)
        columns: Mapping[str, str] | None = None
        for number, row, size in rows:
            if isinstance(row, Fault):
                yield Read(number, row, size)
                continue
            if columns is None:
                columns = self._found(path, tuple(row))
            try:
                found: Imported | Fault = self._read(row, columns)
            except Wrong as error:
                found = Fault(str(error))
            yield Read(number, found, size)

    def unused(self, path: Path, /) -> tuple[str, ...]:
        """Returns the columns that nothing is taken from; none of a published trace, whose columns are known.

        Raises:
            ConfigError: as for reading the rows, of a file that has any column.
            OSError: the file cannot be read.
        """
        names = _parquet_names(path) if path.suffix == ".parquet" else _csv_names(path)
        if not names:
            return ()
        taken = set(self._found(path, names).values())
        return tuple(name for name in names if name not in taken) if self.preset is None else ()

    def _found(self, path: Path, names: Sequence[str]) -> Mapping[str, str]:
        """Returns which column is which field."""
        given = {**(self.preset.columns if self.preset is not None else {}), **self.columns}
        for name in given:
            if name not in FIELDS:
                raise ConfigError(f"--map {name}: is no field; {allowed(name, tuple(FIELDS), none='')}")
        for name, column in given.items():
            if column not in names:
                raise ConfigError(f"{path}: has no column {column!r} ({name}); {allowed(column, names, none='none')}")
        for column in self.preset.needs if self.preset is not None else ():
            if column not in names:
                raise ConfigError(f"{path}: has no column {column!r}; {allowed(column, names, none='none')}")
        usual = {name: next((c for c in columns if c in names), None) for name, columns in FIELDS.items()}
        found = {name: column for name, column in usual.items() if column is not None} | given
        if "input_tokens" not in found and "output_tokens" not in found:
            raise ConfigError(
                f"{path}: no column is taken for tokens; say which is: --map input_tokens=COLUMN. "
                f"There are {', '.join(names)}"
            )
        return found

    def _read(self, row: Row, columns: Mapping[str, str]) -> Imported:
        def at(name: str, read: Callable[[str, Any], Any]) -> Any:
            column = columns.get(name)
            return None if column is None else read(column, row.get(column))

        def named(name: str) -> str | None:
            column = columns.get(name)
            return None if column is None else text(row.get(column))

        start = self.start or (self.preset.start if self.preset is not None else None)
        told = self.preset.told(row) if self.preset is not None and self.preset.told is not None else Told()
        tokens = {name: at(name, count) for name in ("input_tokens", "output_tokens")}
        return Imported(
            request_id=named("request_id"),
            time=at("time", lambda column, value: moment(column, value, start)),
            model=named("model") or self.model,
            model_id=named("model_id"),
            tenant=named("tenant"),
            client=named("client"),
            session=told.session or named("session"),
            facts=Facts(
                features=counted(
                    tokens["input_tokens"], output_tokens_most=at("max_tokens", count), prefix=told.prefix
                ),
                key=told.key or named("key"),
            ),
            usage=_usage(**tokens, at=at),
            lacks=frozenset(name for name, known in tokens.items() if known is None),
            cost_usd=at("cost_usd", money),
            latency_s=at("latency", duration_s),
            first_token_s=at("first_token", duration_s),
            repeated=told.repeated,
        )


def _usage(
    *, input_tokens: int | None, output_tokens: int | None, at: Callable[[str, Callable[[str, Any], Any]], Any]
) -> Usage | None:
    if input_tokens is None and output_tokens is None:
        return None
    return Usage(
        input_tokens=input_tokens or 0,
        output_tokens=output_tokens or 0,
        cached_input_tokens=min(at("cached_input_tokens", count) or 0, input_tokens or 0),
        reasoning_tokens=min(at("reasoning_tokens", count) or 0, output_tokens or 0),
    )


def _csv_rows(path: Path) -> Iterator[tuple[int, Row | Fault, int]]:
    """Yields the rows with the number of the line that each ends on."""
    with path.open("rb") as raw:
        reader = csv.DictReader(TextIOWrapper(raw, encoding="utf-8-sig", errors="replace", newline=""), strict=True)
        rows = iter(reader)
        while True:
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                yield reader.reader.line_num, Fault(f"is no CSV: {error}"), raw.tell()
                continue
            whole = None not in row and None not in row.values()
            columns = len(reader.fieldnames or ())
            yield reader.line_num, row if whole else Fault(f"has not the {columns} columns of the header"), raw.tell()


def _csv_names(path: Path) -> tuple[str, ...]:
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as text:
        try:
            return tuple(next(csv.reader(text, strict=True), ()))
        except csv.Error:  # which reading the rows tells
            return ()


def _parquet_names(path: Path) -> tuple[str, ...]:
    with _parquet(path) as file:
        return tuple(file.schema_arrow.names)


def _parquet(path: Path) -> Any:
    """Opens a file of Parquet.

    Raises:
        ConfigError: it is none, or pyarrow is not installed.
    """
    try:
        from pyarrow import ArrowInvalid, parquet  # type: ignore[import-untyped]  # it ships no types
    except ModuleNotFoundError as error:
        raise ConfigError("Parquet is read with pyarrow, which is not installed: pip install pyarrow") from error
    try:
        return parquet.ParquetFile(path)
    except ArrowInvalid as error:
        raise ConfigError(f"{path}: is no Parquet file") from error


def _parquet_rows(path: Path) -> Iterator[tuple[int, Row | Fault, int]]:
    with _parquet(path) as file:
        total, number, whole = file.metadata.num_rows, 0, path.stat().st_size
        for batch in file.iter_batches(_BATCH_ROWS):
            for row in batch.to_pylist():
                number += 1
                yield number, row, whole * number // total


def _mooncake(row: Row) -> Told:
    """Tells of the hashes of a prompt's blocks, each of which stands for all that comes before it as well."""
    size, ids = count("input_tokens", row["input_tokens"]) or 0, row["hash_ids"]
    if not isinstance(ids, list) or not all(isinstance(block, int) and abs(block) < 2**63 for block in ids):
        raise Wrong("hash_ids: is no list of whole numbers, which Parquet has and CSV has not")
    digest = blake2b(digest_size=8)
    marks = []
    for number, block in enumerate(ids, start=1):
        digest.update(block.to_bytes(8, "big", signed=True))
        if (end := min(number * _BLOCK_TOKENS, size)) < number * _BLOCK_TOKENS:  # a part of a block: how long it is
            digest.update(end.to_bytes(8, "big"))
        marks.append((digest.hexdigest(), end))
    return Told(key=_digest("mooncake", *ids, size), prefix=tuple(marks))


def _claude_code(row: Row) -> Told:
    """Tells of the blocks that repeat the agent's previous request, and any of the session's."""
    agent = str(row["agent"]).removeprefix("root").strip("/")
    blocks = [count(name, row[name]) for name in ("prefix_blocks_prev", "prefix_blocks_seen")]
    previous, seen = (None if known is None else known * _CLAUDE_BLOCK_TOKENS for known in blocks)
    session = f"{row['trace']}/{agent}" if agent else str(row["trace"])
    return Told(
        key=_digest("claude_code", row["trace"], row["prompt_sig"]),
        repeated=(previous, seen),
        session=session,
    )


def _digest(*parts: object) -> str:
    return blake2b("\0".join(map(str, parts)).encode(), digest_size=32).hexdigest()


_TOKENS: Final = {"input_tokens": "input_tokens", "output_tokens": "output_tokens"}

PRESETS: Final[Mapping[str, Preset]] = {
    "azure2023": Preset(
        columns={"time": "t_s", **_TOKENS}, start=datetime(2023, 11, 16, 18, 15, 46, 680590, tzinfo=UTC)
    ),
    "mooncake": Preset(
        columns={"time": "t_ms", **_TOKENS},
        start=datetime(2024, 6, 26, tzinfo=UTC),
        told=_mooncake,
        needs=("input_tokens", "hash_ids"),
    ),
    "claude_code": Preset(
        columns={"time": "t_s", "model": "model", "latency": "api_time_s", **_TOKENS},
        start=datetime(2026, 1, 1, tzinfo=UTC),
        told=_claude_code,
        needs=("agent", "trace", "prompt_sig", "prefix_blocks_prev", "prefix_blocks_seen"),
    ),
}
"""The traces that are published for simulations; where one does not say when it was taken, a date stands for it."""
