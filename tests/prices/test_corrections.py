from __future__ import annotations

from router.prices.corrections import Correction, corrected

MEND = Correction(
    key="a", figure="output_cost_per_token", was=4e-07, is_=5e-07, option="output_usd_per_mtok", source="s"
)


def test_a_wrong_figure_is_replaced_and_names_its_source() -> None:
    """The rest of the row, and the rows that were handed in, stay as they are."""
    rows = {"a": {"output_cost_per_token": 4e-07, "mode": "chat"}}
    mended, sources = corrected(rows, (MEND,))
    assert mended == {"a": {"output_cost_per_token": 5e-07, "mode": "chat"}}
    assert sources == {("a", "output_usd_per_mtok"): "s"}
    assert rows["a"]["output_cost_per_token"] == 4e-07


def test_a_figure_that_the_map_has_changed_stands() -> None:
    """A correction ends with the error it corrects; a row that is gone needs none."""
    rows = {"a": {"output_cost_per_token": 3e-07}}
    assert corrected(rows, (MEND,)) == (rows, {})
    assert corrected({}, (MEND,)) == ({}, {})
