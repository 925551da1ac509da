"""Hypothesis strategies for requests, as `router.core.parse` makes them; needs `hypothesis`."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import Any, Final

from hypothesis import strategies as st

from router import Hints, Request
from router.core.caching import CacheHint
from router.testing.strategies_texts import prompts, texts
from router.testing.strategies_vocabulary import NAMES

_PIXEL: Final = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
_JSON: Final[st.SearchStrategy[Any]] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(), inner, max_size=3),
    max_leaves=5,
)
_TOOL_NAMES: Final = st.sampled_from(["look_up", "sum", "get_weather"])

_LEAF_SCHEMAS: Final = st.sampled_from(
    [
        {"type": "string"},
        {"type": "integer", "minimum": 0},
        {"type": "number"},
        {"type": "boolean"},
        {"enum": ["a", "b", None]},
        {"type": ["string", "null"], "description": "Ünïcode 描述"},
        {"const": 1},
        {},
    ]
)


def _objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    fields = st.dictionaries(st.sampled_from(["name", "age", "größe", "$ref"]), inner, max_size=3)
    return st.builds(
        lambda properties, closed: {
            "type": "object",
            "properties": properties,
            "required": sorted(properties),
            **({"additionalProperties": False} if closed else {}),
        },
        fields,
        st.booleans(),
    )


_SCHEMAS: Final[st.SearchStrategy[Any]] = st.recursive(
    _LEAF_SCHEMAS,
    lambda inner: st.one_of(
        _objects(inner),
        inner.map(lambda items: {"type": "array", "items": items}),
        st.lists(inner, min_size=1, max_size=2).map(lambda options: {"anyOf": options}),
    ),
    max_leaves=4,
)
_OBJECT_SCHEMAS: Final = _objects(_SCHEMAS)


def json_values() -> st.SearchStrategy[Any]:
    """Returns a strategy of JSON values, nested and not."""
    return _JSON


def json_schemas() -> st.SearchStrategy[dict[str, Any]]:
    """Returns a strategy of JSON schemas of objects, as tools and answers have them."""
    return _OBJECT_SCHEMAS


_TEXT_PARTS: Final = texts().map(lambda text: {"type": "text", "text": text})
_MEDIA_PARTS: Final = st.sampled_from(
    [
        {"type": "image_url", "image_url": {"url": _PIXEL}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
        {"type": "image_url", "image_url": _PIXEL},
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        {"type": "file", "file": {"file_data": "JVBERi0=", "filename": "a.pdf"}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}},
        {"type": "text", "text": "remember this", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "a_kind_of_next_year", "value": 1},
    ]
)
_PARTS: Final = st.lists(st.one_of(_TEXT_PARTS, _MEDIA_PARTS, _MEDIA_PARTS), max_size=3)
_CONTENTS: Final = st.one_of(prompts(), texts(), *[_PARTS] * 4)


@st.composite
def _calls(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Draws an assistant's tool calls and the results of them: they belong together."""
    names = draw(st.lists(_TOOL_NAMES, min_size=1, max_size=2))
    calls = [
        {
            "id": f"call_{place}",
            "type": "function",
            "function": {"name": name, "arguments": draw(st.sampled_from(['{"x": 1}', "{}", "", "no JSON"]))},
        }
        for place, name in enumerate(names)
    ]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": draw(texts())} for call in calls]
    return [{"role": "assistant", "content": None, "tool_calls": calls}, *results]


_USER: Final = st.builds(lambda content: [{"role": "user", "content": content}], _CONTENTS)
_TURNS: Final[st.SearchStrategy[list[dict[str, Any]]]] = st.one_of(
    _USER,
    texts().map(lambda text: [{"role": "assistant", "content": text}]),
    texts().map(lambda text: [{"role": "assistant", "content": text, "refusal": None, "name": "helper"}]),
    _calls(),
    texts().map(lambda text: [{"role": "user", "content": text, "name": "söme one"}]),
)
_OPENINGS: Final[st.SearchStrategy[list[dict[str, Any]]]] = st.one_of(
    st.just([]),
    st.builds(lambda role, text: [{"role": role, "content": text}], st.sampled_from(["system", "developer"]), texts()),
)


@st.composite
def messages(draw: st.DrawFn) -> tuple[dict[str, Any], ...]:
    """Draws a conversation: with or without a system prompt, with images, tool calls and their results."""
    turns = [draw(_OPENINGS), draw(_USER), *draw(st.lists(_TURNS, max_size=3))]
    return tuple(message for turn in turns for message in turn)


