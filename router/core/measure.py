"""A decision -> measurements: what OpenTelemetry and Prometheus both count, so that they agree.

Metrics are floats, as every system that takes them has it: the exact money stands in the log.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, NamedTuple, Protocol

from router.core import instruments as i
from router.core.caching import Lookup
from router.core.decision import Attempt, wasted_usd
from router.core.instruments import Instrument
from router.core.place import ModelState
from router.core.record import attempt_from, hit_from
from router.core.stats import BreakerState

CHAT: Final = "chat"
UNKNOWN: Final = "unknown"
"""A provider that an older record does not name; the conventions want one."""

BREAKER_VALUES: Final[Mapping[BreakerState, int]] = {"closed": 0, "resting": 1, "half_open": 2, "open": 3}

PROVIDER_NAMES: Final[Mapping[str, str]] = {
    "azure": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "vertex_ai": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}
"""The conventions' names of providers, where those differ from litellm's, which are ours."""


class Measurement(NamedTuple):
    """One value of a metric."""

    instrument: Instrument
    value: float
    attributes: dict[str, str]


class Measurable(Protocol):
    """What of a decision is measured; a `Decision` has it, and so has its record, as `logged` reads it."""

    @property
    def policy(self) -> str:
        """As in `Decision`; so are the others."""
        ...

    @property
    def model(self) -> str | None: ...  # noqa: D102 - see above

    @property
    def ending(self) -> str: ...  # noqa: D102 - see above

    @property
    def tenant(self) -> str | None: ...  # noqa: D102 - see above

    @property
    def tags(self) -> Mapping[str, str]: ...  # noqa: D102 - see above

    @property
    def attempts(self) -> tuple[Attempt, ...]: ...  # noqa: D102 - see above

    @property
    def lookup(self) -> Lookup | None: ...  # noqa: D102 - see above


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """What of a logged decision is measured."""

    policy: str
    model: str | None
    ending: str
    tenant: str | None
    tags: Mapping[str, str]
    attempts: tuple[Attempt, ...]
    lookup: Lookup | None


def logged(record: Mapping[str, Any], /) -> Logged:
    """Returns what is measured of a decision's record.

    Raises:
        ValueError: it is no record of a decision.
    """
    with suppress(KeyError, TypeError, AttributeError, ValueError, ArithmeticError):
        read = _read(record)
        if all(map(_sound, measurements(read))):
            return read
    raise ValueError(f"the record of trace {record.get('trace_id')!s:.32} lacks what is measured")


def _read(record: Mapping[str, Any]) -> Logged:
    look, tenant = record.get("lookup"), record.get("tenant")
    return Logged(
        policy=record["policy"],
        model=record["model"],
        ending=record["ending"],
        tenant=None if tenant is None else str(tenant),
        tags={str(name): str(value) for name, value in (record.get("tags") or {}).items()},
        attempts=tuple(map(attempt_from, record["attempts"])),
        lookup=Lookup(ended_s=look["ended_s"], hit=hit_from(record), refused=look["refused"]) if look else None,
    )


def _sound(found: Measurement) -> bool:
    """Returns whether a measurement is one; a line of a log may hold any JSON."""
    return (
        math.isfinite(found.value) and found.value >= 0 and all(isinstance(v, str) for v in found.attributes.values())
    )


def measurements(decision: Measurable, /) -> Iterator[Measurement]:
    """Yields what a decision adds to the metrics, tenant and tags left out."""
    policy, model = decision.policy, decision.model
    ended = {i.POLICY: policy, i.ENDING: decision.ending}
    if model is not None:
        ended[i.MODEL] = model
    yield Measurement(i.DECISIONS, 1.0, ended)
    if decision.lookup is not None:
        yield Measurement(i.CACHE, 1.0, {i.POLICY: policy, i.CACHE_RESULT: _found(decision.lookup)})
    for attempt in decision.attempts:
        asked = {i.POLICY: policy, i.MODEL: attempt.model, i.PROVIDER: provider_name(attempt.provider)}
        tried = {**asked, i.OUTCOME: attempt.outcome, i.BILLING: attempt.billing}
        if attempt.held is not None:
            yield Measurement(i.ATTEMPTS, 1.0, {**tried, i.HELD: attempt.held})
            continue  # it is no call
        yield Measurement(i.ATTEMPTS, 1.0, tried)
        yield from _call(attempt, timed=decision.ending != "recorded")
        if attempt.cost_usd is not None:
            yield Measurement(i.COST, float(attempt.cost_usd), {**asked, i.BILLING: attempt.billing})
        wasted = wasted_usd(attempt, ending=decision.ending, model=model)
        if wasted:
            yield Measurement(i.WASTE, float(wasted), {**asked, i.OUTCOME: attempt.outcome})


def breakers(health: Mapping[str, ModelState], /) -> Iterator[Measurement]:
    """Yields how the breakers stand, by what `Router.health` returned."""
    for model, state in health.items():
        for name, deployment in state.deployments.items():
            value = float(BREAKER_VALUES[deployment.breaker])
            yield Measurement(i.BREAKER_STATE, value, {i.MODEL: model, i.DEPLOYMENT: name})


def budgets(left: Mapping[tuple[str, str], Decimal], /) -> Iterator[Measurement]:
    """Yields what is left of budgets, by name and scope."""
    for (name, scope), usd in left.items():
        yield Measurement(i.BUDGET_LEFT, float(usd), {i.BUDGET: name, i.BUDGET_SCOPE: scope})


def provider_name(provider: str | None, /) -> str:
    """Returns a provider's name in the conventions."""
    return UNKNOWN if provider is None else PROVIDER_NAMES.get(provider, provider)


def request_model(attempt: Attempt, /) -> str:
    """Returns the model that was asked for, as it went over the wire."""
    return wire_name(attempt.model_id or attempt.model, attempt.provider)


def wire_name(model_id: str, provider: str | None, /) -> str:
    """Returns what a model is called in requests to its provider: its id without litellm's prefix."""
    head, _, rest = model_id.partition("/")
    return rest if rest and head == provider else model_id


def _call(attempt: Attempt, *, timed: bool) -> Iterator[Measurement]:
    """Yields the measurements that the conventions ask of one call; one made elsewhere took nobody knows how long."""
    call = {
        i.OPERATION: CHAT,
        i.PROVIDER: provider_name(attempt.provider),
        i.REQUEST_MODEL: request_model(attempt),
    }
    if attempt.served is not None:
        call[i.RESPONSE_MODEL] = attempt.served
    # Of an attempt that was given up nothing went wrong.
    failed = call if attempt.outcome in ("answer", "cancelled") else {**call, i.ERROR_TYPE: attempt.outcome}
    if timed:
        yield Measurement(i.DURATION, attempt.latency_s, failed)
    if attempt.first_token_s is not None:
        yield Measurement(i.FIRST_CHUNK, attempt.first_token_s, call)
    if attempt.usage is not None:
        yield Measurement(i.TOKEN_USAGE, float(attempt.usage.input_tokens), {**call, i.TOKEN_TYPE: "input"})
        yield Measurement(i.TOKEN_USAGE, float(attempt.usage.output_tokens), {**call, i.TOKEN_TYPE: "output"})


def _found(lookup: Lookup) -> str:
    """Returns where an answer was found ("memory", "shared", "flight"), else "refused" or "miss"."""
    if lookup.hit is None:
        return "miss"
    return "refused" if lookup.refused is not None else lookup.hit.kind
