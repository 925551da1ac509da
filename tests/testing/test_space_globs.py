from __future__ import annotations

from fnmatch import fnmatchcase
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.testing.space_globs import TooEntangled, witnesses

GLOBS = st.text(alphabet="ab*?[]!-", max_size=4)


@settings(max_examples=300)
@given(st.lists(GLOBS, max_size=4), st.booleans())
def test_every_combination_of_patterns_has_one_witness(patterns: list[str], empty: bool) -> None:
    """What some text matches of some patterns, a witness matches too; so no other text is told apart from all."""
    found = witnesses(patterns, empty=empty)
    seen = {tuple(fnmatchcase(text, p) for p in patterns) for text in found}
    texts = ["".join(signs) for length in range(6) for signs in product("ab!z", repeat=length)]
    assert seen >= {tuple(fnmatchcase(t, p) for p in patterns) for t in texts if t or empty}
    assert empty or "" not in found


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ([], ("other",)),
        (["legal", "support"], ("legal", "support", "other")),
        (["eu-*", "*-west"], ("other", "-west", "eu-", "eu-west")),
        (["*"], ("",)),
        (["x[ab]", "xa", "xb"], ("xa", "xb", "other")),
        (["other", "an*"], ("other", "an", "")),
    ],
)
def test_witnesses(patterns: list[str], expected: tuple[str, ...]) -> None:
    """Plain patterns stand for themselves, "other" for what matches none, and else the shortest text there is."""
    assert sorted(witnesses(patterns)) == sorted(expected)


def test_a_tenant_is_never_empty() -> None:
    """Where the empty text cannot occur, the next shortest stands for the combination."""
    assert witnesses(["*"], empty=False) == ("x",)


def test_patterns_that_make_too_many_combinations() -> None:
    """Patterns that are too entangled to list their combinations are refused, not guessed."""
    with pytest.raises(TooEntangled, match="more than"):
        witnesses([f"*{a}*{b}*{c}*" for a in "abc" for b in "def" for c in "ghi"])