_TOOLS: Final = st.lists(
    st.one_of(
        st.builds(
            lambda name, schema: {"type": "function", "function": {"name": name, "parameters": schema}},
            _TOOL_NAMES,
            _OBJECT_SCHEMAS,
        ),
        st.sampled_from([{"type": "web_search"}, {"google_search": {}}, {"type": "custom", "custom": {"name": "sum"}}]),
    ),
    min_size=1,
    max_size=2,
)
_FORMATS: Final = st.one_of(
    st.sampled_from([{"type": "json_object"}, {"type": "text"}]),
    _OBJECT_SCHEMAS.map(
        lambda schema: {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}
    ),
)
_LIMITS: Final[st.SearchStrategy[dict[str, Any]]] = st.one_of(
    st.just({}),
    st.sampled_from([1, 50, 100_000]).map(lambda n: {"max_tokens": n}),
    st.sampled_from([1, 50, 100_000]).map(lambda n: {"max_completion_tokens": n}),
)
_PARAMS: Final[st.SearchStrategy[dict[str, Any]]] = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.sampled_from([0, 0.7, 2.0]),
        "top_p": st.sampled_from([1, 0.1]),
        "top_k": st.just(40),
        "n": st.sampled_from([1, 2, 8]),
        "stop": st.sampled_from(["\n", ["a", "b"]]),
        "seed": st.integers(0, 2**31),
        "presence_penalty": st.just(-2.0),
        "frequency_penalty": st.just(0.5),
        "logit_bias": st.just({"50256": -100}),
        "logprobs": st.booleans(),
        "user": texts(),
        "metadata": st.dictionaries(st.sampled_from(["a", "b"]), texts(), max_size=2),
        "service_tier": st.sampled_from(["auto", "default", "flex", "priority", "batch"]),
        "reasoning_effort": st.sampled_from(["none", "minimal", "high"]),
        "thinking": st.sampled_from([{"type": "enabled", "budget_tokens": 1024}, {"type": "disabled"}]),
        "modalities": st.sampled_from([["text"], ["text", "audio"]]),
        "tools": _TOOLS,
        "tool_choice": st.sampled_from(["auto", "none", "required"]),
        "parallel_tool_calls": st.booleans(),
        "response_format": _FORMATS,
        "web_search_options": st.just({}),
        "store": st.booleans(),
        "a_parameter_of_next_year": _JSON.filter(lambda value: value is not None),
    },
)
_WORDS: Final = prompts().filter(lambda text: len(text) < 100)
_AMOUNTS: Final = st.sampled_from(["0", "0.0001", "0.02", "1000000"]).map(Decimal)
_HINTS: Final[st.SearchStrategy[dict[str, Any]]] = st.fixed_dictionaries(
    {},
    optional={
        "policy": st.just("default"),
        "model": st.sampled_from(NAMES),
        "tags": st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2),
        "tenant": _WORDS,
        "max_cost_usd": _AMOUNTS,
        "min_quality": st.sampled_from([0.0, 0.5, 1.0]),
        "attempts": st.integers(1, 10),
        "deadline_s": st.sampled_from([0.001, 30.0, 86_400.0]),
        "waste_usd": _AMOUNTS,
        "baseline": st.sampled_from(NAMES),
        "cache": st.builds(CacheHint, mode=st.sampled_from(["use", "refresh", "off"])),
        "trace_id": st.integers(1, 2**128 - 1).map(lambda n: f"{n:032x}"),
        "request_id": _WORDS,
    },
)
_HEADERS: Final = st.dictionaries(
    st.sampled_from(["x-team", "anthropic-beta"]), st.sampled_from(["", "a", "ü"]), max_size=2
)
_STATED: Final = frozenset(field.name for field in dataclasses.fields(Hints))


@st.composite
def _hints(draw: st.DrawFn) -> Hints:
    return Hints(**{name: value for name, value in draw(_HINTS).items() if name in _STATED})


_SOME_HINTS: Final = _hints()


def hints() -> st.SearchStrategy[Hints]:
    """Returns a strategy of what an application tells the router: none of it, or any of it."""
    return _SOME_HINTS


_MESSAGES: Final = messages()
_SOME_PARAMS: Final = st.one_of(st.just({}), _PARAMS)
_SOME_HEADERS: Final[st.SearchStrategy[dict[str, str]]] = st.one_of(st.just({}), _HEADERS)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Draws a valid request, from "hi" to what nobody sends on purpose.

    Prompts of every script, empty and huge; images, audio, files, tools and their results; JSON schemas; all
    parameters, unknown ones too; all hints. `arguments_of` turns one into what `Router.complete` takes.
    """
    return Request(
        messages=draw(_MESSAGES),
        params={**draw(_SOME_PARAMS), **draw(_LIMITS)},
        stream=draw(st.booleans()),
        hints=draw(_SOME_HINTS),
        headers=draw(_SOME_HEADERS),
    )


def arguments_of(request: Request, /) -> dict[str, Any]:
    """Returns the keyword arguments with which `Router.complete` makes this request."""
    given = {name: getattr(request.hints, name) for name in sorted(_STATED)}
    arguments: dict[str, Any] = {"messages": list(request.messages), **request.params}
    arguments |= {name: value for name, value in given.items() if value not in (None, {})}
    if request.headers:
        arguments["extra_headers"] = dict(request.headers)
    if request.stream:
        arguments["stream"] = True
    return arguments
