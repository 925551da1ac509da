"""The table of rules."""

from __future__ import annotations

from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from router.core.failure import FailureClass
from router.core.failure_rule import Rule, Signs, codes, wording
from router.core.failure_rules import RULES, kind_of

SIGNS = st.builds(
    Signs,
    provider=st.text(),
    status=st.none() | st.integers(0, 999),
    codes=st.frozensets(st.text(max_size=5), max_size=3),
    words=st.text(),
)


def signs(**fields: object) -> Signs:
    """Returns signs of an error of which only the given fields matter."""
    return Signs(**{"provider": "any", "status": 400, "codes": frozenset(), "words": ""} | fields)  # type: ignore[arg-type]  # one dictionary for fields of several types


@given(SIGNS)
def test_every_error_has_a_class(given_: Signs) -> None:
    """The last rule fits everything."""
    assert kind_of(given_) in get_args(FailureClass)


def test_rules_are_told_apart_by_name() -> None:
    """A name says what a row recognises; two rows of one name would be one row."""
    names = [rule.name for rule in RULES]
    assert len(names) == len(set(names))


def test_codes_are_lower_case() -> None:
    """Bodies are read in lower case: a code in capitals would never fit."""
    assert all(code == code.lower() for rule in RULES for code in rule.codes)


def test_a_code_belongs_to_one_rule() -> None:
    """The second row with a code would never see it."""
    seen = [code for rule in RULES for code in rule.codes if not rule.statuses]
    assert len(seen) == len(set(seen))


def test_a_rule_fits_within_its_limits() -> None:
    """Status and provider limit a row; a code or a wording lets it fit; an exception keeps it from fitting."""
    rule = Rule(
        name="x",
        kind="denied",
        statuses=frozenset({400}),
        codes=codes("Bad"),
        words=wording("worse"),
        unless=wording("fine"),
        providers=frozenset({"p"}),
    )
    assert rule.fits(signs(provider="p", codes=frozenset({"bad"})))
    assert rule.fits(signs(provider="p", words="much WORSE"))
    assert not rule.fits(signs(provider="p", words="good"))
    assert not rule.fits(signs(provider="p", words="worse but fine"))
    assert not rule.fits(signs(provider="q", words="worse"))
    assert not rule.fits(signs(provider="p", status=401, words="worse"))


def test_a_rule_of_codes_alone_needs_one() -> None:
    """Without a wording, another code does not do."""
    rule = Rule(name="x", kind="denied", codes=codes("bad"))
    assert not rule.fits(signs(codes=frozenset({"good"})))


def test_a_rule_of_a_status_alone_fits_by_it() -> None:
    """The rows at the end go by the status."""
    rule = Rule(name="x", kind="denied", statuses=frozenset({401}))
    assert rule.fits(signs(status=401))
    assert not rule.fits(signs(status=402))
