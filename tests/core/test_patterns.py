from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.patterns import runaway


@pytest.mark.parametrize(
    ("pattern", "part"),
    [
        ("(a+)+b", "(a+)+"),
        ("^(\\w+\\s?)*$", "(\\w+\\s?)*"),
        ("x(?:a*|b)*", "(?:a*|b)*"),
        ("((a+))+", "((a+))+"),
        ("(?P<n>a{2,})+?", "(?P<n>a{2,})+?"),
        ("([(]+x){2,}", "([(]+x){2,}"),
        ("(a{1,30}){1,30}", "(a{1,30}){1,30}"),
        ("(?i:a+)*", "(?i:a+)*"),
        ("(\\(+)*", "(\\(+)*"),
        ("(.*)*", "(.*)*"),
        (r"(?:\d\d?)+Z", r"(?:\d\d?)+"),
        ("(a|a)*b", "(a|a)*"),
        ("(a|A)*b", "(a|A)*"),
        ("(?:(?:a|a)(?:a|a))*b", "(?:(?:a|a)(?:a|a))*"),
        ("(a?){30}b", "(a?){30}"),
        (r"(?:\w|\d)+", r"(?:\w|\d)+"),
        ("(?:a?b|b)*", "(?:a?b|b)*"),
        ("(?:a{2,3})+", "(?:a{2,3})+"),
        ("(x|)*", "(x|)*"),
        ("(?:a{0}b|b)*", "(?:a{0}b|b)*"),
        ("(a+){2,17}", "(a+){2,17}"),
        ("(?:(ab)|a)*", "(?:(ab)|a)*"),
    ],
)
def test_a_repeated_repetition_is_found(pattern: str, part: str) -> None:
    """Whatever kind of group it stands in, however deep, and however often is written."""
    re.compile(pattern)
    assert runaway(pattern) == part


@pytest.mark.parametrize(
    "pattern",
    [
        r"(?i)\btranslate\b",
        r"[\w.]+@[\w.]+",
        r"(\d{1,3}\.){3}\d+",
        r"(a+)?b",
        r"(abc)+",
        r"(?:\w++\s?+)*",
        r"(?:foo|bar)+",
        r"(a+)++b",
        r"(\.|,)+x",
        r"(?>a|ab)*c",
        r"(?:a{3})+",
        r"(?>a+)*",
        r"(?=a+)*b",
        r"(a+){2,3}",
        r"\(a+\)+",
        r"[(a+)]+",
        r"[]a+)]*",
        r"a+b*c+",
        r"(a+)b+",
        r"(?#a+)b+",
        r"a{,x}(b)+",
        r"(?i)a+",
        r"(?:a{3,3})+",
        r"(?:X|y)+",
        r"(?:ab|cb)+",
        r"(a+){2,16}",
    ],
)
def test_what_is_quick_is_left_alone(pattern: str) -> None:
    """Repetitions side by side, atomic and possessive ones, few, escaped and in a class."""
    re.compile(pattern)
    assert runaway(pattern) is None


@given(st.text("()[]{}*+?|\\ab1,:>=!<", max_size=30))
def test_any_text_is_read(pattern: str) -> None:
    """What is no regular expression is no fault of this; that is said elsewhere."""
    assert (runaway(pattern) or "") in pattern
