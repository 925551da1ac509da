"""Values of stores: what is written is read back, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, fields, replace
from decimal import Context, Decimal, Inexact, localcontext
from math import inf, nan
from typing import Any, get_args

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.cache.codec import Codec, label_of
from router.cache.seal import Seal
from router.core.answer import Answer, Choice, Chunk, ChunkChoice, Function, Message, ToolCall, Usage
from router.core.caching import Entry
from router.core.failure import Failure, FailureClass

KEY = "5f" * 32
OTHER = "60" * 32
PLAIN, SEALED = Codec(), Codec(Seal(b"k" * 32))
CODECS = pytest.mark.parametrize("codec", [PLAIN, SEALED], ids=["plain", "sealed"])

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.integers()  # of any length, which only json reads
    | st.floats(allow_nan=False)
    | st.text()
)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=6)
EXTRA = st.dictionaries(st.text(), JSON, max_size=3)
MAYBE_TEXT = st.none() | st.text()
TOKENS = st.integers(0, 10**12)
USD = st.decimals(min_value=0, max_value=10**6, allow_nan=False, allow_infinity=False)
SECONDS = st.floats(allow_nan=False)

PARTS: dict[type, dict[str, st.SearchStrategy[Any]]] = {
    Usage: {f.name: TOKENS for f in fields(Usage) if f.name not in ("service_tier", "billed_usd")}
    | {"service_tier": MAYBE_TEXT, "billed_usd": st.none() | USD},
    Function: {"name": st.text(), "arguments": st.text()},
}
PARTS[ToolCall] = {
    "id": st.text(),
    "function": st.builds(Function, **PARTS[Function]),
    "type": st.text(),
    "index": st.none() | st.integers(0, 9),
    "extra": EXTRA,
}
PARTS[Message] = {
    "role": st.text(),
    "content": MAYBE_TEXT,
    "tool_calls": st.none() | st.lists(st.builds(ToolCall, **PARTS[ToolCall]), max_size=2).map(tuple),
    "refusal": MAYBE_TEXT,
    "reasoning_content": MAYBE_TEXT,
    "extra": EXTRA,
}
MESSAGES = st.builds(Message, **PARTS[Message])
PARTS[Choice] = {"index": st.integers(0, 9), "message": MESSAGES, "finish_reason": MAYBE_TEXT, "logprobs": JSON}
PARTS[ChunkChoice] = {"index": st.integers(0, 9), "delta": MESSAGES, "finish_reason": MAYBE_TEXT, "logprobs": JSON}
PARTS[Answer] = {
    "choices": st.lists(st.builds(Choice, **PARTS[Choice]), max_size=2).map(tuple),
    "usage": st.none() | st.builds(Usage, **PARTS[Usage]),
    "id": MAYBE_TEXT,
    "model": MAYBE_TEXT,
    "headers": st.just({}),
}
PARTS[Chunk] = {
    "choices": st.lists(st.builds(ChunkChoice, **PARTS[ChunkChoice]), max_size=2).map(tuple),
    "id": MAYBE_TEXT,
    "model": MAYBE_TEXT,
}
PARTS[Failure] = {
    "kind": st.sampled_from(get_args(FailureClass)),
    "message": st.text(),
    "status": st.none() | st.integers(100, 599),
    "code": MAYBE_TEXT,
    "retry_after_s": st.none() | SECONDS,
    "should_retry": st.none() | st.booleans(),
    "sent": st.booleans(),
}
PARTS[Entry] = {
    "key": st.just(KEY),
    "model": st.text(),
    "model_id": st.text(),
    "answer": st.builds(Answer, **PARTS[Answer]),
    "failure": st.none(),
    "cost_usd": st.none() | USD,
    "trace_id": st.text(),
    "span_id": MAYBE_TEXT,
    "tenant": MAYBE_TEXT,
    "tags": st.dictionaries(st.text(), st.text(), max_size=3),
    "policy": st.text(),
    "stored_s": SECONDS,
    "ttl_s": SECONDS,
}
CHUNKS = st.builds(Chunk, **PARTS[Chunk])
ENTRIES = st.builds(Entry, **PARTS[Entry]) | st.builds(
    Entry, **PARTS[Entry] | {"answer": st.none(), "failure": st.builds(Failure, **PARTS[Failure])}
)

FULL = Entry(
    key=KEY,
    model="small",
    model_id="simulated/small",
    answer=Answer(
        choices=(
            Choice(
                message=Message(
                    content="Grüße 👋",
                    tool_calls=(
                        ToolCall(id="c1", function=Function(name="f", arguments='{"a": 1}'), index=0, extra={"s": "x"}),
                    ),
                    refusal="no",
                    reasoning_content="hm",
                    extra={"annotations": [{"at": 1.0}]},
                ),
                finish_reason="tool_calls",
                logprobs={"content": [-0.5]},
            ),
        ),
        usage=Usage(input_tokens=7, output_tokens=9, service_tier="flex", billed_usd=Decimal("0.00010")),
        id="chatcmpl-1",
        model="small-2026",
    ),
    cost_usd=Decimal("0.00123"),
    trace_id="0a" * 16,
    tenant="acme",
    tags={"team": "red"},
    policy="default",
    stored_s=1767225600.5,
    ttl_s=3600.0,
)
INVALID = replace(FULL, answer=None, failure=Failure(kind="invalid", message="no messages", status=400, code="bad"))


def exact(value: Any) -> str:
    """Returns all that a value holds, in a form in which 1, 1.0 and True differ, and 0.1 and 0.10 in money."""
    return repr(asdict(value))


def again(codec: Codec, entry: Entry) -> Entry | None:
    """Returns what becomes of an entry in a store."""
    value = codec.encode(entry)
    assert value is not None
    return codec.decode(entry.key, value)


@CODECS
@given(entry=ENTRIES)
def test_an_entry_comes_back_as_it_was(codec: Codec, entry: Entry) -> None:
    """Whatever an answer or a failure holds, a store gives it back to the last digit."""
    found = again(codec, entry)
    assert found is not None
    assert exact(found) == exact(entry)


@pytest.mark.untraced
@CODECS
@given(chunk=CHUNKS, number=st.integers(0, 10**9))
def test_a_piece_comes_back_as_it_was(codec: Codec, chunk: Chunk, number: int) -> None:
    """Whatever a chunk holds, those who follow the stream elsewhere get it."""
    piece = codec.encode_chunk(KEY, number, chunk)
    assert piece is not None
    found = codec.decode_chunk(KEY, number, piece)
    assert found is not None
    assert exact(found) == exact(chunk)


@given(entry=ENTRIES)
def test_a_label_comes_back_as_it_was(entry: Entry) -> None:
    """Purges read from a label what they would read from the entry, without opening the value."""
    assert Codec.decode_label(Codec.label(entry)) == label_of(entry)
    assert SEALED.label(entry) == PLAIN.label(entry)


@pytest.mark.parametrize("kind", PARTS, ids=lambda kind: kind.__name__)
def test_every_field_is_written(kind: type) -> None:
    """A field added to what is stored must be added to the rows, with a new format: these tests know all there are."""
    assert {f.name for f in fields(kind)} == set(PARTS[kind])


def test_what_was_written_before_is_still_read() -> None:
    """The first format: a value that differs from it needs another number."""
    call = r'["c1","f","{\"a\": 1}","function",0,{"s":"x"}]'
    message = f'["assistant","Grüße 👋",[{call}],"no","hm",{{"annotations":[{{"at":1.0}}]}}]'
    usage = '[7,9,0,0,0,0,0,0,0,0,0,0,"flex","0.00010"]'
    answer = f'["chatcmpl-1","small-2026",{usage},[[0,"tool_calls",{{"content":[-0.5]}},{message}]]]'
    rest = f'"0.00123","{FULL.trace_id}","acme",{{"team":"red"}},"default",1767225600.5,3600.0,"simulated/small"]'
    value = f'[1,"{KEY}","small",{answer},null,{rest}'.encode()
    assert PLAIN.encode(FULL) == value
    assert PLAIN.decode(KEY, value) == FULL
    spanned = value[:-1] + b',"0b0b0b0b0b0b0b0b"]'
    assert PLAIN.encode(replace(FULL, span_id="0b" * 8)) == spanned
    assert PLAIN.decode(KEY, spanned) == replace(FULL, span_id="0b" * 8)
    assert PLAIN.decode(KEY, spanned[:-1] + b',"0"]') is None
    value = f'[1,"{KEY}","small",null,["invalid","no messages",400,"bad",null,null,true],{rest}'.encode()
    assert PLAIN.encode(INVALID) == value
    assert PLAIN.decode(KEY, value) == INVALID
    chunk = Chunk(choices=(ChunkChoice(delta=Message(content="Hi")),), id="chatcmpl-1")
    piece = b'[1,"' + KEY.encode() + b'",3,"chatcmpl-1",null,[[0,null,null,["assistant","Hi",null,null,null,{}]]]]'
    assert PLAIN.encode_chunk(KEY, 3, chunk) == piece
    label = b'[1,"acme",{"team":"red"},"small","default",1767225600.5,3600.0]'
    assert PLAIN.label(FULL) == label


@CODECS
def test_headers_are_not_stored(codec: Codec) -> None:
    """Cookies and limits left belong to the exchange that brought the answer, not to the answer."""
    assert FULL.answer is not None
    with_headers = replace(FULL, answer=replace(FULL.answer, headers={"set-cookie": "private"}))
    assert again(codec, with_headers) == FULL


@CODECS
@pytest.mark.parametrize(
    "odd", [{"half": "\ud83d"}, {"n": 2**64}, {"p": [-inf, inf]}, {"a": {"b": None}, "c": (1, 2)}], ids=repr
)
def test_what_orjson_cannot_write_is_kept(codec: Codec, odd: dict[str, Any]) -> None:
    """Hosts send halves of an emoji, long integers and infinite log probabilities."""
    assert FULL.answer is not None
    choice = replace(FULL.answer.choices[0], logprobs=odd, message=Message(content="\udc4b", extra=odd))
    entry = replace(FULL, answer=replace(FULL.answer, choices=(choice,)))
    found = again(codec, entry)
    assert found is not None
    assert exact(found) == exact(entry).replace("(1, 2)", "[1, 2]")


def test_nan_is_kept() -> None:
    """A NaN among log probabilities is no null."""
    chunk = Chunk(choices=(ChunkChoice(delta=Message(), logprobs=[nan]),))
    piece = PLAIN.encode_chunk(KEY, 0, chunk)
    assert piece is not None
    assert repr(PLAIN.decode_chunk(KEY, 0, piece)) == repr(chunk)


def nested(depth: int) -> list[Any]:
    """Returns a list in a list, so many levels deep."""
    inner: list[Any] = []
    for _ in range(depth):
        inner = [inner]
    return inner


@CODECS
@pytest.mark.parametrize("bad", [object(), {b"bytes"}, nested(100_000)], ids=["object", "set", "deep"])
def test_what_json_cannot_hold_is_not_stored(codec: Codec, bad: Any) -> None:
    """A client of somebody's own may leave anything in an answer; then there is no value, and no exception."""
    assert FULL.answer is not None
    message = Message(content="Hi", extra={"bad": bad})
    entry = replace(FULL, answer=replace(FULL.answer, choices=(Choice(message=message),)))
    assert codec.encode(entry) is None
    assert codec.encode_chunk(KEY, 0, Chunk(choices=(ChunkChoice(delta=message),))) is None


