"""Values as code: what is printed evaluates to the value."""

from __future__ import annotations

import itertools
import math
from dataclasses import InitVar, dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import router
from policies import token_tiers
from policies.cheapest import Cheapest
from policies.token_tiers import TokenTiers
from router import Candidate, Context, Features, Model, Price, Rates, Request, Slate, Tier, TokenCount
from router.testing import as_code, as_script
from router.testing.traffic import Traffic
from router.testing.troubles import Spread

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def run(script: str) -> dict[str, Any]:
    """Runs statements on their own; returns what they assigned."""
    names: dict[str, Any] = {}
    exec(script, names)  # noqa: S102 - whether this runs is the question
    return names


class Colour(Enum):
    """An enumeration."""

    RED = 1


@dataclass(frozen=True)
class Pair:
    """A dataclass with fields by position, by keyword, and made by itself."""

    first: int
    second: int = 2
    third: int = field(default=3, kw_only=True)
    rest: list[int] = field(default_factory=list)
    made: int = field(default=0, init=False)
    ignored: InitVar[int] = 0

    def __post_init__(self, ignored: int) -> None:
        object.__setattr__(self, "made", ignored)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        -1,
        1.5,
        math.inf,
        -math.inf,
        b"\x00",
        'it\'s "quoted"\n',
        "ab" * 100,
        "a" * 59,
        "not periodic " * 3 + "at all, but long enough to be looked at",
        (),
        (1,),
        (1, 2),
        [[], {}],
        {"a": {1: None}},
        set(),
        {2, 1},
        frozenset(),
        frozenset({"b", "a"}),
        Decimal("1.50"),
        MappingProxyType({"a": 1}),
        Colour.RED,
        datetime(2026, 1, 1),  # noqa: DTZ001 - one without a zone
        NOON,
        datetime(2026, 1, 1, 0, 0, 0, 5, tzinfo=UTC),
        datetime(2026, 1, 1, 9, tzinfo=timezone(timedelta(hours=-5))),
        datetime(2026, 7, 1, tzinfo=ZoneInfo("Europe/Zurich")),
        date(2026, 1, 1),
        timedelta(days=1, seconds=5),
        Pair(1),
        Pair(1, 3),
        Pair(1, third=4, rest=[1]),
        Cheapest(),
        TokenTiers(tiers=(token_tiers.Tier(models=("a",), up_to_tokens=4), token_tiers.Tier(models=("b",)))),
        Price(tiers=(Tier(rates=Rates(input=Decimal(1))),)),
        Request(messages=({"role": "user", "content": "hi"},), headers={"x-team": "a"}),
        Traffic(stream_share=0.5, input_tokens=Spread(median=3)),
        int,
        Colour,
        as_code,
    ],
    ids=lambda value: type(value).__name__,
)
def test_code_evaluates_to_an_equal_value(value: Any) -> None:
    """Whatever is drawn can be pasted, imports and all."""
    again = run(as_script(value=value))["value"]
    assert again == value
    assert type(again) is type(value)
    assert as_code(again) == as_code(value)


def test_a_nan_is_one_again() -> None:
    """It is no equal of itself, but its code gives one."""
    assert math.isnan(run(as_script(value=math.nan))["value"])


def test_public_names_need_no_import_but_routers() -> None:
    """An expression of router's own types evaluates with `from router import *` and the standard names alone."""
    value = Model(
        name="a", id="openai/a", provider="openai", client="openai", price=Price(tiers=(Tier(rates=Rates()),))
    )
    assert eval(as_code(value), {**vars(router)}) == value  # noqa: S307 - whether this runs is the question


def test_what_is_at_its_default_is_left_out() -> None:
    """A reader sees what matters; what follows something left out has its keyword."""
    assert as_code(Pair(1)) == "Pair(1)"
    assert as_code(Pair(1, rest=[3])) == "Pair(1, rest=[3])"
    assert as_code(Features(input_tokens=TokenCount(low=1, likely=1, high=1))) == (
        "Features(input_tokens=TokenCount(low=1, likely=1, high=1))"
    )


def test_a_default_of_another_type_is_stated() -> None:
    """1 and 1.0 and True are equal, and are not the same option."""
    assert as_code(Pair(1, True)) == "Pair(1, True)"


