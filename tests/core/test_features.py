from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.features import features_of
from router.core.parse import parse_request
from router.core.request import TokenCount
from router.core.tokens import IMAGE, Content, measure


def needs(messages: Any = "hi", **params: Any) -> set[str]:
    """Returns what a request with these parameters needs."""
    return set(features_of(parse_request(messages, **params)).needs)


def user(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns messages with one user message of these parts."""
    return [{"role": "user", "content": list(parts)}]


def test_a_plain_prompt_needs_nothing() -> None:
    """Without parameters every fact is at its default."""
    features = features_of(parse_request("hi"))
    assert (features.needs, features.output_tokens_most, features.choices) == (frozenset(), None, 1)
    assert (features.cache_write, features.service_tier, features.images, features.tools) == (None, None, 0, 0)
    assert features.messages == 1
    assert not features.exact_tokens


FUNCTION = {"type": "function", "function": {"name": "f"}}


@pytest.mark.parametrize(
    ("params", "need"),
    [
        ({"tools": [FUNCTION]}, {"tools"}),
        ({"tools": []}, set()),
        ({"functions": [{"name": "f"}]}, {"tools"}),
        ({"tools": [FUNCTION, {"type": "web_search_20250305", "name": "web_search"}]}, {"tools", "web_search"}),
        ({"tools": [{"google_search": {}}]}, {"web_search"}),
        ({"tools": [{"type": "x_search"}]}, {"web_search"}),
        ({"web_search_options": {}}, {"web_search"}),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}}, {"json_schema"}),
        ({"response_format": {"type": "json_object"}}, {"json_object"}),
        ({"response_format": {"type": "text"}}, set()),
        ({"modalities": ["text", "audio"]}, {"audio_output"}),
        ({"audio": {"voice": "alloy", "format": "wav"}}, {"audio_output"}),
        ({"modalities": ["text"]}, set()),
        ({"reasoning_effort": "low"}, {"reasoning"}),
        ({"reasoning_effort": "none"}, set()),
        ({"enable_thinking": True}, {"reasoning"}),
        ({"enable_thinking": False}, set()),
        ({"think": "high"}, {"reasoning"}),
        ({"think": False}, set()),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, {"reasoning"}),
        ({"thinking": {"type": "disabled"}}, set()),
        ({"thinking": {}}, set()),
        ({"reasoning": {"effort": "high"}}, {"reasoning"}),
        ({"reasoning": {"enabled": False}}, set()),
        ({"reasoning": {"effort": "none"}}, set()),
        ({"reasoning": {}}, set()),
        ({"reasoning": True}, set()),
    ],
)
def test_parameters_say_what_a_model_must_have(params: dict[str, Any], need: set[str]) -> None:
    """Each provider's way of asking for a feature counts as the same need."""
    assert needs(**params) == need


@pytest.mark.parametrize(
    ("part", "need"),
    [
        ({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}, "vision"),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "low"}}, "vision"),
        ({"type": "image", "source": {}}, "vision"),
        ({"type": "input_audio", "input_audio": {"data": "AAAA" * 999, "format": "wav"}}, "audio_input"),
        ({"type": "input_audio", "input_audio": {"data": "AAAA" * 999}}, "audio_input"),
        ({"type": "input_audio", "input_audio": "AAAA" * 999}, "audio_input"),
        ({"type": "input_audio", "input_audio": "https://example.com/a.mp3"}, "audio_input"),
        ({"type": "audio_url", "audio_url": {"url": "https://example.com/a.mp3"}}, "audio_input"),
        ({"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}}, "video_input"),
        ({"type": "file", "file": {"file_id": "file-1"}}, "file_input"),
        ({"type": "file", "file": {"file_data": "https://example.com/a.pdf"}}, "file_input"),
        ({"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA"}}, "file_input"),
        ({"type": "document", "source": {}}, "file_input"),
    ],
)
def test_content_says_what_a_model_must_have(part: dict[str, Any], need: str) -> None:
    """A part that is no text asks for a capability, and adds tokens between bounds instead of its own bytes."""
    features = features_of(parse_request(user({"type": "text", "text": "look"}, part)))
    assert features.needs == {need}
    assert features.images == (need == "vision")
    plain = features_of(parse_request("look")).input_tokens
    assert plain.low < features.input_tokens.low
    assert plain.likely < features.input_tokens.likely <= features.input_tokens.high
    assert features.input_tokens.high > plain.high


