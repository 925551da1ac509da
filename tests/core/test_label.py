from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.label import checked_label, label_dict
from router.errors import RequestError

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"

GOOD: dict[str, Any] = {"trace_id": TRACE, "adequate": True, "score": None, "source": "user"}


@given(
    adequate=st.none() | st.booleans(),
    score=st.none() | st.integers(-(2**53), 2**53) | st.floats(-1e18, 1e18),
    source=st.text(st.characters(categories=("L", "N", "P")), min_size=1, max_size=200),
    upper=st.booleans(),
)
def test_a_label_says_what_it_was_given(
    adequate: bool | None, score: float | None, source: str, *, upper: bool
) -> None:
    """Every label with a verdict or a finite score stands; its JSON has the same values, the trace id in lower case."""
    given_values = {"adequate": adequate, "score": score, "source": source}
    trace_id = TRACE.upper() if upper else TRACE
    if adequate is None and score is None:
        with pytest.raises(RequestError, match="needs adequate"):
            checked_label(trace_id, time=NOW, **given_values)
        return
    values = label_dict(checked_label(trace_id, time=NOW, **given_values))
    assert values == {"label": 1, "trace_id": TRACE, "time": "2026-11-23T12:00:00.000000+00:00", **given_values}
    assert values["score"] is None or type(values["score"]) is float


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("trace_id", None),
        ("trace_id", "4bf9"),
        ("trace_id", "0" * 32),
        ("trace_id", 7),
        ("adequate", "yes"),
        ("adequate", 1),
        ("adequate", 1.0),
        ("score", math.nan),
        ("score", math.inf),
        ("score", 10**400),
        ("score", True),
        ("score", "0.5"),
        ("source", ""),
        ("source", "x" * 201),
        ("source", "a\nb"),
        ("source", "\ud800"),
        ("source", None),
    ],
)
def test_what_is_no_label_is_refused(name: str, value: Any) -> None:
    """A value of a wrong type or out of range is an error that names the field."""
    with pytest.raises(RequestError, match=rf"^{name}: .+ not allowed"):
        checked_label(time=NOW, **GOOD | {name: value})


def test_a_long_text_is_shown_short() -> None:
    """The message of an error does not repeat all of a text that was given by mistake."""
    with pytest.raises(RequestError) as error:
        checked_label(time=NOW, **GOOD | {"source": "secret " * 100})
    assert len(str(error.value)) < 200