def test_long_values_stand_on_several_lines() -> None:
    """Each part on a line of its own, closed by a comma."""
    assert as_code(["x" * 55 + "y", "z" * 50 + "w"]) == f"[\n    '{'x' * 55}y',\n    '{'z' * 50}w',\n]"
    nested = as_code([["x" * 30 + "yz", "y" * 30 + "zx", "z" * 30 + "xy"], 1])
    assert nested.splitlines()[1:3] == ["    [", f"        '{'x' * 30}yz',"]
    assert max(map(len, nested.splitlines())) <= 100


def test_huge_texts_are_written_as_what_they_are_made_of() -> None:
    """A counterexample with a prompt of a megabyte is read in one line."""
    assert as_code("word " * 200_000) == "'word ' * 200000"
    assert len(as_code("word " * 20 + "!")) == 103


def test_a_class_named_like_a_public_one_has_its_modules_name() -> None:
    """`Tier` is router's; that of a policy is told from it."""
    value = TokenTiers(tiers=(token_tiers.Tier(models=("a",)),))
    script = as_script(value=value, other=Tier(rates=Rates()))
    assert script.splitlines()[:3] == [
        "from policies import token_tiers",
        "from policies.token_tiers import TokenTiers",
        "from router import Rates, Tier",
    ]
    assert "token_tiers.Tier(models=('a',))" in script


def test_what_is_shared_is_assigned_once() -> None:
    """The features of a request stand in its context and in each candidate, and are written once."""
    features = Features(input_tokens=TokenCount(low=1, likely=1, high=1))
    model = Model(name="a", id="openai/a", provider="openai", client="openai")
    candidate = Candidate(model=model, features=features, expected_output_tokens=1)
    script = as_script(slate=Slate((candidate,)), context=Context(features=features, now=NOON, draw=0.5))
    assert script.count("TokenCount(") == 1
    names = run(script)
    assert names["slate"].live[0].features is names["context"].features is names["features"]


def test_names_of_shared_values_collide_with_none() -> None:
    """A value given under the name that would be chosen keeps it."""
    one, other = Pair(1), Pair(2)
    script = as_script(pair=5, first=[one, one], second=[other, other])
    assert [line.split(" = ")[0] for line in script.splitlines()[2:]] == ["pair_2", "pair_3", "pair", "first", "second"]
    assert run(script)["second"] == [other, other]


def test_a_given_value_is_named_by_its_name() -> None:
    """What is assigned before is not written again."""
    one = Pair(1)
    assert as_script(one=one, both=[one, one]).splitlines()[2:] == ["one = Pair(1)", "both = [one, one]"]


def test_imports_stand_in_the_order_of_linters() -> None:
    """The standard library first, then the others, sorted."""
    script = as_script(value=[Cheapest(), NOON, Decimal(1), Rates()])
    assert script.splitlines()[:6] == [
        "from datetime import UTC, datetime",
        "from decimal import Decimal",
        "",
        "from policies.cheapest import Cheapest",
        "from router import Rates",
        "",
    ]


class Plain:
    """A class without a repr of its own."""


class Choosy:
    """The same, with an argument that it needs."""

    def __init__(self, what: int, *more: int) -> None:
        self.what = what


class Odd(tzinfo):
    """A time zone of somebody's own."""

    def utcoffset(self, _: datetime | None, /) -> timedelta:
        return timedelta(hours=1)

    def dst(self, _: datetime | None, /) -> timedelta:
        return timedelta(0)

    def tzname(self, _: datetime | None, /) -> str:
        return "odd"

    def __repr__(self) -> str:
        return "Odd()"


def test_what_has_no_code_is_shown_as_well_as_can_be() -> None:
    """An instance by its class, a function without a name as an ellipsis, anything else by its repr."""
    assert as_code(Plain()) == "Plain()"
    assert as_code(Choosy(1)) == "Choosy(...)"
    assert as_code(lambda: None) == "..."
    assert as_code(datetime(2026, 1, 1, tzinfo=Odd())) == "datetime(2026, 1, 1, tzinfo=Odd())"
    assert run(as_script(value=itertools.count(3)))["value"].__reduce__() == itertools.count(3).__reduce__()
    assert as_code(...) == "Ellipsis"


def test_local_classes_are_named_and_not_imported() -> None:
    """A class inside a function cannot be imported; its name says what is meant."""

    @dataclass(frozen=True)
    class Local:
        x: int

    script = as_script(value=Local(1))
    assert script == "value = test_local_classes_are_named_and_not_imported.<locals>.Local(1)"
