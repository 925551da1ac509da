"""One row of litellm's price map, read into our own types.

Rates are spelled `{class}_cost_per_token[_above_1hr][_above_200k_tokens][_flex]`, in dollars per token, as JSON
floats. They become Decimals by their shortest decimal spelling, cut to 12 digits, so that neither binary noise nor the
noise already in the file (1.5000999999999998e-07) reaches a bill.

What the row does not say is filled in as litellm's own cost calculation does (1.106.2,
`litellm_core_utils/llm_cost_calc/utils.py`): a size tier takes what it leaves out from the tier below, a service tier
from the standard one. Not read, because no usage says how much of it there was: prices per second, per character, per
picture, per session, and off-peak discounts, which depend on the clock (the full price is charged).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Context, Decimal
from typing import Any, Final

from router.core.catalog import Price, Rates, Tier

RawRow = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class MapRow:
    """What the map says of one model.

    Attributes:
        key: as the map spells it.
        provider: the prefix of litellm's ids: "vertex_ai", not "vertex_ai-language-models".
        price: None where input or output is not priced, or is priced zero (see `price_of`).
        multipliers: what every rate is multiplied by where the model is served from a region, by region.
        mode: "chat", or "responses" where only that endpoint serves it.
    """

    key: str
    provider: str
    mode: str
    price: Price | None = None
    context_window_tokens: int | None = None
    max_output_tokens: int | None = None
    capabilities: frozenset[str] = frozenset()
    region: str | None = None
    deprecated_on: str | None = None
    multipliers: Mapping[str, Decimal] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The key with its provider before it, as requests name the model."""
        return self.key if self.key.startswith(f"{self.provider}/") else f"{self.provider}/{self.key}"


def read_row(key: str, raw: RawRow) -> MapRow:
    """Returns one row of the map in our types."""
    provider = provider_of(raw)
    return MapRow(
        key=key,
        provider=provider,
        mode=raw["mode"],
        price=price_of(key, raw),
        context_window_tokens=_positive(raw, "max_input_tokens", "max_tokens"),
        max_output_tokens=_positive(raw, "max_output_tokens"),
        capabilities=_capabilities(raw, provider),
        region=_region(key, provider),
        deprecated_on=raw.get("deprecation_date"),
        multipliers=_multipliers(raw, provider),
    )


def provider_of(raw: RawRow) -> str:
    """Returns the provider as ids name it; the map splits some of them by the API that serves the model."""
    name = str(raw.get("litellm_provider", ""))
    if name.startswith("vertex_ai-"):
        return "vertex_ai"
    return {"amazon_nova": "amazon-nova", "bedrock_converse": "bedrock", "cohere_chat": "cohere"}.get(name, name)


_CLASSES: Final = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cached_input",
    "cache_creation_input_token_cost": "cache_write",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "output_cost_per_reasoning_token": "reasoning",
    "input_cost_per_audio_token": "input_audio",
    "cache_read_input_audio_token_cost": "cached_input_audio",
    "output_cost_per_audio_token": "output_audio",
    "input_cost_per_image_token": "input_image",
    "output_cost_per_image_token": "output_image",
}
_SERVICES: Final = {"flex": "flex", "priority": "priority", "batches": "batch"}
_KEY: Final = re.compile(
    rf"(?P<rate>{'|'.join(sorted(_CLASSES, key=len, reverse=True))})"
    rf"(?:_above_(?P<above>\d+)(?P<thousand>k?)_tokens)?(?:_(?P<service>{'|'.join(_SERVICES)}))?"
)

_Stated = Mapping[tuple[str | None, int], Mapping[str, Decimal]]
"""Rates by service tier (None is the standard one) and by the input size above which they hold."""


def price_of(key: str, raw: RawRow) -> Price | None:
    """Returns the price of a row, or None where the row does not really state one.

    Zero is not believed: the map writes it for models whose price its authors did not know (Llama on Vertex,
    Volcengine, SageMaker), for local ones and for free trials alike, and some rows price the question but not the
    answer. So a model whose output costs nothing is unpriced, and so is one whose input costs nothing, unless a request
    fee is stated in its place. Who knows that a model is free says so in the configuration.
    """
    provider = provider_of(raw)
    stated = _stated(raw, inclusive=provider == "xai")
    whole = bool(raw.get("tiered_pricing"))
    standard = _tiers(stated, None, whole=whole)
    request_usd = _usd(raw.get("input_cost_per_request")) or Decimal(0)
    if not standard or standard[0].above_tokens or not _believed(standard[0].rates, request_usd):
        return None
    if provider == "fireworks_ai":
        standard = tuple(map(_with_fireworks_cache, standard))
    services = dict.fromkeys(service for service, _ in stated if service is not None)
    search = _search(raw, provider)
    return Price(
        tiers=standard,
        service={s: _tiers(stated, s, whole=whole) for s in services},
        request_usd=max(request_usd, search.request_usd),
        request_most_usd=search.request_most_usd,
        search_usd=search.search_usd,
        searches_billed_once=search.searches_billed_once,
        searches_unasked=search.searches_unasked,
        writes_unasked=writes_unasked(key, provider),
    )


