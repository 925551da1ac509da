"""Breakers: what opens them, for how long, and what closes them again."""

from __future__ import annotations

from dataclasses import replace
from math import comb, inf
from random import Random
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from router.core.breaker import (
    BEARING,
    KEY_BEARING,
    Breaker,
    BreakerSettings,
    Closed,
    HalfOpen,
    Open,
    Told,
    admits,
    calm,
    entered,
    orphaned,
    shut_s,
    told,
    told_key,
)
from router.core.decision import Outcome
from router.core.failure import FailureClass

SETTINGS = BreakerSettings()
OUTCOMES: tuple[Outcome, ...] = ("answer", "cancelled", *get_args(FailureClass))
NEUTRAL = [outcome for outcome in OUTCOMES if BEARING[outcome] == "nothing"]


def after(breaker: Breaker, *outcomes: Outcome, now_s: float = 0.0, **fields: float) -> Breaker:
    """Returns the breaker after attempts that each began when it stood as the one before left it."""
    for outcome in outcomes:
        end = Told(outcome=outcome, epoch=breaker.epoch, probe=isinstance(breaker, HalfOpen), **fields)
        breaker = told(breaker, end, now_s, SETTINGS)
    return breaker


def times(count: int, *outcomes: Outcome) -> list[Outcome]:
    """Returns the outcomes so many times over."""
    return [*outcomes] * count


def opened(now_s: float = 0.0) -> Open:
    """Returns a breaker that failures opened."""
    breaker = after(Closed(), *times(5, "server_error"), now_s=now_s)
    assert isinstance(breaker, Open)
    return breaker


