"""A request made ready for a provider that does not speak OpenAI's protocol: copied, or refused as it cannot be met.

What a caller asked for is never dropped silently. Left out is only what cannot change the answer: hints, and values
that ask for what happens anyway.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from router.clients.client import Call, headers_of
from router.core.failure import Failure

OPENAI: Final = frozenset(
    "audio context_management frequency_penalty function_call functions include_server_side_tool_invocations "
    "logit_bias logprobs max_completion_tokens max_tokens metadata modalities n parallel_tool_calls prediction "
    "presence_penalty prompt_cache_key prompt_cache_retention reasoning_effort response_format safety_identifier seed "
    "service_tier stop store stream_options temperature thinking tool_choice tools top_logprobs top_p user verbosity "
    "web_search_options".split()
)
"""Parameters of OpenAI's chat API, and those that litellm has beside them for every provider."""

HINTS: Final = frozenset(
    "metadata prediction prompt_cache_key prompt_cache_retention safety_identifier store stream_options user".split()
)
"""Parameters that tell a provider something and cannot change the answer."""

NEUTRAL: Final[Mapping[str, tuple[object, ...]]] = MappingProxyType(
    {
        "frequency_penalty": (0,),
        "logit_bias": ({},),
        "logprobs": (False,),
        "modalities": (["text"],),
        "n": (1,),
        "parallel_tool_calls": (True,),
        "presence_penalty": (0,),
        "service_tier": ("auto", "default"),
        "top_logprobs": (0,),
    }
)
"""Values that ask for what happens anyway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Copies of a request's parts, for a transform to change at will.

    Attributes:
        params: those the provider understands, and those that only some provider has.
        headers: all but those that the client makes, names in lower case.
    """

    messages: list[dict[str, Any]] = field(repr=False)
    params: dict[str, Any] = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    metadata: dict[str, Any] = field(repr=False)


def asked(call: Call, *, supported: Collection[str]) -> Asked | Failure:
    """Returns the request's parts, or an `unsupported` failure that names the parameters which cannot be honoured.

    Args:
        call: not changed.
        supported: those of OpenAI's parameters that the provider understands.
    """
    params = {k: copy.deepcopy(v) for k, v in call.request.params.items() if v is not None}
    metadata = params.pop("metadata", {})
    foreign = (OPENAI & params.keys()) - set(supported)
    missed = [k for k in params if k in foreign - HINTS and params[k] not in NEUTRAL.get(k, ())]
    if missed:
        return unsupported(call, missed)
    # `user` stays where it is understood; the other hints have no counterpart anywhere else.
    left_out = foreign | (HINTS - {"user"})
    if not params.get("tools"):
        # litellm would make a tool choice of it, which Anthropic refuses where there are no tools.
        left_out |= {"parallel_tool_calls"}
    return Asked(
        messages=[
            {k: copy.deepcopy(v) for k, v in message.items() if v is not None} for message in call.request.messages
        ],
        params={k: v for k, v in params.items() if k not in left_out},
        headers=headers_of(call),
        metadata=dict(metadata),
    )


def unsupported(call: Call, names: Collection[str]) -> Failure:
    """Returns the failure of a request whose named parameters this model cannot honour; nothing was sent."""
    return Failure(kind="unsupported", message=f"{call.model.id} does not support: {', '.join(names)}", sent=False)