def writes_unasked(model_id: str, provider: str) -> bool:
    """Says whether writes to the prompt cache may be billed where the request asks for none.

    Claude and Nova write only at the points a request marks (Anthropic, "Prompt caching"; AWS, "Prompt caching for
    faster model inference"), Alibaba only for explicit caches. Of all others it is taken that they may.
    """
    asked_only = ("claude", "amazon.nova", "amazon/nova")
    alibaba = {"dashscope", "qwencloud", "qwen_ai_platform"}
    return provider not in alibaba and not any(name in model_id for name in asked_only)


def _believed(rates: Rates, request_usd: Decimal) -> bool:
    return bool(rates.output) and (bool(rates.input) or (rates.input is not None and request_usd > 0))


def _stated(raw: RawRow, *, inclusive: bool) -> _Stated:
    """Collects what the row's keys say.

    `inclusive` is for xAI, whose dearer tier starts at its limit rather than above it.
    """
    table: dict[tuple[str | None, int], dict[str, Decimal]] = {}
    for key, value in raw.items():
        match = _KEY.fullmatch(key)
        rate = _usd_per_mtok(value) if match else None
        if match is None or rate is None:
            continue
        above = int(match["above"] or 0) * (1000 if match["thousand"] else 1)
        service = _SERVICES[match["service"]] if match["service"] else None
        table.setdefault((service, above - 1 if inclusive and above else above), {})[_CLASSES[match["rate"]]] = rate
    for tier in raw.get("tiered_pricing") or ():
        whole = {name: _usd_per_mtok(tier.get(key)) for key, name in _CLASSES.items()}
        table[None, int(tier["range"][0])] = {name: rate for name, rate in whole.items() if rate is not None}
    for rates in table.values():
        # The map repeats the standard output rate here, and nowhere the dearer or cheaper tiers', though reasoning is
        # billed as output there too: without the echo it follows the output of each tier.
        if rates.get("reasoning") == rates.get("output"):
            rates.pop("reasoning", None)
    return table


def _tiers(stated: _Stated, service: str | None, *, whole: bool) -> tuple[Tier, ...]:
    """Returns one service tier's whole table, lowest size first; empty where the row states no rates at all.

    `whole` says that each row of the table stands alone: what it leaves out is charged as input or output of that row.
    """
    sizes = sorted({above for name, above in stated if name in {None, service}})
    tiers: list[Tier] = []
    below: dict[str, Decimal] = {}
    for above in sizes:
        known = {k: v for k, v in below.items() if not whole or k in {"input", "output"}}
        below = known | dict(stated.get((None, above), {})) | dict(stated.get((service, above), {}))
        tiers.append(Tier(above_tokens=above, rates=Rates(**below)))
    return tuple(tiers)


