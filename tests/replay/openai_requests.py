"""Requests in OpenAI's form: written by hand, drawn from a seed, and as recorded at OpenAI-compatible hosts."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

from router.clients import media
from tests.replay.server import cassettes

PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["C", "F"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
CLOCK = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}
SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "person",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
            "required": ["name", "age"],
            "additionalProperties": False,
        },
    },
}
USER = {"role": "user", "content": "What is the weather in Zürich?"}
SYSTEM = {"role": "system", "content": "Be brief."}
TURN: list[dict[str, Any]] = [
    USER,
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Zürich"}'}},
            {"id": "call_2", "type": "function", "function": {"name": "clock", "arguments": "{}"}},
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "12 °C"},
    {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "noon"}]},
]
CONVERSATIONS: tuple[list[dict[str, Any]], ...] = (
    [USER],
    [SYSTEM, USER],
    [{"role": "developer", "content": "Be brief."}, USER],
    [USER, {"role": "assistant", "content": "Cold."}, {"role": "user", "content": "And tomorrow?"}],
    [{"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]}],
    [{"role": "user", "content": [{"type": "text", "text": "?"}, {"type": "image_url", "image_url": {"url": PIXEL}}]}],
    [SYSTEM, {**SYSTEM, "content": "Be kind."}, USER, {"role": "user", "content": "Well?"}],
    [{"role": "system", "content": [{"type": "text", "text": "long", "cache_control": {"type": "ephemeral"}}]}, USER],
    TURN,
    [*TURN, {"role": "assistant", "content": "12 °C at noon."}, {"role": "user", "content": "Thanks."}],
    [
        USER,
        {
            "role": "assistant",
            "content": "Cold.",
            "reasoning_content": "It is winter.",
            "thinking_blocks": [{"type": "thinking", "thinking": "It is winter.", "signature": "c2lnbmVk"}],
        },
        {"role": "user", "content": "Why?"},
    ],
)
CHOICES: dict[str, tuple[Any, ...]] = {
    "temperature": (0, 0.7, 1),
    "top_p": (0.9,),
    "max_tokens": (16, 4000),
    "max_completion_tokens": (64,),
    "stop": ("END", ["END", "\n\n"]),
    "tools": ([WEATHER, CLOCK], [CLOCK]),
    "tool_choice": ("auto", "none", "required", {"type": "function", "function": {"name": "clock"}}),
    "parallel_tool_calls": (True, False),
    "response_format": (SCHEMA, {"type": "json_object"}, {"type": "text"}),
    "reasoning_effort": ("low", "high", "none"),
    "thinking": ({"type": "enabled", "budget_tokens": 2048},),
    "seed": (7,),
    "n": (1, 2),
    "user": ("u-1",),
    "presence_penalty": (0, 0.5),
    "frequency_penalty": (0.5,),
    "logprobs": (False, True),
    "top_k": (5,),
    "min_p": (0.1,),
    "logit_bias": ({}, {"50256": -100}),
    "service_tier": ("auto", "flex"),
    "web_search_options": ({},),
    "metadata": ({"user_id": "u-1"},),
    "safety_settings": ([{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],),
    "store": (False,),
}


def generated(count: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Yields requests: each parameter alone, each conversation alone, then draws of several parameters together."""
    for conversation in CONVERSATIONS:
        yield {"messages": conversation, "max_tokens": 100}
    for name, values in CHOICES.items():
        for value in values:
            yield {"messages": [USER], name: value}
    draw = random.Random(seed)
    for _ in range(count):
        names = draw.sample(sorted(CHOICES), k=draw.randint(1, 4))
        params = {name: draw.choice(CHOICES[name]) for name in names}
        if "tool_choice" in params:
            params.setdefault("tools", [WEATHER, CLOCK])
        yield {"messages": draw.choice(CONVERSATIONS), **params, "stream": draw.random() < 0.3}


def recorded() -> list[dict[str, Any]]:
    """Returns chat requests recorded at OpenAI-compatible hosts, without their models: one of each shape.

    Left out are those with URLs to fetch, and those whose long base64 the collection replaced.
    """
    found: dict[frozenset[str], dict[str, Any]] = {}
    for row in cassettes("cassettes_ok"):
        request = row["request"]
        if row["api"] != "openai.chat" or not isinstance(request, dict) or not request.get("messages"):
            continue
        if "<b64:" in json.dumps(request) or media.urls(request["messages"], lambda _: True):
            continue
        kept = {k: v for k, v in request.items() if k not in ("model", "stream_options", "extra_body")}
        found.setdefault(frozenset(shape(kept)), kept)
    return list(found.values())


def shape(value: Any, at: str = "") -> Iterator[str]:
    """Yields the pointers of a request's fields, with the values of those that choose a form (`role`, `type`)."""
    match value:
        case dict():
            for name, inner in value.items():
                schema = "parameters" in at or "schema" in at
                yield f"{at}/{name}={inner}" if name in ("role", "type") and not schema else f"{at}/{name}"
                yield from () if schema else shape(inner, f"{at}/{name}")
        case list():
            for number, inner in enumerate(value):
                yield from shape(inner, f"{at}/{number}")
        case _:
            yield at
