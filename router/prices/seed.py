"""The models lowfare knows without being told: those of its demo, and the default where only keys are set."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

SEED_MODELS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "deepseek-v3.2": {"id": "deepseek/deepseek-v3.2"},
        "gemini-2.5-flash": {"id": "gemini/gemini-2.5-flash"},
        "gpt-4.1": {"id": "openai/gpt-4.1"},
        "claude-sonnet-4-5": {"id": "anthropic/claude-sonnet-4-5"},
    }
)
"""`[models.NAME]` tables by name, cheapest output first.

Prices come from the map, except deepseek-v3.2's output: $0.42, see docs/decisions/002-price-sources.md.
"""
