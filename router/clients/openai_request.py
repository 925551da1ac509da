"""Requests in OpenAI's form -> the body that one host accepts. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

from router.clients.client import Call
from router.clients.quirks import FOREIGN_FIELDS, Quirks

_LIMITS: Final = ("max_tokens", "max_completion_tokens")
_FOREIGN_IN_CALLS: Final = ("extra_content", "provider_specific_fields")
_SHORT_ID: Final = re.compile(r"[a-zA-Z0-9]{9}")


def body_of(call: Call, quirks: Quirks, *, stream: bool) -> dict[str, Any]:
    """Returns the request body: model, messages and parameters as the caller gave them, but for the host's quirks.

    What the caller passed is never changed in place; messages and parameters that need no change are shared.
    """
    request = call.request
    body: dict[str, Any] = {
        "model": call.model.provider_model,
        "messages": [message_for(message, quirks) for message in request.messages],
        **request.params,
    }
    limit = quirks.output_limit
    if limit is not None:
        for name in _LIMITS:
            if name != limit and name in body:
                value = body.pop(name)
                body.setdefault(limit, value)
    for name, theirs in quirks.renames.items():
        if name in body:
            value = body.pop(name)
            body.setdefault(theirs, value)
    choice = body.get("tool_choice")
    if isinstance(choice, str) and choice in quirks.tool_choices:
        body["tool_choice"] = quirks.tool_choices[choice]
    for name, value in quirks.adds.items():
        body.setdefault(name, value)
    if stream:
        body["stream"] = True
        if quirks.asks_usage and call.model.options.get("include_usage", True):
            options = body.get("stream_options")
            body["stream_options"] = {**(options if isinstance(options, Mapping) else {}), "include_usage": True}
        else:
            body.pop("stream_options", None)
    return body


def message_for(message: Mapping[str, Any], quirks: Quirks) -> Mapping[str, Any]:
    """Returns a message as a host takes it: the same object where nothing has to change."""
    match message.get("role"):
        case "developer" if not quirks.developer:
            return {**message, "role": "system"}
        case "assistant":
            return _assistant(message, quirks)
        case "tool" if quirks.short_call_ids:
            return {**message, "tool_call_id": short_id(str(message.get("tool_call_id")))}
        case _:
            return message


def _assistant(message: Mapping[str, Any], quirks: Quirks) -> Mapping[str, Any]:
    foreign = FOREIGN_FIELDS & message.keys()
    if foreign:
        message = _known(message, foreign, quirks)
    calls = message.get("tool_calls")
    if quirks.echoes is not None and isinstance(calls, (list, tuple)):
        known = [_call(call, quirks) if isinstance(call, Mapping) else call for call in calls]
        if any(theirs is not ours for theirs, ours in zip(calls, known, strict=True)):
            message = {**message, "tool_calls": known}
    return message


def _call(call: Mapping[str, Any], quirks: Quirks) -> Mapping[str, Any]:
    """Returns a tool call without the fields of other hosts, with an id that this one takes."""
    foreign = [name for name in _FOREIGN_IN_CALLS if name in call and name not in (quirks.echoes or ())]
    if foreign:
        call = {name: value for name, value in call.items() if name not in foreign}
    call_id = str(call.get("id"))
    if quirks.short_call_ids and not _SHORT_ID.fullmatch(call_id):
        call = {**call, "id": short_id(call_id)}
    return call


def _known(message: Mapping[str, Any], foreign: frozenset[str], quirks: Quirks) -> Mapping[str, Any]:
    """Returns an assistant message without the fields of other hosts, and its reasoning under this host's name."""
    out = dict(message)
    reasoning = out.pop("reasoning_content", None) if quirks.reasoning != "reasoning_content" else None
    if reasoning is not None:
        out.setdefault(quirks.reasoning, reasoning)
    if quirks.echoes is not None:
        for name in foreign | {quirks.reasoning}:
            if name not in quirks.echoes:
                out.pop(name, None)
    return out


def short_id(call_id: str) -> str:
    """Returns a tool call id of nine letters and digits, the same for the same id.

    >>> short_id("D681PevKs"), len(short_id("call_8j2hBbVFn0aQ"))
    ('D681PevKs', 9)
    """
    return call_id if _SHORT_ID.fullmatch(call_id) else hashlib.sha256(call_id.encode()).hexdigest()[:9]
