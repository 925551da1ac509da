"""What alerts count of requests: the same of decisions and of their records, exact, and in the quarter of arrival."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from router.core.budget import nano_of
from router.core.counting import (
    COUNTERS,
    NOT_JUDGED,
    QUARTER_S,
    added,
    all_models,
    counts_of,
    quarter_of,
    record_counts,
)
from router.core.decision import Decision, Outcome
from router.core.record import decision_dict
from router.core.window import parse_window, span, unix_s
from router.testing.records import decision_of

OUTCOMES: tuple[Outcome, ...] = ("answer", "server_error", "refused", "unusable", "timed_out", "too_long", "filtered")
SUMS = st.dictionaries(
    st.tuples(st.sampled_from(COUNTERS), st.sampled_from(["", "m1"])), st.integers(0, 10**15), max_size=4
)
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2037, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001 - of the strategy's own


@st.composite
def decisions(draw: st.DrawFn) -> Decision:
    """Draws a decision: some attempts, whose outcome, cost and commitment are anything."""
    outcomes: Sequence[Outcome] = draw(st.lists(st.sampled_from(OUTCOMES), max_size=4))
    made = decision_of(outcomes=outcomes, cached=draw(st.booleans()), priced=draw(st.booleans()))
    changed = [
        replace(
            attempt,
            outcome=draw(st.sampled_from([attempt.outcome, "cancelled"])),
            committed=draw(st.booleans()),
            held=draw(st.sampled_from([None, None, None, "queue_full"])),
            cost_usd=draw(st.none() | st.decimals(0, 10, places=12)),
        )
        for attempt in made.attempts
    ]
    ending = draw(st.sampled_from([made.ending, "committed"]))
    return replace(made, attempts=tuple(changed), ending=ending, time=draw(TIMES))


@given(decisions())
def test_a_record_counts_as_its_decision_does(decision: Decision) -> None:
    """So a log says what the rules saw."""
    assert counts_of([decision]) == {quarter_of(decision.time): record_counts(decision_dict(decision))}


@given(decisions())
def test_the_sums_are_those_of_the_decision(decision: Decision) -> None:
    """Attempts that were made count, each where it belongs; money is theirs, each rounded up to a nano-dollar."""
    [sums] = counts_of([decision]).values()
    made = [attempt for attempt in decision.attempts if attempt.held is None]
    judged = [attempt for attempt in made if attempt.outcome not in NOT_JUDGED]
    known = [attempt for attempt in made if attempt.cost_usd is not None]
    assert sums["requests", ""] == 1
    assert sum(all_models(sums, "attempts").values()) == len(made)
    assert sum(all_models(sums, "judged").values()) == len(judged)
    assert sum(all_models(sums, "failures").values()) == sum(one.outcome != "answer" for one in judged)
    assert sum(all_models(sums, "unpriced_attempts").values()) == len(made) - len(known)
    assert sums.get(("unpriced", ""), 0) == (len(known) < len(made))
    assert sums.get(("spent_nano", ""), 0) == sum(nano_of(one.cost_usd or Decimal(0)) for one in known)
    assert sums.get(("lookups", ""), 0) == (decision.lookup is not None)
    assert sums.get(("hits", ""), 0) == (decision.cache != "none")


@given(decisions())
def test_waste_is_that_of_the_decision(decision: Decision) -> None:
    """What is wasted is what `Decision.waste_usd` says, to the rounding of each attempt."""
    decision = replace(
        decision, attempts=tuple(a for a in decision.attempts if a.held is None and a.cost_usd is not None)
    )
    [sums] = counts_of([decision]).values()
    wasted, exact = sums.get(("wasted_nano", ""), 0), decision.waste_usd
    assert exact is not None
    assert 0 <= wasted - exact * 10**9 < max(1, len(decision.attempts))
    assert wasted <= sums.get(("spent_nano", ""), 0)


@given(st.lists(decisions(), max_size=5))
def test_decisions_add_up(several: list[Decision]) -> None:
    """Those of several are the sums of each, by the quarter in which each arrived."""
    expected: dict[int, dict[tuple[str, str], int]] = {}
    for decision in several:
        quarter = quarter_of(decision.time)
        expected[quarter] = added(expected.get(quarter, {}), record_counts(decision_dict(decision)))
    assert counts_of(several) == expected


@given(SUMS, SUMS)
def test_adding_changes_neither(one: dict[tuple[str, str], int], other: dict[tuple[str, str], int]) -> None:
    """Sums are added name by name, in any order, and what is given stays as it is."""
    before = dict(one), dict(other)
    both = added(one, other)
    assert both == added(other, one)
    assert both == {of: one.get(of, 0) + other.get(of, 0) for of in one.keys() | other.keys()}
    assert (one, other) == before


@given(TIMES, st.sampled_from(["UTC", "Asia/Kolkata", "Asia/Kathmandu", "America/New_York", "Australia/Lord_Howe"]))
def test_quarters_make_up_hours_and_days(at: datetime, zone: str) -> None:
    """In each zone a quarter is whole in one hour and in one day, whatever the clock was set by."""
    start_s = quarter_of(at)
    last = datetime.fromtimestamp(start_s + QUARTER_S, UTC) - timedelta(microseconds=1)
    assert start_s <= at.timestamp() < start_s + QUARTER_S
    for period in ("hour", "day"):
        window = parse_window(period, time_zone=zone)
        within = span(window, at)
        assert span(window, datetime.fromtimestamp(start_s, UTC)) == span(window, last) == within
        assert (unix_s(within.start) or 0) % QUARTER_S == 0


def test_every_outcome_is_judged_or_not() -> None:
    """An outcome that somebody adds is looked at here: it counts as a failure unless it is named."""
    outcomes = {one for part in get_args(Outcome) for one in (get_args(part) or (part,))}
    assert outcomes >= NOT_JUDGED
    assert "answer" in outcomes - NOT_JUDGED


def test_a_look_in_vain_is_no_hit() -> None:
    """A request that looked into the cache and was answered by a model counts as a look alone."""
    hit = decision_of(cached=True)
    assert hit.lookup is not None
    [sums] = counts_of([hit, replace(hit, lookup=replace(hit.lookup, hit=None))]).values()
    assert (sums["lookups", ""], sums["hits", ""]) == (2, 1)


def test_what_one_request_counts() -> None:
    """A failed attempt and an answer: both cost, the first of them for nothing."""
    decision = decision_of(outcomes=["server_error", "answer"])
    [sums] = counts_of([decision]).values()
    assert decision.cost_usd is not None
    assert decision.waste_usd is not None
    assert sums == {
        ("requests", ""): 1,
        ("attempts", "m1"): 1,
        ("judged", "m1"): 1,
        ("failures", "m1"): 1,
        ("attempts", "m2"): 1,
        ("judged", "m2"): 1,
        ("spent_nano", ""): nano_of(decision.cost_usd),
        ("wasted_nano", ""): nano_of(decision.waste_usd),
    }


def test_what_nobody_can_price_is_counted_apart() -> None:
    """Its request and its attempt are of unknown cost; those held back at the gate are no attempts at all."""
    decision = decision_of(priced=False)
    held = replace(decision.attempts[0], outcome="cancelled", held="queue_full")
    [sums] = counts_of([replace(decision, attempts=(held, *decision.attempts))]).values()
    assert sums == {
        ("requests", ""): 1,
        ("attempts", "m1"): 1,
        ("judged", "m1"): 1,
        ("unpriced_attempts", "m1"): 1,
        ("unpriced", ""): 1,
    }


def test_a_stream_given_up_is_wasted_unless_it_was_read() -> None:
    """What the caller had seen the beginning of was of use, unless it broke; what nobody saw was not."""
    [attempt] = decision_of().attempts
    for committed, ending, wasted in (
        (True, "cancelled", False),
        (False, "cancelled", True),
        (True, "committed", True),
    ):
        cut = replace(attempt, outcome="cancelled", committed=committed)
        [sums] = counts_of([replace(decision_of(), attempts=(cut,), ending=ending)]).values()  # type: ignore[arg-type]  # of a tuple of texts
        assert (("wasted_nano", "") in sums) is wasted
        assert sums["attempts", "m1"] == 1
        assert ("judged", "m1") not in sums
