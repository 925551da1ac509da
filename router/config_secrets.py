"""What must never stand in a configuration, since it is checked in, logged and shown: keys."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from router.core.headers import is_name, is_value

ADVICE = "keep the key in an environment variable, and name that variable in key_env"
HEADERS_ADVICE = "keep it in an environment variable, as the header NAME=VALUE, and name that variable in headers_env"

SECRET_NAME = re.compile(
    r"(^|[_\-])(api[_\-]?key|key|secret|token|password|passwd|authorization|credentials?|bearer)$", re.IGNORECASE
)
"""Names whose values are secrets: `api_key`, `x-api-key`, `aws_secret`; not `key_env`, not `max_output_tokens`."""

SECRET_VALUE = re.compile(
    r"""
    \b(?:sk|pk|rk|gsk|xai|csk|pplx|fw|hf|tgp|nvapi|whsec|ghp|glpat)[-_][A-Za-z0-9_\-]{12,}      # prefixed keys
    | \bwhsec_[A-Za-z0-9+/=]{12,}                                                               # of webhooks
    | \bAIza[A-Za-z0-9_\-]{20,}                                                                # Google
    | \b(?:AKIA|ASIA)[A-Z0-9]{12,}                                                             # AWS
    | \beyJ[A-Za-z0-9_\-]{10,}\.                                                               # JSON web tokens
    | \b(?:Bearer|Basic)\s+\S{8,}
    | \b(?=[A-Za-z]*[0-9])(?=[A-Z0-9]*[a-z])[A-Za-z0-9+=]{32,}                                # long and random
    """,
    re.VERBOSE,
)
"""How the keys of providers look; the last line takes whatever has 32 characters in a row, digits among them."""

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def is_secret(name: object, value: object) -> bool:
    """Returns whether a value must not be shown, by its name or its looks."""
    if isinstance(name, str) and SECRET_NAME.search(name):
        return True
    return isinstance(value, str) and SECRET_VALUE.search(value) is not None


def masked(text: str) -> str:
    """Returns a text without whatever in it looks like a key."""
    return SECRET_VALUE.sub("(not shown, as it may be secret)", text)


def checked_key_env(value: str | None) -> str | None:
    """Returns the name of an environment variable; refuses what looks like the key itself."""
    return _checked_variable(value, f'{ADVICE}: key_env = "OPENAI_API_KEY"')


def checked_headers_env(value: str | None) -> str | None:
    """Returns the name of the variable that holds a collector's headers; refuses what looks like them."""
    return _checked_variable(value, f'{HEADERS_ADVICE}: headers_env = "COLLECTOR_HEADERS"')


def _checked_variable(value: str | None, advice: str) -> str | None:
    if value is not None and SECRET_VALUE.search(value):
        raise ValueError(f"found what looks like the key itself (not shown); {advice}")
    if value is not None and not IDENTIFIER.fullmatch(value):
        raise ValueError(f"found no name of a variable (not shown, as it may be a key); {advice}")
    return value


def checked_headers(value: Mapping[str, str] | None) -> Mapping[str, str] | None:
    """Returns headers; refuses those that carry a key, and what no request could carry."""
    for name, text in (value or {}).items():
        if is_secret(name, text):
            raise ValueError(f"the header {name!r} looks like it carries a key (not shown); {ADVICE}")
        if not is_name(name):
            raise ValueError(f"found the header {name!r:.80}; allowed: a name of letters, digits and hyphens")
        if not is_value(text):
            raise ValueError(f"the header {name!r} has a value that is not allowed; a string of one line is")
    return value


def checked_seed(value: str) -> str:
    """Returns a seed; refuses a key, which some take a seed for."""
    if SECRET_VALUE.search(value):
        raise ValueError(f"found what looks like a key (not shown), and a seed needs none; {ADVICE}")
    return value


def checked_options(value: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Returns a client's options; refuses those that hold a key, at any depth."""
    found = next(_secrets(value or {}, ""), None)
    if found is not None:
        raise ValueError(f"the option '{found}' looks like a key (not shown); {ADVICE}")
    return value


def _secrets(value: Any, path: str) -> Iterator[str]:
    """Yields where in a value, which stands at `path`, something is a secret by its name or its looks."""
    match value:
        case Mapping():
            for name, inner in value.items():
                here = f"{path}.{masked(str(name))}".lstrip(".")
                if is_secret(name, inner) or is_secret(None, name):
                    yield here
                yield from _secrets(inner, here)
        case list() | tuple():
            for i, inner in enumerate(value):
                yield from _secrets(inner, f"{path}[{i}]")
        case _ if is_secret(None, value):
            yield path
        case _:
            pass


def checked_base_url(value: str | None) -> str | None:
    """Returns an http or https address without a key in it."""
    if value is None:
        return None
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.username is not None or parts.password is not None or SECRET_VALUE.search(parts.query):
        raise ValueError(f"the address holds a password or a key (not shown); {ADVICE}")
    if parts.query or parts.fragment or value.endswith(("?", "#")):
        raise ValueError(
            "found an address with ? or # (not shown, as there may be a key behind it); "
            "allowed: one without ? and #, as a path is put behind it"
        )
    if parts.scheme not in {"http", "https"} or not host:
        found = "one that may hold a password (not shown)" if "@" in value else repr(value)
        raise ValueError(
            f'found {found}; allowed: an address of http:// or https:// and a host, as in "http://localhost:8000/v1"'
        )
    return value
