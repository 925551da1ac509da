"""Hypothesis strategies for what a policy gets: features, contexts, candidates, slates; needs `hypothesis`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Any, Final, TypeVar, get_args

from hypothesis import strategies as st

from router import (
    Account,
    Budget,
    Candidate,
    Context,
    Dropped,
    Features,
    Model,
    ModelStats,
    Purse,
    Scope,
    Slate,
    Standing,
    TokenCount,
    Window,
)
from router.core.budget import OnExceed
from router.core.stats import BreakerState
from router.core.tokens import tokens_at
from router.testing.strategies_models import models, named_apart
from router.testing.strategies_vocabulary import CAPABILITIES, PLAIN, Vocabulary

T = TypeVar("T")

_NOON: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)
_MOMENTS: Final = st.sampled_from(
    [
        *(_NOON + timedelta(days=days) for days in range(7)),  # every day of a week
        datetime(2028, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2026, 12, 31, 23, 30, tzinfo=timezone(timedelta(hours=-11))),
        datetime(2026, 3, 29, 1, 30, tzinfo=timezone(timedelta(hours=5, minutes=45))),
    ]
)
_SECONDS: Final = st.sampled_from([None, 1.0, 0.1, 2.0, 30.0])
_STATS: Final = st.builds(
    ModelStats,
    attempts=st.sampled_from([100, 0, 1]),
    failures=st.sampled_from([0, 1]),
    latency_p50_s=_SECONDS,
    latency_p95_s=_SECONDS,
    first_token_p50_s=_SECONDS,
    output_tokens_mean=st.sampled_from([None, 100.0]),
    breaker=st.sampled_from(get_args(BreakerState)),
)
_DRAWS: Final = st.one_of(st.sampled_from([0.5, 0.0, 0.999_999_999_999_999_9]), st.floats(0, 1, exclude_max=True))
_NOTHING: Final = st.just(frozenset[str]())
# What a request needs, few models have: mostly nothing is needed, or slates would have nobody left.
_NEEDS: Final = st.one_of(_NOTHING, _NOTHING, _NOTHING, st.frozensets(st.sampled_from(CAPABILITIES), max_size=2))
_NANOS: Final = st.sampled_from([1_000_000_000, 0, 1, 300_000, 5_000_000_000])
_AHEAD: Final = st.sampled_from([0.0, -0.5, 0.1, 0.5, 1.0, 2.0])
_ON_EXCEED: Final[st.SearchStrategy[OnExceed]] = st.sampled_from(["block", "cheapest", "alert"])
_WINDOWS: Final = st.sampled_from(
    [Window(period="day"), Window(period="total"), Window(period="rolling", rolling_s=86_400)]
)
_SPANS: Final = st.sampled_from([1, 1, 2, 10])
_IMAGES: Final = st.sampled_from([0, 0, 0, 0, 0, 0, 0, 1])
_TOOLS: Final = st.sampled_from([0, 0, 0, 0, 0, 0, 0, 2])
_OUTPUTS: Final = st.sampled_from([None, 100, 1, 100, 4096])
_REST: Final[st.SearchStrategy[dict[str, Any]]] = st.one_of(
    st.just({}),
    st.fixed_dictionaries(
        {},
        optional={
            "choices": st.just(2),
            "cache_write": st.sampled_from(["5m", "1h"]),
            "service_tier": st.sampled_from(["flex", "batch"]),
            "messages": st.just(40),
            "stream": st.booleans(),
        },
    ),
)
_EXPECTED: Final = st.sampled_from([50, 500, 1])
_FELL_BEFORE: Final = st.sampled_from([False, False, False, False, True])


def stats() -> st.SearchStrategy[ModelStats]:
    """Returns a strategy of what is known of a model's recent behaviour."""
    return _STATS


