"""The work of a backtest on one part of a log: records in, counts out. It runs in any process, on any machine."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from itertools import zip_longest
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import orjson

from router.analytics.backtest_budgets import Accounts
from router.analytics.backtest_explored import Explorer, Reward, Seen
from router.analytics.backtest_play import Aside, Machine, Money, Now, Record, Was, readable
from router.analytics.backtest_tally import ZERO, Both, Result, Sums, Tally
from router.analytics.bootstrap import resampled
from router.analytics.report_prices import Prices
from router.core import statics
from router.core.catalog import Price
from router.core.course import Given
from router.core.money import EXACT, USD_MOST
from router.core.tokens import uncertain
from router.prices.litellm_map import load_price_map
from router.setup import Setup

Row: TypeAlias = tuple[str, bool | None, float | None]
"""A record's line, and what its labels say: whether the answer was adequate, and its score; None where none does."""

Budgets: TypeAlias = Literal["logged", "played"]

COLUMNS: Final = 7
"""Of what is resampled where two configurations are compared: of requests whose cost is known under both, one for each,
and its cost under either; of those that off-policy estimates are about, weight, and weight times reward, likewise."""
GRID: Final = float(2**20)
"""Weights are rounded to so many parts of one, so that sums of them are exact in whatever order they are added."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is to be done with every part.

    Attributes:
        setups: the configurations to play.
        policy: of all requests; None gives each the policy of its own name.
        logged_by: the configuration that wrote the log; None where nothing is to be estimated off-policy, or the
            records say how likely their model was.
        reward: what makes an outcome good.
        compare: whether the first two configurations are to be compared by resampling.
        budgets: whether budgets are held against what was spent then, or played over all parts, in the order of time.
    """

    setups: tuple[Setup, ...]
    policy: str | None = None
    logged_by: Setup | None = None
    reward: Reward = "answer"
    compare: bool = False
    budgets: Budgets = "logged"

    def accounts(self) -> list[Accounts]:
        """Returns new accounts for each configuration, where budgets are played."""
        return [Accounts(setup.budgets) for setup in self.setups] if self.budgets == "played" else []


def played(job: Job, rows: Iterable[Row], /, accounts: Sequence[Accounts] = ()) -> Result:
    """Returns what a part of a log comes to.

    Args:
        job: what is to be done.
        rows: the part.
        accounts: of each configuration, as the parts before left them; none where budgets are not played.
    """
    works = [_Work(job, *each) for each in zip_longest(job.setups, accounts)]
    aside: Counter[str] = Counter()
    pairs = _Pairs()
    records = 0
    for line, adequate, score in rows:
        records += 1
        try:
            parsed = _parsed(line)
            for each in accounts:
                each.spend_recorded(parsed)
            record = _checked(readable(parsed))
            reward = _reward(job.reward, record, adequate, score)
            cases = [work.case(record, reward) for work in works]
        except Aside as reason:
            aside[str(reason)] += 1
            continue
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
            aside[f"it lacks what a decision has ({type(error).__name__})"] += 1
            continue
        # Whatever may fail has been done: what is counted is counted by all.
        for work, case in zip(works, cases, strict=True):
            work.add(record, case)
        if job.compare:
            pairs.add(record, cases)
    return Result(
        records=records,
        aside=aside,
        tallies=tuple(work.tally() for work in works),
        both=pairs.both(),
        resamples=pairs.resampled() if job.compare else None,
    )


def _parsed(line: str) -> object:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        raise Aside("it is no JSON") from None


def _reward(reward: Reward, record: Record, adequate: bool | None, score: float | None) -> float | None:  # noqa: FBT001 - a label's value
    match reward:
        case "answer":
            return float(record["ending"] == "answer")
        case "label":
            return None if adequate is None else float(adequate)
        case "score":
            if score is not None and not abs(score) <= _SCORE_MOST:
                raise Aside("its score is no finite number, or too large to be summed")
            return score


