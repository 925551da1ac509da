"""Routing hints: what is taken, and what is refused."""

from __future__ import annotations

import math
import re
from dataclasses import fields
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.hints import HINT_NAMES, parse_hints
from router.core.parse import parse_request
from router.core.request import Hints
from router.errors import RequestError

WRONG_MONEY: tuple[Any, ...] = (-1, "x", "NaN", "Infinity", True, [])


def test_every_field_of_hints_is_a_hint() -> None:
    """No hint can reach a provider, and none is taken without a check."""
    names = {field.name for field in fields(Hints)}
    assert names == HINT_NAMES
    for name in names:
        with pytest.raises(RequestError, match=name):
            parse_hints({name: object()})


@given(st.decimals(min_value=0, max_value=10**12, places=30))
def test_money_is_taken_in_any_exact_form(amount: Decimal) -> None:
    """A Decimal and its text mean the same amount, with no rounding."""
    assert parse_hints({"max_cost_usd": amount}).max_cost_usd == amount
    assert parse_hints({"waste_usd": str(amount)}).waste_usd == amount


@given(st.floats(min_value=0, max_value=1e6, allow_nan=False))
def test_a_float_of_money_is_read_as_it_prints(amount: float) -> None:
    """0.1 is ten cents, not 0.1000000000000000055."""
    assert parse_hints({"max_cost_usd": amount}).max_cost_usd == Decimal(repr(amount))


def test_all_hints_together() -> None:
    """Each comes in its own type; tags become text, trace ids lower case."""
    hints = parse_hints(
        {
            "policy": "p",
            "model": "m",
            "tags": {"team": "x", "user": 42, "beta": True, "old": False},
            "tenant": "t",
            "max_cost_usd": 1,
            "min_quality": 1,
            "attempts": 2,
            "deadline_s": 3,
            "waste_usd": 0,
            "baseline": "b",
            "trace_id": "AB" * 16,
        }
    )
    assert hints == Hints(
        policy="p",
        model="m",
        tags={"team": "x", "user": "42", "beta": "true", "old": "false"},
        tenant="t",
        max_cost_usd=Decimal(1),
        min_quality=1.0,
        attempts=2,
        deadline_s=3.0,
        waste_usd=Decimal(0),
        baseline="b",
        trace_id="ab" * 16,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("policy", ""),
        ("model", 5),
        ("tenant", object()),
        ("tags", ["a"]),
        ("tags", {1: "a"}),
        ("tags", {"a": 1.5}),
        ("tags", {"a": None}),
        *((money, wrong) for money in ("max_cost_usd", "waste_usd") for wrong in WRONG_MONEY),
        ("max_cost_usd", math.nan),
        ("max_cost_usd", "9" * 200 + "x"),
        ("min_quality", -0.1),
        ("min_quality", 1.1),
        ("min_quality", True),
        ("attempts", 0),
        ("attempts", -1),
        ("attempts", 1.0),
        ("attempts", True),
        ("deadline_s", 0),
        ("deadline_s", -1.0),
        ("deadline_s", math.inf),
        ("deadline_s", "60"),
        ("trace_id", "0" * 32),
        ("trace_id", "g" * 32),
        ("trace_id", "ab"),
        ("trace_id", 5),
        ("baseline", ""),
    ],
)
def test_a_wrong_hint_is_refused(name: str, value: Any) -> None:
    """The error names the hint and what is allowed, in a line of bounded length."""
    with pytest.raises(RequestError, match=name) as caught:
        parse_hints({name: value})
    assert "allowed" in str(caught.value)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("policy", "", "policy: '' is not allowed; a string that is not empty is"),
        ("tags", ["a"], "tags: a value of type list is not allowed; a mapping of strings is"),
        ("tags", {1: "a"}, "tags: a name of type int is not allowed; strings are"),
        ("tags", {"a": 1.5}, "tags['a']: a value of type float is not allowed; a string, an int or a bool is"),
        ("tags", {"a": 10**19}, "tags['a']: a number beyond all use is not allowed"),
        (
            "waste_usd",
            "-1",
            "waste_usd: '-1' is not allowed; US dollars are, at least 0, as a string (\"0.02\"), a Decimal or a number",
        ),
        ("attempts", 0, "attempts: 0 is not allowed; a whole number of at least 1 is"),
        ("deadline_s", 0, "deadline_s: 0 is not allowed; a number of seconds above 0 is"),
        ("min_quality", 2, "min_quality: 2 is not allowed; a number from 0 to 1 is"),
        ("trace_id", None, "trace_id: None is not allowed; 32 hex digits that are not all zero are"),
        ("trace_id", "g" * 78, f"trace_id: '{'g' * 78}' is not allowed; 32 hex digits that are not all zero are"),
        ("trace_id", "g" * 79, f"trace_id: '{'g' * 76}... is not allowed; 32 hex digits that are not all zero are"),
    ],
)
def test_a_refusal_says_what_was_found_where_and_what_is_allowed(name: str, value: Any, says: str) -> None:
    """Word for word, with what was found cut off after 80 characters."""
    with pytest.raises(RequestError, match=f"^{re.escape(says)}$"):
        parse_hints({name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("attempts", 1),
        ("attempts", 10**18),
        ("deadline_s", 1e18),
        ("deadline_s", 1e-9),
        ("min_quality", 0.0),
        ("min_quality", 1.0),
        ("max_cost_usd", Decimal(10**12)),
        ("max_cost_usd", 10**12),
        ("max_cost_usd", 0),
        ("waste_usd", 1e12),
        ("waste_usd", Decimal(0)),
    ],
)
def test_the_ends_of_a_range_belong_to_it(name: str, value: Any) -> None:
    """The least and the most that is allowed is allowed."""
    assert getattr(parse_hints({name: value}), name) == value


