from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.answer import Usage
from router.core.catalog import Price, Rates, Tier
from router.core.cost import cost_usd
from router.prices.litellm_row import MapRow, read_row


def row(key: str = "m", /, **raw: Any) -> MapRow:
    """Reads a chat row of OpenAI's unless told otherwise."""
    return read_row(key, {"mode": "chat", "litellm_provider": "openai"} | raw)


def price(key: str = "m", /, **raw: Any) -> Price:
    """Returns the price of a row that has one."""
    found = row(key, **raw).price
    assert found is not None
    return found


def rates(**usd_per_mtok: str) -> Rates:
    """Returns rates by class."""
    return Rates(**{name: Decimal(usd) for name, usd in usd_per_mtok.items()})


FLAT = {"input_cost_per_token": 2e-06, "output_cost_per_token": 8e-06}


@given(usd=st.decimals("0.000001", 999, places=6))
def test_floats_become_the_decimals_they_were_written_as(usd: Decimal) -> None:
    """A rate per token in JSON, a binary float, comes out as the decimal rate per million that its author meant."""
    per_token = float(usd.scaleb(-6))
    assert price(input_cost_per_token=per_token, output_cost_per_token=1e-06).tiers[0].rates.input == usd


def test_noise_that_the_file_itself_has_is_cut() -> None:
    """Figures computed in binary before they were written down lose their tail."""
    found = price(input_cost_per_token=1.5000999999999998e-07, output_cost_per_token=1.75e-06).tiers[0].rates
    assert str(found.input).startswith("0.15001")
    assert found.input == Decimal("0.15001")


def test_large_rates_read_like_a_price_list() -> None:
    """Ten dollars are written 10, not 1E+1."""
    assert str(price(input_cost_per_token=1e-05, output_cost_per_token=0.0006).tiers[0].rates.output) == "600"


def test_every_token_class_is_read() -> None:
    """Each rate of a row ends up in its own class."""
    found = price(
        **FLAT,
        cache_read_input_token_cost=5e-07,
        cache_creation_input_token_cost=2.5e-06,
        cache_creation_input_token_cost_above_1hr=4e-06,
        output_cost_per_reasoning_token=9e-06,
        input_cost_per_audio_token=4e-05,
        cache_read_input_audio_token_cost=2e-05,
        output_cost_per_audio_token=8e-05,
        input_cost_per_image_token=3e-06,
        output_cost_per_image_token=3e-05,
    )
    assert found.tiers == (
        Tier(
            rates=rates(
                input="2",
                output="8",
                cached_input="0.5",
                cache_write="2.5",
                cache_write_1h="4",
                reasoning="9",
                input_audio="40",
                cached_input_audio="20",
                output_audio="80",
                input_image="3",
                output_image="30",
            )
        ),
    )


def test_a_size_tier_takes_what_it_leaves_out_from_the_tier_below() -> None:
    """The audio rate holds for all sizes; the hour's cache write has a tier of its own."""
    found = price(
        **FLAT,
        cache_creation_input_token_cost_above_1hr=4e-06,
        input_cost_per_audio_token=4e-05,
        input_cost_per_token_above_200k_tokens=4e-06,
        cache_creation_input_token_cost_above_1hr_above_200k_tokens=8e-06,
        output_cost_per_token_above_512_tokens=9e-06,
    )
    assert [(tier.above_tokens, tier.rates) for tier in found.tiers] == [
        (0, rates(input="2", output="8", cache_write_1h="4", input_audio="40")),
        (512, rates(input="2", output="9", cache_write_1h="4", input_audio="40")),
        (200_000, rates(input="4", output="9", cache_write_1h="8", input_audio="40")),
    ]


def test_a_service_tier_takes_what_it_leaves_out_from_the_standard_one() -> None:
    """Flex has its own text rates, the standard cache rate, and its own tier above a size."""
    found = price(
        **FLAT,
        cache_read_input_token_cost=5e-07,
        input_cost_per_token_flex=1e-06,
        output_cost_per_token_flex=4e-06,
        input_cost_per_token_above_272k_tokens=4e-06,
        input_cost_per_token_above_272k_tokens_flex=2e-06,
        output_cost_per_token_batches=3e-06,
    )
    assert found.service == {
        "flex": (
            Tier(rates=rates(input="1", output="4", cached_input="0.5")),
            Tier(above_tokens=272_000, rates=rates(input="2", output="4", cached_input="0.5")),
        ),
        "batch": (
            Tier(rates=rates(input="2", output="3", cached_input="0.5")),
            Tier(above_tokens=272_000, rates=rates(input="4", output="3", cached_input="0.5")),
        ),
    }


def test_a_repeated_reasoning_rate_follows_the_output_of_each_tier() -> None:
    """Thoughts in flex are charged as flex output, though the row repeats the standard output rate for them."""
    found = price(**FLAT, output_cost_per_reasoning_token=8e-06, output_cost_per_token_flex=4e-06)
    usage = Usage(output_tokens=1_000_000, reasoning_tokens=600_000)
    assert cost_usd(usage, found) == 8
    assert cost_usd(replace(usage, service_tier="flex"), found) == 4


