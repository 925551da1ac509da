"""`check_state`: the quotas that ship pass, and each broken store is caught, with the shortest history as code."""

from __future__ import annotations

import time
from typing import Any

import pytest

from router.core.quota import QuotaSettings
from router.state.quotas import MemoryQuotas
from router.testing.state import STATE_RULES, Asks, StateBench, check_state, grants_as_many_at_once
from router.testing.trial import Breach
from tests.testing.broken_quotas import BROKEN, PlainQuotas

RULES = {rule.__name__: rule for rule in (*STATE_RULES, grants_as_many_at_once)}


@pytest.mark.parametrize("make", [MemoryQuotas, PlainQuotas])
def test_quotas_in_memory_pass(make: Any) -> None:
    """What ships with lowfare keeps every promise, and so does the shortest store there is."""
    check_state(make)


@pytest.mark.untraced
@pytest.mark.parametrize(("rule", "broken"), BROKEN, ids=lambda value: getattr(value, "__name__", value))
def test_broken_quotas_are_caught(rule: str, broken: type[PlainQuotas]) -> None:
    """A store that breaks a promise is told which, what it did, and the code that shows it again."""
    with pytest.raises(Breach) as caught:
        check_state(broken)
    breach = caught.value
    assert breach.rule == rule
    for part in (rule, breach.says, breach.promise):
        assert part in str(breach)
    with pytest.raises(Breach) as again:
        exec(breach.code, {"make": broken})  # noqa: S102 - the very thing that is promised
    assert again.value.rule == rule


def test_every_rule_can_be_broken() -> None:
    """For each rule there is a store that breaks it."""
    assert {rule for rule, _ in BROKEN} == RULES.keys()


def test_counterexamples_are_small() -> None:
    """A store that grants what it must not is shown with one retry, of one model."""

    class Generous(PlainQuotas):
        async def withdraw(self, model: str, now_s: float, /) -> Any:
            return self.withdrawn(model, now_s) or True

    with pytest.raises(Breach, match=r"step 0 was granted where 0\.000 retries were left") as caught:
        check_state(Generous)
    assert "Asks(least_per_s=0.0, steps=((0.0, 'retry', 'a'),))" in caught.value.code


def test_methods_that_hang_are_not_waited_for() -> None:
    """Neither in one thread nor in many."""

    class Slow(PlainQuotas):
        def withdrawn(self, model: str, now_s: float) -> bool:
            time.sleep(1)
            return True

    with pytest.raises(Breach, match=r"a method hung: no return within 0\.1 s"):
        check_state(Slow, patience_s=0.1)
    with pytest.raises(Breach, match=r"withdraw\(\) hung in 8 threads: no return within 0\.12 s"):
        grants_as_many_at_once(StateBench(Slow, 0.02), Asks())


async def test_a_check_works_inside_a_coroutine() -> None:
    """A test that runs in an event loop may call it, too."""
    assert Asks().settings == QuotaSettings(share=0.5, least_per_s=0.3, ttl_s=10.0)
    check_state(MemoryQuotas, examples=5)
