"""What the application may pass as a request, and what is refused."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from router.core.answer import Function, Message, ToolCall
from router.core.parse import ROLES, parse_request
from router.core.request import Hints
from router.errors import RequestError

SECRET = "the quick brown fox"

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


class OpenAIMessage(BaseModel):
    """What OpenAI's client returns, and callers append to their messages."""

    role: str
    content: str | None = None
    refusal: str | None = None


@given(st.text(min_size=1))
def test_a_string_becomes_one_user_message(prompt: str) -> None:
    """A prompt is one user message with that text; no parameter, no hint."""
    request = parse_request(prompt)
    assert request.messages == ({"role": "user", "content": prompt},)
    assert not request.params
    assert request.hints == Hints()
    assert not request.stream


@given(st.sampled_from(["developer", "system", "user", "assistant"]), st.text())
def test_messages_are_taken_as_they_are(role: str, text: str) -> None:
    """Messages are kept, whether passed by place or by name, and copied, so that later changes do not reach them."""
    message = {"role": role, "content": text}
    by_place, by_name = parse_request([message]), parse_request(messages=(m for m in [message]))
    message["content"] = "changed"
    assert by_place.messages == by_name.messages == ({"role": role, "content": text},)


@given(st.dictionaries(st.text(min_size=1).map("x_{}".format), json_values, max_size=5))
def test_unknown_parameters_pass_untouched(params: dict[str, Any]) -> None:
    """Whatever is JSON goes through; None means not given."""
    assert parse_request("hi", **params).params == {k: v for k, v in params.items() if v is not None}


@given(json_values)
def test_unknown_kinds_of_parts_pass_untouched(value: Any) -> None:
    """A content part of a kind that nobody here knows is the provider's business."""
    part = {"type": "hologram", "hologram": value}
    assert parse_request([{"role": "user", "content": [part]}]).messages[0]["content"] == [part]


def test_every_kind_of_part_that_openai_knows_is_taken() -> None:
    """Text, images, audio, files, refusals, tool calls and their results, in OpenAI's and Mistral's forms."""
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    custom = {"id": "c2", "type": "custom", "custom": {"name": "g", "input": "x"}}
    messages: list[dict[str, Any]] = [
        {"role": "developer", "content": [{"type": "text", "text": "be brief"}]},
        {
            "role": "user",
            "name": "ann",
            "content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
                {"type": "image_url", "image_url": "https://example.com/a.png"},
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                {"type": "input_audio", "input_audio": "AAAA"},
                {"type": "file", "file": {"file_id": "file-1"}},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"}},
            ],
        },
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        {"role": "assistant", "content": None, "tool_calls": [call, custom]},
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
        {"role": "assistant", "tool_calls": None},
        {"role": "function", "name": "f", "content": None},
    ]
    assert list(parse_request(messages).messages) == messages


def test_messages_may_be_objects() -> None:
    """An answer's own message, OpenAI's object and any mapping may be appended to the messages as they are."""
    said = Message(content=None, tool_calls=(ToolCall(id="c", function=Function(name="f", arguments="{}")),))
    request = parse_request(
        [said, OpenAIMessage(role="assistant", content="x"), MappingProxyType({"role": "user", "content": "y"})]
    )
    assert request.messages[0]["tool_calls"][0]["function"] == {"name": "f", "arguments": "{}"}
    assert request.messages[1:] == ({"role": "assistant", "content": "x"}, {"role": "user", "content": "y"})


def test_extra_body_is_merged_into_the_body() -> None:
    """`extra_body` means what it means to OpenAI's client."""
    assert parse_request("hi", top_k=1, extra_body={"top_k": 5, "min_p": 0.1}).params == {"top_k": 5, "min_p": 0.1}


def test_stream_may_be_said_twice() -> None:
    """Code written for OpenAI's client passes `stream=` where the method says it too; only a contradiction is wrong."""
    assert parse_request("hi", True, stream=True).stream
    assert parse_request("hi", True).stream
    assert not parse_request("hi", False, stream=False).stream
    assert not parse_request("hi", False, stream=None).stream
    for streamed in (True, False):
        with pytest.raises(RequestError, match="stream and astream return pieces"):
            parse_request("hi", streamed, stream=not streamed)


def test_hints_are_taken_out_of_the_parameters() -> None:
    """Hints reach the router, parameters the provider."""
    request = parse_request("hi", stream=True, temperature=0.5, policy="cheap", tenant="acme", max_tokens=9)
    assert request.params == {"temperature": 0.5, "max_tokens": 9}
    assert request.hints == Hints(policy="cheap", tenant="acme")
    assert request.stream


