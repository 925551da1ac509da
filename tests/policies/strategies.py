"""Slates, contexts and policies of every kind and depth, for properties that hold of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import get_args

from hypothesis import strategies as st

from policies.chain import Chain
from policies.cheapest import Cheapest
from policies.fallback import Fallback
from policies.first_of import FirstOf
from policies.max_cost import MaxCost
from policies.max_latency import MaxLatency
from policies.min_quality import MinQuality
from policies.prefer import Prefer, Selector
from policies.requires import Requires
from policies.rules import Rule, Rules, When
from policies.token_tiers import Tier, TokenTiers
from policies.weighted import Share, Weighted
from router import Candidate, Capability, Context, Dropped, Features, Model, ModelStats, Policy, Slate
from router.core.catalog import Price, Rates
from router.core.catalog import Tier as PriceTier
from router.core.request import TokenCount

NAMES: tuple[str, ...] = ("a", "b", "c", "d", "e")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
CAPABILITIES: tuple[Capability, ...] = get_args(Capability)[:4]


def priced(usd_per_mtok: str | None) -> Price | None:
    """Returns a price of so much for input and output alike; None is unknown."""
    if usd_per_mtok is None:
        return None
    rate = Decimal(usd_per_mtok)
    return Price(tiers=(PriceTier(rates=Rates(input=rate, output=rate)),))


def model(name: str, *, usd_per_mtok: str | None = "1", **fields: object) -> Model:
    """Returns a model that differs from others only in what the test names."""
    made = {"id": f"openai/{name}", "provider": "openai", "client": "openai", "price": priced(usd_per_mtok)} | fields
    return Model(name=name, **made)  # type: ignore[arg-type]  # fields come by name


def features(tokens: int = 100, *, most: int | None = 50, **fields: object) -> Features:
    """Returns features of an input whose length is certain."""
    count = TokenCount(low=tokens, likely=tokens, high=tokens)
    return Features(input_tokens=count, output_tokens_most=most, **fields)  # type: ignore[arg-type]  # fields come by name


def context(tokens: int = 100, *, draw: float = 0.5, **fields: object) -> Context:
    """Returns a context with such features, and what else the test names."""
    made: dict[str, object] = {"features": features(tokens)} | fields
    return Context(now=NOON, draw=draw, **made)  # type: ignore[arg-type]  # fields come by name


def slate(*models: Model, **given: Features) -> Slate:
    """Returns a slate with all models live."""
    of = given.get("of", features())
    return Slate(tuple(Candidate(model=m, features=of, expected_output_tokens=50) for m in models))


def live(slate: Slate) -> list[str]:
    """Returns the names of the live candidates, best first."""
    return [candidate.name for candidate in slate.live]


def reasons(slate: Slate) -> dict[str, str]:
    """Returns why each model was dropped."""
    return {dropped.name: dropped.reason for dropped in slate.dropped}


names: st.SearchStrategy[str] = st.sampled_from(NAMES)
some_names = st.lists(names, min_size=1, max_size=4).map(tuple)
tokens = st.integers(min_value=0, max_value=3000)
capabilities = st.frozensets(st.sampled_from(CAPABILITIES))
texts = st.sampled_from(["x", "y"])


@st.composite
def models(draw: st.DrawFn, name: str) -> Model:
    """Draws a model of this name."""
    return Model(
        name=name,
        id=f"p/{name}",
        provider=draw(st.sampled_from(["p", "q"])),
        client="openai",
        price=priced(draw(st.sampled_from([None, "0", "1", "2.5"]))),
        capabilities=draw(capabilities),
        quality=draw(st.none() | st.sampled_from([0.0, 0.5, 1.0])),
        region=draw(st.sampled_from([None, "eu-1", "us-1"])),
        max_output_tokens=draw(st.sampled_from([None, 100])),
    )


catalogs: st.SearchStrategy[Sequence[Model]] = st.lists(names, unique=True).flatmap(
    lambda chosen: st.tuples(*(models(name) for name in chosen))
)


@st.composite
def feature_sets(draw: st.DrawFn) -> Features:
    """Draws features, estimated or counted."""
    low, likely, high = sorted(draw(st.tuples(tokens, tokens, tokens)))
    exact = draw(st.sampled_from([{}, {"o200k_base": likely}]))
    return Features(
        input_tokens=TokenCount(low=low, likely=likely, high=high),
        exact_tokens=exact,
        output_tokens_most=draw(st.none() | st.integers(min_value=1, max_value=100)),
        choices=draw(st.integers(min_value=1, max_value=2)),
        needs=draw(capabilities),
        service_tier=draw(st.sampled_from([None, "flex"])),
        images=draw(st.integers(min_value=0, max_value=1)),
        tools=draw(st.integers(min_value=0, max_value=1)),
        stream=draw(st.booleans()),
        matches=draw(st.frozensets(texts)),
    )


@st.composite
def contexts(draw: st.DrawFn, of: Features) -> Context:
    """Draws a context of a request with these features."""
    seconds = st.none() | st.sampled_from([0.5, 1.0, 2.0])
    stats = st.builds(ModelStats, latency_p50_s=seconds, latency_p95_s=seconds, first_token_p50_s=seconds)
    return Context(
        features=of,
        now=NOON,
        draw=draw(st.floats(min_value=0, max_value=1, exclude_max=True)),
        tags=draw(st.dictionaries(texts, texts, max_size=2)),
        tenant=draw(st.none() | texts),
        stats=draw(st.dictionaries(names, stats, max_size=3)),
    )


@st.composite
def situations(draw: st.DrawFn) -> tuple[Slate, Context]:
    """Draws a slate, some of it dropped already, with its context."""
    of = draw(feature_sets())
    candidates = [
        Candidate(model=m, features=of, expected_output_tokens=draw(st.integers(min_value=1, max_value=60)))
        for m in draw(catalogs)
    ]
    cut = draw(st.integers(min_value=0, max_value=len(candidates)))
    fallen = tuple(Dropped(candidate, "request", "before") for candidate in candidates[:cut])
    return Slate(tuple(candidates[cut:]), fallen), draw(contexts(of))


selectors = st.builds(
    Selector,
    model=st.none() | names | st.just("*"),
    provider=st.none() | st.sampled_from(["p", "q?"]),
    region=st.none() | st.sampled_from(["eu-*", "us-1"]),
)
some_selectors = st.lists(selectors, max_size=2).map(tuple)
conditions = st.builds(
    When,
    tags=st.dictionaries(texts, st.sampled_from(["x", "y", "*", "[xy]"]), max_size=2),
    tenant=st.sampled_from([None, "x", "*"]),
    needs=capabilities,
    above_tokens=st.none() | tokens,
    up_to_tokens=st.none() | st.integers(min_value=1, max_value=3000),
    stream=st.none() | st.booleans(),
    images=st.none() | st.booleans(),
    tools=st.none() | st.booleans(),
    service_tier=st.sampled_from([None, "flex"]),
    last_user_message=st.none() | texts,
)
limits = st.lists(st.integers(min_value=1, max_value=3000), unique=True, max_size=3).map(sorted)

filters = st.one_of(
    st.builds(Requires, capabilities=st.frozensets(st.sampled_from(CAPABILITIES), min_size=1)),
    st.builds(
        MaxCost,
        limit_usd=st.sampled_from([Decimal(0), Decimal("0.0001"), Decimal("0.001")]),
        of=st.sampled_from(["expected", "worst"]),
        unknown=st.sampled_from(["drop", "keep"]),
    ),
    st.builds(MinQuality, quality=st.sampled_from([0.0, 0.5, 0.9]), unknown=st.sampled_from(["drop", "keep"])),
    st.builds(
        MaxLatency,
        p50_s=st.none() | st.just(1.0),
        p95_s=st.none() | st.just(1.5),
        first_token_p50_s=st.none() | st.just(0.5),
        unknown=st.sampled_from(["drop", "keep"]),
    ),
    st.builds(Prefer, allow=some_selectors, deny=some_selectors),
)
rankers = st.one_of(st.just(Cheapest()), st.builds(Prefer, first=some_selectors))


@st.composite
def token_tiers(draw: st.DrawFn) -> TokenTiers:
    """Draws tiers with ascending limits, the last of which may have none."""
    tiers = [Tier(up_to_tokens=limit, models=draw(some_names)) for limit in draw(limits)]
    if not tiers or draw(st.booleans()):
        tiers.append(Tier(models=draw(some_names)))
    return TokenTiers(
        tiers=tuple(tiers),
        fallback=draw(st.just(()) | some_names),
        measure=draw(st.sampled_from(["input", "total"])),
        order=draw(st.sampled_from(["cheapest", "listed"])),
    )


leaves = st.one_of(filters, rankers, token_tiers(), st.builds(Fallback, models=some_names))


def _composed(inner: st.SearchStrategy[Policy]) -> st.SearchStrategy[Policy]:
    several = st.lists(inner, min_size=1, max_size=3).map(tuple)
    rule = st.builds(Rule, when=conditions, use=inner)
    weight = st.sampled_from([1.0, 3.0])
    share = st.builds(Share, weight=weight, model=names) | st.builds(Share, weight=weight, use=inner)
    return st.one_of(
        st.builds(Chain, policies=several),
        st.builds(FirstOf, policies=several),
        st.builds(Rules, rules=st.lists(rule, min_size=1, max_size=3).map(tuple), otherwise=st.none() | inner),
        st.builds(
            Weighted,
            split=st.lists(share, min_size=1, max_size=3).map(tuple),
            others=st.sampled_from(["follow", "drop"]),
        ),
    )


policies: st.SearchStrategy[Policy] = st.recursive(leaves, _composed, max_leaves=6)
