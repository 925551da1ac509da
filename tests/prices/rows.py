"""A small price map written by hand, in the format of litellm's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from router.prices.litellm_map import PriceMap

ROWS: Final[Mapping[str, Mapping[str, Any]]] = {
    "talker-2": {
        "litellm_provider": "openai",
        "mode": "chat",
        "input_cost_per_token": 2e-06,
        "output_cost_per_token": 8e-06,
        "cache_read_input_token_cost": 5e-07,
        "input_cost_per_token_above_200k_tokens": 4e-06,
        "input_cost_per_token_flex": 1e-06,
        "output_cost_per_token_flex": 4e-06,
        "search_context_cost_per_query": {"search_context_size_medium": 0.025},
        "regional_processing_uplift_multiplier_eu": 1.1,
        "max_input_tokens": 100_000,
        "max_output_tokens": 10_000,
        "supports_function_calling": True,
        "deprecation_date": "2027-01-31",
    },
    "talker-2-pro": {
        "litellm_provider": "openai",
        "mode": "responses",
        "input_cost_per_token": 2e-05,
        "output_cost_per_token": 8e-05,
    },
    "azure/talker-2": {
        "litellm_provider": "azure",
        "mode": "chat",
        "input_cost_per_token": 2.2e-06,
        "output_cost_per_token": 8.8e-06,
    },
    "gemini/twin-1-flash": {
        "litellm_provider": "gemini",
        "mode": "chat",
        "input_cost_per_token": 3e-07,
        "output_cost_per_token": 2.5e-06,
    },
    "twin-1-flash": {
        "litellm_provider": "vertex_ai-language-models",
        "mode": "chat",
        "input_cost_per_token": 3.3e-07,
        "output_cost_per_token": 2.75e-06,
        "regional_endpoint_uplift_multiplier": 1.1,
    },
    "cloudy.sonnet-1-v1:0": {
        "litellm_provider": "bedrock_converse",
        "mode": "chat",
        "input_cost_per_token": 3e-06,
        "output_cost_per_token": 1.5e-05,
    },
    "volcengine/free-or-unknown": {
        "litellm_provider": "volcengine",
        "mode": "chat",
        "input_cost_per_token": 0.0,
        "output_cost_per_token": 0.0,
    },
    "embedder-3": {"litellm_provider": "openai", "mode": "embedding", "input_cost_per_token": 1e-07},
}

PRICES: Final = PriceMap(ROWS, "a map")
