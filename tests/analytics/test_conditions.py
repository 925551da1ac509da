from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.analytics.conditions import LONGEST, condition
from router.errors import RequestError, RouterError

FIGURES = {"cost_usd": Decimal("1.02"), "baseline": Decimal(1), "requests": Decimal(7), "adequacy": None}
NAMES = frozenset(FIGURES)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("cost_usd > baseline * 1.02", False),
        ("cost_usd >= baseline * 1.02", True),
        ("cost_usd - baseline == 0.02", True),
        ("not cost_usd < baseline and requests / 2 > 3.4", True),
        ("requests != 7 or (baseline + 1) <= 2", True),
        ("1 < requests < 7", False),
        ("-requests < 0", True),
        ("cost_usd < 1e999", True),
    ],
)
def test_conditions(text: str, *, holds: bool) -> None:
    """Conditions hold as arithmetic in exact decimals says."""
    assert condition(text, NAMES).holds(FIGURES) is holds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cost > 1", "no figure 'cost'.*cost_usd"),
        ("cost_usd", "no condition but a number"),
        ("cost_usd >", "is no condition; allowed"),
        ("1and cost_usd", "is no condition; allowed"),
        ("cost_usd > 'a'", "''a'' is not allowed|\"'a'\" is not allowed"),
        ("__import__('os') > 1", "is not allowed"),
        ("cost_usd.real > 1", "is not allowed"),
        ("requests ** 9 > 1", "is not allowed"),
        ("requests in baseline", "is not allowed"),
        ("(requests > 1) + 1 > 1", "is no number"),
        ("requests and baseline > 1", "is a number"),
        ("not requests", "is a number"),
        ("cost_usd > True", "is not allowed"),
        ("cost_usd > 1j", "is not allowed"),
        ("~requests > 1", "is not allowed"),
        ("1" * (LONGEST + 1), "characters"),
    ],
)
def test_what_is_no_condition(text: str, said: str) -> None:
    """What is not in the grammar is refused with what is."""
    with pytest.raises(RequestError, match=said):
        condition(text, NAMES)


def test_what_cannot_be_judged() -> None:
    """A figure that is unknown, and a division by zero, are no answer either way."""
    with pytest.raises(RouterError, match="adequacy is unknown"):
        condition("adequacy > 0.9", NAMES).holds(FIGURES)
    for text in ("1 / (requests - 7) > 0", "(requests - 7) / (requests - 7) > 0", "9e999999 * 9e999999 > 1"):
        with pytest.raises(RouterError, match="divides by zero"):
            condition(text, NAMES).holds(FIGURES)
    assert condition("adequacy > 0.9 or baseline < 1", NAMES).names == {"adequacy", "baseline"}


@given(st.text(max_size=60) | st.text(alphabet="cost_usd baseline>.<=*/+-()andornot 0123456789", max_size=60))
def test_any_text(text: str) -> None:
    """Any text is a condition that holds or does not, or is refused; nothing else comes of it."""
    try:
        wanted = condition(text, NAMES)
    except RequestError:
        return
    try:
        assert wanted.holds(FIGURES) in {True, False}
    except RouterError:
        return