class Provider(RuleBasedStateMachine):
    """Attempts come and end in any order, with any outcome, at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker: Breaker = Closed()
        self.now_s = 0.0
        self.under_way: list[tuple[int, bool]] = []

    @rule(seconds=st.floats(0, 400))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    @rule(last=st.booleans())
    def enter(self, last: bool) -> None:
        if admits(self.breaker, self.now_s) or last:
            before, self.breaker = self.breaker, entered(self.breaker, self.now_s)
            self.under_way.append((self.breaker.epoch, self.breaker is not before))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), outcome=st.sampled_from(OUTCOMES), retry_after_s=st.none() | st.floats(0, 1e6))
    def end(self, data: st.DataObject, outcome: Outcome, retry_after_s: float | None) -> None:
        epoch, probe = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        end = Told(outcome=outcome, epoch=epoch, probe=probe, retry_after_s=retry_after_s)
        before = self.breaker
        self.breaker = told(before, end, self.now_s, SETTINGS)
        assert self.breaker.epoch >= before.epoch
        if epoch != before.epoch:
            assert self.breaker is before, "an attempt of an earlier epoch counts no more"
        if outcome in NEUTRAL and not probe:
            assert self.breaker is before, "the caller's doing is not held against a provider"

    @invariant()
    def one_probe_at_most(self) -> None:
        """A half-open breaker has exactly one probe of its epoch on its way, so it cannot stay so for ever."""
        probes = self.under_way.count((self.breaker.epoch, True))
        assert probes == 1 if isinstance(self.breaker, HalfOpen) else True
        if isinstance(self.breaker, Open):
            assert probes == 0

    @invariant()
    def never_shut_for_long(self) -> None:
        """Nothing that a provider says or does shuts it for longer than the longest opening."""
        wait_s = shut_s(self.breaker, self.now_s)
        assert wait_s is None or wait_s <= SETTINGS.open_most_s + 1e-6
        assert admits(self.breaker, self.now_s) == (wait_s == 0.0)


TestProvider = Provider.TestCase


def test_every_outcome_bears_on_both_breakers() -> None:
    """No way in which an attempt can end is forgotten."""
    assert set(BEARING) == set(KEY_BEARING) == set(OUTCOMES)


@pytest.mark.parametrize("outcome", ["server_error", "timed_out", "cut", "not_sent", "no_such_model", "refused"])
def test_failures_one_after_another_open_it(outcome: Outcome) -> None:
    """Five failures in a row open it for 30 seconds; four do not."""
    four = after(Closed(), *times(4, outcome))
    assert admits(four, 0.0)
    five = after(four, outcome)
    assert isinstance(five, Open)
    assert five.cause == outcome
    assert shut_s(five, 0.0) == 30.0
    assert not admits(five, 29.9)
    assert admits(five, 30.0)


def test_an_answer_ends_a_run() -> None:
    """Failures with an answer between them are not one after another."""
    breaker = after(Closed(), *times(4, "server_error"), "answer", *times(4, "server_error"))
    assert admits(breaker, 0.0)


def test_unusable_answers_open_it_by_their_share_alone() -> None:
    """An unusable answer is half a failure, and no link of a run: eighteen are as many as nine failures."""
    breaker = after(Closed(), *times(17, "unusable"))
    assert admits(breaker, 0.0)
    assert isinstance(after(breaker, "unusable"), Open)


def test_a_share_of_failures_opens_it() -> None:
    """Nine failures among the last thirty open it however they are spread; eight do not."""
    pattern: list[Outcome] = ["server_error", "answer", "answer"]
    breaker = after(Closed(), *pattern * 8, "answer", "answer")
    assert admits(breaker, 0.0)
    assert isinstance(after(Closed(), *pattern * 8, "server_error"), Open)


def test_failures_are_forgotten_after_a_while_without_one() -> None:
    """After a minute without a failure, old ones count no more; the next one starts a new count."""
    breaker = after(Closed(), *times(4, "server_error"))
    later = after(breaker, "server_error", now_s=60.1)
    assert isinstance(later, Closed)
    assert (later.run, later.failed) == (1, 1)
    assert calm(after(breaker, "answer", now_s=60.1))


def test_a_brown_out_opens_it_soon() -> None:
    """With 30 % faults and 20 % empty answers it opens after some 23 attempts, and in nine runs of ten within 34."""
    needed = sorted(attempts_until_open(Random(seed)) for seed in range(400))
    assert 18 <= sum(needed) / len(needed) <= 26
    assert needed[360] <= 34


def attempts_until_open(chance: Random) -> int:
    """Returns how many attempts of a brown-out it takes, after a long time without trouble."""
    breaker: Breaker = after(Closed(), *times(30, "answer"))
    count = 0
    while isinstance(breaker, Closed):
        draw = chance.random()
        breaker = after(breaker, "server_error" if draw < 0.3 else "unusable" if draw < 0.5 else "answer")
        count += 1
    return count


def test_a_healthy_provider_practically_never_opens_it() -> None:
    """With 2 % independent failures, less than one attempt in 200 million opens it (a union bound, no luck in it)."""
    failing, window = 0.02, SETTINGS.window_attempts
    least = round(SETTINGS.failure_share * window)
    before = sum(comb(window - 1, k) * failing**k * (1 - failing) ** (window - 1 - k) for k in range(least - 1, window))
    by_share, by_run = failing * before, failing**SETTINGS.consecutive_failures
    assert by_share + by_run < 1 / 200e6


def test_each_opening_lasts_longer() -> None:
    """A failed probe opens it for 30 seconds more than the time before, at most for 300."""
    breaker: Breaker = opened()
    now_s, spans = 0.0, []
    for _ in range(12):
        wait_s = shut_s(breaker, now_s)
        assert wait_s is not None
        spans.append(round(wait_s))
        now_s += wait_s
        breaker = after(entered(breaker, now_s), "timed_out", now_s=now_s)
    assert spans == [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300]


def test_one_probe_at_a_time() -> None:
    """When it is due, one attempt passes and the next does not, until that one has ended."""
    half = entered(opened(), 30.0)
    assert isinstance(half, HalfOpen)
    assert not admits(half, 30.0)
    assert shut_s(half, 30.0) is None
    assert entered(half, 30.0) is half


def test_a_good_probe_closes_it() -> None:
    """After an answer all may pass; earlier openings are forgotten one a minute."""
    closed = after(entered(opened(), 30.0), "answer", now_s=31.0)
    assert isinstance(closed, Closed)
    assert closed == Closed(epoch=1, ejections=1, closed_s=31.0)
    soon = after(closed, *times(5, "cut"), now_s=40.0)
    late = after(closed, *times(5, "cut"), now_s=92.0)
    assert shut_s(soon, 40.0) == 60.0
    assert shut_s(late, 92.0) == 30.0


@pytest.mark.parametrize("outcome", NEUTRAL)
def test_a_probe_that_says_nothing_frees_its_place(outcome: Outcome) -> None:
    """When a probe's caller gave up, or had itself to blame, the next attempt is the probe, at once."""
    freed = after(entered(opened(), 30.0), outcome, now_s=35.0)
    assert isinstance(freed, Open)
    assert admits(freed, 35.0)
    assert freed.ejections == 1