def test_tiered_pricing_rows_stand_alone() -> None:
    """A cache rate of one row does not hold in the next; its upper limit belongs to the lower row."""
    found = price(
        litellm_provider="dashscope",
        tiered_pricing=[
            {
                "range": [0, 32000.0],
                "input_cost_per_token": 1e-06,
                "output_cost_per_token": 2e-06,
                "cache_read_input_token_cost": 1e-07,
            },
            {"range": [32000.0, 128000.0], "input_cost_per_token": 3e-06, "output_cost_per_token": 4e-06},
        ],
    )
    assert [tier.above_tokens for tier in found.tiers] == [0, 32_000]
    assert cost_usd(Usage(input_tokens=32_000, cached_input_tokens=32_000), found) == Decimal("0.0032")
    assert cost_usd(Usage(input_tokens=32_001, cached_input_tokens=32_001), found) == Decimal("0.096003")


def test_xai_charges_the_dearer_tier_at_its_limit() -> None:
    """Elsewhere the tier starts one token above it."""
    raw = FLAT | {"input_cost_per_token_above_200k_tokens": 4e-06}
    usage = Usage(input_tokens=200_000)
    assert cost_usd(usage, price(**raw, litellm_provider="xai")) == Decimal("0.8")
    assert cost_usd(usage, price(**raw)) == Decimal("0.4")


def test_fireworks_charges_half_for_cached_input() -> None:
    """Unless the row says otherwise."""
    assert price(**FLAT, litellm_provider="fireworks_ai").tiers[0].rates.cached_input == 1
    stated = price(**FLAT, litellm_provider="fireworks_ai", cache_read_input_token_cost=5e-07)
    assert stated.tiers[0].rates.cached_input == Decimal("0.5")


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"input_cost_per_token": 1e-06},
        {"output_cost_per_token": 1e-06},
        {"input_cost_per_token": 0, "output_cost_per_token": 0.0},
        {"input_cost_per_token": 0, "output_cost_per_token": 1e-06},
        {"input_cost_per_token": 1e-06, "output_cost_per_token": 0},
        {"input_cost_per_second": 0.001, "output_cost_per_second": 0.001},
        {"input_cost_per_token": "0.1", "output_cost_per_token": True},
        {"input_cost_per_token_above_128k_tokens": 1e-06, "output_cost_per_token_above_128k_tokens": 1e-06},
        {"tiered_pricing": []},
    ],
)
def test_a_row_that_states_no_price_is_unpriced(raw: dict[str, Any]) -> None:
    """Missing, half and zero prices are unknown, never free."""
    assert row(**raw).price is None


def test_a_request_fee_may_stand_for_the_input() -> None:
    """Perplexity's first models charge the request and the answer."""
    found = price(
        litellm_provider="perplexity",
        input_cost_per_token=0,
        output_cost_per_token=2.8e-07,
        input_cost_per_request=0.005,
    )
    assert cost_usd(Usage(input_tokens=1_000, output_tokens=1_000), found) == Decimal("0.00528")


def sizes(low: float, medium: float, high: float) -> dict[str, Any]:
    """Returns search prices by the size of the search context."""
    named = {"low": low, "medium": medium, "high": high}
    return {"search_context_cost_per_query": {f"search_context_size_{name}": usd for name, usd in named.items()}}


def test_perplexity_charges_each_request_for_its_search() -> None:
    """By the size of the search context; the worst case reckons with the largest."""
    found = price(**FLAT, **sizes(0.005, 0.008, 0.012), litellm_provider="perplexity")
    assert (found.request_usd, found.request_most_usd, found.search_usd) == (
        Decimal("0.005"),
        Decimal("0.012"),
        Decimal(0),
    )


def test_deep_research_searches_as_it_likes() -> None:
    """Each search is billed, and the request does not say how many there will be."""
    found = price(**FLAT, **sizes(0.005, 0.005, 0.005), citation_cost_per_token=2e-06, litellm_provider="perplexity")
    assert (found.request_usd, found.search_usd, found.searches_unasked) == (Decimal(0), Decimal("0.005"), True)


@pytest.mark.parametrize(
    ("provider", "unit", "once"),
    [
        ("gemini", None, True),
        ("gemini", "per_query", False),
        ("vertex_ai-language-models", None, True),
        ("vertex_ai-anthropic_models", None, False),
        ("anthropic", None, False),
    ],
)
def test_who_bills_a_search_once(provider: str, unit: str | None, once: bool) -> None:
    """Gemini 2 bills the grounded prompt, all others the search."""
    found = price(**FLAT, **sizes(0.01, 0.02, 0.03), litellm_provider=provider, web_search_billing_unit=unit)
    assert (found.search_usd, found.searches_billed_once) == (Decimal("0.02"), once)


@pytest.mark.parametrize(
    ("key", "provider", "unasked"),
    [
        ("gpt-6-sol", "openai", True),
        ("claude-sonnet-5", "anthropic", False),
        ("us.anthropic.claude-sonnet-5", "bedrock", False),
        ("amazon.nova-pro-v1:0", "bedrock_converse", False),
        ("dashscope/qwen3.7-max", "dashscope", False),
    ],
)
def test_who_bills_cache_writes_that_nobody_asked_for(key: str, provider: str, unasked: bool) -> None:
    """Claude, Nova and Qwen write where the request says so; OpenAI's newer models by themselves."""
    assert price(key, **FLAT, litellm_provider=provider).writes_unasked is unasked


