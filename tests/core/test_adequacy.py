"""Which models can serve a request at all, and what is said of those that cannot."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.adequacy import BY, slate_of
from router.core.catalog import Model
from router.core.money import usd
from router.core.request import Features, Hints
from router.core.slate import Slate
from tests.core.builders import features, model, price

NAMES = ("a", "b", "c")
NEEDS = st.frozensets(st.sampled_from(["tools", "vision"]))
CATALOGS = st.lists(
    st.builds(
        model,
        st.sampled_from(NAMES),
        price=st.sampled_from([None, price(), price("10", "30")]),
        context_window_tokens=st.sampled_from([None, 1_000, 100_000]),
        max_output_tokens=st.sampled_from([None, 50, 1_000]),
        capabilities=NEEDS,
        quality=st.none() | st.sampled_from([0.2, 0.8]),
    ),
    unique_by=lambda m: m.name,
)


def slate(*models: Model, of: Features | None = None, hints: Hints | None = None, **options: Any) -> Slate:
    """Returns the slate of a request that asks for nothing but what the test names."""
    values: dict[str, Any] = {"max_cost_usd": None, "expected_output_tokens": 200, "unpriced": False}
    return slate_of({m.name: m for m in models}, of or features(), hints or Hints(), **values | options)


@given(
    catalog=CATALOGS,
    needs=NEEDS,
    most=st.none() | st.integers(1, 2_000),
    limit=st.none() | st.decimals(0, 1, places=4),
    quality=st.none() | st.floats(0, 1),
    unpriced=st.booleans(),
)
def test_who_is_live_can_serve_and_who_fell_is_told_why(
    catalog: list[Model],
    needs: frozenset[str],
    most: int | None,
    limit: Decimal | None,
    quality: float | None,
    unpriced: bool,
) -> None:
    """Every model is live or dropped, in the catalog's order; a live one has all that the request asks for."""
    asked = features(100, needs=needs, output_tokens_most=most)
    found = slate(*catalog, of=asked, hints=Hints(min_quality=quality), max_cost_usd=limit, unpriced=unpriced)
    assert [c.name for c in found.live] == [m.name for m in catalog if m.name in {c.name for c in found.live}]
    assert {c.name for c in found.live} | {d.name for d in found.dropped} == {m.name for m in catalog}
    assert all(d.by == BY and d.reason for d in found.dropped)
    for candidate in found.live:
        able = candidate.model
        assert needs <= able.capabilities
        assert quality is None or (able.quality is not None and able.quality >= quality)
        assert unpriced or able.price is not None
        assert most is None or able.max_output_tokens is None or most <= able.max_output_tokens
        assert candidate.expected_output_tokens <= min(200, most or 200, able.max_output_tokens or 200)
        if limit is not None:
            assert candidate.worst_usd is not None
            assert candidate.worst_usd <= limit


@pytest.mark.parametrize(
    ("fields", "hints", "asked", "reason"),
    [
        ({}, Hints(model="b"), features(), "the request asks for b"),
        ({}, Hints(), features(needs=frozenset({"vision", "tools"})), "lacks tools, vision"),
        ({"quality": 0.5}, Hints(min_quality=0.75), features(), "quality 0.5, the request asks for 0.75"),
        ({}, Hints(min_quality=0.75), features(), "quality unknown, the request asks for 0.75"),
        (
            {},
            Hints(),
            features(output_tokens_most=2_000),
            "writes at most 1,000 tokens, the request asks for up to 2,000",
        ),
        ({"price": None}, Hints(), features(), "unpriced"),
    ],
)
def test_the_reason_says_what_is_lacking(fields: dict[str, Any], hints: Hints, asked: Features, reason: str) -> None:
    """In words for the user, who finds them in the record and in the error."""
    (fallen,) = slate(model("a", **fields), of=asked, hints=hints).dropped
    assert fallen.reason == reason


def test_what_cannot_be_proved_affordable_is_not_asked() -> None:
    """Under a limit, a model falls that could cost more, and one of which nobody knows what it costs."""
    dear, unknown = model("a", price=price("1000", "1000")), model("b", price=None)
    found = slate(dear, unknown, max_cost_usd=Decimal("0.05"), unpriced=True)
    reasons = {d.name: d.reason for d in found.dropped}
    assert reasons["b"] == "may cost up to an unknown amount, the request allows $0.05"
    worst = next(d.candidate.worst_usd for d in found.dropped if d.name == "a")
    assert reasons["a"] == f"may cost up to ${usd(worst)}, the request allows $0.05"
    assert found.live == ()


def test_what_costs_just_as_much_as_allowed_is_asked() -> None:
    """The limit itself is affordable, and not a cent more."""
    (candidate,) = slate(model("a")).live
    worst = candidate.worst_usd
    assert worst is not None
    assert len(slate(model("a"), max_cost_usd=worst).live) == 1
    assert not slate(model("a"), max_cost_usd=worst - Decimal("1e-12")).live


def test_what_a_request_asks_for_may_be_all_that_a_model_can_write() -> None:
    """It is then expected to write no more than it is asked for, and no more than it can."""
    limit = model("a", max_output_tokens=150)
    for most, expected in ((150, 150), (50, 50), (None, 150)):
        (candidate,) = slate(limit, of=features(output_tokens_most=most)).live
        assert candidate.expected_output_tokens == expected
    assert not slate(limit, of=features(output_tokens_most=151)).live
    (candidate,) = slate(model("a"), of=features(output_tokens_most=500)).live
    assert candidate.expected_output_tokens == 200
