"""On what terms a request uses the cache, and what the cache had for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal

from router.core.answer import Answer, Choice, ToolCall, Usage
from router.core.failure import Failure
from router.core.quick import quick

CacheMode = Literal["use", "refresh", "only", "off"]
"""Take a stored answer and store new ones; ask, then store; take a stored answer or fail; neither."""

CacheKind = Literal["memory", "shared", "flight", "none"]
"""Where an answer came from, or the refusal of an invalid request: this process's memory, a store that others share,
an equal request that was in flight; "none" is a provider."""

Source = tuple[str, str]
"""Name and id of the model whose answer is shown."""

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheHint:
    """What one request says of the cache; None leaves it to the policy and the configuration.

    Attributes:
        mode: what is done.
        ttl_s: for how long its answer may be found, in seconds.
        max_age_s: older answers are not taken, in seconds.
        sampled: whether an answer drawn at a temperature above 0 is stored and taken.
    """

    mode: CacheMode | None = None
    ttl_s: float | None = None
    max_age_s: float | None = None
    sampled: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caching:
    """On what terms requests use the cache.

    Attributes:
        mode, ttl_s, max_age_s, sampled: as in `CacheHint`, decided.
        invalid_ttl_s: for how long a request that a provider called `invalid` fails at once when it comes again; 0 is
            not at all.
        takes: False where only a stored answer is wanted and none may be taken: it was drawn, and `sampled` is False.
    """

    mode: CacheMode = "off"
    ttl_s: float = DAY_S
    max_age_s: float | None = None
    sampled: bool = True
    invalid_ttl_s: float = 0.0
    takes: bool = True

    @property
    def looks(self) -> bool:
        """Whether stored answers are taken."""
        return self.takes and self.mode in ("use", "only")

    @property
    def stores(self) -> bool:
        """Whether new answers are stored."""
        return self.mode in ("use", "refresh")

    def asked(self, hint: CacheHint | None, params: Mapping[str, Any], /) -> Caching:
        """Returns the terms of one request: what its hint says goes before these.

        Args:
            hint: of the request.
            params: of the request. A temperature that is not stated is above 0, as it is at every provider.
        """
        terms = self
        if hint is not None:
            stated = {name: value for name in _STATED if (value := getattr(hint, name)) is not None}
            terms = replace(self, **stated)
        if terms.sampled or params.get("temperature") == 0:
            return terms
        # "only" stays what it is: who wants a stored answer or none is not to pay for another.
        return replace(terms, takes=False) if terms.mode == "only" else replace(terms, mode="off")


_STATED = ("mode", "ttl_s", "max_age_s", "sampled")


NOT_CACHED = Caching()


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One stored answer, or the failure of a request that was `invalid`.

    Attributes:
        key: content key of the requests that it answers.
        model, model_id: name and id of the model that answered: another id under the name is another model.
        answer: what it said; None for a failure.
        failure: why nobody could answer; None for an answer.
        cost_usd: what the attempt cost that it came from; None where unknown.
        trace_id, span_id: of the request that paid; older entries lack the second.
        tenant, tags, policy: of that request.
        stored_s: when it was stored, in Unix seconds.
        ttl_s: for how long it may be found, in seconds.
    """

    key: str
    model: str
    model_id: str
    answer: Answer | None = None
    failure: Failure | None = None
    cost_usd: Decimal | None = None
    trace_id: str
    span_id: str | None = None
    tenant: str | None = None
    tags: Mapping[str, str]
    policy: str
    stored_s: float
    ttl_s: float


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """What the cache had for a request, as its record tells it.

    Attributes:
        kind: where it was found.
        model, model_id: name and id of the model that answered.
        trace_id, span_id: of the request that paid, 32 and 16 hex digits; of older entries the second is unknown.
        age_s: since it was stored, in seconds.
        saved_usd: what the answer had cost; None where unknown.
        usage: its tokens.
        failure: of a request that was `invalid`; None for an answer.
        unusable: why the answer does not pass the request's own checks; None where it does.
    """

    kind: CacheKind
    model: str
    model_id: str
    trace_id: str
    span_id: str | None = None
    age_s: float
    saved_usd: Decimal | None = None
    usage: Usage | None = None
    failure: Failure | None = None
    unusable: str | None = None


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """What a request's look into the cache came to.

    Attributes:
        ended_s: seconds from the request's arrival to the end of the look, the wait for another request included.
        hit: what there was; None where there was nothing.
        refused: why it did not count; None where it did, and where there was nothing.
    """

    ended_s: float
    hit: Hit | None = None
    refused: str | None = None

    @property
    def kind(self) -> CacheKind:
        """Where the answer came from."""
        return self.hit.kind if self.hit is not None and self.refused is None else "none"


def hit_of(entry: Entry, kind: CacheKind, now_s: float, /, *, unusable: str | None = None) -> Hit:
    """Returns what an entry is to a request.

    Args:
        entry: what was found under the request's key.
        kind: where.
        now_s: the time, in Unix seconds; clocks of two hosts may differ, so that an age is at least 0.
        unusable: as `Hit` has it.
    """
    answer = entry.answer
    return Hit(
        kind=kind,
        model=entry.model,
        model_id=entry.model_id,
        trace_id=entry.trace_id,
        span_id=entry.span_id,
        age_s=max(0.0, round(now_s - entry.stored_s, 3)),
        saved_usd=entry.cost_usd,
        usage=answer.usage if answer is not None else None,
        failure=entry.failure,
        unusable=unusable,
    )


def own_copy(answer: Answer, /) -> Answer:
    """Returns an answer that shares nothing with another caller's that this one could change.

    Provider fields and logprobs are JSON as the client read it, dicts and lists that a caller may write into. An answer
    without them is returned as it is; so is one that is nested too deep to be copied.
    """
    if not any(map(_changeable, answer.choices)):
        return answer
    try:
        return replace(answer, choices=tuple(map(_own_choice, answer.choices)))
    except RecursionError:
        return answer


def _changeable(choice: Choice) -> bool:
    message = choice.message
    if message.extra or choice.logprobs is not None:
        return True
    return message.tool_calls is not None and any(call.extra for call in message.tool_calls)


def _own_choice(choice: Choice) -> Choice:
    message, calls = choice.message, choice.message.tool_calls
    own = replace(
        message,
        extra=_own_json(message.extra),
        tool_calls=None if calls is None else tuple(map(_own_call, calls)),
    )
    return replace(choice, message=own, logprobs=_own_json(choice.logprobs))


def _own_call(call: ToolCall) -> ToolCall:
    return replace(call, extra=_own_json(call.extra))


def _own_json(value: Any) -> Any:
    """Returns a copy of what JSON holds; whatever else a client left there is nobody's to copy."""
    if isinstance(value, dict):
        return {name: _own_json(part) for name, part in value.items()}
    return [_own_json(part) for part in value] if isinstance(value, list) else value
