"""One request out of somebody else's log, as a record of ours: what that log says, and null for what it does not.

A record has all the fields of a decision, so that reports, `explain` and backtests read it like any other: it had no
policy, no slate and no bounds but the usual ones, and its one attempt is the call that was logged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from router.analytics.report_prices import Prices
from router.core import failure_echo
from router.core.answer import Usage
from router.core.bounds import Bounds
from router.core.caching import Hit, Lookup
from router.core.catalog import Model
from router.core.cost import cost_usd
from router.core.decision import Attempt, Billing, Decision, Ids, Outcome
from router.core.failure import FOLLOW
from router.core.features import features_of
from router.core.key import content_key
from router.core.parse import parse_request
from router.core.record import decision_dict
from router.core.request import Features, Hints, TokenCount
from router.core.slate import Slate
from router.errors import RequestError

EXPECTED_OUTPUT_TOKENS: Final = 500
"""As a router's settings have it, where a request does not limit its answer."""
_NO_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FREE: Final = frozenset(kind for kind, follow in FOLLOW.items() if follow.billed == "no")
_NOT_TAKEN: Final = frozenset({"model", "messages", "stream", *Hints.__dataclass_fields__})
"""Parameters that say nothing of the request: its model stands elsewhere, and hints are the router's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What can be told of a request's text without keeping it.

    Attributes:
        key: content key; None where the log does not have the request.
    """

    features: Features
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """One logged request. What is None the log does not say.

    Attributes:
        model: the name by which it was asked for.
        model_id: "provider/model".
        client: who asked.
        usage: of the answer, out of the cache too.
        cost_usd: as the log states it; None has the tokens priced by the map.
        saved_usd: of a hit.
        hit: whether the answer came out of a cache.
        outcome: of the call.
        lacks: fields of the usage that the log does not say, and that stand there as 0.
        repeated: input tokens that repeat the previous request of the session, and any earlier one.
    """

    request_id: str | None = None
    time: datetime | None = None
    model: str | None = None
    model_id: str | None = None
    provider: str | None = None
    window_tokens: int | None = None
    served: str | None = None
    response_id: str | None = None
    tenant: str | None = None
    client: str | None = None
    session: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    facts: Facts
    usage: Usage | None = None
    lacks: frozenset[str] = frozenset()
    cost_usd: Decimal | None = None
    saved_usd: Decimal | None = None
    hit: bool = False
    outcome: Outcome = "answer"
    status: int | None = None
    code: str | None = None
    error: str | None = None
    finish_reason: str | None = None
    latency_s: float | None = None
    first_token_s: float | None = None
    repeated: tuple[int | None, int | None] | None = None


def counted(input_tokens: int | None, *, output_tokens_most: int | None = None, **more: Any) -> Features:
    """Returns the features of a request of which only the length is known; 0 stands for an unknown one."""
    count = input_tokens or 0
    tokens = TokenCount(low=count, likely=count, high=count)
    return Features(input_tokens=tokens, output_tokens_most=output_tokens_most, **more)


def facts_of(messages: Any, params: Mapping[str, Any], usage: Usage | None, /, *, stream: bool) -> Facts:
    """Returns the facts of a request whose messages were logged, by the router's own reading of it.

    One that the router would not take, or whose text is not there, has the tokens that were counted, and no key.
    """
    try:
        request = parse_request(messages, stream, **{k: v for k, v in params.items() if k not in _NOT_TAKEN})
        key = content_key(request, "default")
        features = features_of(request)
    except (RequestError, TypeError):  # a parameter that is no text, or one that this reader has for itself
        return Facts(features=counted(None if usage is None else usage.input_tokens, stream=stream))
    return Facts(features=features, key=key)


def texts_of(messages: Any, /) -> tuple[str, ...]:
    """Returns the texts of a request, none of which an error may repeat into a log."""
    try:
        return tuple(failure_echo.texts_of(parse_request(messages)))
    except RequestError:
        return ()


