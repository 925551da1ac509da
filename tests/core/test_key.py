from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import orjson
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from router.core.key import NO_PART, Drop, canonical, content_key
from router.core.parse import parse_request
from router.core.request import Hints, Request
from router.errors import RequestError

SAFE = 2**53 - 1
finite = st.floats(allow_nan=False, allow_infinity=False)
keys = st.text(max_size=3) | st.sampled_from(["a", "b", "ﬀ", "😀", "é", "", '"\\\n'])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-SAFE, SAFE) | finite | st.integers(-9, 9).map(float) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)
params = st.dictionaries(st.sampled_from(["temperature", "x_a", "x_b", "tools_x", "é"]), json_values, max_size=3)
messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "system"]), "content": st.text(max_size=5)}, optional={"x": json_values}
    ),
    min_size=1,
    max_size=3,
)


def document(request: Request, policy: str) -> dict[str, Any]:
    """Returns what the key stands for, as plain data, with nothing dropped."""
    return {
        "messages": list(request.messages),
        "params": dict(request.params),
        "policy": policy,
        "scheme": 1,
        "tenant": request.hints.tenant,
    }


@given(messages, params, st.text(max_size=3), st.none() | st.text(min_size=1, max_size=3))
def test_canonical_is_rfc_8785(messages: Any, params: dict[str, Any], policy: str, tenant: str | None) -> None:
    """Byte for byte what the reference implementation writes: numbers, escapes, order of keys."""
    request = parse_request(messages, tenant=tenant, **params)
    assert canonical(request, policy) == rfc8785.dumps(document(request, policy))


@given(messages, params, messages, params)
def test_keys_are_equal_only_where_canonical_forms_are(m1: Any, p1: Any, m2: Any, p2: Any) -> None:
    """A shared key means that the reference sees the same document, and the other way round."""
    one, two = parse_request(m1, **p1), parse_request(m2, **p2)
    equal = rfc8785.dumps(document(one, "p")) == rfc8785.dumps(document(two, "p"))
    assert (content_key(one, "p") == content_key(two, "p")) is equal


@given(messages, params)
def test_order_and_spelling_do_not_matter(messages: Any, params: dict[str, Any]) -> None:
    """The order of keys, lists or tuples, whole numbers as int or float: the key stays."""

    def respelled(value: Any) -> Any:
        match value:
            case dict():
                return {name: respelled(value[name]) for name in reversed(value)}
            case list():
                return tuple(map(respelled, value))
            case float() if value.is_integer() and abs(value) < SAFE:
                return int(value)
            case bool():
                return value
            case int():
                return float(value)
            case _:
                return value

    one = parse_request(messages, **params)
    two = parse_request([respelled(message) for message in messages], **respelled(params))
    assert content_key(one, "p") == content_key(two, "p")


