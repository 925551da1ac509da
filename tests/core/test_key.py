from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from enum import StrEnum
from typing import Any

import orjson
import pydantic
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from router.core.key import NO_DROP, NO_PART, Drop, canonical, content_key, dropped
from router.core.parse import parse_request
from router.core.request import Hints, Request
from router.errors import RequestError

SAFE = 2**53 - 1
PICTURE = "data:image/png;base64," + "A" * 400
NOW = re.compile(r"^Now: .*\n", re.MULTILINE)

near = st.builds(lambda digits, power: float(f"{digits}e{power}"), st.integers(-999, 999), st.integers(-12, 25))
finite = st.floats(allow_nan=False, allow_infinity=False) | near
keys = st.text(max_size=3) | st.sampled_from(["a", "b", "ﬀ", "😀", "é", "", '"\\\n'])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-SAFE, SAFE) | finite | st.integers(-9, 9).map(float) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)
words = st.text(max_size=5)
data = st.sampled_from(["AAAA", "A" * 300, "B" * 300, PICTURE, f"{PICTURE}A", "https://x/a.png", f"sha256:{'0' * 64}"])


def fixed(optional: Mapping[str, Any] | None = None, /, **fields: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Returns dicts with these fields; what is no strategy stands there as it is."""
    made = {n: f if isinstance(f, st.SearchStrategy) else st.just(f) for n, f in fields.items()}
    return st.fixed_dictionaries(made, optional=dict(optional or {}))


texts = fixed({"x": json_values}, type="text", text=words)
parts = st.one_of(
    texts,
    fixed(type="image_url", image_url=data),
    fixed(type="image_url", image_url=fixed({"detail": words}, url=data)),
    fixed(type="input_audio", input_audio=data),
    fixed(type="input_audio", input_audio=fixed(data=data, format="wav")),
    fixed(type="file", file=fixed({"filename": words, "file_id": words}, file_data=data)),
    fixed(type="image", source=fixed(type="base64", media_type="image/png", data=data)),
    fixed(type="tool_result", content=st.lists(texts | fixed(type="image", source=fixed(data=data)), max_size=2)),
    fixed({"x": json_values}, type="x_part"),
)
contents = words | st.lists(parts, max_size=3)
call = fixed(id=words, type="function", function=fixed(name=words, arguments=words))
message = st.one_of(
    fixed(role=st.sampled_from(["user", "system"]), content=words),
    fixed({"name": words, "x": json_values}, role=st.sampled_from(["user", "system", "developer"]), content=contents),
    fixed({"reasoning_content": words}, role="assistant", content=st.none(), tool_calls=st.lists(call, max_size=2)),
    fixed(role="tool", tool_call_id=words, content=contents),
    fixed(role="function", name=words, content=st.none() | words),
)
messages = st.lists(message, min_size=1, max_size=3)
tool = fixed(type="function", function=fixed({"strict": st.booleans()}, name=words, parameters=json_values))
choice = st.sampled_from(["auto", "none"]) | fixed(type="function", function=fixed(name=words))
schema = fixed(type="json_schema", json_schema=fixed({"strict": st.booleans()}, name=words, schema=json_values))
params = fixed(
    {
        "temperature": finite,
        "top_p": st.sampled_from([0, 0.0, -0.0, 1, 1.0, 0.5, 1e-7]),
        "max_tokens": st.integers(1, 9),
        "seed": st.integers(-SAFE, SAFE),
        "n": st.integers(1, 3),
        "stop": words | st.lists(words, max_size=2),
        "user": words,
        "tools": st.lists(tool, max_size=2),
        "tool_choice": choice,
        "parallel_tool_calls": st.booleans(),
        "response_format": fixed(type="json_object") | schema,
        "logit_bias": st.dictionaries(words, st.integers(-100, 100), max_size=2),
        "modalities": st.lists(st.sampled_from(["text", "audio"]), max_size=2),
        "audio": fixed(voice=words, format="wav"),
        "prediction": fixed(type="content", content=words | st.lists(texts, max_size=2)),
        "reasoning_effort": st.sampled_from(["low", "high"]),
        "x_unknown": json_values,
        "é": json_values,
    }
)
headers = st.dictionaries(st.sampled_from(["anthropic-beta", "openai-organization", "x"]), st.sampled_from(["", "ÿ"]))
names = st.text(min_size=1, max_size=3)
hints = st.builds(Hints, tenant=st.none() | names, model=st.none() | names)
requests = st.builds(Request, messages=messages.map(tuple), params=params, headers=headers, hints=hints)


def document(request: Request, policy: str, *, by_digest: bool = True) -> dict[str, Any]:
    """Returns what the key stands for, as plain data, with nothing dropped.

    Args:
        request: as the router has it.
        policy: its name.
        by_digest: whether data in content parts is told by its digest, as it is in the canonical form.
    """
    whole = {
        "messages": [{**message, "content": told(message["content"], by_digest)} for message in request.messages],
        "params": dict(request.params),
        "policy": policy,
        "scheme": 1,
        "tenant": request.hints.tenant,
    }
    if request.hints.model is not None:
        whole["model"] = request.hints.model
    return whole | ({"headers": dict(request.headers)} if request.headers else {})


def told(content: Any, by_digest: bool) -> Any:
    """Returns the content of a message as the canonical form tells it."""
    if not isinstance(content, list) or not by_digest:
        return content
    return [part if part["type"] == "text" else digested(part) for part in content]


def digested(value: Any) -> Any:
    """Returns a value whose long strings, and those that look like a digest, are digests."""
    match value:
        case str() if len(value) > 256 or value.startswith("sha256:"):
            return f"sha256:{hashlib.sha256(value.encode()).hexdigest()}"
        case dict():
            return {name: digested(item) for name, item in value.items()}
        case list():
            return [digested(item) for item in value]
        case _:
            return value


def respelled(value: Any) -> Any:
    """Returns the same JSON value in other words: order of keys, tuples, whole numbers as int or float."""
    match value:
        case dict():
            return {name: respelled(value[name]) for name in reversed(value)}
        case list() | tuple():
            return tuple(map(respelled, value))
        case float() if value.is_integer() and abs(value) < SAFE:
            return int(value)
        case int() if not isinstance(value, bool):
            return float(value)
        case _:
            return value


def variants(value: Any) -> Iterator[Any]:
    """Yields every value that differs from this one at one place: changed, added, left out, renamed, in other order."""
    match value:
        case dict():
            yield {**value, "new field": None}
            for name, item in value.items():
                rest = {n: v for n, v in value.items() if n != name}
                yield rest
                yield {**rest, "renamed": item}
                yield from ({**value, name: other} for other in variants(item))
        case list():
            yield [*value, {"type": "new"}]
            for i, item in enumerate(value):
                yield [*value[:i], *value[i + 1 :]]
                yield from ([*value[:i], other, *value[i + 1 :]] for other in variants(item))
            if value != value[::-1]:
                yield value[::-1]
        case _:
            yield another(value)


def another(value: Any) -> Any:
    """Returns another scalar of the same type; text for None."""
    match value:
        case None:
            return "said"
        case bool():
            return not value
        case str():
            return f"{value}!"
        case int():
            return value + 1
        case _:
            return 1.5 if value != 1.5 else 2.5


@given(requests, words)
def test_canonical_is_rfc_8785(request: Request, policy: str) -> None:
    """Byte for byte what the reference implementation writes: numbers, escapes, order of keys."""
    assert canonical(request, policy) == rfc8785.dumps(document(request, policy))


@pytest.mark.untraced
@given(requests, requests, words, words)
def test_keys_are_equal_only_where_canonical_forms_are(one: Request, two: Request, p: str, q: str) -> None:
    """A shared key means that the reference sees the same document, data in full, and the other way round."""
    again = replace(one, messages=respelled(one.messages), params=respelled(one.params))
    for other, policy in ((two, p), (two, q), (again, p), (again, q), (replace(two, messages=one.messages), p)):
        equal = full(one, p) == full(other, policy)
        assert (content_key(one, p) == content_key(other, policy)) is equal


def full(request: Request, policy: str) -> bytes:
    """Returns the reference's form of all that the key stands for."""
    return rfc8785.dumps(document(request, policy, by_digest=False))


@pytest.mark.untraced
@given(requests)
def test_every_semantic_field_changes_the_key(request: Request) -> None:
    """Whatever is changed, added, left out, renamed or moved in messages, parameters or headers is another request."""
    key = content_key(request, "p")
    for varied in variants(list(request.messages)):
        assert content_key(replace(request, messages=tuple(varied)), "p") != key
    for varied in variants(request.params):
        assert content_key(replace(request, params=varied), "p") != key
    for varied in variants(request.headers):
        assert content_key(replace(request, headers=varied), "p") != key


@given(requests)
def test_order_and_spelling_do_not_matter(request: Request) -> None:
    """The order of keys, lists or tuples, whole numbers as int or float: the key stays."""
    again = replace(request, messages=respelled(request.messages), params=respelled(request.params))
    assert content_key(again, "p") == content_key(request, "p")


filed = st.dictionaries(st.sampled_from(sorted(NO_PART)), json_values, max_size=3)
followed = st.dictionaries(st.sampled_from(["traceparent", "x-request-id", "user-agent", "authorization"]), words)


@given(requests, filed, followed, st.booleans())
def test_what_cannot_change_an_answer_does_not_count(
    request: Request, filed: dict[str, Any], followed: dict[str, str], stream: bool
) -> None:
    """Streaming, tags, ids, bounds, what files or bills a request, headers that follow it: the key stays."""
    hints = replace(
        request.hints,
        policy="q",
        tags={"team": "x"},
        max_cost_usd=Decimal(1),
        min_quality=0.5,
        attempts=2,
        deadline_s=3.0,
        waste_usd=Decimal(0),
        baseline="large",
        trace_id="ab" * 16,
        request_id="r",
    )
    other = replace(
        request,
        params=filed | dict(request.params),
        headers=followed | dict(request.headers),
        hints=hints,
        stream=stream,
    )
    assert content_key(other, "p") == content_key(request, "p")


@given(requests, st.none() | names, st.none() | names, names, names)
def test_tenant_policy_and_model_separate(
    request: Request, one: str | None, other: str | None, policy: str, second: str
) -> None:
    """The same words of another tenant, by another policy, or for one model only, are not the same request."""

    def key(tenant: str | None, model: str | None, policy: str) -> str:
        return content_key(replace(request, hints=Hints(tenant=tenant, model=model)), policy)

    asked = {(tenant, model, by) for tenant in (one, other) for model in (one, other) for by in (policy, second)}
    assert len({key(*each) for each in asked}) == len(asked)


@pytest.mark.parametrize(
    "same", [("1", "1.0", "1e0", "10e-1"), ("0", "0.0", "-0.0", "-0"), ("1e16", "10000000000000000")]
)
@pytest.mark.parametrize("place", ['{"temperature": %s}', '{"x": {"y": [%s]}}'])
def test_numbers_count_by_value(place: str, same: tuple[str, ...]) -> None:
    """However a number is spelt in the body; true is none."""
    spelt = [orjson.loads(place % number) for number in same]
    assert len({content_key(parse_request("hi", **body), "p") for body in spelt}) == 1
    others = [orjson.loads(place % other) for other in ("true", "false", "null", '"1"', "1.5", "[1]")]
    found = {content_key(parse_request("hi", extra_body=body), "p") for body in (spelt[0], *others)}
    assert len(found) == 7


def test_large_integers_keep_their_digits() -> None:
    """Neighbours beyond 2^53, which are one number to JavaScript, are two keys."""
    one, two = parse_request("hi", seed=2**53, x=1.0e-9), parse_request("hi", seed=2**53 + 1, x=1.0e-9)
    assert content_key(one, "p") != content_key(two, "p")
    assert b'"seed":9007199254740993' in canonical(two, "p")


def test_normal_forms_of_unicode_are_other_texts() -> None:
    """They look alike and are other bytes, so a model may answer otherwise."""
    forms = {unicodedata.normalize(form, "ﬁ é 한") for form in ("NFC", "NFD", "NFKC", "NFKD")}
    assert len({content_key(parse_request(text), "p") for text in forms}) == len(forms) == 4
    assert len({content_key(parse_request("hi", x={text: 1}), "p") for text in forms}) == 4


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": PICTURE, "detail": "low"}},
        {"type": "image_url", "image_url": PICTURE},
        {"type": "input_audio", "input_audio": {"data": PICTURE, "format": "wav"}},
        {"type": "file", "file": {"file_data": PICTURE, "filename": "a"}},
        {"type": "image", "source": {"type": "base64", "data": PICTURE}},
        {"type": "tool_result", "content": [{"type": "image", "source": {"data": PICTURE}}]},
    ],
    ids=lambda part: str(part["type"]),
)
@pytest.mark.parametrize("role", ["user", "tool"])
def test_data_stands_in_the_canonical_form_by_its_digest(part: dict[str, Any], role: str) -> None:
    """A picture, sound or file does not swell what is hashed; one changed character in it is another request."""

    def form(part: dict[str, Any]) -> bytes:
        return canonical(parse_request([{"role": role, "content": [part], "tool_call_id": "c"}]), "p")

    assert len(form(part)) < 400
    assert f"sha256:{hashlib.sha256(PICTURE.encode()).hexdigest()}" in form(part).decode()
    assert form(respelled(part)) == form(part)
    changed = orjson.loads(orjson.dumps(part).replace(b'AAA"', b'AAB"'))
    assert form(changed) != form(part)


