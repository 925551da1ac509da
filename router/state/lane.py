"""What one process knows of one model: its deployments, their breakers and limits, and who is on the way.

Nothing here waits or locks; the gate holds its lock around every call.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import NamedTuple

from router.core.breaker import (
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
from router.core.catalog import Model
from router.core.decision import Outcome
from router.core.deployment import Allowance, Deployment, Load, choose
from router.core.place import ConcurrencySettings, DeploymentState, Held, Place
from router.core.stats import BreakerState
from router.state.queue import Line


class Ask(NamedTuple):
    """What the gate is asked: see `Gate.enter`."""

    last: bool
    tokens: int
    draw: float
    avoid: Collection[str]


class End(NamedTuple):
    """How an attempt ended: see `Gate.leave`."""

    outcome: Outcome
    retry_after_s: float | None
    headers: Mapping[str, str]
    tokens: int | None


@dataclass(slots=True, eq=False)
class Key:
    """An API key's breaker, shared by all deployments that use the key."""

    breaker: Breaker


@dataclass(slots=True, eq=False)
class Spot:
    """One deployment.

    Attributes:
        model: as it is asked there.
        requests: sent there so far.
        tokens: sent there so far, as they were expected.
    """

    deployment: Deployment
    model: Model
    key: Key
    breaker: Breaker
    allowance: Allowance
    in_flight: int = 0
    requests: int = 0
    tokens: int = 0


class Inside(NamedTuple):
    """An attempt on its way, with what was true when it began."""

    spot: Spot
    began_s: float
    tokens: int
    epoch: int
    probe: bool
    key_epoch: int
    key_probe: bool
    requests_before: int
    tokens_before: int


class Lane:
    """One model.

    Attributes:
        inside: attempts on their way, by ticket; those at deployments that the catalog has no more are among them.

    Args:
        model: as the catalog has it.
        keys: of all models, by environment variable; new ones are added.
        before: the lane of the same name that this one follows, where the catalog changed.
        places: how many attempts may be on their way where the model does not say.
        now_s: the time.
    """

    __slots__ = ("inside", "line", "model", "spots", "tickets")

    line: Line
    inside: dict[int, Inside]
    tickets: Iterator[int]
    spots: tuple[Spot, ...]

    def __init__(
        self, model: Model, keys: dict[str, Key], before: Lane | None, places: ConcurrencySettings, now_s: float
    ) -> None:
        self.model = model
        limit = places.limit if model.concurrency is None else model.concurrency
        queue = places.queue if model.queue is None else model.queue
        self.line = Line(limit, queue) if before is None else before.line
        self.line.limit, self.line.queue = limit, queue
        self.inside = {} if before is None else before.inside
        self.tickets = count() if before is None else before.tickets
        known = {} if before is None else {spot.deployment.name: spot for spot in before.spots}
        sole = Deployment(name=model.name)
        self.spots = tuple(_spot(model, d, keys, known.get(d.name), now_s) for d in model.deployments or (sole,))

    def forked(self, keys: dict[str, Key]) -> Lane:
        """Returns the lane for a child process: what is known stays, who is on the way is the parent's."""
        lane = Lane(self.model, keys, None, ConcurrencySettings(limit=self.line.limit, queue=self.line.queue), 0.0)
        lane.tickets = count(next(self.tickets))  # places of the parent must not name places of the child
        for spot, old in zip(lane.spots, self.spots, strict=True):
            spot.breaker, spot.allowance = orphaned(old.breaker), old.allowance
            spot.key.breaker = orphaned(old.key.breaker)
        return lane

    def pick(self, ask: Ask, now_s: float, *, keep_last: bool) -> Spot | Held:
        """Returns the deployment to ask, or why there is none."""
        spots = tuple(s for s in self.spots if s.deployment.name not in ask.avoid) if ask.avoid else self.spots
        if not spots:
            return Held(reason="breaker_open", message=f"{self.model.name} has no deployment that did not fail already")
        if len(spots) == 1 and _passes(spots[0], ask.tokens, now_s):
            return spots[0]
        able = [spot for spot in spots if _passes(spot, ask.tokens, now_s)]
        if not able and ask.last and keep_last:  # what the provider does may be wrong; what the user set is not
            able = [s for s in spots if s.allowance.wait_s(ask.tokens, now_s, configured_only=True) <= 0.0]
        if not able:
            return _soonest([_held(spot, ask.tokens, now_s) for spot in spots])
        return able[choose([Load(spot.deployment.weight, spot.in_flight) for spot in able], ask.draw)]

    def take(self, spot: Spot, tokens: int, now_s: float) -> Place:
        """Returns a place at the deployment; the line counts it already."""
        key, breaker, key_breaker = spot.key, spot.breaker, spot.key.breaker
        if not isinstance(breaker, Closed):
            spot.breaker = entered(breaker, now_s)
        if not isinstance(key_breaker, Closed):
            key.breaker = entered(key_breaker, now_s)
        spot.in_flight += 1
        spot.requests += 1
        spot.tokens += tokens
        if not spot.allowance.unlimited:
            spot.allowance = spot.allowance.less(1, tokens, now_s)
        ticket = next(self.tickets)
        self.inside[ticket] = Inside(
            spot,
            now_s,
            tokens,
            spot.breaker.epoch,
            spot.breaker is not breaker,
            key.breaker.epoch,
            key.breaker is not key_breaker,
            spot.requests,
            spot.tokens,
        )
        return Place(model=spot.model, deployment=spot.deployment.name, ticket=ticket)

    def give_back(self, place: Place, end: End, now_s: float, settings: BreakerSettings) -> None:
        """Frees a place and takes in how its attempt ended; a place that was given back before changes nothing."""
        inside = self.inside.pop(place.ticket, None)
        if inside is None:
            return
        self.line.release()
        spot, outcome = inside.spot, end.outcome
        spot.in_flight -= 1
        if outcome != "answer" or not (calm(spot.breaker) and isinstance(spot.key.breaker, Closed)):
            own = Told(outcome=outcome, epoch=inside.epoch, probe=inside.probe, retry_after_s=end.retry_after_s)
            spot.breaker = told(spot.breaker, own, now_s, settings)
            keys = replace(own, epoch=inside.key_epoch, probe=inside.key_probe)
            spot.key.breaker = told_key(spot.key.breaker, keys, now_s, settings)
        used = 0 if outcome == "not_sent" else end.tokens
        if used is not None and not spot.allowance.unlimited:
            spot.allowance = spot.allowance.less(0, used - inside.tokens, now_s)
        if end.headers:
            since = (spot.requests - inside.requests_before, spot.tokens - inside.tokens_before)
            spot.allowance = spot.allowance.learned(end.headers, inside.began_s, since)

    @property
    def in_flight(self) -> int:
        """Attempts that hold a place."""
        return len(self.inside)

    def states(self, now_s: float) -> dict[str, DeploymentState]:
        """Returns how each deployment stands."""
        return {spot.deployment.name: _state(spot, now_s) for spot in self.spots}