def test_equal_limits_of_the_output_do_not_conflict() -> None:
    """Both names of the limit may be given, if they agree."""
    assert parse_request("hi", max_tokens=5, max_completion_tokens=5).params["max_tokens"] == 5


def within_itself() -> list[Any]:
    """Returns a list that holds itself."""
    loop: list[Any] = []
    loop.append(loop)
    return loop


def user(*parts: Any) -> list[dict[str, Any]]:
    """Returns messages with one user message of these parts."""
    return [{"role": "user", "content": list(parts)}]


def calls(*calls: Any) -> list[dict[str, Any]]:
    """Returns messages with one assistant message of these tool calls."""
    return [{"role": "assistant", "content": SECRET, "tool_calls": list(calls)}]


@pytest.mark.parametrize(
    ("prompt", "params", "said"),
    [
        (None, {}, "nothing is asked"),
        ("", {}, "the prompt is empty"),
        ([], {}, "messages is empty"),
        ((), {}, "messages is empty"),
        (5, {}, "messages: a value of type int"),
        (b"bytes", {}, "messages: a value of type bytes"),
        ({"role": "user", "content": SECRET}, {}, "messages: a value of type dict"),
        (SECRET, {"messages": [{"role": "user", "content": "x"}]}, "both a prompt and messages"),
        (SECRET, {"stream": 1}, "stream: a value of type int"),
        (["x"], {}, "messages[0]: a value of type str"),
        ([OpenAIMessage], {}, "messages[0]: a value of type ModelMetaclass"),
        ([{"content": SECRET}], {}, "messages[0].role: None"),
        ([{"role": "bot", "content": SECRET}], {}, "messages[0].role: 'bot' is not allowed; developer, system, user,"),
        ([{"role": SECRET * 9, "content": SECRET}], {}, "messages[0].role: a value of type str"),
        ([{"role": ["user"], "content": SECRET}], {}, "messages[0].role: a value of type list"),
        ([{"role": "user", "content": None}], {}, "messages[0].content: None is not allowed"),
        ([{"role": "user", "content": 5}], {}, "messages[0].content: a value of type int"),
        ([{"role": "tool", "content": SECRET}], {}, "messages[0].tool_call_id: None"),
        ([{"role": "function", "content": SECRET}], {}, "messages[0].name: None"),
        (user("x"), {}, "messages[0].content[0]: a value of type str"),
        (user({"text": SECRET}), {}, "messages[0].content[0].type: None"),
        (user({"type": "text"}), {}, "messages[0].content[0].text: None"),
        (user({"type": "refusal"}), {}, "messages[0].content[0].refusal: None"),
        (user({"type": "text", "text": "x"}, {"type": "image_url"}), {}, "messages[0].content[1].image_url: None"),
        (user({"type": "image_url", "image_url": {}}), {}, "messages[0].content[0].image_url.url: None"),
        (user({"type": "input_audio", "input_audio": {}}), {}, "messages[0].content[0].input_audio.data: None"),
        (user({"type": "file", "file": {}}), {}, "messages[0].content[0].file: neither file_id nor file_data"),
        (calls("x"), {}, "messages[0].tool_calls[0]: a value of type str"),
        (calls({"function": {}}), {}, "messages[0].tool_calls[0].id: None"),
        (calls({"id": "c", "function": {"name": "f"}}), {}, "messages[0].tool_calls[0].function.arguments: None"),
        ([{"role": "assistant", "tool_calls": "x"}], {}, "messages[0].tool_calls: a value of type str"),
        ([{"role": "user", "content": SECRET, "x": math.nan}], {}, "messages[0].x: nan"),
        (user({"type": "x", "y": [1, {"z": math.inf}]}), {}, "messages[0].content[0].y[1].z: inf"),
        (SECRET + "\ud800", {}, "the prompt: holds half of a surrogate pair"),
        ([{"role": "user", "content": SECRET + "\ud800"}], {}, "messages[0].content: holds half"),
        (SECRET, {"stop": ["\ud800"]}, "stop[0]: holds half"),
        (SECRET, {"logit_bias": {"\ud800": 1}}, "logit_bias: a key holds half"),
        (SECRET, {"temperature": math.nan}, "temperature: nan is not allowed; JSON has finite numbers only"),
        (SECRET, {"temperature": -math.inf}, "temperature: -inf"),
        (SECRET, {"x": {"a": [None, math.nan]}}, "x.a[1]: nan"),
        (SECRET, {"x": {1: 2}}, "x: a key of type int"),
        (SECRET, {"x": {3, 4}}, "x: a value of type set"),
        (SECRET, {"x": {"y": b""}}, "x.y: a value of type bytes"),
        (SECRET, {"seed": 2**64}, "seed: an integer of more than 64 bits"),
        pytest.param(
            SECRET, {"x": within_itself()}, "x: nested deeper than 200 levels, or within itself", id="within itself"
        ),
        (SECRET, {"tools": {"x": 1}}, "tools: a value of type dict"),
        (SECRET, {"tools": [print]}, "tools[0]: a value of type builtin_function_or_method"),
        (SECRET, {"tools": [{"type": "function"}]}, "tools[0].function: None"),
        (SECRET, {"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name: None"),
        (SECRET, {"max_tokens": 0}, "max_tokens: 0 is not allowed; a whole number of at least 1 is"),
        (SECRET, {"max_completion_tokens": 1.5}, "max_completion_tokens: 1.5"),
        (SECRET, {"n": "2"}, "n: a value of type str"),
        (SECRET, {"max_tokens": 5, "max_completion_tokens": 6}, "max_tokens is 5 and max_completion_tokens is 6"),
        (SECRET, {"timeout": 5}, "timeout is no field of a request: the whole request's time is deadline_s="),
        (SECRET, {"extra_query": {"a": SECRET}}, "extra_query is no field of a request"),
        (SECRET, {"extra_body": {"model": "x"}}, "extra_body.model is not allowed"),
        (SECRET, {"extra_body": 5}, "extra_body: a value of type int"),
        (SECRET, {"response_format": "json"}, "response_format: a value of type str"),
        (SECRET, {"response_format": int}, "response_format: a value of type type"),
    ],
)
def test_what_no_provider_could_make_sense_of_is_refused(prompt: Any, params: dict[str, Any], said: str) -> None:
    """An error says where and what is allowed, and nothing of the prompt's text."""
    with pytest.raises(RequestError) as caught:
        parse_request(prompt, **params)
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)


