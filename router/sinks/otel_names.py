"""A decision as attributes of spans: GenAI's names for what has one, `lowfare.*` for the rest.

The names are those of the semantic conventions 0.66b2 (status: development); a test compares them with the constants
there, which are not needed at run time. Amounts are doubles, since attributes know no decimals: the log is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from router.core.budget import usd_of
from router.core.decision import Attempt, Decision, wasted_usd
from router.core.measure import CHAT, provider_name, request_model
from router.core.money import usd

Attributes = dict[str, Any]
CostName = Literal["langfuse", "logfire", "openinference", "genai"]

ERROR_TYPE: Final = "error.type"
EXCEPTION: Final = "exception"
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"


def asked(attempt: Attempt, /) -> Attributes:
    """Returns what is known of an attempt before it is made, which samplers may go by."""
    out = {"gen_ai.operation.name": CHAT, "gen_ai.request.model": request_model(attempt)}
    if attempt.provider is not None:
        out["gen_ai.provider.name"] = provider_name(attempt.provider)
    return out


def request_attributes(decision: Decision, /) -> Attributes:
    """Returns what the span of a request says; what is unknown is left out, and never 0."""
    ids, slate, attempts = decision.ids, decision.slate, decision.attempts
    out: Attributes = {
        "lowfare.request_id": ids.request_id,
        "lowfare.ending": decision.ending,
        "lowfare.why": decision.why,
        "lowfare.attempts": len([a for a in attempts if a.held is None]),
        "lowfare.slate": [candidate.name for candidate in slate.live],
        "lowfare.cache.kind": decision.cache,
    }
    if slate.dropped:
        out["lowfare.dropped"] = [f"{d.name}: {d.reason} ({d.by})" for d in slate.dropped]
    for name, value in decision.tags.items():
        out[f"lowfare.tag.{name}"] = value
    _put(out, "lowfare.model", decision.model)
    _put(out, "lowfare.baseline", decision.baseline)
    _put_usd(out, "lowfare.cost_usd", decision.cost_usd)
    _put_usd(out, "lowfare.expected_usd", slate.live[0].expected_usd if slate.live else None)
    _put_usd(out, "lowfare.worst_case_usd", decision.worst_case_usd)
    _put_usd(out, "lowfare.waste_usd", decision.waste_usd)
    _put_usd(out, "lowfare.baseline_usd", decision.baseline_usd)
    _put_cache(out, decision)
    _put_budgets(out, decision)
    return out


def attempt_attributes(
    attempt: Attempt,
    decision: Decision,
    /,
    *,
    cost_names: tuple[CostName, ...] = (),
    cache_write_name: str = "cache_creation",
    hosts: Mapping[str, str],
) -> Attributes:
    """Returns what the span of an attempt says besides what was known before it.

    Args:
        attempt: one of the decision's.
        decision: the record.
        cost_names: whose names for the cost it has besides ours.
        cache_write_name: "cache_creation" or "cache_write": the conventions are split.
        hosts: where providers stand, for models without an address of their own.
    """
    out: Attributes = {
        "gen_ai.request.stream": decision.features.stream,
        "lowfare.model": attempt.model,
        "lowfare.outcome": attempt.outcome,
        "lowfare.billing": attempt.billing,
    }
    _put_server(out, attempt, decision, hosts)
    _put(out, "gen_ai.request.max_tokens", decision.features.output_tokens_most)
    if decision.features.choices != 1:
        out["gen_ai.request.choice.count"] = decision.features.choices
    _put(out, "gen_ai.response.model", attempt.served)
    _put(out, "gen_ai.response.id", attempt.response_id)
    _put(out, "gen_ai.response.time_to_first_chunk", attempt.first_token_s)
    if attempt.finish_reason is not None:
        out["gen_ai.response.finish_reasons"] = [attempt.finish_reason]
    _put_usage(out, attempt, cache_write_name)
    _put(out, "lowfare.deployment", attempt.deployment)
    _put(out, "lowfare.held", attempt.held)
    _put(out, "lowfare.retry_after_s", attempt.retry_after_s)
    _put(out, "http.response.status_code", attempt.status)
    if attempt.hedge:
        out["lowfare.hedge"] = True
    _put_usd(out, "lowfare.cost_usd", attempt.cost_usd)
    _put_usd(out, "lowfare.worst_case_usd", attempt.worst_usd)
    _put_usd(out, "lowfare.waste_usd", wasted_usd(attempt, ending=decision.ending, model=decision.model))
    _put_cost(out, attempt, cost_names)
    return out


def sampling_params(params: Mapping[str, Any], /) -> Attributes:
    """Returns what a request says of how its answer is drawn; whatever is no number is not shown."""
    out: Attributes = {}
    for name, known in _SAMPLING:
        value = params.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            out[known] = float(value)
    seed = params.get("seed")
    if type(seed) is int and abs(seed) < 2**63:
        out["gen_ai.request.seed"] = seed
    return out


_SAMPLING: Final = tuple(
    (name, f"gen_ai.request.{name}")
    for name in ("temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty")
)


def request_error(decision: Decision, /) -> tuple[str, Attributes] | None:
    """Returns the type of a request's error, and the event that tells of it; None where it has an answer.

    Nor has one whose caller gave up, nor usage from elsewhere: nothing went wrong.
    """
    if decision.ending in ("answer", "cancelled", "recorded", "planned"):
        return None
    failed = (
        decision.attempts and decision.ending != "budget"
    )  # where the money was gone it is not the last turn's fault
    last = decision.attempts[-1].outcome if failed else decision.ending
    kind = last if last not in ("answer", "cancelled") else decision.ending
    made = sum(a.held is None for a in decision.attempts)
    raised = _RAISED[decision.ending] if decision.ending != "bounds" or made > 1 else "ProviderError"
    return kind, {EXCEPTION_TYPE: f"router.{raised}", EXCEPTION_MESSAGE: decision.why}


def attempt_error(attempt: Attempt, /) -> tuple[str, Attributes] | None:
    """Returns the type of an attempt's error, and the event that tells of it; None where it has none."""
    if attempt.outcome in ("answer", "cancelled"):
        return None
    event = {EXCEPTION_TYPE: "router.ProviderError", EXCEPTION_MESSAGE: attempt.error or attempt.outcome}
    if attempt.code is not None:
        event["lowfare.code"] = attempt.code
    return attempt.held or attempt.outcome, event


