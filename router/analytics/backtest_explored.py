"""What off-policy estimates over a log are made of: with what chance each request went where it went.

The chance is no estimate: a weighted split draws from a number that is in the record, so a policy is asked in every
interval of it what it would have done, and the intervals' widths are the chances. What is chosen is the model that is
asked first; what comes of it, fallbacks and their cost included, is the outcome.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final, Literal, TypeAlias

from router.analytics.backtest_play import Aside, Machine, Record
from router.analytics.backtest_tally import Explored, Powers, Stratum
from router.core.applied import able_of, applied
from router.core.course import Given
from router.core.draws import TooManyWays, Way, ways_of
from router.core.money import EXACT
from router.core.slate import Slate
from router.errors import PolicyError

Reward: TypeAlias = Literal["answer", "label", "score"]
"""What makes an outcome good: that there was an answer, a label that says so, a label's score."""
Chances: TypeAlias = Mapping[str, float]
"""By id of the model that is asked first, how likely; "" is nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one request adds to off-policy estimates.

    Attributes:
        outside: why no estimate is about it; empty where some may be.
        never: models that the new policy may choose and the log never would.
        stratum: None where it is outside, or may go to such a model.
        cost: logged, in billionths of a dollar; None where it is unknown.
        reward: in millionths; None where it has none.
        weighed: its weight and reward, where it has both.
    """

    outside: str = ""
    never: tuple[str, ...] = ()
    stratum: Stratum | None = None
    cost: int | None = None
    reward: int | None = None
    weighed: tuple[float, float] | None = None


FOLDS: Final = 5
UNITS: Final = 1_000_000
"""Of a reward of 1."""
NANO: Final = 10**9
"""Units of a dollar."""


def first_id(slate: Slate, /) -> str:
    """Returns the id of the model that a slate says to ask first; empty for nobody."""
    return slate.live[0].model.id if slate.live else ""


class Drawing:
    """Tells how likely a configuration is to ask which model first."""

    def __init__(self) -> None:
        self._ways: dict[str, tuple[Way, ...] | None] = {}

    def ways(self, given: Given, /) -> tuple[Way, ...]:
        """Returns the ways of drawing that the policy of a request has.

        Raises:
            Aside: its splits can be drawn in too many ways.
        """
        name = given.policy_name
        if name not in self._ways:
            try:
                self._ways[name] = ways_of(given.policy)
            except TooManyWays:
                self._ways[name] = None
        ways = self._ways[name]
        if ways is None:
            raise Aside(f"the splits of policy {name!r} can be drawn in too many ways for their chances to be known")
        return ways

    def chances(self, given: Given, slate: Slate, /) -> Chances:
        """Returns the chances of each model.

        Args:
            given: what goes into the decision.
            slate: what the policy leaves at the draw of `given`.

        Raises:
            Aside: they cannot be known.
            PolicyError: the policy broke its contract at another draw.
        """
        ways = self.ways(given)
        if len(ways) == 1:
            return {first_id(slate): 1.0}
        able = able_of(given)
        out: dict[str, float] = {}
        for way in ways:
            name = first_id(applied(replace(given, draw=way.draw), able))
            out[name] = out.get(name, 0.0) + way.share
        return out

    def logged(self, given: Given, /) -> tuple[Chances, str]:
        """Returns the chances of each model, and which one the logged draw takes.

        Raises:
            Aside: they cannot be known.
            PolicyError: the policy broke its contract.
        """
        able = able_of(given)
        out: dict[str, float] = {}
        taken = ""
        for way in self.ways(given):
            name = first_id(applied(replace(given, draw=way.draw), able))
            out[name] = out.get(name, 0.0) + way.share
            if way.low <= given.draw < way.high:
                taken = name
        return out, taken


