from __future__ import annotations

from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.clients.stated_usage import stated_usage
from router.core.answer import Usage
from router.core.record import usage_dict
from router.errors import RequestError
from router.testing.strategies import usages

CHAT = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "total_tokens": 120,
    "prompt_tokens_details": {"cached_tokens": 60},
    "completion_tokens_details": {"reasoning_tokens": 5},
}
RESPONSES = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 60},
    "output_tokens": 20,
    "output_tokens_details": {"reasoning_tokens": 5},
    "total_tokens": 120,
}
MESSAGES = {"input_tokens": 40, "cache_read_input_tokens": 60, "output_tokens": 20}
GEMINI = {"promptTokenCount": 100, "cachedContentTokenCount": 60, "candidatesTokenCount": 15, "thoughtsTokenCount": 5}
SAME = Usage(input_tokens=100, output_tokens=20, cached_input_tokens=60, reasoning_tokens=5)
PLAIN = Usage(input_tokens=100, output_tokens=20, cached_input_tokens=60)


@pytest.mark.parametrize(
    ("value", "usage"),
    [
        (CHAT, SAME),
        ({"id": "chatcmpl-1", "usage": CHAT}, SAME),
        (RESPONSES, SAME),
        ({"object": "response", "usage": RESPONSES}, SAME),
        (MESSAGES, PLAIN),
        ({"type": "message", "usage": MESSAGES}, PLAIN),
        (GEMINI, SAME),
        ({"candidates": [], "usageMetadata": GEMINI}, SAME),
        ({"input_tokens": 100, "output_tokens": 20, "cached_input_tokens": 60}, PLAIN),
        (SimpleNamespace(model_dump=lambda by_alias: RESPONSES if by_alias else {}), SAME),
    ],
)
def test_every_providers_usage_is_read(value: Any, usage: Usage) -> None:
    """By itself, in a whole answer, and as an object of a client."""
    assert stated_usage(value, "openai") == usage


@given(usages())
def test_our_own_usage_is_taken_as_it_is(usage: Usage) -> None:
    """As a value, and as the record writes it where it has something that others do not."""
    assert stated_usage(usage, "openai") is usage
    stated = usage_dict(usage)
    assert stated is not None
    if stated.keys() - {"input_tokens", "output_tokens", "service_tier"}:
        assert stated_usage(stated, "openai") == usage


REFUSED = r"states no tokens, or a count of them that is no whole number from 0 to .*; allowed: a router\.Usage"


@pytest.mark.parametrize("value", [None, 5, {}, {"input_tokens": "many"}, {"prompt_tokens": -1}, Usage, [CHAT]])
def test_what_states_no_tokens_is_refused(value: Any) -> None:
    """The error says what is allowed, and repeats nothing of the value."""
    with pytest.raises(RequestError, match=REFUSED):
        stated_usage(value, "openai")


@pytest.mark.parametrize(
    "value",
    [
        {"prompt_tokens": "1200", "completion_tokens": 1},
        {"prompt_tokens": 1200, "completion_tokens": True},
        {"prompt_tokens": 1200, "completion_tokens": -1},
        {"prompt_tokens": 1200.5, "completion_tokens": 1},
        {"input_tokens": 1.5, "output_tokens": None},
        {"input_tokens": 1200, "output_tokens": float("nan")},
        Usage(input_tokens=1.5),  # type: ignore[arg-type]  # what is refused
        {"usage": {"prompt_tokens": "1200", "completion_tokens": 1}},
        {"input_tokens": "1200", "output_tokens": 1, "total_tokens": 1201},
        {"promptTokenCount": "1200", "candidatesTokenCount": 1},
        {"usageMetadata": {"promptTokenCount": 1200, "candidatesTokenCount": []}},
    ],
)
def test_a_total_that_is_no_whole_number_is_refused(value: Any) -> None:
    """It would count as nothing, and its tokens would be missing in the budgets."""
    with pytest.raises(RequestError, match=REFUSED):
        stated_usage(value, "openai")


def test_a_total_that_is_null_is_none() -> None:
    """Providers write null where there is nothing to count, as for embeddings."""
    assert stated_usage({"prompt_tokens": 7, "completion_tokens": None}, "openai") == Usage(input_tokens=7)


@given(st.dictionaries(st.sampled_from(sorted({*CHAT, *RESPONSES, *GEMINI, "usage"})), st.integers() | st.text()))
def test_no_mapping_is_too_strange(value: dict[str, Any]) -> None:
    """It is a usage or refused, never another error."""
    with suppress(RequestError):
        assert stated_usage(value, "openai").input_tokens >= 0
