"""litellm's `StandardLoggingPayload`, one JSON object per line, as its callbacks get it and its loggers write it.

The fields are those of litellm 1.106.2, `litellm/types/utils.py`. One payload is one call; its cost is litellm's, taken
as it stands unless it is 0, which litellm also writes where it knows no price.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from router.analytics.import_lines import finish_reason, json_lines, table, word
from router.analytics.import_values import Wrong, count, moment, money
from router.analytics.imported import Facts, Imported, counted, facts_of, texts_of
from router.analytics.importing import Read
from router.clients.litellm import usage_from
from router.core.answer import Usage
from router.core.classify import classify
from router.core.failure import Failure, FailureClass

REDACTED: Final = "redacted-by-litellm"
"""What litellm writes in place of each message where it is told to log none."""
_CLASSES: Final[Mapping[str, FailureClass]] = {
    "Timeout": "timed_out",
    "APIConnectionError": "not_sent",
    "RateLimitError": "refused",
    "ContextWindowExceededError": "too_long",
    "ContentPolicyViolationError": "filtered",
    "AuthenticationError": "denied",
    "PermissionDeniedError": "denied",
    "NotFoundError": "no_such_model",
    "BadRequestError": "invalid",
    "UnsupportedParamsError": "unsupported",
    "ServiceUnavailableError": "refused",
    "InternalServerError": "server_error",
    "APIError": "server_error",
}
"""What litellm's exceptions mean where the provider's own words and status say no more than that."""
_CERTAIN: Final = frozenset(
    {"Timeout", "ContextWindowExceededError", "ContentPolicyViolationError", "APIConnectionError"}
)
"""Exceptions that litellm raises only after it has read the provider's words itself, or got none."""


def read_litellm(path: Path, /) -> Iterator[Read]:
    """Yields the calls of a file."""
    return json_lines(path, _call)


def _call(payload: Mapping[str, Any]) -> Imported:
    if "startTime" not in payload or not ("model" in payload or "model_group" in payload):
        raise Wrong("is no StandardLoggingPayload: it has no startTime, or no model")
    metadata, response = table(payload.get("metadata")), table(payload.get("response"))
    usage = _usage(payload, metadata)
    failure = _failure(payload) if payload.get("status") == "failure" else None
    hit = payload.get("cache_hit") is True and failure is None
    start, first = payload.get("startTime"), payload.get("completionStartTime")
    return Imported(
        request_id=word(payload.get("litellm_call_id")) or word(payload.get("id")),
        time=moment("startTime", start, None),
        model=word(payload.get("model_group")) or word(payload.get("model")),
        model_id=_model_id(payload),
        provider=word(payload.get("custom_llm_provider")),
        window_tokens=_window(payload),
        served=word(response.get("model")),
        response_id=word(response.get("id")),
        tenant=word(metadata.get("user_api_key_team_alias")) or word(metadata.get("user_api_key_team_id")),
        client=word(payload.get("end_user")) or word(metadata.get("user_api_key_alias")),
        session=word(payload.get("session_id")),
        tags=_tags(payload.get("request_tags")),
        facts=_facts(payload, usage),
        usage=usage,
        cost_usd=None if hit else _cost(payload, usage),
        saved_usd=money("saved_cache_cost", payload.get("saved_cache_cost")) if hit else None,
        hit=hit,
        outcome="answer" if failure is None else failure.kind,
        status=None if failure is None else failure.status,
        code=None if failure is None else failure.code,
        error=None if failure is None else failure.message,
        finish_reason=finish_reason(response),
        latency_s=_between(start, payload.get("endTime")),  # a stream's `response_time` ends with its first piece
        first_token_s=_between(start, first) if payload.get("stream") else None,
    )


def _model_id(payload: Mapping[str, Any]) -> str | None:
    model, provider = word(payload.get("model")), word(payload.get("custom_llm_provider"))
    if model is None or provider is None or model.startswith(f"{provider}/"):
        return model
    return f"{provider}/{model}"


def _window(payload: Mapping[str, Any]) -> int | None:
    known = table(table(payload.get("model_map_information")).get("model_map_value"))
    return count("max_input_tokens", known.get("max_input_tokens"))


def _usage(payload: Mapping[str, Any], metadata: Mapping[str, Any]) -> Usage | None:
    """Returns the tokens, with their classes where the payload has the whole usage."""
    whole = usage_from({"usage": metadata.get("usage_object")})
    if whole is not None:
        return whole
    tokens = [count(name, payload.get(name)) for name in ("prompt_tokens", "completion_tokens")]
    return Usage(input_tokens=tokens[0] or 0, output_tokens=tokens[1] or 0) if any(tokens) else None


def _cost(payload: Mapping[str, Any], usage: Usage | None) -> Decimal | None:
    """Returns what the call cost; None where that is not known, for which litellm writes 0 as well.

    So a 0 counts only where nothing was counted: the price map says of the other calls whether their model is free.
    """
    cost = money("response_cost", payload.get("response_cost"))
    counted_any = usage is not None and usage.input_tokens + usage.output_tokens > 0
    unknown = counted_any or payload.get("response_cost_failure_debug_info") is not None
    return None if unknown and not cost else cost


def _facts(payload: Mapping[str, Any], usage: Usage | None) -> Facts:
    messages, params = payload.get("messages"), table(payload.get("model_parameters"))
    stream = payload.get("stream") is True
    if isinstance(messages, dict):
        messages = messages.get("messages")
    if not messages or REDACTED in str(messages)[:200]:
        most = params.get("max_completion_tokens", params.get("max_tokens"))
        known = counted(
            None if usage is None else usage.input_tokens,
            output_tokens_most=most if isinstance(most, int) else None,
            stream=stream,
        )
        return Facts(features=known)
    return facts_of(messages, params, usage, stream=stream)


def _failure(payload: Mapping[str, Any]) -> Failure:
    """Returns what the call's error means: what litellm made of it where it must know, else what its words say."""
    told = table(payload.get("error_information"))
    name, code = word(told.get("error_class")) or "", str(told.get("error_code") or "")
    status = int(code) if code.isdecimal() and len(code) == 3 else None
    message = word(told.get("error_message")) or word(payload.get("error_str")) or ""
    found = classify(
        provider=word(told.get("llm_provider")) or word(payload.get("custom_llm_provider")) or "",
        status=status,
        headers={},
        body=message,
        asked=texts_of(payload.get("messages")),
    )
    certain = name in _CERTAIN or status is None
    kind = (_CLASSES.get(name) if certain else None) or found.kind
    return Failure(kind=kind, message=found.message, status=status, code=name or found.code)


def _between(start: Any, end: Any) -> float | None:
    """Returns the seconds between two times of a payload; None where one is missing, or they are in no order."""
    one, other = moment("startTime", start, None), moment("endTime", end, None)
    if one is None or other is None or other < one:
        return None
    return (other - one).total_seconds()


def _tags(tags: Any) -> dict[str, str]:
    """Returns tags by name: "team:search" has a value, a bare word is its own."""
    found: dict[str, str] = {}
    for tag in tags if isinstance(tags, list) else ():
        if isinstance(tag, str):
            name, colon, value = tag.partition(":")
            found[name] = value if colon else name
    return found
