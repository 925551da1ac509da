from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from router import Context, Slate, Usd, statics
from router.core.money import USD_MOST
from router.core.naming import allowed
from tests.policies.strategies import features, model


def silent(slate: Slate, context: Context, /) -> Slate:
    """A policy that says nothing of itself."""
    return slate


def test_a_policy_that_says_nothing_promises_nothing() -> None:
    """It may leave anything, may empty a slate, reads statistics, and has neither limits nor patterns nor problems."""
    catalog = {"a": model("a")}
    assert statics.may_leave(silent, catalog) == catalog
    assert not statics.never_empties(silent)
    assert statics.reads_stats(silent)
    assert statics.problems(silent, catalog) == ()
    assert not statics.token_limits(silent) | statics.total_token_limits(silent)
    assert not statics.patterns(silent)


class Reader:
    """A policy with questions of its own, and an answer to each."""

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        return slate

    def token_limits(self) -> tuple[int, ...]:
        return (5,)

    def total_token_limits(self) -> tuple[int, ...]:
        return (6,)

    def patterns(self) -> tuple[str, ...]:
        return ("p",)

    def reads_stats(self) -> bool:
        return False


@dataclass(frozen=True)
class Around(Reader):
    """A policy that holds others and does not speak for them."""

    inner: Any
    name: str = "around"

    def token_limits(self) -> tuple[int, ...]:
        return (7,)


@pytest.mark.parametrize("inner", [Reader(), [Reader()], {"x": (Reader(),)}, Around(inner=Reader())])
def test_policies_inside_a_policy_are_asked_themselves(inner: object) -> None:
    """Whoever holds them, and in whatever a field can be; one that reads statistics is enough."""
    policy = Around(inner=inner)
    assert statics.token_limits(policy) == {5, 7}
    assert statics.total_token_limits(policy) == {6}
    assert statics.patterns(policy) == {"p"}
    assert not statics.reads_stats(policy)
    assert statics.reads_stats(Around(inner=(inner, silent)))


def test_the_parts_of_a_policy_have_their_paths() -> None:
    """Itself is the first; what is told of elsewhere is left out."""
    first, second = Reader(), Reader()
    policy = Around(inner={"x": [first, second]})
    assert [path for path, _ in statics.parts(policy, path=("p",))] == [
        ("p",),
        ("p", "inner", "x", 0),
        ("p", "inner", "x", 1),
    ]
    assert [part for _, part in statics.parts(policy, elsewhere=frozenset({id(first)}))] == [policy, second]


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        (r"\btranslate\b", None),
        ("(", "'(' is not a regular expression: missing ), unterminated subpattern at position 0"),
        ("(a+)+b", "'(a+)+' repeats what can match in several ways"),
    ],
)
def test_an_expression_that_is_none_or_might_never_end_has_a_fault(pattern: str, fault: str | None) -> None:
    """It would be matched against what users write, which may be made to hurt."""
    found = statics.pattern_fault(pattern)
    assert found is None if fault is None else (found or "").startswith(fault)


@given(st.text(max_size=20), st.sets(st.text(min_size=1, max_size=8)))
def test_every_allowed_name_is_listed_and_only_those_are_suggested(found: str, names: set[str]) -> None:
    """A suggestion is always one of the names."""
    text = allowed(found, names, none="nothing is")
    if not names:
        assert text == "nothing is"
        return
    listed = f"allowed: {', '.join(sorted(names))}"
    assert text == listed or text in {f"{listed} (did you mean {name!r}?)" for name in names}


@pytest.mark.parametrize(
    ("found", "meant"),
    [("Token-Tiers", "token_tiers"), ("tokentiers", "token_tiers"), ("tiers", "token_tiers"), ("cheapst", "Cheapest")],
)
def test_the_likeliest_name_is_suggested(found: str, meant: str) -> None:
    """Case, hyphens, slips and left-out parts do not hide what was meant."""
    assert allowed(found, ["token_tiers", "Cheapest", "x"]).endswith(f"(did you mean {meant!r}?)")


@pytest.mark.parametrize("found", ["zzz", "x1y2", "to"])
def test_nothing_is_suggested_where_nothing_is_near(found: str) -> None:
    """A wild guess would mislead."""
    assert "did you mean" not in allowed(found, ["token_tiers", "cheapest"])


@given(st.decimals(min_value=0, max_value=USD_MOST, places=30))
def test_money_as_a_string_is_exact(amount: Decimal) -> None:
    """What is written is what is meant, to the last digit."""
    assert TypeAdapter[Decimal](Usd).validate_python(str(amount)) == amount


@pytest.mark.parametrize("amount", [0.1, 1.0, "-0.01", "nan", "inf", "a lot", None, True, [1]])
def test_what_is_no_amount_is_refused(amount: object) -> None:
    """Floats are not exact, and negative, infinite or wordy amounts are none."""
    with pytest.raises(ValidationError):
        TypeAdapter[Decimal](Usd).validate_python(amount)


def test_limits_measure_the_exact_count_where_there_is_one() -> None:
    """Of several tokenizers the one that needs the most tokens decides; without a count the likely one does."""
    assert features(100).measured_tokens == 100
    assert features(100, exact_tokens={"o200k_base": 90, "other": 95}).measured_tokens == 95