def test_money_does_not_depend_on_the_thread() -> None:
    """Sixty digits come back also where the thread's own context keeps five, and traps the rest."""
    usd = Decimal("0." + "123456789" * 6)
    with localcontext(Context(prec=5, traps=[Inexact])):
        found = again(PLAIN, replace(FULL, cost_usd=usd))
    assert found is not None
    assert found.cost_usd == usd


@CODECS
def test_another_key_is_a_miss(codec: Codec) -> None:
    """A value that came to stand under another key, and a piece of another stream or place, are not taken."""
    value = codec.encode(FULL)
    piece = codec.encode_chunk(KEY, 3, Chunk(choices=()))
    assert value is not None
    assert piece is not None
    assert codec.decode(OTHER, value) is None
    assert codec.decode_chunk(OTHER, 3, piece) is None
    assert codec.decode_chunk(KEY, 2, piece) is None
    assert codec.decode(KEY, piece) is None
    assert codec.decode_chunk(KEY, 3, value) is None


def test_another_format_is_a_miss() -> None:
    """Values of an older or newer version are passed over."""
    value, piece = PLAIN.encode(FULL), PLAIN.encode_chunk(KEY, 0, Chunk(choices=()))
    assert value is not None
    assert piece is not None
    assert PLAIN.decode(KEY, value.replace(b"[1,", b"[2,", 1)) is None
    assert PLAIN.decode_chunk(KEY, 0, piece.replace(b"[1,", b"[2,", 1)) is None
    assert PLAIN.decode_label(PLAIN.label(FULL).replace(b"[1,", b"[2,", 1)) is None


