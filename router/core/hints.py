"""Routing hints as the application passes them -> `Hints`."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, get_args

from router.core.caching import CacheHint, CacheMode
from router.core.money import SPELLING, USD_MOST
from router.core.request import Hints
from router.errors import RequestError

HINT_NAMES: Final = frozenset(field.name for field in dataclasses.fields(Hints))
"""Keyword arguments of `Router.complete` that are for the router and reach no provider."""

_NUMBER_MOST: Final = 1e18
"""More seconds than the universe has; within it every whole number can be shown and computed with."""
_TRACE_ID: Final = re.compile(r"(?!0{32})[0-9a-f]{32}")
"""A trace id of W3C Trace Context, section 3.2.2.3: 16 bytes in lower-case hex, not all zero."""


def parse_hints(given: Mapping[str, Any]) -> Hints:
    """Returns the hints, each checked and in its own type.

    Args:
        given: by field name; no value is None.

    Raises:
        RequestError: a value is of a wrong type or out of range; says which and what is allowed.
    """
    return Hints(**{name: _PARSERS[name](value, name) for name, value in given.items()})


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str) or not value:
        raise RequestError(f"{name}: {_shown(value)} is not allowed; a string that is not empty is")
    return value


def _tags(value: Any, name: str) -> Mapping[str, str]:
    if not isinstance(value, Mapping):
        raise RequestError(f"{name}: {_shown(value)} is not allowed; a mapping of strings is")
    return {_tag_name(key): _tag(item, f"{name}[{key!r}]") for key, item in value.items()}


def _tag_name(key: Any) -> str:
    if not isinstance(key, str):
        raise RequestError(f"tags: a name of type {type(key).__name__} is not allowed; strings are")
    return key


def _tag(value: Any, where: str) -> str:
    """Returns a tag's value as text; whole numbers and truth values have only one spelling (JSON's), others many."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            if abs(value) > _NUMBER_MOST:
                raise RequestError(f"{where}: {_shown(value)} is not allowed")
            return str(value)
        case _:
            raise RequestError(
                f"{where}: a value of type {type(value).__name__} is not allowed; a string, an int or a bool is"
            )


def _usd(value: Any, name: str) -> Decimal:
    """Returns an amount of money; a float is read as it prints, so that 0.02 is two cents."""
    allowed = 'US dollars are, at least 0, as a string ("0.02"), a Decimal or a number'
    fault = f"{name}: {_shown(value)} is not allowed; {allowed}"
    match value:
        case bool():
            raise RequestError(fault)
        case str() if SPELLING.fullmatch(value):
            amount = Decimal(value)
        case int() if abs(value) <= USD_MOST:
            amount = Decimal(value)
        case float() | Decimal():
            amount = Decimal(str(value))
        case _:
            raise RequestError(fault)
    if not amount.is_finite() or not 0 <= amount <= USD_MOST:
        raise RequestError(fault)
    return amount


def _attempts(value: Any, name: str) -> int:
    if type(value) is not int or not 1 <= value <= _NUMBER_MOST:
        raise RequestError(f"{name}: {_shown(value)} is not allowed; a whole number of at least 1 is")
    return value


def _seconds(value: Any, name: str) -> float:
    if not _is_number(value) or value <= 0:
        raise RequestError(f"{name}: {_shown(value)} is not allowed; a number of seconds above 0 is")
    return float(value)


def _share(value: Any, name: str) -> float:
    if not _is_number(value) or not 0 <= value <= 1:
        raise RequestError(f"{name}: {_shown(value)} is not allowed; a number from 0 to 1 is")
    return float(value)


def _is_number(value: Any) -> bool:
    # Compared with a bound and not by `isfinite`, which fails on whole numbers that no float can hold.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= _NUMBER_MOST


def _cache(value: Any, name: str) -> CacheHint:
    """Returns what a request says of the cache; a bare string is the mode."""
    if isinstance(value, CacheHint):
        value = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    given = {"mode": value} if isinstance(value, str) else value
    if not isinstance(given, Mapping):
        raise RequestError(f"{name}: {_shown(value)} is not allowed; one of {_MODES} is, or a mapping of {_OF_CACHE}")
    unknown = next((key for key in given if key not in _CACHE_PARSERS), None)
    if unknown is not None:
        raise RequestError(f"{name}: the key {_shown(unknown)} is not allowed; {_OF_CACHE} are")
    stated = {key: item for key, item in given.items() if item is not None}
    return CacheHint(**{key: _CACHE_PARSERS[key](item, f"{name}[{key!r}]") for key, item in stated.items()})


def _mode(value: Any, name: str) -> str:
    if value not in get_args(CacheMode):
        raise RequestError(f"{name}: {_shown(value)} is not allowed; one of {_MODES} is")
    return str(value)


def _truth(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise RequestError(f"{name}: {_shown(value)} is not allowed; true or false is")
    return value


def _age(value: Any, name: str) -> float:
    if not _is_number(value) or value < 0:
        raise RequestError(f"{name}: {_shown(value)} is not allowed; a number of seconds of at least 0 is")
    return float(value)


def _trace_id(value: Any, name: str) -> str:
    if not isinstance(value, str) or _TRACE_ID.fullmatch(value.lower()) is None:
        raise RequestError(f"{name}: {_shown(value)} is not allowed; 32 hex digits that are not all zero are")
    return value.lower()


def _shown(value: Any) -> str:
    """Returns a hint's value as an error shows it. Hints hold no prompt, so unlike a message's they may be shown."""
    if isinstance(value, int) and abs(value) > _NUMBER_MOST:
        return "a number beyond all use"  # Python refuses to spell out more than 4,300 digits
    if value is None or isinstance(value, (str, int, float, Decimal)):
        text = repr(value)
        return text if len(text) <= 80 else f"{text[:77]}..."
    return f"a value of type {type(value).__name__}"


_CACHE_PARSERS: Final[Mapping[str, Callable[[Any, str], Any]]] = {
    "mode": _mode,
    "ttl_s": _seconds,
    "max_age_s": _age,
    "sampled": _truth,
}
_MODES: Final = ", ".join(map(repr, get_args(CacheMode)))
_OF_CACHE: Final = ", ".join(_CACHE_PARSERS)

_PARSERS: Final[Mapping[str, Callable[[Any, str], Any]]] = {
    "policy": _text,
    "model": _text,
    "tags": _tags,
    "tenant": _text,
    "max_cost_usd": _usd,
    "min_quality": _share,
    "attempts": _attempts,
    "deadline_s": _seconds,
    "waste_usd": _usd,
    "baseline": _text,
    "cache": _cache,
    "trace_id": _trace_id,
    "request_id": _text,
}
