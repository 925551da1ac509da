"""Usage times price row; in Decimal US dollars, None where unknown.

Every function here rests on one rule of the providers: the size of the whole input, cached tokens included, picks one
tier of the price table, and every token of that request, output too, is charged at that tier's rates (Anthropic,
"Long context pricing"; Google, "Gemini API pricing"; Alibaba, "Model Studio billing").

Zero is an answer only where a price is stated as zero. A model whose input or output price is unknown costs None.
"""

from __future__ import annotations

from decimal import Decimal

from router.core.answer import Usage
from router.core.catalog import Charges, Model, Price, Tier
from router.core.money import EXACT
from router.core.request import Features
from router.core.tokens import tokens_at

_times_plus = EXACT.fma


def cost_usd(usage: Usage, price: Price) -> Decimal | None:
    """Returns what an answer with this usage costs at this price; None where its input or output price is unknown.

    What the provider itself says it billed (`usage.billed_usd`) plays no part. Parts that add up to more than their
    total, as some hosts report them, are cut to it: no token is charged twice.
    """
    charges = _charges(price, usage.service_tier, usage.input_tokens)
    if charges is None:
        return None
    usd = price.request_usd
    if usage.search_requests:
        usd = _times_plus(price.search_usd, 1 if price.searches_billed_once else usage.search_requests, usd)
    return _add_output(usage, charges, _add_input(usage, charges, usd))


def expected_usd(model: Model, features: Features, output_tokens: int) -> Decimal | None:
    """Returns what one attempt of a request is expected to cost at a model; None where the price is unknown.

    Nothing is assumed to come from the prompt cache; where the request asks for web search, one is assumed.

    Args:
        model: where it would be sent.
        features: of the request; its likely token count is used.
        output_tokens: expected tokens of one choice, reasoning included.
    """
    price = model.price
    if price is None:
        return None
    tokens = tokens_at(features, model).likely
    charges = _charges(price, features.service_tier, tokens)
    if charges is None:
        return None
    needs = features.needs
    usd = price.request_usd
    if price.search_usd and "web_search" in needs:
        usd = _times_plus(price.search_usd, 1, usd)
    rate = charges.output_audio if "audio_output" in needs else charges.output
    return _times_plus(rate, output_tokens * features.choices, _times_plus(charges.input, tokens, usd))


def worst_usd(model: Model, features: Features) -> Decimal | None:
    """Returns what one attempt of a request can cost at most at a model.

    No usage inside the token bounds of the request costs more by `cost_usd`, whichever classes its tokens fall into,
    as long as classes that must be asked for (cache writes, audio, images) appear only where `features` say so.

    None where the price is unknown, where neither the request nor the model limits the output, and where the request
    lets the provider make any number of searches that are billed one by one.
    """
    price = model.price
    asked, possible = features.output_tokens_most, model.max_output_tokens
    each = possible if asked is None or (possible is not None and possible < asked) else asked
    if price is None or each is None:
        return None
    fees = max(price.request_usd, price.request_most_usd)
    if price.search_usd and (price.searches_unasked or "web_search" in features.needs):
        if not price.searches_billed_once:
            return None
        fees = _times_plus(price.search_usd, 1, fees)
    input_tokens, output_tokens = tokens_at(features, model).high, each * features.choices
    asks_more = features.needs or features.images or features.cache_write is not None
    worst: Decimal | None = None
    for tiers in (price.tiers,) if features.service_tier is None else _tables(price, features.service_tier):
        for tier in tiers:
            if input_tokens <= tier.above_tokens and tier.above_tokens:
                continue
            charges = tier.charges
            if charges is None:
                return None
            if asks_more:
                rate_in, rate_out = _dearest_input(charges, price, features), _dearest_output(charges, features)
            else:
                rate_in = charges.any_written if price.writes_unasked else charges.any_input
                rate_out = charges.any_output
            usd = _times_plus(rate_out, output_tokens, _times_plus(rate_in, input_tokens, fees))
            if worst is None or usd > worst:
                worst = usd
    return worst


