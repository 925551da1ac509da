"""What the gate says before an attempt: where to send it, or why it is held back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from router.core.catalog import Model
from router.core.decision import Outcome
from router.core.stats import BreakerState

HeldReason = Literal["breaker_open", "queue_full", "quota_spent", "rate_limited"]
"""Why an attempt was not sent: the provider fails; too many wait already, or waited too long; too many retries of
late; a limit of the deployment is used up, or the provider asked to be left alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConcurrencySettings:
    """How many attempts may be on their way to one model, where the model itself does not say.

    Attributes:
        limit: at one time, over all its deployments; None sets no limit.
        queue: how many more may wait for one of these places, first come, first served.
    """

    limit: int | None = None
    queue: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The leave to send one attempt; to be given back exactly once, whatever becomes of it.

    Attributes:
        model: with the address, the key and the headers of the deployment.
        deployment: its name; the model's own where it has none.
        ticket: tells places apart.
    """

    model: Model
    deployment: str
    ticket: int = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The attempt was not sent, and nothing is billed.

    Attributes:
        message: the reason in words.
        retry_after_s: in how many seconds it may be worth to ask again; None where nobody knows.
    """

    reason: HeldReason
    message: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentState:
    """How a deployment stands.

    Attributes:
        breaker: its own, or its key's where that one is not closed.
        cause: the outcome that opened it; None while it is closed.
        shut_s: for how long it is not asked; None where that depends on a probe.
        key_env: the key whose breaker this is; None where it is the deployment's own.
        requests_left: of the nearest limit; None where none is known or near.
        tokens_left: the same.
    """

    breaker: BreakerState
    cause: Outcome | None = None
    shut_s: float | None = 0.0
    key_env: str | None = None
    in_flight: int = 0
    requests_left: float | None = None
    tokens_left: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelState:
    """How a model stands in this process.

    Attributes:
        deployments: by name.
        in_flight: attempts that hold a place.
        queued: attempts that wait for one.
        limit: places; None is no limit.
        retries_left: that the retry quotas would grant now.
    """

    deployments: Mapping[str, DeploymentState]
    in_flight: int
    queued: int
    limit: int | None
    retries_left: float