def test_another_seal_is_a_miss() -> None:
    """Sealed with another key, sealed where none is expected, or not sealed where one is: all are misses."""
    plain, sealed = PLAIN.encode(FULL), SEALED.encode(FULL)
    assert plain is not None
    assert sealed is not None
    assert b"chatcmpl" not in sealed
    assert PLAIN.decode(KEY, sealed) is None
    assert SEALED.decode(KEY, plain) is None
    assert Codec(Seal(b"l" * 32)).decode(KEY, sealed) is None


@CODECS
@given(data=st.binary() | JSON.map(lambda value: orjson.dumps(value, default=str) if not_wide(value) else b"[]"))
def test_nonsense_is_a_miss(codec: Codec, data: bytes) -> None:
    """Whatever else stands in a store is never an exception."""
    assert codec.decode(KEY, data) is None
    assert codec.decode_chunk(KEY, 0, data) is None
    assert codec.decode_label(data) is None


def not_wide(value: Any) -> bool:
    """Returns whether orjson can write it."""
    try:
        orjson.dumps(value)
    except TypeError:
        return False
    return True


@given(cut=st.integers(0, 400))
def test_a_torn_value_is_a_miss(cut: int) -> None:
    """Half a value is none."""
    value = PLAIN.encode(FULL)
    assert value is not None
    assert PLAIN.decode(KEY, value[: cut % len(value)]) is None


