"""Figures of the price map that contradict the provider's own price list.

A correction holds only while the map still says what it corrects: when litellm changes the figure, its word counts
again. Why these and no others: docs/decisions/002-price-sources.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """One figure of one row.

    Attributes:
        key: of the row.
        figure: the row's own name for it.
        was, is_: what the map says, and what holds; in the map's unit.
        option: what a configuration calls it; sources are listed under that name.
        source: where the right figure stands.
    """

    key: str
    figure: str
    was: float
    is_: float
    option: str
    source: str


CORRECTIONS: Final = (
    Correction(
        key="deepseek/deepseek-v3.2",
        figure="output_cost_per_token",
        was=4e-07,
        is_=4.2e-07,
        option="output_usd_per_mtok",
        source="api-docs.deepseek.com/quick_start/pricing for DeepSeek-V3.2",
    ),
)

Rows = Mapping[str, Mapping[str, Any]]


def corrected(rows: Rows, corrections: tuple[Correction, ...] = CORRECTIONS) -> tuple[Rows, dict[tuple[str, str], str]]:
    """Returns the rows with corrections applied, and the source of each corrected figure by (key, option)."""
    mended = dict(rows)
    sources: dict[tuple[str, str], str] = {}
    for c in corrections:
        row = mended.get(c.key)
        if row is not None and row.get(c.figure) == c.was:
            mended[c.key] = {**row, c.figure: c.is_}
            sources[c.key, c.option] = c.source
    return mended, sources
