"""What each provider is asked with: the kind of client and the environment variable of its key.

Names are litellm's. Base URLs and quirks of the OpenAI-compatible hosts are the `openai` client's own affair.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """How to reach one provider unless the configuration says otherwise.

    Attributes:
        client: a kind registered under `lowfare.clients`.
        key_env: environment variable with the API key; None where none is needed, or where litellm finds its own
            (clouds that sign requests).
        compatible: it speaks OpenAI's format, so that the `openai` client serves it where a base URL is given.
    """

    client: str
    key_env: str | None = None
    compatible: bool = False


COMPATIBLE: Final = "openai_compatible"
"""The provider of a server that only its base URL names."""


def _openai(key_env: str | None) -> Provider:
    return Provider(client="openai", key_env=key_env, compatible=True)


PROVIDERS: Final = MappingProxyType(
    {
        "anthropic": Provider(client="anthropic", key_env="ANTHROPIC_API_KEY"),
        "azure": _openai("AZURE_API_KEY"),
        "cerebras": _openai("CEREBRAS_API_KEY"),
        "deepinfra": _openai("DEEPINFRA_API_KEY"),
        "deepseek": _openai("DEEPSEEK_API_KEY"),
        "fireworks_ai": _openai("FIREWORKS_API_KEY"),
        "gemini": Provider(client="gemini", key_env="GEMINI_API_KEY"),
        "groq": _openai("GROQ_API_KEY"),
        "mistral": _openai("MISTRAL_API_KEY"),
        "openai": _openai("OPENAI_API_KEY"),
        COMPATIBLE: _openai(None),
        "openrouter": _openai("OPENROUTER_API_KEY"),
        "perplexity": _openai("PERPLEXITYAI_API_KEY"),
        "simulated": Provider(client="simulated"),
        "together_ai": _openai("TOGETHERAI_API_KEY"),
        "xai": _openai("XAI_API_KEY"),
        # litellm knows where these are, and how to sign for the clouds among them.
        "azure_ai": Provider(client="litellm", key_env="AZURE_AI_API_KEY"),
        "bedrock": Provider(client="litellm"),
        "cohere": Provider(client="litellm", key_env="COHERE_API_KEY"),
        "dashscope": Provider(client="litellm", key_env="DASHSCOPE_API_KEY", compatible=True),
        "moonshot": Provider(client="litellm", key_env="MOONSHOT_API_KEY", compatible=True),
        "ollama": Provider(client="litellm", compatible=True),
        "sagemaker": Provider(client="litellm"),
        "vertex_ai": Provider(client="litellm"),
        "zai": Provider(client="litellm", key_env="ZAI_API_KEY", compatible=True),
    }
)


def provider_named(name: str) -> Provider:
    """Returns how to reach a provider; one that is not in the table is left to litellm, key and all."""
    return PROVIDERS.get(name, Provider(client="litellm"))
