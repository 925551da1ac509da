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
        own_url: it stands where each user puts it, so that a base URL is needed.
    """

    client: str
    key_env: str | None = None
    own_url: bool = False


COMPATIBLE: Final = "openai_compatible"
"""The provider of a server that only its base URL names."""


def _openai(key_env: str | None, *, own_url: bool = False) -> Provider:
    return Provider(client="openai", key_env=key_env, own_url=own_url)


PROVIDERS: Final = MappingProxyType(
    {
        "anthropic": Provider(client="anthropic", key_env="ANTHROPIC_API_KEY"),
        "azure": _openai("AZURE_API_KEY", own_url=True),
        "baseten": _openai("BASETEN_API_KEY"),
        "cerebras": _openai("CEREBRAS_API_KEY"),
        "dashscope": _openai("DASHSCOPE_API_KEY"),
        "deepinfra": _openai("DEEPINFRA_API_KEY"),
        "deepseek": _openai("DEEPSEEK_API_KEY"),
        "fireworks_ai": _openai("FIREWORKS_API_KEY"),
        "gemini": Provider(client="gemini", key_env="GEMINI_API_KEY"),
        "groq": _openai("GROQ_API_KEY"),
        "hosted_vllm": _openai("HOSTED_VLLM_API_KEY", own_url=True),
        "huggingface": _openai("HUGGINGFACE_API_KEY"),
        "llamacpp": _openai(None),
        "mistral": _openai("MISTRAL_API_KEY"),
        "moonshot": _openai("MOONSHOT_API_KEY"),
        "ollama": _openai(None),
        "openai": _openai("OPENAI_API_KEY"),
        "openrouter": _openai("OPENROUTER_API_KEY"),
        "perplexity": _openai("PERPLEXITYAI_API_KEY"),
        "simulated": Provider(client="simulated"),
        "together_ai": _openai("TOGETHERAI_API_KEY"),
        "vercel_ai_gateway": _openai("VERCEL_AI_GATEWAY_API_KEY"),
        "xai": _openai("XAI_API_KEY"),
        "xiaomi_mimo": _openai("XIAOMI_MIMO_API_KEY"),
        "zai": _openai("ZAI_API_KEY"),
        COMPATIBLE: _openai(None, own_url=True),
        # litellm knows where these are, and how to sign for the clouds among them.
        "azure_ai": Provider(client="litellm", key_env="AZURE_AI_API_KEY"),
        "bedrock": Provider(client="litellm"),
        "cohere": Provider(client="litellm", key_env="COHERE_API_KEY"),
        "sagemaker": Provider(client="litellm"),
        "vertex_ai": Provider(client="litellm"),
    }
)


def provider_named(name: str) -> Provider:
    """Returns how to reach a provider; one that is not in the table is left to litellm, key and all."""
    return PROVIDERS.get(name, Provider(client="litellm"))