def test_nothing_can_be_written_as_the_digest_of_something_else() -> None:
    """Neither a short string nor a long one that is a digest stands for the data itself."""
    digest = f"sha256:{hashlib.sha256(PICTURE.encode()).hexdigest()}"
    twice = f"sha256:{hashlib.sha256(digest.encode()).hexdigest()}"
    urls = [PICTURE, digest, twice, digest.removeprefix("sha256:")]
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    forms = {canonical(parse_request([{"role": "user", "content": [part]}]), "p") for part in parts}
    assert len(forms) == 4


def test_response_formats_count_by_their_schema() -> None:
    """A pydantic class is what it is sent as, whichever class it is; the schema of another is another request."""
    one, same = (pydantic.create_model("Person", name=(str, ...)) for _ in range(2))
    other = pydantic.create_model("Person", name=(int, ...))
    sent = parse_request("hi", response_format=one).params["response_format"]
    body = orjson.loads(orjson.dumps(sent))
    found = [content_key(parse_request("hi", response_format=each), "p") for each in (one, same, body, other)]
    assert found[0] == found[1] == found[2] != found[3]


class Effort(StrEnum):
    """A parameter as programs that like enums name it."""

    LOW = "low"


class Half(float):
    """A float that prints as numpy's do."""

    def __abs__(self) -> Half:
        return self

    def __repr__(self) -> str:
        return "Half(0.5)"


