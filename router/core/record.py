"""A decision as JSON values, and back.

`docs/decision-record.md` describes the fields. A new field does not raise `SCHEMA`; a changed or removed one does.
Money stands as decimal strings, so that no reader rounds it; a None is null and means unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from decimal import Decimal
from functools import cache
from operator import attrgetter
from typing import Any, Protocol, TypeVar

from router.core.answer import Usage
from router.core.bounds import Bounds
from router.core.budget_record import purse_dict
from router.core.caching import NOT_CACHED, Caching, Hit, Lookup
from router.core.decision import Attempt, Decision
from router.core.failure import Failure
from router.core.hedging import Hedging
from router.core.money import usd
from router.core.request import Features, Hints, TokenCount
from router.core.slate import Slate
from router.core.stats import ModelStats, Stats

SCHEMA = 1

T = TypeVar("T")

_USAGE_PARTS = tuple(f.name for f in fields(Usage) if f.name not in ("input_tokens", "output_tokens", "billed_usd"))
_usage_parts = attrgetter(*_USAGE_PARTS)


class Parts(Protocol):
    """Puts those parts of a record that equal requests have in common: features, bounds, terms."""

    def __call__(self, made: Callable[[T], Any], of: T, /) -> Any:
        """Returns `made(of)`, or what stands for it with whoever writes the record."""
        ...


def _anew(made: Callable[[T], Any], of: T, /) -> Any:
    return made(of)


def decision_dict(decision: Decision, /, *, parts: Parts = _anew) -> dict[str, Any]:
    """Returns the record as JSON values.

    Args:
        decision: what it is the record of.
        parts: puts the parts that equal requests have in common; made anew where it is not given.
    """
    ids, hints = decision.ids, decision.hints
    out: dict[str, Any] = {
        "schema": SCHEMA,
        "trace_id": ids.trace_id,
        "span_id": ids.span_id,
        "request_id": ids.request_id,
        "time": decision.time.isoformat(timespec="microseconds"),
        "tenant": hints.tenant,
        "tags": dict(hints.tags),
        "policy": decision.policy,
        "key": decision.key,
        "model": decision.model,
        "ending": decision.ending,
        "why": decision.why,
        "cost_usd": usd(decision.cost_usd),
        "worst_case_usd": usd(decision.worst_case_usd),
        "waste_usd": usd(decision.waste_usd),
        "baseline": decision.baseline,
        "baseline_usd": usd(decision.baseline_usd),
        "key_without": list(decision.key_without),
        "cache": decision.cache,
        "saved_usd": usd(decision.saved_usd),
        "caching": parts(_caching_dict, decision.caching),
        "lookup": _lookup_dict(decision.lookup),
        "latency_s": decision.latency_s,
        "started_s": decision.started_s,
        "unpriced": decision.unpriced,
        "draw": decision.draw,
        "hints": {"model": hints.model, "min_quality": hints.min_quality, "baseline": hints.baseline},
        "bounds": parts(_bounds_dict, decision.bounds),
        "features": parts(_features_dict, decision.features),
        "expected_output_tokens": decision.expected_output_tokens,
        "prefer_wait_s": decision.prefer_wait_s,
        "hedge_after_s": hedge_after(decision.hedging),
        "budgets": [purse_dict(purse) for purse in decision.budgets],
        "budget_policy": decision.budget_policy,
        "slate": _slate_dict(decision.slate),
        "attempts": [attempt_dict(a) for a in decision.attempts],
    }
    if decision.stats:
        out["stats"] = {name: asdict(stats) for name, stats in decision.stats.items()}
    if ids.parent_span_id is not None:
        out["parent_span_id"] = ids.parent_span_id
    if decision.content is not None:
        out["content"] = decision.content
    return out


def hedge_after(hedging: Hedging | None, /) -> float | str | None:
    """Returns when a second model was to be asked: in seconds, "p95", or null for never."""
    if hedging is None:
        return None
    return "p95" if hedging.after_s is None else hedging.after_s


def attempt_dict(attempt: Attempt, /) -> dict[str, Any]:
    """Returns one attempt as JSON values."""
    return {
        "model": attempt.model,
        "model_id": attempt.model_id,
        "provider": attempt.provider,
        "window_tokens": attempt.window_tokens,
        "served": attempt.served,
        "response_id": attempt.response_id,
        "span_id": attempt.span_id,
        "started_s": attempt.started_s,
        "latency_s": attempt.latency_s,
        "first_token_s": attempt.first_token_s,
        "outcome": attempt.outcome,
        "status": attempt.status,
        "code": attempt.code,
        "error": attempt.error,
        "retry_after_s": attempt.retry_after_s,
        "should_retry": attempt.should_retry,
        "committed": attempt.committed,
        "deployment": attempt.deployment,
        "key_env": attempt.key_env,
        "held": attempt.held,
        "hedge": attempt.hedge,
        "finish_reason": attempt.finish_reason,
        "usage": usage_dict(attempt.usage),
        "cost_usd": usd(attempt.cost_usd),
        "billing": attempt.billing,
        "price_rule": attempt.price_rule,
        "worst_usd": usd(attempt.worst_usd),
        "reserved_usd": usd(attempt.reserved_usd),
        "share": attempt.share,
    }


def usage_dict(usage: Usage | None, /) -> dict[str, Any] | None:
    """Returns the usage as JSON values; the two totals always, other token classes where they are not 0."""
    if usage is None:
        return None
    out: dict[str, Any] = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
    values = _usage_parts(usage)
    if any(values):
        out.update((name, value) for name, value in zip(_USAGE_PARTS, values, strict=True) if value)
    if usage.billed_usd is not None:
        out["billed_usd"] = usd(usage.billed_usd)
    return out


def _caching_dict(caching: Caching) -> dict[str, Any] | None:
    """Returns the terms; None where the cache was not to be used."""
    if caching.mode == "off":
        return None
    return {
        "mode": caching.mode,
        "takes": caching.takes,
        "ttl_s": caching.ttl_s,
        "max_age_s": caching.max_age_s,
        "sampled": caching.sampled,
        "invalid_ttl_s": caching.invalid_ttl_s,
    }


def _lookup_dict(lookup: Lookup | None) -> dict[str, Any] | None:
    if lookup is None:
        return None
    hit = lookup.hit
    return {
        "ended_s": lookup.ended_s,
        "refused": lookup.refused,
        "hit": None
        if hit is None
        else {
            "kind": hit.kind,
            "model": hit.model,
            "model_id": hit.model_id,
            "trace_id": hit.trace_id,
            "span_id": hit.span_id,
            "age_s": hit.age_s,
            "saved_usd": usd(hit.saved_usd),
            "usage": usage_dict(hit.usage),
            "unusable": hit.unusable,
            "failure": None if hit.failure is None else failure_dict(hit.failure),
        },
    }


def failure_dict(failure: Failure, /) -> dict[str, Any]:
    """Returns a stored failure as JSON values."""
    return {"kind": failure.kind, "message": failure.message, "status": failure.status, "code": failure.code}


def _bounds_dict(bounds: Bounds) -> dict[str, Any]:
    return {
        "attempts": bounds.attempts,
        "deadline_s": bounds.deadline_s,
        "waste_usd": usd(bounds.waste_usd),
        "max_cost_usd": usd(bounds.max_cost_usd),
    }


def _features_dict(features: Features) -> dict[str, Any]:
    tokens = features.input_tokens
    return {
        "input_tokens": {"low": tokens.low, "likely": tokens.likely, "high": tokens.high},
        "exact_tokens": dict(features.exact_tokens),
        "output_tokens_most": features.output_tokens_most,
        "choices": features.choices,
        "needs": sorted(features.needs),
        "cache_write": features.cache_write,
        "service_tier": features.service_tier,
        "messages": features.messages,
        "images": features.images,
        "tools": features.tools,
        "stream": features.stream,
        "matches": sorted(features.matches),
        "prefix": [list(mark) for mark in features.prefix],
    }


def _slate_dict(slate: Slate) -> dict[str, Any]:
    return {
        "live": [candidate.record for candidate in slate.live],
        "dropped": [{"model": d.candidate.model.name, "by": d.by, "reason": d.reason} for d in slate.dropped],
    }


def features_from(record: Mapping[str, Any], /) -> Features:
    """Returns the features of a record; fields that it lacks (older records) keep their defaults."""
    known = _known(Features, record)
    tokens = record["input_tokens"]
    known["input_tokens"] = TokenCount(low=tokens["low"], likely=tokens["likely"], high=tokens["high"])
    for name in ("needs", "matches"):
        values = record.get(name)
        known[name] = frozenset(values) if values else _NONE
    prefix = record.get("prefix")
    known["prefix"] = tuple([(digest, size) for digest, size in prefix]) if prefix else ()
    return Features(**known)


_NONE: frozenset[str] = frozenset()


def bounds_from(record: Mapping[str, Any], /) -> Bounds:
    """Returns the bounds of a record."""
    return Bounds(
        attempts=record["attempts"],
        deadline_s=record["deadline_s"],
        waste_usd=_money(record["waste_usd"]),
        max_cost_usd=_money(record["max_cost_usd"]),
    )


def hints_from(record: Mapping[str, Any], /) -> Hints:
    """Returns the hints of a decision's record that routing depends on, with its tags and tenant."""
    return Hints(tags=record["tags"], tenant=record["tenant"], **_known(Hints, record["hints"]))


