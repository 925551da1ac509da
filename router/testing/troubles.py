"""What a scenario says of its providers: how each behaves on a good day, and what befalls it when.

| kind of trouble | what a call comes to | truly billed |
| --- | --- | --- |
| `error` | HTTP `status` (500) | nothing; input and output with `billed = true` |
| `unreachable` | connection refused | nothing |
| `hang` | no answer before the time-out | input and the whole output |
| `refuse` | 429, with `retry_after` honest or not | nothing |
| `empty` | 200 and no text | input and a few tokens |
| `error_in_answer` | 200 with an error object inside | input |
| `cut` | the connection breaks half-way | input, and output as far as it was written |
| `slow` | `factor` times the time | as usual |
| `clock_jump` | the wall clock moves by `jump_s` | |
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any, Final, Literal, Self

from annotated_types import Ge, Gt, Le
from pydantic import model_validator

from router.config_errors import said
from router.config_values import Table

Kind = Literal["error", "unreachable", "hang", "refuse", "empty", "error_in_answer", "cut", "slow", "clock_jump"]
RetryAfter = Literal["honest", "none", "too_short", "too_long", "garbage"]
"""What a 429 says of how long to wait; "honest" is when it truly ends."""

DAY_S: Final = 86_400
Seconds = Annotated[float, Ge(0), Le(DAY_S)]
Share = Annotated[float, Ge(0), Le(1)]

_OWN: Final[Mapping[str, Kind]] = {
    "status": "error",
    "billed": "error",
    "retry_after": "refuse",
    "factor": "slow",
    "jump_s": "clock_jump",
}
"""Options that only one kind has."""


class Spread(Table):
    """A figure that varies: log-normal around its median, as latencies and lengths of answers are.

    A bare number never varies.

    Attributes:
        spread: standard deviation of the logarithm; 0.5 makes one in six larger than 1.65 times the median.
        most: what larger draws are cut to.
    """

    median: Annotated[float, Ge(0)]
    spread: Annotated[float, Ge(0), Le(5)] = 0.0
    most: Annotated[float, Ge(0)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_number(cls, value: Any) -> Any:
        return value if isinstance(value, Mapping | cls) else {"median": value}

    def draw(self, chance: random.Random, /) -> float:
        """Returns one figure."""
        drawn = self.median * math.exp(self.spread * chance.gauss(0.0, 1.0)) if self.spread else self.median
        return drawn if self.most is None else min(drawn, self.most)


class Behaviour(Table):
    """`[providers.MODEL]`: how a model behaves where nothing befalls it.

    Attributes:
        latency_s: until the first token.
        tokens_per_s: how fast tokens follow.
        requests_per_minute, tokens_per_minute: true limits, kept by token buckets; None is no limit.
        burst_s: how many seconds' worth of the limits a full bucket holds.
        retry_after: what a 429 of these limits says.
    """

    latency_s: Spread = Spread(median=0.5, spread=0.4)
    tokens_per_s: Spread = Spread(median=80.0, spread=0.2)
    requests_per_minute: Annotated[float, Gt(0)] | None = None
    tokens_per_minute: Annotated[float, Gt(0)] | None = None
    burst_s: Annotated[float, Gt(0), Le(3600)] = 10.0
    retry_after: RetryAfter = "honest"


class Trouble(Table):
    """`[[troubles]]`: what befalls a model, when, and how many of its calls.

    Attributes:
        model: name of the model, or a pattern such as "*".
        region: of the deployments that it concerns, or a pattern; None is all, also those without one.
        duration_s: how long it lasts; None is until the end.
        every_s: comes back so often after its start; None happens once.
        until_s: when it comes back no more, in seconds since the world began; None never ends that.
        share: of the calls; shares of troubles at the same time add up, the first in the list counts first.
    """

    kind: Kind
    model: str = "*"
    region: str | None = None
    start_s: Seconds = 0.0
    duration_s: Seconds | None = None
    every_s: Annotated[float, Gt(0), Le(DAY_S)] | None = None
    until_s: Seconds | None = None
    share: Share = 1.0
    status: Annotated[int, Ge(400), Le(599)] = 500
    billed: bool = False
    retry_after: RetryAfter = "honest"
    factor: Annotated[float, Gt(0), Le(10_000)] = 5.0
    jump_s: Annotated[float, Ge(-DAY_S), Le(DAY_S)] = 0.0

    @model_validator(mode="after")
    def _own_options(self) -> Self:
        for option in sorted(self.model_fields_set & _OWN.keys()):
            if _OWN[option] != self.kind:
                raise said(f"found {option} with kind {self.kind!r}; allowed: only with kind {_OWN[option]!r}")
        if self.kind == "clock_jump" and self.model_fields_set - {"kind", "start_s", "jump_s"}:
            raise said(
                "found more than start_s and jump_s with kind 'clock_jump'; allowed: a jump, of every clock, once"
            )
        if self.every_s is not None and (self.duration_s is None or self.duration_s > self.every_s):
            raise said("found every_s without a shorter duration_s; allowed: a trouble that ends before it comes back")
        if self.until_s is not None and self.every_s is None:
            raise said("found until_s without every_s; allowed: only beside it")
        return self

    def befalls(self, model: str, region: str | None = None, /) -> bool:
        """Returns whether it concerns a model, served in this region."""
        return fnmatchcase(model, self.model) and (self.region is None or fnmatchcase(region or "", self.region))

    def left_s(self, now_s: float, /) -> float | None:
        """Returns for how long it will go on, infinite where it has no end; None when it is not under way."""
        passed = now_s - self.start_s
        if passed < 0:
            return None
        if self.duration_s is None:
            return math.inf
        if self.every_s is not None:
            if self.until_s is not None and now_s >= self.until_s:
                return None
            passed %= self.every_s
        return self.duration_s - passed if passed < self.duration_s else None