@pytest.mark.parametrize("size", [10**18, -(10**18)])
def test_a_tag_may_be_any_number_of_use(size: int) -> None:
    """Up to the largest that can be shown."""
    assert parse_hints({"tags": {"a": size}}).tags == {"a": str(size)}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("deadline_s", 10**400),
        ("deadline_s", 10**5000),
        ("min_quality", -(10**5000)),
        ("attempts", 10**5000),
        ("max_cost_usd", 10**5000),
        ("max_cost_usd", -(10**5000)),
        ("max_cost_usd", "1_000"),
        ("waste_usd", "\N{ARABIC-INDIC DIGIT ONE}"),
        ("waste_usd", "1e999"),
        ("tags", {"team": 10**5000}),
        ("max_tokens", -(10**5000)),
        ("max_tokens", 10**5000),
    ],
    ids=map(str, range(12)),  # some of the numbers have no text
)
def test_numbers_beyond_all_use_are_refused_by_name(name: str, value: Any) -> None:
    """What no float holds, what has no text, and what some read as another number."""
    with pytest.raises(RequestError, match=name):
        parse_request("hi", **{name: value})


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"max_cost_us": "1"}, r"max_cost_us is no hint .*did you mean max_cost_usd\?.*extra_body"),
        ({"polcy": "x"}, r"did you mean policy\?"),
        ({"deadline": 3}, r"did you mean deadline_s\?"),
        ({"api_key": "sk-secret"}, "key_env"),
        ({"extra_body": {"Authorization": "sk-secret"}}, "key_env"),
        ({"base_url": "http://x"}, "base_url is no field of a request"),
    ],
)
def test_what_is_meant_for_the_router_is_not_sent_to_a_provider(given: dict[str, Any], says: str) -> None:
    """A hint with a slip in its name would silently do nothing, and a key would be logged; the key is not shown."""
    with pytest.raises(RequestError, match=says) as caught:
        parse_request("hi", **given)
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["models", "mode", "min_p", "top_k", "frobnicate", "request", "reasoning"])
def test_parameters_that_lowfare_does_not_know_go_through(name: str) -> None:
    """A provider's own field is for the provider; one that looks like a hint can still go by extra_body."""
    own: dict[str, Any] = {name: 1}
    assert parse_request("hi", **own).params == own
    assert parse_request("hi", extra_body={"max_cost_us": 1}).params == {"max_cost_us": 1}


def test_a_prompt_has_no_name() -> None:
    """Who writes `prompt=` is told where the prompt goes."""
    with pytest.raises(RequestError, match=r'the prompt comes first, without a name, as in complete\("\.\.\."\)'):
        parse_request(prompt="hi")
    assert parse_request("hi", prompt="template").params == {"prompt": "template"}
