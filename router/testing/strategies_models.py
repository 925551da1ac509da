"""Hypothesis strategies for models, their prices, and catalogs of them; needs `hypothesis`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from hypothesis import strategies as st

from router import Model, Price, Rates, Tier, Timeouts
from router.core.deployment import Deployment
from router.testing.strategies_vocabulary import CAPABILITIES, PLAIN, Vocabulary


def _flat(input_usd: str, output_usd: str | None = None) -> Price:
    amounts = Rates(input=Decimal(input_usd), output=Decimal(output_usd or input_usd))
    return Price(tiers=(Tier(rates=amounts),))


_COMMON: Final[tuple[Price | None, ...]] = (
    _flat("1"),
    None,
    _flat("0"),
    _flat("2"),
    _flat("0.1", "30"),
    _flat("3", "0.2"),
    _flat("1.00000000000000000001"),  # dearer than the first by less than a float can tell
    Price(tiers=(Tier(rates=Rates(input=Decimal(1))),)),  # half of a price is none
    Price(tiers=(Tier(rates=Rates()),)),
)
_AMOUNTS: Final = st.sampled_from(["0", "0.1", "1", "2.5", "75", "1.00000000000000000001"]).map(Decimal)
_SOME_AMOUNT: Final = st.none() | _AMOUNTS


_CLASSES: Final = (
    "cached_input",
    "cache_write",
    "cache_write_1h",
    "reasoning",
    "input_audio",
    "cached_input_audio",
    "output_audio",
    "input_image",
    "output_image",
)
_LIMITS: Final = st.sets(st.sampled_from([1, 500, 128_000, 200_000, 272_000]), max_size=2)
_RATES: Final = st.one_of(
    st.builds(Rates, input=_AMOUNTS, output=_AMOUNTS),
    st.builds(Rates, input=_SOME_AMOUNT, output=_SOME_AMOUNT),
    st.builds(
        lambda own, **both: Rates(**both, **own),
        st.dictionaries(st.sampled_from(_CLASSES), _AMOUNTS, max_size=2),
        input=_AMOUNTS,
        output=_AMOUNTS,
    ),
)


def rates() -> st.SearchStrategy[Rates]:
    """Returns a strategy of dollars per million tokens, some of them unknown."""
    return _RATES


@st.composite
def _tables(draw: st.DrawFn) -> tuple[Tier, ...]:
    """Draws the tiers of a price, ascending from 0."""
    return tuple(Tier(above_tokens=limit, rates=draw(_RATES)) for limit in (0, *sorted(draw(_LIMITS))))


_FEES: Final[st.SearchStrategy[dict[str, Any]]] = st.fixed_dictionaries(
    {},
    optional={
        "service": st.dictionaries(st.sampled_from(["flex", "priority", "batch"]), _tables(), max_size=2),
        "request_usd": _AMOUNTS,
        "request_most_usd": _AMOUNTS,
        "search_usd": _AMOUNTS,
        "searches_billed_once": st.booleans(),
        "searches_unasked": st.booleans(),
        "writes_unasked": st.booleans(),
    },
)
_PRICED: Final = st.builds(lambda tiers, fees: Price(tiers=tiers, **fees), _tables(), _FEES)


def prices() -> st.SearchStrategy[Price]:
    """Returns a strategy of all price rows of a model: tiers by context size, service tiers, fees."""
    return _PRICED


_DEPLOYMENTS: Final = st.lists(
    st.builds(
        Deployment,
        name=st.sampled_from(["here", "there"]),
        region=st.sampled_from([None, "eu-1"]),
        weight=st.sampled_from([1.0, 5.0]),
        requests_per_minute=st.sampled_from([None, 60]),
    ),
    unique_by=lambda deployment: deployment.name,
    max_size=2,
).map(tuple)
_SERVED: Final = st.fixed_dictionaries(
    {},
    optional={
        "base_url": st.just("http://localhost:8000/v1"),
        "key_env": st.just("PROVIDER_API_KEY"),
        "headers": st.just({"x-team": "search"}),
        "options": st.sampled_from([{"seed": 1}, {"api_version": "2024-10-21"}]),
        "deprecated_on": st.just("2026-12-31"),
        "timeouts": st.just(Timeouts(total_s=30.0)),
        "deployments": _DEPLOYMENTS,
        "concurrency": st.sampled_from([1, 100]),
        "queue": st.sampled_from([0, 10]),
    },
)
"""What most models leave as it is, and most policies do not look at."""
_SERVED_OR_NOT: Final[st.SearchStrategy[dict[str, Any]]] = st.one_of(st.just({}), st.just({}), st.just({}), _SERVED)
_PRICES: Final = st.one_of(*[st.sampled_from(_COMMON)] * 5, prices())  # a whole price takes many draws
_WINDOWS: Final = st.sampled_from([None, None, None, None, 1_000_000, 128_000, 2000])
_OUTPUTS: Final = st.sampled_from([None, None, 8192, 100])
_ABILITIES: Final = st.one_of(
    st.sampled_from([frozenset[str](), *[frozenset(CAPABILITIES)] * 5]), st.frozensets(st.sampled_from(CAPABILITIES))
)


@lru_cache(maxsize=64)  # Hypothesis checks each strategy that is new, which takes longer than a draw
def models(*, vocabulary: Vocabulary = PLAIN) -> st.SearchStrategy[Model]:
    """Returns a strategy of models: priced, free or of unknown price, with or without a window, a quality, a region.

    Args:
        vocabulary: what names, providers, regions and qualities are drawn from.
    """
    names, providers = st.sampled_from(vocabulary.names), st.sampled_from(vocabulary.providers)
    qualities = st.sampled_from([None, *vocabulary.qualities])
    regions = st.sampled_from([None, *vocabulary.regions])

    @st.composite
    def drawn(draw: st.DrawFn) -> Model:
        name, provider = draw(names), draw(providers)
        return Model(
            name=name,
            id=f"{provider}/{name}",
            provider=provider,
            client="simulated",
            price=draw(_PRICES),
            context_window_tokens=draw(_WINDOWS),
            max_output_tokens=draw(_OUTPUTS),
            capabilities=draw(_ABILITIES),
            quality=draw(qualities),
            region=draw(regions),
            **draw(_SERVED_OR_NOT),
        )

    return drawn()


def catalogs(
    *, min_size: int = 0, max_size: int = 5, vocabulary: Vocabulary = PLAIN
) -> st.SearchStrategy[dict[str, Model]]:
    """Returns a strategy of models by name.

    Args:
        min_size: the fewest models.
        max_size: the most models; no more than there are names.
        vocabulary: what they are made of.
    """
    most = min(max_size, len(vocabulary.names))
    several = st.lists(models(vocabulary=vocabulary), min_size=min_size, max_size=most)
    return several.map(lambda found: {model.name: model for model in named_apart(found, vocabulary)})


def named_apart(found: Iterable[Model], vocabulary: Vocabulary, /) -> list[Model]:
    """Returns the models, those whose name is taken already under the first name of the vocabulary that is free.

    To draw again until all names differ would make most lists short.
    """
    out: dict[str, Model] = {}
    for model in found:
        name = model.name
        if name in out:
            name = next(free for free in vocabulary.names if free not in out)
            out[name] = replace(model, name=name, id=f"{model.provider}/{name}")
        else:
            out[name] = model
    return list(out.values())
