"""The headers that go out with each request to a collector, out of an environment variable: mostly a key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from opentelemetry.util.re import parse_env_headers

from router.core.headers import is_value
from router.errors import ConfigError
from router.sinks.tracing import Signal

_HEADER: Final = re.compile(
    r"""
    [\x21\x23-\x27*+\-.0-9A-Z\x5e-z|~]+ [ \t]*
    = [ \t]* [\x20\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*
    """,
    re.VERBOSE,
)
"""What the SDK takes for `NAME=VALUE` (`opentelemetry.util.re`); anything else it logs, with the key in it."""


def headers_of(headers_env: str | None, environ: Mapping[str, str], signal: Signal) -> dict[str, str] | None:
    """Returns the headers; None leaves them to the standard variables.

    Args:
        headers_env: name of the variable that holds them.
        environ: the environment.
        signal: whose standard variables hold them where no other does.

    Raises:
        ConfigError: the variable is not set, or holds something else.
    """
    if headers_env is not None and not environ.get(headers_env):
        raise ConfigError(f"headers_env: the variable {headers_env} is empty or not set")
    standard = (f"OTEL_EXPORTER_OTLP_{signal}_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
    for name in (headers_env, *standard):  # the SDK reads the standard ones in any case
        if name is not None and not _sound(environ.get(name, "")):
            place = "headers_env: the variable " if name == headers_env else ""
            raise ConfigError(
                f"{place}{name} holds something else than headers (not shown); allowed: name=value,name=value, "
                "with what is not allowed in a value written as %XX"
            )
    return None if headers_env is None else dict(parse_env_headers(environ[headers_env], liberal=True))


def _sound(text: str) -> bool:
    written = [part for part in map(str.strip, text.split(",")) if part]
    return all(map(_HEADER.fullmatch, written)) and all(map(is_value, parse_env_headers(text, liberal=True).values()))
