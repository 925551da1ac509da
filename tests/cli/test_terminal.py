from __future__ import annotations

from decimal import Decimal
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.cli.terminal import dollars, seconds, shown, times, tokens, tolerate_encoding


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (None, "unknown"),
        ("0", "$0"),
        ("0.000123", "$0.000123"),
        ("0.00000042", "$0.00000042"),
        ("0.00123456", "$0.00123"),
        ("1.5", "$1.50"),
        ("1234.567", "$1,234.57"),
        (Decimal("1E+2"), "$100.00"),
    ],
)
def test_dollars(amount: str | Decimal | None, text: str) -> None:
    """Money is written to the digits that matter; unknown is a word, and no money is a plain zero."""
    assert dollars(amount) == text


def test_exact_dollars() -> None:
    """An exact amount keeps every digit."""
    assert dollars("0.00123456789", exact=True) == "$0.00123456789"


amounts = st.decimals(min_value=0, max_value=10**6, allow_nan=False, allow_infinity=False)


@given(amounts, st.booleans())
def test_dollars_are_never_shown_as_zero(amount: Decimal, exact: bool) -> None:
    """What costs something never reads as free, and what is shown is within half a percent."""
    read = Decimal(dollars(amount, exact=exact).removeprefix("$").replace(",", ""))
    assert (read == 0) == (amount == 0)
    assert abs(read - amount) <= (Decimal(0) if exact else amount / 200)


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        ("1", "33.3", "33 times as much"),
        ("2", "5", "2.5 times as much"),
        ("4", "1", "25 % as much"),
        ("0", "1", ""),
        ("1", "0", ""),
    ],
)
def test_times(part: str, whole: str, text: str) -> None:
    """Two costs are compared in words; with nothing to compare there are none."""
    assert times(Decimal(part), Decimal(whole)) == text
    assert times(None, Decimal(whole)) == ""


def test_a_stream_without_an_encoding_is_left_alone() -> None:
    """What is no stream of bytes below needs no tolerance."""
    stream = StringIO()
    tolerate_encoding(stream)
    stream.write("naïve")
    assert stream.getvalue() == "naïve"


def test_seconds() -> None:
    """Short times read in milliseconds, unknown ones as a dash."""
    assert [seconds(s) for s in (None, 0.0312, 4.2)] == ["-", "31 ms", "4.20 s"]


def test_tokens() -> None:
    """Token counts have separators; unknown is a word."""
    assert [tokens(n) for n in (None, 1_047_576)] == ["unknown", "1,047,576"]


@given(st.text())
def test_shown_text_cannot_drive_the_terminal(text: str) -> None:
    """Nothing from elsewhere reaches a terminal as a control character but a new line and a tab."""
    assert all(c in "\n\t" or c.isprintable() for c in shown(text))


def test_shown_text_keeps_what_can_be_read() -> None:
    """Escape sequences are broken, everything printable stays."""
    assert shown("größe\t日本\r\n\x1b[2Jx") == "größe\t日本\n\ufffd[2Jx"
