"""Texts as cells of CSV that people open in a spreadsheet."""

from __future__ import annotations

from typing import Final

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def cell(text: str, /) -> str:
    """Returns a text as a cell: with a `'` before it where a spreadsheet would take it for a formula.

    Names of models, tags, tenants and errors come from callers and providers, and a formula may send what else is in
    the sheet elsewhere. Figures are no texts, and stay as they are.

    Source: OWASP, "CSV Injection", https://owasp.org/www-community/attacks/CSV_Injection
    """
    return f"'{text}" if text.startswith(_FORMULA) else text
