"""What the application asks, and the facts computed from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from router.core.caching import CacheHint
from router.core.quick import quick


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """What the application tells the router about a request; none of it reaches a provider.

    Attributes:
        policy: name of the policy to use; None is the one named "default".
        model: name of the only model that may answer; without `policy`, no policy is asked. None leaves the choice to
            the policy.
        tags: labels for reports, rules and budgets.
        tenant: whose request it is; separates caches and budgets.
        max_cost_usd: refuse rather than risk more than this for the whole request.
        min_quality: drop models whose quality prior is below this or unknown.
        attempts, deadline_s, waste_usd: bounds of this request; they only lower those of the policy and the config.
        baseline: name of the model that `baseline_usd` compares with; None is the dearest adequate one.
        trace_id: 32 hex digits to log the request under; None draws one.
        cache: what this request says of the cache, before what the policy and the configuration say.
        request_id: names the request; with the router's seed it decides every draw, so that a weighted split sends the
            same id the same way. None draws one.
    """

    policy: str | None = None
    model: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    tenant: str | None = None
    max_cost_usd: Decimal | None = None
    min_quality: float | None = None
    attempts: int | None = None
    deadline_s: float | None = None
    waste_usd: Decimal | None = None
    baseline: str | None = None
    cache: CacheHint | None = None
    trace_id: str | None = None
    request_id: str | None = None


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One chat request in OpenAI's form.

    Attributes:
        messages: OpenAI chat messages, oldest first.
        params: every other field of the request body, unknown ones included, without `model` and `stream`.
        stream: whether the caller wants the answer piece by piece.
        headers: sent with every attempt, over the client's own; names in lower case. Never in a repr or a log.
    """

    messages: tuple[Mapping[str, Any], ...] = field(repr=False)
    params: Mapping[str, Any] = field(default_factory=dict, repr=False)
    stream: bool = False
    hints: Hints = Hints()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCount:
    """A token count between certain bounds; `low <= likely <= high`, all equal where it was counted exactly."""

    low: int
    likely: int
    high: int


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """Facts about a request; all that policies, prices and the record may know of its content.

    Attributes:
        input_tokens: the whole input, tools and images included, in any tokenizer.
        exact_tokens: the input counted exactly, by tokenizer ("o200k_base"); empty where no count was needed.
        output_tokens_most: the most one choice may have, as the request says; None where it says nothing.
        choices: how many answers are asked for (`n`).
        needs: capabilities that a model must have to serve the request at all.
        cache_write: the longest prompt-cache time the request asks to write for: "5m", "1h"; None where it asks none.
        matches: which of the policies' regular expressions match the last user message.
        prefix: what the request begins with, as digests; see `router.core.prefix`.
    """

    input_tokens: TokenCount
    exact_tokens: Mapping[str, int] = field(default_factory=dict)
    output_tokens_most: int | None = None
    choices: int = 1
    needs: frozenset[str] = frozenset()
    cache_write: str | None = None
    service_tier: str | None = None
    messages: int = 1
    images: int = 0
    tools: int = 0
    stream: bool = False
    matches: frozenset[str] = frozenset()
    prefix: tuple[tuple[str, int], ...] = ()
    memo: dict[str, TokenCount] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Token counts by family of models, each derived from the fields above when `tokens_at` is first asked for it."""

    @property
    def measured_tokens(self) -> int:
        """The input's length as the limits of policies measure it: exact where it was counted, else the likely count.

        Of several tokenizers the one that needs the most tokens decides.
        """
        return max(self.exact_tokens.values(), default=self.input_tokens.likely)
