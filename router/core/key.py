"""Request -> content key: equal only for requests that no provider could tell apart.

SHA-256 over the canonical JSON (RFC 8785) of everything that can change an answer: messages, every parameter, unknown
ones included, headers of the request's own (`anthropic-beta`), the model where the caller names one, tenant and policy.
Not in it: whether the answer is streamed, tags, trace ids, bounds, the parameters in `NO_PART`, and headers that carry
a key or only say how a request is followed (`headers.NO_PART`).

One thing goes beyond RFC 8785, which leaves integers beyond 2^53 undefined: they keep all their digits.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from router.core.headers import telling
from router.core.request import Request
from router.errors import RequestError

SCHEME: Final = 1
"""Changes whenever equal requests get another key than before, so that no store mixes old keys with new ones."""

NO_PART: Final = frozenset(
    {
        "metadata",
        "prompt_cache_key",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "stream_options",
    }
)
"""Parameters that say how a request is filed, billed or transported. `user` is not among them: servers that keep a
memory of each user answer by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """What the users of a policy hold to be volatile: it is left out of the key, and sent all the same.

    The rules stand in the key themselves, so that whoever has others shares no answer by accident. False where empty.

    Attributes:
        params: names of parameters.
        text: whatever matches is taken out of the texts of system and developer messages, one pattern after another;
            those that `statics.pattern_fault` refuses can take hours.
    """

    params: frozenset[str] = frozenset()
    text: tuple[re.Pattern[str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.params or self.text)


NO_DROP: Final = Drop()
"""No rules: everything counts."""


def content_key(request: Request, policy: str, *, drop: Drop = NO_DROP) -> str:
    """Returns the request's key: 64 hex digits.

    Raises:
        RequestError: the request holds what is no JSON, as NaN.
    """
    return hashlib.sha256(canonical(request, policy, drop=drop)).hexdigest()


def dropped(request: Request, drop: Drop) -> tuple[str, ...]:
    """Returns which rules take something out of this request's key: "params.user", "text[0]"."""
    if not drop:
        return ()
    found = [f"params.{name}" for name in sorted(drop.params - NO_PART) if name in request.params]
    said = [_without(m, ()) for m in request.messages if drop.text]
    for i, pattern in enumerate(drop.text):
        left = [_without(m, (pattern,)) for m in said]
        if left != said:
            found.append(f"text[{i}]")
        said = left
    return tuple(found)


def canonical(request: Request, policy: str, *, drop: Drop = NO_DROP) -> bytes:
    """Returns the JSON that the key is the digest of; pictures, sound and files stand in it by their own digests.

    Args:
        request: as `parse_request` made it.
        policy: name of the policy that will choose the model.
        drop: what to leave out.

    Raises:
        RequestError: the request holds what is no JSON, as NaN.
    """
    document = _document(request, policy, drop)
    unusual = [message for message in document["messages"] if not _is_plain(message)]
    if (not unusual or _written_alike(unusual)) and _written_alike(document["params"]):
        try:
            return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
        except TypeError:  # what is no JSON, or a name of a class of its own: `_write` knows
            pass
    out: list[str] = []
    _write(document, out)
    return "".join(out).encode()


def _document(request: Request, policy: str, drop: Drop) -> dict[str, Any]:
    unseen = NO_PART | drop.params if drop.params else NO_PART
    said = [_without(m, drop.text) for m in request.messages] if drop.text else request.messages
    document: dict[str, Any] = {
        "messages": [m if type(m.get("content")) is str else _message(m) for m in said],
        "params": {name: _number(value) for name, value in request.params.items() if name not in unseen},
        "policy": policy,
        "scheme": SCHEME,
        "tenant": request.hints.tenant,
    }
    if request.hints.model is not None:
        document["model"] = request.hints.model
    if request.headers and (headers := telling(request.headers)):
        document["headers"] = headers
    if drop:
        texts = [[pattern.pattern, pattern.flags] for pattern in drop.text]
        document["drop"] = {"params": sorted(drop.params), "text": texts}
    return document


def _is_plain(message: Mapping[str, Any]) -> bool:
    """Returns whether a message is a role and a text: most are, and nothing in them needs another spelling."""
    return len(message) == 2 and type(message.get("content")) is str and type(message.get("role")) is str


def _message(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns a message with the long data in its content parts replaced by digests."""
    content = message.get("content")
    if not content or isinstance(content, str):
        return message
    return {**message, "content": [part if part.get("type") == "text" else _by_digest(part) for part in content]}


_DIGEST: Final = "sha256:"
_LONG: Final = 256
"""A string of more characters, in a content part that is no text, is data: names, formats and addresses are shorter."""


def _by_digest(value: Any) -> Any:
    """Returns a value with its long strings replaced by their digests.

    So are those that look like a digest, lest one request is written as another one's data.
    """
    match value:
        case str() if len(value) > _LONG or value.startswith(_DIGEST):
            try:
                return _DIGEST + hashlib.sha256(value.encode()).hexdigest()
            except UnicodeEncodeError:
                raise RequestError("the request holds half of a surrogate pair, which has no UTF-8 form") from None
        case dict():
            return {name: _by_digest(item) for name, item in value.items()}
        case list() | tuple():
            return [_by_digest(item) for item in value]
        case _:
            return value


def _without(message: Mapping[str, Any], patterns: tuple[re.Pattern[str], ...]) -> Mapping[str, Any]:
    """Returns a message without what the patterns match in its texts; one that is not the program's own as it is."""
    if message.get("role") not in _OWN_ROLES:
        return message
    content = message["content"]
    if isinstance(content, str):
        return {**message, "content": _left(content, patterns)}
    parts = [{**p, "text": _left(p["text"], patterns)} if isinstance(p.get("text"), str) else p for p in content]
    return {**message, "content": parts}


_OWN_ROLES: Final = frozenset({"developer", "system"})
"""Roles that the program speaks in. What users, models and tools say is what the request is about, never volatile."""


def _left(text: str, patterns: tuple[re.Pattern[str], ...]) -> str:
    for pattern in patterns:
        text = pattern.sub("", text)
    return text


def _number(value: Any) -> Any:
    """Returns a whole float as an int, as RFC 8785 spells it: most parameters that are floats are 0.0 or 1.0."""
    return int(value) if type(value) is float and value.is_integer() and abs(value) < _SAFE else value


_SAFE: Final = 2**53
_PLAIN_FROM: Final = 1e-4
_PLAIN_BELOW: Final = 1e15
"""Between these, orjson and ECMAScript spell a float that is no whole number alike: digits with a point."""


def _written_alike(value: Any) -> bool:
    """Returns whether orjson writes a value as RFC 8785 asks; True for nearly every request.

    It does not for whole floats, exponents, and keys whose order differs between UTF-8 and UTF-16.
    """
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None:
        return True
    if kind is dict or isinstance(value, dict):
        try:
            ascii_names = "".join(value).isascii()
        except TypeError:  # a name that is no string: `_write` says so
            return False
        return ascii_names and all(map(_written_alike, value.values()))
    if kind is list or kind is tuple:
        return all(map(_written_alike, value))
    return kind is float and _PLAIN_FROM <= abs(value) < _PLAIN_BELOW and not value.is_integer()


def _write(value: Any, out: list[str]) -> None:
    """Appends a value as RFC 8785 writes it; slow and complete."""
    match value:
        case dict():
            out.append("{")
            for i, name in enumerate(sorted(value, key=_utf16)):
                out.append("," if i else "")
                _write(name, out)
                out.append(":")
                _write(value[name], out)
            out.append("}")
        case list() | tuple():
            out.append("[")
            for i, item in enumerate(value):
                out.append("," if i else "")
                _write(item, out)
            out.append("]")
        case float():
            out.append(_ecmascript(value))
        case _:
            try:
                out.append(orjson.dumps(value).decode())
            except TypeError as error:
                raise RequestError(f"the request holds what is no JSON: {error}") from None


def _utf16(name: Any) -> bytes:
    if not isinstance(name, str):
        raise RequestError(f"the request holds a key of type {type(name).__name__}; strings are allowed")
    return name.encode("utf-16-be", "surrogatepass")


def _ecmascript(value: float) -> str:
    """Returns a number as ECMAScript spells it (ECMA-262, Number::toString), from Python's shortest digits."""
    if not math.isfinite(value):
        raise RequestError(f"the request holds {value}, which JSON has no word for")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = float.__repr__(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    if 0 < point <= 21:
        if len(digits) <= point:
            return sign + digits.ljust(point, "0")
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    tail = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{tail}e{point - 1:+d}"
