"""Frozen dataclasses with a quicker `__init__` are what they would be without it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.quick import quick


@dataclass(frozen=True, slots=True)
class Plain:
    """One of every sort of field."""

    first: int
    second: str = "two"
    tags: list[int] = field(default_factory=list)
    named: float = field(kw_only=True)
    other: dict[str, int] = field(default_factory=dict, kw_only=True)
    memo: list[int] = field(default_factory=list, init=False, compare=False)
    fixed: int = field(default=7, kw_only=True)


@quick
@dataclass(frozen=True, slots=True)
class Quick:
    """The same."""

    first: int
    second: str = "two"
    tags: list[int] = field(default_factory=list)
    named: float = field(kw_only=True)
    other: dict[str, int] = field(default_factory=dict, kw_only=True)
    memo: list[int] = field(default_factory=list, init=False, compare=False)
    fixed: int = field(default=7, kw_only=True)


class Own(Quick):
    """A subclass with fields beyond the slots."""


GIVEN = st.fixed_dictionaries(
    {},
    optional={
        "first": st.integers(),
        "second": st.text(),
        "tags": st.lists(st.integers()),
        "named": st.floats(allow_nan=False),
        "other": st.dictionaries(st.text(), st.integers()),
        "fixed": st.integers(),
        "memo": st.just([]),
        "unknown": st.none(),
    },
)


def outcome(make: Callable[..., Any], *placed: Any, **named: Any) -> tuple[Any, ...]:
    """Returns the fields of what is made, or the error, whichever class it is of."""
    try:
        made = make(*placed, **named)
    except TypeError as error:
        return type(error), str(error).replace("Quick", "Plain").replace("Own", "Plain")
    return tuple(getattr(made, f.name) for f in fields(made))


@given(st.lists(st.integers(), max_size=4), GIVEN, st.sampled_from([Quick, Own]))
def test_it_is_made_as_any_dataclass_is(placed: list[int], named: dict[str, Any], kind: type[Any]) -> None:
    """The same arguments give the same fields, or the same error; a subclass too."""
    assert outcome(kind, *placed, **named) == outcome(Plain, *placed, **named)


@given(GIVEN)
def test_it_is_compared_and_replaced_as_any_dataclass_is(named: dict[str, Any]) -> None:
    """It is of its own class once it is made, equal to another with the same fields, and lets a field be replaced."""
    one = Quick(first=1, named=2.0)
    assert type(one) is Quick
    assert one == Quick(1, named=2.0)
    changed = {name: value for name, value in named.items() if name not in ("memo", "unknown")}
    assert outcome(replace, one, **changed) == outcome(replace, Plain(first=1, named=2.0), **changed)


def test_it_stays_frozen_and_shares_nothing() -> None:
    """No field can be set, and what a factory makes is made for each value."""
    one, other = Quick(1, named=2.0), Quick(1, named=2.0)
    with pytest.raises(FrozenInstanceError):
        one.first = 2  # type: ignore[misc]  # what must not be done is tried
    one.tags.append(1)
    one.memo.append(1)
    assert (other.tags, other.other, other.memo) == ([], {}, [])


def test_it_tells_its_parameters() -> None:
    """Whoever builds values from a signature sees that of the dataclass."""
    assert str(inspect.signature(Quick)) == str(inspect.signature(Plain))
    assert Quick.__init__.__annotations__ == Plain.__init__.__annotations__


def test_a_class_with_work_after_its_init_is_refused() -> None:
    """Its check would be left out without a word."""

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Checked:
        value: int

        def __post_init__(self) -> None:
            raise ValueError(self.value)

    with pytest.raises(TypeError, match="__post_init__"):
        quick(Checked)
