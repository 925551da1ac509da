"""Reads a provider's error body into its words and codes, whatever its shape.

The shapes met: one object with `error` as an object or a text, with `message`, with `detail` as a text or a list
(FastAPI); an array of such objects (Gemini); server-sent events; lines of JSON; JSON inside a text inside JSON
(OpenRouter's `raw`); JSON cut off half-way; HTML; plain text. Fields that repeat the request or the model's answer
(`input`, `failed_generation`, ...) are never read, so neither a message nor a rule can see them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import unescape
from typing import Any, Final

LONGEST_BODY: Final = 65_536
"""Characters read of a body, half from its start and half from its end, where a stream's error stands."""
_DEEPEST: Final = 12
"""Levels of nesting read: OpenRouter's quoting of a host that quotes its engine makes eight."""

_MESSAGES: Final = frozenset(
    "message msg detail error error_message error_description error_msg errormessage description title raw "
    "blockreasonmessage finishmessage details errors quotaid".split()
)
_CODES: Final = (
    *("reason", "code", "error_code", "errorcode", "blockreason", "finishreason", "finish_reason"),
    *("__type", "status", "error_type", "errortype", "type"),
)
"""Fields that hold codes, the most telling first: `type` is often no more than "invalid_request_error"."""
_ECHOES: Final = frozenset(
    "input failed_generation ctx loc url body request messages prompt output text thinking reasoning arguments tools "
    "instructions schema response_format parameters choices candidates usage headers stack stacktrace".split()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What an error body says."""

    text: str
    """The body as text, to look for waits in."""
    words: str
    """Its messages, joined; not yet masked."""
    codes: frozenset[str]
    """Its codes, types and reasons, in lower case."""
    code: str | None
    """The most telling of them, as written."""
    status: int | None
    """The HTTP status that the body itself names."""


def error_in(payload: object) -> bool:
    """Returns whether a parsed body or event of an HTTP 200 is, or holds, an error instead of an answer."""
    if isinstance(payload, list):
        return any(error_in(item) for item in payload)
    if not isinstance(payload, Mapping):
        return False
    kind = payload.get("type")
    if payload.get("error") or kind in ("error", "response.failed") or payload.get("object") == "error":
        return True
    if "__type" in payload or any(isinstance(k, str) and k.endswith("Exception") for k in payload):
        return True
    choices = payload.get("choices")
    if isinstance(choices, list) and choices:
        return any(isinstance(c, Mapping) and (c.get("error") or c.get("finish_reason") == "error") for c in choices)
    feedback = payload.get("promptFeedback")
    if isinstance(feedback, Mapping) and feedback.get("blockReason"):
        return not payload.get("candidates")
    delta = payload.get("delta")
    if isinstance(delta, Mapping) and delta.get("finish_reason") == "ERROR":
        return True
    return isinstance(payload.get("message"), str) and ("code" in payload or "status" in payload)


def read_body(body: bytes | str) -> Said:
    """Returns what an error body says; of events and lines, only those that hold an error."""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    text = (
        text if len(text) <= LONGEST_BODY else text[: LONGEST_BODY // 2] + "\n" + text[-LONGEST_BODY // 2 :]
    ).strip()
    found = _values(text)
    messages: list[str] = []
    codes: list[tuple[str, str]] = []
    for value in found:
        _walk(value, messages, codes, _DEEPEST)
    if not found:
        messages, codes = _scraped(text)
    values = [value for _, value in codes]
    named = [
        (_CODES.index(name), value) for name, value in codes if value.lower() not in _VAGUE and not value.isdigit()
    ]
    return Said(
        text=text,
        words=" | ".join(dict.fromkeys(m for m in messages if m)),
        codes=frozenset(v.lower() for v in values),
        code=min(named, key=lambda n: n[0])[1] if named else next(iter(values), None),
        status=next((int(v) for v in values if re.fullmatch(r"[45]\d\d", v)), None),
    )


_VAGUE: Final = frozenset({"", "error", "json", "object", "bad request", "none", "null"})


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _values(text: str) -> list[Any]:
    whole = _parsed(text) if text[:1] in ("{", "[", '"') else None
    if whole is not None:
        return [whole]
    if text[:1] == "<":
        return []
    lines = (line.removeprefix("data:").strip() for line in text.splitlines())
    values = [v for v in (_parsed(line) for line in lines if line[:1] in ("{", "[")) if v is not None]
    return [v for v in values if error_in(v)] or (values if len(values) == 1 else [])


def _walk(value: object, messages: list[str], codes: list[tuple[str, str]], depth: int) -> None:
    if depth == 0:
        return
    if isinstance(value, list):
        for item in value:
            _walk(item, messages, codes, depth - 1)
    elif isinstance(value, str):
        _text(value, messages, codes, depth - 1)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            _field(key.lower(), item, messages, codes, depth - 1)


def _field(name: str, item: object, messages: list[str], codes: list[tuple[str, str]], depth: int) -> None:
    if name == "choices" and isinstance(item, list):
        _walk([c.get("error") for c in item if isinstance(c, Mapping)], messages, codes, depth)
    elif name in _ECHOES:
        return
    elif name in _CODES and isinstance(item, str | int) and not isinstance(item, bool):
        codes.append((name, str(item)))
    elif name in _MESSAGES:
        _walk(item, messages, codes, depth)
    elif name == "param" and isinstance(item, str) and " " in item:
        # Xiaomi says what is wrong in `param`; elsewhere it is the name of a parameter, and has no spaces.
        messages.append(item)
    elif isinstance(item, Mapping):
        _walk(item, messages, codes, depth)
    elif isinstance(item, list):
        _walk([i for i in item if isinstance(i, Mapping | list)], messages, codes, depth)


def _text(text: str, messages: list[str], codes: list[tuple[str, str]], depth: int) -> None:
    """Takes a message apart where it quotes another error as JSON ("Invalid request: {...}")."""
    start = text.find("{")
    inner = _parsed(text[start:].rstrip()) if start >= 0 else None
    if not isinstance(inner, Mapping):
        messages.append(text)
        return
    messages.append(text[:start].strip())
    _walk(inner, messages, codes, depth)


def _scraped(text: str) -> tuple[list[str], list[tuple[str, str]]]:
    """Messages and codes of a body that no parser reads: JSON cut off half-way, HTML, plain text."""
    if text[:1] == "<":
        title = re.search(r"<(title|h1)[^>]*>(.{1,200}?)</\1>", text, re.DOTALL | re.IGNORECASE)
        return [unescape(title[2]).strip() if title else "HTML page"], []
    if text[:1] in ("{", "["):
        found = re.findall(r'"(message|msg|detail|error|code|type|status|reason)"\s*:\s*"((?:[^"\\]|\\.)*)', text)
        keyed = [
            (key, json.loads(f'"{words}"') if _parsed(f'"{words}"') is not None else words) for key, words in found
        ]
        return [w for k, w in keyed if k in _MESSAGES], [(k, w) for k, w in keyed if k in _CODES]
    # A stream in which no event is an error holds pieces of the answer: nothing of it may be shown.
    return ([] if re.search(r"(?m)^(?:data|event|id):", text) else [text]), []
