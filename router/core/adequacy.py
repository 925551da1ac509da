"""Which models can serve a request at all: the first half of "adequate", checked for every model before any policy.

The second half, which of them will do, is the policy's.
"""

from __future__ import annotations

from decimal import Decimal

from router.core.catalog import Catalog, Model
from router.core.money import usd
from router.core.request import Features, Hints
from router.core.slate import Candidate, Dropped, Slate
from router.core.tokens import tokens_at, tokens_most

BY = "request"
"""Who dropped the candidates that cannot serve: the request itself."""


def slate_of(
    catalog: Catalog,
    features: Features,
    hints: Hints,
    /,
    *,
    max_cost_usd: Decimal | None,
    expected_output_tokens: int,
    unpriced: bool,
) -> Slate:
    """Returns the slate of all models, those that cannot serve the request dropped.

    Args:
        catalog: all models.
        features: of the request.
        hints: of the request; `model` and `min_quality` drop candidates here.
        max_cost_usd: candidates that may cost more in one attempt are dropped; None drops none.
        expected_output_tokens: what a model is taken to write where the request allows as much.
        unpriced: whether models without a known price may be asked.
    """
    live: list[Candidate] = []
    dropped: list[Dropped] = []
    most = features.output_tokens_most
    wanted = expected_output_tokens if most is None else min(most, expected_output_tokens)
    input_most = tokens_most(features)
    for model in catalog.values():
        possible = model.max_output_tokens
        output_tokens = wanted if possible is None or wanted < possible else possible
        candidate = Candidate(model=model, features=features, expected_output_tokens=output_tokens)
        reason = _unable(candidate, input_most, hints, max_cost_usd, unpriced=unpriced)
        if reason is None:
            live.append(candidate)
        else:
            dropped.append(Dropped(candidate, BY, reason))
    return Slate(tuple(live), tuple(dropped))


def _unable(
    candidate: Candidate, input_most: int, hints: Hints, max_cost_usd: Decimal | None, *, unpriced: bool
) -> str | None:
    model, features = candidate.model, candidate.features
    if hints.model is not None and model.name != hints.model:
        return f"the request asks for {hints.model}"
    if not features.needs <= model.capabilities:
        return f"lacks {', '.join(sorted(features.needs - model.capabilities))}"
    if (reason := _too_small(model, features, input_most, candidate.expected_output_tokens)) is not None:
        return reason
    if hints.min_quality is not None and (model.quality is None or model.quality < hints.min_quality):
        quality = "unknown" if model.quality is None else model.quality
        return f"quality {quality}, the request asks for {hints.min_quality}"
    if model.price is None and not unpriced:
        return "unpriced"
    return None if max_cost_usd is None else _too_dear(candidate, max_cost_usd)


def _too_small(model: Model, features: Features, input_most: int, output_tokens: int) -> str | None:
    most, possible, window = features.output_tokens_most, model.max_output_tokens, model.context_window_tokens
    if most is not None:
        if possible is not None and most > possible:
            return f"writes at most {possible:,} tokens, the request asks for up to {most:,}"
        output_tokens = most
    if window is None or input_most + output_tokens <= window:
        return None
    high = tokens_at(features, model).high
    if high + output_tokens <= window:
        return None
    return f"window of {window:,} tokens is too small for up to {high:,} in and {output_tokens:,} out"


def _too_dear(candidate: Candidate, limit: Decimal) -> str | None:
    worst = candidate.worst_usd
    if worst is not None and worst <= limit:
        return None
    amount = "an unknown amount" if worst is None else f"${usd(worst)}"
    return f"may cost up to {amount}, the request allows ${usd(limit)}"