def test_a_tool_conversation_needs_tools_without_offering_any() -> None:
    """Models without tool use refuse messages with calls and results; they cost tokens too."""
    calls = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}]
    request = parse_request(
        [
            {"role": "user", "content": "x", "name": "ann"},
            {"role": "assistant", "content": None, "tool_calls": calls, "reasoning_content": "hm", "refusal": None},
            {"role": "tool", "tool_call_id": "c", "content": "42"},
        ]
    )
    features = features_of(request)
    assert features.needs == {"tools"}
    assert features.messages == 3
    assert features.input_tokens.likely > 20


def test_definitions_cost_tokens() -> None:
    """Tools and response schemas are part of the input."""
    plain = features_of(parse_request("hi")).input_tokens
    tool = {"type": "function", "function": {"name": "f", "description": "what it does " * 9}}
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"title": "a schema " * 9}}}
    tooled = features_of(parse_request("hi", tools=[tool]))
    assert tooled.tools == 1
    assert tooled.input_tokens.likely > plain.likely + 10
    assert features_of(parse_request("hi", response_format=schema)).input_tokens.likely > plain.likely + 10


def test_unknown_parts_and_fields_count_by_their_json() -> None:
    """What nobody knows is bounded by its bytes, not ignored."""
    part = {"type": "hologram", "hologram": ["x" * 500]}
    assert features_of(parse_request(user(part))).input_tokens.high > 500
    message = {"role": "user", "content": "x", "annotations": [{"y": "z" * 500}]}
    assert features_of(parse_request([message])).input_tokens.high > 500


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (user({"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}), "5m"),
        (user({"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}}), "1h"),
        ([{"role": "system", "content": "x", "cache_control": {"type": "ephemeral", "ttl": "5m"}}], "5m"),
        (user({"type": "text", "text": "x", "cache_control": None}), None),
    ],
)
def test_the_longest_cache_time_is_found(request_: Any, expected: str | None) -> None:
    """Marks stand on parts, messages, tools or the whole request; the dearest one counts."""
    assert features_of(parse_request(request_)).cache_write == expected


def test_cache_marks_on_tools_and_requests_count() -> None:
    """The longest of all marks is what may be written."""
    mark = {"type": "ephemeral"}
    assert features_of(parse_request("x", cache_control=mark)).cache_write == "5m"
    tool = FUNCTION | {"cache_control": mark | {"ttl": "1h"}}
    assert features_of(parse_request("x", tools=[tool], cache_control=mark)).cache_write == "1h"


@pytest.mark.parametrize(
    ("params", "field", "expected"),
    [
        ({"max_tokens": 7}, "output_tokens_most", 7),
        ({"max_completion_tokens": 8}, "output_tokens_most", 8),
        ({"n": 3}, "choices", 3),
        ({"service_tier": "flex"}, "service_tier", "flex"),
        ({"service_tier": "default"}, "service_tier", None),
        ({"service_tier": 5}, "service_tier", None),
        ({"stream": True}, "stream", True),
    ],
)
def test_what_parameters_say_of_size_and_price(params: dict[str, Any], field: str, expected: Any) -> None:
    """The largest output, the number of choices and the service tier come from the parameters."""
    assert getattr(features_of(parse_request("x", **params)), field) == expected


@given(st.lists(st.sampled_from(["red", "green", "blue"]), min_size=1))
def test_patterns_match_the_last_user_message_only(words: list[str]) -> None:
    """What stands in earlier messages, in answers and in system prompts does not count."""
    messages = [
        {"role": "system", "content": "system"},
        {"role": "user", "content": "earlier"},
        {"role": "user", "content": " ".join(words)},
        {"role": "assistant", "content": "answer"},
    ]
    patterns = [re.compile(p) for p in ("red", "green", "blue", "system", "earlier", "answer")]
    assert features_of(parse_request(messages), patterns=patterns).matches == set(words)


def test_patterns_see_the_text_of_parts_and_a_bounded_part_of_it() -> None:
    """Texts of several parts are one text; from 10,000 characters on nothing matches."""
    parts = user(
        {"type": "text", "text": "a" * 9_000}, {"type": "image_url", "image_url": "x"}, {"type": "text", "text": "b"}
    )
    assert features_of(parse_request(parts), patterns=[re.compile("b$")]).matches == {"b$"}
    assert not features_of(parse_request("a" * 10_000 + "b"), patterns=[re.compile("b")]).matches
    assert not features_of(parse_request([{"role": "system", "content": "b"}]), patterns=[re.compile("b")]).matches


def test_the_input_is_counted_only_where_a_limit_is_near() -> None:
    """A limit that the estimate cannot reach costs no count, and a total limit leaves room for the output."""
    counted: list[str] = []

    def count(text: str) -> int:
        counted.append(text)
        return len(text) // 4

    request = parse_request("word " * 200, max_tokens=1_000)
    features_of(request, limits=[10, 2_000], count=count)
    assert not counted
    features = features_of(request, total_limits=[1_200], count=count)
    assert counted
    assert features.measured_tokens == features.exact_tokens["o200k_base"] == 250 + 7


@pytest.mark.parametrize(
    ("params", "edge"),
    [({"max_tokens": 500, "n": 3}, 500), ({"max_tokens": 500}, 1500), ({"n": 2}, 1400), ({}, 1700)],
)
def test_a_total_limit_leaves_room_for_the_output_of_every_choice(params: dict[str, Any], edge: int) -> None:
    """The input is counted near what a limit of 2,000 leaves of it; an output without a limit is the expected one."""
    for words, near in ((edge, True), (edge // 4, False), (edge * 4, False)):
        request = parse_request("word " * words, **params)
        features = features_of(request, total_limits=[2_000], expected_output_tokens=300, count=len)
        assert bool(features.exact_tokens) is near


def test_an_image_counts_between_the_bounds_of_one_image() -> None:
    """Pictures of unknown size cost what the finest resolution makes of them, at most."""
    one = features_of(parse_request(user({"type": "image_url", "image_url": "x"}))).input_tokens
    assert one.likely >= IMAGE.likely
    assert one.high >= IMAGE.high


CALLS = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
CONVERSATION: list[dict[str, Any]] = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": [{"type": "text", "text": "look"}, {"type": "hologram", "x": 1}], "name": "ann"},
    {"role": "assistant", "content": None, "tool_calls": CALLS, "reasoning_content": "hm"},
    {"role": "tool", "tool_call_id": "a name of a call that is long", "content": "42"},
    {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}], "tool_calls": CALLS, "audio": {"id": "z"}},
    {"role": "user", "content": [{"type": "image_url", "image_url": "x"}, {"type": "image_url", "image_url": "y"}]},
    {"role": "tool", "tool_call_id": "c", "content": ""},
]


def test_the_input_is_all_texts_media_messages_and_calls() -> None:
    """Every text once, what nobody knows as JSON, and neither roles nor the ids of calls."""
    call = json.dumps(CALLS, separators=(",", ":"))
    texts = ("be brief", "look", '{"type":"hologram","x":1}', "ann", call, "hm", "42", "no", call, '{"id":"z"}', "")
    media = TokenCount(low=2 * IMAGE.low, likely=2 * IMAGE.likely, high=2 * IMAGE.high)
    content = Content(texts=texts, media=media, messages=7, tool_calls=2)
    features = features_of(parse_request(CONVERSATION))
    assert features.input_tokens == measure(content, limits=(), output_tokens=0, count=None).bounds
    assert (features.messages, features.images, features.needs) == (7, 2, frozenset({"tools", "vision"}))


def test_definitions_are_those_of_tools_and_of_the_response() -> None:
    """As JSON, one after the other; functions are tools of an older kind."""
    schema = {"name": "x", "schema": {"type": "object"}}
    response_format = {"type": "json_schema", "json_schema": schema}
    tool, old = FUNCTION | {"x": 1}, {"name": "f"}
    cases: tuple[tuple[dict[str, Any], tuple[Any, ...]], ...] = (
        ({"tools": [tool], "response_format": response_format}, ([tool], schema)),
        ({"functions": [old]}, ([old],)),
        ({"response_format": response_format}, (schema,)),
    )
    for params, parts in cases:
        request = parse_request("hi", **params)
        definitions = "".join(json.dumps(part, separators=(",", ":")) for part in parts)
        content = Content(texts=("hi",), definitions=definitions)
        assert features_of(request).input_tokens == measure(content, limits=(), output_tokens=0, count=None).bounds
