"""What a request may say of the cache."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.caching import CacheHint, CacheMode
from router.core.hints import parse_hints
from router.errors import RequestError

SECONDS = st.floats(min_value=0.001, max_value=1e18)
HINTS = st.builds(
    CacheHint,
    mode=st.none() | st.sampled_from(get_args(CacheMode)),
    ttl_s=st.none() | SECONDS,
    max_age_s=st.none() | SECONDS | st.just(0.0),
    sampled=st.none() | st.booleans(),
)


def parsed(value: Any) -> CacheHint | None:
    """Returns what `cache=value` means."""
    return parse_hints({"cache": value}).cache


@given(HINTS)
def test_a_hint_is_the_same_as_a_value_and_as_a_mapping(hint: CacheHint) -> None:
    """What is None was not said, and is not passed on as said."""
    assert parsed(hint) == hint
    assert parsed(asdict(hint)) == hint
    assert parsed({name: value for name, value in asdict(hint).items() if value is not None}) == hint


@pytest.mark.parametrize("mode", get_args(CacheMode))
def test_a_bare_string_is_the_mode(mode: CacheMode) -> None:
    """The rest is then as it is configured."""
    assert parsed(mode) == CacheHint(mode=mode)


OF_CACHE = "mode, ttl_s, max_age_s, sampled"
MODES = ", ".join(map(repr, get_args(CacheMode)))


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("maybe", f"cache['mode']: 'maybe' is not allowed; one of {MODES} is"),
        (5, f"cache: 5 is not allowed; one of {MODES} is, or a mapping of {OF_CACHE}"),
        ({"ttl": 5}, f"cache: the key 'ttl' is not allowed; {OF_CACHE} are"),
        ({"mode": "use", "ttl": 5}, f"cache: the key 'ttl' is not allowed; {OF_CACHE} are"),
        ({"ttl_s": 0}, "cache['ttl_s']: 0 is not allowed; a number of seconds above 0 is"),
        ({"max_age_s": -1}, "cache['max_age_s']: -1 is not allowed; a number of seconds of at least 0 is"),
        ({"max_age_s": "1"}, "cache['max_age_s']: '1' is not allowed; a number of seconds of at least 0 is"),
        ({"sampled": 1}, "cache['sampled']: 1 is not allowed; true or false is"),
        (CacheHint(ttl_s=-1.0), "cache['ttl_s']: -1.0 is not allowed; a number of seconds above 0 is"),
    ],
)
def test_a_wrong_hint_is_refused_by_its_place(value: Any, says: str) -> None:
    """The error says what was found, where, and what is allowed."""
    with pytest.raises(RequestError, match=f"^{re.escape(says)}$"):
        parsed(value)
