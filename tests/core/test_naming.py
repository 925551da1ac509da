"""What is said of a name that nobody knows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.naming import allowed


@pytest.mark.parametrize(
    ("found", "names", "says"),
    [
        ("x", [], "there is none"),
        ("x", ["b", "a"], "allowed: a, b"),
        ("Smal", ["large", "small"], "allowed: large, small (did you mean 'small'?)"),
        ("UP-TO-TOKENS", ["up_to_tokens"], "allowed: up_to_tokens (did you mean 'up_to_tokens'?)"),
        ("up_to_tokens", ["Up-To-Tokens"], "allowed: Up-To-Tokens (did you mean 'Up-To-Tokens'?)"),
        # The nearest one is meant, and less than three fifths alike is not near, unless the one is part of the other.
        ("smalls", ["small", "smaller", "smell"], "allowed: small, smaller, smell (did you mean 'small'?)"),
        ("abcdefgh", ["abcdxyzw"], "allowed: abcdxyzw"),
        ("cap", ["model_capabilities"], "allowed: model_capabilities (did you mean 'model_capabilities'?)"),
        ("ca", ["model_capabilities"], "allowed: model_capabilities"),
        ("cat", ["model_capabilities"], "allowed: model_capabilities"),
        # Of two that are spelt alike but for case, the first in the list is named.
        ("small", ["small", "Small"], "allowed: Small, small (did you mean 'Small'?)"),
    ],
)
def test_what_is_allowed_is_listed_with_the_likeliest(found: str, names: list[str], says: str) -> None:
    """Sorted; case and hyphens do not matter for what is alike."""
    assert allowed(found, names) == says


def test_the_place_says_what_there_is_where_there_is_nothing() -> None:
    """The words for an empty list come from whoever asks."""
    assert allowed("x", (), none="no model is configured") == "no model is configured"


@given(st.lists(st.text("abc-_", min_size=1), min_size=1, unique_by=lambda name: name.replace("-", "_")), st.data())
def test_a_name_in_capitals_is_recognised(names: list[str], data: st.DataObject) -> None:
    """Whatever else is allowed."""
    meant = data.draw(st.sampled_from(names))
    assert allowed(meant.upper(), names).endswith(f" (did you mean {meant!r}?)")