class Name(str):
    """A text of a class of its own."""

    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "plain"), [(Effort.LOW, "low"), (Half(0.5), 0.5), (Name("x"), "x"), ({Name("x"): 1}, {"x": 1})], ids=str
)
def test_values_of_other_classes_count_as_they_are_sent(value: Any, plain: Any) -> None:
    """An enum's member is its value, and whatever is a string or a number is one."""
    assert content_key(parse_request("hi", x=value), "p") == content_key(parse_request("hi", x=plain), "p")
    said = [{"role": "user", "content": Name("hi")}]
    assert content_key(parse_request(said), "p") == content_key(parse_request("hi"), "p")


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, {1}, {1: 2}, {"a": {2: 3}}, 2**64, "\ud800", {"\ud800": 1}], ids=ascii
)
def test_what_is_no_json_is_refused(value: Any) -> None:
    """Also in a request that was not parsed: two NaNs must never share an answer."""
    for request in (
        Request(messages=({"role": "user", "content": "hi"},), params={"x": value}),
        Request(messages=({"role": {"x": value}, "content": "hi"},)),
        Request(messages=({"role": "user", "content": [{"type": "x", "x": [value]}]},)),
    ):
        with pytest.raises(RequestError, match="the request holds"):
            content_key(request, "p")


def test_half_a_surrogate_pair_is_refused() -> None:
    """In a tenant's name, and in data that stands by its digest."""
    with pytest.raises(RequestError, match="the request holds"):
        content_key(parse_request("hi", tenant="\ud800"), "p")
    part = {"type": "image_url", "image_url": "A" * 300 + "\ud800"}
    with pytest.raises(RequestError, match="the request holds"):
        content_key(Request(messages=({"role": "user", "content": [part]},)), "p")


