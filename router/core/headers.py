"""The headers that a request has of its own (`extra_headers`, as OpenAI's client calls them).

They go to whichever model answers, over those of the same name that its client makes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from router.errors import RequestError

NO_PART: Final = frozenset(
    {"baggage", "idempotency-key", "traceparent", "tracestate", "user-agent", "x-client-request-id", "x-request-id"}
)
"""Headers that say how a request is followed or sent, and cannot change its answer; in lower case."""

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
"""A header's name, by RFC 9110, section 5.6.2; its length is our limit, so that no error shows a prompt."""
_VALUE: Final = re.compile(r"[\x20-\x7e\x80-\xff]*")
_CREDENTIAL: Final = re.compile(
    r"(authorization|api[-_]?key|(^|[-_])(auth|cookie|credentials?|password|secret|token))$", re.IGNORECASE
)


def is_name(name: object, /) -> bool:
    """Returns whether a header can have this name."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def is_value(text: object, /) -> bool:
    """Returns whether a header can have this value: a string of one line, in Latin-1."""
    return isinstance(text, str) and _VALUE.fullmatch(text) is not None


def is_credential(name: str, /) -> bool:
    """Returns whether a header carries a key, by its name."""
    return _CREDENTIAL.search(name) is not None


def parse_headers(value: Any, /, *, model: str | None) -> dict[str, str]:
    """Returns a request's own headers, names in lower case.

    Args:
        value: what the caller passed as `extra_headers`.
        model: the only model that may answer; None where the policy chooses.

    Raises:
        RequestError: no request could carry them, or they hold a key and any provider could be asked; shows no value.
    """
    if not isinstance(value, Mapping):
        raise RequestError(f"extra_headers: a value of type {type(value).__name__} is not allowed; a dict is")
    headers: dict[str, str] = {}
    for name, text in value.items():
        if not is_name(name):
            raise RequestError("extra_headers: a name is not one that HTTP knows")
        if not is_value(text):
            raise RequestError(f"extra_headers.{name}: the value is not allowed; a string of one line is")
        if model is None and is_credential(name):
            raise RequestError(
                f"extra_headers.{name}: a key would go to every provider that is asked; "
                "name the only one with model=, or keep the key in the environment, as key_env says"
            )
        headers[name.lower()] = text
    return headers


def telling(headers: Mapping[str, str], /) -> dict[str, str]:
    """Returns those headers that can change an answer: all but keys and `NO_PART`."""
    return {name: text for name, text in headers.items() if name not in NO_PART and not is_credential(name)}