def test_a_refused_probe_waits_as_long_as_it_was_told() -> None:
    """A probe that is told to come back in 7 seconds makes 7 seconds, and the opening counts no further."""
    again = after(entered(opened(), 30.0), "refused", now_s=30.0, retry_after_s=7.0)
    assert isinstance(again, Open)
    assert shut_s(again, 30.0) == 7.0
    assert again.ejections == 1


def test_a_rest_is_no_failure() -> None:
    """A refusal that says how long gets just that, however often; a later, shorter one does not cut it down."""
    breaker = after(Closed(), *times(20, "refused"), retry_after_s=12.0)
    assert breaker == Closed(rest_until_s=12.0)
    assert not admits(breaker, 11.9)
    assert admits(breaker, 12.0)
    assert after(breaker, "refused", now_s=1.0, retry_after_s=2.0) == breaker


def test_a_rest_is_no_longer_than_the_longest_opening() -> None:
    """A provider that asks for a day gets five minutes."""
    assert shut_s(after(Closed(), "refused", retry_after_s=86_400.0), 0.0) == 300.0


def test_who_passes_an_open_breaker_may_close_it() -> None:
    """An attempt that was sent in spite of an open breaker closes it with an answer, and makes nothing worse."""
    breaker = opened()
    assert after(breaker, "server_error", now_s=1.0) is breaker
    assert isinstance(after(breaker, "answer", now_s=1.0), Closed)


@given(outcome=st.sampled_from(OUTCOMES))
def test_what_began_before_an_opening_does_not_count_after_it(outcome: Outcome) -> None:
    """Answers and failures that were on their way when it opened leave it as it is."""
    breaker = opened()
    stale = Told(outcome=outcome, epoch=breaker.epoch - 1)
    assert told(breaker, stale, 1.0, SETTINGS) is breaker
    assert told_key(breaker, stale, 1.0, SETTINGS) is breaker


def test_a_lost_probe_is_made_again() -> None:
    """Where a probe cannot report, as after a fork, the next attempt is the probe; others are left as they are."""
    half = entered(opened(), 30.0)
    assert admits(orphaned(half), 0.0)
    assert shut_s(orphaned(half), 0.0) == 0.0
    assert orphaned(Closed()) == Closed()


def key_after(breaker: Breaker, *outcomes: Outcome, now_s: float = 0.0, retry_after_s: float | None = None) -> Breaker:
    """As `after`, for a key's breaker."""
    for outcome in outcomes:
        probe = isinstance(breaker, HalfOpen)
        end = Told(outcome=outcome, epoch=breaker.epoch, probe=probe, retry_after_s=retry_after_s)
        breaker = told_key(breaker, end, now_s, SETTINGS)
    return breaker