class Explorer:
    """Counts what off-policy estimates of one configuration are made of.

    Args:
        logging: plays requests under the configuration that wrote the log; None where records say the chance.
    """

    def __init__(self, logging: Machine | None) -> None:
        self._logging = logging
        self._then, self._now = Drawing(), Drawing()
        self._requests = 0
        self._outside: Counter[str] = Counter()
        self._never_tried: Counter[str] = Counter()
        self._reward: dict[Stratum, list[int]] = {}
        self._cost: dict[Stratum, list[int]] = {}

    def seen(self, record: Record, given: Given, slate: Slate, reward: float | None) -> Seen:
        """Returns what a request adds; nothing is counted yet, so a record that fails here leaves no trace.

        Args:
            record: of it.
            given: what goes into its decision under the new configuration.
            slate: what the new policy leaves.
            reward: of the logged outcome; None where it has none.
        """
        try:
            asked, propensity, tried = self._chance(record)
        except (Aside, PolicyError) as reason:
            return Seen(outside=str(reason))
        try:
            target = self._now.chances(given, slate)
        except Aside as reason:
            return Seen(outside=str(reason))
        except PolicyError:
            target = {"": 1.0}
        if "" in target:
            return Seen(outside="the new policy sends it to nobody")
        never = tuple(name for name in target if tried is not None and name not in tried)
        if never:
            return Seen(never=never)
        features = given.features
        fold = zlib.crc32(str(record["trace_id"]).encode()) % FOLDS
        targets = tuple(sorted(target.items()))
        cost = record["cost_usd"]
        return Seen(
            stratum=(fold, features.measured_tokens.bit_length(), asked, propensity, targets),
            cost=None if cost is None else round(Decimal(cost).scaleb(9, EXACT)),
            reward=None if reward is None else round(reward * UNITS),
            weighed=None if reward is None else (target.get(asked, 0.0) / propensity, reward),
        )

    def add(self, seen: Seen) -> None:
        """Counts a request."""
        if seen.outside:
            self._outside[seen.outside] += 1
            return
        self._requests += 1
        self._never_tried.update(seen.never)
        if seen.stratum is None:
            return
        if seen.cost is not None:
            _add(self._cost, seen.stratum, seen.cost)
        if seen.reward is not None:
            _add(self._reward, seen.stratum, seen.reward)

    def explored(self) -> Explored:
        """Returns what was counted."""
        return Explored(
            requests=self._requests,
            outside=self._outside,
            never_tried=self._never_tried,
            reward={name: _powers(sums) for name, sums in self._reward.items()},
            cost={name: _powers(sums) for name, sums in self._cost.items()},
        )

    def _chance(self, record: Record) -> tuple[str, float, Chances | None]:
        """Returns who was asked first, how likely that was, and who might have been; None where nobody says.

        Raises:
            Aside: the request is none that anything can be learned from.
        """
        if not record["attempts"]:
            raise Aside("no model was asked")
        stated = record.get("propensity")
        if stated is not None:
            first = record["attempts"][0]
            if not 0 < stated <= 1:
                raise Aside("its propensity is not above 0 and at most 1")
            return first.get("model_id") or first["model"], float(f"{stated:.4g}"), None
        if self._logging is None or not record["slate"]["live"]:
            raise Aside("nothing tells how likely its model was")
        given = self._logging.given(record)
        asked = self._logging.id_of(record["slate"]["live"][0]["model"])
        try:
            chances, taken = self._then.logged(given)
        except PolicyError:
            chances, taken = {}, ""
        if asked is None or taken != asked:
            raise Aside("the configuration that is said to have logged it sends it elsewhere")
        return asked, chances[asked], chances


def _add(strata: dict[Stratum, list[int]], stratum: Stratum, outcome: int) -> None:
    sums = strata.get(stratum)
    if sums is None:
        sums = strata[stratum] = [0, 0, 0, 0, 0]
    power = 1
    for place in range(5):
        sums[place] += power
        power *= outcome


def _powers(sums: list[int]) -> Powers:
    n, r, r2, r3, r4 = sums
    return n, r, r2, r3, r4
