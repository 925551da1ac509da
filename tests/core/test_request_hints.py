"""Routing hints: what is taken, and what is refused."""

from __future__ import annotations

import math
from dataclasses import fields
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.hints import HINT_NAMES, parse_hints
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


@given(st.decimals(min_value=0, allow_nan=False, allow_infinity=False))
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