def _spot(model: Model, deployment: Deployment, keys: dict[str, Key], before: Spot | None, now_s: float) -> Spot:
    served = model.at(deployment) if model.deployments else model
    # One variable may hold the keys of several hosts, and then one host's word says nothing of the others.
    name = f"{served.key_env} {served.base_url or served.provider}"
    key = Key(Closed()) if served.key_env is None else keys.setdefault(name, Key(Closed()))
    if before is None or before.deployment != deployment:
        allowance = Allowance.of(deployment, now_s)
    else:
        allowance = before.allowance
    breaker = Closed() if before is None else before.breaker
    return Spot(deployment, served, key, breaker, allowance)


def _passes(spot: Spot, tokens: int, now_s: float) -> bool:
    if not (admits(spot.breaker, now_s) and admits(spot.key.breaker, now_s)):
        return False
    return spot.allowance.unlimited or spot.allowance.wait_s(tokens, now_s) <= 0.0


def _held(spot: Spot, tokens: int, now_s: float) -> Held:
    """Returns why a deployment is not asked."""
    name = spot.model.name if spot.deployment.name == spot.model.name else f"{spot.model.name}/{spot.deployment.name}"
    breaker = spot.breaker if admits(spot.key.breaker, now_s) else spot.key.breaker
    wait_s = shut_s(breaker, now_s)
    match breaker:
        case Closed() if wait_s:
            message = f"{name} asked to be left alone for {wait_s:.1f} s more"
            return Held(reason="rate_limited", message=message, retry_after_s=wait_s)
        case Open(cause=cause) if wait_s:
            message = f"{name} is not asked for {wait_s:.1f} s more: {cause}"
            return Held(reason="breaker_open", message=message, retry_after_s=wait_s)
        case HalfOpen(cause=cause):
            return Held(reason="breaker_open", message=f"{name} is being probed after {cause}")
        case _:
            wait_s = spot.allowance.wait_s(tokens, now_s)
            message = f"{name} has used up its limit of requests or tokens for {wait_s:.1f} s"
            return Held(reason="rate_limited", message=message, retry_after_s=wait_s)


def _soonest(held: list[Held]) -> Held:
    return min(held, key=lambda h: float("inf") if h.retry_after_s is None else h.retry_after_s)


def _state(spot: Spot, now_s: float) -> DeploymentState:
    by_key = not isinstance(spot.key.breaker, Closed)
    breaker = spot.key.breaker if by_key else spot.breaker
    cause: Outcome | None = None if isinstance(breaker, Closed) else breaker.cause
    state: BreakerState
    if isinstance(breaker, Closed):
        state = "closed" if admits(breaker, now_s) else "resting"
    else:
        state = "open" if isinstance(breaker, Open) and not admits(breaker, now_s) else "half_open"
    limits = spot.allowance
    requests = [b.left(now_s) for b in (limits.requests, limits.learned_requests) if b is not None]
    tokens = [b.left(now_s) for b in (limits.tokens, limits.learned_tokens) if b is not None]
    return DeploymentState(
        breaker=state,
        cause=cause,
        shut_s=shut_s(breaker, now_s),
        key_env=spot.model.key_env if by_key else None,
        in_flight=spot.in_flight,
        requests_left=min(requests, default=None),
        tokens_left=min(tokens, default=None),
    )
