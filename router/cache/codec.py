"""Entries and pieces of streams as bytes, for stores that several processes share.

A value is a JSON array that begins with its format's number and the key that it belongs to; every other field has its
fixed place. So a value of another format, of another key, or of somebody else altogether is told from ours, and is
passed over. Nothing in it is ever run, which is why it is no pickle.

A changed place or a new field needs a new `FORMAT`: what older versions wrote is then a miss. An entry's span id is the
exception: it stands last, and may be missing.

Response headers are not stored. They tell of the exchange that brought the answer (limits left, request ids, cookies),
not of the answer, and would mislead whoever took them for the present.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from router.cache.rows import (
    MALFORMED,
    TEXT,
    answer_from,
    delta_from,
    failure_from,
    row_of_answer,
    row_of_failure,
    row_of_message,
    seconds_from,
    usd_from,
)
from router.cache.seal import Seal
from router.core.answer import Chunk
from router.core.caching import Entry, Source

FORMAT: Final = 1

_WIDE: Final = b" "
"""Before a value that holds what orjson cannot: halves of an emoji, integers of over 64 bits, NaN. json reads it."""

_TEXTS: Final = frozenset({str})


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What purges and statistics may know of a value without opening it.

    It is never sealed: tenant, tags and the names of model and policy stand in the store in the clear.

    Attributes:
        tenant, tags, model, policy, stored_s, ttl_s: as in `Entry`.
    """

    tenant: str | None
    tags: Mapping[str, str]
    model: str
    policy: str
    stored_s: float
    ttl_s: float


def label_of(entry: Entry, /) -> Label:
    """Returns what an entry's label says."""
    return Label(
        tenant=entry.tenant,
        tags=entry.tags,
        model=entry.model,
        policy=entry.policy,
        stored_s=entry.stored_s,
        ttl_s=entry.ttl_s,
    )


class Codec:
    """Writes values for a store, and reads them.

    Args:
        seal: encrypts values and pieces; None leaves them readable for whoever can read the store.
    """

    def __init__(self, seal: Seal | None = None) -> None:
        self._seal = seal

    def encode(self, entry: Entry, /) -> bytes | None:
        """Returns an entry's value; None where JSON cannot hold it, as with an object that a client left in `extra`."""
        return self._sealed(_written(_row_of_entry(entry)), f"{FORMAT} entry {entry.key}")

    def decode(self, key: str, value: bytes, /) -> Entry | None:
        """Returns the entry; None where the value is of another format or key, sealed otherwise, or malformed."""
        data = self._opened(value, f"{FORMAT} entry {key}")
        try:
            return None if data is None else _entry_from(_read(data), key)
        except MALFORMED:
            return None

    def encode_chunk(self, key: str, number: int, chunk: Chunk, /) -> bytes | None:
        """Returns a piece of a stream in flight; None where JSON cannot hold it.

        Args:
            key: content key of the request.
            number: of the piece in its stream, from 0.
            chunk: what it says.
        """
        return self._sealed(_written(_row_of_chunk(chunk, key, number)), f"{FORMAT} piece {number} {key}")

    def decode_chunk(self, key: str, number: int, piece: bytes, /) -> Chunk | None:
        """Returns what a piece says; None where it is not this piece of this stream, or as for `decode`."""
        data = self._opened(piece, f"{FORMAT} piece {number} {key}")
        try:
            return None if data is None else _chunk_from(_read(data), key, number)
        except MALFORMED:
            return None

    def encode_source(self, key: str, source: Source, /) -> bytes:
        """Returns the first piece of a stream in flight: whose answer it is."""
        return self._sealed(_written([FORMAT, key, *source]), f"{FORMAT} source {key}") or b""

    def decode_source(self, key: str, piece: bytes, /) -> Source | None:
        """Returns whose answer a stream in flight is; None where that cannot be read."""
        data = self._opened(piece, f"{FORMAT} source {key}")
        try:
            form, found_key, model, model_id = [] if data is None else _read(data)
        except MALFORMED:
            return None
        known = form == FORMAT and found_key == key and type(model) is str and type(model_id) is str
        return (model, model_id) if known else None

    @staticmethod
    def label(entry: Entry, /) -> bytes:
        """Returns an entry's label."""
        row = [FORMAT, entry.tenant, dict(entry.tags), entry.model, entry.policy, entry.stored_s, entry.ttl_s]
        return _written(row) or b""

    @staticmethod
    def decode_label(label: bytes, /) -> Label | None:
        """Returns what a label says; None where it is of another format, or malformed."""
        try:
            return _label_from(_read(label))
        except MALFORMED:
            return None

    def _sealed(self, data: bytes | None, about: str) -> bytes | None:
        if data is None or self._seal is None:
            return data
        return self._seal.seal(data, about.encode())

    def _opened(self, data: bytes, about: str) -> bytes | None:
        return data if self._seal is None else self._seal.open(data, about.encode())