@given(json_values, st.sampled_from([math.nan, math.inf, -math.inf, {1, 2}, b"", object()]))
def test_no_value_that_is_no_json_gets_through(value: Any, wrong: Any) -> None:
    """Wherever it stands, also beside nulls and in a message."""
    with pytest.raises(RequestError):
        parse_request("hi", x=[value, {"y": wrong}])
    with pytest.raises(RequestError):
        parse_request([{"role": "assistant", "content": None, "x": value, "y": [wrong]}])


def test_a_huge_prompt_is_parsed_at_once() -> None:
    """50 MB is no error here: no window will fit it, and the slate says so."""
    assert len(parse_request("x" * 50_000_000).messages[0]["content"]) == 50_000_000


def test_an_error_names_every_role() -> None:
    """What is allowed is in the message."""
    with pytest.raises(RequestError, match=", ".join(ROLES)):
        parse_request([{"role": "", "content": "x"}])


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ([{"role": "r" * 24, "content": "x"}], f"messages[0].role: '{'r' * 24}' is not allowed; "),
        ([{"role": "r" * 25, "content": "x"}], "messages[0].role: a value of type str is not allowed; "),
        ([{"role": "user", "content": "x", "k" * 60: {1}}], f"messages[0].{'k' * 60}: a value of type set is not"),
        ([{"role": "user", "content": "x", "k" * 61: {1}}], "messages[0].(a long key): a value of type set is not"),
        ([{"role": "tool", "content": "x", "tool_call_id": 5}], "messages[0].tool_call_id: a value of type int is"),
        ([{"role": "tool", "content": "x"}], "messages[0].tool_call_id: None is not allowed; a tool message names"),
        ([{"role": "user", "content": [{"kind": "text", "text": "x"}]}], "messages[0].content[0].type: None is not"),
        ([{"role": "user", "content": [{"TYPE": "text", "text": "x"}]}], "messages[0].content[0].type: None is not"),
        (
            [{"role": "assistant", "tool_calls": [{"id": "c", "function": {"arguments": "{}"}}]}],
            "messages[0].tool_calls[0].function.name: None is not allowed; a string is",
        ),
        (
            [{"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f"}}]}],
            "messages[0].tool_calls[0].function.arguments: None is not allowed; a string is",
        ),
    ],
)
def test_a_message_that_nobody_takes_is_refused_by_its_place(messages: list[dict[str, Any]], says: str) -> None:
    """With what stands there, where that is short and no text of the caller's."""
    with pytest.raises(RequestError) as caught:
        parse_request(messages)
    assert str(caught.value).startswith(says)
