"""`check_ledger`: what holds of every ledger, tried with histories of every kind; needs `hypothesis`.

    def test_my_ledger(tmp_path):
        check_ledger(lambda name: MyLedger(tmp_path / name))

The rules are plain functions that need no Hypothesis: `rule(LedgerBench(make), history)` raises a `Breach`. What a
ledger says is held against `router.testing.ledger_model`, which sums up all claims anew each time.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from router.core.budget import MOST_NANO, Claim, Entry, Refused, Reserved, Standing
from router.state.ledger import Ledger
from router.testing.ledger_histories import BEGAN_S, LIMITS_NANO, History, Step, claim_of, entry_at, histories
from router.testing.ledger_model import Model
from router.testing.trial import PATIENCE_S, Breach, HungError, all_at_once, run_alone, shown_call, smallest

__tracebackhide__ = True  # pytest shows the test's own line, and what it was told

Make = Callable[[str], Ledger]
"""Makes one more ledger on the data of this name, as another process would; a name that is new has no data."""

_FITS: Final = 37
_THREADS: Final = 8
_EACH: Final = 16
_HISTORY: Final = History(steps=(Step(does="reserve"),))


@dataclass(frozen=True, slots=True)
class LedgerBench:
    """What a rule tries.

    Attributes:
        make: makes one more ledger on the data of a name.
        shared: whether several of them on the same data know of each other.
        patience_s: how long a rule may take before it counts as hung.
    """

    make: Make
    shared: bool = True
    patience_s: float = PATIENCE_S

    def ledgers(self) -> tuple[Ledger, Ledger]:
        """Returns two ledgers on the same new data; the same one twice, where nothing is shared."""
        name = secrets.token_hex(8)
        first = self.make(name)
        return first, (self.make(name) if self.shared else first)


Rule = Callable[[LedgerBench, History], None]


def check_ledger(
    make: Make,
    /,
    *,
    shared: bool = True,
    examples: int = 50,
    derandomize: bool = True,
    patience_s: float = PATIENCE_S,
) -> None:
    """Tries every rule on a ledger.

    Args:
        make: makes one more ledger on the data of the name it is given; data of a new name are empty.
        shared: whether several ledgers on the same data know of each other, as those of several processes must.
        examples: how many histories are tried with each rule.
        derandomize: whether they are the same each time.
        patience_s: how long one history may take before it counts as hung.

    Raises:
        Breach: a rule is broken; an AssertionError that shows the shortest history found as code.
    """
    bench = LedgerBench(make, shared, patience_s)
    for rule in LEDGER_RULES:
        breach = smallest(histories(), functools.partial(rule, bench), examples=examples, derandomize=derandomize)
        if breach is not None:
            raise breach
    for once in ONCE_RULES:
        once(bench, _HISTORY)


def counts_as_the_claims_say(bench: LedgerBench, history: History, /) -> None:
    """A claim is granted if it fits all of its accounts, else stands in none; each account is the sum of its claims."""
    trial = _Trial(counts_as_the_claims_say, bench, history)
    trial.run(trial.play)


def counts_once(bench: LedgerBench, history: History, /) -> None:
    """What is reserved, settled or spent again changes nothing, whatever it says it cost."""
    trial = _Trial(counts_once, bench, history, again=True)
    trial.run(trial.play)


def shows_reservations_as_they_stand(bench: LedgerBench, history: History, /) -> None:
    """The standings of a granted claim include it, in the order of its entries; a refusal names what is too small."""
    trial = _Trial(shows_reservations_as_they_stand, bench, history, answers=True)
    trial.run(trial.play)


def rebuilds(bench: LedgerBench, history: History, /) -> None:
    """`rebuild` leaves what the log says, and what it cannot have yet; whatever is told again counts once."""
    trial = _Trial(rebuilds, bench, history)

    async def work(here: Ledger, there: Ledger) -> None:
        await trial.play(here, there)
        now_s = trial.now_s = trial.latest_s  # what was forgotten by then is not known to a clock that was set back
        trial.model.reach(now_s)
        known = list(trial.model.known.values())
        told = [one for one in known if one.told_s is not None]
        spent = [replace(one.claim, amount_nano=one.nano - one.nano // 3 * one.grows) for one in told[::2]]
        ages = (-30.0, 90.0, 300.0)  # of requests that ended while the ledger was not there to hear of it
        lost = [
            replace(
                claim_of(Step(does="settle", claim=number, amount_nano=7, accounts=(3,)), now_s), lapses_s=now_s - age
            )
            for number, age in enumerate(ages, start=100)
        ]
        await here.rebuild([*spent, *lost], now_s=now_s)
        trial.model.rebuild([*spent, *lost], now_s)
        await trial.look(there, "rebuild()")
        again = [(one.claim, one.nano, now_s if one.told_s is None else one.told_s) for one in known]
        for claim, nano, told_s in (*again, *((claim, 7, claim.lapses_s - 60) for claim in lost)):
            await there.settle(claim, nano, now_s=told_s)
            trial.model.settle(claim, nano, told_s)
            await trial.look(here, f"{claim.id} was settled again")

    trial.run(work)


def lists_its_accounts(bench: LedgerBench, history: History, /) -> None:
    """`accounts` yields every account that something was counted in, once, as `standings` shows it."""
    trial = _Trial(lists_its_accounts, bench, history)

    async def work(here: Ledger, there: Ledger) -> None:
        await trial.play(here, there)
        listed = [account async for account, _ in there.accounts(now_s=trial.now_s)]
        if len(listed) != len(set(listed)):
            raise trial.breach("accounts() yielded an account twice")
        counted = {e.account for k in trial.model.known.values() if k.nano for e in k.claim.entries}
        if missing := {account for account in counted if account.rolling_s is None} - set(listed):
            raise trial.breach(f"accounts() left out {next(iter(missing))}")
        async for account, standing in there.accounts(now_s=trial.now_s):
            entry = Entry(account=account, limit_nano=standing.limit_nano)
            [same] = await there.standings((entry,), now_s=trial.now_s)
            if same != standing:
                raise trial.breach(f"accounts() shows {standing} where standings() shows {same}")

    trial.run(work)


def is_exact(bench: LedgerBench, history: History, /) -> None:
    """Amounts to `MOST_NANO` are exact to the nano-dollar; one beyond it, or below 0, is a ValueError."""
    trial = _Trial(is_exact, bench, history)
    entry = replace(entry_at(0, BEGAN_S), limit_nano=MOST_NANO)

    def claim(name: str, amount: int) -> Claim:
        return Claim(id=name, entries=(entry,), amount_nano=amount, now_s=BEGAN_S, lapses_s=BEGAN_S + 60)

    async def work(here: Ledger, there: Ledger) -> None:
        odd = 2**53 + 1
        for name, amount, spent in (("odd", odd, odd), ("one", 1, odd + 1), ("rest", MOST_NANO - odd - 1, MOST_NANO)):
            if not isinstance(await here.reserve(claim(name, amount)), Reserved):
                raise trial.breach(f"{amount} nano-dollars were refused where they fit")
            await there.settle(claim(name, amount), amount, now_s=BEGAN_S)
            [standing] = await here.standings((entry,), now_s=BEGAN_S)
            if standing != Standing(limit_nano=MOST_NANO, spent_nano=spent):
                raise trial.breach(f"{spent} nano-dollars were counted as {standing}")
        for amount in (1, MOST_NANO + 1, -1):
            try:
                await here.settle(claim(f"beyond {amount}", amount), None, now_s=BEGAN_S)
            except ValueError:
                continue
            raise trial.breach(f"{amount} nano-dollars beyond {MOST_NANO} were counted, and no ValueError raised")

    trial.run(work)


def sums_up(bench: LedgerBench, history: History, /) -> None:
    """Many small costs make their exact sum."""
    trial = _Trial(sums_up, bench, history)
    entry = entry_at(3, BEGAN_S)

    async def work(here: Ledger, there: Ledger) -> None:
        claims = [
            Claim(id=f"{n}", entries=(entry,), amount_nano=1_500, now_s=BEGAN_S, lapses_s=BEGAN_S + 60)
            for n in range(200)
        ]
        await asyncio.gather(
            *((here, there)[n % 2].settle(claim, None, now_s=BEGAN_S) for n, claim in enumerate(claims))
        )
        [standing] = await there.standings((entry,), now_s=BEGAN_S)
        if standing.spent_nano != 300_000:
            raise trial.breach(f"200 times 1,500 nano-dollars made {standing.spent_nano}")

    trial.run(work)


def grants_what_fits_at_once(bench: LedgerBench, history: History, /) -> None:
    """Of claims that come at once in many threads exactly as many are granted as fit all of their accounts."""
    trial = _Trial(grants_what_fits_at_once, bench, history)
    here, there = bench.ledgers()
    entries = (
        replace(entry_at(0, BEGAN_S), limit_nano=10**9),
        replace(entry_at(1, BEGAN_S), limit_nano=_FITS * 1_000 + 999),
    )
    granted: list[bool] = []
    numbers = itertools.count()

    async def reserve(ledger: Ledger) -> None:
        claims = [
            Claim(id=f"{next(numbers)}", entries=entries, amount_nano=1_000, now_s=BEGAN_S, lapses_s=BEGAN_S + 60)
            for _ in range(_EACH)
        ]
        answers = await asyncio.gather(*(ledger.reserve(claim) for claim in claims))
        granted.extend(isinstance(answer, Reserved) for answer in answers)

    async def left() -> tuple[Standing, ...]:
        try:
            return await here.standings(entries, now_s=BEGAN_S)
        finally:
            await here.aclose()
            await there.aclose()

    ended: list[Ledger] = []
    works = [functools.partial(_run, reserve, ended, (here, there)[n % 2]) for n in range(_THREADS)]
    try:
        all_at_once(works, patience_s=6 * bench.patience_s)
        standings = run_alone(left, patience_s=bench.patience_s)
    except HungError as error:
        raise trial.breach(f"reserve() hung in {_THREADS} threads: {error}") from None
    except Exception as error:
        raise trial.breach(f"reserve() raised {error!r} in {_THREADS} threads") from error
    if sum(granted) != _FITS or {s.reserved_nano for s in standings} != {_FITS * 1_000}:
        held = [s.reserved_nano // 1_000 for s in standings]
        raise trial.breach(f"{sum(granted)} claims were granted and {held} stand, where {_FITS} fit")


LEDGER_RULES: Final[tuple[Rule, ...]] = (
    counts_as_the_claims_say,
    counts_once,
    shows_reservations_as_they_stand,
    rebuilds,
    lists_its_accounts,
)
"""Those that are tried with many histories."""

ONCE_RULES: Final[tuple[Rule, ...]] = (is_exact, sums_up, grants_what_fits_at_once)
"""Those that have a history of their own."""


def _run(reserve: Callable[[Ledger], Awaitable[None]], ended: list[Ledger], ledger: Ledger) -> None:
    """Runs a coroutine function in an event loop of its own; nobody closes what others are still using."""

    async def whole() -> None:
        try:
            await reserve(ledger)
        finally:
            ended.append(ledger)
            # Events belong to one loop, and a thread to wait in must not start while `all_at_once` takes short turns.
            while len(ended) < _THREADS:  # noqa: ASYNC110 - as said
                await asyncio.sleep(0.005)
            await ledger.aclose()

    asyncio.run(whole())


@dataclass(slots=True)
class _Trial:
    """One rule at work on ledgers of the same data, one after the other in turns.

    Attributes:
        again: whether each step is done twice, the second time with another cost.
        answers: whether what `reserve` returns is looked at.
    """

    rule: Rule
    bench: LedgerBench
    history: History
    again: bool = False
    answers: bool = False
    model: Model = field(default_factory=Model)
    now_s: float = BEGAN_S
    latest_s: float = BEGAN_S

    def breach(self, says: str) -> Breach:
        name = self.rule.__name__
        thing = "LedgerBench(make)" if self.bench.shared else "LedgerBench(make, shared=False)"
        return Breach(
            name,
            says,
            promise=f"{self.rule.__doc__} (Ledger, router/state/ledger.py)",
            code=shown_call(name, __name__, thing=thing, given="make", history=self.history),
        )

    def run(self, work: Callable[[Ledger, Ledger], Awaitable[None]]) -> None:
        """Runs a coroutine function on new ledgers, in an event loop of its own."""

        async def whole() -> None:
            here, there = self.bench.ledgers()
            try:
                await work(here, there)
            finally:
                await here.aclose()
                await there.aclose()

        try:
            run_alone(whole, patience_s=self.bench.patience_s)
        except Breach:
            raise
        except HungError as error:
            raise self.breach(f"a method hung: {error}") from None
        except Exception as error:
            raise self.breach(f"a method raised {error!r}") from error

    async def play(self, here: Ledger, there: Ledger) -> None:
        """Does every step, and looks at all accounts after each."""
        for number, step in enumerate(self.history.steps):
            self.now_s += step.after_s
            self.latest_s = max(self.latest_s, self.now_s)
            claim = claim_of(step, self.now_s)
            known = self.model.known.get(claim.id)
            claim = claim if known is None else known.claim
            if self.model.forgotten(claim.id, self.latest_s) or claim.now_s > self.now_s:
                continue  # to count it again, or to let lapse what is due by its later time, would be right as well
            self.model.reach(self.now_s)
            for time in (step, replace(step, cost_nano=13))[: 1 + self.again]:
                await self._do((here, there)[number % 2], time, claim, number)
            await self.look((there, here)[number % 2], f"step {number}")

    async def look(self, ledger: Ledger, after: str) -> None:
        """Holds every account against the model."""
        places = itertools.product((self.now_s, self.now_s - 3600), range(len(LIMITS_NANO)))
        by_account = {entry.account: entry for entry in (entry_at(number, now) for now, number in places)}
        entries = list(by_account.values())
        standings = await ledger.standings(entries, now_s=self.now_s)
        if len(standings) != len(entries):
            raise self.breach(f"standings() of {len(entries)} entries returned {len(standings)}")
        for entry, standing in zip(entries, standings, strict=True):
            least, most = self.model.bounds(entry, self.now_s)
            if not _between(least, standing, most):
                what = f"{most}" if least == most else f"from {least} to {most}"
                raise self.breach(f"after {after} {entry.account} stands at {standing}; right is {what}")

    async def _do(self, ledger: Ledger, step: Step, claim: Claim, number: int) -> None:
        if step.does != "reserve":
            await ledger.settle(claim, step.cost_nano, now_s=self.now_s)
            self.model.settle(claim, step.cost_nano, self.now_s)
        else:
            await self._reserve(ledger, claim, number)

    async def _reserve(self, ledger: Ledger, claim: Claim, number: int) -> None:
        fits = self.model.fits(claim, claim.now_s)
        answer: Any = await ledger.reserve(claim)
        granted = isinstance(answer, Reserved)
        if not granted and not isinstance(answer, Refused):
            raise self.breach(f"reserve() returned a {type(answer).__name__}")
        if fits is not None and granted != fits:
            what = "granted" if granted else "refused"
            raise self.breach(f"step {number} was {what}, where {claim.amount_nano} nano-dollars {_WORDS[fits]}")
        if granted:
            self.model.reserve(claim)
        if self.answers:
            self._look_at(answer, claim)

    def _look_at(self, answer: Reserved | Refused, claim: Claim) -> None:
        bounds = {entry.account: self.model.bounds(entry, claim.now_s) for entry in claim.entries}
        if answer.claim != claim:
            raise self.breach("reserve() answered for another claim")
        if isinstance(answer, Reserved):
            for entry, standing in zip(claim.entries, answer.standings, strict=True):
                least, most = bounds[entry.account]
                held = standing.spent_nano + standing.reserved_nano
                if not least.spent_nano + least.reserved_nano <= held <= most.spent_nano + most.reserved_nano:
                    raise self.breach(f"a granted claim shows {entry.account} with {standing}, not {most}")
            return
        least_left = min(b.least.left_nano for e in claim.entries if e.strict for b in (bounds[e.account],))
        if answer.account not in bounds or answer.standing is None or not answer.why:
            raise self.breach("a refusal does not say which account of the claim is too small, how it stands, and why")
        if answer.standing.left_nano > least_left:
            raise self.breach(f"a refusal names {answer.account}, where another has less left")


_WORDS: Final = {True: "fit all of its accounts", False: "do not fit one of its accounts"}


def _between(least: Standing, standing: Standing, most: Standing) -> bool:
    return (
        standing.limit_nano == least.limit_nano
        and least.spent_nano <= standing.spent_nano <= most.spent_nano
        and least.reserved_nano <= standing.reserved_nano <= most.reserved_nano
        and least.lapsed_nano <= standing.lapsed_nano <= most.lapsed_nano
    )