def stamped(at: str, said: str = "hi", **params: Any) -> Request:
    """Returns a request with the time in its system and developer messages, and in what others say."""
    system = [{"type": "text", "text": f"Now: {at}\nBe brief."}, {"type": "x", "text": {"at": 1}}]
    return parse_request(
        [
            {"role": "system", "content": f"Now: {at}\nBe kind."},
            {"role": "developer", "content": system},
            {"role": "user", "content": said},
        ],
        **params,
    )


def test_what_a_policy_calls_volatile_is_dropped() -> None:
    """A parameter by name, and text of system messages by pattern, in parts too; what others say keeps it."""
    drop = Drop(params=frozenset({"user"}), text=(NOW,))

    def key(request: Request) -> str:
        return content_key(request, "p", drop=drop)

    assert key(stamped("9:00", user="ann")) == key(stamped("10:00", user="bob")) == key(stamped("11:00"))
    assert key(stamped("9:00", "Now: 9:00\n")) != key(stamped("9:00", "Now: 10:00\n"))
    assert key(stamped("9:00")) != content_key(stamped("9:00"), "p")
    assert b"9:00" not in canonical(stamped("9:00"), "p", drop=drop)


def test_other_rules_share_no_key() -> None:
    """The rules stand in the canonical form, whether they took something out or not; without rules nothing does."""
    rules = [
        NO_DROP,
        Drop(params=frozenset({"user"})),
        Drop(params=frozenset({"user", "seed"})),
        Drop(text=(NOW,)),
        Drop(text=(re.compile(NOW.pattern),)),
        Drop(text=(NOW, re.compile("x"))),
        Drop(text=(re.compile("x"), NOW)),
    ]
    request = parse_request("hi")
    assert len({content_key(request, "p", drop=drop) for drop in rules}) == len(rules)
    assert content_key(request, "p", drop=Drop()) == content_key(request, "p")
    form = canonical(request, "p", drop=Drop(params=frozenset({"b", "a"}), text=(re.compile("x"),)))
    assert orjson.loads(form)["drop"] == {"params": ["a", "b"], "text": [["x", 32]]}


