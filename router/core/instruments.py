"""The metrics there are: name, type, unit, attributes. `docs/metrics.md` lists them; a test compares the two.

Those named `gen_ai.*` are OpenTelemetry's for generative AI, with the names, units and buckets of its semantic
conventions: https://github.com/open-telemetry/semantic-conventions-genai, docs/gen-ai/gen-ai-metrics.md. Ours are
named `lowfare.*`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

InstrumentKind = Literal["counter", "gauge", "histogram"]

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_MODEL: Final = "gen_ai.response.model"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 - an attribute that tells input from output, no password
ERROR_TYPE: Final = "error.type"

BILLING: Final = "lowfare.billing"
BUDGET: Final = "lowfare.budget.name"
BUDGET_SCOPE: Final = "lowfare.budget.scope"
CACHE_RESULT: Final = "lowfare.cache.result"
DEPLOYMENT: Final = "lowfare.deployment"
ENDING: Final = "lowfare.ending"
HELD: Final = "lowfare.held"
MODEL: Final = "lowfare.model"
OUTCOME: Final = "lowfare.outcome"
POLICY: Final = "lowfare.policy"
TAG: Final = "lowfare.tag."
"""What stands before the name of a tag that is a label."""
TENANT: Final = "lowfare.tenant"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Instrument:
    """One metric.

    Attributes:
        unit: in UCUM; what stands in braces is a note, and counts things.
        attributes: that its measurements may have, besides tenant and tags where those are listed.
        buckets: upper bounds of a histogram's, ascending; the last one, without a bound, is left out.
    """

    name: str
    kind: InstrumentKind
    unit: str
    description: str
    attributes: tuple[str, ...]
    buckets: tuple[float, ...] = ()


_SECONDS: Final = tuple(0.01 * 2**i for i in range(14))
_TOKENS: Final = tuple(float(4**i) for i in range(14))
_CALL: Final = (OPERATION, PROVIDER, REQUEST_MODEL, RESPONSE_MODEL)

DURATION: Final = Instrument(
    name="gen_ai.client.operation.duration",
    kind="histogram",
    unit="s",
    description="GenAI operation duration.",
    attributes=(*_CALL, ERROR_TYPE),
    buckets=_SECONDS,
)
TOKEN_USAGE: Final = Instrument(
    name="gen_ai.client.token.usage",
    kind="histogram",
    unit="{token}",
    description="Number of input and output tokens used.",
    attributes=(*_CALL, TOKEN_TYPE),
    buckets=_TOKENS,
)
FIRST_CHUNK: Final = Instrument(
    name="gen_ai.client.operation.time_to_first_chunk",
    kind="histogram",
    unit="s",
    description="Time to receive the first chunk, measured from when the client issues the generation request to when "
    "the first chunk is received in the response stream.",
    attributes=_CALL,
    buckets=_SECONDS,
)
DECISIONS: Final = Instrument(
    name="lowfare.decisions",
    kind="counter",
    unit="{request}",
    description="Requests, by how they ended and who answered.",
    attributes=(POLICY, MODEL, ENDING),
)
ATTEMPTS: Final = Instrument(
    name="lowfare.attempts",
    kind="counter",
    unit="{attempt}",
    description="Calls to providers, and turns that were held back, by what they came to.",
    attributes=(POLICY, MODEL, PROVIDER, OUTCOME, HELD, BILLING),
)
COST: Final = Instrument(
    name="lowfare.cost",
    kind="counter",
    unit="USD",
    description="What calls cost, failed ones too; those of unknown cost are left out, and counted as attempts.",
    attributes=(POLICY, MODEL, PROVIDER, BILLING),
)
WASTE: Final = Instrument(
    name="lowfare.waste",
    kind="counter",
    unit="USD",
    description="What calls cost that gave the caller nothing.",
    attributes=(POLICY, MODEL, PROVIDER, OUTCOME),
)
CACHE: Final = Instrument(
    name="lowfare.cache",
    kind="counter",
    unit="{request}",
    description="Requests that looked into the cache, by what they found.",
    attributes=(POLICY, CACHE_RESULT),
)
BUDGET_LEFT: Final = Instrument(
    name="lowfare.budget.left",
    kind="gauge",
    unit="USD",
    description="What may still be spent of a budget.",
    attributes=(BUDGET, BUDGET_SCOPE),
)
BREAKER_STATE: Final = Instrument(
    name="lowfare.breaker.state",
    kind="gauge",
    unit="{state}",
    description="How a deployment's breaker stands: 0 closed, 1 resting, 2 half open, 3 open.",
    attributes=(MODEL, DEPLOYMENT),
)

COUNTED: Final = (DURATION, TOKEN_USAGE, FIRST_CHUNK, DECISIONS, ATTEMPTS, COST, WASTE, CACHE)
"""Those that requests add to."""

STANDING: Final = (BUDGET_LEFT, BREAKER_STATE)
"""Those that are read when somebody asks."""