_RAISED: Final[Mapping[str, str]] = {
    "no_candidate": "NoCandidate",
    "final": "ProviderError",
    "bounds": "BoundsExceeded",
    "budget": "BudgetExceeded",
    "committed": "ProviderError",
    "policy_error": "PolicyError",
    "not_cached": "NotCached",
}


def _put_cache(out: Attributes, decision: Decision) -> None:
    lookup = decision.lookup
    if lookup is None:
        return
    _put(out, "lowfare.cache.refused", lookup.refused)
    if lookup.hit is not None:
        out["lowfare.cache.age_s"] = lookup.hit.age_s
        out["lowfare.cache.trace_id"] = lookup.hit.trace_id
    if lookup.kind != "none":
        _put_usd(out, "lowfare.saved_usd", decision.saved_usd)


def _put_budgets(out: Attributes, decision: Decision) -> None:
    """Puts how the tightest budget stood: that with the least left, of those that hold something back if any does."""
    _put(out, "lowfare.budget.policy", decision.budget_policy)
    if not decision.budgets:
        return
    tightest = min(decision.budgets, key=lambda purse: (not purse.strict, purse.standing.left_nano))
    out["lowfare.budget.name"] = tightest.budget.name
    if tightest.account.value:
        out["lowfare.budget.scope"] = tightest.account.value
    _put_usd(out, "lowfare.budget.left_usd", tightest.left_usd)
    _put_usd(out, "lowfare.budget.limit_usd", usd_of(tightest.standing.limit_nano))


def _put_usage(out: Attributes, attempt: Attempt, cache_write_name: str) -> None:
    usage = attempt.usage
    if usage is None:
        return
    out["gen_ai.usage.input_tokens"] = usage.input_tokens
    out["gen_ai.usage.output_tokens"] = usage.output_tokens
    written = usage.cache_write_tokens + usage.cache_write_1h_tokens
    if usage.cached_input_tokens:
        out["gen_ai.usage.cache_read.input_tokens"] = usage.cached_input_tokens
    if written:
        out[f"gen_ai.usage.{cache_write_name}.input_tokens"] = written
    if usage.reasoning_tokens:
        out["gen_ai.usage.reasoning.output_tokens"] = usage.reasoning_tokens


def _put_cost(out: Attributes, attempt: Attempt, names: tuple[CostName, ...]) -> None:
    """Puts the cost under the names that other systems know it by: Langfuse, Logfire, OpenInference, the proposal."""
    cost = attempt.cost_usd
    if cost is None:
        return
    for name in names:
        match name:
            case "langfuse":
                out["langfuse.observation.cost_details"] = f'{{"total": {usd(cost)}}}'
            case "logfire":
                out["operation.cost"] = float(cost)
            case "openinference":
                out["llm.cost.total"] = float(cost)
            case "genai":
                said = attempt.usage is not None and attempt.usage.billed_usd is not None
                out["gen_ai.usage.cost.amount"] = float(cost)
                out["gen_ai.usage.cost.currency"] = "USD"
                out["gen_ai.usage.cost.source"] = "provider" if said else "calculated"


def _put_server(out: Attributes, attempt: Attempt, decision: Decision, hosts: Mapping[str, str]) -> None:
    """Puts where the attempt went to."""
    base_url = _address(attempt, decision)
    host, port = _server(base_url) if base_url is not None else (hosts.get(attempt.provider or ""), 443)
    if host is not None:
        out["server.address"], out["server.port"] = host, port


def _address(attempt: Attempt, decision: Decision) -> str | None:
    for candidate in decision.slate.live:
        if candidate.name == attempt.model:
            own = [d.base_url for d in candidate.model.deployments if d.name == attempt.deployment]
            return (own[0] if own else None) or candidate.model.base_url
    return None


@lru_cache(maxsize=256)
def _server(base_url: str) -> tuple[str | None, int]:
    parts = urlsplit(base_url)
    return parts.hostname, parts.port or (80 if parts.scheme == "http" else 443)


def _put(out: Attributes, name: str, value: Any) -> None:
    if value is not None:
        out[name] = value


def _put_usd(out: Attributes, name: str, amount: Decimal | None) -> None:
    if amount is not None:
        out[name] = float(amount)
