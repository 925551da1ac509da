"""Several keys, regions or hosts for one model: what each may take, and which of them to ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import Final, NamedTuple

from router.core.waiting import retry_after_s

MINUTE_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One way to reach a model; what is None is as the model has it.

    Attributes:
        name: unique among the model's deployments.
        headers: added to the model's own; of two with one name, these hold.
        weight: its share of the load, relative to the others.
        requests_per_minute: no more are sent; None sets no limit.
        tokens_per_minute: input and output together; None sets no limit.
    """

    name: str
    base_url: str | None = None
    key_env: str | None = None
    region: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    weight: float = 1.0
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A limit that refills steadily, as the providers' own do (OpenAI and Anthropic: "token bucket").

    Attributes:
        level: what was left at `at_s`; below 0 where more went out than was expected.
        most: what it holds when full.
        per_s: how much comes back each second.
    """

    level: float
    most: float
    per_s: float
    at_s: float

    def left(self, now_s: float, /) -> float:
        """Returns what is left now."""
        return min(self.most, self.level + self.per_s * max(0.0, now_s - self.at_s))

    def less(self, amount: float, now_s: float, /) -> Bucket:
        """Returns the bucket without `amount`; with more, where that is negative."""
        return replace(self, level=min(self.most, self.left(now_s) - amount), at_s=max(now_s, self.at_s))

    def wait_s(self, amount: float, now_s: float, /) -> float:
        """Returns the seconds until it holds `amount`, or is full: whether more will ever fit, its provider says."""
        lacking = min(amount, self.most) - self.left(now_s)
        if lacking <= 0.0:
            return 0.0
        return lacking / self.per_s if self.per_s > 0.0 else inf


class Level(NamedTuple):
    """What a provider says is left of one limit, and in how many seconds it will be full."""

    limit: float
    remaining: float
    reset_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What may be sent to a deployment.

    Attributes:
        requests: the configured limit, or None.
        tokens: the configured limit, or None.
        learned_requests: as the provider last said; None where there is plenty.
        learned_tokens: the same.
        learned_s: when the attempt began that taught it.
        unlimited: whether no limit is known that is near; derived once, because every attempt asks.
    """

    requests: Bucket | None = None
    tokens: Bucket | None = None
    learned_requests: Bucket | None = None
    learned_tokens: Bucket | None = None
    learned_s: float = -inf
    unlimited: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        unlimited = self.requests is None and self.tokens is None and not self.warned
        object.__setattr__(self, "unlimited", unlimited)

    @classmethod
    def of(cls, deployment: Deployment, now_s: float, /) -> Allowance:
        """Returns the deployment's limits with nothing used."""
        return cls(
            requests=_per_minute(deployment.requests_per_minute, now_s),
            tokens=_per_minute(deployment.tokens_per_minute, now_s),
        )

    @property
    def warned(self) -> bool:
        """Whether the provider said that little is left."""
        return self.learned_requests is not None or self.learned_tokens is not None

    def wait_s(self, tokens: int, now_s: float, /, *, configured_only: bool = False) -> float:
        """Returns the seconds until a request with so many tokens may be sent."""
        waits = [_wait_s(self.requests, 1, now_s), _wait_s(self.tokens, tokens, now_s)]
        if not configured_only:
            waits += [_wait_s(self.learned_requests, 1, now_s), _wait_s(self.learned_tokens, tokens, now_s)]
        return max(waits)

    def less(self, requests: int, tokens: int, now_s: float, /) -> Allowance:
        """Returns what is left after a request, or after its tokens turned out to be more (or, negative, fewer)."""
        return replace(
            self,
            requests=_less(self.requests, requests, now_s),
            tokens=_less(self.tokens, tokens, now_s),
            learned_requests=_less(self.learned_requests, requests, now_s),
            learned_tokens=_less(self.learned_tokens, tokens, now_s),
        )

    def learned(self, headers: Mapping[str, str], began_s: float, since: tuple[int, int], /) -> Allowance:
        """Returns the allowance with what an answer's headers say is left.

        They say what was left when the attempt was let in, so what was sent since is taken off, and an attempt that
        began before the one that taught last teaches nothing.

        Args:
            headers: names in lower case.
            began_s: when the attempt began.
            since: requests and tokens that were sent after it.
        """
        if began_s < self.learned_s:
            return self
        requests, tokens = level_of(headers, "requests"), level_of(headers, "tokens")
        if requests is None and tokens is None and not self.warned:
            return self
        return replace(
            self,
            learned_requests=_bucket(requests, began_s, since[0]),
            learned_tokens=_bucket(tokens, began_s, since[1]),
            learned_s=began_s,
        )