@lru_cache(maxsize=64)
def token_counts(*, vocabulary: Vocabulary = PLAIN) -> st.SearchStrategy[TokenCount]:
    """Returns a strategy of counts of tokens, certain ones and such between bounds."""
    lengths = st.one_of(st.sampled_from(vocabulary.tokens), st.integers(0, 5000))
    return st.builds(lambda n, span: TokenCount(low=n // span, likely=n, high=n * span), lengths, _SPANS)


@lru_cache(maxsize=64)
def features(*, vocabulary: Vocabulary = PLAIN) -> st.SearchStrategy[Features]:
    """Returns a strategy of facts about a request, as consistent as those of a real one.

    Args:
        vocabulary: what lengths and patterns are drawn from.
    """
    counts = token_counts(vocabulary=vocabulary)
    matches = st.one_of(_NOTHING, st.frozensets(st.sampled_from(vocabulary.patterns)))

    @st.composite
    def drawn(draw: st.DrawFn) -> Features:
        count, images, tools = draw(counts), draw(_IMAGES), draw(_TOOLS)
        return Features(
            input_tokens=count,
            exact_tokens={"o200k_base": count.likely} if draw(st.booleans()) else {},
            output_tokens_most=draw(_OUTPUTS),
            needs=draw(_NEEDS) | ({"vision"} if images else set()) | ({"tools"} if tools else set()),
            images=images,
            tools=tools,
            matches=draw(matches),
            **draw(_REST),
        )

    return drawn()


@lru_cache(maxsize=64)
def contexts(*, vocabulary: Vocabulary = PLAIN) -> st.SearchStrategy[Context]:
    """Returns a strategy of all that a policy may know about a request besides its slate.

    Args:
        vocabulary: what tags, tenants and names of models are drawn from.
    """
    facts, around = features(vocabulary=vocabulary), _surroundings(vocabulary)

    @st.composite
    def drawn(draw: st.DrawFn) -> Context:
        return Context(features=draw(facts), **draw(around))

    return drawn()


@lru_cache(maxsize=64)
def candidates(*, vocabulary: Vocabulary = PLAIN) -> st.SearchStrategy[Candidate]:
    """Returns a strategy of models together with a request.

    Args:
        vocabulary: what they are made of.
    """
    some, facts = models(vocabulary=vocabulary), features(vocabulary=vocabulary)

    @st.composite
    def drawn(draw: st.DrawFn) -> Candidate:
        return _candidate(draw(some), draw(facts), draw(_EXPECTED))

    return drawn()


@lru_cache(maxsize=64)
def slates(*, max_size: int = 5, vocabulary: Vocabulary = PLAIN) -> st.SearchStrategy[Slate]:
    """Returns a strategy of candidates for one request: live ones, and some that were dropped before.

    Those that cannot serve the request are among the dropped, as in a real slate.

    Args:
        max_size: the most candidates.
        vocabulary: what they are made of.
    """
    facts, entries = features(vocabulary=vocabulary), _entries(max_size, vocabulary)

    @st.composite
    def drawn(draw: st.DrawFn) -> Slate:
        return _slate(draw(facts), draw(entries), vocabulary)

    return drawn()


@lru_cache(maxsize=64)
def situations(*, max_size: int = 5, vocabulary: Vocabulary = PLAIN) -> st.SearchStrategy[tuple[Slate, Context]]:
    """Returns a strategy of what a policy is called with: a slate, and the context of the same request.

    Args:
        max_size: the most candidates.
        vocabulary: what they are made of.
    """
    facts, entries = features(vocabulary=vocabulary), _entries(max_size, vocabulary)
    around = _surroundings(vocabulary)

    @st.composite
    def drawn(draw: st.DrawFn) -> tuple[Slate, Context]:
        of = draw(facts)
        return _slate(of, draw(entries), vocabulary), Context(features=of, **draw(around))

    return drawn()


Entry = tuple[Model, int, bool]
"""A model, what it is expected to write, and whether it fell before."""


def _entries(max_size: int, vocabulary: Vocabulary) -> st.SearchStrategy[list[Entry]]:
    entry = st.tuples(models(vocabulary=vocabulary), _EXPECTED, _FELL_BEFORE)
    most = min(max_size, len(vocabulary.names))
    # Lists are mostly short, and of one model no policy can make anything.
    return st.one_of(*(st.lists(entry, min_size=min(least, most), max_size=most) for least in (0, 2, 3)))


def _surroundings(vocabulary: Vocabulary) -> st.SearchStrategy[dict[str, Any]]:
    """Returns a strategy of a context's fields but for the features."""
    words, names = st.sampled_from(vocabulary.words), st.sampled_from(vocabulary.names)
    values = st.sampled_from((*vocabulary.words, *vocabulary.names))  # a tag may name the model that it wishes for
    return st.fixed_dictionaries(
        {
            "now": _MOMENTS,
            "draw": _DRAWS,
            "tags": _mappings(words, values),
            "tenant": st.none() | words,
            "stats": _mappings(names, _STATS),
            "budgets": st.one_of(st.just(()), st.lists(purses(vocabulary=vocabulary), max_size=2).map(tuple)),
        }
    )


@lru_cache(maxsize=64)
def purses(*, vocabulary: Vocabulary = PLAIN) -> st.SearchStrategy[Purse]:
    """Returns a strategy of budgets and how they stand.

    Args:
        vocabulary: what their names are drawn from, and for whom they count.
    """
    names, words = st.sampled_from(vocabulary.names), st.sampled_from(vocabulary.words)

    @st.composite
    def drawn(draw: st.DrawFn) -> Purse:
        name, window, limit = draw(names), draw(_WINDOWS), draw(_NANOS)
        scope = Scope(kind="tenant") if draw(st.booleans()) else Scope()
        start = None if window.period in {"rolling", "total"} else 1_767_225_600
        lapsed, more = draw(_NANOS), draw(_NANOS)
        standing = Standing(limit_nano=limit, spent_nano=lapsed + more, reserved_nano=draw(_NANOS), lapsed_nano=lapsed)
        ahead = draw(_AHEAD)
        return Purse(
            budget=Budget(name=name, limit_nano=limit, window=window, scope=scope, on_exceed=draw(_ON_EXCEED)),
            account=Account(
                budget=name,
                value="" if scope.kind == "all" else draw(words),
                start_s=start,
                end_s=None if start is None else start + 86_400,
                rolling_s=window.rolling_s,
            ),
            standing=standing,
            ahead=ahead,
            ahead_held=round(ahead + draw(st.sampled_from([0.0, 0.01, 0.05])), 6),
        )

    return drawn()


def _mappings(keys: st.SearchStrategy[str], values: st.SearchStrategy[T]) -> st.SearchStrategy[dict[str, T]]:
    """Returns a strategy of small mappings, half of them with an order that a policy might look at."""
    return st.one_of(st.dictionaries(keys, values, max_size=3), st.dictionaries(keys, values, min_size=2, max_size=3))


def _slate(of: Features, entries: list[Entry], vocabulary: Vocabulary) -> Slate:
    live: list[Candidate] = []
    dropped: list[Dropped] = []
    for model, (_, output_tokens, fell_before) in zip(
        named_apart((e[0] for e in entries), vocabulary), entries, strict=True
    ):
        candidate = _candidate(model, of, output_tokens)
        reason = unable(candidate)
        if reason is not None:
            dropped.append(Dropped(candidate, "request", reason))
        elif fell_before:
            dropped.append(Dropped(candidate, "earlier", "fell before"))
        else:
            live.append(candidate)
    return Slate(tuple(live), tuple(dropped))


def _candidate(model: Model, of: Features, output_tokens: int) -> Candidate:
    most = [n for n in (of.output_tokens_most, model.max_output_tokens) if n is not None]
    return Candidate(model=model, features=of, expected_output_tokens=min([output_tokens, *most]))


def unable(candidate: Candidate) -> str | None:
    """Returns why a candidate cannot serve its request at all; None where it can."""
    model, of = candidate.model, candidate.features
    if not of.needs <= model.capabilities:
        return f"lacks {', '.join(sorted(of.needs - model.capabilities))}"
    most, possible, window = of.output_tokens_most, model.max_output_tokens, model.context_window_tokens
    if most is not None and possible is not None and most > possible:
        return f"writes at most {possible:,} tokens, the request asks for up to {most:,}"
    output_tokens = candidate.expected_output_tokens if most is None else most
    if window is not None and tokens_at(of, model).high + output_tokens > window:
        return f"window of {window:,} tokens is too small"
    return None
