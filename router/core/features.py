"""Request -> `Features`: one walk over the messages, and what the parameters say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from router.core.media import part_media
from router.core.prefix import prefix_of
from router.core.request import Features, Request, TokenCount
from router.core.tokens import NO_TOKENS, Content, Count, measure

_MATCHED_MOST: Final = 10_000
"""Characters of the last user message that patterns are matched against: `re` knows no time limit, and a pattern
with two unbounded repeats takes the square of the length."""
_OUTPUT_ASSUMED: Final = 4096
"""Tokens of output to leave room for when deciding whether to count, where the request says nothing."""
_CACHE_TIMES: Final = ("5m", "1h")
_STANDARD_TIERS: Final = frozenset({"default", "standard", "standard_only"})
_NO_REASONING: Final = frozenset({"none", "disabled", "off"})


@dataclass(slots=True)
class _Found:
    """What the walk over the messages gathers."""

    texts: list[str] = field(default_factory=list)
    needs: set[str] = field(default_factory=set)
    media: TokenCount = NO_TOKENS
    images: int = 0
    tool_calls: int = 0
    cache_times: set[str] = field(default_factory=set)


def features_of(
    request: Request,
    *,
    limits: Iterable[int] = (),
    total_limits: Iterable[int] = (),
    patterns: Iterable[re.Pattern[str]] = (),
    expected_output_tokens: int = 0,
    count: Count | None = None,
) -> Features:
    """Returns the facts about a request.

    Args:
        request: as `parse_request` made it.
        limits: input-token counts at which something changes: edges of tiers, and the models' context windows. The
            input is counted exactly only where its bounds leave open on which side of one it is.
        total_limits: the same, of the input and the largest output of all choices together.
        expected_output_tokens: the output of a choice where the request does not limit it, for `total_limits`.
        patterns: are searched in the first 10,000 characters of the last user message.
        count: exact count of a text in o200k_base tokens; may say None.
    """
    params = request.params
    found = _walk(request.messages)
    tools = params.get("tools") or params.get("functions") or ()
    most = params.get("max_completion_tokens", params.get("max_tokens"))
    if params:
        _read_params(params, tools, found)
    choices = params.get("n", 1)
    output_tokens = choices * (expected_output_tokens if most is None else most)
    definitions = _definitions(params, tools) if params else ""
    measured = measure(
        Content(
            texts=tuple(found.texts),
            definitions=definitions,
            media=found.media,
            messages=len(request.messages),
            tool_calls=found.tool_calls,
        ),
        limits=[*limits, *(limit - output_tokens for limit in total_limits)],
        output_tokens=_OUTPUT_ASSUMED if most is None else most,
        count=count,
    )
    service_tier = params.get("service_tier")
    return Features(
        input_tokens=measured.bounds,
        exact_tokens=measured.exact,
        output_tokens_most=most,
        choices=choices,
        needs=frozenset(found.needs),
        cache_write=max(found.cache_times, key=_CACHE_TIMES.index, default=None),
        service_tier=service_tier if isinstance(service_tier, str) and service_tier not in _STANDARD_TIERS else None,
        messages=len(request.messages),
        images=found.images,
        tools=len(tools),
        stream=request.stream,
        matches=_matches(request.messages, patterns),
        prefix=prefix_of(definitions, request.messages),
    )


def _walk(messages: Iterable[Mapping[str, Any]]) -> _Found:
    found = _Found()
    for message in messages:
        content = message.get("content")
        if isinstance(content, str):
            found.texts.append(content)
        elif content:
            for part in content:
                _read_part(part, found)
        if len(message) > 2:
            _read_rest(message, found)
    return found


def _read_part(part: Mapping[str, Any], found: _Found) -> None:
    if "cache_control" in part:
        _read_cache_control(part["cache_control"], found)
    kind = part.get("type")
    text = part.get(kind) if kind in ("text", "refusal") else None
    if isinstance(text, str):
        found.texts.append(text)
        return
    media = part_media(part)
    if media is None:
        found.texts.append(_json(part))
        return
    found.needs.add(media.need)
    found.images += media.need == "vision"
    found.media = TokenCount(
        low=found.media.low + media.tokens.low,
        likely=found.media.likely + media.tokens.likely,
        high=found.media.high + media.tokens.high,
    )


def _read_rest(message: Mapping[str, Any], found: _Found) -> None:
    """Reads what a message holds besides its role and content."""
    for name, value in message.items():
        match name, value:
            case ("role" | "content" | "tool_call_id", _) | (_, None):
                pass
            case "cache_control", _:
                _read_cache_control(value, found)
            case _, str():
                found.texts.append(value)
            case "tool_calls", _:
                found.tool_calls += len(value)
                found.texts.append(_json(value))
            case _:
                found.texts.append(_json(value))
    if message.get("tool_calls") or message["role"] == "tool":
        found.needs.add("tools")


def _read_params(params: Mapping[str, Any], tools: Iterable[Any], found: _Found) -> None:
    for tool in tools:
        found.needs.add("web_search" if _is_search(tool) else "tools")
        if "cache_control" in tool:
            _read_cache_control(tool["cache_control"], found)
    if "cache_control" in params:
        _read_cache_control(params["cache_control"], found)
    if params.get("web_search_options") is not None:
        found.needs.add("web_search")
    response_format = params.get("response_format")
    if isinstance(response_format, dict) and response_format.get("type") in ("json_schema", "json_object"):
        found.needs.add(response_format["type"])
    if "audio" in (params.get("modalities") or ()) or "audio" in params:
        found.needs.add("audio_output")
    if _asks_reasoning(params):
        found.needs.add("reasoning")


def _is_search(tool: Mapping[str, Any]) -> bool:
    """Returns whether a tool is a provider's own web search: OpenAI, xAI, Anthropic by type, Gemini by its key."""
    kind = tool.get("type")
    if isinstance(kind, str):
        return kind.startswith(("web_search", "x_search")) or kind in ("browser_search", "openrouter:web_search")
    return not {"google_search", "googleSearch"}.isdisjoint(tool)