@pytest.mark.parametrize("outcome", ["denied", "out_of_quota"])
def test_a_bad_key_is_left_alone_at_once(outcome: Outcome) -> None:
    """One denial is enough, for five minutes; a daily allowance that says when it returns, until then or an hour."""
    assert shut_s(key_after(Closed(), outcome), 0.0) == 300.0
    assert shut_s(key_after(Closed(), outcome, retry_after_s=900.0), 0.0) == 900.0
    assert shut_s(key_after(Closed(), outcome, retry_after_s=86_400.0), 0.0) == 3_600.0
    assert isinstance(after(Closed(), outcome), Closed)


def test_other_outcomes_say_nothing_against_a_key() -> None:
    """A provider's faults leave its keys alone."""
    good: list[Outcome] = [outcome for outcome in OUTCOMES if outcome not in ("denied", "out_of_quota")]
    assert key_after(Closed(), *good) == Closed()


def test_a_key_is_probed_too() -> None:
    """A probe that gets past the key closes it, one that fails elsewhere says nothing, one denied doubles the time."""
    half = entered(key_after(Closed(), "denied"), 300.0)
    assert isinstance(key_after(half, "invalid", now_s=300.0), Closed)
    assert admits(key_after(half, "timed_out", now_s=300.0), 300.0)
    assert shut_s(key_after(half, "denied", now_s=300.0), 300.0) == 600.0
    assert key_after(opened(), "denied") == opened()


def test_a_key_that_worked_for_long_is_forgiven() -> None:
    """An earlier denial makes the next one last longer, unless the key has worked for an hour."""
    closed = replace(Closed(), ejections=1, closed_s=0.0)
    assert shut_s(key_after(closed, "denied", now_s=10.0), 10.0) == 600.0
    assert shut_s(key_after(closed, "denied", now_s=3_600.0), 3_600.0) == 300.0
    assert Closed().closed_s == -inf


def test_what_is_counted_of_each_attempt() -> None:
    """Failures and unusable answers in their windows, and failures one after another; refusals in the run alone."""
    once = after(Closed(), "server_error", now_s=1.0)
    assert once == Closed(run=1, failed=0b1, failed_s=1.0)
    assert after(once, "refused", now_s=2.0) == Closed(run=2, failed=0b1, failed_s=2.0)
    assert after(once, "unusable", now_s=2.0) == Closed(run=1, failed=0b10, unusable=0b1, failed_s=2.0)
    answered = after(once, "answer", now_s=2.0)
    assert answered == Closed(run=0, failed=0b10, failed_s=1.0)
    assert not calm(answered)
    assert not calm(after(Closed(), "unusable", "answer"))
    assert not calm(after(Closed(), "refused"))
    assert calm(Closed())
    assert calm(Closed(epoch=3, ejections=1, rest_until_s=9.0))
    assert not calm(opened())


def test_an_answer_does_not_keep_failures_in_mind() -> None:
    """They are forgotten a minute after the last of them, whatever came well in between."""
    once = after(after(Closed(), "server_error", now_s=0.0), "answer", now_s=50.0)
    assert after(once, "server_error", now_s=60.0) == Closed(run=1, failed=0b101, failed_s=60.0)
    assert after(once, "server_error", now_s=60.1) == Closed(run=1, failed=0b1, failed_s=60.1)


def test_what_began_before_a_refused_probe_does_not_count() -> None:
    """The rest that a probe was given is an opening of its own, with the cause that it had."""
    half = entered(opened(), 30.0)
    again = after(half, "refused", now_s=30.0, retry_after_s=7.0)
    assert again == Open(epoch=2, until_s=37.0, ejections=1, cause="server_error")
    assert after(half, "cancelled", now_s=31.0) == Open(epoch=1, until_s=31.0, ejections=1, cause="server_error")
    assert after(half, "server_error", now_s=31.0) == Open(epoch=2, until_s=91.0, ejections=2, cause="server_error")
    assert after(half, "cut", now_s=31.0) == Open(epoch=2, until_s=91.0, ejections=2, cause="cut")
    assert orphaned(half) == Open(epoch=1, until_s=-inf, ejections=1, cause="server_error")