def _with_fireworks_cache(tier: Tier) -> Tier:
    """Adds the host's general rule: cached input at half price where no other is stated (Fireworks, "Pricing")."""
    rates = tier.rates
    if rates.cached_input is not None or rates.input is None:
        return tier
    return replace(tier, rates=replace(rates, cached_input=rates.input / 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    request_usd: Decimal = Decimal(0)
    request_most_usd: Decimal = Decimal(0)
    search_usd: Decimal = Decimal(0)
    searches_billed_once: bool = False
    searches_unasked: bool = False


def _search(raw: RawRow, provider: str) -> _Search:
    """Returns what searching costs.

    Perplexity charges every request by the size of its search context, "low" unless the request says otherwise; its
    deep research by the search. Gemini 2 charges a grounded prompt once, Gemini 3 and all others each search.
    """
    sizes = raw.get("search_context_cost_per_query") or {}
    fees = {size: _usd(sizes.get(f"search_context_size_{size}")) or Decimal(0) for size in ("low", "medium", "high")}
    if provider == "perplexity" and "citation_cost_per_token" not in raw:
        return _Search(request_usd=fees["low"], request_most_usd=max(fees.values()))
    google = provider in {"gemini", "vertex_ai"} and "anthropic" not in str(raw.get("litellm_provider"))
    return _Search(
        search_usd=fees["medium"],
        searches_billed_once=google and raw.get("web_search_billing_unit") != "per_query",
        searches_unasked=provider == "perplexity",
    )


_CAPABILITIES: Final = {
    "tools": ("supports_function_calling",),
    "json_schema": ("supports_response_schema", "supports_native_structured_output"),
    "vision": ("supports_vision", "supports_image_input"),
    "audio_input": ("supports_audio_input",),
    "audio_output": ("supports_audio_output",),
    "file_input": ("supports_pdf_input",),
    "video_input": ("supports_video_input",),
    "reasoning": ("supports_reasoning",),
    "web_search": ("supports_web_search",),
    "prompt_caching": ("supports_prompt_caching",),
}
_MODALITIES: Final = {
    "vision": ("supported_modalities", "image"),
    "audio_input": ("supported_modalities", "audio"),
    "audio_output": ("supported_output_modalities", "audio"),
    "video_input": ("supported_modalities", "video"),
}
_JSON_MODE: Final = frozenset({"deepseek", "fireworks_ai", "gemini", "groq", "mistral", "together_ai", "xai"})
"""Hosts whose chat API takes `response_format = {"type": "json_object"}` for whatever model they serve."""


def _capabilities(raw: RawRow, provider: str) -> frozenset[str]:
    """Returns what the row's flags say; a flag outweighs the list of modalities.

    The map has no flag for JSON mode. A model that keeps to a schema has it, and so has any model of a host that
    offers it for all. OpenAI's came with the generation that also brought parallel tool calls (models of 1106).
    """
    found = {name for name, flags in _CAPABILITIES.items() if any(raw.get(flag) for flag in flags)}
    for name, (key, modality) in _MODALITIES.items():
        if modality in (raw.get(key) or ()) and all(raw.get(flag) is None for flag in _CAPABILITIES[name]):
            found.add(name)
    if "json_schema" in found or provider in _JSON_MODE:
        found.add("json_object")
    if provider in {"azure", "openai"} and raw.get("supports_parallel_function_calling"):
        found.add("json_object")
    return frozenset(found)


_AREAS: Final = frozenset({"apac", "au", "eu", "global", "in", "jp", "us", "us-gov"})


def _region(key: str, provider: str) -> str | None:
    """Returns the region that a key names: "bedrock/eu-west-1/...", "azure/eu/...", "us.anthropic...."."""
    path = key.removeprefix(f"{provider}/").split("/")
    match provider:
        case "bedrock":
            area = path[0].split(".")[0]
            return path[0] if re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", path[0]) else area if area in _AREAS else None
        case "azure":
            return path[0] if len(path) > 1 and path[0] in _AREAS else None
        case _:
            return None


def _multipliers(raw: RawRow, provider: str) -> Mapping[str, Decimal]:
    """Returns by how much a region is dearer: OpenAI's data residency, Anthropic's `inference_geo`, Vertex' endpoints.

    "*" stands for every region but "global".
    """
    found: dict[str, Decimal] = {}
    for region in ("eu", "us"):
        value = raw.get(f"regional_processing_uplift_multiplier_{region}")
        if provider == "anthropic":
            value = (raw.get("provider_specific_entry") or {}).get(region)
        if value is not None:
            found[region] = Decimal(repr(value))
    if (value := raw.get("regional_endpoint_uplift_multiplier")) is not None:
        found["*"] = Decimal(repr(value))
    return found


_TWELVE: Final = Context(prec=12)


def _usd(value: object) -> Decimal | None:
    """Returns a JSON number as the decimal it was written as; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return _TWELVE.plus(Decimal(repr(value)))


def _usd_per_mtok(usd_per_token: object) -> Decimal | None:
    usd = _usd(usd_per_token)
    if usd is None:
        return None
    scaled = usd.scaleb(6, _TWELVE)
    # "10", not "1E+1", is what a person wants to read in a price list.
    return scaled.quantize(Decimal(1), context=_TWELVE) if scaled.as_tuple().exponent > 0 else scaled  # type: ignore[operator]  # finite


def _positive(raw: RawRow, *keys: str) -> int | None:
    return next((int(raw[k]) for k in keys if isinstance(raw.get(k), int | float) and raw[k] > 0), None)