@given(requests, st.frozensets(st.sampled_from(["temperature", "user", "x_unknown", "tools"])))
def test_a_dropped_parameter_is_as_if_it_were_not_there(request: Request, gone: frozenset[str]) -> None:
    """The canonical form is the reference's of the request without it, and the rules."""
    drop = Drop(params=gone)
    kept = replace(request, params={name: value for name, value in request.params.items() if name not in gone})
    rules = {"drop": {"params": sorted(gone), "text": []}} if gone else {}
    assert canonical(request, "p", drop=drop) == rfc8785.dumps(document(kept, "p") | rules)
    assert dropped(request, drop) == tuple(f"params.{name}" for name in sorted(gone) if name in request.params)


def test_what_was_dropped_is_named() -> None:
    """Only rules that took something out of this request, by the parameter's name or the pattern's place."""
    drop = Drop(params=frozenset({"user", "seed", "metadata"}), text=(NOW, re.compile("Now"), re.compile("brief|x*")))
    assert dropped(stamped("9:00", seed=1), drop) == ("params.seed", "text[0]", "text[2]")
    assert dropped(stamped("9:00", user="a", seed=1, metadata={}), drop)[:2] == ("params.seed", "params.user")
    assert dropped(parse_request("Now: 9:00\n"), drop) == ()
    assert dropped(stamped("9:00", user="a"), NO_DROP) == ()


def test_a_key_follows_from_the_canonical_form() -> None:
    """SHA-256 in hex, the same in every process; a change of it needs a new scheme."""
    key = content_key(parse_request("hi"), "default")
    assert key == hashlib.sha256(canonical(parse_request("hi"), "default")).hexdigest()
    assert key == "c3d57f40f6a13d8af4074672fbee935a0ef4d07404b17a82f8795934e4a9a72b"
