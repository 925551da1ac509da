from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router import ConfigError
from router.config import Settings
from router.config_expect import Span, span_of

MODELS = {"small": {"id": "deepseek/deepseek-v3.2"}}


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("< 500", Span(most=Decimal(500), open_most=True)),
        ("<=500", Span(most=Decimal(500))),
        (" > 0.5 ", Span(least=Decimal("0.5"), open_least=True)),
        (">= 2000", Span(least=Decimal(2000))),
        ("= 3", Span(least=Decimal(3), most=Decimal(3))),
        ("7", Span(least=Decimal(7), most=Decimal(7))),
        ("500 .. 2000", Span(least=Decimal(500), most=Decimal(2000))),
    ],
)
def test_comparisons(text: str, span: Span) -> None:
    """Each way of writing a comparison says what it lets through."""
    assert span_of(text) == span


@given(st.integers(0, 40), st.sampled_from(["<", "<=", ">", ">=", "="]), st.sampled_from(["", ".0", ".5"]))
def test_whole_numbers(number: int, sign: str, rest: str) -> None:
    """The whole numbers between the limits of a comparison are those for which it holds."""
    span = span_of(f"{sign} {number}{rest}")
    limit = float(f"{number}{rest}")
    holds = {"<": float.__lt__, "<=": float.__le__, ">": float.__gt__, ">=": float.__ge__, "=": float.__eq__}[sign]
    least = 0 if span.whole_least is None else span.whole_least
    most = 50 if span.whole_most is None else span.whole_most
    assert [n for n in range(50) if least <= n <= most] == [n for n in range(50) if holds(float(n), limit)]


@pytest.mark.parametrize(
    ("expect", "says"),
    [
        ({"then": {}}, ["expect[0].then: expects nothing", "model_in"]),
        ({}, ["expect[0].then: is missing"]),
        ({"then": {"model": "small"}, "whn": {}}, ["expect[0].whn: is no key", "did you mean 'when'"]),
        ({"then": {"mdel": "small"}}, ["expect[0].then.mdel: is no key", "did you mean 'model'"]),
        ({"when": {"token": "< 5"}, "then": {"model": "small"}}, ["expect[0].when.token: is no key", "'tokens'"]),
        ({"when": {"tokens": "under 5"}, "then": {"model": "small"}}, ["when.tokens: found 'under 5'", '"< 500"']),
        ({"when": {"tokens": 5}, "then": {"model": "small"}}, ["when.tokens: found 5", "a string"]),
        ({"when": {"tokens": "9..3"}, "then": {"model": "small"}}, ["when.tokens: found '9..3'", "lets nothing"]),
        ({"when": {"tokens": "< 1"}, "then": {"model": "small"}}, ["found '< 1'", "no whole number of tokens"]),
        ({"when": {"max_tokens": "= 1.5"}, "then": {"model": "small"}}, ["found '= 1.5'", "no whole number"]),
        ({"then": {"cost_usd": "< 0"}}, ["then.cost_usd: found '< 0'", "lets nothing through"]),
        ({"then": {"model_in": []}}, ["then.model_in: found an empty list", "one entry"]),
        ({"when": {"needs": ["visoin"]}, "then": {"answered": True}}, ["needs[0]: found 'visoin'", "'vision'"]),
        (
            {"when": {"needs": ["vision"], "needs_only": []}, "then": {"answered": True}},
            ["expect[0].when: no request is meant", "vision"],
        ),
    ],
)
def test_what_is_wrong(expect: dict[str, Any], says: list[str]) -> None:
    """What is wrong with an expectation is said with its place, what was found and what is allowed."""
    with pytest.raises(ConfigError) as raised:
        Settings.model_validate({"models": MODELS, "expect": [expect]})
    assert all(text in str(raised.value) for text in says), raised.value


def test_max_tokens_that_are_not_stated() -> None:
    """`max_tokens` may be "none": requests that state none."""
    expect = {"when": {"max_tokens": "none"}, "then": {"answered": True}}
    settings = Settings.model_validate({"models": MODELS, "expect": [expect]})
    assert settings.expect[0].when.max_tokens == "none"
