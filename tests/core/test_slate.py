"""Slates: nothing gets lost between live and dropped, and costs are computed when somebody asks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from router.core.slate import Candidate, Slate
from tests.core.builders import features, model

NAMES = st.sampled_from("abcdef")
SLATES = st.lists(NAMES, unique=True).map(lambda names: slate(*names))


def slate(*names: str) -> Slate:
    """Returns a slate of models that differ in their names alone, all live."""
    return Slate(tuple(Candidate(model=model(name), features=features(), expected_output_tokens=10) for name in names))


def members(slate: Slate) -> list[str]:
    """Returns the names of all candidates, live or dropped, sorted."""
    return sorted([c.name for c in slate] + [d.name for d in slate.dropped])


@given(before=SLATES, out=st.frozensets(NAMES))
def test_who_is_dropped_has_a_reason_and_the_rest_keeps_its_order(before: Slate, out: frozenset[str]) -> None:
    """Dropping moves candidates and loses none; where nobody falls the slate stays what it was."""
    after = before.drop(lambda c: "unwanted" if c.name in out else None, by="test")
    assert members(after) == members(before)
    assert [c.name for c in after] == [c.name for c in before if c.name not in out]
    assert {(d.by, d.reason) for d in after.dropped} <= {("test", "unwanted")}
    assert len(after) == len(before) - len(after.dropped)
    assert (after is before) == (not after.dropped)


@given(before=SLATES, keys=st.dictionaries(NAMES, st.integers(0, 2)))
def test_ranking_sorts_by_the_key_and_then_by_name(before: Slate, keys: dict[str, int]) -> None:
    """Lowest first; equals come in the order of their names, so that no order is left to chance."""
    after = before.rank(lambda c: keys.get(c.name, 0))
    assert [c.name for c in after] == sorted((c.name for c in before), key=lambda name: (keys.get(name, 0), name))
    assert after.dropped == before.dropped


@given(before=SLATES, names=st.lists(NAMES))
def test_picking_leaves_the_named_ones_in_their_order(before: Slate, names: list[str]) -> None:
    """A name that is not live is passed over, one that stands twice counts once, and all others fall."""
    after = before.pick(names, by="test", reason="not named")
    known = {c.name for c in before}
    assert [c.name for c in after] == [name for name in dict.fromkeys(names) if name in known]
    assert members(after) == members(before)


def test_a_cost_is_computed_once() -> None:
    """The second look at a candidate's cost is the first one's value; the class itself has only its documentation."""
    (candidate,) = slate("a")
    assert "worst_usd" not in vars(candidate)
    first = candidate.worst_usd
    assert first is not None
    assert candidate.worst_usd is first
    assert vars(candidate)["worst_usd"] is first
    assert "at most" in (Candidate.worst_usd.__doc__ or "")


def test_what_was_dropped_stays_dropped_when_the_rest_is_ranked() -> None:
    """Ranking sorts the live ones, by name where they are alike, and keeps the record of the others."""
    models = [model(name) for name in ("c", "a", "b")]
    before = Slate(tuple(Candidate(model=m, features=features(), expected_output_tokens=1) for m in models))
    fallen = before.drop(lambda c: "it is b" if c.name == "b" else None, by="me")
    ranked = fallen.rank(lambda _: 0)
    assert [c.name for c in ranked.live] == ["a", "c"]
    assert ranked.dropped == fallen.dropped
    assert [(d.name, d.by, d.reason) for d in ranked.dropped] == [("b", "me", "it is b")]
