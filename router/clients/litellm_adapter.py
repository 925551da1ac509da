"""litellm's request transforms without its I/O: an OpenAI-form request in, the bytes for a provider out.

With `litellm_results`, which reads what comes back, the only module that touches litellm's internals. They change from
release to release, so the version is pinned exactly, and `tests/clients/test_litellm_adapter.py` pins the signatures.

What its own entry point would do besides, and this does not: fetch files when it is imported, download images in the
middle of a transform, look for keys in the environment, create caches elsewhere, drop parameters silently, log.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal

from router.clients.asked import OPENAI, Asked, asked, unsupported
from router.clients.client import Call, brings_key, key_of
from router.clients.media import Remote
from router.core.failure import Failure

Provider = Literal["anthropic", "gemini"]

ANTHROPIC_BASE: Final = "https://api.anthropic.com"
GEMINI_BASE: Final = "https://generativelanguage.googleapis.com/v1beta"

_GEMINI_FILES: Final = f"{GEMINI_BASE}/files/"

_NO_KEY: Final = "none"
"""Stands in for a key that is not there, so that litellm does not look for one in the environment; never sent."""

_SIGNING: Final = frozenset({"bedrock", "oci", "sagemaker", "sagemaker_chat", "vertex_ai", "vertex_ai_beta"})
"""Clouds that sign requests or ask for a token of the account; their credentials are no key that could be named."""

_OFFLINE: Final = MappingProxyType(
    {
        # Without these litellm fetches its price map when it is imported, and its table of beta headers at first use.
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
        # Otherwise it reads any `.env` file on the way up from the working directory into the environment.
        "LITELLM_MODE": "PRODUCTION",
    }
)

_PATIENCE_S: Final = 600.0
"""What litellm gets as its time-out where the attempt has none; its own default is 6000 s."""

_OURS: Final = frozenset({"allow_private_media"})
"""Options of a model that are for us, not for litellm."""

_GEMINI_FIELDS: Final = frozenset(
    "cached_content extra_body include_server_side_tool_invocations labels safety_settings service_tier tool_choice "
    "tools".split()
)
"""What litellm's transform reads besides the fields of Gemini's `generationConfig`; it ignores everything else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WireRequest:
    """What goes over the wire, and what is needed to read the answer to it.

    Attributes:
        tool_names: the caller's name of each tool whose name had to be changed, by the name on the wire.
        json_tool: the tool that stands for `response_format`; its arguments are the answer's text. None where the
            provider was asked for JSON directly, or not at all.
    """

    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    tool_names: Mapping[str, str] = field(default_factory=dict)
    json_tool: str | None = None


def anthropic_inlines(remote: Remote) -> bool:
    """Tells whether litellm's transform for Anthropic would download a URL; Anthropic itself fetches https."""
    return remote.field == "file_data" or not remote.url.lower().startswith("https://")


def gemini_inlines(remote: Remote) -> bool:
    """Tells whether litellm's transform for Gemini would download a URL; Gemini itself knows only its own files."""
    return not remote.url.startswith(_GEMINI_FILES)


async def ready() -> None:
    """Returns when litellm is imported; the first time that takes seconds, which a thread spends."""
    if "litellm" not in sys.modules or not hasattr(sys.modules["litellm"], "acompletion"):
        await asyncio.to_thread(load)


def load() -> Any:
    """Imports litellm so that it neither asks the network nor writes to the terminal, and returns it.

    A program that has imported litellm itself keeps its own settings.
    """
    if "litellm" in sys.modules:
        import litellm

        return litellm
    for name, value in _OFFLINE.items():
        os.environ.setdefault(name, value)
    import litellm

    litellm.suppress_debug_info = True
    # It estimates tokens at the end of some streams, with tokenizers that it would fetch (46 s where that hangs).
    litellm.disable_hf_tokenizer_download = True
    litellm.redact_messages_in_exceptions = True
    # Its warnings quote messages, and its handler writes them to stderr whatever the application's logging says.
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return litellm


def anthropic(call: Call) -> WireRequest | Failure:
    """Returns the request for Anthropic's Messages API, or why this model cannot be asked."""
    return _guarded("anthropic", call, _anthropic)


def gemini(call: Call) -> WireRequest | Failure:
    """Returns the request for Gemini's `generateContent`, or why this model cannot be asked."""
    return _guarded("gemini", call, _gemini)


