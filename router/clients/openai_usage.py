"""Usage of OpenAI-compatible hosts -> `Usage`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final, get_args

from router.clients.counts import believable, is_number, sound_count
from router.clients.quirks import quirks_of
from router.core.answer import Usage
from router.core.catalog import ServiceTier

_XAI_TICKS_PER_USD: Final = Decimal(10_000_000_000)
"""https://docs.x.ai/docs/api-reference: `cost_in_usd_ticks`, of which ten billion make a dollar."""

_USD_LEAST: Final = Decimal("1e-15")
_USD_MOST: Final = Decimal("1e15")
"""Numbers that could be dollars, or xAI's parts of them; what is beyond is a fault, and breaks sums."""

_TIERS: Final = frozenset(get_args(ServiceTier))


def usage_from(body: Mapping[str, Any], provider: str) -> Usage | None:
    """Returns the usage that an answer or a chunk states; None where it states none.

    Args:
        body: the whole answer, one chunk of a stream, or a usage object by itself.
        provider: as in a model's id; decides only what the numbers cannot tell by themselves.
    """
    usage = usage_in(body)
    if usage is None:
        return None
    model = body.get("model")
    tier = body.get("service_tier") or usage.get("service_tier")
    return _normal(
        usage,
        beside=_beside(usage, provider, model if isinstance(model, str) else ""),
        tier=tier if isinstance(tier, str) and tier in _TIERS else None,
    )


def usage_in(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Returns the provider's own usage object, wherever in an answer or chunk it keeps it."""
    if "prompt_tokens" in body:
        return body
    if usage := _mapping(body.get("usage")):
        return usage
    if usage := _mapping(_mapping(body.get("x_groq")).get("usage")):
        return usage
    choices = body.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if usage := _mapping(_mapping(choice).get("usage")):  # Moonshot's streams
            return usage
    return None


def _normal(usage: Mapping[str, Any], *, beside: int, tier: str | None) -> Usage | None:
    """Returns the usage with every part inside its total.

    Args:
        usage: the provider's own.
        beside: output tokens that its completion tokens leave out.
        tier: the service tier that the answer names.
    """
    totals = (usage.get("prompt_tokens"), usage.get("completion_tokens"))
    if not any(map(is_number, totals)) or not believable(*totals):
        return None
    inp, out = _mapping(usage.get("prompt_tokens_details")), _mapping(usage.get("completion_tokens_details"))
    cached = _first(
        (inp, "cached_tokens"),
        (inp, "cache_read_input_tokens"),
        (usage, "prompt_cache_hit_tokens"),
        (usage, "cached_tokens"),
        (usage, "num_cached_tokens"),
        (usage, "cache_read_input_tokens"),
    )
    written = _first(
        (inp, "cache_write_tokens"),
        (inp, "cache_creation_input_tokens"),
        (inp, "cache_creation_tokens"),
        (usage, "cache_creation_input_tokens"),
    )
    input_tokens = _count(usage.get("prompt_tokens"))
    if max(cached, written) > input_tokens:
        input_tokens += cached + written  # counted beside the prompt, as Anthropic's own API does
    output_tokens = _count(usage.get("completion_tokens")) + beside
    reasoning = max(_reasoning(usage), beside)
    audio_in = min(_count(inp.get("audio_tokens")), input_tokens)
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        # OpenRouter counts reasoning with a tokenizer of its own and may find more than the whole output.
        reasoning_tokens=min(reasoning, output_tokens),
        input_audio_tokens=audio_in,
        output_audio_tokens=min(_count(out.get("audio_tokens")), output_tokens),
        input_image_tokens=min(_count(inp.get("image_tokens")), input_tokens),
        output_image_tokens=min(_count(out.get("image_tokens")), output_tokens),
        search_requests=_searches(usage),
        service_tier=tier,
        billed_usd=_billed_usd(usage),
    )


def _reasoning(usage: Mapping[str, Any]) -> int:
    details = _mapping(usage.get("completion_tokens_details"))
    return _first((details, "reasoning_tokens"), (usage, "reasoning_tokens"))


def _beside(usage: Mapping[str, Any], provider: str, model: str) -> int:
    """Returns the output tokens that completion tokens leave out: if the sum says so, or the host is known for it."""
    prompt, completion = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    reasoning = _reasoning(usage)
    over = _count(usage.get("total_tokens")) - prompt - completion
    if over > 0 and over == reasoning:
        return reasoning  # xAI
    match quirks_of(provider).usage_beside:
        case "total":
            return max(over, 0)
        case "thinking" if reasoning > completion or model.startswith("google/"):
            return reasoning
        case _:
            return 0


def _billed_usd(usage: Mapping[str, Any]) -> Decimal | None:
    """Returns what the provider says the answer cost, in the forms of Perplexity, xAI, and OpenRouter and its likes."""
    cost = usage.get("cost")
    if isinstance(cost, dict):
        return _usd(cost.get("total_cost"))
    ticks = _usd(usage.get("cost_in_usd_ticks"))
    if ticks is not None:
        return ticks / _XAI_TICKS_PER_USD
    billed = _usd(cost)
    if billed is None or usage.get("is_byok") is not True:
        return billed
    # With a key of one's own upstream, `cost` is the gateway's fee alone.
    upstream = _usd(_mapping(usage.get("cost_details")).get("upstream_inference_cost"))
    return None if upstream is None else billed + upstream


def _usd(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        usd = Decimal(str(value))
    except InvalidOperation:
        return None
    return usd if usd.is_finite() and (not usd or _USD_LEAST <= usd <= _USD_MOST) else None


def _searches(usage: Mapping[str, Any]) -> int:
    """Returns web searches billed by the piece: OpenRouter, Perplexity's deep research, xAI's sources, Xiaomi."""
    server = _mapping(usage.get("server_tool_use_details")) or _mapping(usage.get("server_tool_use"))
    return _first(
        (server, "web_search_requests"),
        (usage, "num_search_queries"),
        (usage, "num_sources_used"),
        (_mapping(usage.get("web_search_usage")), "tool_usage"),
    )


def _first(*places: tuple[Mapping[str, Any], str]) -> int:
    """Returns the first count above zero."""
    for holder, name in places:
        if count := _count(holder.get(name)):
            return count
    return 0


def _count(value: object) -> int:
    return sound_count(value) or 0


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