def record_of(found: Imported, source: str, trace_id: str, prices: Prices, /) -> dict[str, Any]:
    """Returns the record.

    Args:
        source: name of the format, which stands in the record.
        trace_id: 32 hex digits; the same for the same line of the same file.
        prices: what tokens cost whose price the log does not state.
    """
    known = None
    for name in (found.model_id, found.model):
        known = known or prices.model(None, name)
    name = found.model or found.model_id
    answered = found.outcome == "answer"
    tags = dict(found.tags)
    tags |= {k: v for k, v in (("session", found.session), ("client", found.client)) if v is not None}
    decision = Decision(
        ids=Ids(request_id=found.request_id or trace_id, trace_id=trace_id, span_id=trace_id[:16]),
        time=(found.time or _NO_TIME).astimezone(UTC),
        policy="",
        key=found.facts.key or "",
        hints=Hints(tags=tags, tenant=found.tenant),
        bounds=Bounds(),
        features=found.facts.features,
        expected_output_tokens=EXPECTED_OUTPUT_TOKENS,
        stats={},
        slate=Slate(live=()),
        attempts=() if found.hit else (_attempt(found, name, known, trace_id, prices),),
        model=name if answered else None,
        ending="answer" if answered else "final",
        why=f"imported: {name or 'a model'} {'answered' if answered else 'failed'}",
        worst_case_usd=None,
        baseline=None,
        baseline_usd=None,
        draw=int(trace_id[:14], 16) / 2**56,
        latency_s=found.latency_s or 0.0,
        lookup=_lookup(found, name, known) if found.hit else None,
    )
    record = decision_dict(decision)
    record |= {"policy": None, "key": found.facts.key, "latency_s": found.latency_s, "source": source}
    if found.time is None:
        record["time"] = None
    for attempt in record["attempts"]:
        attempt |= {"model": name, "latency_s": found.latency_s}
        if found.usage is not None:
            attempt["usage"] |= dict.fromkeys(found.lacks)
    if not found.facts.features.input_tokens.high:
        record["features"]["input_tokens"] = {"low": None, "likely": None, "high": None}
    if found.repeated is not None:
        record["repeated_tokens"] = {"previous": found.repeated[0], "any": found.repeated[1]}
    return record


def _attempt(found: Imported, name: str | None, known: Model | None, trace_id: str, prices: Prices) -> Attempt:
    cost, billing, rule = _cost(found, known, prices)
    return Attempt(
        model=name or "",
        model_id=_id(found, known),
        provider=found.provider or (known.provider if known else None),
        window_tokens=found.window_tokens or (known.context_window_tokens if known else None),
        served=found.served,
        response_id=found.response_id,
        span_id=trace_id[16:],
        started_s=0.0,
        latency_s=found.latency_s or 0.0,
        first_token_s=found.first_token_s,
        outcome=found.outcome,
        status=found.status,
        code=found.code,
        error=found.error,
        finish_reason=found.finish_reason,
        usage=found.usage,
        cost_usd=cost,
        billing=billing,
        price_rule=rule,
    )


def _cost(found: Imported, known: Model | None, prices: Prices) -> tuple[Decimal | None, Billing, str]:
    if found.outcome not in {"answer", "cancelled"} and not found.cost_usd:
        if found.outcome in _FREE:
            return Decimal(0), "billed", "not billed"
        if found.usage is None:
            return None, "unknown", "the log does not say what this failure cost"
    if found.cost_usd is not None:
        return found.cost_usd, "billed", "as the log states it"
    price = known.price if known is not None else None
    cost = None if price is None or found.usage is None or found.lacks else cost_usd(found.usage, price)
    if cost is None:
        return None, "unknown", "no price is known" if price is None else "not all tokens are known"
    return cost, "billed", f"logged tokens times the price of {prices.price_map.source}"


def _lookup(found: Imported, name: str | None, known: Model | None) -> Lookup:
    hit = Hit(
        kind="shared",
        model=name or "",
        model_id=_id(found, known) or "",
        trace_id="",
        age_s=0.0,
        saved_usd=found.saved_usd,
        usage=found.usage,
    )
    return Lookup(ended_s=0.0, hit=hit)


def _id(found: Imported, known: Model | None) -> str | None:
    return found.model_id or (known.id if known else None)
