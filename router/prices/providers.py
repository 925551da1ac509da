"""What each provider is asked with: the kind of client, the environment variable of its key, and who may see that key.

Names are litellm's. Base URLs and quirks of the OpenAI-compatible hosts are the `openai` client's own affair.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """How to reach one provider unless the configuration says otherwise.

    Attributes:
        client: a kind registered under `lowfare.clients`.
        key_env: environment variable with the API key; None where none is needed, or where litellm finds its own
            (clouds that sign requests).
        own_url: it stands where each user puts it, so that a base URL is needed.
        hosts: its own hosts, and all below them. At any other address the usual key stays unused.
    """

    client: str
    key_env: str | None = None
    own_url: bool = False
    hosts: tuple[str, ...] = ()

    def key_env_at(self, base_url: str | None, /) -> str | None:
        """Returns the usual variable of the key; None at an address that is not the provider's own.

        The name before a model's id says which protocol and prices it has, and is no leave to show its key to whoever
        serves it.
        """
        if base_url is None:
            return self.key_env
        url = urlsplit(base_url)
        host = (url.hostname or "").rstrip(".")
        own = any(host == known or host.endswith(f".{known}") for known in self.hosts)
        return self.key_env if own and url.scheme == "https" else None


COMPATIBLE: Final = "openai_compatible"
"""The provider of a server that only its base URL names."""


def _openai(key_env: str | None, *hosts: str, own_url: bool = False) -> Provider:
    return Provider(client="openai", key_env=key_env, own_url=own_url, hosts=hosts)


_AZURE: Final = ("openai.azure.com", "services.ai.azure.com", "cognitiveservices.azure.com")


PROVIDERS: Final = MappingProxyType(
    {
        "anthropic": Provider(client="anthropic", key_env="ANTHROPIC_API_KEY", hosts=("api.anthropic.com",)),
        "azure": _openai("AZURE_API_KEY", *_AZURE, own_url=True),
        "baseten": _openai("BASETEN_API_KEY", "inference.baseten.co", "api.baseten.co"),
        "cerebras": _openai("CEREBRAS_API_KEY", "api.cerebras.ai"),
        "dashscope": _openai(
            "DASHSCOPE_API_KEY", "dashscope.aliyuncs.com", "dashscope-intl.aliyuncs.com", "dashscope-us.aliyuncs.com"
        ),
        "deepinfra": _openai("DEEPINFRA_API_KEY", "api.deepinfra.com"),
        "deepseek": _openai("DEEPSEEK_API_KEY", "api.deepseek.com"),
        "fireworks_ai": _openai("FIREWORKS_API_KEY", "api.fireworks.ai"),
        "gemini": Provider(client="gemini", key_env="GEMINI_API_KEY", hosts=("generativelanguage.googleapis.com",)),
        "groq": _openai("GROQ_API_KEY", "api.groq.com"),
        "hosted_vllm": _openai(None, own_url=True),
        "huggingface": _openai("HUGGINGFACE_API_KEY", "router.huggingface.co"),
        "llamacpp": _openai(None),
        "mistral": _openai("MISTRAL_API_KEY", "api.mistral.ai"),
        "moonshot": _openai("MOONSHOT_API_KEY", "api.moonshot.ai", "api.moonshot.cn"),
        "ollama": _openai(None),
        "openai": _openai("OPENAI_API_KEY", "api.openai.com"),
        "openrouter": _openai("OPENROUTER_API_KEY", "openrouter.ai"),
        "perplexity": _openai("PERPLEXITYAI_API_KEY", "api.perplexity.ai"),
        "simulated": Provider(client="simulated"),
        "together_ai": _openai("TOGETHERAI_API_KEY", "api.together.xyz", "api.together.ai"),
        "vercel_ai_gateway": _openai("VERCEL_AI_GATEWAY_API_KEY", "ai-gateway.vercel.sh"),
        "xai": _openai("XAI_API_KEY", "api.x.ai"),
        "xiaomi_mimo": _openai("XIAOMI_MIMO_API_KEY", "api.xiaomimimo.com"),
        "zai": _openai("ZAI_API_KEY", "api.z.ai"),
        COMPATIBLE: _openai(None, own_url=True),
        # litellm knows where these are, and how to sign for the clouds among them.
        "azure_ai": Provider(client="litellm", key_env="AZURE_AI_API_KEY", hosts=(*_AZURE, "models.ai.azure.com")),
        "bedrock": Provider(client="litellm"),
        "cohere": Provider(client="litellm", key_env="COHERE_API_KEY", hosts=("api.cohere.com", "api.cohere.ai")),
        "sagemaker": Provider(client="litellm"),
        "vertex_ai": Provider(client="litellm"),
    }
)


def provider_named(name: str) -> Provider:
    """Returns how to reach a provider; one that is not in the table is left to litellm, key and all."""
    return PROVIDERS.get(name, Provider(client="litellm"))