def _checked(record: Record) -> Record:
    """Returns a record whose names are names, and whose numbers are finite ones that can be counted.

    Raises:
        Aside: it has others.
    """
    for name in ("model", "ending", "policy"):
        if not isinstance(record[name], str) and (record[name] is not None or name == "ending"):
            raise Aside(f"its {name} is no text")
    for name in ("latency_s", "propensity"):
        value = record.get(name)
        if value is not None and not _is_number(value):
            raise Aside(f"its {name} is no finite number")
    for cost in (record["cost_usd"], *(attempt.get("cost_usd") for attempt in record["attempts"])):
        if cost is not None and not abs(Decimal(cost)) <= USD_MOST:
            raise Aside("a cost of it is no finite amount of dollars")
    return record


_SCORE_MOST: Final = 1e18
"""As of labels: the fourth power of a larger one, times those of all requests, is no float."""
_SECONDS_MOST: Final = 1e12


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _SECONDS_MOST


@lru_cache(maxsize=10_000)  # the ids are the log's, which may have as many as it likes; most of it has a few
def listed_price(model_id: str, /) -> Price | None:
    """Returns the price that the installed map has for a model; None where it has none."""
    return Prices(price_map=load_price_map()).of(None, model_id)


Weighed: TypeAlias = tuple[float, float] | None
"""Weight and reward of a request that off-policy estimates are about."""


Case: TypeAlias = tuple[Given, Was, Now, Seen | None]
"""The last is None where nothing is to be estimated off-policy."""


class _Work:
    """Counts what one configuration makes of requests."""

    def __init__(self, job: Job, setup: Setup, accounts: Accounts | None) -> None:
        self._machine = Machine(setup, job.policy, listed_price, accounts)
        self._accounts = accounts
        self._reads_stats = setup.reads_stats
        self._limits = {name: sorted(statics.token_limits(policy)) for name, policy in setup.policies.items()}
        logging = None if job.logged_by is None else Machine(job.logged_by, None, listed_price)
        self._explorer = Explorer(logging)
        self._explores = logging is not None
        self._sums: dict[tuple[str, str, str], list[Any]] = {}
        self._endings_was: Counter[str] = Counter()
        self._endings_now: Counter[str] = Counter()
        self._dropped: Counter[tuple[str, str, str]] = Counter()
        self._latency_was: Counter[int] = Counter()
        self._latency_now: Counter[int] = Counter()
        self._refused_was = self._refused_now = self._hits_lost = self._without_stats = self._near_limit = 0

    def case(self, record: Record, reward: float | None) -> Case:
        """Returns one request, then and now.

        Raises:
            Aside: it cannot be replayed.
        """
        given = self._machine.given(record)
        was, now = self._machine.was(record), self._machine.now(record, given)
        explores = self._explores or "propensity" in record
        return given, was, now, self._explorer.seen(record, given, now.slate, reward) if explores else None

    def add(self, record: Record, case: Case) -> None:
        """Counts one request."""
        given, was, now, seen = case
        if self._accounts is not None:
            self._accounts.spend(record, given.policy_name, now.costs)
        self._count(was, now)
        self._note(record, given, was, now)
        if seen is not None:
            self._explorer.add(seen)

    def _count(self, was: Was, now: Now) -> None:
        name = (was.day, was.model, now.model)
        sums = self._sums.get(name)
        if sums is None:
            sums = self._sums[name] = [0, 0, ZERO, ZERO, ZERO, ZERO, 0, 0]
        sums[0] += 1
        sums[1] += now.observed
        if was.cost.unknown or now.cost.unknown:
            sums[6] += 1
        else:
            add = EXACT.add
            sums[2] = add(sums[2], _whole(was.cost))
            sums[3] = add(sums[3], _whole(now.cost))
            sums[4] = add(sums[4], now.cost.logged)
            sums[5] = add(sums[5], was.cost.estimated)
        sums[7] += not now.by_usage
        self._endings_was[was.ending] += 1
        self._endings_now[now.ending] += 1
        for dropped in now.slate.dropped:
            self._dropped[dropped.candidate.model.name, dropped.by, shape_of(dropped.reason)] += 1

    def _note(self, record: Record, given: Given, was: Was, now: Now) -> None:
        self._refused_was += was.refused
        self._refused_now += now.refused
        self._hits_lost += was.ending == "cache" and now.ending != "cache"
        if was.latency_s is not None:
            self._latency_was[round(was.latency_s * 1000)] += 1
        if now.latency_s is not None:
            self._latency_now[round(now.latency_s * 1000)] += 1
        if given.policy_name in self._reads_stats and "stats" not in record:
            self._without_stats += 1
        features = given.features
        if not features.exact_tokens and any(
            uncertain(features.input_tokens, limit) for limit in self._limits.get(given.policy_name, ())
        ):
            self._near_limit += 1

    def tally(self) -> Tally:
        """Returns what was counted."""
        days: dict[str, Sums] = {}
        moves: dict[tuple[str, str], Sums] = {}
        total = Sums()
        for (day, was, now), counted in self._sums.items():
            n, observed, was_usd, now_usd, observed_usd, was_estimated_usd, unknown, by_features = counted
            sums = Sums(
                requests=n,
                changed=n if was != now else 0,
                observed=observed,
                was_usd=was_usd,
                now_usd=now_usd,
                observed_usd=observed_usd,
                was_estimated_usd=was_estimated_usd,
                unknown=unknown,
                by_features=by_features,
            )
            days[day] = days.get(day, Sums()) + sums
            moves[was, now] = moves.get((was, now), Sums()) + sums
            total += sums
        return Tally(
            total=total,
            days=days,
            moves=moves,
            endings_was=self._endings_was,
            endings_now=self._endings_now,
            refused_was=self._refused_was,
            refused_now=self._refused_now,
            dropped=self._dropped,
            latency_was=self._latency_was,
            latency_now=self._latency_now,
            hits_lost=self._hits_lost,
            without_stats=self._without_stats,
            near_limit=self._near_limit,
            explored=self._explorer.explored(),
        )


