"""`check_ledger`: the ledgers that ship pass, and each broken one is caught, with the shortest history as code."""

from __future__ import annotations

import asyncio
import functools
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis.strategies import just

from router.core.budget import Claim, Refused, Reserved, Standing
from router.state.ledger_memory import MemoryLedger
from router.state.ledger_redis import RedisLedger
from router.state.ledger_sqlite import SqliteLedger
from router.testing import check_ledger
from router.testing.ledger_histories import History, Step, histories
from router.testing.ledgers import LEDGER_RULES, ONCE_RULES, LedgerBench, Rule, counts_as_the_claims_say
from router.testing.trial import Breach, smallest
from tests.redis_server import RedisServer
from tests.testing.broken_ledgers import BROKEN, LosesEveryHundredth, LosesSettles

RULES = {rule.__name__: rule for rule in (*LEDGER_RULES, *ONCE_RULES)}


def test_memory_passes() -> None:
    """A ledger in memory keeps every promise."""
    check_ledger(lambda _: MemoryLedger(), shared=False, examples=30)


def test_sqlite_passes(tmp_path: Path) -> None:
    """SQLite in a file keeps every promise, also where several have it open."""
    check_ledger(lambda name: SqliteLedger(str(tmp_path / name)), examples=10, patience_s=60)


@pytest.mark.parametrize(
    "steps",
    [
        (
            Step(does="sum", accounts=(2,)),
            Step(does="reserve", after_s=7_261.0),
            Step(does="reserve", claim=1, after_s=-7_200.0),
        ),
        (
            Step(does="reserve"),
            Step(does="settle", claim=1),
            Step(does="reserve", claim=1, after_s=3_600.0),
            Step(does="reserve", after_s=-3_600.0),
        ),
    ],
    ids=["further than a rolling window is kept", "from a time at which nobody was asked"],
)
def test_a_clock_may_be_set_back(steps: tuple[Step, ...]) -> None:
    """What a ledger need not know any more, or was never told, is not held against it."""
    counts_as_the_claims_say(LedgerBench(lambda _: MemoryLedger(), shared=False), History(steps=steps))


@pytest.mark.parametrize("cluster", [False, True])
def test_redis_passes(cluster: bool) -> None:
    """A real redis-server keeps every promise, one of a cluster as well."""
    with RedisServer(cluster=cluster) as server:
        check_ledger(
            lambda name: RedisLedger(server.url, prefix=name, cluster=cluster, answer_s=60.0),
            examples=10,
            patience_s=60,
        )


@pytest.mark.untraced
@pytest.mark.parametrize(("rule", "broken"), BROKEN, ids=lambda value: getattr(value, "__name__", value))
def test_broken_ledgers_are_caught(rule: str, broken: type[MemoryLedger]) -> None:
    """A ledger that breaks a promise is told what it did, what it had promised, and how to see it again."""
    bench = LedgerBench(lambda _: broken(), shared=False)
    breach = caught(RULES[rule], bench)
    assert breach is not None
    assert breach.rule == rule
    assert breach.promise
    with pytest.raises(Breach):
        exec(breach.code, {"make": bench.make})  # noqa: S102 - the very thing that is promised


def caught(rule: Rule, bench: LedgerBench) -> Breach | None:
    """Returns the breach of the shortest history in which a rule is broken."""
    cases = histories() if rule in LEDGER_RULES else just(History())
    return smallest(cases, functools.partial(rule, bench), examples=100, derandomize=True)


def test_the_whole_check_catches_them() -> None:
    """One call tries all rules."""
    for broken in (LosesSettles, LosesEveryHundredth):
        with pytest.raises(Breach):
            check_ledger(lambda _: broken(), shared=False, examples=10)  # noqa: B023 - called at once


def test_every_rule_can_be_broken() -> None:
    """For each rule there is a ledger that breaks it."""
    assert {rule for rule, _ in BROKEN} == RULES.keys()


async def test_it_works_inside_a_coroutine() -> None:
    """A test that runs in an event loop may call it, too; what a ledger raises is a breach."""
    with pytest.raises(Breach, match=r"a method raised OSError\('the disk is gone'\)"):
        check_ledger(lambda _: Gone(), shared=False, examples=5)


def test_a_ledger_that_hangs_is_not_waited_for() -> None:
    """A method that does not return is a breach, after the patience that was asked for."""
    with pytest.raises(Breach, match=r"hung: no return within 0\.1 s"):
        check_ledger(lambda _: Slow(), shared=False, examples=1, patience_s=0.1)


@pytest.mark.parametrize("fault", ["hangs", "raises"])
def test_threads_that_hang_or_raise_are_told(fault: str) -> None:
    """What happens in threads only is told as well."""
    with pytest.raises(Breach, match="in 8 threads"):
        check_ledger(lambda _: Crowded(fault), shared=False, examples=1, patience_s=0.3)


class Gone(MemoryLedger):
    async def reserve(self, claim: Claim, /) -> Reserved | Refused:
        raise OSError("the disk is gone")


class Slow(MemoryLedger):
    async def standings(self, entries: Any, /, *, now_s: float) -> Any:
        time.sleep(1)


class Crowded(MemoryLedger):
    """Minds the claims of the rule that comes in threads, which have two accounts and a thousand nano-dollars."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault

    async def reserve(self, claim: Claim, /) -> Reserved | Refused:
        if claim.amount_nano == 1_000 and claim.id.isdigit():
            if self.fault == "raises":
                raise OSError("too many")
            await asyncio.sleep(5)
        return await super().reserve(claim)


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ("one too few", r"standings\(\) of \d+ entries returned"),
        ("no answer", r"reserve\(\) returned a NoneType"),
        ("another claim", r"reserve\(\) answered for another claim"),
    ],
)
def test_answers_of_another_shape_are_told(answers: str, told: str) -> None:
    """An answer that is none is a breach that says so."""
    with pytest.raises(Breach, match=told):
        check_ledger(lambda _: Odd(answers), shared=False, examples=20)


class Odd(MemoryLedger):
    def __init__(self, answers: str) -> None:
        super().__init__()
        self.answers = answers

    async def standings(self, entries: Any, /, *, now_s: float) -> tuple[Standing, ...]:
        found = await super().standings(entries, now_s=now_s)
        return found[1:] if self.answers == "one too few" else found

    async def reserve(self, claim: Claim, /) -> Any:
        answer = await super().reserve(claim)
        if self.answers == "no answer":
            return None
        other = Claim(id="other", entries=(), amount_nano=0, now_s=0.0, lapses_s=0.0)
        if self.answers == "another claim" and isinstance(answer, Reserved):
            return Reserved(claim=other, standings=answer.standings)
        return answer