def _guarded(
    provider: Provider, call: Call, make: Callable[[Call, Asked], WireRequest | Failure]
) -> WireRequest | Failure:
    request = asked(call, supported=_supported(provider, call))
    if isinstance(request, Failure):
        return request
    try:
        return make(call, request)
    except Exception as error:  # noqa: BLE001 - litellm's transforms raise anything, bare Exception included
        # Its text is left out: it quotes the messages.
        message = f"{call.model.id} cannot express this request ({type(error).__name__})"
        return Failure(kind="unsupported", message=message, sent=False)


def _supported(provider: str, call: Call) -> frozenset[str]:
    """Returns those of OpenAI's parameters that litellm maps for a model."""
    load()
    from litellm.litellm_core_utils.get_supported_openai_params import get_supported_openai_params

    found = get_supported_openai_params(model=call.model.provider_model, custom_llm_provider=provider)
    # None is a provider that litellm does not know by this name: whether it takes a parameter is for it to say.
    return OPENAI if found is None else frozenset(found)


def _optional(provider: Provider, call: Call, request: Asked, messages: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns OpenAI's parameters as the provider's, by litellm's mapping."""
    from litellm.utils import get_optional_params

    chat: Any = messages  # litellm's own types of messages are narrower than what it takes
    mapped = get_optional_params(
        model=call.model.provider_model,
        custom_llm_provider=provider,
        messages=chat,
        stream=call.request.stream,
        drop_params=False,
        **request.params,
    )
    return {k: v for k, v in mapped.items() if k != "stream" and v is not None}


def completion_arguments(call: Call) -> dict[str, Any] | Failure:
    """Returns the keyword arguments of `litellm.acompletion` for one attempt, or why this model cannot be asked."""
    request = asked(call, supported=_supported(call.model.provider, call))
    return request if isinstance(request, Failure) else _completion_arguments(call, request)


def _completion_arguments(call: Call, request: Asked) -> dict[str, Any] | Failure:
    import httpx
    from litellm.types.utils import all_litellm_params

    # litellm takes its own settings among the request's parameters: a `mock_response`, `fallbacks` or `api_base` there
    # would turn one attempt into something else.
    meddling = [name for name in request.params if name in all_litellm_params]
    if meddling:
        return unsupported(call, meddling)
    arguments = request.params | {
        "model": call.model.id,
        "messages": request.messages,
        "api_base": call.model.base_url,
        "api_key": _key(call),
        "extra_headers": request.headers or None,
        "timeout": httpx.Timeout(call.timeouts.total_s or _PATIENCE_S, connect=call.timeouts.connect_s),
        **{k: v for k, v in call.model.options.items() if k not in _OURS},
        # One attempt, of this request, unchanged and unseen.
        "max_retries": 0,
        "num_retries": 0,
        "drop_params": False,
        "no-log": True,
        "_skip_mcp_handler": True,
    }
    if call.request.stream:
        arguments |= {"stream": True, "stream_options": {"include_usage": True}}
    return {k: v for k, v in arguments.items() if v is not None}


def _key(call: Call) -> str | None:
    """Returns what litellm gets as the key; None lets it find credentials itself.

    At an address that the configuration states it must not: its provider's key would go to whoever is there. Nor where
    the request brings a key of its own.
    """
    key = key_of(call)
    if key is not None or call.model.provider in _SIGNING:
        return key
    return _NO_KEY if call.model.base_url is not None or brings_key(call) else None


def _anthropic(call: Call, request: Asked) -> WireRequest:
    from litellm.anthropic_beta_headers_manager import update_request_with_filtered_beta
    from litellm.constants import RESPONSE_FORMAT_TOOL_NAME
    from litellm.llms.anthropic.chat.transformation import ANTHROPIC_TOOL_NAME_REVERSE_MAP_KEY, AnthropicConfig

    config: Any = AnthropicConfig()
    model = call.model.provider_model
    messages = config.translate_developer_role_to_system_role(messages=request.messages)
    if call.model.max_output_tokens and not request.params.keys() & {"max_tokens", "max_completion_tokens"}:
        # Anthropic wants a limit. Ours is the one that the request's worst case was computed with.
        request.params["max_tokens"] = call.model.max_output_tokens
    optional = _optional("anthropic", call, request, messages)
    json_mode = optional.pop("json_mode", False)
    litellm_params: dict[str, Any] = {"metadata": request.metadata}
    url = _anthropic_url(call.model.base_url or ANTHROPIC_BASE)
    headers = config.validate_environment(
        headers=dict(request.headers),
        model=model,
        messages=messages,
        optional_params=optional,
        litellm_params=litellm_params,
        api_key=key_of(call) or _NO_KEY,
        api_base=url,
    )
    data = config.transform_request(
        model=model, messages=messages, optional_params=optional, litellm_params=litellm_params, headers=headers
    )
    headers, data = update_request_with_filtered_beta(headers=headers, request_data=data, provider="anthropic")
    if call.request.stream:
        data["stream"] = True
    tools = data.get("tools") or ()
    has_json_tool = json_mode and any(tool.get("name") == RESPONSE_FORMAT_TOOL_NAME for tool in tools)
    return WireRequest(
        url=url,
        headers=_headers(call, request, headers, key_header="x-api-key"),
        body=_body(data),
        tool_names=litellm_params.get(ANTHROPIC_TOOL_NAME_REVERSE_MAP_KEY) or {},
        json_tool=RESPONSE_FORMAT_TOOL_NAME if has_json_tool else None,
    )


def _anthropic_url(base: str) -> str:
    """Returns the URL of the Messages API below a base, whose `/v1` or `/v1/messages` may be given or left out."""
    base = base.rstrip("/")
    if base.endswith("/v1/messages"):
        return base
    return f"{base}/messages" if base.endswith("/v1") else f"{base}/v1/messages"


def _gemini(call: Call, request: Asked) -> WireRequest | Failure:
    from litellm.llms.gemini.chat.transformation import GoogleAIStudioGeminiConfig
    from litellm.llms.vertex_ai.gemini.transformation import transform_request_body

    config: Any = GoogleAIStudioGeminiConfig()
    model = call.model.provider_model
    messages = config.translate_developer_role_to_system_role(messages=request.messages)
    optional = _optional("gemini", call, request, messages)
    if optional.get("parallel_tool_calls") is True:
        del optional["parallel_tool_calls"]
    ignored = _ignored(optional)
    if ignored:
        return unsupported(call, ignored)
    cached_content = optional.pop("cached_content", None)
    data = transform_request_body(
        messages=messages,
        model=model,
        optional_params=optional,
        custom_llm_provider="gemini",
        litellm_params={"metadata": request.metadata},
        cached_content=cached_content,
    )
    headers = config.validate_environment(
        headers=dict(request.headers),
        model=model,
        messages=messages,
        optional_params=optional,
        litellm_params={},
        api_key={"x-goog-api-key": key_of(call) or _NO_KEY},
    )
    return WireRequest(
        url=_gemini_url(call.model.base_url or GEMINI_BASE, model, stream=call.request.stream),
        headers=_headers(call, request, headers, key_header="x-goog-api-key"),
        body=_body(data),
    )


def _ignored(optional: Mapping[str, Any]) -> list[str]:
    """Returns the parameters that the Gemini transform would leave out without a word."""
    from litellm.llms.vertex_ai.gemini.transformation import GenerationConfig, _get_equivalent_key

    fields = set(GenerationConfig.__annotations__)
    return [k for k in optional if k not in _GEMINI_FIELDS and not _get_equivalent_key(k, fields)]


def _gemini_url(base: str, model: str, *, stream: bool) -> str:
    """Returns the URL of a model's method; a base that is only a host gets the API's version."""
    base = base.rstrip("/")
    if "/" not in base.partition("://")[2]:
        base += "/v1beta"
    method = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return f"{base}/models/{model}:{method}"


def _headers(call: Call, request: Asked, made: Mapping[str, Any], *, key_header: str) -> dict[str, str]:
    """Returns the headers to send: litellm's, and over them those of the model, the router and the request."""
    headers = {k.lower(): str(v) for k, v in made.items() if v is not None}
    if key_of(call) is None:
        for name in (key_header, "authorization"):
            headers.pop(name, None)
    # litellm has merged the caller's beta flags with its own, and dropped those that the provider does not know.
    own = {k: v for k, v in request.headers.items() if k != "anthropic-beta"}
    return headers | own


def _body(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, allow_nan=False).encode()