def stats_from(record: Mapping[str, Any], /) -> Stats:
    """Returns the statistics snapshot of a decision's record; empty where it has none."""
    return {name: ModelStats(**_known(ModelStats, values)) for name, values in record.get("stats", {}).items()}


def hedging_from(record: Mapping[str, Any], /) -> Hedging | None:
    """Returns when a second model was to be asked in a decision's record."""
    after = record.get("hedge_after_s")
    return None if after is None else Hedging(after_s=None if after == "p95" else after)


def caching_from(record: Mapping[str, Any], /) -> Caching:
    """Returns the terms on which a logged request used the cache."""
    terms = record.get("caching")
    return NOT_CACHED if terms is None else Caching(**_known(Caching, terms))


def hit_from(record: Mapping[str, Any], /) -> Hit | None:
    """Returns what the cache had for a logged request; None where it had nothing, or was not asked."""
    logged = (record.get("lookup") or {}).get("hit")
    if logged is None:
        return None
    known, failure = _known(Hit, logged), logged["failure"]
    known["saved_usd"] = _money(logged["saved_usd"])
    known["usage"] = usage_from(logged["usage"])
    known["failure"] = None if failure is None else Failure(**_known(Failure, failure))
    return Hit(**known)


def usage_from(record: Mapping[str, Any] | None, /) -> Usage | None:
    """Returns the usage of a record."""
    if record is None:
        return None
    known = _known(Usage, record)
    known["billed_usd"] = _money(known.get("billed_usd"))
    return Usage(**known)


def attempt_from(record: Mapping[str, Any], /) -> Attempt:
    """Returns one attempt of a record."""
    known = _known(Attempt, record)
    known["usage"] = usage_from(known.get("usage"))
    for name in ("cost_usd", "worst_usd", "reserved_usd"):
        known[name] = _money(known.get(name))
    return Attempt(**known)


def _known(kind: type, record: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields of a dataclass that a record has; what later versions added to it is passed over."""
    names = _names(kind)
    return dict(record) if record.keys() <= names else {name: record[name] for name in names if name in record}


@cache
def _names(kind: type) -> frozenset[str]:
    return frozenset(f.name for f in fields(kind) if f.init)


def _money(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
