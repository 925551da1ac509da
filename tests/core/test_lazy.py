"""Attributes that are computed when they are first asked for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from router.core.lazy import lazy


@given(st.integers())
def test_a_lazy_attribute_is_computed_once(number: int) -> None:
    """By its owner's value; it keeps its documentation, and the class has it as it was written."""

    class Doubled:
        asked = 0

        @lazy
        def twice(self) -> int:
            """Returns twice the number."""
            self.asked += 1
            return 2 * number

    one, other = Doubled(), Doubled()
    assert [one.twice, one.twice, other.twice] == [2 * number] * 3
    assert (one.asked, other.asked) == (1, 1)
    assert vars(one) == {"asked": 1, "twice": 2 * number}
    assert isinstance(Doubled.twice, lazy)
    assert Doubled.twice.__doc__ == "Returns twice the number."