def _written(row: list[Any]) -> bytes | None:
    """Returns a row as JSON, read back to see that all is in it: orjson writes null for NaN without a word."""
    try:
        data = orjson.dumps(row)
        if orjson.loads(data) == row:
            return data
    except TypeError:  # orjson's own error
        pass
    try:
        return _WIDE + json.dumps(row, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError):
        return None


def _read(data: bytes) -> Any:
    return json.loads(data) if data.startswith(_WIDE) else orjson.loads(data)


def _row_of_entry(entry: Entry) -> list[Any]:
    return [
        FORMAT,
        entry.key,
        entry.model,
        None if entry.answer is None else row_of_answer(entry.answer),
        None if entry.failure is None else row_of_failure(entry.failure),
        None if entry.cost_usd is None else str(entry.cost_usd),
        entry.trace_id,
        entry.tenant,
        dict(entry.tags),
        entry.policy,
        entry.stored_s,
        entry.ttl_s,
        entry.model_id,
        *(() if entry.span_id is None else (entry.span_id,)),
    ]


def _entry_from(row: Any, key: str) -> Entry:
    number, found, model, answer, failure, cost_usd, trace_id, *rest = row
    tenant, tags, policy, stored_s, ttl_s, model_id, *more = rest
    span_id = None
    if more:
        (span_id,) = more
    if number != FORMAT or found != key or (answer is None) is (failure is None):
        raise ValueError("not this entry")
    if not _TEXTS.issuperset(map(type, (model, model_id, trace_id, policy, *more))) or type(tenant) not in TEXT:
        raise TypeError("not an entry")
    return Entry(
        key=key,
        model=model,
        model_id=model_id,
        answer=None if answer is None else answer_from(answer),
        failure=None if failure is None else failure_from(failure),
        cost_usd=None if cost_usd is None else usd_from(cost_usd),
        trace_id=trace_id,
        span_id=span_id,
        tenant=tenant,
        tags=_tags_from(tags),
        policy=policy,
        stored_s=seconds_from(stored_s),
        ttl_s=seconds_from(ttl_s),
    )


def _label_from(row: Any) -> Label:
    number, tenant, tags, model, policy, stored_s, ttl_s = row
    if number != FORMAT:
        raise ValueError("not a label")
    if type(tenant) not in TEXT or type(model) is not str or type(policy) is not str:
        raise TypeError("not a label")
    return Label(
        tenant=tenant,
        tags=_tags_from(tags),
        model=model,
        policy=policy,
        stored_s=seconds_from(stored_s),
        ttl_s=seconds_from(ttl_s),
    )


def _tags_from(tags: Any) -> dict[str, str]:
    if type(tags) is not dict or not _TEXTS.issuperset(map(type, tags.values())):
        raise TypeError("not tags")
    return tags


def _row_of_chunk(chunk: Chunk, key: str, number: int) -> list[Any]:
    choices = [[c.index, c.finish_reason, c.logprobs, row_of_message(c.delta)] for c in chunk.choices]
    return [FORMAT, key, number, chunk.id, chunk.model, choices]


def _chunk_from(row: Any, key: str, number: int) -> Chunk:
    form, found_key, found_number, chunk_id, model, choices = row
    if form != FORMAT or found_key != key or found_number != number:
        raise ValueError("not this piece")
    if type(chunk_id) not in TEXT or type(model) not in TEXT or type(choices) is not list:
        raise TypeError("not this piece")
    return Chunk(choices=tuple([delta_from(choice) for choice in choices]), id=chunk_id, model=model)