_OWN: Final = "anthropic-ratelimit"
_NAMES: Final[Mapping[str, tuple[tuple[str, str, str], ...]]] = {
    kind: (
        *((f"x-ratelimit-remaining-{n}", f"x-ratelimit-limit-{n}", f"x-ratelimit-reset-{n}") for n in plain),
        *(
            (f"anthropic-ratelimit-{n}-remaining", f"anthropic-ratelimit-{n}-limit", f"anthropic-ratelimit-{n}-reset")
            for n in own
        ),
    )
    for kind, plain, own in (
        ("requests", ("requests", "requests-minute", "req-60-second"), ("requests",)),
        ("tokens", ("tokens", "tokens-minute"), ("tokens", "input-tokens")),
    )
}
"""Headers for what is left, the limit and its reset: OpenAI's (Azure, Groq, xAI, ...), Mistral's, Anthropic's."""


def level_of(headers: Mapping[str, str], kind: str, /) -> Level | None:
    """Returns how full a provider's limit is; None where it does not say, or where more than half of it is left.

    Those that have plenty left are not worth following: the next answer says it again.

    Args:
        headers: names in lower case.
        kind: "requests" or "tokens".
    """
    for names in _NAMES[kind]:
        if (remaining := headers.get(names[0])) is not None:
            left, limit = _number(remaining), _number(headers.get(names[1], ""))
            if left is None or limit is None or limit <= 0 or left > limit / 2:
                return None
            reset = {"retry-after": headers.get(names[2], ""), "date": headers.get("date", "")}
            return Level(limit, max(0.0, left), retry_after_s(reset, "") or MINUTE_S)
    return None


class Load(NamedTuple):
    """How busy a deployment is: its weight, and the attempts on their way."""

    weight: float
    in_flight: int


def choose(loads: Sequence[Load], draw: float, /) -> int:
    """Returns the index of the deployment to ask: the less busy, for its weight, of two drawn by weight.

    Where both are as busy, as when nobody asks anything, it is the first; so the weights are the shares of the load.

    Source: M. Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", IEEE TPDS 12(10), 2001.

    Args:
        loads: at least one, with positive weights.
        draw: in [0, 1); serves both draws, since its place inside the share of the first is again uniform.
    """
    first, rest = _by_weight(loads, range(len(loads)), draw)
    others = [i for i in range(len(loads)) if i != first]
    if not others:
        return first
    second, _ = _by_weight(loads, others, rest)
    return min((first, second), key=lambda i: loads[i].in_flight / loads[i].weight)


def _by_weight(loads: Sequence[Load], among: Sequence[int], draw: float) -> tuple[int, float]:
    """Returns the index that `draw` falls on, and where in its share it fell, in [0, 1]."""
    at = draw * sum(loads[i].weight for i in among)
    for i in among[:-1]:
        if at < loads[i].weight:
            return i, at / loads[i].weight
        at -= loads[i].weight
    return among[-1], min(1.0, at / loads[among[-1]].weight)


def _per_minute(limit: int | None, now_s: float) -> Bucket | None:
    return None if limit is None else Bucket(level=limit, most=limit, per_s=limit / MINUTE_S, at_s=now_s)


def _bucket(level: Level | None, began_s: float, since: int) -> Bucket | None:
    if level is None:
        return None
    per_s = (level.limit - level.remaining) / level.reset_s
    return Bucket(level=level.remaining - since, most=level.limit, per_s=per_s, at_s=began_s)


def _wait_s(bucket: Bucket | None, amount: int, now_s: float) -> float:
    return 0.0 if bucket is None else bucket.wait_s(amount, now_s)


def _less(bucket: Bucket | None, amount: int, now_s: float) -> Bucket | None:
    return None if bucket is None else bucket.less(amount, now_s)


def _number(text: str) -> float | None:
    """Returns a plain number; None for anything else, "inf" and "nan" among it."""
    return float(text) if text.replace(".", "", 1).isdecimal() else None
