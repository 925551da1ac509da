"""What of a request was paid for nothing."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from router.core.decision import Decision, Ending
from router.core.machine import Done, NeedCall, plan
from tests.core.builders import attempt, given, model

USD = Decimal("0.5")


def decision(ending: Ending, answered: str | None, **fields: Any) -> Decision:
    """Returns the decision of a request that made one attempt, at `a`."""
    state = plan(given(model("a"), model("b")))
    assert isinstance(state, NeedCall)
    end = state.next(attempt("a", cost_usd=USD))
    assert isinstance(end, Done)
    return replace(end.decision, ending=ending, model=answered, attempts=(attempt("a", **{"cost_usd": USD, **fields}),))


@pytest.mark.parametrize(
    ("ending", "answered", "made", "waste"),
    [
        ("answer", "a", {"outcome": "answer"}, Decimal(0)),
        # In a race that another model won, the answer that came too late was paid for and not used.
        ("answer", "b", {"outcome": "answer"}, USD),
        ("answer", "b", {"outcome": "server_error"}, USD),
        ("answer", "b", {"outcome": "cancelled"}, USD),
        # A stream that its caller dropped half-way gave what the caller saw; one that nobody went on with did not.
        ("cancelled", None, {"outcome": "cancelled", "committed": True}, Decimal(0)),
        ("cancelled", None, {"outcome": "cancelled"}, USD),
        ("committed", None, {"outcome": "cancelled", "committed": True}, USD),
        ("committed", None, {"outcome": "answer"}, USD),
        ("committed", None, {"outcome": "cut", "committed": True}, USD),
        ("answer", "b", {"outcome": "answer", "cost_usd": None}, None),
        ("answer", "a", {"outcome": "answer", "cost_usd": None}, Decimal(0)),
    ],
)
def test_waste_is_what_gave_the_caller_nothing(
    ending: Ending, answered: str | None, made: dict[str, Any], waste: Decimal | None
) -> None:
    """Unknown where the cost of what was wasted is."""
    assert decision(ending, answered, **made).waste_usd == waste
