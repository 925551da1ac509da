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
    """What the caller of `content_key` holds to be volatile: it is left out of the key.

    Attributes:
        params: names of parameters.
        text: whatever matches is taken out of the texts of system and developer messages.
    """

    params: frozenset[str] = frozenset()
    text: tuple[re.Pattern[str], ...] = ()


_NO_DROP: Final = Drop()


def content_key(request: Request, policy: str, *, drop: Drop = _NO_DROP) -> str:
    """Returns the request's key: 64 hex digits.

    Raises:
        RequestError: the request holds what is no JSON, as NaN.
    """
    return hashlib.sha256(canonical(request, policy, drop=drop)).hexdigest()


def canonical(request: Request, policy: str, *, drop: Drop = _NO_DROP) -> bytes:
    """Returns the JSON that the key is the digest of; files inside messages stand in it by their own digest.

    Args:
        request: as `parse_request` made it.
        policy: name of the policy that will choose the model.
        drop: what to leave out.

    Raises:
        RequestError: the request holds what is no JSON, as NaN.
    """
    unseen = NO_PART | drop.params
    document: dict[str, Any] = {
        "messages": [_message(message, drop) for message in request.messages],
        "params": {name: _number(value) for name, value in request.params.items() if name not in unseen},
        "policy": policy,
        "scheme": SCHEME,
        "tenant": request.hints.tenant,
    }
    if request.hints.model is not None:
        document["model"] = request.hints.model
    if request.headers and (headers := telling(request.headers)):
        document["headers"] = headers
    if _written_alike(document):
        return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    out: list[str] = []
    _write(document, out)
    return "".join(out).encode()


def _message(message: Mapping[str, Any], drop: Drop) -> Mapping[str, Any]:
    content = message.get("content")
    if type(content) is str:
        if drop.text and message.get("role") in ("system", "developer"):
            return {**message, "content": _without(content, drop)}
        return message
    if not content:
        return message
    parts = [_by_digest(part) for part in content]
    if drop.text and message.get("role") in ("system", "developer"):
        parts = [{**part, "text": _without(part["text"], drop)} if "text" in part else part for part in parts]
    return {**message, "content": parts}


def _without(text: str, drop: Drop) -> str:
    for pattern in drop.text:
        text = pattern.sub("", text)
    return text


def _by_digest(part: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns a content part with its data replaced by an object that holds the digest.

    Where a provider takes data it takes no object, so that no other part is written like that.
    """
    match part:
        case {"type": "image_url", "image_url": {"url": str(url)} as image} if url.startswith("data:"):
            return {**part, "image_url": {**image, "url": _digest(url)}}
        case {"type": "image_url", "image_url": str(url)} if url.startswith("data:"):
            return {**part, "image_url": _digest(url)}
        case {"type": "input_audio", "input_audio": {"data": str(data)} as audio}:
            return {**part, "input_audio": {**audio, "data": _digest(data)}}
        case {"type": "input_audio", "input_audio": str(data)}:
            return {**part, "input_audio": _digest(data)}
        case {"type": "file", "file": {"file_data": str(data)} as file}:
            return {**part, "file": {**file, "file_data": _digest(data)}}
        case _:
            return part


def _digest(data: str) -> dict[str, str]:
    return {"sha256": hashlib.sha256(data.encode()).hexdigest()}


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
    if kind is dict:
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
    mantissa, _, exponent = f"{abs(value)!r}".partition("e")
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
