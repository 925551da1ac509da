"""What `litellm.acompletion` returns and raises, read for what the provider said, not for what litellm makes of it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from router.clients import litellm_adapter

_NEVER_SENT: Final = frozenset(
    {"ConnectError", "ConnectTimeout", "ClientConnectorError", "ClientConnectorDNSError", "ConnectionRefusedError",
     "ConnectionTimeoutError", "NoCredentialsError", "gaierror"}
)  # fmt: skip
"""Exceptions of httpx, aiohttp, botocore and the socket module, raised before a byte of the request has left."""

_LOST: Final = frozenset(
    {"ReadError", "RemoteProtocolError", "ServerDisconnectedError", "ClientPayloadError", "ClientOSError",
     "ConnectionResetError", "IncompleteReadError"}
)  # fmt: skip
"""Those that are raised when a connection breaks after the request was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """What an exception of litellm's says, apart from its class.

    Attributes:
        fate: what became of the request: refused before it was sent for what it asks ("unsupported"), never sent, no
            answer in time, connection lost, answered with an HTTP error, or something else.
        status: the provider's, or what litellm made of the failure; None where it says nothing.
        headers: the provider's, names in lower case.
        body: the provider's error body; empty where litellm's own text is all there is, as that quotes prompts, answers
            and tracebacks.
    """

    fate: Literal["unsupported", "not_sent", "timed_out", "cut", "answered", "other"]
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: str = field(default="", repr=False)


def raised(error: Exception) -> Raised:
    """Returns what an exception that `acompletion` raised, or that its stream did, says."""
    litellm = litellm_adapter.load()
    causes = list(_causes(error))
    names = {type(cause).__name__ for cause in causes}
    answered = next((found for cause in causes if (found := _http_error(cause)) is not None), None)
    if answered is not None:
        return answered
    if names & _NEVER_SENT:
        return Raised(fate="not_sent")
    if isinstance(error, litellm.UnsupportedParamsError):
        return Raised(fate="unsupported")
    if isinstance(error, TimeoutError | litellm.Timeout):
        return Raised(fate="timed_out")
    if names & _LOST:
        return Raised(fate="cut")
    status = str(getattr(error, "status_code", None))
    return Raised(fate="other", status=int(status) if status.isdigit() else None)


def _http_error(error: BaseException) -> Raised | None:
    """Returns an HTTP error as the provider sent it; litellm's own exceptions carry made-up responses, and are none."""
    import httpx
    import openai

    if not isinstance(error, httpx.HTTPStatusError | openai.APIStatusError):
        return None
    if isinstance(error, openai.APIStatusError) and type(error).__module__.startswith("litellm."):
        return None
    try:
        body: object = error.response.text
    except httpx.ResponseNotRead:
        # litellm reads a stream's error body itself, and keeps it on its subclass.
        body = getattr(error, "text", None) or getattr(error, "message", None) or ""
    return Raised(
        fate="answered",
        status=error.response.status_code,
        headers={k.lower(): v for k, v in error.response.headers.items()},
        body=body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body),
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yields an exception and everything that led to it; litellm and httpx wrap without always naming the cause."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def response_headers(response: Any) -> dict[str, str]:
    """Returns the provider's response headers, names in lower case, of an answer or a stream."""
    hidden = getattr(response, "_hidden_params", None) or {}
    headers = hidden.get("headers") or getattr(response, "_response_headers", None) or {}
    return {str(k).lower(): str(v) for k, v in dict(headers).items()}


def reported_usage(stream: Any) -> dict[str, Any] | None:
    """Returns the usage that a provider reported in a stream; None where litellm would have to estimate it."""
    merged: dict[str, Any] = {}
    for chunk in getattr(stream, "chunks", None) or []:
        usage = getattr(chunk, "usage", None)
        if usage is not None:
            merged = _most(merged, usage.model_dump())
    return merged or None


def _most(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Merges two reports of one stream: counts only grow."""
    merged = dict(old)
    for name, value in new.items():
        kept = merged.get(name)
        if isinstance(value, Mapping):
            merged[name] = _most(kept if isinstance(kept, Mapping) else {}, value)
        elif isinstance(value, int | float) and isinstance(kept, int | float):
            merged[name] = max(kept, value)
        elif value is not None:
            merged[name] = value
    return merged


async def aclose() -> None:
    """Closes the HTTP clients that litellm keeps for the running event loop."""
    if "litellm" not in sys.modules:
        return
    cache = litellm_adapter.load().in_memory_llm_clients_cache
    # litellm keys its clients by the loop they were made in.
    own = [key for key in list(cache.cache_dict) if str(key).endswith(f"-{id(asyncio.get_running_loop())}")]
    for key in own:
        client = cache.cache_dict.pop(key, None)
        close = getattr(client, "aclose", None) or getattr(client, "close", None)
        done = close() if close is not None else None
        if asyncio.iscoroutine(done):
            await done