def _whole(money: Money) -> Decimal:
    return money.logged if not money.estimated else EXACT.add(money.logged, money.estimated)


_NUMBER: Final = re.compile(r"\d[\d.,]*(?<![.,])")


@lru_cache(maxsize=100_000)  # a few thousand reasons are most of a log's, and matching them a tenth of its time
def shape_of(reason: str, /) -> str:
    """Returns a reason with its numbers left out, so that reasons can be counted.

    Example:
        >>> shape_of("window of 8,000 tokens is too small for up to 9,123 in and 500 out")
        'window of # tokens is too small for up to # in and # out'
    """
    return _NUMBER.sub("#", reason)


class _Pairs:
    """Keeps of each request what two configurations are compared by."""

    def __init__(self) -> None:
        self._ids: list[int] = []
        self._rows: list[tuple[float, ...]] = []
        self._requests = 0
        self._first_usd = self._second_usd = self._observed_usd = ZERO

    def add(self, record: Record, cases: list[Case]) -> None:
        """Keeps one request: its costs if they are known under both, and what each weighs off-policy."""
        (_, _, one, _), (_, _, other, _) = cases[:2]
        costs = (0.0,) * 3
        if not (one.cost.unknown or other.cost.unknown):
            self._requests += 1
            self._first_usd = EXACT.add(self._first_usd, _whole(one.cost))
            self._second_usd = EXACT.add(self._second_usd, _whole(other.cost))
            self._observed_usd = EXACT.add(self._observed_usd, other.cost.logged)
            costs = (1.0, _nano(one.cost), _nano(other.cost))
        self._ids.append(id_of(record))
        self._rows.append((*costs, *_graded(*(seen.weighed if seen else None for *_, seen in cases[:2]))))

    def both(self) -> Both:
        """Returns what both come to where both are known."""
        return Both(
            requests=self._requests,
            first_usd=self._first_usd,
            second_usd=self._second_usd,
            observed_usd=self._observed_usd,
        )

    def resampled(self) -> Any:
        """Returns the sums of each column in each resample."""
        return resampled(self._ids, np.asarray(self._rows, dtype=np.float64).reshape(-1, COLUMNS))


def _graded(*weighed: Weighed) -> Iterator[float]:
    for weight, reward in (one or (0.0, 0.0) for one in weighed):
        yield float(round(weight * GRID))
        yield float(round(weight * reward * GRID))


def _nano(money: Money) -> float:
    return float(round(_whole(money).scaleb(9, EXACT)))


def id_of(record: Record, /) -> int:
    """Returns 64 bits that name a request."""
    name = f"{record['request_id']} {record['trace_id']} {record['time']}"
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")
