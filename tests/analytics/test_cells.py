from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.analytics.cells import cell


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_no_formula(text: str) -> None:
    """What begins like a formula has a quote before it, which a spreadsheet takes for "this is a text"."""
    assert cell(text) == f"'{text}"


@given(st.text())
def test_all_else_stays(text: str) -> None:
    """No text begins like a formula afterwards, and none changes but for the quote."""
    assert cell(text).removeprefix("'" if cell(text) != text else "") == text
    assert cell(text)[:1] not in set("=+-@\t\r\n")