def _charges(price: Price, service_tier: str | None, input_tokens: int) -> Charges | None:
    """Returns what holds for an input of this size; a service tier without prices of its own has the standard ones."""
    for tier in reversed(price.tiers if service_tier is None else price.service.get(service_tier, price.tiers)):
        if input_tokens > tier.above_tokens or not tier.above_tokens:
            return tier.charges
    return None


def _tables(price: Price, service_tier: str | None) -> tuple[tuple[Tier, ...], ...]:
    """Returns every tier table that a request may be charged by.

    A provider that has no room in the tier asked for may serve and bill the standard one; "auto" leaves it the choice
    among all.
    """
    if service_tier == "auto":
        return (price.tiers, *price.service.values())
    if service_tier is not None and service_tier in price.service:
        return (price.tiers, price.service[service_tier])
    return (price.tiers,)


def _add_input(usage: Usage, charges: Charges, usd: Decimal) -> Decimal:
    total = usage.input_tokens
    if not usage.cached_input_tokens and not usage.cache_write_tokens and not usage.cache_write_1h_tokens:
        rest = total
        cached_audio = 0
    else:
        # Dearest first, so that a report that is too large is never made cheaper than it may have been.
        written_1h = min(usage.cache_write_1h_tokens, total)
        written = min(usage.cache_write_tokens, total - written_1h)
        cached = min(usage.cached_input_tokens, total - written_1h - written)
        cached_audio = min(usage.cached_input_audio_tokens, cached)
        usd = _times_plus(charges.cache_write_1h, written_1h, usd)
        usd = _times_plus(charges.cache_write, written, usd)
        usd = _times_plus(charges.cached_input, cached - cached_audio, usd)
        usd = _times_plus(charges.cached_input_audio, cached_audio, usd)
        rest = total - written_1h - written - cached
    if usage.input_audio_tokens or usage.input_image_tokens:
        audio = min(max(usage.input_audio_tokens - cached_audio, 0), rest)
        image = min(usage.input_image_tokens, rest - audio)
        usd = _times_plus(charges.input_audio, audio, usd)
        usd = _times_plus(charges.input_image, image, usd)
        rest -= audio + image
    return _times_plus(charges.input, rest, usd)


def _add_output(usage: Usage, charges: Charges, usd: Decimal) -> Decimal:
    rest = usage.output_tokens
    if usage.reasoning_tokens or usage.output_audio_tokens or usage.output_image_tokens:
        audio = min(usage.output_audio_tokens, rest)
        image = min(usage.output_image_tokens, rest - audio)
        reasoning = min(usage.reasoning_tokens, rest - audio - image)
        usd = _times_plus(charges.output_audio, audio, usd)
        usd = _times_plus(charges.output_image, image, usd)
        usd = _times_plus(charges.reasoning, reasoning, usd)
        rest -= audio + image + reasoning
    return _times_plus(charges.output, rest, usd)


_HEARS = frozenset({"audio_input", "video_input"})
"""Needs whose input may be charged as audio: a film has a sound track."""
_SEES = frozenset({"vision", "file_input", "video_input"})
"""Needs whose input may be charged as images: pages and frames are read as such."""


def _dearest_input(charges: Charges, price: Price, features: Features) -> Decimal:
    writes = features.cache_write is not None or price.writes_unasked
    dearest = charges.any_written if writes else charges.any_input
    if features.cache_write == "1h":
        dearest = max(dearest, charges.cache_write_1h)
    needs = features.needs
    if needs:
        if not needs.isdisjoint(_HEARS):
            dearest = max(dearest, charges.input_audio, charges.cached_input_audio)
        if not needs.isdisjoint(_SEES):
            dearest = max(dearest, charges.input_image)
    if features.images:
        dearest = max(dearest, charges.input_image)
    return dearest


def _dearest_output(charges: Charges, features: Features) -> Decimal:
    if "audio_output" in features.needs:
        return max(charges.any_output, charges.output_audio)
    return charges.any_output
