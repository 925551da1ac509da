"""Where OpenAI-compatible hosts stand and how each differs from OpenAI, as a table.

Providers are named as in litellm's ids. Each entry says only what differs; a host that the table lacks is taken to do
as OpenAI's documentation says and to know every field (`COMPATIBLE`). Sources: the API references, and the recorded
traffic that the replay suite sends through this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from router.core.catalog import Model

FOREIGN_FIELDS: Final = frozenset(
    {
        "annotations",
        "audio",
        "citations",
        "extra_content",
        "images",
        "provider_specific_fields",
        "reasoning",
        "reasoning_content",
        "reasoning_details",
        "refusal",
        "related_questions",
        "search_results",
        "thinking_blocks",
        "thought_signature",
    }
)
"""Fields of an assistant message that one host writes and another refuses. In a conversation over several models each
host is shown only those it knows; any other field is the caller's own affair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    """How one host differs.

    Attributes:
        base_url: where it stands; None where only the user knows.
        key_header: the header that carries the API key.
        key_prefix: what stands before the key there.
        output_limit: the only name it knows for the output limit, "max_tokens" or "max_completion_tokens"; None knows
            both. A limit it ignored would cost more than the router reckoned with.
        renames: other parameters it calls differently, by OpenAI's name.
        tool_choices: words of `tool_choice` it spells differently.
        asks_usage: knows `stream_options.include_usage`; False where usage comes unasked and the field is refused.
        adds: fields to add to each request, unless the caller gives them.
        developer: knows the role "developer"; elsewhere it is sent as "system", which means the same.
        echoes: which of `FOREIGN_FIELDS` it takes back; None takes all.
        reasoning: its name for the reasoning in an assistant message that is sent back.
        short_call_ids: takes only tool call ids of nine letters and digits.
        usage_beside: its usage leaves something out that it bills: "thinking", the reasoning of Google's models;
            "total", all that `total_tokens` has above prompt and completion.
    """

    base_url: str | None = None
    key_header: str = "Authorization"
    key_prefix: str = "Bearer "
    output_limit: str | None = None
    renames: Mapping[str, str] = field(default_factory=dict)
    tool_choices: Mapping[str, str] = field(default_factory=dict)
    asks_usage: bool = True
    adds: Mapping[str, object] = field(default_factory=dict)
    developer: bool = False
    echoes: frozenset[str] | None = None
    reasoning: str = "reasoning_content"
    short_call_ids: bool = False
    usage_beside: str | None = None


COMPATIBLE: Final = Quirks(developer=True)
"""A server of which only the base URL is known: everything is passed on as given."""

_OPENAI_ECHOES: Final = frozenset({"annotations", "audio", "refusal"})
_CONTENT: Final = frozenset({"reasoning_content"})
_REASONING: Final = frozenset({"reasoning"})
_GATEWAY: Final = frozenset({"reasoning", "reasoning_details", "annotations", "audio", "images", "refusal"})

QUIRKS: Final[Mapping[str, Quirks]] = MappingProxyType(
    {
        "openai": Quirks(
            base_url="https://api.openai.com/v1",
            # Reasoning models refuse `max_tokens`, which is deprecated for the others.
            output_limit="max_completion_tokens",
            developer=True,
            echoes=_OPENAI_ECHOES,
        ),
        "azure": Quirks(
            key_header="api-key",
            key_prefix="",
            output_limit="max_completion_tokens",
            developer=True,
            echoes=_OPENAI_ECHOES,
        ),
        "mistral": Quirks(
            base_url="https://api.mistral.ai/v1",
            output_limit="max_tokens",
            renames={"seed": "random_seed"},
            tool_choices={"required": "any"},
            # 422 "extra_forbidden" for fields it does not know; its streams end with usage unasked.
            asks_usage=False,
            echoes=frozenset(),
            short_call_ids=True,
        ),
        "groq": Quirks(
            base_url="https://api.groq.com/openai/v1", developer=True, echoes=_REASONING, reasoning="reasoning"
        ),
        # It wants the reasoning back between tool calls of one turn, and ignores it elsewhere.
        "deepseek": Quirks(base_url="https://api.deepseek.com", output_limit="max_tokens", echoes=_CONTENT),
        "together_ai": Quirks(
            base_url="https://api.together.xyz/v1", output_limit="max_tokens", echoes=_REASONING, reasoning="reasoning"
        ),
        "openrouter": Quirks(
            base_url="https://openrouter.ai/api/v1",
            adds={"usage": {"include": True}},  # what the answer cost, in its usage
            developer=True,
            echoes=_GATEWAY,
            reasoning="reasoning",
        ),
        "xai": Quirks(base_url="https://api.x.ai/v1", developer=True, echoes=_CONTENT),
        "cerebras": Quirks(
            base_url="https://api.cerebras.ai/v1", developer=True, echoes=_REASONING, reasoning="reasoning"
        ),
        "perplexity": Quirks(base_url="https://api.perplexity.ai", output_limit="max_tokens", echoes=frozenset()),
        "fireworks_ai": Quirks(
            base_url="https://api.fireworks.ai/inference/v1", output_limit="max_tokens", echoes=_CONTENT
        ),
        "vercel_ai_gateway": Quirks(
            base_url="https://ai-gateway.vercel.sh/v1",
            developer=True,
            echoes=_GATEWAY,
            reasoning="reasoning",
            usage_beside="thinking",
        ),
        "huggingface": Quirks(base_url="https://router.huggingface.co/v1", output_limit="max_tokens"),
        "dashscope": Quirks(
            base_url="https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
            output_limit="max_tokens",
            echoes=_CONTENT,
        ),
        "zai": Quirks(base_url="https://api.z.ai/api/paas/v4", output_limit="max_tokens", echoes=_CONTENT),
        "baseten": Quirks(base_url="https://inference.baseten.co/v1", echoes=_CONTENT),
        "xiaomi_mimo": Quirks(base_url="https://api.xiaomimimo.com/v1", echoes=_CONTENT),
        "moonshot": Quirks(base_url="https://api.moonshot.ai/v1", output_limit="max_tokens", echoes=_CONTENT),
        "deepinfra": Quirks(base_url="https://api.deepinfra.com/v1/openai", output_limit="max_tokens", echoes=_CONTENT),
        "llamacpp": Quirks(base_url="http://127.0.0.1:8080/v1"),
        "ollama": Quirks(base_url="http://127.0.0.1:11434/v1", output_limit="max_tokens", reasoning="reasoning"),
        "hosted_vllm": Quirks(output_limit="max_tokens"),  # all its versions know this one
        # Google's OpenAI-compatible endpoint counts thoughts in `total_tokens` alone.
        "gemini": Quirks(
            base_url="https://generativelanguage.googleapis.com/v1beta/openai",
            echoes=frozenset({"extra_content"}),
            usage_beside="total",
        ),
    }
)
"""By provider."""

_ALIASES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "alibaba": "dashscope",
        "fireworks": "fireworks_ai",
        "ollama_chat": "ollama",
        "qwencloud": "dashscope",
        "together": "together_ai",
        "vercel": "vercel_ai_gateway",
        "vercel-gateway": "vercel_ai_gateway",
        "vllm": "hosted_vllm",
        "xiaomi": "xiaomi_mimo",
    }
)
"""Other names in use for the same host."""


def quirks_of(provider: str) -> Quirks:
    """Returns how a provider differs; `COMPATIBLE` for one that is not known."""
    return QUIRKS.get(_ALIASES.get(provider, provider), COMPATIBLE)


@lru_cache(maxsize=1024)
def provider_at(provider: str, base_url: str | None) -> str:
    """Returns whose quirks hold for a model: its provider's, or those of the host that its base URL names.

    `provider = "openai"` with a base URL elsewhere means "speaks OpenAI's protocol", not "is OpenAI".
    """
    named = _ALIASES.get(provider, provider)
    if base_url is None or (named in QUIRKS and named != "openai"):
        return named
    host = urlsplit(base_url).hostname or ""
    if host.endswith((".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com")):
        return "azure"
    return _BY_HOST.get(host, named if named != "openai" else "openai_compatible")


_BY_HOST: Final[Mapping[str, str]] = MappingProxyType(
    {
        host: name
        for name, quirks in QUIRKS.items()
        if quirks.base_url is not None
        and (host := urlsplit(quirks.base_url).hostname) is not None
        and host != "127.0.0.1"
    }
)


def endpoint(model: Model) -> str | None:
    """Returns the URL that a model's chat requests go to; None where neither it nor the table knows a base URL."""
    provider = provider_at(model.provider, model.base_url)
    base = model.base_url or quirks_of(provider).base_url
    if base is None:
        return None
    base = base.rstrip("/")
    if base.endswith("/chat/completions"):
        return base
    if provider == "azure":
        return _azure(base, model)
    return f"{base}/chat/completions"


AZURE_API_VERSION: Final = "2024-10-21"
"""Azure's latest general release of the dated API; `options.api_version` of a model overrides it."""


def _azure(base: str, model: Model) -> str:
    """Returns the URL of an Azure deployment: dated API, or the newer `/openai/v1`, which is not dated."""
    if base.endswith("/v1"):
        return f"{base}/chat/completions"
    version = model.options.get("api_version", AZURE_API_VERSION)
    if "/deployments/" not in base:
        base = f"{base.removesuffix('/openai')}/openai/deployments/{model.provider_model}"
    return f"{base}/chat/completions?api-version={version}"