@pytest.mark.parametrize(
    ("raw", "capabilities"),
    [
        ({}, set()),
        ({"supports_function_calling": True, "supports_prompt_caching": True}, {"tools", "prompt_caching"}),
        ({"supports_response_schema": True}, {"json_schema", "json_object"}),
        ({"supports_native_structured_output": True}, {"json_schema", "json_object"}),
        ({"supports_parallel_function_calling": True}, {"json_object"}),
        ({"supports_parallel_function_calling": True, "litellm_provider": "bedrock"}, set()),
        ({"litellm_provider": "deepseek"}, {"json_object"}),
        ({"supports_vision": True, "supports_pdf_input": True}, {"vision", "file_input"}),
        ({"supports_image_input": True}, {"vision"}),
        ({"supported_modalities": ["text", "image", "audio", "video"]}, {"vision", "audio_input", "video_input"}),
        ({"supported_modalities": ["audio"], "supports_audio_input": False}, set()),
        ({"supported_output_modalities": ["text", "audio"]}, {"audio_output"}),
        ({"supports_reasoning": True, "supports_web_search": True}, {"reasoning", "web_search"}),
        ({"supports_audio_input": True, "supports_audio_output": True}, {"audio_input", "audio_output"}),
    ],
)
def test_capabilities_follow_the_flags(raw: dict[str, Any], capabilities: set[str]) -> None:
    """Flags, lists of modalities and the host's habits say what a model can do; a flag outweighs a list."""
    assert row(**raw).capabilities == capabilities


@pytest.mark.parametrize(
    ("key", "provider", "region"),
    [
        ("bedrock/eu-central-1/anthropic.claude-v2", "bedrock", "eu-central-1"),
        ("bedrock/us-gov-west-1/x", "bedrock", "us-gov-west-1"),
        ("us.anthropic.claude-sonnet-4-6", "bedrock_converse", "us"),
        ("anthropic.claude-sonnet-4-6", "bedrock_converse", None),
        ("azure/eu/gpt-4.1", "azure", "eu"),
        ("azure/gpt-4.1", "azure", None),
        ("azure/eu", "azure", None),
        ("gpt-4.1", "openai", None),
    ],
)
def test_regions_stand_in_the_key(key: str, provider: str, region: str | None) -> None:
    """Bedrock and Azure name the region that a row prices."""
    assert row(key, litellm_provider=provider).region == region


@pytest.mark.parametrize(
    ("raw", "multipliers"),
    [
        ({}, {}),
        ({"regional_processing_uplift_multiplier_eu": 1.1}, {"eu": Decimal("1.1")}),
        ({"litellm_provider": "anthropic", "provider_specific_entry": {"us": 1.1, "fast": 2}}, {"us": Decimal("1.1")}),
        ({"litellm_provider": "anthropic"}, {}),
        ({"litellm_provider": "vertex_ai", "regional_endpoint_uplift_multiplier": 1.1}, {"*": Decimal("1.1")}),
    ],
)
def test_regions_that_are_dearer(raw: dict[str, Any], multipliers: dict[str, Decimal]) -> None:
    """By how much, by region; "*" is any region but the global endpoint."""
    assert row(**raw).multipliers == multipliers


def test_windows_and_dates() -> None:
    """The input limit is the window; `max_tokens` stands in for it, never for the output limit."""
    full = row(max_input_tokens=200_000, max_output_tokens=64_000.0, max_tokens=64_000, deprecation_date="2026-11-30")
    assert (full.context_window_tokens, full.max_output_tokens, full.deprecated_on) == (200_000, 64_000, "2026-11-30")
    bare = row(max_tokens=8_192, max_output_tokens=0)
    assert (bare.context_window_tokens, bare.max_output_tokens, bare.deprecated_on) == (8_192, None, None)


@pytest.mark.parametrize(
    ("key", "litellm_provider", "provider", "model_id"),
    [
        ("gpt-4.1", "openai", "openai", "openai/gpt-4.1"),
        ("gemini/gemini-2.5-flash", "gemini", "gemini", "gemini/gemini-2.5-flash"),
        ("gemini-2.5-flash", "vertex_ai-language-models", "vertex_ai", "vertex_ai/gemini-2.5-flash"),
        ("deepseek.v3.2", "bedrock_converse", "bedrock", "bedrock/deepseek.v3.2"),
        ("command-r", "cohere_chat", "cohere", "cohere/command-r"),
        ("amazon-nova/nova-pro-v1", "amazon_nova", "amazon-nova", "amazon-nova/nova-pro-v1"),
    ],
)
def test_ids_begin_with_the_provider(key: str, litellm_provider: str, provider: str, model_id: str) -> None:
    """Whatever the map calls the provider, ids name it as requests do."""
    found = row(key, litellm_provider=litellm_provider)
    assert (found.provider, found.id) == (provider, model_id)