PLAIN: dict[str, Any] = {
    "messages": [
        {"role": "system", "content": "be brief"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
                {"type": "image_url", "image_url": "data:image/png;base64,AAAA"},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                {"type": "input_audio", "input_audio": "AAAA"},
                {"type": "file", "file": {"file_data": "AAAA", "filename": "a"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "42"},
    ],
    "temperature": 0.5,
    "seed": 7,
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "maximum": 1.0}}}],
    "response_format": {"type": "json_object"},
    "stop": ["x", "y"],
    "logit_bias": {"50256": -100},
    "x_unknown": {"deep": [1, {"deeper": True}]},
    "user": "ann",
}


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Returns the paths of all scalars in a value."""
    match value:
        case dict():
            return [p for name, item in value.items() for p in leaves(item, (*path, name))]
        case list():
            return [p for i, item in enumerate(value) for p in leaves(item, (*path, i))]
        case _:
            return [path]


def is_free(path: tuple[Any, ...]) -> bool:
    """Returns whether any other value may stand there without making the request malformed."""
    return path[-1] == "arguments" or (path[-1] not in {"role", "type"} and "tool_calls" not in path)


def changed(path: tuple[Any, ...]) -> dict[str, Any]:
    """Returns `PLAIN` with the scalar at a path changed."""
    copy: dict[str, Any] = orjson.loads(orjson.dumps(PLAIN))
    place: Any = copy
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = another(place[path[-1]])
    return copy


def another(value: Any) -> Any:
    """Returns another value of the same type; text for None."""
    match value:
        case None:
            return "said"
        case bool():
            return not value
        case str():
            return f"{value}!"
        case _:
            return value + 1


@pytest.mark.parametrize("path", [path for path in leaves(PLAIN) if is_free(path)], ids=str)
def test_every_semantic_field_changes_the_key(path: tuple[Any, ...]) -> None:
    """A change of any scalar anywhere, data of images, audio and files included, is another request."""
    assert content_key(parse_request(**PLAIN), "p") != content_key(parse_request(**changed(path)), "p")


def test_tenant_policy_and_model_separate() -> None:
    """The same words of another tenant, by another policy, or for one model only, are not the same request."""
    request = parse_request("hi")
    requests = [
        request,
        parse_request("hi", tenant="a"),
        parse_request("hi", tenant="b"),
        parse_request("hi", model="m"),
    ]
    found = {content_key(r, policy) for r in requests for policy in ("p", "q")}
    assert len(found) == 8
    assert content_key(parse_request("hi", tenant=None), "p") == content_key(request, "p")


@pytest.mark.parametrize("name", sorted(NO_PART))
def test_filing_billing_and_transport_do_not_count(name: str) -> None:
    """Metadata and the like cannot change an answer."""
    params: dict[str, Any] = {name: {"a": "b"}}
    assert content_key(parse_request("hi", **params), "p") == content_key(parse_request("hi"), "p")


def test_routing_does_not_count() -> None:
    """Streaming, tags, trace ids and bounds leave the key as it is."""
    hints = Hints(tags={"team": "x"}, trace_id="ab" * 16, attempts=2, deadline_s=3.0, min_quality=0.5)
    plain = parse_request("hi")
    assert content_key(replace(plain, stream=True, hints=hints), "p") == content_key(plain, "p")


def test_data_stands_in_the_canonical_form_by_its_digest() -> None:
    """A large picture does not swell what is hashed, and no picture can be written so that it is another's digest."""
    image = "data:image/png;base64," + "A" * 100_000
    parts = [{"type": "image_url", "image_url": {"url": image}}]
    form = canonical(parse_request([{"role": "user", "content": parts}]), "p")
    assert len(form) < 400
    assert b'"url":{"sha256":"' in form


def test_large_integers_keep_their_digits() -> None:
    """Neighbours beyond 2^53, which are one number to JavaScript, are two keys."""
    one, two = parse_request("hi", seed=2**53, x=1.0e-9), parse_request("hi", seed=2**53 + 1, x=1.0e-9)
    assert content_key(one, "p") != content_key(two, "p")
    assert b'"seed":9007199254740993' in canonical(two, "p")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, {1}, {1: 2}, {"a": {2: 3}}], ids=str)
def test_what_is_no_json_is_refused(value: Any) -> None:
    """Also in a request that was not parsed: two NaNs must never share an answer."""
    with pytest.raises(RequestError, match="the request holds"):
        content_key(Request(messages=({"role": "user", "content": "hi"},), params={"x": value}), "p")


def test_what_a_user_calls_volatile_is_dropped() -> None:
    """A parameter by name, and text of system messages by pattern; user messages keep it."""
    drop = Drop(params=frozenset({"user"}), text=(re.compile(r"^Now: .*\n", re.MULTILINE),))

    def key(at: str, said: str = "hi", **params: Any) -> str:
        system = [{"type": "text", "text": f"Now: {at}\nBe brief."}, {"type": "x"}]
        given = [
            {"role": "system", "content": f"Now: {at}\nBe kind."},
            {"role": "developer", "content": system},
            {"role": "user", "content": said},
        ]
        return content_key(parse_request(given, **params), "p", drop=drop)

    assert key("9:00", user="ann") == key("10:00", user="bob") == key("11:00")
    assert key("9:00", "Now: 9:00\n") != key("9:00", "Now: 10:00\n")


def test_the_key_is_64_hex_digits() -> None:
    """SHA-256 in hex, the same in every process; a change of it needs a new scheme."""
    key = content_key(parse_request("hi"), "default")
    assert key == "c3d57f40f6a13d8af4074672fbee935a0ef4d07404b17a82f8795934e4a9a72b"