def test_deep_nonsense_is_a_miss() -> None:
    """Nor do brackets without end cost an exception."""
    for data in (b"[" * 10**6, b" " + b"[" * 10**6):
        assert PLAIN.decode(KEY, data) is None


def places(row: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yields the path to every value inside a row."""
    inner = row.items() if isinstance(row, dict) else enumerate(row) if isinstance(row, list) else ()
    for name, value in inner:
        yield (*path, name)
        yield from places(value, (*path, name))


def with_value(row: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Returns a copy of a row with another value at a place."""
    copy = orjson.loads(orjson.dumps(row))
    at = copy
    for name in path[:-1]:
        at = at[name]
    at[path[-1]] = value
    return copy


FULL_ROW, INVALID_ROW = orjson.loads(PLAIN.encode(FULL) or b""), orjson.loads(PLAIN.encode(INVALID) or b"")
LABEL_ROW = orjson.loads(PLAIN.label(FULL))
PIECE = Chunk(choices=(ChunkChoice(delta=Message(content="Hi"), finish_reason="stop"),), id="c1", model="small-2026")
PIECE_ROW = orjson.loads(PLAIN.encode_chunk(KEY, 3, PIECE) or b"")
LOGPROBS, EXTRA_FIELDS = (3, 3, 0, 2), ((3, 3, 0, 3, 5), (3, 3, 0, 3, 2, 0, 5))


@pytest.mark.parametrize("path", list(places(FULL_ROW)), ids=repr)
def test_a_value_of_the_wrong_kind_is_a_miss(path: tuple[Any, ...]) -> None:
    """Each place is checked, save those that hold whatever a provider sends: log probabilities and extra fields."""
    free = path[:4] == LOGPROBS or any(path[: len(extra)] == extra and len(path) > len(extra) for extra in EXTRA_FIELDS)
    found = PLAIN.decode(KEY, orjson.dumps(with_value(FULL_ROW, path, [0.5])))
    assert (found is not None) == free


@pytest.mark.parametrize("path", list(places(INVALID_ROW)), ids=repr)
def test_a_failure_of_the_wrong_kind_is_a_miss(path: tuple[Any, ...]) -> None:
    """The same for a failure; its class must be one that there is."""
    assert PLAIN.decode(KEY, orjson.dumps(with_value(INVALID_ROW, path, [0.5]))) is None
    assert PLAIN.decode(KEY, orjson.dumps(with_value(INVALID_ROW, (4, 0), "unheard_of"))) is None


@pytest.mark.parametrize("path", list(places(PIECE_ROW)), ids=repr)
def test_a_piece_of_the_wrong_kind_is_none(path: tuple[Any, ...]) -> None:
    """The same for the pieces of streams, where log probabilities alone are free."""
    found = PLAIN.decode_chunk(KEY, 3, orjson.dumps(with_value(PIECE_ROW, path, [0.5])))
    assert (found is not None) == (path == (5, 0, 2))


@pytest.mark.parametrize("path", list(places(LABEL_ROW)), ids=repr)
def test_a_label_of_the_wrong_kind_is_none(path: tuple[Any, ...]) -> None:
    """Labels are checked as values are."""
    row = with_value(LABEL_ROW, path, [0.5])
    assert PLAIN.decode_label(orjson.dumps(row)) is None


@pytest.mark.parametrize(
    "row",
    [
        with_value(FULL_ROW, (4,), INVALID_ROW[4]),
        with_value(FULL_ROW, (3,), None),
        with_value(FULL_ROW, (5,), "NaN"),
        with_value(FULL_ROW, (5,), "Infinity"),
        with_value(FULL_ROW, (5,), "two"),
        with_value(FULL_ROW, (3, 2, 0), True),
        with_value(FULL_ROW, (3, 2, 1), 2.0),
        with_value(FULL_ROW, (3, 3), "abcd"),
        [*FULL_ROW, None],
        FULL_ROW[:-1],
    ],
    ids=["both", "neither", "nan", "infinite", "words", "bool", "float", "text", "long", "short"],
)
def test_what_cannot_be_is_a_miss(row: list[Any]) -> None:
    """An entry has an answer or a failure, money is finite, tokens are whole numbers, and there are so many fields."""
    assert PLAIN.decode(KEY, orjson.dumps(row)) is None


def test_a_time_that_is_none_is_a_miss() -> None:
    """An entry stored at NaN would never be over."""
    value = (PLAIN.encode(FULL) or b"").replace(b"1767225600.5", b"NaN")
    assert PLAIN.decode(KEY, b" " + value) is None
