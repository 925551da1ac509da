"""Usage as a program has it at hand, from whichever provider's client -> `Usage`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from router.clients import anthropic, gemini, openai_usage
from router.clients.counts import COUNT_MOST, sound_count, table_at
from router.core.answer import Usage
from router.core.record import usage_from
from router.errors import RequestError

_OWN: Final = frozenset(f.name for f in fields(Usage))
_SHARED: Final = frozenset({"input_tokens", "output_tokens", "service_tier"})
"""Names that our record has in common with Anthropic's usage and with that of OpenAI's Responses."""
_TOTALS: Final = frozenset({"prompt_tokens", "completion_tokens"})
_ALLOWED: Final = (
    "allowed: a router.Usage, or the usage of an answer as OpenAI's, Anthropic's or Google's client has it, an object "
    "or a mapping with prompt_tokens, input_tokens or promptTokenCount"
)


def stated_usage(value: Any, provider: str, /) -> Usage:
    """Returns the usage that a value states.

    Args:
        value: a `Usage`; a provider's usage, or a whole answer with one, as a mapping or as an object of its client.
        provider: as in a model's id; decides only what the numbers cannot tell by themselves.

    Raises:
        RequestError: it states none, or none that can be believed.
    """
    found = value if isinstance(value, Usage) else _read(_mapping(value), provider)
    if found is None or not all(map(_whole, _counts(found))):
        raise RequestError(
            f"usage: a value of type {type(value).__name__} states no tokens, or a count of them that is no whole "
            f"number from 0 to {COUNT_MOST:,}; {_ALLOWED}"
        )
    return found


def _read(stated: Mapping[str, Any], provider: str) -> Usage | None:
    """Returns the usage that a mapping states in any of the forms that providers write."""
    usage = stated.get("usage")
    if isinstance(usage, Mapping) and "prompt_tokens" not in usage:
        stated = usage  # of a whole answer of Anthropic's, or of OpenAI's Responses
    names = stated.keys()
    if names <= _OWN and names - _SHARED and "input_tokens" in names:
        return usage_from(stated)
    if "usageMetadata" in names or any(name.endswith("TokenCount") for name in names):
        body = stated if "usageMetadata" in names else {"usageMetadata": stated}
        return gemini.usage_from(body) if _counted(table_at(body, "usageMetadata")) else None
    if "input_tokens_details" in names or ("input_tokens" in names and "total_tokens" in names):
        stated = _as_chat(stated)
    elif totals := names & {"input_tokens", "output_tokens"}:
        return anthropic.usage_from({"usage": stated}) if all(_whole(stated[name]) for name in totals) else None
    return openai_usage.usage_from(stated, provider) if _counted(openai_usage.usage_in(stated) or {}) else None


def _counted(usage: Mapping[str, Any]) -> bool:
    """Returns whether each total that stands there is a count. A text would count as nothing, and cost nothing."""
    totals = (usage[name] for name in usage if name in _TOTALS or name.endswith("TokenCount"))
    return all(total is None or _whole(total) for total in totals)


def _whole(count: object) -> bool:
    """Returns whether a value is a count as a program may state it; half a token is a mistake, not to be cut off."""
    return count is not None and sound_count(count) == count


def _as_chat(stated: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the usage of OpenAI's Responses in the words of its chat completions."""
    return {
        **stated,
        "prompt_tokens": stated.get("input_tokens"),
        "completion_tokens": stated.get("output_tokens"),
        "prompt_tokens_details": dict(table_at(stated, "input_tokens_details")),
        "completion_tokens_details": dict(table_at(stated, "output_tokens_details")),
    }


def _mapping(value: Any) -> Mapping[str, Any]:
    """Returns what a mapping, or an object of a provider's client, holds."""
    if isinstance(value, Mapping):
        return {str(name): inner for name, inner in value.items()}
    dump = getattr(value, "model_dump", None)
    held = dump(by_alias=True) if callable(dump) and not isinstance(value, type) else None
    return held if isinstance(held, Mapping) else {}


def _counts(usage: Usage) -> tuple[int, ...]:
    return tuple(getattr(usage, name) for name in _OWN - {"service_tier", "billed_usd"})