def _asks_reasoning(params: Mapping[str, Any]) -> bool:
    """Returns whether thinking is asked for, in the words of any provider."""
    effort = params.get("reasoning_effort")
    if effort is not None and effort not in _NO_REASONING:
        return True
    if params.get("enable_thinking") is True or params.get("think") not in (None, False):
        return True
    match params.get("thinking"):  # Anthropic, DeepSeek, Z.ai
        case {"type": str(kind)}:
            return kind not in _NO_REASONING
    match params.get("reasoning"):  # OpenRouter
        case {"enabled": False} | {"effort": "none"} | None:
            return False
        case dict(reasoning):
            return bool(reasoning)
    return False


def _read_cache_control(value: Any, found: _Found) -> None:
    if isinstance(value, dict):
        ttl = value.get("ttl")
        found.cache_times.add(ttl if ttl in _CACHE_TIMES else _CACHE_TIMES[0])


def _definitions(params: Mapping[str, Any], tools: Any) -> str:
    """Returns the tools and the response schema as JSON text."""
    response_format = params.get("response_format")
    schema = response_format.get("json_schema") if isinstance(response_format, dict) else None
    return (_json(tools) if tools else "") + (_json(schema) if schema else "")


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _matches(messages: Iterable[Mapping[str, Any]], patterns: Iterable[re.Pattern[str]]) -> frozenset[str]:
    text: str | None = None
    found: list[str] = []
    for pattern in patterns:
        if text is None:
            text = _last_user_text(messages)
        if pattern.search(text) is not None:
            found.append(pattern.pattern)
    return frozenset(found)


def _last_user_text(messages: Iterable[Mapping[str, Any]]) -> str:
    """Returns the start of the last user message's text; empty where there is none."""
    message = next((m for m in reversed(tuple(messages)) if m["role"] == "user"), None)
    content = None if message is None else message["content"]
    if isinstance(content, str):
        return content[:_MATCHED_MOST]
    texts = [part["text"] for part in content or () if part.get("type") == "text"]
    return "\n".join(texts)[:_MATCHED_MOST]
